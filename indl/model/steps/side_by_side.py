"""The gradient of a batch whose parts are computed side by side, each compiled by XLA.

XLA runs a loop over time on one core. The trials of a batch are independent, so as many parts as there are cores keep
all of them busy.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import keras
import tensorflow as tf

from indl.sampling.draws import compiled

#: Fewer trials than this in a part leave too little work for a matrix product.
_MIN_TRIALS = 16
#: Between the seeds of neighbouring parts.
_APART = 0x1E3779B1


def divisible(model: Any) -> bool:
    """Whether batches can be taken in parts: the loss is a mean over trials, computed on the cores of one machine."""
    return model.objective.separable and model.distribute_strategy.num_replicas_in_sync == 1 and not _has_gpu()


def parts_for(batch: int) -> int:
    """How many parts of a batch of that many trials fill the cores; 1 where a GPU computes it."""
    # Not every system tells which cores a process may use.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = tf.config.threading.get_inter_op_parallelism_threads() or usable
    return 1 if _has_gpu() else max(1, min(cores, batch // _MIN_TRIALS))


def _has_gpu() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


class SideBySide:
    """A model's loss, and its gradient, of batches whose trials are dealt into parts.

    Every part draws numbers of its own. Metrics of all parts are added up, and a training batch of which one part is
    not finite is left out of them.

    Args:
        model: a compiled :class:`~indl.model.latent_model.LatentModel`.
        parts: number of parts.
    """

    def __init__(self, model: Any, parts: int):
        self.model = model
        self.parts = parts
        self.weights = list(model.trainable_variables)
        self.seeds = model.random_states
        self.sums = model.metrics_variables
        self._functions = {
            training: tf.function(functools.partial(self._one, training), jit_compile=True, autograph=False)
            for training in (True, False)
        }

    def gradient(self, x: Any, y: Any = None, sample_weight: Any = None) -> list[Any]:
        """The gradient of every trainable variable in training; random states and metrics move on."""
        gradients, shares = self._run((x, y, sample_weight), True)
        return [
            tf.add_n([part * share for part, share in zip(parts, shares, strict=True)])
            for parts in zip(*gradients, strict=True)
        ]

    def evaluate(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        """Adds the loss of a batch, without dropout, to the metrics."""
        self._run((x, y, sample_weight), False)

    def _run(self, batch: tuple, training: bool) -> tuple[tuple, list]:
        """Gradients of the parts and their shares in the batch."""
        n = tf.shape(tf.nest.flatten(batch)[0])[0]
        weights, seeds = _tensors(self.weights), _tensors(self.seeds)
        found, shares = [], []
        for i in range(self.parts):
            begin, end = n * i // self.parts, n * (i + 1) // self.parts
            # Of fewer trials than parts, some parts are given a trial that does not count.
            stop = tf.maximum(end, begin + 1)
            part = tf.nest.map_structure(lambda t, a=begin, b=stop: None if t is None else t[a:b], batch)
            own = [seed + tf.constant([i * _APART, 0], seed.dtype) for seed in seeds]
            found.append(self._functions[training](part, weights, own))
            shares.append(tf.cast(end - begin, "float32") / tf.cast(n, "float32"))
        gradients, drawn, added, finite = zip(*found, strict=True)
        finite = tf.reduce_min(tf.stack(finite), 0)
        if training:
            self.model.finite_terms.assign(finite)
        for variable, state in zip(self.seeds, drawn[0], strict=True):
            variable.assign(state)
        for variable, sums in zip(self.sums, zip(*added, strict=True), strict=True):
            whole = tf.add_n([tf.where(share > 0, part, 0) for part, share in zip(sums, shares, strict=True)])
            variable.assign_add(tf.where(tf.reduce_all(finite > 0), whole, 0))
        return gradients, shares

    def _one(self, training: bool, part: tuple, weights: list, seeds: list) -> tuple[list, list, list, Any]:
        """Gradient, random states and sums of one part; no variable is written, so that parts may run at once."""
        model = self.model
        variables = [*self.weights, *self.seeds, *self.sums, model.finite_terms]
        empty = [tf.zeros(variable.shape, variable.dtype) for variable in self.sums]
        values = [*weights, *seeds, *empty, tf.ones(model.finite_terms.shape)]
        given = list(zip(variables, values, strict=True))
        with compiled(True), tf.GradientTape() as tape, keras.StatelessScope(state_mapping=given) as scope:
            tape.watch(weights)
            x, y, sample_weight = part
            loss = model.compute_loss(x, y, model(x, training=training), sample_weight, training=training)
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero") if training else []
        seeds, sums = ([scope.get_current_value(v) for v in group] for group in (self.seeds, self.sums))
        return gradients, seeds, sums, scope.get_current_value(model.finite_terms)


def _tensors(variables: list) -> list:
    return [tf.convert_to_tensor(variable) for variable in variables]
