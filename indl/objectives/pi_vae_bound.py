"""The objective of pi-VAE: as part of a model, and as a function of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.dists.labelled import known_labels
from indl.dists.log_gaussian import LogGaussian, bounded_exp
from indl.objectives.base import Context, Objective
from indl.params.pi_vae import ROWS
from indl.registry import register

OBSERVATION_MODELS = ROWS["decoder_observation_model"].choices


@register
@dataclass(frozen=True)
class PiVAEBound(Objective):
    """``loss = nll + beta_z (alpha kl_z_encoder + (1 - alpha) kl_z)``, in nats a row.

    kl_z is KL(q(z|x,u) || p(z|u)) and kl_z_encoder is KL(q(z|x) || p(z|u)); ``neg_elbo = nll + kl_z`` is the bound of
    Zhou & Wei (2020) under any weights. Constants of the data are left out of `nll`. kl_z is NaN where a label cannot
    be: a class that is not in the tables would have a prior all the same.

    Args:
        alpha: share of the encoder's own divergence before any schedule.
        beta_z: weight of the divergence before any schedule.
    """

    alpha: float = 0.0
    beta_z: float = 1.0

    parts = ("nll", "kl_z", "kl_z_encoder")
    scores = {"nll": "reconstruction, nats/bin", "kl_z": "KL of z, nats/bin", "neg_elbo": "-ELBO, nats/bin"}

    @property
    def weights(self) -> dict[str, float]:
        return {"alpha": self.alpha, "beta_z": self.beta_z}

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        encoder = LogGaussian(outputs["z_mean"], outputs["z_log_variance"])
        prior = LogGaussian(outputs["lambda_mean"], outputs["lambda_log_variance"])
        terms = {
            "nll": reconstruction_nll(target, outputs["firing_rate"], outputs.get("noise_log_variance")),
            "kl_z": encoder.product_kl(prior),
            "kl_z_encoder": encoder.kl_divergence(prior),
        }
        u = outputs.get("inputs", {}).get("u")
        if u is not None:
            terms["kl_z"] = ops.where(known_labels(u, context.n_classes), terms["kl_z"], float("nan"))
        return {**terms, "neg_elbo": terms["nll"] + terms["kl_z"]}

    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        alpha = weights["alpha"]
        row = terms["nll"] + weights["beta_z"] * (alpha * terms["kl_z_encoder"] + (1 - alpha) * terms["kl_z"])
        return row if trial_weight is None else row * ops.cast(trial_weight, row.dtype)


def reconstruction_nll(x: Any, mean: Any, log_variance: Any = None) -> Any:
    """Negative log-likelihood in nats of each row, summed over channels, constants of the data dropped.

    Args:
        x: observations (..., X).
        mean: expected counts or signals, same shape.
        log_variance: None: Poisson counts, ``sum(r - x log r)``. Else Gaussian signals,
            ``sum((x - m)^2 / (2 exp(log_variance)) + log_variance / 2)``; same shape, or (X,).
    """
    if log_variance is None:
        return ops.sum(mean - x * ops.log(mean), axis=-1)
    return 0.5 * ops.sum(ops.square(x - mean) * bounded_exp(-log_variance) + log_variance, axis=-1)


def compute_loss(
    x: Any,
    firing_rate: Any,
    lambda_mean: Any,
    lambda_log_variance: Any,
    posterior_mean: Any,
    posterior_log_variance: Any,
    observation_model: str,
    observation_noise_model: Any = None,
    z_mean: Any = None,
    z_log_variance: Any = None,
    alpha: float = 0.0,
    kl_weight: float = 1.0,
) -> Any:
    """Mean over rows of the reconstruction and the weighted divergence from the label prior, in nats.

    The divergence is ``alpha KL(q(z|x) || p(z|u)) + (1 - alpha) KL(q(z|x,u) || p(z|u))``. With alpha = 0 and
    kl_weight = 1 the loss is the negative bound of Zhou & Wei (2020), but for constants of the data.

    Args:
        x: observations (rows, X).
        firing_rate: expected counts, or means of signals, (rows, X).
        lambda_mean, lambda_log_variance: of p(z | u), (rows, Z).
        posterior_mean, posterior_log_variance: of q(z | x, u), (rows, Z).
        observation_model: ``"poisson"`` or ``"gaussian"``.
        observation_noise_model: Gaussian only: the model's layer of that name, or log variances (X,).
        z_mean, z_log_variance: of q(z | x), (rows, Z); for alpha > 0.
        alpha: between 0 and 1.
        kl_weight: weight of the divergence.

    Returns:
        A scalar.

    Raises:
        ValueError: an unknown observation model, a Gaussian one without its noise, alpha out of range, or alpha > 0
            without the encoder's Gaussian.
    """
    if observation_model not in OBSERVATION_MODELS:
        raise ValueError(
            f"The observation model is not known. Given: {observation_model!r}. Use one of {OBSERVATION_MODELS}."
        )
    if observation_model == "gaussian" and observation_noise_model is None:
        raise ValueError(
            "Gaussian observations have a noise variance. Given: observation_noise_model=None. "
            "Pass model.observation_noise_model."
        )
    if not 0 <= alpha <= 1 or (alpha > 0 and z_mean is None):
        raise ValueError(
            f"alpha is the share of the encoder's own divergence. Given: alpha={alpha!r}, "
            f"z_mean={'None' if z_mean is None else 'given'}. Use a number from 0 to 1, and pass z_mean and "
            "z_log_variance where it is above 0."
        )
    noise = None
    if observation_model == "gaussian":
        noise = getattr(observation_noise_model, "log_variance", observation_noise_model)
    prior = LogGaussian(lambda_mean, lambda_log_variance)
    divergence = LogGaussian(posterior_mean, posterior_log_variance).kl_divergence(prior)
    if alpha > 0:
        own = LogGaussian(z_mean, z_log_variance).kl_divergence(prior)
        divergence = alpha * own + (1 - alpha) * divergence
    return ops.mean(reconstruction_nll(x, firing_rate, noise) + kl_weight * divergence)
