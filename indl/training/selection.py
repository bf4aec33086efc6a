"""Keeping the weights of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.files.schema import Count, Score


class _Numbers(TypedDict):
    best: Score
    epoch: Count | None
    waited: Count


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the least `monitor`, puts them back at the end, and stops in good time.

    Where no epoch could be chosen, the last weights stay.

    Args:
        monitor: a logged metric, the less the better; epochs where it is not finite are not chosen.
        first: first epoch that may be chosen.
        patience: epochs without improvement after which training stops. 0: it never does.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(self, monitor: str, first: int = 0, patience: int = 0):
        super().__init__()
        self.monitor = monitor
        self.first = first
        self.patience = patience
        self.best = math.inf
        self.epoch: int | None = None
        self.waited = 0
        self.weights: list[np.ndarray] = []

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self.epoch, "waited": self.waited, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.epoch = state["best"], state["epoch"]
        self.waited, self.weights = state["waited"], state["weights"]

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state has the score of its epoch, and weights of this model."""
        best, epoch, weights = state["best"], state["epoch"], state["weights"]
        if epoch is None:
            return best == math.inf and not weights
        wanted = [(weight.shape, weight.dtype) for weight in model.get_weights()]
        alike = [(weight.shape, weight.dtype) for weight in weights] == wanted
        scores = history.get(self.monitor, [])
        scored = epoch < len(scores) and scores[epoch] == best and state["waited"] <= len(scores)
        return scored and alike and all(np.isfinite(weight).all() for weight in weights)

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return bool(self.patience) and self.waited >= self.patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch < self.first:
            return
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"The metric that selects weights is not logged. Given: monitor={self.monitor!r}. "
                f"Choose one of {', '.join(sorted(logs or {}))}."
            )
        self.waited += 1
        if logs[self.monitor] < self.best:
            self.best, self.epoch, self.waited = float(logs[self.monitor]), epoch, 0
            self.weights = self.model.get_weights()
        if self.exhausted:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self.epoch is None:
            self.weights = self.model.get_weights()
        self.put_back()

    def put_back(self) -> None:
        """Gives the model the weights of the best epoch, or the last ones; after what other callbacks gave it."""
        if self.weights:
            self.model.set_weights(self.weights)
