"""Ready-made pairs: an inference network and a generative model of latents of any kind, with networks of any form."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.blackbox.base import GenerativeModel, InferenceNetwork
from indl.blackbox.latents import Latent
from indl.dists.observations import BernoulliObservation, GaussianObservation, PoissonObservation
from indl.text import shown

_OBSERVATIONS: dict[str, Any] = {
    "normal": GaussianObservation,
    "bernoulli": BernoulliObservation,
    "poisson": PoissonObservation,
}


def _network(units: tuple[int, ...], out: int, dtype: str) -> keras.Sequential:
    hidden = [keras.layers.Dense(n, activation="tanh", dtype=dtype) for n in units]
    return keras.Sequential([*hidden, keras.layers.Dense(out, dtype=dtype)])


class Recognizer(InferenceNetwork):
    """q(z | x): from the first array of the data, (batch, D), to K draws of a latent, (batch, K, ...).

    Args:
        latent: kind of the latents.
        n_samples: K.
        units: hidden layers, tanh; none: linear.
        network: any callable from (batch, ...) to (batch, latent.n_params) instead.
        seed: integer seed of the draws.
        dtype: of the network.

    Attributes:
        params_: parameters of q after a call, (batch, 1, latent.n_params).
    """

    def __init__(
        self,
        latent: Latent,
        n_samples: int,
        units: tuple[int, ...] = (),
        network: Any = None,
        seed: int | None = None,
        dtype: str = "float32",
    ):
        if not isinstance(n_samples, int) or n_samples < 1:
            raise ValueError(f"One sample is the least. Given: n_samples={shown(n_samples)}. Pass a whole number.")
        self.latent = latent
        self.n_samples = n_samples
        self.network = network or _network(units, latent.n_params, dtype)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.params_: Any = None

    @property
    def reparameterized(self) -> bool:  # type: ignore[override]
        """As the latents are."""
        return self.latent.reparameterized

    def __call__(self, data: Any) -> Recognizer:
        self.params_ = self.network(data[0])[:, None]
        return self

    def sample(self) -> list[Any]:
        """``[z]``, (batch, K, ...)."""
        return [self.latent.sample(ops.repeat(self.params_, self.n_samples, axis=1), self.seed_generator)]

    def log_prob(self, latents: Any) -> Any:
        return self.latent.log_prob(self.params_, latents[0])


class Generator(GenerativeModel):
    """p(z) p(x | z): a latent of trained probabilities and a network from it to x, (batch, D).

    Args:
        latent: kind of the latents. Where it has variables of its own, it is another object than that of q.
        x_size: D.
        observation: ``"normal"`` around the network's output, ``"bernoulli"`` of its log odds, or ``"poisson"`` of its
            log rates.
        units: hidden layers, tanh; none: linear.
        sd: standard deviation of a normal observation.
        n_dreams: what :meth:`sample` draws.
        network: any callable from (batch, K, size of a latent in one row) to (batch, K, D) instead.
        seed: integer seed of the draws.
        dtype: of the network and the prior.

    Attributes:
        prior: parameters of p(z), trained.
        p_x_: the observation after a call, (batch, K, D).
    """

    def __init__(
        self,
        latent: Latent,
        x_size: int,
        observation: str = "normal",
        units: tuple[int, ...] = (),
        sd: float = 1.0,
        n_dreams: int = 64,
        network: Any = None,
        seed: int | None = None,
        dtype: str = "float32",
    ):
        if observation not in _OBSERVATIONS:
            raise ValueError(
                f"There is no such observation. Given: {observation!r}. Use one of {', '.join(_OBSERVATIONS)}."
            )
        if not sd > 0:
            raise ValueError(f"A standard deviation is above 0. Given: sd={shown(sd)}. Pass that of the noise.")
        self.latent = latent
        self.observation = observation
        self.sd = sd
        self.n_dreams = n_dreams
        self.network = network or _network(units, x_size, dtype)
        self.prior = keras.Variable(ops.zeros((latent.n_params,)), dtype=dtype, name="prior")
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.p_x_: Any = None

    def __call__(self, data: Any, latents: Any) -> Generator:
        self.p_x_ = self._observed(latents[0])
        return self

    def _observed(self, z: Any) -> Any:
        out = self.network(ops.reshape(z, (*ops.shape(z)[:2], math.prod(self.latent.shape))))
        scale = (ops.full_like(out, self.sd),) if self.observation == "normal" else ()
        return _OBSERVATIONS[self.observation](out, *scale)

    def log_prob(self, data: Any, latents: Any) -> Any:
        x = ops.expand_dims(data[0], 1)
        return self.latent.log_prob(self.prior.value, latents[0]) + ops.sum(self.p_x_.log_prob(x), axis=-1)

    def sample(self) -> tuple[list[Any], list[Any]]:
        """``[x], [z]`` of `n_dreams` dreams, (n, D) and (n, 1, ...)."""
        params = ops.broadcast_to(self.prior.value, (self.n_dreams, 1, self.latent.n_params))
        latents = [self.latent.sample(params, self.seed_generator)]
        p_x = self._observed(latents[0])
        if isinstance(p_x, PoissonObservation):
            rates, seed = p_x.mean(), tf.cast(self.seed_generator.next(), tf.int32)
            return [tf.random.stateless_poisson(ops.shape(rates), seed, rates, dtype=rates.dtype)[:, 0]], latents
        return [p_x.sample(self.seed_generator)[:, 0]], latents
