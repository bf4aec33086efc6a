"""Observation models: the read-out layer that owns its width, and the likelihood value that it returns."""

from indl.dists.observations.base import Readout
from indl.dists.observations.bernoulli import BernoulliObservation, BernoulliReadout
from indl.dists.observations.gamma import GammaObservation, GammaReadout
from indl.dists.observations.gaussian import GaussianObservation, GaussianReadout
from indl.dists.observations.poisson import PoissonObservation, PoissonReadout, negative_bits_per_spike
from indl.dists.observations.squared_error import SquaredErrorObservation, SquaredErrorReadout
from indl.dists.observations.zero_inflated_gamma import ZeroInflatedGammaObservation, ZeroInflatedGammaReadout

#: The value types by name, as a saved model names its own.
OBSERVATIONS = {
    kind.__name__: kind
    for kind in (
        PoissonObservation,
        BernoulliObservation,
        GaussianObservation,
        SquaredErrorObservation,
        GammaObservation,
        ZeroInflatedGammaObservation,
    )
}

__all__ = [
    "OBSERVATIONS",
    "BernoulliObservation",
    "BernoulliReadout",
    "GammaObservation",
    "GammaReadout",
    "GaussianObservation",
    "GaussianReadout",
    "PoissonObservation",
    "PoissonReadout",
    "Readout",
    "SquaredErrorObservation",
    "SquaredErrorReadout",
    "ZeroInflatedGammaObservation",
    "ZeroInflatedGammaReadout",
    "negative_bits_per_spike",
]
