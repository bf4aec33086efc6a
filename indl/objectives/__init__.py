"""Objectives: what training minimises, as values without a model inside."""

from collections.abc import Collection, Mapping
from typing import Any

from indl.objectives.base import Context, Objective
from indl.objectives.beta_tcvae import BetaTCVAE
from indl.objectives.capacity import Capacity
from indl.objectives.dip import DIPVAE
from indl.objectives.elbo import Elbo
from indl.objectives.factor import FactorVAE
from indl.objectives.fhvae import FHVAEBound
from indl.objectives.many_samples import ManySamples
from indl.objectives.pi_vae_bound import PiVAEBound
from indl.params.objectives import MANY_SAMPLES

__all__ = [
    "BetaTCVAE",
    "Capacity",
    "Context",
    "DIPVAE",
    "Elbo",
    "FHVAEBound",
    "FactorVAE",
    "ManySamples",
    "Objective",
    "PiVAEBound",
    "SEQUENCE_OBJECTIVES",
    "objective_of",
]

#: The objectives of the sequential models by the value of the parameter `objective`.
SEQUENCE_OBJECTIVES: dict[str, type[Elbo]] = {
    "elbo": Elbo,
    "beta_tcvae": BetaTCVAE,
    "factor_vae": FactorVAE,
    "dip_vae_i": DIPVAE,
    "dip_vae_ii": DIPVAE,
    "capacity": Capacity,
    **dict.fromkeys(MANY_SAMPLES, ManySamples),
}


def objective_of(p: Mapping[str, Any], outputs: Collection[str]) -> Elbo:
    """What complete params of a sequential model ask for, for one with these outputs.

    Raises:
        ValueError: an objective that estimates the posterior of all trials, and no `n_data`.
    """
    kind = FHVAEBound if "log_p_index" in outputs else SEQUENCE_OBJECTIVES[p["objective"]]
    return kind.of(p, outputs)
