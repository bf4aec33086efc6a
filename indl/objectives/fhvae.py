"""The segment bound of FHVAE: that of a sequential model whose f has a prior around the mean of its sequence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keras import ops

from indl.objectives.base import Context
from indl.objectives.elbo import Elbo
from indl.registry import register


@register
@dataclass(frozen=True)
class FHVAEBound(Elbo):
    """``loss = nll + beta_f kl_f + beta_z kl_z + mean_nll + disc_alpha index_nll + l2_weight penalty``, in nats.

    Hsu et al. 2017 (arXiv:1709.07902). Of trial n of sequence i, kl_f is KL(q(f | x_n) || p(f | mu_i)), ``mean_nll`` is
    -log p(mu_i) divided by the trials of the sequence, and ``index_nll`` is -log p(i | mean of q(f | x_n)), the
    discriminative term. ``neg_elbo`` is the sum of all but the last at weights of one. With ``reduction="mean"`` only
    the likelihood is a mean.

    Args:
        disc_alpha: weight of the discriminative term before any schedule.
    """

    disc_alpha: float = 10.0

    scores = {
        **Elbo.scores,
        "mean_nll": "-log p(mean of the sequence), nats/trial",
        "index_nll": "-log p(sequence | f), nats/trial",
    }

    @classmethod
    def of(cls, p: Mapping[str, Any], outputs: Collection[str]) -> Elbo:
        return replace(super().of(p, outputs), disc_alpha=p["f_disc_alpha"])

    @property
    def parts(self) -> tuple[str, ...]:
        return (*super().parts, "mean_nll", "index_nll")

    @property
    def weights(self) -> dict[str, float]:
        return {**super().weights, "disc_alpha": self.disc_alpha}

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        found = super().terms(outputs, target, context)
        found |= {"mean_nll": -outputs["log_p_mean"], "index_nll": -outputs["log_p_index"]}
        return {**found, "neg_elbo": found["neg_elbo"] + found["mean_nll"]}

    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        added = terms["mean_nll"] + weights["disc_alpha"] * terms["index_nll"]
        if trial_weight is not None:
            added = added * ops.cast(trial_weight, added.dtype)
        return super().combine(terms, weights, context, trial_weight) + added * context.scale
