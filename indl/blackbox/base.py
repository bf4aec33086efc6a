"""What an inference network and a generative model are to a loss: distributions that remember their last call.

Data and latents are lists of arrays whose inner shapes are their authors' business; log densities are (batch, samples),
summed over all else.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import tensorflow as tf


def tensors(variables: Iterable[Any]) -> list[Any]:
    """Keras' and TensorFlow's variables as what a ``GradientTape`` knows."""
    return [variable.value if isinstance(variable, keras.Variable) else variable for variable in variables]


class _Distribution:
    @property
    def trainable_variables(self) -> list[Any]:
        """Variables of all layers and variables among its attributes, and in lists and dicts there."""
        return list({id(v): v for v in _variables(vars(self).values(), set())}.values())


class InferenceNetwork(_Distribution, abc.ABC):
    """q(z | x).

    Attributes:
        reparameterized: whether gradients pass from samples to the parameters of q.
    """

    reparameterized: bool = False

    @abc.abstractmethod
    def __call__(self, data: Any) -> InferenceNetwork:
        """The part "given x": keeps the parameters of q as attributes with a trailing underscore; returns itself."""

    @abc.abstractmethod
    def sample(self) -> Any:
        """Latents z ~ q(z | x), K samples a datum."""

    @abc.abstractmethod
    def log_prob(self, latents: Any) -> Any:
        """log q(z | x) in nats, (batch, K)."""


class GenerativeModel(_Distribution, abc.ABC):
    """p(x, z)."""

    @abc.abstractmethod
    def __call__(self, data: Any, latents: Any) -> GenerativeModel:
        """Keeps the parameters of p(x, z) as attributes with a trailing underscore; returns itself."""

    @abc.abstractmethod
    def sample(self) -> Any:
        """A dream: data and latents (x, z) ~ p(x, z), as `data` and `latents` are elsewhere."""

    @abc.abstractmethod
    def log_prob(self, data: Any, latents: Any) -> Any:
        """The joint log p(x, z) in nats, (batch, K)."""


def _variables(values: Iterable[Any], seen: set[int]) -> Iterable[Any]:
    for value in values:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, keras.Variable | tf.Variable):
            if value.trainable:
                yield value
        elif hasattr(value, "trainable_variables"):
            yield from value.trainable_variables
        elif isinstance(value, Mapping):
            yield from _variables(value.values(), seen)
        elif isinstance(value, list | tuple | set):
            yield from _variables(value, seen)
