"""How a training step runs: as a plain graph, or compiled by XLA, whole or in parts side by side; by measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from indl.layers.draws import compiled
from indl.model.side_by_side import SideBySide, divisible, parts_for

#: Seconds of training, as a plain graph, below which a compilation is not paid back.
WORTH_S = 60.0
#: What the compiled step must save, so that noise does not decide.
_MARGIN = 0.9
_REPEATS = 4
_OPERATIONS_PER_S = 1e10


class Mode:
    """The mode of one run: chosen when it starts, kept in its state, and the same when it goes on.

    Args:
        setting: ``"on"``, ``"off"`` or ``"auto"``, the param `jit_compile`.
        parts: parts of a batch that are compiled and run side by side, the param `batch_parts`; 0: as many as the
            cores take, or with ``"auto"`` what is measured to be faster.

    Attributes:
        compiled: whether the step is compiled; None: not chosen yet.
        parts: in how many parts; 1 for the whole batch.
    """

    def __init__(self, setting: str, parts: int = 0):
        self.compiled: bool | None = {"on": True, "off": False}.get(setting)
        self.parts = parts

    def state(self) -> dict[str, Any]:
        return {"compiled": self.compiled, "parts": self.parts}

    def restore(self, state: dict[str, Any]) -> None:
        self.compiled, self.parts = state["compiled"], state["parts"]

    def choose(self, model: Any, x: Any, y: Any, steps: int) -> None:
        """Sets the mode of the model, measured on one batch where it is not known yet; nothing else is changed.

        Args:
            model: a built model.
            x, y: inputs and target of a batch, tensors; y is None where the input is its own target.
            steps: how many steps the run has; a short one is not worth a compilation.
        """
        parts = 1
        if divisible(model):
            parts = self.parts or parts_for(tf.nest.flatten(x)[0].shape[0])
        if self.compiled is None:
            # Parts that were asked for are not weighed against the whole.
            modes = {0, parts} if self.parts else {0, 1, parts}
            parts = fastest(model, x, y, steps, sorted(modes))
            self.compiled = parts > 0
        self.parts = parts if self.compiled else 1
        model.jit_compile, model.batch_parts = self.compiled, self.parts


def fastest(model: Any, x: Any, y: Any, steps: int, modes: Sequence[int], worth_s: float = WORTH_S) -> int:
    """Times the gradient of one batch in several modes.

    Args:
        model, x, y, steps: see :meth:`Mode.choose`.
        modes: parts of the batch that are compiled; 0, the first: a plain graph.
        worth_s: seconds of plain training from which compiled steps are tried at all.

    Returns:
        The fastest mode; a compiled one only where it saves a tenth at least.
    """
    # A short run is not worth the tracing of a measurement either.
    if steps * _estimate(model, x) <= worth_s:
        return 0
    before = [variable.numpy().copy() for variable in model.non_trainable_variables + model.metrics_variables]
    seconds = {0: _seconds(model, x, y, 0)}
    if seconds[0] * steps > worth_s:
        seconds |= {mode: _seconds(model, x, y, mode) / _MARGIN for mode in modes if mode}
    # Random states and running means have moved.
    for variable, value in zip(model.non_trainable_variables + model.metrics_variables, before, strict=True):
        variable.assign(value)
    return min(seconds, key=seconds.get)


def _estimate(model: Any, x: Any) -> float:
    """Rough seconds of a step: the products of all weights, forward and back, at what small ones reach."""
    batch, bins = (x["x"] if isinstance(x, Mapping) else x).shape[:2]
    return 6 * model.count_params() * batch * bins / _OPERATIONS_PER_S


def _seconds(model: Any, x: Any, y: Any, mode: int) -> float:
    variables = [variable.value for variable in model.trainable_variables]

    def gradient(x: Any, y: Any) -> Any:
        if mode > 1:
            return SideBySide(model, mode)(x, y)
        with compiled(mode == 1), tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), training=True)
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    step = tf.function(gradient, jit_compile=mode == 1, autograph=False)
    step(x, y)
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        tf.nest.map_structure(np.asarray, step(x, y))
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
