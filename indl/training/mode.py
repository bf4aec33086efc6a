"""Whether a training step runs compiled by XLA or as a plain graph: what is faster on this device, by measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from indl.layers.draws import compiled

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
    """

    def __init__(self, setting: str):
        self.compiled: bool | None = {"on": True, "off": False}.get(setting)

    def state(self) -> dict[str, Any]:
        return {"compiled": self.compiled}

    def restore(self, state: dict[str, Any]) -> None:
        self.compiled = state["compiled"]

    def choose(self, model: Any, x: Any, y: Any, steps: int) -> bool:
        """The mode, measured on one batch where it is not known yet; the model is left as it was."""
        if self.compiled is None:
            self.compiled = compiling_pays(model, x, y, steps)
        return self.compiled


def compiling_pays(model: Any, x: Any, y: Any, steps: int, worth_s: float = WORTH_S) -> bool:
    """Times the gradient of one batch in both modes.

    Args:
        model: a built model.
        x, y: inputs and target of a batch, tensors; y is None where the input is its own target.
        steps: how many steps the run has; a short one is not worth a compilation.
        worth_s: seconds of plain training from which the compiled step is tried at all.

    Returns:
        Whether the compiled step is faster by a tenth at least.
    """
    # A short run is not worth the tracing of a measurement either.
    if steps * _estimate(model, x) <= worth_s:
        return False
    before = [variable.numpy().copy() for variable in model.non_trainable_variables + model.metrics_variables]
    plain = _seconds(model, x, y, False)
    faster = plain * steps > worth_s and _seconds(model, x, y, True) < _MARGIN * plain
    # Random states and running means have moved.
    for variable, value in zip(model.non_trainable_variables + model.metrics_variables, before, strict=True):
        variable.assign(value)
    return faster


def _estimate(model: Any, x: Any) -> float:
    """Rough seconds of a step: the products of all weights, forward and back, at what small ones reach."""
    batch, bins = (x["x"] if isinstance(x, Mapping) else x).shape[:2]
    return 6 * model.count_params() * batch * bins / _OPERATIONS_PER_S


def _seconds(model: Any, x: Any, y: Any, on: bool) -> float:
    variables = [variable.value for variable in model.trainable_variables]

    def gradient(x: Any, y: Any) -> Any:
        with compiled(on), tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), training=True)
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    step = tf.function(gradient, jit_compile=on, autograph=False)
    step(x, y)
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        np.asarray(step(x, y)[0])
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
