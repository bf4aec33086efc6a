"""Labels as features beside a sequence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class AppendLabels(keras.layers.Layer):
    """Appends labels to every step of a sequence: classes as one-hot vectors, vectors as they are.

    Args:
        u_dim: number of classes, or length of the vectors.
        discrete: whether labels are classes.
        per_step: whether each step has a label of its own, of which the sequence takes the first ones, or each trial.
    """

    def __init__(self, u_dim: int, discrete: bool, per_step: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.u_dim = u_dim
        self.discrete = discrete
        self.per_step = per_step

    def call(self, sequence: Any, u: Any) -> Any:
        """(batch, time, D + u_dim) from (batch, time, D) and labels ``(batch[, at least time][, u_dim])``."""
        shape = ops.shape(sequence)
        u = u[:, : shape[1]] if self.per_step else u
        features = ops.one_hot(u, self.u_dim, dtype=sequence.dtype) if self.discrete else ops.cast(u, sequence.dtype)
        if not self.per_step:
            features = ops.broadcast_to(features[:, None], (shape[0], shape[1], self.u_dim))
        return ops.concatenate([sequence, features], axis=-1)

    def compute_output_spec(self, sequence: Any, u: Any) -> Any:
        return keras.KerasTensor((*sequence.shape[:-1], sequence.shape[-1] + self.u_dim), sequence.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "u_dim": self.u_dim, "discrete": self.discrete, "per_step": self.per_step}
