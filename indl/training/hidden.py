"""Validation on samples hidden from the encoder: a score that no schedule touches and that copying cannot win."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.data.values.recording import Split
from indl.layers.coordinated_dropout import hidden_input
from indl.model.inputs.of_recording import inputs_of


def hidden_nll(model: Any, part: Split | np.ndarray, folds: int = 4, seed: int = 0) -> float:
    """Negative log-likelihood of the encoder's input in nats per trial, each element predicted while hidden from it.

    The elements are dealt into `folds` complementary sets. Each set in turn is hidden as coordinated
    dropout hides it (the rest is divided by the visible fraction) and scored from posterior means.

    Args:
        model: a :class:`~indl.model.sequence_model.SequentialVAE`.
        part: a part of a recording; or trials (trials, time, channels), for a model that reads nothing else.
        folds: number of sets, at least 2.
        seed: seed of the deal; the same trials and seed give the same sets.
    """
    if folds < 2:
        raise ValueError(f"Hidden validation needs at least two sets. Given: folds={folds!r}. Use 4.")
    x = part.encod if isinstance(part, Split) else part
    # One stream for the whole deal, some trials at a time: the trials may be more than memory holds.
    rng = np.random.default_rng(seed)
    total = 0.0
    at_once = max(1, 2 * model.rows_at_once() // folds)
    for i in range(0, len(x), at_once):
        trials = slice(i, i + at_once)
        given = inputs_of(model, part, trials) if isinstance(part, Split) else x[trials]
        given = given if isinstance(given, dict) else {"x": given}
        fold = rng.integers(folds, size=np.shape(given["x"]))
        total += _hidden_sum(model, given, fold, folds)
    return total / len(x)


def _hidden_sum(model: Any, given: dict[str, Any], fold: np.ndarray, folds: int) -> float:
    x = np.asarray(given["x"], "float32")
    # What is missing cannot be scored; the segment of the f-encoder is never hidden, in training neither.
    segment, log1p = model.context.segment, (model.params or {}).get("input_transform") == "log1p"
    fold[np.isnan(x)] = -1
    fold[:, :segment] = -1
    # All sets in one pass, one after the other along the trials.
    hidden = np.concatenate([fold == k for k in range(folds)])
    inputs = {name: np.tile(value, (folds, *[1] * (np.ndim(value) - 1))) for name, value in {**given, "x": x}.items()}
    inputs["x"] = hidden_input(inputs["x"], hidden, 1 / folds, segment, log1p)
    target = np.tile(pad_target(x, model), (folds, 1, 1))
    log_prob = model.log_prob(inputs if len(given) > 1 else inputs["x"], target, batch_size=len(target))
    return -float(log_prob[:, : x.shape[1], : x.shape[2]][hidden].sum(dtype="float64"))


def pad_target(x: np.ndarray, model: Any) -> np.ndarray:
    """`x` with zeros in the held-out channels and forward steps, whose likelihood is left out."""
    width = model.passes.outputs["rates"].shape[-1]
    return np.pad(x, ((0, 0), (0, model.context.forward_steps), (0, width - x.shape[2])))


class _Numbers(TypedDict):
    value: float | None


class HiddenValidation(keras.callbacks.Callback):
    """Logs ``val_hidden_nll`` (:func:`hidden_nll` of the validation trials) at the end of epochs.

    Args:
        part: the validation part of a recording, or its trials as the encoder sees them.
        every: epochs between two evaluations; the last value is logged in between.
        first: epoch from which the score may choose weights; it is evaluated then in any case.
        folds, seed: see :func:`hidden_nll`.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(self, part: Split | np.ndarray, every: int = 1, first: int = 0, folds: int = 4, seed: int = 0):
        super().__init__()
        self.part = part
        self.every = every
        self.first = first
        self.folds = folds
        self.seed = seed
        self.value: float | None = None

    def state(self) -> dict[str, Any]:
        return {"value": self.value}

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state has the score that was logged last."""
        value, last = state["value"], history.get("val_hidden_nll", [None])[-1]
        return value == last or (value != value and last != last)

    def restore(self, state: dict[str, Any]) -> None:
        self.value = state["value"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        due = (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs")
        if self.value is None or due or epoch == self.first:
            self.value = hidden_nll(self.model, self.part, self.folds, self.seed)
        if logs is not None:
            logs["val_hidden_nll"] = self.value
