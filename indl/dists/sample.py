"""Re-parameterised sampling as a layer, and the modes in which a built model samples."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.layers.draws import normal
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


def reparameterize(loc: Any, scale: Any, noise: Any) -> Any:
    """``loc + scale * noise``; `scale` may be a Cholesky factor with one more axis."""
    if len(scale.shape) == len(loc.shape) + 1:
        return loc + ops.matmul(scale, noise[..., None])[..., 0]
    return loc + scale * noise


class Sampler(keras.layers.Layer):
    """A layer that draws a latent in training and passes its mean on at inference.

    The tensor of the latent carries the layer's name, by which a model finds the layer of its latent.

    Args:
        at_test: draw at inference too.
        draws: False: the mean, always (an auto-encoder without sampling).
        seed: integer seed of the layer's own stream.
    """

    def __init__(self, at_test: bool = False, draws: bool = True, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.at_test = at_test
        self.draws = draws
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def drive(self, shape: Any, dtype: Any, training: bool | None) -> tuple[Any, Any]:
        """Standard normal noise of `shape`, or None for the mean; and the given value that replaces the latent."""
        mode = current_sampling()
        if mode is not None and (self.draws or isinstance(mode, GivenLatents)):
            return mode.drive(self.name, shape, dtype)
        if self.draws and (training or self.at_test):
            return normal(shape, dtype, self.seed_generator), None
        return None, None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "at_test": self.at_test, "draws": self.draws, "seed": self.seed}


@register
class Sample(Sampler):
    """Draws from a Gaussian in training and passes its mean on at inference.

    Args:
        n: number of draws on a new axis after the batch; None: one draw without a new axis.
        at_test, draws, seed: see :class:`Sampler`.
    """

    def __init__(self, n: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if n is not None and n < 1:
            raise ValueError(
                f"The number of posterior samples must be at least 1. Given: {n!r}. Use None for one draw."
            )
        self.n = n

    def expand(self, x: Any) -> Any:
        """`n` copies of every row on a new axis, where the layer makes one."""
        return x if self.n is None else ops.repeat(ops.expand_dims(x, 1), self.n, axis=1)

    def call(self, loc: Any, scale: Any, training: bool | None = None) -> Any:
        mode = current_sampling()
        if mode is not None:
            loc, scale = mode.fill(loc), mode.fill(scale)
        loc, scale = self.expand(loc), self.expand(scale)
        noise, given = self.drive(ops.shape(loc), loc.dtype, training)
        if given is not None:
            given = self.expand(given)
            # The posterior may have a samples axis of its own: one given value stands for all of them.
            return given if len(given.shape) == len(loc.shape) else ops.repeat(given[:, None], loc.shape[1], axis=1)
        return ops.convert_to_tensor(loc) if noise is None else reparameterize(loc, scale, noise)

    def compute_output_spec(self, loc: Any, scale: Any, training: bool | None = None) -> Any:
        shape = loc.shape if self.n is None else (loc.shape[0], self.n, *loc.shape[1:])
        return keras.KerasTensor(shape, loc.dtype, name=self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
