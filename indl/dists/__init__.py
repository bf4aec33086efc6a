"""Gaussian values, learnable priors and observation models."""

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.observation import GaussianObservation, GaussianReadout, PoissonObservation, PoissonReadout
from indl.dists.priors import AR1Prior, GaussianPrior, RecurrentPrior

__all__ = [
    "AR1Prior",
    "Gaussian",
    "GaussianHead",
    "GaussianObservation",
    "GaussianPrior",
    "GaussianReadout",
    "PoissonObservation",
    "PoissonReadout",
    "RecurrentPrior",
]
