"""What sample validation does to the encoder's input and to the losses."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class SampleValidation(keras.layers.Layer):
    """The encoder's input without the samples that sample validation hides, times :func:`sample_weights`.

    Args:
        rate: fraction of hidden samples in a data set.
        skip_steps: bins at the start of which nothing is hidden.
    """

    def __init__(self, rate: float, skip_steps: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        _check_rate(rate)
        self.rate = rate
        self.skip_steps = skip_steps

    def call(self, x: Any, visible: Any) -> Any:
        return x * ops.cast(sample_weights(visible, self.rate, self.skip_steps), x.dtype)

    def compute_output_spec(self, x: Any, visible: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "skip_steps": self.skip_steps}


def sample_weights(visible: Any, rate: float, skip_steps: int = 0) -> Any:
    """What every sample of the input counts in sample validation: 0 if hidden, ``1 / (1 - rate)`` if visible, float32.

    It is 1 in the skipped bins, and throughout a trial of which nothing is hidden: at inference a model sees all of a
    trial as it is, with the sum that inputs have in training on average.

    Args:
        visible: (batch, time, channels), 0 or False where a sample is hidden: a batch's part of
            :class:`~indl.data.batches.sample_mask.SampleMask`.
        rate: fraction of hidden samples in the data set.
        skip_steps: bins at the start of which nothing is hidden.
    """
    _check_rate(rate)
    visible = ops.cast(visible, "bool")
    after = ops.arange(ops.shape(visible)[1])[None, :, None] >= skip_steps
    hidden = ops.logical_and(after, ops.logical_not(visible))
    scaled = ops.logical_and(after, ops.any(hidden, axis=(1, 2), keepdims=True))
    return ops.where(hidden, 0.0, ops.where(scaled, 1.0 / (1.0 - rate), 1.0))


def sample_validation_losses(loss: Any, visible: Any, rate: float, skip_steps: int = 0) -> tuple[Any, Any]:
    """Losses to train on, and those of the hidden samples to watch.

    Args:
        loss: per-element losses (batch, time, channels), with any axes in between.
        visible, rate, skip_steps: see :func:`sample_weights`.

    Returns:
        Losses of the same shape, times the weights of the input's samples; what the encoder never sees (held-out
        channels, later bins) is unchanged. And losses of the input's shape, divided by `rate` at hidden samples and
        zero elsewhere. Over draws of the mask the expectation of the first is `loss`, that of the second its part in
        the input's bins and channels, after the skipped bins.
    """
    weight = ops.cast(sample_weights(visible, rate, skip_steps), loss.dtype)
    time, channels = ops.shape(weight)[1:]
    beyond = ((0, 0), (0, ops.shape(loss)[-2] - time), (0, ops.shape(loss)[-1] - channels))
    hidden = ops.cast(weight == 0, loss.dtype) / rate
    return (
        loss * _with_axes(ops.pad(weight, beyond, constant_values=1.0), loss),
        loss[..., :time, :channels] * _with_axes(hidden, loss),
    )


def _with_axes(values: Any, loss: Any) -> Any:
    """`values` (batch, time, channels) with axes of size one where `loss` has others between batch and time."""
    for _ in range(len(loss.shape) - 3):
        values = values[:, None]
    return values


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(
            f"Sample validation hides a fraction of the samples. Given: a rate of {rate!r}. Use one between 0 and 1, "
            "such as 0.2, or leave sample validation out."
        )
