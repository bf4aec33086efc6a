"""Gaussian signals."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from indl.dists.observations.base import Readout
from indl.layers.scale_link import inverse_softplus
from indl.registry import register

#: Bound of |log variance|: standard deviations from 3e-7 to 3e6, whose squared residuals stay finite in float32.
LOG_VARIANCE_BOUND = 30.0


class GaussianObservation(NamedTuple):
    """Independent Gaussian signals a bin.

    Attributes:
        loc: means, shape (batch[, S], time, channels).
        scale: standard deviations, same shape.
    """

    loc: Any
    scale: Any

    support = "real"

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


@register
class GaussianReadout(Readout):
    """Factors (..., F) to a :class:`GaussianObservation` of `n_channels` channels.

    Args:
        n_channels: channels of the target.
        unit_scale: fix the standard deviation to `std`; else it is read out too and starts at 1.
        scale_link: ``"softplus"``: the second block makes the standard deviation; ``"log_variance"``: it is the log of
            the variance, as in LFADS, bounded to plus or minus :data:`LOG_VARIANCE_BOUND`, where the gradient ends.
        std: the standard deviation that is fixed.
        init_bias: bias of the means at the start, one value or one a channel. None: 0.

    Raises:
        ValueError: `scale_link` is neither.
    """

    def __init__(
        self, n_channels: int, unit_scale: bool = False, scale_link: str = "softplus", std: float = 1.0, **kwargs: Any
    ):
        super().__init__(n_channels, **kwargs)
        if scale_link not in ("softplus", "log_variance"):
            raise ValueError(
                f"The link of the scale is not known. Given: scale_link={scale_link!r}. "
                "Use 'softplus' or 'log_variance'."
            )
        self.unit_scale = unit_scale
        self.scale_link = scale_link
        self.std = std
        self.parameters_per_channel = 1 if unit_scale else 2

    def observe(self, u: Any) -> GaussianObservation:
        loc, *raw = self.blocks(u)
        if not raw:
            return GaussianObservation(loc, ops.full_like(loc, self.std))
        if self.scale_link == "softplus":
            return GaussianObservation(loc, ops.softplus(raw[0] + inverse_softplus(1.0)) + 1e-4)
        return GaussianObservation(loc, ops.exp(ops.clip(raw[0], -LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND) / 2))

    def bias_for(self, mean: Any) -> Any:
        """The bias at which zero factors give the means `mean`."""
        return ops.cast(mean, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_scale": self.unit_scale, "scale_link": self.scale_link, "std": self.std}
