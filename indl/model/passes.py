"""Inference as traced functions of a graph's inputs: posterior means, samples, decoding of given latents, endpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from indl.data.checks.arrays import check_whole
from indl.model.steps.side_by_side import parts_for
from indl.sampling.modes import GivenLatents, PosteriorSamples, sampling

Function = Callable[..., dict[str, Any]]


class Passes:
    """The passes of one graph, each traced once.

    Args:
        symbols: the symbolic inputs by name.
        outputs: the symbolic outputs by name.
        samplers: names of the layers that draw latents, in the order of their random streams.
    """

    def __init__(self, symbols: Mapping[str, Any], outputs: Mapping[str, Any], samplers: Sequence[str]):
        self.symbols = dict(symbols)
        self.outputs = dict(outputs)
        self.samplers = list(samplers)
        self._traced: dict[tuple, Any] = {}

    def means(self, names: Sequence[str]) -> Function:
        """Outputs `names` of inputs (a dict), on posterior means."""
        graph = self._graph(names)

        def values(x: Any) -> dict[str, Any]:
            # Means, also of a model whose layers sample at test.
            with sampling(GivenLatents({})):
                return graph(x, training=False)

        return values

    def samples(self, names: Sequence[str]) -> Function:
        """Outputs `names` of inputs, number of samples and seed (two integers), averaged over posterior samples."""
        graph = self._graph(names)

        def values(x: Any, samples: Any, seed: Any) -> dict[str, Any]:
            first = x["x"]
            # Shapes that are known make a compiled pass much faster.
            trials = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
            with sampling(PosteriorSamples(trials * samples, seed[0], seed[1], self.samplers)):
                result = graph(x, training=False)
            return {
                name: tf.reduce_mean(tf.reshape(value, tf.concat([[trials, -1], tf.shape(value)[1:]], 0)), 1)
                for name, value in result.items()
            }

        return values

    def decoded(self, names: Sequence[str]) -> Function:
        """Outputs `names` of inputs, which lend their shape, and of given latents (a dict by the outputs' names)."""
        graph = self._graph(names)

        def values(x: Any, latents: Mapping[str, Any]) -> dict[str, Any]:
            given = {self.outputs[name].name: value for name, value in latents.items()}
            with sampling(GivenLatents(given)):
                return graph(x, training=False)

        return tf.function(values, autograph=False, reduce_retracing=True)

    def endpoint(self, symbols: Mapping[str, Any], more: Mapping[str, int]) -> Function:
        """Flat outputs of inputs on posterior means, for export.

        Args:
            symbols: symbolic outputs by name.
            more: by name, axes behind the trials that are left out: samples, whose entries are alike on means, and the
                one step of a z for all bins.
        """
        graph = keras.Model(self.symbols, dict(symbols))

        def values(x: Any) -> dict[str, Any]:
            with sampling(GivenLatents({})):
                found = graph(x, training=False)
            return {name: first_entries(value, more.get(name, 0)) for name, value in found.items()}

        return values

    def run(
        self,
        names: Sequence[str],
        x: Mapping[str, np.ndarray],
        batch_size: int,
        samples: int = 0,
        seed: int = 0,
        compiled: bool = False,
    ) -> dict[str, Any]:
        """Outputs of all trials as arrays, batch by batch.

        Args:
            names: outputs.
            x: checked, complete inputs.
            batch_size: trials, or trials times samples, computed at once.
            samples: posterior samples to average over; 0: posterior means.
            seed: seed of the samples.
            compiled: compile for one number of trials and deal the trials of a batch to the cores.
        """
        batch_size, seed = check_whole(batch_size, "batch_size", 1), check_whole(seed, "seed", 0, 2**31 - 1)
        n = len(x["x"])
        trials = min(n, max(1, batch_size // max(samples, 1)))
        parts = min(trials, parts_for(trials * max(samples, 1))) if compiled else 0
        key = (samples if compiled else bool(samples), parts, tuple(names))
        if key not in self._traced:
            traced = self._trace_parts(names, samples, parts) if parts else self._trace(names, bool(samples))
            self._traced[key] = traced
        found = []
        for i in range(0, n, trials):
            # What is compiled is so for one number of trials: the last batch begins where it is full.
            begin = min(i, n - trials) if compiled else i
            batch = {name: part[begin : begin + trials] for name, part in x.items()}
            values = self._traced[key](batch, tf.constant(samples), tf.constant([seed, begin], tf.int32))
            found.append(tf.nest.map_structure(lambda value, new=i - begin: np.asarray(value)[new:], values))
        return {name: _joined([part[name] for part in found]) for name in names}

    def _graph(self, names: Sequence[str]) -> keras.Model:
        return keras.Model(self.symbols, {name: self.outputs[name] for name in names})

    def _pass(self, names: Sequence[str], sampled: bool) -> Function:
        if sampled:
            return self.samples(names)
        means = self.means(names)
        return lambda x, samples, seed: means(x)

    def _trace(self, names: Sequence[str], sampled: bool) -> Any:
        # With its signature fixed, a pass is traced once, whatever the number of trials.
        samples, seed = tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.int32)
        inputs = {name: tf.TensorSpec(symbol.shape, tf.float32) for name, symbol in self.symbols.items()}
        return tf.function(self._pass(names, sampled), autograph=False, input_signature=[inputs, samples, seed])

    def _trace_parts(self, names: Sequence[str], samples: int, parts: int) -> Any:
        """A pass over parts of the trials side by side, each compiled."""
        values = self._pass(names, bool(samples))
        # How many samples there are is part of the compiled shapes.
        one = tf.function(lambda x, seed: values(x, samples, seed), jit_compile=True, autograph=False)

        def side_by_side(x: Any, _: Any, seed: Any) -> dict[str, Any]:
            n = x["x"].shape[0]
            cuts = [n * i // parts for i in range(parts + 1)]
            found = [
                one({name: part[a:b] for name, part in x.items()}, seed + [0, a]) for a, b in itertools.pairwise(cuts)
            ]
            return tf.nest.map_structure(lambda *values: tf.concat(values, 0), *found)

        return tf.function(side_by_side, autograph=False)


def first_entries(values: Any, axes: int) -> Any:
    """Values without so many axes behind the trials: the first entry along each."""
    return values[(slice(None), *[0] * axes)]


def _joined(parts: list[Any]) -> Any:
    """Joins batches of arrays, or of tuples of arrays, along the trials."""
    if isinstance(parts[0], tuple | list):
        return type(parts[0])(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
    return np.concatenate(parts)
