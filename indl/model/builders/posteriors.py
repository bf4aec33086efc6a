"""The posteriors q(f | x) and q(z | x), and their products with priors that depend on labels."""

from __future__ import annotations

from typing import Any

from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.labelled import LabelProduct
from indl.dists.log_gaussian import LogGaussian
from indl.layers.activations import activation
from indl.model.builders.shared import Params, n_classes, required_labels, stream
from indl.params import CellSpec, as_list, validate_params
from indl.rnn.combiner import CombinerPosterior


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
    params: Params,
    enc_z: Any,
    u: Any = None,
    p_u: LogGaussian | None = None,
    f_sample: Any = None,
    transition: Any = (),
    name: str = "",
) -> Gaussian | None:
    """The posterior q(z_t | x) of every bin; with q_cond='product' and z_prior_process='cond' q(z_t | x, u).

    With q_z_type='combiner' it is q(z_t | z_{t-1}, x), of one path; see :func:`sequential_posterior`.

    Keys: z_latent_size, q_z_type, q_z_init_std, q_z_scale, scale_floor, z_latent_off_diag, q_cond, z_prior_process,
    u_dim, u_type, z1_rnn_type.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.
        u: labels of the trials, or of their bins, for a product.
        p_u: the prior at these labels, ``create_z_prior(params)(u)``, for a product.
        f_sample: a sample of f (batch[, S], F), with f_to_z='combiner'.
        transition: with use_generative_prior, ``create_z_prior(params)(enc_z, weights_alone=True)``.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size z_latent_size, or None. Where it ``has_path``, what it
        has `drawn` is the model's z; else z is to be sampled.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    if p["q_z_type"] == "combiner":
        return sequential_posterior(p, enc_z, f_sample, transition, name)
    return label_product(p, "z", encoder_posterior(p, "z", enc_z, name), u, p_u, name)


def sequential_posterior(
    params: Params, enc_z: Any, f_sample: Any = None, transition: Any = (), name: str = ""
) -> Gaussian | None:
    """The posterior q(z_t | z_{t-1}, x[, f]) of deep Markov models, sampled bin after bin.

    Keys: z_latent_size, q_z_init_std, q_z_scale, scale_floor, z_prior_scale, use_generative_prior, f_to_z, q_f_samples,
    z1_rnn_type, encoder_state_trainable, sample_at_test, variational, seed.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.
        f_sample: a sample of f (batch[, S], F), with f_to_z='combiner'.
        transition: with use_generative_prior, ``create_z_prior(params)(enc_z, weights_alone=True)``.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` whose `drawn` is the model's z, or None.

    Raises:
        ValueError: f or the transition is needed, and not given.
    """
    p = validate_params(params)
    if enc_z is None or not p["z_latent_size"]:
        return None
    f = f_sample if p["f_latent_size"] and p["f_to_z"] == "combiner" else None
    if (p["f_to_z"] == "combiner" and p["f_latent_size"] and f is None) or (
        p["use_generative_prior"] and not len(transition)
    ):
        raise ValueError(
            f"The posterior needs what it combines. Given: f_to_z={p['f_to_z']!r}, use_generative_prior="
            f"{p['use_generative_prior']!r}, f_sample {'missing' if f_sample is None else 'given'}, transition "
            f"{'given' if len(transition) else 'missing'}. Pass f_sample=q_f.sample() and "
            "transition=prior(enc_z, weights_alone=True), as far as the params ask for them."
        )
    found = CombinerPosterior(
        p["z_latent_size"],
        directions=2 if CellSpec.parse(p["z1_rnn_type"]).both else 1,
        init_std=p["q_z_init_std"],
        link=p["q_z_scale"],
        floor=p["scale_floor"],
        transition_link=p["z_prior_scale"] if p["use_generative_prior"] else None,
        transition=p["z_prior_process"] if p["use_generative_prior"] else "gated",
        n=p["q_f_samples"] if p["q_f_samples"] > 1 else None,
        train_start=p["encoder_state_trainable"],
        at_test=p["sample_at_test"],
        draws=p["variational"],
        seed=stream(p, f"{name}z"),
        name=f"{name}q_z",
    )(enc_z, f, transition)
    path = tuple(found[key] for key in ("path_loc", "path_scale", "path"))
    return Gaussian(found["loc"], found["scale"], found["z"], path)


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
    settings = {"full": p[f"{latent}_latent_off_diag"], "scale_link": p[f"q_{latent}_scale"], "floor": p["scale_floor"]}
    if latent == "f":
        settings["min_variance"] = p["q_f_min_var"]
    elif p["q_z_units"]:
        settings |= {"hidden": as_list(p["q_z_units"]), "activation": activation(p["z1_activation"])}
    size, init_std = p[f"{latent}_latent_size"], p[f"q_{latent}_init_std"]
    if latent == "f" or p["q_z_type"] != "directions":
        return GaussianHead(size, init_std, **settings, name=f"{name}q_{latent}")(encoded)
    # The states of both directions stand side by side.
    heads = [GaussianHead(size, init_std, **settings, name=f"{name}q_z{way}") for way in ("", "_backward")]
    both = [head(states) for head, states in zip(heads, ops.split(encoded, 2, axis=-1), strict=True)]
    first, second = (LogGaussian(q.loc, 2 * ops.log(q.scale)) for q in both)
    return first.product(second).gaussian()


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
