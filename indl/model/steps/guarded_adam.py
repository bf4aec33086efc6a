"""The optimizer that takes no step where a gradient is not finite."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.registry import register


@register
class GuardedAdam(keras.optimizers.Adam):
    """Adam that takes no step where a gradient is not finite: weights, moments and step count stay as they were.

    Its variable `finite` tells, for each trained variable, whether the norm of the last gradient was finite; where
    only the norm of all together overflows, which clipping would turn into NaN, it is 0 for all of them. Under a
    strategy of several replicas every step is taken, and `finite` alone tells.
    """

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            self.finite = self.add_variable((len(variables),), initializer="ones", name="finite")

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        if not self.built and trainable_variables is not None:
            self.build(trainable_variables)
        grads = list(grads)
        # A variable that the loss does not reach has no gradient.
        squares = ops.stack([ops.zeros(()) if part is None else ops.sum(ops.square(part)) for part in grads])
        finite = ops.isfinite(squares) & (ops.any(~ops.isfinite(squares)) | ops.isfinite(ops.sum(squares)))
        self.finite.assign(ops.cast(finite, self.finite.dtype))
        # Keras's own.apply needs the name of the super-class within the branch.
        take_step = super().apply
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return take_step(grads, trainable_variables)
        return ops.cond(ops.all(finite), lambda: take_step(grads, trainable_variables), lambda: None)
