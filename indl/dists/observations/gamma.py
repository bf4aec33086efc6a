"""Gamma signals: positive, with a spread that grows with the mean."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl.dists.observations.base import Readout
from indl.registry import register

#: The smallest value whose logarithm is taken: a target of zero has a finite likelihood, and so a finite gradient.
TINY = float(np.finfo("float32").tiny)


class GammaObservation(NamedTuple):
    """Independent Gamma signals a bin, which are positive.

    Attributes:
        log_shape: log of the shape a, shape (batch[, S], time, channels).
        log_rate: log of the rate b, an inverse scale and no event rate, same shape.
    """

    log_shape: Any
    log_rate: Any

    support = "positive"

    def mean(self) -> Any:
        """Expected signal a bin, ``a / b``."""
        return ops.exp(self.log_shape - self.log_rate)

    def log_prob(self, signal: Any) -> Any:
        """Log density of every element in nats; a signal below :data:`TINY` counts as that."""
        signal = ops.convert_to_tensor(signal, dtype=self.log_shape.dtype)
        return gamma_log_density(ops.exp(self.log_shape), self.log_rate, signal)

    def sample(self, seed: int | None = None) -> Any:
        """Signals drawn from eager parameters, at least :data:`TINY`."""
        drawn = keras.random.gamma(ops.shape(self.log_shape), ops.exp(self.log_shape), seed=seed)
        return ops.maximum(drawn * ops.exp(-self.log_rate), TINY)


@register
class GammaReadout(Readout):
    """Factors (..., F) to a :class:`GammaObservation` of `n_channels` channels.

    The first block is the log of the shape, the second the log of the rate. Near zero the density of a shape below 1
    is unbounded, so targets that contain zeros belong to the zero-inflated model.

    Args:
        n_channels: channels of the target.
        log_clip: bound of both logarithms, beyond which the gradient is zero; at most 40.
        init_bias: bias of the log shape at the start, one value or one a channel. None: 0.

    Raises:
        ValueError: `log_clip` lets the mean overflow.
    """

    parameters_per_channel = 2

    def __init__(self, n_channels: int, log_clip: float = 10.0, **kwargs: Any):
        super().__init__(n_channels, **kwargs)
        if log_clip > 40:
            raise ValueError(
                f"The mean of a Gamma overflows where shape and rate are far apart. Given: log_clip={log_clip}. "
                "Use 40 or less (the parameter log_rate_clip)."
            )
        self.log_clip = log_clip

    def observe(self, u: Any) -> GammaObservation:
        return GammaObservation(*(ops.clip(block, -self.log_clip, self.log_clip) for block in self.blocks(u)))

    def bias_for(self, mean: Any) -> Any:
        """The bias, both blocks, at which zero factors give exponential signals (a = 1) of the means `mean`."""
        log_mean = ops.log(ops.maximum(ops.cast(mean, "float32"), 1e-4))
        return ops.concatenate([ops.zeros_like(log_mean), -log_mean], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "log_clip": self.log_clip}


def gamma_log_density(shape: Any, log_rate: Any, value: Any) -> Any:
    """``a log b + (a - 1) log y - b y - log Gamma(a)`` of positive values."""
    log_value = ops.log(ops.maximum(value, TINY))
    return shape * log_rate + (shape - 1) * log_value - ops.exp(log_rate) * value - tf.math.lgamma(shape)
