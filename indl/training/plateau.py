"""The learning rate that falls while a validation metric does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.files.schema import Count, Finite, Score


class _Numbers(TypedDict):
    smoothed: Finite | None
    best: Score
    waited: Count


class PlateauRate(keras.callbacks.Callback):
    """Multiplies the learning rate by `decay` after more than `patience` epochs without a new lowest metric.

    As in LFADS. The metric is smoothed first, ``s <- (1 - smoothing) s + smoothing new``; equal is not lower; epochs
    are counted anew after every fall. An epoch whose metric is not finite is one without a lower metric, and leaves
    ``s`` as it was. The rate itself is a variable of the optimizer. Logs `learning_rate`, that of the epoch
    which ends.

    Args:
        patience: epochs without a lower metric that pass without consequence.
        decay: factor on the rate, in (0, 1].
        stop: the rate does not fall below it.
        smoothing: weight of the new value, in (0, 1]; 1 does not smooth.
        monitor: a logged metric, the less the better.
        first: first epoch that is looked at. LFADS begins with 0; the end of the ramps is the choice where the metric
            grows with the weight of the KL terms.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(
        self,
        patience: int = 6,
        decay: float = 0.95,
        stop: float = 1e-5,
        smoothing: float = 0.7,
        monitor: str = "val_heldin_nll",
        first: int = 0,
    ):
        super().__init__()
        if patience < 0 or not 0 < decay <= 1 or stop < 0 or not 0 < smoothing <= 1:
            raise ValueError(
                "A plateau needs patience >= 0, 0 < decay <= 1, stop >= 0 and 0 < smoothing <= 1. Given: "
                f"patience={patience}, decay={decay}, stop={stop}, smoothing={smoothing}. Mend the value that is out "
                "of range."
            )
        self.patience = patience
        self.decay = decay
        self.stop = stop
        self.smoothing = smoothing
        self.monitor = monitor
        self.first = first
        self.smoothed: float | None = None
        self.best = math.inf
        self.waited = 0

    def state(self) -> dict[str, Any]:
        return {"smoothed": self.smoothed, "best": self.best, "waited": self.waited}

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state has waited no longer than training has lasted, for less than the lowest it has seen."""
        seen = state["smoothed"] is None or state["best"] <= state["smoothed"]
        return seen and state["waited"] <= len(history["loss"])

    def restore(self, state: dict[str, Any]) -> None:
        self.smoothed, self.best, self.waited = state["smoothed"], state["best"], state["waited"]

    def on_train_begin(self, logs: Any = None) -> None:
        try:
            self._set_rate(self._rate())
        except TypeError:
            # Better now than at the first plateau, after hours.
            raise ValueError(
                "The learning rate of this optimizer follows a schedule of its own and cannot be set. Given: "
                f"{type(self.model.optimizer).__name__}. Compile the model with a number as learning rate."
            ) from None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self._rate()
        if epoch < self.first:
            return
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"The metric that sets the learning rate is not logged. Given: monitor={self.monitor!r}. "
                f"Choose one of {', '.join(sorted(logs or {}))}."
            )
        value = float(logs[self.monitor])
        self.waited += 1
        if math.isfinite(value):
            before = value if self.smoothed is None else self.smoothed
            self.smoothed = (1 - self.smoothing) * before + self.smoothing * value
            if self.smoothed < self.best:
                self.best, self.waited = self.smoothed, 0
        if self.waited > self.patience:
            rate = self._rate()
            self._set_rate(min(rate, max(rate * self.decay, self.stop)))
            self.waited = 0

    def _rate(self) -> float:
        rate = self.model.optimizer.learning_rate
        return float(rate.value.numpy() if isinstance(rate, keras.Variable) else rate)

    def _set_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate
