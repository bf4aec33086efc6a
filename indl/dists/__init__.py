"""Gaussian values, learnable priors and observation models."""

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.observations import (
    BernoulliObservation,
    BernoulliReadout,
    GammaObservation,
    GammaReadout,
    GaussianObservation,
    GaussianReadout,
    PoissonObservation,
    PoissonReadout,
    SquaredErrorObservation,
    SquaredErrorReadout,
    ZeroInflatedGammaObservation,
    ZeroInflatedGammaReadout,
    negative_bits_per_spike,
)
from indl.dists.priors import (
    AffinePrior,
    AR1Prior,
    GatedPrior,
    GaussianPrior,
    LabelPrior,
    Prior,
    RecurrentPrior,
    SequencePrior,
    StudentTPrior,
    TablePrior,
)

__all__ = [
    "AR1Prior",
    "BernoulliObservation",
    "BernoulliReadout",
    "GammaObservation",
    "GammaReadout",
    "AffinePrior",
    "GatedPrior",
    "Gaussian",
    "GaussianHead",
    "GaussianObservation",
    "GaussianPrior",
    "GaussianReadout",
    "LabelPrior",
    "PoissonObservation",
    "PoissonReadout",
    "Prior",
    "RecurrentPrior",
    "SequencePrior",
    "SquaredErrorObservation",
    "SquaredErrorReadout",
    "StudentTPrior",
    "TablePrior",
    "ZeroInflatedGammaObservation",
    "ZeroInflatedGammaReadout",
    "negative_bits_per_spike",
]
