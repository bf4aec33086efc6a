"""The bound with the KL held at a number of nats that grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras import ops

from indl.objectives.elbo import Elbo
from indl.params.objectives import latents_of
from indl.registry import register


@register
@dataclass(frozen=True)
class Capacity(Elbo):
    """The bound with ``capacity_gamma |KL - capacity|`` for the KL of some latents (Burgess et al. 2018).

    arXiv:1804.03599, eq. 8. The KL is the mean over a batch, added up over the latents; ``beta_f`` and ``beta_z`` have
    no part in it. :func:`~indl.training.fit.train` raises the capacity from 0 step by step.

    Args:
        capacity_gamma: the weight.
        capacity: nats a trial, where no schedule moves them.
        capacity_on: the latents.
    """

    capacity_gamma: float = 1000.0
    capacity: float = 25.0
    capacity_on: tuple[str, ...] = ("f",)

    couples_trials = True

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        latents = latents_of(p["capacity_on"])
        return {"capacity_gamma": p["capacity_gamma"], "capacity": p["capacity_max"], "capacity_on": latents}

    @property
    def weights(self) -> dict[str, float]:
        return {**super().weights, "capacity_gamma": self.capacity_gamma, "capacity": self.capacity}

    @property
    def weighted(self) -> tuple[str, ...]:
        return tuple(latent for latent in "fz" if latent not in self.capacity_on)

    def shared(self, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        kl = sum(self.paid(latent, terms, weights) for latent in self.capacity_on)
        return weights["capacity_gamma"] * excess(kl, weights["capacity"])


def excess(kl: Any, capacity: Any) -> Any:
    """The distance of the mean of `kl` (batch,) from a capacity, in nats."""
    return ops.abs(ops.mean(kl) - capacity)
