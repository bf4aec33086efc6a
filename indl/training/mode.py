"""How a training step runs: as a plain graph, or compiled by XLA, whole or in parts side by side; by measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from indl.model.steps.side_by_side import divisible, parts_for
from indl.sampling.draws import compiled

#: Seconds of training, as a plain graph, below which a compilation is not paid back.
WORTH_S = 60.0
#: What the compiled step must save, so that noise does not decide.
_MARGIN = 0.9
_REPEATS = 4
_OPERATIONS_PER_S = 1e10
#: More parts than any machine has cores would be traced for hours.
_MOST_PARTS = 1024


class _Numbers(TypedDict):
    compiled: bool | None
    parts: Annotated[int, Field(ge=0, le=_MOST_PARTS)]


class Mode:
    """The mode of one run: chosen when it starts, kept in its state, and the same when it goes on.

    Args:
        setting: ``"on"``, ``"off"`` or ``"auto"``, the param `jit_compile`.
        parts: parts of a batch that are compiled and run side by side, the param `batch_parts`; 0: as many as the
            cores take.

    Attributes:
        compiled: whether the step is compiled; None: not chosen yet.
        parts: in how many parts; 1 for the whole batch.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(self, setting: str, parts: int = 0):
        self.compiled: bool | None = {"on": True, "off": False}.get(setting)
        self.parts = parts

    def state(self) -> dict[str, Any]:
        return {"compiled": self.compiled, "parts": self.parts}

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state has the mode that was asked for, if one was."""
        return self.compiled in (None, state["compiled"])

    def restore(self, state: dict[str, Any]) -> None:
        self.compiled, self.parts = state["compiled"], state["parts"]

    def choose(self, model: Any, x: Any, y: Any, steps: int) -> None:
        """Sets the mode of the model, measured on one batch where it is not known yet; nothing else is changed.

        Args:
            model: a built model.
            x, y: inputs and target of a batch, tensors; y is None where the input is its own target.
            steps: how many steps the run has; a short one is not worth a compilation.
        """
        # What was traced before may be of other settings.
        model.forget_steps()
        model.batch_parts = 1
        if divisible(model) and self.compiled is not False:
            model.batch_parts = self.parts or parts_for(tf.nest.flatten(x)[0].shape[0])
        if self.compiled is None:
            self.compiled = compiling_pays(model, x, y, steps)
        self.parts = model.batch_parts = model.batch_parts if self.compiled else 1
        model.jit_compile = self.compiled


def compiling_pays(model: Any, x: Any, y: Any, steps: int, worth_s: float = WORTH_S) -> bool:
    """Times the gradient of one batch in both modes.

    Args:
        model, x, y, steps: see :meth:`Mode.choose`.
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
    in_parts = on and model.batch_parts > 1
    variables = [variable.value for variable in model.trainable_variables]

    def gradient(x: Any, y: Any = None) -> Any:
        if in_parts:
            return model.side_by_side().gradient(x, y)
        with compiled(on), tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), training=True)
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    # With any number of trials, as in training, which then need not compile the parts again.
    batch = [x] if y is None else [x, y]
    signature = tf.nest.map_structure(lambda part: tf.TensorSpec((None, *part.shape[1:]), part.dtype), batch)
    step = tf.function(gradient, jit_compile=on and not in_parts, autograph=False, input_signature=signature)
    step(*batch)
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        tf.nest.map_structure(np.asarray, step(*batch))
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
