"""Kinds of latents: what their parameters are, how they are drawn, and how probable they are."""

from __future__ import annotations

import abc
import math
from typing import Any

import keras
from keras import ops

from indl.dists.gaussian import Gaussian as GaussianValue
from indl.sampling.draws import reparameterize
from indl.text import shown


class Latent(abc.ABC):
    """A vector of latents.

    Args:
        size: number of variables.

    Attributes:
        size: number of variables.
        n_params: numbers that a network gives for them.
        shape: shape of a draw.
        reparameterized: whether gradients pass through draws.
    """

    reparameterized = False

    def __init__(self, size: int):
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"Latents are one variable at least. Given: size={shown(size)}. Pass a whole number.")
        self.size = size
        self.n_params = size
        self.shape: tuple[int, ...] = (size,)

    @abc.abstractmethod
    def sample(self, params: Any, seed: Any) -> Any:
        """Draws (..., *shape) of parameters (..., n_params)."""

    @abc.abstractmethod
    def log_prob(self, params: Any, z: Any) -> Any:
        """Log probability in nats, (...), of draws (..., *shape)."""


class Bernoulli(Latent):
    """Independent variables of 0 or 1; parameters are log odds."""

    def sample(self, params: Any, seed: Any) -> Any:
        uniform = keras.random.uniform(ops.shape(params), dtype=params.dtype, seed=seed)
        return ops.cast(uniform < ops.sigmoid(params), params.dtype)

    def log_prob(self, params: Any, z: Any) -> Any:
        return ops.sum(z * params - ops.softplus(params), axis=-1)


class Categorical(Latent):
    """Independent variables of several classes, as one-hot rows; parameters are logits.

    Args:
        size: number of variables.
        n_classes: classes of each.
    """

    def __init__(self, size: int, n_classes: int):
        super().__init__(size)
        if not isinstance(n_classes, int) or n_classes < 2:
            raise ValueError(f"A class is one of two at least. Given: n_classes={shown(n_classes)}. Pass 2 or more.")
        self.n_classes = n_classes
        self.n_params = size * n_classes
        self.shape = (size, n_classes)

    def _logits(self, params: Any) -> Any:
        return ops.reshape(params, (*ops.shape(params)[:-1], *self.shape))

    def sample(self, params: Any, seed: Any) -> Any:
        logits = self._logits(params)
        rows = ops.reshape(logits, (-1, self.n_classes))
        drawn = keras.random.categorical(rows, 1, seed=seed)[:, 0]
        return ops.reshape(ops.one_hot(drawn, self.n_classes, dtype=params.dtype), ops.shape(logits))

    def log_prob(self, params: Any, z: Any) -> Any:
        return ops.sum(z * ops.log_softmax(self._logits(params), axis=-1), axis=(-2, -1))


class Gaussian(Latent):
    """Independent normal variables, re-parametrised; parameters are means and logarithms of standard deviations."""

    reparameterized = True

    def __init__(self, size: int):
        super().__init__(size)
        self.n_params = 2 * size

    def _value(self, params: Any) -> GaussianValue:
        loc, log_scale = ops.split(params, 2, axis=-1)
        return GaussianValue(loc, ops.exp(log_scale))

    def sample(self, params: Any, seed: Any) -> Any:
        q = self._value(params)
        return reparameterize(q.loc, q.scale, keras.random.normal(ops.shape(q.loc), dtype=q.loc.dtype, seed=seed))

    def log_prob(self, params: Any, z: Any) -> Any:
        return self._value(params).log_prob(z)


class Autoregressive(Latent):
    """Variables of 0 or 1, each of which depends on those before it: log odds = parameter + sum_j<i w_ij z_j.

    A fully visible sigmoid belief network, whose weights `w` are trained with the part that it belongs to.

    Args:
        size: number of variables.
        dtype: of the weights.
    """

    def __init__(self, size: int, dtype: str = "float32"):
        super().__init__(size)
        start = keras.random.normal((size, size), stddev=0.1 / math.sqrt(size), dtype=dtype, seed=0)
        self.w = keras.Variable(start, dtype=dtype, name="autoregression")

    @property
    def trainable_variables(self) -> list[Any]:
        """The weights."""
        return [self.w]

    def _before(self, z: Any) -> Any:
        return ops.matmul(z, ops.transpose(ops.tril(self.w.value, -1)))

    def sample(self, params: Any, seed: Any) -> Any:
        uniform = keras.random.uniform(ops.shape(params), dtype=params.dtype, seed=seed)
        z = ops.zeros_like(params)
        for _ in range(self.size):
            # Variable i is settled once those before it are.
            z = ops.cast(uniform < ops.sigmoid(params + self._before(z)), params.dtype)
        return z

    def log_prob(self, params: Any, z: Any) -> Any:
        logits = params + self._before(z)
        return ops.sum(z * logits - ops.softplus(logits), axis=-1)
