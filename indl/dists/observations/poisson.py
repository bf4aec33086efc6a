"""Poisson counts."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from indl.dists.observations.base import Readout
from indl.registry import register


class PoissonObservation(NamedTuple):
    """Independent Poisson counts a bin.

    Attributes:
        log_rate: log of the expected count a bin, shape (batch[, S], time, channels).
    """

    log_rate: Any

    support = "counts"

    def mean(self) -> Any:
        """Rates: expected counts a bin."""
        return ops.exp(self.log_rate)

    def log_prob(self, counts: Any, log_factorial: str = "exact") -> Any:
        """Log-likelihood of every element in nats, ``n log r - r - log n!``.

        Args:
            counts: whole numbers, shape of the rates.
            log_factorial: ``"exact"``; or ``"stirling"``: ``n log n - n + log(2 pi n) / 2`` for n > 1 and 0 below, as
                in LFADS. The two differ by a constant of the data, so gradients are the same.

        Raises:
            ValueError: `log_factorial` is neither.
        """
        if log_factorial not in ("exact", "stirling"):
            raise ValueError(
                f"The constant of the likelihood is not known. Given: log_factorial={log_factorial!r}. "
                "Use 'exact' or 'stirling'."
            )
        counts = ops.convert_to_tensor(counts, dtype=self.log_rate.dtype)
        constant = _log_factorial(counts, log_factorial == "exact")
        return counts * self.log_rate - ops.exp(self.log_rate) - constant

    def sample(self, seed: int | None = None) -> Any:
        """Counts drawn from eager rates; the same seed gives the same counts.

        Raises:
            ValueError: a rate is not finite.
        """
        rates, seed = self.mean(), keras.random.SeedGenerator(seed).next()
        # TensorFlow's sampler never comes back from a NaN.
        if broken := int(ops.sum(~ops.isfinite(rates))):
            raise ValueError(
                f"Counts are drawn from finite rates. Given: {broken} rates that are NaN or infinite. Look at the "
                "weights and the latents: training has diverged, or a latent that was passed is not finite."
            )
        return tf.random.stateless_poisson(ops.shape(rates), tf.cast(seed, tf.int32), rates)


def negative_bits_per_spike(p_x: PoissonObservation, counts: Any) -> Any:
    """A loss of every element whose mean is minus the bits per spike of `p_x` over constant rates.

    It is the gain in log-likelihood over each channel's mean count of this batch, in bits, divided by the mean count
    of all elements, with the sign of a loss. A batch without a spike counts as one of 1e-8 spikes a bin.

    Args:
        p_x: rates, shape (..., channels).
        counts: whole numbers, same shape.
    """
    counts = ops.convert_to_tensor(counts, dtype=p_x.log_rate.dtype)
    channel_mean = ops.mean(counts, axis=tuple(range(len(counts.shape) - 1)), keepdims=True)
    null = PoissonObservation(ops.log(channel_mean + 1e-8) + ops.zeros_like(counts))
    gain = p_x.log_prob(counts) - null.log_prob(counts)
    return -gain / (math.log(2) * ops.maximum(ops.mean(counts), 1e-8))


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

    def observe(self, u: Any) -> PoissonObservation:
        (u,) = self.blocks(u)
        log_rate = u if self.link == "exp" else ops.log(ops.softplus(u) + 1e-7)
        return PoissonObservation(ops.clip(log_rate, -self.log_rate_clip, self.log_rate_clip))

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the rates `mean` (expected counts a bin)."""
        rate = ops.maximum(ops.cast(mean, "float32"), 1e-4)
        return ops.log(rate) if self.link == "exp" else rate + ops.log(-ops.expm1(-rate))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "link": self.link, "log_rate_clip": self.log_rate_clip}


def _log_factorial(counts: Any, exact: bool) -> Any:
    """log n! where n > 1, else 0, which is exact for 0 and 1; or Stirling's approximation of it.

    Stirling's series to n^-7 is exact in float32 from n = 2 on and a fraction of the cost of a log-gamma.
    """
    # Where n is below, the result is not used, but it shall be no NaN.
    n = ops.maximum(counts, 2.0)
    found = n * ops.log(n) - n + 0.5 * ops.log(2 * math.pi * n)
    if exact:
        square = 1 / (n * n)
        found += (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / n
    return ops.where(counts > 1, found, ops.zeros_like(counts))
