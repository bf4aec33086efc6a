"""Dense layers in a row, with a linear one at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from indl.layers.activations import activation as named
from indl.registry import register


class Networked(keras.layers.Layer):
    """A layer with one MLP, or that is one: the settings of its hidden layers.

    Args:
        hidden: units of each hidden layer; none: one linear map.
        activation: activation of the hidden layers, a Keras name or callable.
    """

    def __init__(self, hidden: Sequence[int] = (), activation: Any = "relu", **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.hidden = list(hidden)
        self.activation = keras.activations.get(named(activation))

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "hidden": self.hidden, "activation": activation}


@register
class MLP(Networked):
    """Maps (..., in) to (..., `size`).

    Args:
        size: outputs.
        hidden, activation: see :class:`Networked`.
    """

    def __init__(self, size: int, hidden: Sequence[int] = (), activation: Any = "relu", **kwargs: Any):
        super().__init__(hidden, activation, **kwargs)
        self.size = size
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
        return {**super().get_config(), "size": self.size}
