"""One step of several losses, each with its own optimizer and variables."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from indl.blackbox.base import tensors
from indl.blackbox.losses import Loss


def update(data: Any, *pairs: tuple[Loss, Any], penalty: Any = None) -> list[Any]:
    """Computes the gradient of every loss, and then lets every optimizer step.

    All gradients are taken at the same variables, so that wake-theta and wake-phi, say, are one step.

    Args:
        data: what the losses take.
        pairs: a loss and a Keras optimizer for its ``trainable_variables``. An optimizer may stand in one pair only.
        penalty: a function without arguments whose value is added to the first loss.

    Returns:
        The value of every loss.

    Raises:
        ValueError: one optimizer for two losses, or a loss without any variable.
    """
    optimizers = [optimizer for _, optimizer in pairs]
    if len({id(optimizer) for optimizer in optimizers}) < len(optimizers):
        raise ValueError(
            f"Every loss has an optimizer of its own. Given: {len(optimizers)} losses with the same one. Make another."
        )
    found = []
    for i, (loss, _) in enumerate(pairs):
        with tf.GradientTape() as tape:
            value = loss(data)
            total = value + penalty() if penalty is not None and i == 0 else value
        # Layers have variables once they have been called.
        variables = loss.trainable_variables
        if not variables:
            raise ValueError(
                f"The loss has nothing to train. Given: {type(loss).__name__} of parts without trainable variables. "
                "Keep layers and variables as attributes of the networks, or override their trainable_variables."
            )
        gradients = tape.gradient(total, tensors(variables), unconnected_gradients="zero")
        found.append((value, gradients, variables))
    for (_, gradients, variables), optimizer in zip(found, optimizers, strict=True):
        optimizer.apply(gradients, variables)
    return [value for value, _, _ in found]
