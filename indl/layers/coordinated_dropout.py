"""Coordinated dropout: the encoder may not see the sample that it is trained to reconstruct."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from indl.layers.masks import keep_mask
from indl.registry import register


@register
class CoordinatedDropout(keras.layers.Layer):
    """Hides a random part of the input and tells the loss which samples may train the reconstruction.

    In training every entry is kept with probability ``1 - rate`` and divided by it. The mask is True where
    the entry was hidden, or, with probability `pass_rate`, all the same. At rate 0 and at inference the input
    passes and the mask is all True (Keshtkaran & Pandarinath 2019, arXiv:1908.07896).

    Args:
        rate: fraction of hidden entries.
        pass_rate: fraction of entries whose reconstruction is trained although they were visible.
        skip_steps: bins at the start that are neither hidden nor masked (the initial segment that only
            the f-encoder sees).
        seed: integer seed of the layer's own stream.

    Returns:
        The network input, same shape as x, and the mask, bool, same shape.
    """

    def __init__(
        self, rate: float, pass_rate: float = 0.0, skip_steps: int = 0, seed: int | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        if not 0 <= rate < 1 or not 0 <= pass_rate <= 1:
            raise ValueError(
                "Coordinated dropout needs 0 <= rate < 1 and 0 <= pass_rate <= 1. "
                f"Given: rate={rate!r}, pass_rate={pass_rate!r}. LFADS uses rates of 0.1 to 0.5."
            )
        self.rate = rate
        self.pass_rate = pass_rate
        self.skip_steps = skip_steps
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool | None = None) -> tuple[Any, Any]:
        if not training or self.rate == 0:
            return x, ops.ones_like(x, dtype="bool")
        keep = keep_mask(ops.shape(x), self.rate, self.seed_generator)
        if not self.pass_rate:
            return self.apply_masks(x, keep, False)
        return self.apply_masks(x, keep, keep_mask(ops.shape(x), 1 - self.pass_rate, self.seed_generator))

    def apply_masks(self, x: Any, keep: Any, passed: Any) -> tuple[Any, Any]:
        """The layer's two outputs for given bool masks, of the shape of x."""
        if self.skip_steps:
            segment = ops.arange(ops.shape(x)[1])[None, :, None] < self.skip_steps
            hidden = ops.where(segment, x, _scaled(x, keep, self.rate))
            return hidden, ops.logical_or(segment, ops.logical_or(ops.logical_not(keep), passed))
        return _scaled(x, keep, self.rate), ops.logical_or(ops.logical_not(keep), passed)

    def compute_output_spec(self, x: Any, training: bool | None = None) -> tuple[Any, Any]:
        return keras.KerasTensor(x.shape, x.dtype), keras.KerasTensor(x.shape, "bool")

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("rate", "pass_rate", "skip_steps", "seed")}
        return {**super().get_config(), **config}


def block_gradient(loss: Any, mask: Any, rescale: float = 1.0, skip_steps: int = 0) -> Any:
    """Lets the gradient of per-element losses flow only where `mask` is True; the value is unchanged.

    Args:
        loss: per-element losses (batch, time, channels), with any axes in between.
        mask: bool (batch, input time, input channels), from :class:`CoordinatedDropout`. Channels and
            steps of the loss beyond it (held out from the encoder) always train.
        rescale: factor on the gradient of the masked part; 1 / (trained fraction) keeps its expectation.
        skip_steps: bins at the start that always train, and therefore take no factor.
    """
    weight = gradient_weight(loss, mask, rescale, skip_steps)
    return weight * loss + ops.stop_gradient((1.0 - weight) * loss)


def gradient_weight(loss: Any, mask: Any, rescale: float = 1.0, skip_steps: int = 0) -> Any:
    """The factor on the gradient of every element of a loss, see :func:`block_gradient`, with an axis for samples."""
    time, channels = ops.shape(loss)[-2] - ops.shape(mask)[1], ops.shape(loss)[-1] - ops.shape(mask)[2]
    # Skipped bins are dropped from the mask and padded like the bins beyond it.
    weight = ops.cast(mask[:, skip_steps:], loss.dtype) * rescale
    weight = ops.pad(weight, ((0, 0), (skip_steps, time), (0, channels)), constant_values=1.0)
    return weight[:, None] if len(loss.shape) == 4 else weight


def hidden_input(
    x: np.ndarray, hidden: np.ndarray, rate: float, skip_steps: int = 0, log1p: bool = False
) -> np.ndarray:
    """The input that makes a model see at inference what coordinated dropout would leave of `x` in training.

    Args:
        x: input (batch, time, channels).
        hidden: which entries are hidden, bool, none of them in the first `skip_steps` bins.
        rate: fraction of hidden entries.
        skip_steps: as in :class:`CoordinatedDropout`.
        log1p: whether the model takes the logarithm of its input first: dropout acts on that.
    """
    scaled = np.expm1(np.log1p(x) / (1 - rate)) if log1p else x / (1 - rate)
    scaled[:, :skip_steps] = x[:, :skip_steps]
    return np.where(hidden, 0, scaled).astype(x.dtype)


def _scaled(x: Any, keep: Any, rate: float) -> Any:
    return x * ops.cast(keep, x.dtype) / (1.0 - rate)
