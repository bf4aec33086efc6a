"""The gated transition of deep Markov models as a prior."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.priors.base import SequencePrior
from indl.layers.scale_link import SCALE_FLOOR, scale_link
from indl.registry import register
from indl.rnn.scan import Lane, scan
from indl.rnn.transition import MAPS, FreeTransitionStep, Transition, gated_transition


@register
class GatedPrior(SequencePrior):
    """p(z_1) = N(0, I), and p(z_t | z_{t-1}) with gated mean and state-dependent scale; see
    :func:`~indl.rnn.transition.gated_transition`.

    The linear part of the mean starts as the identity.

    Args:
        size: size of z_t.
        units: hidden units of gate and proposal.
        init_std: standard deviation of a step at the start, of proposals at zero.
        link, floor: from the raw scale to the standard deviation, see :class:`~indl.layers.scale_link.ScaleLink`.
            Krishnan et al.: ``"softplus_variance"``.
        kl_mode, rollout, seed: see :class:`~indl.dists.priors.base.SequencePrior`.
    """

    def __init__(
        self,
        size: int,
        units: int = 200,
        init_std: float = 1.0,
        link: str = "softplus_variance",
        floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        self.units = units
        self.init_std = init_std
        self.link = link
        self.floor = floor
        self.scale = scale_link(link, floor)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        hidden = {"gate_0": (self.size, self.units), "gate_1": (self.units, self.size)}
        hidden |= {"proposal_0": (self.size, self.units), "proposal_1": (self.units, self.size)}
        starts = {"scale": keras.initializers.Constant(self.scale.start(self.init_std))}
        self.maps = [
            self.add_weight(shape=shape, initializer=initializer, name=f"{name}_{kind}")
            for name in MAPS
            for rows, columns in [hidden.get(name, (self.size, self.size))]
            for kind, shape, initializer in (
                ("kernel", (rows, columns), "identity" if name == "linear" else "glorot_uniform"),
                ("bias", (columns,), starts.get(name, "zeros")),
            )
        ]
        self.built = True

    def transition_weights(self) -> tuple:
        """Kernel and bias of every map, in the order of :data:`~indl.rnn.transition.MAPS`, as tensors."""
        return tuple(ops.convert_to_tensor(weight) for weight in self.maps)

    def transition(self, z: Any) -> Transition:
        """p(z_{t+1} | z_t) of z (..., D), with its gate and its proposal."""
        return gated_transition(ops.convert_to_tensor(z), self.transition_weights(), self.scale)

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
        p, first = self.transition(z[..., :-1, :]), z[..., :1, :]
        return Gaussian(
            ops.concatenate([ops.zeros_like(first), p.loc], axis=-2),
            ops.concatenate([ops.ones_like(first), p.scale], axis=-2),
        )

    def rollout(self, noise: Any) -> Any:
        noise = ops.convert_to_tensor(noise)
        rows = tf.transpose(tf.reshape(noise, (-1, *tf.unstack(tf.shape(noise)[-2:]))), [1, 0, 2])
        rows.set_shape((noise.shape[-2], None, self.size))
        first = tf.equal(tf.range(tf.shape(rows)[0]), 0)[:, None, None]
        start = (tf.zeros_like(rows[0]),)
        lane = Lane(FreeTransitionStep(self.scale), (rows, first), start, self.transition_weights())
        # Automatic differentiation does, where it is wanted: this path is for comparison and for drawing.
        ((states,),) = scan([lane], own_gradient=False)
        return tf.reshape(tf.transpose(states, [1, 0, 2]), tf.shape(noise))

    def __repr__(self) -> str:
        return (
            f"GatedPrior(event size {self.size}, {self.units} units, {self.link}, kl {self.kl_mode}, "
            f"{self.rollout_mode})"
        )

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("units", "init_std", "link", "floor")}
        return {**super().get_config(), **config}
