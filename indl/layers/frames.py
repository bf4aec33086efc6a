"""Convolutions over the frames of a film, which stands as one vector a bin in everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from indl.registry import register

_KERNEL, _STRIDE = 4, 2


class _FrameLayer(keras.layers.Layer):
    """What both directions share: the sizes, and the fold of all axes before the frame into one."""

    def __init__(self, frame_shape: Sequence[int], filters: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.frame_shape = tuple(frame_shape)
        self.filters = list(filters)

    @property
    def smallest(self) -> tuple[int, int, int]:
        """Height, width and maps where the frame is smallest."""
        height, width, _ = self.frame_shape
        shrink = _STRIDE ** len(self.filters)
        return height // shrink, width // shrink, self.filters[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frame_shape": list(self.frame_shape), "filters": self.filters}


@register
class FrameEncoder(_FrameLayer):
    """Frames to features: (..., H * W * C) to (..., features), every frame by itself.

    A convolution of 4 x 4 pixels and stride 2 for each entry of `filters`, with leaky ReLU, and a dense layer with
    leaky ReLU on all that is left.

    Args:
        frame_shape: height, width, colours; height and width can be halved once for each entry of `filters`.
        filters: maps of each convolution.
        features: width of the output.
    """

    def __init__(self, frame_shape: Sequence[int], filters: Sequence[int], features: int, **kwargs: Any):
        super().__init__(frame_shape, filters, **kwargs)
        self.features = features
        how = {"strides": _STRIDE, "padding": "same", "activation": "leaky_relu", "dtype": self.dtype_policy}
        self.convolutions = [
            keras.layers.Conv2D(n, _KERNEL, name=f"convolution_{i}", **how) for i, n in enumerate(self.filters)
        ]
        self.dense = keras.layers.Dense(features, activation="leaky_relu", name="dense", dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        maps = self.frame_shape[-1]
        for convolution, n in zip(self.convolutions, self.filters, strict=True):
            convolution.build((None, None, None, maps))
            maps = n
        self.dense.build((None, math.prod(self.smallest)))

    def call(self, x: Any) -> Any:
        y = ops.reshape(x, (-1, *self.frame_shape))
        for convolution in self.convolutions:
            y = convolution(y)
        y = self.dense(ops.reshape(y, (-1, math.prod(self.smallest))))
        return ops.reshape(y, (*ops.shape(x)[:-1], self.features))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((*x.shape[:-1], self.features), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "features": self.features}


@register
class FrameDecoder(_FrameLayer):
    """Features to maps of the size of a frame: (..., features) to (..., H * W, filters[0]), every frame by itself.

    The way back of :class:`FrameEncoder`: a dense layer to the smallest maps, then transposed convolutions of 4 x 4
    pixels and stride 2 to the numbers of maps in `filters`, the last one first, all with leaky ReLU.

    Args:
        frame_shape: height, width, colours; the colours are left to a read-out of each pixel.
        filters: maps of each convolution of the encoder.
    """

    def __init__(self, frame_shape: Sequence[int], filters: Sequence[int], **kwargs: Any):
        super().__init__(frame_shape, filters, **kwargs)
        how = {"activation": "leaky_relu", "dtype": self.dtype_policy}
        self.dense = keras.layers.Dense(math.prod(self.smallest), name="dense", **how)
        self.convolutions = [
            keras.layers.Conv2DTranspose(n, _KERNEL, _STRIDE, "same", name=f"convolution_{i}", **how)
            for i, n in enumerate(self._maps())
        ]

    def _maps(self) -> list[int]:
        """Maps after each convolution: as before the one that it undoes, and of the first, as after it."""
        return [*self.filters[-2::-1], self.filters[0]]

    def build(self, input_shape: Any) -> None:
        self.dense.build((None, input_shape[-1]))
        maps = self.filters[-1]
        for convolution, n in zip(self.convolutions, self._maps(), strict=True):
            convolution.build((None, None, None, maps))
            maps = n

    def call(self, x: Any) -> Any:
        y = ops.reshape(self.dense(x), (-1, *self.smallest))
        for convolution in self.convolutions:
            y = convolution(y)
        height, width, _ = self.frame_shape
        return ops.reshape(y, (*ops.shape(x)[:-1], height * width, self.filters[0]))

    def compute_output_spec(self, x: Any) -> Any:
        height, width, _ = self.frame_shape
        return keras.KerasTensor((*x.shape[:-1], height * width, self.filters[0]), self.compute_dtype)
