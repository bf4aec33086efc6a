"""The gated transition of deep Markov models as a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from indl.dists.priors.markov import MarkovPrior
from indl.registry import register
from indl.rnn.transition import MAPS, gated_transition


@register
class GatedPrior(MarkovPrior):
    """p(z_1) = N(0, I), and p(z_t | z_{t-1}) with gated mean and state-dependent scale; see
    :func:`~indl.rnn.transition.gated_transition`.

    The linear part of the mean starts as the identity.

    Args:
        size: size of z_t.
        units: hidden units of gate and proposal.
        init_std: standard deviation of a step at the start, of proposals at zero.
        link: see :class:`~indl.dists.priors.markov.MarkovPrior`. Krishnan et al.: ``"softplus_variance"``.
        **kwargs: as there.
    """

    def __init__(
        self, size: int, units: int = 200, init_std: float = 1.0, link: str = "softplus_variance", **kwargs: Any
    ):
        super().__init__(size, init_std, link, **kwargs)
        self.units = units
        self.build()

    @property
    def transition_function(self) -> Callable[..., Any]:
        return gated_transition

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

    def __repr__(self) -> str:
        return (
            f"GatedPrior(event size {self.size}, {self.units} units, {self.link}, kl {self.kl_mode}, "
            f"{self.rollout_mode})"
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
