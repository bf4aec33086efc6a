"""Volume-preserving, invertible maps, and the injective map from a latent to observations that they make.

General incompressible-flow networks (GIN: Sorrenson, Rother & Koethe 2020) behind a lift, as in pi-VAE
(Zhou & Wei 2020). Coordinates are the last axis; all others are batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl.layers.activations import activation as named
from indl.layers.mlp import MLP, Networked
from indl.registry import register

#: A coupling's log scales lie within this bound, but the last, which balances the others.
LOG_SCALE_BOUND = 0.1


@register
class Permutation(keras.layers.Layer):
    """Reorders coordinates: ``y = h[..., order]``, the order drawn at the start and saved with the weights.

    Args:
        seed: seed of the order; the same order for the same seed and size, that of numpy's legacy generator, as in
            the original pi-VAE.
    """

    def __init__(self, seed: int = 0, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape: Any) -> None:
        order = np.random.RandomState(self.seed).permutation(input_shape[-1])
        self.order = self.add_weight(
            shape=order.shape, initializer=lambda *_, **__: order, dtype="int32", trainable=False, name="order"
        )

    def call(self, h: Any) -> Any:
        order = ops.convert_to_tensor(self.order)
        return _reorder(h, order, ops.argsort(order))

    def inverse(self, y: Any) -> Any:
        """h from y."""
        order = ops.convert_to_tensor(self.order)
        return _reorder(y, ops.argsort(order), order)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@register
class AffineCoupling(Networked):
    """Scales and shifts some coordinates by functions of the others; the volume stays.

    With ``a`` the first `slice_size` coordinates and ``b`` the rest, ``y = concat(b exp(s(a)) + t(a), a)``: the
    transformed part comes first, so that two couplings in a row reach every coordinate of two halves. All entries of
    s but the last are bounded, and the last makes their sum zero.

    Args:
        slice_size: how many coordinates stay, S with 0 < S < X.
        hidden: units of each hidden layer of the network that gives s and t.
        activation: its activation.
    """

    def __init__(self, slice_size: int, hidden: Sequence[int] = (), activation: Any = "relu", **kwargs: Any):
        super().__init__(hidden, activation, **kwargs)
        self.slice_size = slice_size

    def build(self, input_shape: Any) -> None:
        moved = input_shape[-1] - self.slice_size
        if not 0 < self.slice_size < input_shape[-1]:
            raise ValueError(
                "A coupling keeps some coordinates and moves the others. Given: "
                f"slice_size={self.slice_size} of {input_shape[-1]}. Use a number from 1 to {input_shape[-1] - 1}."
            )
        self.network = MLP(2 * moved - 1, self.hidden, self.activation, dtype=self.dtype_policy, name="network")
        self.network.build((*input_shape[:-1], self.slice_size))

    def scale_and_shift(self, a: Any) -> tuple[Any, Any]:
        """Log scales and shifts (..., X - S), from the coordinates that stay."""
        found = self.network(a)
        n_free = (found.shape[-1] - 1) // 2
        log_scale = LOG_SCALE_BOUND * ops.tanh(found[..., :n_free])
        last = -ops.sum(log_scale, axis=-1, keepdims=True)
        return ops.concatenate([log_scale, last], axis=-1), found[..., n_free:]

    def call(self, h: Any) -> Any:
        a, b = h[..., : self.slice_size], h[..., self.slice_size :]
        log_scale, shift = self.scale_and_shift(a)
        return ops.concatenate([b * ops.exp(log_scale) + shift, a], axis=-1)

    def inverse(self, y: Any) -> Any:
        """h from y."""
        moved, a = y[..., : -self.slice_size], y[..., -self.slice_size :]
        log_scale, shift = self.scale_and_shift(a)
        return ops.concatenate([a, (moved - shift) * ops.exp(-log_scale)], axis=-1)

    def log_det(self, h: Any) -> Any:
        """Log of the absolute determinant of the Jacobian at h, shape (...): zero but for rounding."""
        return ops.sum(self.scale_and_shift(h[..., : self.slice_size])[0], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "slice_size": self.slice_size}


@register
class GINBlock(keras.layers.Layer):
    """One permutation, then couplings in a row.

    Args:
        slice_size, hidden, activation: of every coupling.
        depth: couplings.
        share: the couplings share their weights, as in the PyTorch port of pi-VAE.
        seed: seed of the permutation.
    """

    def __init__(
        self,
        slice_size: int,
        hidden: Sequence[int] = (),
        activation: Any = "relu",
        depth: int = 2,
        share: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.settings = {"slice_size": slice_size, "hidden": list(hidden)}
        self.activation = keras.activations.get(named(activation))
        self.depth = depth
        self.share = share
        self.seed = seed
        self.permutation = Permutation(seed, name="permutation")
        self.own = [
            AffineCoupling(**self.settings, activation=self.activation, dtype=self.dtype_policy, name=f"coupling_{i}")
            for i in range(1 if share else depth)
        ]

    @property
    def couplings(self) -> list[AffineCoupling]:
        """The couplings in order; a shared one stands for all."""
        return self.own * self.depth if self.share else list(self.own)

    def build(self, input_shape: Any) -> None:
        self.permutation.build(input_shape)
        for coupling in self.own:
            coupling.build(input_shape)

    def call(self, h: Any) -> Any:
        h = self.permutation(h)
        for coupling in self.couplings:
            h = coupling(h)
        return h

    def inverse(self, y: Any) -> Any:
        """h from y."""
        for coupling in reversed(self.couplings):
            y = coupling.inverse(y)
        return self.permutation.inverse(y)

    def log_det(self, h: Any) -> Any:
        """Log of the absolute determinant of the Jacobian at h, shape (...): zero but for rounding."""
        h, total = self.permutation(h), 0.0
        for coupling in self.couplings:
            total = total + coupling.log_det(h)
            h = coupling(h)
        return total

    def get_config(self) -> dict[str, Any]:
        own = {"activation": keras.activations.serialize(self.activation), "depth": self.depth}
        return {**super().get_config(), **self.settings, **own, "share": self.share, "seed": self.seed}


@register
class Lift(Networked):
    """z (..., Z) to ``concat(z, t(z))`` (..., `size`): injective whatever t is.

    Args:
        size: coordinates of the output, at least Z.
        hidden: units of each hidden layer of the network t.
        activation: its activation.
    """

    def __init__(self, size: int, hidden: Sequence[int] = (), activation: Any = "relu", **kwargs: Any):
        super().__init__(hidden, activation, **kwargs)
        self.size = size

    def build(self, input_shape: Any) -> None:
        self.latent_size = input_shape[-1]
        if self.size < self.latent_size:
            raise ValueError(
                "An injective map needs at least as many coordinates as latents. Given: "
                f"{self.size} for {self.latent_size} latents. Use a smaller latent, or more channels."
            )
        self.network = None
        if self.size > self.latent_size:
            added = self.size - self.latent_size
            self.network = MLP(added, self.hidden, self.activation, dtype=self.dtype_policy, name="network")
            self.network.build(input_shape)

    def call(self, z: Any) -> Any:
        return z if self.network is None else ops.concatenate([z, self.network(z)], axis=-1)

    def inverse(self, h: Any) -> Any:
        """z from h; of a point off the manifold, that of the point with the same first coordinates."""
        return h[..., : self.latent_size]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@register
class InjectiveFlow(keras.layers.Layer):
    """A lift from (..., Z) to (..., `size`), then GIN blocks.

    Args:
        size: coordinates of the output X, at least Z.
        n_blocks: blocks.
        depth, share: couplings of a block; see :class:`GINBlock`. The permutation of block i has the seed i.
        slice_size: coordinates that a coupling keeps; None: half of them.
        hidden, activation: network of a coupling.
        lift_hidden, lift_activation: network of the lift.
    """

    def __init__(
        self,
        size: int,
        n_blocks: int = 2,
        depth: int = 2,
        share: bool = False,
        slice_size: int | None = None,
        hidden: Sequence[int] = (),
        activation: Any = "relu",
        lift_hidden: Sequence[int] = (),
        lift_activation: Any = "relu",
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.n_blocks = n_blocks
        self.lift = Lift(size, lift_hidden, lift_activation, dtype=self.dtype_policy, name="lift")
        slice_size = size // 2 if slice_size is None else slice_size
        self.blocks = [
            GINBlock(slice_size, hidden, activation, depth, share, seed=i, dtype=self.dtype_policy, name=f"block_{i}")
            for i in range(n_blocks)
        ]
        self.settings = {"depth": depth, "share": share, "slice_size": slice_size, "hidden": list(hidden)}
        self.activation = keras.activations.get(named(activation))

    def build(self, input_shape: Any) -> None:
        self.lift.build(input_shape)
        for block in self.blocks:
            block.build((*input_shape[:-1], self.size))

    def call(self, z: Any) -> Any:
        h = self.lift(z)
        for block in self.blocks:
            h = block(h)
        return h

    def inverse(self, y: Any) -> Any:
        """z (..., Z) from y: exact for points of the image."""
        for block in reversed(self.blocks):
            y = block.inverse(y)
        return self.lift.inverse(y)

    def get_config(self) -> dict[str, Any]:
        lift = {"lift_hidden": self.lift.hidden, "lift_activation": keras.activations.serialize(self.lift.activation)}
        own = {"size": self.size, "n_blocks": self.n_blocks, "activation": keras.activations.serialize(self.activation)}
        return {**super().get_config(), **self.settings, **own, **lift}


@tf.custom_gradient
def _reorder(h: Any, order: Any, back: Any) -> Any:
    """Coordinates of h in `order`; its gradient is a gather too, not the scatter that TensorFlow would make."""

    def gradient(upstream: Any) -> Any:
        return _reorder(upstream, back, order), None, None

    return tf.gather(h, order, axis=-1), gradient
