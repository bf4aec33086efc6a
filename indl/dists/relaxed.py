"""Continuous relaxations of discrete variables, and one-hot values that gradients pass straight through.

Maddison et al. 2017 (arXiv:1611.00712) and Jang et al. 2017 (arXiv:1611.01144). For a true bound prior *and* posterior
are relaxed and compared by these densities; the KL of the discrete variables beside relaxed samples bounds nothing.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
from keras import ops

from indl.text import shown


def _check_temperature(temperature: float) -> None:
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(
            f"A relaxation needs a temperature above 0. Given: {shown(temperature)}. Published are 2/3 for a posterior "
            "and 1/2 for a prior."
        )


def straight_through(soft: Any) -> Any:
    """The one-hot value of the largest entry of the last axis, with the gradient of `soft`."""
    hard = ops.one_hot(ops.argmax(soft, axis=-1), soft.shape[-1], dtype=soft.dtype)
    return soft + ops.stop_gradient(hard - soft)


class Concrete(NamedTuple):
    """A point of the simplex near one of its n corners, (..., n).

    Attributes:
        logits: unnormalised log probabilities of the corners, (..., n).
        temperature: near 0 the corners alone are left.
    """

    logits: Any
    temperature: Any

    def sample(self, seed: Any = None, noise: Any = None) -> Any:
        """The *logarithm* of a point, which keeps what is near a face; its exponential is the point.

        Args:
            seed: integer or ``SeedGenerator``.
            noise: uniform on (0, 1), (..., n), instead of new draws.
        """
        _check_temperature(self.temperature)
        uniform = _uniform(self.logits, seed, noise)
        scores = (self.logits - ops.log(-ops.log(uniform))) / self.temperature
        return ops.log_softmax(scores, axis=-1)

    def log_prob(self, log_point: Any, simplex: bool = False) -> Any:
        """Log density of a point given by its logarithm, (...,).

        Args:
            log_point: see :meth:`sample`.
            simplex: the density of the point itself; False, of its logarithm, in which bounds are computed.
        """
        _check_temperature(self.temperature)
        n = self.logits.shape[-1]
        scores = self.logits - self.temperature * log_point
        constant = math.lgamma(n) + (n - 1) * ops.log(ops.convert_to_tensor(self.temperature, scores.dtype))
        density = constant + ops.sum(scores, axis=-1) - n * ops.logsumexp(scores, axis=-1)
        return density - ops.sum(log_point, axis=-1) if simplex else density


class BinaryConcrete(NamedTuple):
    """Numbers between 0 and 1 near its ends, each by itself.

    Attributes:
        logits: log odds of 1, (...).
        temperature: near 0 the ends alone are left.
    """

    logits: Any
    temperature: Any

    def sample(self, seed: Any = None, noise: Any = None) -> Any:
        """The log odds of a number; its ``sigmoid`` is the number.

        Args:
            seed: integer or ``SeedGenerator``.
            noise: uniform on (0, 1), (...), instead of new draws.
        """
        _check_temperature(self.temperature)
        uniform = _uniform(self.logits, seed, noise)
        return (self.logits + ops.log(uniform) - ops.log1p(-uniform)) / self.temperature

    def log_prob(self, log_odds: Any, unit: bool = False) -> Any:
        """Log density of each number given by its log odds, (...).

        Args:
            log_odds: see :meth:`sample`.
            unit: the density of the number itself; False: of its log odds.
        """
        _check_temperature(self.temperature)
        score = self.logits - self.temperature * log_odds
        constant = ops.log(ops.convert_to_tensor(self.temperature, score.dtype))
        density = constant + score - 2 * ops.softplus(score)
        # The slope of the sigmoid: y (1 - y).
        return density + ops.softplus(log_odds) + ops.softplus(-log_odds) if unit else density


def _uniform(like: Any, seed: Any, given: Any) -> Any:
    if given is not None:
        return ops.convert_to_tensor(given)
    like = ops.convert_to_tensor(like)
    # Of float32 the least that differs from 0, and the most from 1.
    return keras.random.uniform(ops.shape(like), 1e-7, 1 - 1e-7, dtype=like.dtype, seed=seed)
