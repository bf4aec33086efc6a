"""Beta schedules, selection of weights, and the training run that joins them."""

from indl.training.fit import make_optimizer, train
from indl.training.schedules import BetaSchedule, BetaSchedules, WeightSchedule

__all__ = ["BetaSchedule", "BetaSchedules", "WeightSchedule", "make_optimizer", "train"]
