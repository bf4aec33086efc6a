"""The priors p(f) and p(z), and the divergence from one that depends on labels."""

from __future__ import annotations

from typing import Any

from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.labelled import LabelKL
from indl.dists.log_gaussian import LogGaussian
from indl.dists.priors import (
    AffinePrior,
    AR1Prior,
    GatedPrior,
    GaussianPrior,
    LabelPrior,
    RecurrentPrior,
    StudentTPrior,
    TablePrior,
)
from indl.layers.activations import activation
from indl.layers.scale_gradient import ScaleGradient
from indl.model.builders.shared import Params, n_classes, stream
from indl.params import as_list, validate_params
from indl.params.objectives import prior_learns


def create_f_prior(params: Params, name: str = "") -> Any:
    """The prior p(f), a layer: called on q(f) it returns the KL per trial.

    With f_prior_type='cond' it is a :class:`~indl.dists.priors.label.LabelPrior`, which gives p(f | u) when called on
    labels; :func:`label_kl` is the KL from it. With f_prior_type='lookup' it is a
    :class:`~indl.dists.priors.table.TablePrior`, called on q(f) and on the row of each trial's sequence.

    Keys: f_latent_size, f_prior_type, f_prior_init_std, f_prior_train_mean, f_prior_train_var, f_prior_kappa,
    f_prior_n_seqs, f_prior_hyper_std, u_dim, u_type, u_units.

    Args:
        params: parameters.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Raises:
        ValueError: a prior of sequences, whose number is 0.
    """
    p = validate_params(params)
    if not p["f_latent_size"]:
        return None
    if p["f_prior_type"] == "cond":
        return _label_prior(p, "f", name)
    if p["f_prior_type"] == "lookup":
        if not p["f_prior_n_seqs"]:
            raise ValueError(
                "The prior of f needs to know how many sequences there are. Given: f_prior_n_seqs=0. Pass "
                "{**params, 'f_prior_n_seqs': n}; `train` takes the sequences of the recording."
            )
        return TablePrior(
            p["f_latent_size"],
            p["f_prior_n_seqs"],
            p["f_prior_init_std"],
            p["f_prior_hyper_std"],
            name=f"{name}f_prior",
        )
    if p["f_prior_kappa"] > 0:
        settings = {"init_std": p["f_prior_kappa"] ** 0.5, "train_mean": False, "train_var": False}
    elif p["f_prior_type"] == "standard":
        settings = {"init_std": 1.0, "train_mean": False, "train_var": False}
    else:
        settings = {
            "init_std": p["f_prior_init_std"],
            "train_mean": p["f_prior_train_mean"],
            "train_var": p["f_prior_train_var"],
        }
    return GaussianPrior(p["f_latent_size"], **settings, name=f"{name}f_prior")


def create_z_prior(params: Params, name: str = "") -> Any:
    """The prior p(z), a layer: called on q(z), and on the sample that drove the generator, it returns the KL a bin.

    With z_prior_process='cond' it is a :class:`~indl.dists.priors.label.LabelPrior`, which gives p(z | u) when called
    on labels; :func:`label_kl` is the KL from it.

    Keys: z_latent_size, z_prior_process, z_prior_units, z_prior_scale, scale_floor, z_prior_tau, z_prior_init_std,
    z_prior_train_tau, z_prior_train_mean, z_prior_train_var, z_prior_rollout, z_kl_mode, gru_clip_value, seed, u_dim,
    u_type, u_units.

    Args:
        params: parameters.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.
    """
    p = validate_params(params)
    size, process = p["z_latent_size"], p["z_prior_process"]
    if not size:
        return None
    if process == "cond":
        return _label_prior(p, "z", name)
    if process == "standard":
        return GaussianPrior(size, 1.0, train_mean=False, train_var=False, name=f"{name}z_prior")
    training = {"train_mean": p["z_prior_train_mean"], "train_var": p["z_prior_train_var"]}
    if process == "none":
        return GaussianPrior(size, p["z_prior_init_std"], **training, name=f"{name}z_prior")
    shared = {
        "init_std": p["z_prior_init_std"],
        "kl_mode": p["z_kl_mode"],
        "seed": stream(p, f"{name}z_prior"),
        "name": f"{name}z_prior",
    }
    if process == "student_t":
        return StudentTPrior(size, p["z_prior_df"], **training, **shared)
    shared["rollout"] = p["z_prior_rollout"]
    if process == "AR1":
        return AR1Prior(size, tau=p["z_prior_tau"], train_tau=p["z_prior_train_tau"], **training, **shared)
    shared |= {"link": p["z_prior_scale"], "floor": p["scale_floor"]}
    if process == "gated":
        return GatedPrior(size, p["z_prior_units"], **shared)
    if process in ("linear", "mlp"):
        return AffinePrior(size, p["z_prior_units"] if process == "mlp" else 0, **shared)
    return RecurrentPrior(size, process, p["z_prior_units"], clip_value=p["gru_clip_value"], **shared)


