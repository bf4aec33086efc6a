"""Layers for the axis of posterior samples, and for the static latent beside a sequence.

Tensors carry the samples on axis 1, (batch, S, ...). Recurrent layers know no such axis, so it is folded into
the batch before them and restored after.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register
from indl.sampling.modes import current_sampling, rows_like


@register
class FoldSamples(keras.layers.Layer):
    """(batch, S, ...) to (batch * S, ...)."""

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        return ops.reshape(x, (shape[0] * shape[1], *shape[2:]))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, *x.shape[2:]), x.dtype)


@register
class UnfoldSamples(keras.layers.Layer):
    """(batch * n, ...) to (batch, n, ...)."""

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = n

    def call(self, x: Any) -> Any:
        shape = ops.shape(x)
        return ops.reshape(x, (shape[0] // self.n, self.n, *shape[1:]))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, self.n, *x.shape[1:]), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


@register
class RepeatSamples(keras.layers.Layer):
    """(batch, ...) to (batch * n, ...): every row `n` times, as :class:`FoldSamples` orders them."""

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = n

    def call(self, x: Any) -> Any:
        mode = current_sampling()
        return ops.repeat(x if mode is None else mode.fill(x), self.n, axis=0)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, *x.shape[1:]), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


@register
class AppendStatic(keras.layers.Layer):
    """Appends a static vector (batch, F) to every step of a sequence (batch, time, D): (batch, time, D + F)."""

    def call(self, sequence: Any, static: Any) -> Any:
        # Either may come from a Sample layer; an encoder's input, or a mean, has its own rows.
        sequence, static = rows_like(sequence, static), rows_like(static, sequence)
        shape = ops.shape(sequence)
        tiled = ops.broadcast_to(static[:, None, :], (shape[0], shape[1], static.shape[-1]))
        return ops.concatenate([sequence, ops.cast(tiled, sequence.dtype)], axis=-1)

    def compute_output_spec(self, sequence: Any, static: Any) -> Any:
        return keras.KerasTensor((*sequence.shape[:-1], sequence.shape[-1] + static.shape[-1]), sequence.dtype)


def fold(x: Any) -> Any:
    """Folds the samples axis of a Keras tensor of rank 3 (static) or 4 (sequence)."""
    return FoldSamples()(x)


def unfold(x: Any, n: int | None) -> Any:
    """Restores `n` samples; None: there was no samples axis."""
    return x if n is None else UnfoldSamples(n)(x)
