"""From a decoder's output to the parameters of pi-VAE's observation models."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class ClampedSoftplus(keras.layers.Layer):
    """Expected counts: ``clip(softplus(x), low, high)``."""

    def __init__(self, low: float = 1e-7, high: float = 1e7, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def call(self, x: Any) -> Any:
        return ops.clip(ops.softplus(x), self.low, self.high)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "low": self.low, "high": self.high}


@register
class NoiseVariance(keras.layers.Layer):
    """One free log variance a channel, whatever the input, repeated for every row of it. It starts at 0."""

    def __init__(self, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        self.log_variance = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="log_variance")

    def call(self, x: Any) -> Any:
        return ops.broadcast_to(self.log_variance, ops.shape(x))
