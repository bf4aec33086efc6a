"""The bound with a weight for each part of a latent's KL, of which the total correlation has the largest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.objectives.batch_latents import across_trials, trial_sum
from indl.objectives.elbo import Elbo
from indl.objectives.total_correlation import Decomposition, decomposition, log_aggregate, log_densities, log_weights
from indl.params.objectives import latents_of
from indl.registry import register


@register
@dataclass(frozen=True)
class BetaTCVAE(Elbo):
    """The bound with ``tc_alpha mi_f + tc_beta tc_f + tc_gamma dw_f`` for ``kl_f``, and so for z (Chen et al. 2018).

    See :mod:`indl.objectives.total_correlation`. ``dw`` is what the closed-form KL leaves of the other two, so that
    weights of 1 give the bound itself. z is taken apart bin by bin, and its parts are sums over bins; under a prior
    with memory its ``dw`` holds what such a prior demands of neighbouring bins. Validation computes the parts at
    posterior means, unless the model samples there.

    Args:
        tc_alpha, tc_beta, tc_gamma: the weights before any schedule.
        tc_on: the latents that are taken apart.
    """

    tc_alpha: float = 1.0
    tc_beta: float = 6.0
    tc_gamma: float = 1.0
    tc_on: tuple[str, ...] = ("f",)

    couples_trials = True

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        return {**{name: p[name] for name in ("tc_alpha", "tc_beta", "tc_gamma")}, "tc_on": latents_of(p["tc_on"])}

    @property
    def estimates(self) -> bool:
        return True

    @property
    def parts(self) -> tuple[str, ...]:
        return (*super().parts, *(f"{part}_{latent}" for latent in self.tc_on for part in Decomposition._fields))

    @property
    def weights(self) -> dict[str, float]:
        own = {"tc_alpha": self.tc_alpha, "tc_beta": self.tc_beta, "tc_gamma": self.tc_gamma}
        return {**super().weights, **own}

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Any) -> dict[str, Any]:
        found = super().terms(outputs, target, context)
        for latent in self.tc_on:
            q, sample = across_trials(outputs, latent)
            log_w = log_weights(ops.shape(sample)[-2], self.n_data, self.estimator)
            log_q, log_q_dims = log_aggregate(log_densities(sample, q.loc, q.scale), log_w)
            logs = (q.log_prob(sample), log_q, ops.sum(log_q_dims, axis=-1))
            parts = decomposition(*(trial_sum(log, latent) for log in logs), found[f"kl_{latent}"])
            found |= {f"{name}_{latent}": part for name, part in parts._asdict().items()}
        return found

    def paid(self, latent: str, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        if latent not in self.tc_on:
            return super().paid(latent, terms, weights)
        parts = Decomposition(*(terms[f"{name}_{latent}"] for name in Decomposition._fields))
        return parts.weighted(*(weights[name] for name in ("tc_alpha", "tc_beta", "tc_gamma")))
