"""Prior densities of parameters as penalties of a loss."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
from keras import ops

from indl.text import shown


class NormalRegularizer:
    """``-weight * sum log N(transform(parameter); mean, std)``.

    Args:
        mean, std: of the normal density.
        weight: factor.
        transform: function of the parameter; None: itself.

    Raises:
        ValueError: `std` is not above 0.
    """

    def __init__(self, mean: float, std: float, weight: float = 1.0, transform: Any = None):
        if not std > 0:
            raise ValueError(
                f"A standard deviation is above 0. Given: std={shown(std)}. Pass the width of the density."
            )
        self.mean = mean
        self.std = std
        self.weight = weight
        self.transform = transform

    def __call__(self, parameter: Any) -> Any:
        value = _transformed(parameter, self.transform)
        density = -0.5 * ops.square((value - self.mean) / self.std) - math.log(self.std * math.sqrt(2 * math.pi))
        return -self.weight * ops.sum(density)


class BetaRegularizer:
    """``-weight * sum log Beta(transform(parameter))`` of a density with given mean and standard deviation.

    Args:
        mean, std: of the density, with std^2 < mean (1 - mean).
        weight: factor.
        transform: function of the parameter into (0, 1); None: itself.

    Raises:
        ValueError: no Beta density has this mean and standard deviation.
    """

    def __init__(self, mean: float, std: float, weight: float = 1.0, transform: Any = None):
        if not (0 < mean < 1 and 0 < std**2 < mean * (1 - mean)):
            raise ValueError(
                f"A Beta density has a mean in (0, 1), and std^2 < mean (1 - mean). Given: mean={shown(mean)}, "
                f"std={shown(std)}. Lower std, or use NormalRegularizer."
            )
        self.a = mean * (mean * (1 - mean) / std**2 - 1)
        self.b = self.a * (1 - mean) / mean
        self.weight = weight
        self.transform = transform

    def __call__(self, parameter: Any) -> Any:
        value = _transformed(parameter, self.transform)
        constant = math.lgamma(self.a + self.b) - math.lgamma(self.a) - math.lgamma(self.b)
        density = constant + (self.a - 1) * ops.log(value) + (self.b - 1) * ops.log1p(-value)
        return -self.weight * ops.sum(density)


def _transformed(parameter: Any, transform: Any) -> Any:
    value = tf.convert_to_tensor(parameter)
    return value if transform is None else transform(value)
