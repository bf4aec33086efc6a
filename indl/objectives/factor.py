"""The bound with the total correlation of f that a discriminator sees, which is trained against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from indl.objectives.elbo import Elbo
from indl.params import as_list
from indl.registry import register

_SLOPE = 0.2
_REAL, _PERMUTED = 0, 1


@register
@dataclass(frozen=True)
class FactorVAE(Elbo):
    """The bound with ``factor_gamma tc_f``, where a discriminator estimates tc_f (Kim & Mnih 2018, arXiv:1802.05983).

    ``tc_f`` is the difference of its two logits at the sample of f: the log odds that f is one of the model's, and not
    put together from the dimensions of several trials. The discriminator is no part of the value: it is
    :meth:`opponent`, which the model trains beside itself; see :mod:`indl.model.steps.opponent`.

    Args:
        factor_gamma: the weight before any schedule.
        size: size of f.
        units: units of the hidden layers of the discriminator.
        learning_rate: step size of its optimizer.
        seed: seed of its permutations.
    """

    factor_gamma: float = 10.0
    size: int = 10
    units: tuple[int, ...] = (1000,) * 6
    learning_rate: float = 1e-4
    seed: int = 0

    couples_trials = True

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "factor_gamma": p["factor_gamma"],
            "size": p["f_latent_size"],
            "units": tuple(as_list(p["factor_units"])),
            "learning_rate": p["factor_learning_rate"],
            "seed": p["seed"],
        }

    @property
    def parts(self) -> tuple[str, ...]:
        return (*super().parts, "tc_f")

    @property
    def weights(self) -> dict[str, float]:
        return {**super().weights, "factor_gamma": self.factor_gamma}

    def opponent(self) -> Discriminator:
        return Discriminator(self.size, self.units, self.learning_rate, self.seed, name="discriminator")

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Any) -> dict[str, Any]:
        tc = log_odds(outputs["opponent"](outputs["f"]))
        tc = ops.mean(tc, axis=1) if len(tc.shape) == 2 else tc
        return {**super().terms(outputs, target, context), "tc_f": tc}

    def added(self, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        return weights["factor_gamma"] * terms["tc_f"]


class Discriminator(keras.layers.Layer):
    """Tells latents of the model from such whose dimensions come from different trials: (..., D) to logits (..., 2).

    Args:
        size: D.
        units: units of the hidden layers, leaky_relu of slope 0.2.
        learning_rate: step size of its Adam, whose moments decay by 0.5 and 0.9.
        seed: seed of the permutations.
    """

    #: The output of the model that it is given.
    latent = "f"

    def __init__(self, size: int, units: Sequence[int], learning_rate: float = 1e-4, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = size
        self.adam = {"learning_rate": learning_rate, "beta_1": 0.5, "beta_2": 0.9}
        self.hidden = [keras.layers.Dense(width, name=f"hidden_{i}") for i, width in enumerate(units)]
        self.readout = keras.layers.Dense(2, name="logits")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.build((None, size))

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        width = self.size
        for layer in (*self.hidden, self.readout):
            layer.build((None, width))
            width = layer.units
        self.built = True

    def call(self, latent: Any) -> Any:
        for layer in self.hidden:
            latent = ops.leaky_relu(layer(latent), _SLOPE)
        return self.readout(latent)

    def loss(self, latent: Any, training: bool) -> Any:
        """What it is trained by, on the latents of a batch (batch[, S], D), which learn nothing from it.

        The paper permutes the dimensions across a second batch. Here the first half of a batch is taken as it is, and
        the second one permuted.

        Args:
            latent: the latents.
            training: False: the permutations are the same every time.
        """
        latent = ops.reshape(ops.stop_gradient(latent), (-1, self.size))
        half = (ops.shape(latent)[0] + 1) // 2
        second = latent[half:]
        noise = keras.random.uniform(ops.shape(second), seed=self.seed_generator if training else self.seed)
        return discriminator_loss(self(latent[:half]), self(permuted(second, ops.argsort(noise, axis=0))))


def permuted(latent: Any, order: Any) -> Any:
    """Latents whose dimensions come from different trials.

    Args:
        latent: (batch, D).
        order: trials in the order in which each dimension takes them, (batch, D).
    """
    return ops.take_along_axis(latent, order, axis=0)


def log_odds(logits: Any) -> Any:
    """The log odds in nats that a latent is one of the model's, of logits (..., 2): (...)."""
    return logits[..., _REAL] - logits[..., _PERMUTED]


def discriminator_loss(real: Any, mixed: Any) -> Any:
    """Half the cross-entropy of either kind, in nats.

    Args:
        real: logits (rows, 2) of latents of the model.
        mixed: those of latents with permuted dimensions; there may be none.
    """
    return 0.5 * (_mean(ops.softplus(-log_odds(real))) + _mean(ops.softplus(log_odds(mixed))))


def _mean(values: Any) -> Any:
    return ops.sum(values) / ops.cast(ops.maximum(ops.shape(values)[0], 1), values.dtype)
