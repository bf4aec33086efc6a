"""Missing samples (NaN), and trials that end before the others."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class FillMissing(keras.layers.Layer):
    """Zeros where the input is NaN: an encoder sees a missing sample as no spike."""

    def call(self, x: Any) -> Any:
        return ops.where(ops.isnan(x), ops.zeros_like(x), x)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


@register
class TimeMask(keras.layers.Layer):
    """Which bins of (batch, time, channels) belong to each trial: bool (batch, time + extra).

    The bins after the last one with a recorded channel are the padding of a shorter trial. A bin without any
    recorded channel before that is a gap: it belongs to the trial.

    Args:
        extra: bins appended to the mask, each with the value of the last one (forward prediction).
    """

    def __init__(self, extra: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.extra = extra

    def call(self, x: Any) -> Any:
        recorded = ops.any(ops.logical_not(ops.isnan(x)), axis=-1)
        # From the end: a bin belongs to the trial if any bin from it on was recorded.
        mask = ops.flip(ops.cumsum(ops.flip(ops.cast(recorded, "int32"), axis=1), axis=1), axis=1) > 0
        return ops.concatenate([mask, ops.repeat(mask[:, -1:], self.extra, axis=1)], axis=1) if self.extra else mask

    def compute_output_spec(self, x: Any) -> Any:
        time = None if x.shape[1] is None else x.shape[1] + self.extra
        return keras.KerasTensor((x.shape[0], time), "bool")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "extra": self.extra}


@register
class LastBin(keras.layers.Layer):
    """The last bin of each trial: (batch, time, D) and its mask (batch, time) to (batch, D)."""

    def call(self, x: Any, mask: Any) -> Any:
        last = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
        return ops.take_along_axis(x, last[:, None, None], axis=1)[:, 0]

    def compute_output_spec(self, x: Any, mask: Any) -> Any:
        return keras.KerasTensor((x.shape[0], x.shape[2]), x.dtype)
