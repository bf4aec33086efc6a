"""Squared error, for signals whose spread is of no interest."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from indl.dists.observations.base import Readout
from indl.registry import register


class SquaredErrorObservation(NamedTuple):
    """Signals a bin that are judged by their squared distance from a prediction.

    `log_prob` is not normalised: it is the log density of a Gaussian with variance 1/2 plus ``log(pi) / 2``, so sums of
    it compare models of this kind with each other and with nothing else.

    Attributes:
        loc: predictions, shape (batch[, S], time, channels).
    """

    loc: Any

    support = "real"

    def mean(self) -> Any:
        """Predicted signal a bin."""
        return self.loc

    def log_prob(self, signal: Any) -> Any:
        """Minus the squared error of every element; no log density."""
        return -ops.square(ops.convert_to_tensor(signal, dtype=self.loc.dtype) - self.loc)

    def sample(self, seed: int | None = None) -> Any:
        """Signals drawn from the Gaussian of variance 1/2 that `log_prob` is proportional to."""
        return self.loc + math.sqrt(0.5) * keras.random.normal(ops.shape(self.loc), seed=seed)


@register
class SquaredErrorReadout(Readout):
    """Factors (..., F) to a :class:`SquaredErrorObservation` of `n_channels` channels.

    Args:
        n_channels: channels of the target.
        init_bias: bias at the start, one value or one a channel. None: 0.
    """

    def observe(self, u: Any) -> SquaredErrorObservation:
        return SquaredErrorObservation(*self.blocks(u))

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the predictions `mean`."""
        return ops.cast(mean, "float32")
