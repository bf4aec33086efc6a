"""Re-parameterised sampling as a layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register
from indl.sampling.draws import normal, reparameterize
from indl.sampling.modes import GivenLatents, current_sampling


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
            if training and self.draws:
                # What else a layer draws, such as its dropout, is what it is where the latent is drawn.
                self.seed_generator.next()
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
            # One given value stands for all samples, be their axis made here or the posterior's own.
            return given if len(given.shape) == len(loc.shape) else ops.repeat(given[:, None], loc.shape[1], axis=1)
        return ops.convert_to_tensor(loc) if noise is None else reparameterize(loc, scale, noise)

    def compute_output_spec(self, loc: Any, scale: Any, training: bool | None = None) -> Any:
        shape = loc.shape if self.n is None else (loc.shape[0], self.n, *loc.shape[1:])
        return keras.KerasTensor(shape, loc.dtype, name=self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
