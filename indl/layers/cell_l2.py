"""The L2 penalty of LFADS on recurrent kernels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class CellL2(keras.regularizers.Regularizer):
    """``0.5 scale sum(U^2) / total``: a penalty per weight, which does not grow with the model (lfads-torch).

    Args:
        scale: weight of this cell.
        total: number of entries of the recurrent kernels of all cells whose scale is positive.
    """

    def __init__(self, scale: float, total: int):
        self.scale = scale
        self.total = total

    def __call__(self, kernel: Any) -> Any:
        return 0.5 * self.scale * ops.sum(ops.square(kernel)) / (self.total + 1e-8)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale, "total": self.total}
