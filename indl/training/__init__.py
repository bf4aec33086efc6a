"""Beta schedules, selection of weights, and the training run that joins them."""

from indl.training.fit import train
from indl.training.schedules import BetaSchedule, BetaSchedules

__all__ = ["BetaSchedule", "BetaSchedules", "train"]
