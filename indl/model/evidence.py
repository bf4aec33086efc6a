"""How probable trials are under a model, from many posterior samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy.special import logsumexp

from indl.dists.gaussian import Gaussian
from indl.model.densities import latent_densities
from indl.objectives.elbo import log_likelihood
from indl.sampling.modes import PosteriorSamples, sampling


def log_evidence(
    model: Any, x: Mapping[str, np.ndarray], target: np.ndarray, n_samples: int, seed: int, rows: int
) -> np.ndarray:
    """The bound of `n_samples` samples at least, nats of each trial, (trials,); see ``SequentialVAE.log_evidence``.

    Args:
        model: a sequential model.
        x: checked, complete inputs.
        target: what is reconstructed.
        n_samples: samples a trial.
        seed: seed of the samples.
        rows: trials times samples computed at once.
    """
    n = len(target)
    trials = max(1, min(n, rows // min(n_samples, rows)))
    samples = min(n_samples, max(1, rows // trials))
    log_f = tf.function(_Pass(model, samples), autograph=False, reduce_retracing=True)
    found = []
    for part, begin in enumerate(range(0, n, trials)):
        batch = {name: values[begin : begin + trials] for name, values in x.items()}
        draws = [
            np.asarray(log_f(batch, target[begin : begin + trials], tf.constant([seed, part, i])), "float64")
            for i in range(-(-n_samples // samples))
        ]
        every = np.concatenate(draws, axis=1)
        found.append(logsumexp(every, axis=1) - np.log(every.shape[1]))
    return np.concatenate(found)


class _Pass:
    """log p(x, f, z) - log q(f, z | x) of so many samples a trial, (trials, samples)."""

    def __init__(self, model: Any, samples: int):
        self.model = model
        self.samples = samples
        names = ["p_x", *(name for latent in model.latent_names for name in (latent, f"q_{latent}"))]
        self.graph = keras.Model(model.passes.symbols, {name: model._graph_outputs[name] for name in names})

    def __call__(self, x: Any, target: Any, seed: Any) -> Any:
        trials = tf.shape(target)[0]
        # Every part of a trial's samples has streams of its own.
        mode = PosteriorSamples(trials * self.samples, seed[0] + 7919 * seed[2], seed[1], self.model.passes.samplers)
        with sampling(mode):
            found = self.graph(x, training=False)
        p_x = type(self.model._graph_outputs["p_x"])(*(_folded(part, trials, 3) for part in found["p_x"]))
        outputs = {}
        for latent in self.model.latent_names:
            # In a graph the one step of a z for all bins is an axis.
            rank = 2 if latent == "f" else 3
            q, _ = Gaussian(*found[f"q_{latent}"]).for_divergence(False)
            outputs[latent] = _folded(found[latent], trials, rank)
            outputs[f"q_{latent}"] = Gaussian(_folded(q.loc, trials, rank), _folded(q.scale, trials, rank + q.full))
        likelihood = ops.sum(log_likelihood(p_x, target, self.model.context), axis=(-2, -1))
        densities = latent_densities(self.model, outputs, x)
        return likelihood + sum(
            densities[f"log_p_{latent}"] - densities[f"log_q_{latent}"] for latent in self.model.latent_names
        )


def _folded(value: Any, trials: Any, rank: int) -> Any:
    """(trials, samples, ...) of rows that samples have repeated, with a samples axis of the graph or without."""
    return ops.reshape(value, (trials, -1, *ops.shape(value)[1 + len(value.shape) - rank :]))
