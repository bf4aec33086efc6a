"""The modes in which a built model samples: posterior samples, given latents, given noise."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from keras import ops

_scope = threading.local()


class PosteriorSamples:
    """Makes every :class:`Sample` layer draw, with dropout off, after repeating its rows to fill `batch`.

    The encoders before a `Sample` layer run once a trial, the decoder after it once a sample.

    Args:
        batch: number of rows, a multiple of the number of trials; may be a tensor.
        seed: int32 scalar; the same seed gives the same draws.
        part: number of this part of a longer run under one seed; parts share no draws. May be a tensor.
        layers: names of the layers in a fixed order, so that the draws of each do not depend on which outputs are
            computed; others are numbered as they are called.
    """

    def __init__(self, batch: Any, seed: Any, part: Any = 0, layers: Sequence[str] = ()):
        self.batch = batch
        self.seed = tf.cast(seed, tf.int32)
        self.part = tf.cast(part, tf.int32)
        self.layers = list(layers)

    def fill(self, x: Any) -> Any:
        return repeated(x, self.batch)

    def drive(self, name: str, shape: Any, dtype: Any) -> tuple[Any, Any]:
        """Noise for the layer `name`, and no given value."""
        # Each layer of a pass has a number, so one seed gives each its own stream.
        if name not in self.layers:
            self.layers.append(name)
        stream = 64 * self.part + self.layers.index(name)
        seed = tf.stack([self.seed, stream])
        # What XLA would choose by itself takes as long as the pass.
        return tf.random.stateless_normal(shape, seed, dtype=dtype, alg="philox"), None


class GivenLatents:
    """Makes the :class:`Sample` layers return given values instead, the key being the layer's name; else the mean."""

    def __init__(self, values: dict[str, Any]):
        self.values = values

    def fill(self, x: Any) -> Any:
        return x

    def drive(self, name: str, shape: Any, dtype: Any) -> tuple[Any, Any]:
        """No noise, and the given value for the layer `name`, or None."""
        return None, self.values.get(name)


class GivenNoise:
    """Makes every layer that draws use the given standard normal noise, the key being the layer's name.

    For comparing with another implementation on the same numbers. A layer without noise passes its mean.
    """

    def __init__(self, noise: dict[str, Any]):
        self.noise = noise

    def fill(self, x: Any) -> Any:
        return x

    def drive(self, name: str, shape: Any, dtype: Any) -> tuple[Any, Any]:
        """The noise for the layer `name`, or None, and no given value."""
        noise = self.noise.get(name)
        return None if noise is None else ops.convert_to_tensor(noise, dtype), None


Mode = PosteriorSamples | GivenLatents | GivenNoise


@contextlib.contextmanager
def sampling(mode: Mode) -> Iterator[None]:
    """Runs every :class:`Sample` layer called (or traced) within the block in the given mode."""
    previous, _scope.mode = current_sampling(), mode
    try:
        yield
    finally:
        _scope.mode = previous


def current_sampling() -> Mode | None:
    """The mode of the enclosing :func:`sampling` block, if any."""
    return getattr(_scope, "mode", None)


def repeated(x: Any, rows: Any) -> Any:
    """`x` with each row repeated as often as it takes to have `rows` of them; `x` itself where it has as many or more.

    The copies of a row stand together, so that the samples of a trial do.
    """
    times = rows // ops.shape(x)[0]
    if isinstance(times, int):
        return ops.repeat(x, times, axis=0) if times > 1 else x
    return ops.repeat(x, ops.maximum(times, 1), axis=0)


def rows_like(x: Any, like: Any) -> Any:
    """`x` with as many rows as `like`, which a :class:`Sample` layer may have repeated; without a mode `x` itself."""
    return x if current_sampling() is None else repeated(x, ops.shape(like)[0])
