"""Dense layers in a row, with a linear one at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from indl.registry import register


@register
class MLP(keras.layers.Layer):
    """Maps (..., in) to (..., `size`).

    Args:
        size: outputs.
        hidden: units of each hidden layer; none: one linear map.
        activation: activation of the hidden layers, a Keras name or callable.
    """

    def __init__(self, size: int, hidden: Sequence[int] = (), activation: Any = "relu", **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.hidden = list(hidden)
        self.activation = keras.activations.get(activation)
        functions = [self.activation] * len(self.hidden) + [None]
        self.dense = [
            keras.layers.Dense(units, activation=function, dtype=self.dtype_policy, name=f"dense_{i}")
            for i, (units, function) in enumerate(zip([*self.hidden, size], functions, strict=True))
        ]

    def build(self, input_shape: Any) -> None:
        for layer in self.dense:
            layer.build(input_shape)
            input_shape = (*input_shape[:-1], layer.units)

    def call(self, x: Any) -> Any:
        for layer in self.dense:
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "size": self.size, "hidden": self.hidden, "activation": activation}
