"""A progress bar over epochs that shows the time left."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress(keras.callbacks.Callback):
    """Shows epoch, loss terms, elapsed and remaining time: a live bar in a terminal, ten lines elsewhere.

    Args:
        monitor: the validation metric to show beside the loss.
        console: where to write.
    """

    def __init__(self, monitor: str, console: Console | None = None):
        super().__init__()
        self.monitor = monitor
        self.console = console or Console()
        self.bar: Progress | None = None
        #: The epoch that training began with; None: there was nothing to train.
        self.first: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.start = time.monotonic()
        self.total = self.params["epochs"]
        if self.console.is_terminal:
            columns = (
                TextColumn("epoch"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task("", total=self.total)
            self.bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # A run that was resumed has not spent its time on the epochs before.
        self.first = epoch if self.first is None else self.first

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        objective = self.model.objective
        names = ("loss", *(name for name in objective.scores if name in objective.parts), self.monitor)
        text = "  ".join(f"{name} {logs[name]:.1f}" for name in names if name in (logs or {}))
        if self.bar is not None:
            self.bar.update(self.task, completed=epoch + 1, description=text)
        elif (epoch + 1) % max(1, self.total // 10) == 0:
            spent = time.monotonic() - self.start
            left = spent / (epoch + 1 - self.first) * (self.total - epoch - 1)
            text = f"epoch {epoch + 1}/{self.total}  {text}  {spent:.0f} s, {left:.0f} s left"
            self.console.print(text, soft_wrap=True)

    def on_train_end(self, logs: Any = None) -> None:
        self.close()
        self.console.print("trained; model, scores and figures follow ...")

    def close(self) -> None:
        """Takes the live bar off the terminal; Keras does not say when a run has failed."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
