"""The evidence lower bound of a sequential model, with weights on its divergences and a penalty of the weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.dists.observations import PoissonObservation
from indl.layers.coordinated_dropout import block_gradient
from indl.layers.sample_validation import sample_validation_losses
from indl.objectives.base import Context, Objective
from indl.registry import register


@register
@dataclass(frozen=True)
class Elbo(Objective):
    """``loss = nll + beta_f kl_f + beta_z kl_z + l2_weight penalty``, in nats per trial.

    Of latents with a product posterior, the loss has ``alpha kl_f_encoder + (1 - alpha) kl_f`` for ``kl_f``, and so for
    z, where the first is what the encoder alone would pay.

    ``neg_elbo`` is the sum of the first three at weights of one; ``heldin_nll`` is the part of ``nll`` in the bins and
    channels of the input. In sample validation these are over visible samples, scaled to all of them, and
    ``sample_nll`` is over hidden ones, scaled likewise. With ``reduction="mean"`` the loss takes the mean of the
    likelihood over bins and channels instead of ``nll``.

    Args:
        beta_f, beta_z: weights of the divergences before any schedule.
        alpha: share of the encoders' own divergence before any schedule.
        encoders: the latents, ``"f"`` and ``"z"``, for which the model gives it.
        sample_validation: whether ``sample_nll`` is logged too.
        separable: False where the loss of a trial depends on the others in its batch.
    """

    beta_f: float = 1.0
    beta_z: float = 1.0
    alpha: float = 0.0
    encoders: tuple[str, ...] = ()
    sample_validation: bool = False
    separable: bool = True

    scores = {
        "nll": "reconstruction, nats/trial",
        "kl_f": "KL of f, nats/trial",
        "kl_z": "KL of z, nats/trial",
        "neg_elbo": "-ELBO, nats/trial",
    }

    @classmethod
    def of(cls, p: Mapping[str, Any], outputs: Collection[str]) -> Elbo:
        """The bound that complete params ask for, of a model with these outputs."""
        return cls(
            p["kl_f_beta"],
            p["kl_z_beta"],
            p["alpha"],
            encoders=tuple(latent for latent in "fz" if f"kl_{latent}_encoder" in outputs),
            sample_validation="sample_mask" in outputs,
            # The mean over what a whole batch recorded couples its trials.
            separable=not (p["missing_data"] and p["loss_reduction"] == "mean"),
        )

    @property
    def parts(self) -> tuple[str, ...]:
        return ("nll", "kl_f", "kl_z", *(f"kl_{latent}_encoder" for latent in self.encoders), "penalty")

    @property
    def sums(self) -> tuple[str, ...]:
        return ("neg_elbo", "heldin_nll", "loss", *(("sample_nll",) if self.sample_validation else ()))

    @property
    def weights(self) -> dict[str, float]:
        alpha = {"alpha": self.alpha} if self.encoders else {}
        return {"beta_f": self.beta_f, "beta_z": self.beta_z, "l2_weight": 1.0, **alpha}

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        likelihood = log_likelihood(outputs["p_x"], target, context)
        if outputs.get("cd_mask") is not None:
            likelihood = block_gradient(likelihood, outputs["cd_mask"], context.gradient_rescale, context.segment)
        found = {}
        if self.sample_validation:
            likelihood, found["sample_nll"] = sample_validation_losses(
                likelihood, outputs["sample_mask"], context.sample_validation_rate, context.segment
            )
        seen = -context.forward_steps or None
        found |= {"nll": likelihood, "heldin_nll": likelihood[..., :seen, : context.n_channels]}
        found = {name: -ops.sum(part, axis=(-2, -1)) for name, part in found.items()}
        found = {name: ops.mean(part, axis=1) if len(part.shape) == 2 else part for name, part in found.items()}
        zero = ops.zeros_like(found["nll"])
        found |= {"kl_f": zero, "kl_z": zero}
        for name in ("kl_f", "kl_z", *(f"kl_{latent}_encoder" for latent in self.encoders)):
            if name in outputs:
                found[name] = ops.sum(outputs[name], axis=-1) if name.startswith("kl_z") else outputs[name]
        found["penalty"] = outputs.get("penalty", ops.zeros(()))
        found["neg_elbo"] = found["nll"] + found["kl_f"] + found["kl_z"]
        # What the loss takes of the likelihood.
        found["reconstruction"] = found["nll"] * _per_element(target, outputs.get("inputs", {}), context)
        return found

    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        paid = {}
        for latent in "fz":
            paid[latent] = terms[f"kl_{latent}"]
            if latent in self.encoders:
                alpha = weights["alpha"]
                paid[latent] = alpha * terms[f"kl_{latent}_encoder"] + (1 - alpha) * paid[latent]
        trial = terms["reconstruction"] + weights["beta_f"] * paid["f"] + weights["beta_z"] * paid["z"]
        if trial_weight is not None:
            trial = trial * ops.cast(trial_weight, trial.dtype)
        return (trial + weights["l2_weight"] * terms["penalty"]) * context.scale


def log_likelihood(p_x: Any, target: Any, context: Context) -> Any:
    """The log-likelihood of every element in nats, (batch[, S], time, channels), 0 where it is missing."""
    target = target[:, None] if len(p_x[0].shape) == 4 else target
    constant = {"log_factorial": context.log_factorial} if isinstance(p_x, PoissonObservation) else {}
    if not context.missing:
        return p_x.log_prob(target, **constant)
    missing = ops.isnan(target)
    # Filled before the density: a NaN that is cut off afterwards still spoils the gradient.
    likelihood = p_x.log_prob(ops.where(missing, ops.zeros_like(target), target), **constant)
    return ops.where(missing, ops.zeros_like(likelihood), likelihood)


def _per_element(target: Any, inputs: Mapping[str, Any], context: Context) -> Any:
    """The factor that makes a trial's log-likelihood a mean over bins and channels, where that is asked for."""
    if context.reduction == "sum":
        return 1.0
    shape = ops.shape(target)
    if not context.missing:
        return 1.0 / ops.cast(shape[1] * shape[2], "float32")
    # As in lfads-torch, the mean is over what was recorded, in all trials that the batch holds of a session.
    recorded = ops.sum(ops.cast(ops.logical_not(ops.isnan(target)), "float32"), axis=(1, 2))
    session = inputs.get("session")
    if session is None:
        return 1.0 / ops.maximum(ops.mean(recorded), 1e-8)
    alike = ops.cast(ops.equal(session[:, None], session[None]), "float32")
    return ops.sum(alike, axis=1) / ops.maximum(ops.sum(alike * recorded, axis=1), 1e-8)
