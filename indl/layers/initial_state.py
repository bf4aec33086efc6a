"""Initial states of a generator."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class TrainableState(keras.layers.Layer):
    """A trainable vector of `units`, starting at zero, given to every row of the sequence it is called on."""

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.state = self.add_weight(shape=(self.units,), initializer="zeros", name="state")

    def call(self, sequence: Any) -> Any:
        return ops.broadcast_to(self.state, (ops.shape(sequence)[0], self.units))

    def compute_output_spec(self, sequence: Any) -> Any:
        return keras.KerasTensor((sequence.shape[0], self.units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
