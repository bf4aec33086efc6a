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

    A variable takes its step in one operation, TensorFlow's own; Keras's thirty would be half of the graph of a small
    model's training step.
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
        apply = super().apply

        def take_step() -> Any:
            step, betas = ops.cast(self.iterations + 1, "float32"), tf.constant([self.beta_1, self.beta_2])
            # Made once for all variables, and of this graph alone.
            self._shared = (*tf.unstack(betas**step), *tf.unstack(betas), tf.constant(self.epsilon))
            try:
                return apply(grads, trainable_variables)
            finally:
                self._shared = None

        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return take_step()
        return ops.cond(ops.all(finite), take_step, lambda: None)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Kingma & Ba 2015, algorithm 1, with the step size of its section 2, as in Keras."""
        # What the one operation cannot do.
        sparse, other = isinstance(gradient, tf.IndexedSlices), variable.dtype != "float32"
        if self.amsgrad or tf.distribute.has_strategy() or sparse or other:
            super().update_step(gradient, variable, learning_rate)
            return
        i = self._get_variable_index(variable)
        beta1_power, beta2_power, beta1, beta2, epsilon = self._shared
        tf.raw_ops.ResourceApplyAdam(
            var=(variable if isinstance(variable, tf.Variable) else variable.value).handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            beta1_power=beta1_power,
            beta2_power=beta2_power,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            lr=ops.cast(learning_rate, "float32"),
            grad=ops.cast(gradient, "float32"),
        )
