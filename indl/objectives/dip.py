"""The bound with a pull of a latent's covariance over all trials towards the identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.dists.gaussian import as_gaussian
from indl.objectives.elbo import Elbo
from indl.registry import register


@register
@dataclass(frozen=True)
class DIPVAE(Elbo):
    """The bound with penalties on the covariance C of f over the trials (Kumar et al. 2018, arXiv:1711.00848).

    ``loss + dip_off_diagonal sum_{i != j} C_ij^2 + dip_diagonal sum_i (C_ii - 1)^2``; the two sums are logged as
    ``covariance_f`` and ``variance_f``. C is that of a batch, which should hold at least four times as many trials as
    f has dimensions.

    Args:
        kind: ``"i"``: C is the covariance of the posterior means; ``"ii"``: the mean posterior variance is added.
        dip_off_diagonal, dip_diagonal: the weights before any schedule.
    """

    kind: str = "i"
    dip_off_diagonal: float = 10.0
    dip_diagonal: float = 100.0

    couples_trials = True

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        kind, off, on = p["objective"].removeprefix("dip_vae_"), p["dip_off_diagonal"], p["dip_diagonal"]
        usual = 10 * off if kind == "i" else off
        return {"kind": kind, "dip_off_diagonal": off, "dip_diagonal": usual if on is None else on}

    @property
    def parts(self) -> tuple[str, ...]:
        return (*super().parts, "covariance_f", "variance_f")

    @property
    def weights(self) -> dict[str, float]:
        own = {"dip_off_diagonal": self.dip_off_diagonal, "dip_diagonal": self.dip_diagonal}
        return {**super().weights, **own}

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Any) -> dict[str, Any]:
        q = as_gaussian(outputs["q_f"])
        beside, diagonal = identity_distance(covariance(q.loc, q.scale if self.kind == "ii" else None))
        return {**super().terms(outputs, target, context), "covariance_f": beside, "variance_f": diagonal}

    def shared(self, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        return weights["dip_off_diagonal"] * terms["covariance_f"] + weights["dip_diagonal"] * terms["variance_f"]


def covariance(loc: Any, scale: Any = None) -> Any:
    """The covariance over a batch of posterior means, or of the latents themselves, divided by the trials: (D, D).

    Args:
        loc: means (batch, D).
        scale: standard deviations (batch, D), whose mean squares are added to the diagonal; None: of the means alone.
    """
    centred = loc - ops.mean(loc, axis=0)
    found = ops.matmul(ops.transpose(centred), centred) / ops.cast(ops.shape(loc)[0], loc.dtype)
    return found if scale is None else found + ops.diag(ops.mean(ops.square(scale), axis=0))


def identity_distance(matrix: Any) -> tuple[Any, Any]:
    """The squares of what a matrix (D, D) has beside its diagonal, and of its diagonal less 1, each added up."""
    diagonal = ops.diagonal(matrix)
    return ops.sum(ops.square(matrix - ops.diag(diagonal))), ops.sum(ops.square(diagonal - 1.0))
