"""Layers that move, lengthen or make a time axis."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register
from indl.sampling.modes import rows_like


@register
class ShiftTime(keras.layers.Layer):
    """Moves a sequence (batch, time, D) by `steps` bins, later if positive; zeros fill the end left free."""

    def __init__(self, steps: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, x: Any) -> Any:
        size = abs(self.steps)
        if self.steps >= 0:
            return ops.pad(x, ((0, 0), (size, 0), (0, 0)))[:, : ops.shape(x)[1]]
        return ops.pad(x, ((0, 0), (0, size), (0, 0)))[:, size:]

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps}


@register
class PadTime(keras.layers.Layer):
    """Appends `after` and prepends `before` zero bins to a sequence (batch, time, D)."""

    def __init__(self, before: int = 0, after: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.before = before
        self.after = after

    def call(self, x: Any) -> Any:
        return ops.pad(x, ((0, 0), (self.before, self.after), (0, 0)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "before": self.before, "after": self.after}


@register
class EmptySequence(keras.layers.Layer):
    """A sequence without features, (rows of `static`, steps, 0): the input of an autonomous generator.

    Args:
        steps: number of bins; None: those of the sequence given to the call, plus `extra`.
        extra: bins added to those of the given sequence.
    """

    def __init__(self, steps: int | None = None, extra: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.steps = steps
        self.extra = extra

    def call(self, static: Any, sequence: Any = None) -> Any:
        steps = self.steps if sequence is None else ops.shape(sequence)[1] + self.extra
        return ops.zeros((ops.shape(static)[0], steps, 0), dtype=static.dtype)

    def compute_output_spec(self, static: Any, sequence: Any = None) -> Any:
        steps = self.steps if sequence is None else sequence.shape[1]
        steps = steps + self.extra if sequence is not None and steps is not None else steps
        return keras.KerasTensor((static.shape[0], steps, 0), static.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "steps": self.steps, "extra": self.extra}


@register
class FirstBins(keras.layers.Layer):
    """The first bins of (batch, time, ...), as many as another sequence has, in rows repeated like its own."""

    def call(self, x: Any, sequence: Any) -> Any:
        return rows_like(x, sequence)[:, : ops.shape(sequence)[1]]

    def compute_output_spec(self, x: Any, sequence: Any) -> Any:
        return keras.KerasTensor((x.shape[0], sequence.shape[1], *x.shape[2:]), x.dtype)


@register
class CountBins(keras.layers.Layer):
    """The number of bins of a sequence (batch, time, ...) plus `extra`, an integer scalar."""

    def __init__(self, extra: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.extra = extra

    def call(self, x: Any) -> Any:
        return ops.convert_to_tensor(ops.shape(x)[1] + self.extra, "int32")

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((), "int32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "extra": self.extra}
