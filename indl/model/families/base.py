"""What a family of models must define, so that it trains, tunes, scores and loads like the others."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

from indl.data.values.recording import Recording
from indl.model.latent_model import LatentModel
from indl.model.memory import Memory
from indl.params.table import Table


class Family(abc.ABC):
    """One family of models.

    Attributes:
        table: its parameters and presets.
        model: the class of its models.
    """

    table: Table
    model: type[LatentModel]

    @abc.abstractmethod
    def params_for(self, params: Mapping[str, Any], recording: Recording) -> Mapping[str, Any]:
        """The complete params with all sizes that the recording determines."""

    def memory(self, params: Mapping[str, Any], recording: Recording) -> Memory:
        """What training will take in memory, estimated without building anything; nothing where nobody knows."""
        return Memory()

    @abc.abstractmethod
    def build(self, params: Mapping[str, Any], recording: Recording) -> LatentModel:
        """The model for a recording, not trained; `params` are those of :meth:`params_for`."""

    @abc.abstractmethod
    def compile(self, model: LatentModel, params: Mapping[str, Any], n_trials: int, epochs: int) -> None:
        """Gives the model the optimizer of the params, for so many training trials and epochs."""

    @abc.abstractmethod
    def batches(self, params: Mapping[str, Any], recording: Recording, first: int = 0) -> dict[str, Any]:
        """The arguments of ``fit`` that feed it the recording from epoch `first` on, in an order that depends on seed
        and epoch alone."""

    @abc.abstractmethod
    def steps_per_epoch(self, params: Mapping[str, Any], recording: Recording) -> int:
        """Training batches in an epoch."""

    @abc.abstractmethod
    def monitor(self, params: Mapping[str, Any]) -> str:
        """The validation metric, the less the better, that selects weights and trials, whatever the schedules."""

    @abc.abstractmethod
    def check(self, model: LatentModel, recording: Recording) -> None:
        """Raises a ValueError for a recording that the model cannot be trained on."""
