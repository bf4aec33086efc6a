"""Weights of several sessions in one variable, of which each trial takes those of its own session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from indl.registry import register


def of_trials(weights: Any, session: Any) -> Any:
    """``weights[session]``: (n_sessions, ...) and integers (batch,) to (batch, ...), with a dense gradient.

    Nothing of another session enters, neither in the values nor in the gradient, which is zero there.
    """
    # Through the reshape the gradient is dense; that of a gather alone would be a list of rows.
    rows = ops.take(ops.reshape(weights, (weights.shape[0], -1)), ops.cast(session, "int32"), axis=0)
    return ops.reshape(rows, (-1, *weights.shape[1:]))


def each_session(make: Callable[[], Any]) -> Callable[..., Any]:
    """An initializer of (n_sessions, ...) that starts every session as `make` starts a layer of its own."""

    def start(shape: Any, dtype: Any = None) -> Any:
        # One initializer would repeat its draws.
        return ops.stack([make()(shape[1:], dtype=dtype) for _ in range(shape[0])])

    return start


@register
class SessionReadIn(keras.layers.Layer):
    """A dense map for each session: (batch, time, channels) and the session of each trial to (batch, time, units).

    Sessions of fewer channels than the input have zeros behind their own, and what lies behind has no gradient.

    Args:
        units: width F of the output.
        n_sessions: number of sessions. Kernels are (n_sessions, channels, F), biases (n_sessions, F).
    """

    def __init__(self, units: int, n_sessions: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.n_sessions = n_sessions

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(
            shape=(self.n_sessions, input_shape[-1], self.units),
            initializer=each_session(keras.initializers.GlorotUniform),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.n_sessions, self.units), initializer="zeros", name="bias")

    def call(self, x: Any, session: Any) -> Any:
        return ops.matmul(x, of_trials(self.kernel, session)) + of_trials(self.bias, session)[:, None]

    def compute_output_spec(self, x: Any, session: Any) -> Any:
        return keras.KerasTensor((*x.shape[:-1], self.units), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "n_sessions": self.n_sessions}
