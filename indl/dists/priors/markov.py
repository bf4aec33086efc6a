"""Priors in which a bin depends on the bin before it alone, by a transition that a posterior may share."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.priors.base import SequencePrior
from indl.layers.scale_link import SCALE_FLOOR, scale_link
from indl.rnn.scan import Lane, scan
from indl.rnn.transition import FreeTransitionStep


class MarkovPrior(SequencePrior):
    """p(z_1) prod_t p(z_t | z_{t-1}), all of them diagonal Gaussians.

    Sub-classes say which function of :mod:`indl.rnn.transition` the transition is, make its weights, in its order, as
    `maps`, and may have a first bin of their own.

    Args:
        size: size of z_t.
        init_std: standard deviation of a step at the start.
        link, floor: from the raw scale to the standard deviation, see :class:`~indl.layers.scale_link.ScaleLink`.
        kl_mode, rollout, seed: see :class:`~indl.dists.priors.base.SequencePrior`.
    """

    maps: list[Any]

    def __init__(self, size: int, init_std: float, link: str, floor: float = SCALE_FLOOR, **kwargs: Any):
        super().__init__(size, **kwargs)
        self.init_std = init_std
        self.link = link
        self.floor = floor
        self.scale = scale_link(link, floor)

    @property
    @abc.abstractmethod
    def transition_function(self) -> Callable[..., Any]:
        """From z, the weights and the link to a value with ``loc`` and ``scale``."""

    def first(self) -> tuple[Any, Any]:
        """Mean and standard deviation of the first bin, (D,)."""
        return ops.zeros((self.size,)), ops.ones((self.size,))

    def transition_weights(self) -> tuple:
        """The weights of the transition, in the order of its function, as tensors."""
        return tuple(ops.convert_to_tensor(weight) for weight in self.maps)

    def transition(self, z: Any) -> Any:
        """p(z_{t+1} | z_t) of z (..., D)."""
        return self.transition_function(ops.convert_to_tensor(z), self.transition_weights(), self.scale)

    def call(
        self,
        q: Any,
        sample: Any = None,
        driven: Any = None,
        training: bool | None = None,
        per_dimension: bool = False,
        weights_alone: bool = False,
    ) -> Any:
        """KL in nats per trial and step; see :meth:`SequencePrior.call`.

        Args:
            q, sample, driven, training, per_dimension: as there.
            weights_alone: give :meth:`transition_weights` instead, for a posterior that multiplies with the transition:
                within a graph only a layer's call keeps weights shared.
        """
        return self.transition_weights() if weights_alone else super().call(q, sample, driven, training, per_dimension)

    def conditional(self, z: Any) -> Gaussian:
        p, nothing = self.transition(z[..., :-1, :]), ops.zeros_like(z[..., :1, :])
        loc, scale = self.first()
        return Gaussian(
            ops.concatenate([nothing + ops.cast(loc, nothing.dtype), p.loc], axis=-2),
            ops.concatenate([nothing + ops.cast(scale, nothing.dtype), p.scale], axis=-2),
        )

    def rollout(self, noise: Any) -> Any:
        noise = ops.convert_to_tensor(noise)
        rows = tf.transpose(tf.reshape(noise, (-1, *tf.unstack(tf.shape(noise)[-2:]))), [1, 0, 2])
        loc, scale = self.first()
        rows = tf.concat([loc + scale * rows[:1], rows[1:]], 0)
        rows.set_shape((noise.shape[-2], None, self.size))
        first = tf.equal(tf.range(tf.shape(rows)[0]), 0)[:, None, None]
        start, step = (tf.zeros_like(rows[0]),), FreeTransitionStep(self.scale, self.transition_function)
        # Automatic differentiation does, where it is wanted: this path is for comparison and for drawing.
        ((states,),) = scan([Lane(step, (rows, first), start, self.transition_weights())], own_gradient=False)
        return tf.reshape(tf.transpose(states, [1, 0, 2]), tf.shape(noise))

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("init_std", "link", "floor")}
        return {**super().get_config(), **config}
