"""TensorBoard's logs of a run, which never cost the run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from indl.files import refusal


class Logs(keras.callbacks.Callback):
    """Writes the terms of every epoch and the params for TensorBoard.

    Where the logs cannot be written, it says so once, and training goes on without them.

    Args:
        folder: where to write.
        params: for TensorBoard's table of runs.
    """

    def __init__(self, folder: Path, params: Mapping[str, Any]):
        super().__init__()
        self.folder = folder
        self.hparams = params
        self._board = keras.callbacks.TensorBoard(folder, write_graph=False)
        self._lost = False

    def _log(self, write: Callable[..., Any], *args: Any) -> None:
        if self._lost:
            return
        try:
            write(*args)
        except (OSError, tf.errors.OpError) as error:
            self._lost = True
            number = refusal(error)
            why = "cannot be written" if number is None else os.strerror(number)
            warnings.warn(f"TensorBoard's logs end here: {why}. Given: {self.folder}. Training goes on.", stacklevel=2)

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self._log(self._board.set_params, params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._log(self._board.set_model, model)

    def on_train_begin(self, logs: Any = None) -> None:
        self._log(_write_hparams, self.folder, self.hparams)
        self._log(self._board.on_train_begin, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._log(self._board.on_train_batch_begin, batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._log(self._board.on_train_batch_end, batch, logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self._log(self._board.on_test_begin, logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._log(self._board.on_test_end, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._log(self._board.on_epoch_begin, epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._log(self._board.on_epoch_end, epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._log(self._board.on_train_end, logs)


def _write_hparams(folder: Path, params: Mapping[str, Any]) -> None:
    from tensorboard.plugins.hparams import api

    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in params.items()
    }
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        api.hparams(plain)
    writer.close()
