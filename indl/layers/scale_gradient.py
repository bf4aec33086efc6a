"""A factor on the gradient alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class ScaleGradient(keras.layers.Layer):
    """Passes a tensor on as it is, and its gradient back times a factor.

    Args:
        factor: the factor.
    """

    def __init__(self, factor: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        still = ops.stop_gradient(x)
        # Exactly x, whatever the factor: the difference is 0.
        return still + self.factor * (x - still)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}
