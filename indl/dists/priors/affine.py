"""The transition of a state-space model, linear or with a network beside, as a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from indl.dists.priors.markov import MarkovPrior
from indl.registry import register
from indl.rnn.transition import affine_transition


@register
class AffinePrior(MarkovPrior):
    """p(z_1) = N(m_1, s_1^2), p(z_t | z_{t-1}) = N(A z_{t-1} + b [+ a network of z_{t-1}], s^2), all of it trained.

    See :func:`~indl.rnn.transition.affine_transition`. A starts as the identity times `start`, and the network near
    zero.

    Args:
        size: size of z_t.
        units: hidden units of the network; 0: the linear state-space model.
        init_std: standard deviation of a step at the start.
        link: see :class:`~indl.dists.priors.markov.MarkovPrior`.
        start: what A begins with, times the identity.
        **kwargs: as there.
    """

    def __init__(
        self,
        size: int,
        units: int = 0,
        init_std: float = 1.0,
        link: str = "softplus",
        start: float = 0.9,
        **kwargs: Any,
    ):
        super().__init__(size, init_std, link, **kwargs)
        self.units = units
        self.start = start
        self.build()

    @property
    def transition_function(self) -> Callable[..., Any]:
        return affine_transition

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        size, units = self.size, self.units
        raw = keras.initializers.Constant(self.scale.start(self.init_std))
        parts = {"kernel": ((size, size), keras.initializers.Identity(self.start)), "bias": ((size,), "zeros")}
        if units:
            parts |= {"hidden_kernel": ((size, units), "glorot_uniform"), "hidden_bias": ((units,), "zeros")}
            parts |= {"out_kernel": ((units, size), keras.initializers.RandomNormal(stddev=0.01))}
        parts["raw_scale"] = ((size,), raw)
        self.maps = [self.add_weight(shape=s, initializer=i, name=name) for name, (s, i) in parts.items()]
        self.first_loc = self._vector("first_loc", 0.0)
        self.first_raw = self._vector("first_raw_scale", self.scale.start(1.0))
        self.built = True

    def first(self) -> tuple[Any, Any]:
        return ops.convert_to_tensor(self.first_loc), self.scale.scale(ops.convert_to_tensor(self.first_raw))

    def __repr__(self) -> str:
        kind = f"{self.units} units" if self.units else "linear"
        return f"AffinePrior(event size {self.size}, {kind}, kl {self.kl_mode}, {self.rollout_mode})"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "start": self.start}
