"""The posteriors q(f | x) and q(z | x)."""

from __future__ import annotations

from typing import Any

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.labelled import LabelProduct
from indl.dists.log_gaussian import LogGaussian
from indl.model.builders.shared import Params, n_classes, required_labels
from indl.params import validate_params


def make_f_variational(params: Params, enc_f: Any, u: Any = None, p_u: LogGaussian | None = None) -> Gaussian | None:
    """The posterior q(f | x); with q_cond='product' and f_prior_type='cond', q(f | x, u), its product with p(f | u).

    Keys: f_latent_size, q_f_init_std, f_latent_off_diag, q_f_scale, q_f_min_var, q_cond, f_prior_type, u_dim, u_type.

    Args:
        params: parameters.
        enc_f: (batch, E), or None.
        u: labels of the trials, for a product.
        p_u: the prior at these labels, ``create_f_prior(params)(u)``, for a product.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size f_latent_size, or None.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    if enc_f is None or not p["f_latent_size"]:
        return None
    scale = {"full": p["f_latent_off_diag"], "scale_link": p["q_f_scale"], "min_variance": p["q_f_min_var"]}
    q = GaussianHead(p["f_latent_size"], p["q_f_init_std"], **scale, name="q_f")(enc_f)
    return _product(p, q, u, p_u, "q_f_product") if p["f_prior_type"] == "cond" else q


def make_z_variational(
    params: Params, enc_z: Any, u: Any = None, p_u: LogGaussian | None = None, f_sample: Any = None
) -> Gaussian | None:
    """The mean-field posterior q(z_t | x) of every bin; with q_cond='product' and z_prior_process='cond' q(z_t | x, u).

    Keys: z_latent_size, q_z_init_std, z_latent_off_diag, q_cond, z_prior_process, u_dim, u_type.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.
        u: labels of the trials, or of their bins, for a product.
        p_u: the prior at these labels, ``create_z_prior(params)(u)``, for a product.
        f_sample: a sample of f (batch[, S], F), for a posterior that reads it; this one has seen it in its encoder.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size z_latent_size, or None. Where it ``has_path``, what it
        has `drawn` is the model's z; else z is to be sampled.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    if enc_z is None or not p["z_latent_size"]:
        return None
    q = GaussianHead(p["z_latent_size"], p["q_z_init_std"], full=p["z_latent_off_diag"], name="q_z")(enc_z)
    return _product(p, q, u, p_u, "q_z_product") if p["z_prior_process"] == "cond" else q


def _product(p: Params, q: Gaussian, u: Any, p_u: Any, name: str) -> Gaussian:
    """The posterior of a latent with a label prior."""
    if p["q_cond"] != "product":
        return q
    if p_u is None:
        raise ValueError(
            "A product posterior needs the prior at the labels. Given: p_u=None. Pass u=u, p_u=prior(u), with the "
            "layer that create_f_prior or create_z_prior gives."
        )
    return LabelProduct(n_classes(p), name=name)(q, p_u, required_labels(p, u))