def divergence(
    params: Params,
    latent: str,
    q: Gaussian,
    p_u: LogGaussian | None = None,
    u: Any = None,
    index: Any = None,
    prior: Any = None,
    driven: Any = None,
    name: str = "",
) -> dict[str, Any]:
    """The KL of a posterior from its prior by the name of the model's output, ``kl_f`` or ``kl_z``.

    With free bits there is that of each dimension too, ``kl_f_dimensions`` or ``kl_z_dimensions``; with a prior of
    sequences ``log_p_mean`` and ``log_p_index``. With kl_balance = a the gradient reaches a learned prior with the
    factor a and the posterior with 1 - a, which is that of ``a KL(q' || p) + (1 - a) KL(q || p')`` where what is primed
    is held.

    Keys: those of :func:`create_f_prior` or :func:`create_z_prior`, f_free_bits, z_free_bits, kl_balance.

    Args:
        params: parameters.
        latent: ``"f"`` or ``"z"``.
        q: the posterior.
        p_u: a prior at the labels, ``create_z_prior(params)(u)``, for one that depends on them.
        u: the labels.
        index: the row of each trial's sequence, for a prior of sequences.
        prior: the layer, where it is part of the posterior too. Default: a new one.
        driven: the sample that drives the generator, along which a prior with memory then takes its KL in training.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.
    """
    p = validate_params(params)
    balance = p["kl_balance"] if prior_learns(p, latent) else None
    if balance is not None:
        scaled = ScaleGradient((1 - balance) / balance)
        fields = [scaled(part) for part in (q[:3] if q.has_path else q[:2])]
        q = as_gaussian([*fields, *[()] * (3 - len(fields)), tuple(scaled(part) for part in q.path)])
        driven = None if driven is None else scaled(driven)
    found = f"kl_{latent}"
    each = {"per_dimension": True} if p[f"{latent}_free_bits"] else {}
    if p_u is not None:
        kl = LabelKL(n_classes(p))(q, p_u, u, **each)
    else:
        prior = (create_f_prior if latent == "f" else create_z_prior)(p, name) if prior is None else prior
        if index is not None:
            return dict(zip((found, "log_p_mean", "log_p_index"), prior(q, index), strict=True))
        along = {"driven": driven} if prior.along_samples and driven is not None else {}
        kl = prior(q, **along, **each)
    if balance is not None:
        kl = ScaleGradient(balance)(kl)
    return {found: ops.sum(kl, axis=-1), f"{found}_dimensions": kl} if each else {found: kl}


def label_kl(params: Params, q: Gaussian, p_u: LogGaussian, u: Any) -> Any:
    """KL(q || p(. | u)) in nats, (batch,) for f and (batch, time) for z; NaN where a label is unknown.

    Keys: u_dim, u_type.

    Args:
        params: parameters.
        q: the posterior.
        p_u: the prior at the labels, ``create_z_prior(params)(u)``.
        u: the labels.
    """
    return LabelKL(n_classes(validate_params(params)))(q, p_u, u)


def _label_prior(p: Params, latent: str, name: str) -> LabelPrior:
    return LabelPrior(
        p[f"{latent}_latent_size"],
        p["u_dim"],
        p["u_type"],
        as_list(p["u_units"]),
        activation(p["u_activation"]),
        train_mean=p[f"{latent}_prior_train_mean"],
        name=f"{name}{latent}_prior",
    )
