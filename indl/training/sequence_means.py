"""The means of the sequences in training, estimated anew before every epoch."""

from __future__ import annotations

from typing import Any

import keras

from indl.data.values.recording import Split
from indl.model.inputs.of_recording import inputs_of


class SequenceMeans(keras.callbacks.Callback):
    """Sets the means of the training's sequences to the likeliest ones, given the posteriors of all their trials.

    Adam moves a row of the table in the few steps of an epoch that have trials of its sequence: with many sequences of
    few trials the rows stay where they started, and f learns nothing. This is the hierarchical sampling of Hsu and
    Glass 2018 (arXiv:1804.03201) with all sequences at once; between two epochs the rows are trained.

    Args:
        part: the training trials.
    """

    def __init__(self, part: Split):
        super().__init__()
        self._part = part

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.estimate_sequences(inputs_of(self.model, self._part, labels=True), trained=True)
