"""Objectives of several posterior samples a trial, weighted against each other, for sequential models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.objectives.base import Context
from indl.objectives.elbo import Elbo
from indl.objectives.importance import learning_signals, log_bound, weighted, weights
from indl.registry import register

#: Beginnings of the names of densities of every sample, (batch, K), among the terms.
_SAMPLED, _HELD = "sampled_", "held_"
sg = ops.stop_gradient


@register
@dataclass(frozen=True)
class ManySamples(Elbo):
    """``loss = -log 1/K sum_k exp f_k + l2_weight penalty`` with ``q_f_samples`` = K samples a trial, in nats.

    ``f_k = log p(x | f, z) + beta_f [log p(f) - log q(f | x)] + beta_z sum_t [log p(z_t | .) - log q(z_t | .)]``; at
    weights of one the loss is minus the K-sample bound, which is logged as ``neg_bound``. `estimate` says how its
    gradient is taken (see :mod:`indl.objectives.estimators`): ``"iwae"``, ``"dreg"``, ``"vimco"``, or that of
    reweighted wake-sleep, ``"rws"``, whose posterior follows KL(p(z|x) || q) instead. All but the first ask the
    densities at held samples, too.

    With coordinated dropout the likelihood of a training step is that of the hidden elements, scaled to all: seen ones
    would choose among the samples.

    Args:
        estimate: one of the four.
    """

    estimate: str = "iwae"

    scores = {**Elbo.scores, "neg_bound": "-bound of all samples, nats/trial"}

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        return {"estimate": p["objective"]}

    @property
    def parts(self) -> tuple[str, ...]:
        return (*super().parts, "neg_bound")

    @property
    def holds_samples(self) -> bool:
        """Whether a training step asks the densities at samples that let no gradient through."""
        return self.estimate != "iwae"

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        found = super().terms(outputs, target, context)
        densities = self._densities(outputs, target, context)
        found["neg_bound"] = -log_bound(sg(_log_f(densities, {"beta_f": 1.0, "beta_z": 1.0})))
        found |= {f"{_SAMPLED}{name}": value for name, value in densities.items()}
        if "held" in outputs:
            held = self._densities(outputs["held"], target, context)
            found |= {f"{_HELD}{name}": value for name, value in held.items()}
        return found

    def _densities(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        """log p and log q of every latent, and log p(x | f, z), (batch, K)."""
        likelihood, _ = self.likelihoods(outputs, target, context, trained_alone=outputs["training"])
        return {"x": ops.sum(likelihood, axis=(-2, -1)), **outputs["densities"]}

    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        sampled, held = _named(terms, _SAMPLED), _named(terms, _HELD)
        value = -log_bound(_log_f(sampled, weights))
        if held:
            surrogate = self._surrogate(sampled, held, weights)
            # The bound is what is logged; the estimate, whose value says nothing, has the gradient.
            value = sg(value) + surrogate - sg(surrogate)
        if trial_weight is not None:
            value = value * ops.cast(trial_weight, value.dtype)
        return (value + weights["l2_weight"] * terms["penalty"]) * context.scale

    def _surrogate(self, through: Mapping[str, Any], held: Mapping[str, Any], betas: Mapping[str, Any]) -> Any:
        log_f, log_p, log_q = _log_f(held, betas), _log_p(held, betas), _log_q(held)
        share = sg(weights(log_f))
        if self.estimate == "vimco":
            return -weighted(share, log_f) - weighted(sg(learning_signals(log_f)), log_q)
        if self.estimate == "rws":
            return -weighted(share, log_p) - weighted(share, log_q)
        # What is held has the gradient at fixed samples: the difference is the part through the samples.
        return -weighted(share, log_p) - weighted(ops.square(share), _log_f(through, betas) - log_f)


def _named(terms: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in terms.items() if name.startswith(prefix)}


def _log_p(densities: Mapping[str, Any], betas: Mapping[str, Any]) -> Any:
    return densities["x"] + sum(
        betas[f"beta_{latent}"] * densities[f"log_p_{latent}"] for latent in "fz" if f"log_p_{latent}" in densities
    )


def _log_q(densities: Mapping[str, Any]) -> Any:
    return sum(densities[f"log_q_{latent}"] for latent in "fz" if f"log_q_{latent}" in densities)


def _log_f(densities: Mapping[str, Any], betas: Mapping[str, Any]) -> Any:
    return densities["x"] + sum(
        betas[f"beta_{latent}"] * (densities[f"log_p_{latent}"] - densities[f"log_q_{latent}"])
        for latent in "fz"
        if f"log_p_{latent}" in densities
    )
