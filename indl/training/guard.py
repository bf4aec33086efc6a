"""What happens at the first number that is not finite: the step is not taken, and the run says where it was."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.files.schema import Count


class NonFiniteError(FloatingPointError):
    """Training met NaN or infinity. The model still has the weights of the last good step.

    Attributes:
        epoch: epoch of the first such value, counted from 0.
        step: its step within the epoch, counted from 0; None if it came up in validation.
        term: the term of the loss, or the gradient, that broke.
    """

    def __init__(self, epoch: int, step: int | None, term: str, advice: str = ""):
        self.epoch, self.step, self.term = self.where = epoch, step, term
        where = f"epoch {epoch}, " + ("validation" if step is None else f"step {step}")
        super().__init__(
            f"Training broke down. Given: {term} is not finite in {where} (counted from 0). Lower learning_rate or "
            f"max_grad_norm and look for extreme counts, or leave such steps out with skip_nonfinite.{advice}"
        )


class _Numbers(TypedDict):
    count: Count


class FiniteGuard(keras.callbacks.Callback):
    """Watches every step for values that are not finite.

    Args:
        skip: False: raise :class:`NonFiniteError` at the first. True: go on without that step. In either case the
            number of steps left out so far is logged as ``skipped_steps``. An epoch without any other step ends the
            run all the same.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(self, skip: bool = False):
        super().__init__()
        self.skip = skip
        self.count = 0
        self.epoch = 0
        self.in_epoch: list[str] = []

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state has the number of steps that was logged last."""
        return state["count"] == history.get("skipped_steps", [0])[-1]

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        self.in_epoch = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        term = self._broken()
        if term is None:
            return
        if not self.skip:
            raise NonFiniteError(self.epoch, batch, term)
        if not self.count:
            warnings.warn(
                f"A step was left out. Given: {term} is not finite in epoch {self.epoch}, step {batch} (counted from "
                "0). The count of such steps is logged as skipped_steps.",
                UserWarning,
                stacklevel=2,
            )
        self.count += 1
        self.in_epoch.append(term)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.in_epoch and len(self.in_epoch) == self.params["steps"]:
            raise NonFiniteError(epoch, 0, self.in_epoch[0], " Every step of the epoch was left out.")
        if logs is not None:
            logs["skipped_steps"] = self.count
        if self.skip:
            return
        # The sums say less than their parts, so they come last.
        sums = self.model.objective.sums
        for name in sorted(logs or {}, key=lambda name: name.removeprefix("val_") in sums):
            if not np.isfinite(logs[name]):
                raise NonFiniteError(epoch, None, name)

    def _broken(self) -> str | None:
        """The first term of the loss, or else the gradient, that was not finite in the last step."""
        terms = self.model.finite_terms.numpy()
        if not terms.all():
            return self.model.objective.parts[int(np.argmin(terms))]
        finite = getattr(self.model.optimizer, "finite", None)
        if finite is not None and not (found := finite.numpy()).all():
            return f"the gradient of {self.model.trainable_variables[int(np.argmin(found))].path}"
        return None
