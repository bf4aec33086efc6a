"""The affine map from an encoder's output to the parameters of a Gaussian posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.layers.activations import activation as named
from indl.layers.mlp import MLP
from indl.layers.scale_link import SCALE_FLOOR
from indl.layers.scale_link import scale_link as named_link
from indl.registry import register


@register
class GaussianHead(keras.layers.Layer):
    """Maps features (..., E) to a :class:`Gaussian` of size `size`, whose scale starts near `init_std`.

    Args:
        size: size D of the latent.
        init_std: standard deviation where the raw scale is zero.
        full: full covariance: `scale` is a Cholesky factor, with softplus on its diagonal alone, so that
            correlations of both signs can be expressed and start at zero.
        scale_link: ``"softplus"``, ``"log_variance"`` or ``"softplus_variance"``; see
            :class:`~indl.layers.scale_link.ScaleLink`. The bias of the last two starts at `init_std`; a softplus has
            that as an offset of its own.
        min_variance: floor added to the variance, with log variances. LFADS: 1e-4 for the initial condition.
        floor: added to a softplus scale.
        hidden, activation: hidden layers of a network for the mean and of another for the scale. Default: affine maps.
    """

    def __init__(
        self,
        size: int,
        init_std: float = 0.1,
        full: bool = False,
        scale_link: str = "softplus",
        min_variance: float = 0.0,
        floor: float = SCALE_FLOOR,
        hidden: Sequence[int] = (),
        activation: Any = "leaky_relu",
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.init_std = init_std
        self.full = full
        self.scale_link = scale_link
        self.min_variance = min_variance
        self.floor = floor
        self.link = named_link(scale_link, floor)
        if full and scale_link != "softplus":
            raise ValueError(
                "The scale of a full covariance is a softplus. Given: "
                f"scale_link={scale_link!r}, full={full!r}. Use scale_link='softplus', or full=False."
            )
        n_scale = size * (size + 1) // 2 if full else size
        dense = {"dtype": self.dtype_policy}
        # An offset of the softplus has the place of its bias.
        self._offset, bias = self.link.start(init_std), 0.0
        if scale_link != "softplus":
            self._offset, bias = bias, self._offset
        if scale_link == "log_variance":
            # LFADS's own start; Keras's default for the others.
            dense["kernel_initializer"] = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
        self.hidden = list(hidden)
        self.activation = keras.activations.get(named(activation))
        if self.hidden:
            networks = {"hidden": self.hidden, "activation": self.activation, "dtype": self.dtype_policy}
            self.loc = MLP(size, name="loc", **networks)
            self.raw_scale = MLP(n_scale, name="raw_scale", **networks)
            self._offset = self.link.start(init_std)
        else:
            self.loc = keras.layers.Dense(size, name="loc", **dense)
            self.raw_scale = keras.layers.Dense(
                n_scale, name="raw_scale", bias_initializer=keras.initializers.Constant(bias), **dense
            )
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
        if not self.full:
            scale = self.link.scale(raw + self._offset if self._offset else raw)
            if self.min_variance:
                scale = ops.sqrt(ops.square(scale) + self.min_variance)
            return Gaussian(self.loc(features), scale)
        square = (*ops.shape(features)[:-1], self.size, self.size)
        raw = ops.reshape(ops.matmul(raw, self._selector), square)
        eye = np.eye(self.size, dtype="float32")
        return Gaussian(self.loc(features), self.link.scale(raw + self._offset) * eye + raw * (1 - eye))

    def get_config(self) -> dict[str, Any]:
        names = ("size", "init_std", "full", "scale_link", "min_variance", "floor", "hidden")
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, "activation": activation}
