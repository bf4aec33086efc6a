"""Re-parameterised sampling as a layer, and the modes in which a built model samples."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.registry import register

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
        return ops.repeat(x, self.batch // ops.shape(x)[0], axis=0)

    def sample(self, layer: Sample, loc: Any, scale: Any) -> Any:
        # Each layer of a pass has a number, so one seed gives each its own stream.
        if layer.name not in self.layers:
            self.layers.append(layer.name)
        stream = 64 * self.part + self.layers.index(layer.name)
        loc, scale = layer.expand(self.fill(loc)), layer.expand(self.fill(scale))
        noise = tf.random.stateless_normal(ops.shape(loc), seed=tf.stack([self.seed, stream]), dtype=loc.dtype)
        return reparameterize(loc, scale, noise)


class GivenLatents:
    """Makes the :class:`Sample` layers return given values instead, the key being the layer's name; else the mean."""

    def __init__(self, values: dict[str, Any]):
        self.values = values

    def fill(self, x: Any) -> Any:
        return x

    def sample(self, layer: Sample, loc: Any, scale: Any) -> Any:
        value = layer.expand(self.values[layer.name]) if layer.name in self.values else layer.expand(loc)
        if len(value.shape) < len(loc.shape):
            # The posterior has a samples axis of its own: one given value stands for all of them.
            value = ops.repeat(value[:, None], loc.shape[1], axis=1)
        return value


@contextlib.contextmanager
def sampling(mode: PosteriorSamples | GivenLatents) -> Iterator[None]:
    """Runs every :class:`Sample` layer called (or traced) within the block in the given mode."""
    previous, _scope.mode = current_sampling(), mode
    try:
        yield
    finally:
        _scope.mode = previous


def current_sampling() -> PosteriorSamples | GivenLatents | None:
    """The mode of the enclosing :func:`sampling` block, if any."""
    return getattr(_scope, "mode", None)


def reparameterize(loc: Any, scale: Any, noise: Any) -> Any:
    """``loc + scale * noise``; `scale` may be a Cholesky factor with one more axis."""
    if len(scale.shape) == len(loc.shape) + 1:
        return loc + ops.matmul(scale, noise[..., None])[..., 0]
    return loc + scale * noise


@register
class Sample(keras.layers.Layer):
    """Draws from a Gaussian in training and passes its mean on at inference.

    Args:
        n: number of draws on a new axis after the batch; None: one draw without a new axis.
        at_test: draw at inference too.
        seed: integer seed of the layer's own stream.
    """

    def __init__(self, n: int | None = None, at_test: bool = False, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if n is not None and n < 1:
            raise ValueError(
                f"The number of posterior samples must be at least 1. Given: {n!r}. Use None for one draw."
            )
        self.n = n
        self.at_test = at_test
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def expand(self, x: Any) -> Any:
        """`n` copies of every row on a new axis, where the layer makes one."""
        return x if self.n is None else ops.repeat(ops.expand_dims(x, 1), self.n, axis=1)

    def call(self, loc: Any, scale: Any, training: bool | None = None) -> Any:
        mode = current_sampling()
        if mode is not None:
            return mode.sample(self, loc, scale)
        loc, scale = self.expand(loc), self.expand(scale)
        if training or self.at_test:
            noise = keras.random.normal(ops.shape(loc), dtype=loc.dtype, seed=self.seed_generator)
            return reparameterize(loc, scale, noise)
        return ops.convert_to_tensor(loc)

    def compute_output_spec(self, loc: Any, scale: Any, training: bool | None = None) -> Any:
        shape = loc.shape if self.n is None else (loc.shape[0], self.n, *loc.shape[1:])
        # The tensor carries the layer's name, by which a model finds the layer of its latent.
        return keras.KerasTensor(shape, loc.dtype, name=self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n, "at_test": self.at_test, "seed": self.seed}
