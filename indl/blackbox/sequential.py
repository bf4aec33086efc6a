"""A sequential model as an inference network and a generative model, for the losses and diagnostics of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from indl.blackbox.base import GenerativeModel, InferenceNetwork
from indl.data.checks.arrays import check_whole
from indl.dists.gaussian import Gaussian, as_gaussian
from indl.model.densities import latent_densities
from indl.model.parts import of_posterior
from indl.model.sequence_model import SequentialVAE
from indl.objectives.elbo import log_likelihood
from indl.sampling.modes import GivenLatents, PosteriorSamples, sampling


class _Side:
    """What both sides do: run the model, without dropout, at given latents."""

    def __init__(self, model: SequentialVAE):
        if not isinstance(model, SequentialVAE) or not (model.params or {"variational": True})["variational"]:
            raise ValueError(
                "Both sides are those of a sequential model with divergences. Given: "
                f"{type(model).__name__}{'' if not isinstance(model, SequentialVAE) else ' with variational=False'}. "
                "Build one with build_sequential_vae."
            )
        self.model = model
        self.inputs_: dict[str, Any] = {}

    def _read(self, data: Any) -> dict[str, Any]:
        x = data if isinstance(data, Mapping) else {"x": data[0] if isinstance(data, list | tuple) else data}
        return self.model.reads.complete({name: ops.convert_to_tensor(part) for name, part in x.items()})

    def _at(self, latents: list[Any]) -> dict[str, Any]:
        """Outputs with an axis of samples at latents, which may lack it."""
        graph = self.model._graph_outputs
        given = {graph[name].name: value for name, value in zip(self.model.latent_names, latents, strict=True)}
        with sampling(GivenLatents(given)):
            return _with_axis(self.model, self.model(self.inputs_, training=False))


class SequentialInference(_Side, InferenceNetwork):
    """q(f, z | x) of a sequential model, with `q_f_samples` re-parametrised draws of each of its latents.

    Data are what the model reads: an array, a list with one, or a dict with labels, sessions and so on. Dropout is off.

    Args:
        model: a sequential model.
        seed: seed of the first draw; every other is new.

    Attributes:
        inputs_: what was given last.
    """

    reparameterized = True

    def __init__(self, model: SequentialVAE, seed: int = 0):
        super().__init__(model)
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of encoders and posteriors."""
        return [v for v in self.model.trainable_variables if of_posterior(v.path)]

    def __call__(self, data: Any) -> SequentialInference:
        self.inputs_ = self._read(data)
        return self

    def sample(self) -> list[Any]:
        rows, seed = ops.shape(self.inputs_["x"])[0], ops.cast(self.seed_generator.next(), "int32")
        with sampling(PosteriorSamples(rows, seed[0], seed[1], self.model.passes.samplers)):
            out = _with_axis(self.model, self.model(self.inputs_, training=False))
        return [out[name] for name in self.model.latent_names]

    def log_prob(self, latents: list[Any]) -> Any:
        found = latent_densities(self.model, self._at(latents), self.inputs_)
        return _as_given(latents, sum(found[f"log_q_{name}"] for name in self.model.latent_names))


class SequentialGenerator(_Side, GenerativeModel):
    """p(f) p(z) p(x | f, z) of a sequential model.

    Args:
        model: the model of :class:`SequentialInference`.
        n_dreams: trials that :meth:`sample` draws.
        n_times: their bins. Default: those that the model was built for, or of the data that were given last.
        seed: seed of the first dreams; all others are new.

    Attributes:
        p_x_: the observation after a call, (batch, K, time, channels).
    """

    def __init__(self, model: SequentialVAE, n_dreams: int = 64, n_times: int | None = None, seed: int = 0):
        super().__init__(model)
        self.n_dreams = check_whole(n_dreams, "n_dreams", 1)
        self.n_times = n_times or model.x.shape[1]
        self._seeds = np.random.default_rng(seed)
        self.p_x_: Any = None

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of generator, read-out and priors."""
        return [v for v in self.model.trainable_variables if not of_posterior(v.path)]

    def __call__(self, data: Any, latents: list[Any]) -> SequentialGenerator:
        self.inputs_ = self._read(data)
        self._out = self._at(latents)
        self.p_x_ = self._out["p_x"]
        return self

    def log_prob(self, data: Any, latents: list[Any]) -> Any:
        likelihood = log_likelihood(self.p_x_, self.inputs_["x"], self.model.context)
        found = latent_densities(self.model, self._out, self.inputs_)
        prior = sum(found[f"log_p_{name}"] for name in self.model.latent_names)
        return _as_given(latents, ops.sum(likelihood, axis=(-2, -1)) + prior)

    def sample(self) -> tuple[list[Any], list[Any]]:
        n_times = self.n_times or (self.inputs_["x"].shape[1] if self.inputs_ else None)
        if n_times is None:
            raise ValueError(
                "A model of any number of bins does not know how long a dream is. Given: n_times=None, and no data "
                "before. Pass n_times."
            )
        drawn = self.model.generate(self.n_dreams, n_times, int(self._seeds.integers(2**31)))
        return [drawn["x"]], [drawn[name] for name in self.model.latent_names]


def _with_axis(model: SequentialVAE, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs of latents and observation with an axis of samples, which a model of one sample has not."""
    kind = type(model._graph_outputs["p_x"])
    if len(outputs["p_x"][0].shape) == 4:
        return {**outputs, "p_x": kind(*outputs["p_x"])}
    found = {"p_x": kind(*(ops.expand_dims(part, 1) for part in outputs["p_x"]))}
    for name in model.latent_names:
        q, _ = as_gaussian(outputs[f"q_{name}"]).for_divergence(False)
        found[name] = ops.expand_dims(outputs[name], 1)
        found[f"q_{name}"] = Gaussian(*(ops.expand_dims(part, 1) for part in q[:2]))
    return found


def _as_given(latents: list[Any], densities: Any) -> Any:
    """(batch, K); of latents without samples, which the model repeats, (batch, 1)."""
    return densities[:, :1] if len(latents[0].shape) == 2 else densities
