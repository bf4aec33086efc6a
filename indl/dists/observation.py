"""Observation models: the read-out layer that owns its width, and the likelihood value that it returns."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from indl.dists.head import inverse_softplus
from indl.registry import register


class PoissonObservation(NamedTuple):
    """Independent Poisson counts a bin.

    Attributes:
        log_rate: log of the expected count a bin, shape (batch[, S], time, channels).
    """

    log_rate: Any

    def mean(self) -> Any:
        """Rates: expected counts a bin."""
        return ops.exp(self.log_rate)

    def log_prob(self, counts: Any) -> Any:
        """Exact log-likelihood of every element in nats, ``n log r - r - log n!``."""
        counts = ops.convert_to_tensor(counts, dtype=self.log_rate.dtype)
        return counts * self.log_rate - ops.exp(self.log_rate) - tf.math.lgamma(counts + 1.0)

    def sample(self, seed: int | None = None) -> Any:
        """Counts drawn from eager rates; the same seed gives the same counts."""
        seed = keras.random.SeedGenerator(seed).next()
        return tf.random.stateless_poisson(ops.shape(self.log_rate), tf.cast(seed, tf.int32), self.mean())


class GaussianObservation(NamedTuple):
    """Independent Gaussian signals a bin.

    Attributes:
        loc: means, shape (batch[, S], time, channels).
        scale: standard deviations, same shape.
    """

    loc: Any
    scale: Any

    def mean(self) -> Any:
        """Expected signal a bin."""
        return self.loc

    def log_prob(self, signal: Any) -> Any:
        """Log density of every element in nats."""
        signal = ops.convert_to_tensor(signal, dtype=self.loc.dtype)
        residual = (signal - self.loc) / self.scale
        return -0.5 * ops.square(residual) - ops.log(self.scale) - 0.5 * math.log(2 * math.pi)

    def sample(self, seed: int | None = None) -> Any:
        """Signals drawn from eager parameters."""
        return self.loc + self.scale * keras.random.normal(ops.shape(self.loc), seed=seed)


OBSERVATIONS = {kind.__name__: kind for kind in (PoissonObservation, GaussianObservation)}


class Readout(keras.layers.Layer):
    """An affine map from factors to the parameters of an observation model of `n_channels` channels."""

    parameters_per_channel = 1

    def __init__(self, n_channels: int, init_bias: float | list[float] | None = None, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if isinstance(init_bias, list) and len(init_bias) != n_channels:
            raise ValueError(
                f"The read-out bias needs one value a channel. Given: {len(init_bias)} values for "
                f"{n_channels} channels. Compute it from the target counts."
            )
        self.n_channels = n_channels
        self.init_bias = init_bias

    def build(self, input_shape: Any) -> None:
        width = (input_shape[-1], self.parameters_per_channel * self.n_channels)
        self.kernel = self.add_weight(
            shape=width,
            name="kernel",
            initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
        )
        self.bias = self.add_weight(shape=(width[1],), initializer="zeros", name="bias")
        if self.init_bias is not None:
            self.set_bias(self.init_bias)

    def set_bias(self, bias: Any) -> None:
        """Sets the bias of the mean's parameters, one value or one a channel."""
        rest = ops.zeros((self.bias.shape[0] - self.n_channels,))
        self.bias.assign(ops.concatenate([ops.broadcast_to(ops.cast(bias, "float32"), (self.n_channels,)), rest]))

    def affine(self, factors: Any) -> Any:
        return ops.matmul(factors, self.kernel) + self.bias

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_channels": self.n_channels, "init_bias": self.init_bias}


@register
class PoissonReadout(Readout):
    """Factors (..., F) to a :class:`PoissonObservation` of `n_channels` channels.

    Args:
        n_channels: channels of the target.
        link: ``"exp"``: the affine map is the log rate; ``"softplus"``: its softplus is the rate.
        log_rate_clip: bound of |log rate|, beyond which the gradient is zero.
        init_bias: bias at the start, one value or one a channel. None: 0.
    """

    def __init__(self, n_channels: int, link: str = "exp", log_rate_clip: float = 10.0, **kwargs: Any):
        super().__init__(n_channels, **kwargs)
        self.link = link
        self.log_rate_clip = log_rate_clip

    def call(self, factors: Any) -> PoissonObservation:
        u = self.affine(factors)
        log_rate = u if self.link == "exp" else ops.log(ops.softplus(u) + 1e-7)
        return PoissonObservation(ops.clip(log_rate, -self.log_rate_clip, self.log_rate_clip))

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the rates `mean` (expected counts a bin)."""
        rate = ops.maximum(ops.cast(mean, "float32"), 1e-4)
        return ops.log(rate) if self.link == "exp" else rate + ops.log(-ops.expm1(-rate))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "link": self.link, "log_rate_clip": self.log_rate_clip}


@register
class GaussianReadout(Readout):
    """Factors (..., F) to a :class:`GaussianObservation` of `n_channels` channels.

    Args:
        n_channels: channels of the target.
        unit_scale: fix the standard deviation to 1; else it is read out too and starts at 1.
        init_bias: bias of the means at the start, one value or one a channel. None: 0.
    """

    def __init__(self, n_channels: int, unit_scale: bool = False, **kwargs: Any):
        super().__init__(n_channels, **kwargs)
        self.unit_scale = unit_scale
        self.parameters_per_channel = 1 if unit_scale else 2

    def call(self, factors: Any) -> GaussianObservation:
        u = self.affine(factors)
        if self.unit_scale:
            return GaussianObservation(u, ops.ones_like(u))
        loc, raw = u[..., : self.n_channels], u[..., self.n_channels :]
        return GaussianObservation(loc, ops.softplus(raw + inverse_softplus(1.0)) + 1e-4)

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the means `mean`."""
        return ops.cast(mean, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_scale": self.unit_scale}
