"""The posteriors q(f | x) and q(z | x), and their products with priors that depend on labels."""

from __future__ import annotations

from typing import Any

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.labelled import LabelProduct
from indl.dists.log_gaussian import LogGaussian
from indl.model.builders.shared import Params, n_classes, required_labels
from indl.params import validate_params


def make_f_variational(
    params: Params, enc_f: Any, u: Any = None, p_u: LogGaussian | None = None, name: str = ""
) -> Gaussian | None:
    """The posterior q(f | x); with q_cond='product' and f_prior_type='cond', q(f | x, u), its product with p(f | u).

    Keys: f_latent_size, q_f_init_std, f_latent_off_diag, q_f_scale, q_f_min_var, q_cond, f_prior_type, u_dim, u_type.

    Args:
        params: parameters.
        enc_f: (batch, E), or None.
        u: labels of the trials, for a product.
        p_u: the prior at these labels, ``create_f_prior(params)(u)``, for a product.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size f_latent_size, or None.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    return label_product(params, "f", encoder_posterior(params, "f", enc_f, name), u, p_u, name)


def make_z_variational(
    params: Params, enc_z: Any, u: Any = None, p_u: LogGaussian | None = None, f_sample: Any = None, name: str = ""
) -> Gaussian | None:
    """The mean-field posterior q(z_t | x) of every bin; with q_cond='product' and z_prior_process='cond' q(z_t | x, u).

    Keys: z_latent_size, q_z_init_std, z_latent_off_diag, q_cond, z_prior_process, u_dim, u_type.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.
        u: labels of the trials, or of their bins, for a product.
        p_u: the prior at these labels, ``create_z_prior(params)(u)``, for a product.
        f_sample: a sample of f (batch[, S], F), for a posterior that reads it; this one has seen it in its encoder.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size z_latent_size, or None. Where it ``has_path``, what it
        has `drawn` is the model's z; else z is to be sampled.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    return label_product(params, "z", encoder_posterior(params, "z", enc_z, name), u, p_u, name)


def encoder_posterior(params: Params, latent: str, encoded: Any, name: str = "") -> Gaussian | None:
    """What the encoder alone says, q(f | x) or q(z_t | x): the first factor of a product.

    Keys: those of :func:`make_f_variational` or :func:`make_z_variational` without labels.

    Args:
        params: parameters.
        latent: ``"f"`` or ``"z"``.
        encoded: (batch, E) or (batch[, S], time, E), or None.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.
    """
    p = validate_params(params)
    if encoded is None or not p[f"{latent}_latent_size"]:
        return None
    settings = {"full": p[f"{latent}_latent_off_diag"]}
    if latent == "f":
        settings |= {"scale_link": p["q_f_scale"], "min_variance": p["q_f_min_var"]}
    size, init_std = p[f"{latent}_latent_size"], p[f"q_{latent}_init_std"]
    return GaussianHead(size, init_std, **settings, name=f"{name}q_{latent}")(encoded)


def label_product(
    params: Params, latent: str, q: Gaussian | None, u: Any = None, p_u: LogGaussian | None = None, name: str = ""
) -> Gaussian | None:
    """q times p(. | u) with q_cond='product' where the latent's prior is 'cond'; else q as it is.

    Keys: q_cond, f_prior_type, z_prior_process, u_dim, u_type.

    Args:
        params: parameters.
        latent: ``"f"`` or ``"z"``.
        q: what :func:`encoder_posterior` gives.
        u: labels of the trials, or of their bins, for a product.
        p_u: the prior at these labels, for a product.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    prior = p["f_prior_type"] if latent == "f" else p["z_prior_process"]
    if q is None or prior != "cond" or p["q_cond"] != "product":
        return q
    if p_u is None:
        raise ValueError(
            "A product posterior needs the prior at the labels. Given: p_u=None. Pass u=u, p_u=prior(u), with the "
            "layer that create_f_prior or create_z_prior gives."
        )
    return LabelProduct(n_classes(p), name=f"{name}q_{latent}_product")(q, p_u, required_labels(p, u))
