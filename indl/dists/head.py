"""The affine map from an encoder's output to the parameters of a Gaussian posterior."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.registry import register

SCALE_FLOOR = 1e-5


def inverse_softplus(value: float) -> float:
    """x with softplus(x) = value."""
    return value + math.log(-math.expm1(-value))


@register
class GaussianHead(keras.layers.Layer):
    """Maps features (..., E) to a :class:`Gaussian` of size `size`, whose scale starts near `init_std`.

    Args:
        size: size D of the latent.
        init_std: standard deviation where the raw scale is zero.
        full: full covariance: `scale` is a Cholesky factor, with softplus on its diagonal alone, so that
            correlations of both signs can be expressed and start at zero.
    """

    def __init__(self, size: int, init_std: float = 0.1, full: bool = False, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.init_std = init_std
        self.full = full
        n_scale = size * (size + 1) // 2 if full else size
        self.loc = keras.layers.Dense(size, name="loc", dtype=self.dtype_policy)
        self.raw_scale = keras.layers.Dense(n_scale, name="raw_scale", dtype=self.dtype_policy)
        # A constant 0/1 matrix puts the raw entries into a lower triangle: static, so it saves and exports.
        rows, columns = np.tril_indices(size)
        selector = np.zeros((n_scale, size * size), "float32")
        if full:
            selector[np.arange(n_scale), rows * size + columns] = 1.0
        self._selector = selector

    def build(self, input_shape: Any) -> None:
        self.loc.build(input_shape)
        self.raw_scale.build(input_shape)

    def call(self, features: Any) -> Gaussian:
        raw = self.raw_scale(features)
        offset = inverse_softplus(max(self.init_std - SCALE_FLOOR, SCALE_FLOOR))
        if not self.full:
            return Gaussian(self.loc(features), ops.softplus(raw + offset) + SCALE_FLOOR)
        square = (*ops.shape(features)[:-1], self.size, self.size)
        raw = ops.reshape(ops.matmul(raw, self._selector), square)
        eye = np.eye(self.size, dtype="float32")
        return Gaussian(self.loc(features), (ops.softplus(raw + offset) + SCALE_FLOOR) * eye + raw * (1 - eye))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "init_std": self.init_std, "full": self.full}
