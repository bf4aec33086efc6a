"""Hyper-parameter search over any preset, beta schedules included, with keras-tuner."""

from indl.tuning.hypermodel import SequentialHyperModel
from indl.tuning.isolated import IsolatedRandomSearch, IsolatedTrials
from indl.tuning.schema import SearchError

__all__ = ["IsolatedRandomSearch", "IsolatedTrials", "SearchError", "SequentialHyperModel"]
