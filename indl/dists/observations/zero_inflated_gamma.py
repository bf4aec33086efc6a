"""Zero-inflated Gamma events, for calcium imaging: no event in most bins, a positive amplitude in the others."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from indl.dists.observations.base import Readout
from indl.dists.observations.gamma import TINY, gamma_log_density
from indl.registry import register

#: The smallest value of each sigmoid.
SIGMOID_FLOOR = 1e-5
#: The smallest scale that is used; the variable itself may lie below, and its pull brings it back.
SCALE_FLOOR = 1e-3


class ZeroInflatedGammaObservation(NamedTuple):
    """Independent events a bin: 0 with probability 1 - q, else a Gamma amplitude above a floor.

    The probability is held as its log odds, whose likelihood and gradient are finite where q rounds to 1.

    Attributes:
        gamma_shape: shapes a, shape (batch[, S], time, channels).
        gamma_rate: rates b, inverse scales and no event rates, same shape.
        log_odds: log(q / (1 - q)) of an event, same shape.
        floor: the smallest amplitude, same shape.
    """

    gamma_shape: Any
    gamma_rate: Any
    log_odds: Any
    floor: Any

    support = "events"

    def event_probability(self) -> Any:
        """q, the probability that a bin is not zero."""
        return ops.sigmoid(self.log_odds)

    def mean(self) -> Any:
        """Expected signal a bin, ``q (a / b + floor)``."""
        return self.event_probability() * (self.gamma_shape / self.gamma_rate + self.floor)

    def log_prob(self, signal: Any) -> Any:
        """Log-likelihood of every element in nats: of a probability at zero, of a density above the floor.

        A signal between zero and the floor, which the model rules out, counts as one just above the floor.
        """
        signal = ops.convert_to_tensor(signal, dtype=self.gamma_shape.dtype)
        event = signal > 0
        # Both sides of a where are differentiated, so the unused one must be finite.
        amplitude = ops.where(event, signal - self.floor, ops.ones_like(signal))
        density = gamma_log_density(self.gamma_shape, ops.log(self.gamma_rate), ops.maximum(amplitude, TINY))
        return ops.where(event, density - ops.softplus(-self.log_odds), -ops.softplus(self.log_odds))

    def sample(self, seed: int | None = None) -> Any:
        """Signals drawn from eager parameters."""
        seed = keras.random.SeedGenerator(seed)
        size = ops.shape(self.gamma_shape)
        event = keras.random.uniform(size, seed=seed) < self.event_probability()
        amplitude = keras.random.gamma(size, self.gamma_shape, seed=seed) / self.gamma_rate + self.floor
        return ops.where(event, ops.maximum(amplitude, TINY), ops.zeros_like(amplitude))


class _Pull(keras.regularizers.Regularizer):
    """``weight / 2`` times the squared distance from a target, summed."""

    def __init__(self, weight: float, target: float):
        self.weight = weight
        self.target = target

    def __call__(self, values: Any) -> Any:
        return 0.5 * self.weight * ops.sum(ops.square(values - self.target))


@register
class ZeroInflatedGammaReadout(Readout):
    """Factors (..., F) to a :class:`ZeroInflatedGammaObservation` of `n_channels` channels.

    With s(x) = max(sigmoid(x), 1e-5) of the blocks: ``a = s(p0) scale[0]``, ``b = s(p1) scale[1]``, ``q = s(p2)``.
    The scales, shape (2, n_channels) of each session, are trained and held near `scale_prior` by a penalty among the
    layer's losses.

    Args:
        n_channels: channels of the target.
        gamma_loc: the smallest amplitude of an event, the floor of the Gamma.
        scale_init: scales at the start.
        scale_prior: what the penalty pulls the scales to.
        scale_penalty: weight of ``sum((scale - scale_prior)^2) / 2``, in nats.
        init_bias: bias of the first block at the start, one value or one a channel. None: 0.
    """

    parameters_per_channel = 3

    def __init__(
        self,
        n_channels: int,
        gamma_loc: float = 0.1,
        scale_init: float = 20.0,
        scale_prior: float = 20.0,
        scale_penalty: float = 1e-3,
        **kwargs: Any,
    ):
        super().__init__(n_channels, **kwargs)
        self.gamma_loc = gamma_loc
        self.scale_init = scale_init
        self.scale_prior = scale_prior
        self.scale_penalty = scale_penalty

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.scale = self.add_own_weight(
            (2, self.n_channels),
            lambda: keras.initializers.Constant(self.scale_init),
            name="scale",
            regularizer=_Pull(self.scale_penalty, self.scale_prior),
        )

    def call(self, factors: Any, session: Any = None) -> ZeroInflatedGammaObservation:
        return self.observe(self.affine(factors, session), self.own(self.scale, session, factors))

    def observe(self, u: Any, scale: Any = None) -> ZeroInflatedGammaObservation:
        """The observation model of the affine map's output `u`; `scale` (..., 2, n_channels) if not the layer's."""
        shape, rate, gate = self.blocks(u)
        scale = ops.maximum(self.scale if scale is None else scale, SCALE_FLOOR)[..., None, :]
        shape, rate = (
            ops.maximum(ops.sigmoid(x), SIGMOID_FLOOR) * scale[..., i, :, :] for i, x in enumerate((shape, rate))
        )
        log_odds = ops.maximum(gate, float(np.log(SIGMOID_FLOOR / (1 - SIGMOID_FLOOR))))
        return ZeroInflatedGammaObservation(shape, rate, log_odds, self.gamma_loc * ops.ones_like(shape))

    def bias_for(self, mean: Any) -> Any:
        """The bias, all blocks, at which zero factors give the means `mean`.

        Half the bins have an event, or fewer where events would have to be smaller than twice the floor.
        """
        mean = ops.maximum(ops.cast(mean, "float32"), 1e-4)
        event = ops.maximum(2 * mean, 2 * self.gamma_loc)
        # sigmoid(t) / sigmoid(-t) = exp(t), so opposite biases give any ratio of shape to rate.
        scale = ops.maximum(self.scale, SCALE_FLOOR)
        t = ops.log((event - self.gamma_loc) * scale[..., 1, :] / scale[..., 0, :])
        q = mean / event
        return ops.concatenate([t, -t, ops.log(q) - ops.log1p(-q)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "gamma_loc": self.gamma_loc,
            "scale_init": self.scale_init,
            "scale_prior": self.scale_prior,
            "scale_penalty": self.scale_penalty,
        }
