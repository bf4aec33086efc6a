"""Binary bins: a spike or none, a pixel on or off."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from indl.dists.observations.base import Readout
from indl.registry import register


class BernoulliObservation(NamedTuple):
    """Independent binary values a bin.

    Attributes:
        logit: log odds of a one, shape (batch[, S], time, channels).
    """

    logit: Any

    support = "binary"

    def mean(self) -> Any:
        """Probability of a one in a bin."""
        return ops.sigmoid(self.logit)

    def log_prob(self, values: Any) -> Any:
        """Log-likelihood of every element in nats; of a value between 0 and 1, the mean over ones and zeros in its
        proportion."""
        values = ops.convert_to_tensor(values, dtype=self.logit.dtype)
        return values * self.logit - ops.softplus(self.logit)

    def sample(self, seed: int | None = None) -> Any:
        """Zeros and ones drawn from eager parameters."""
        uniform = keras.random.uniform(ops.shape(self.logit), seed=seed)
        return ops.cast(uniform < self.mean(), self.logit.dtype)


@register
class BernoulliReadout(Readout):
    """Factors (..., F) to a :class:`BernoulliObservation` of `n_channels` channels.

    Args:
        n_channels: channels of the target.
        init_bias: bias of the log odds at the start, one value or one a channel. None: 0.
    """

    def observe(self, u: Any) -> BernoulliObservation:
        return BernoulliObservation(*self.blocks(u))

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the probabilities `mean`."""
        p = ops.clip(ops.cast(mean, "float32"), 1e-4, 1 - 1e-4)
        return ops.log(p) - ops.log1p(-p)
