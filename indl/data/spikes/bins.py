"""The bins of trials, in seconds of one clock: their edges, and which of them lie in intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Bins:
    """Trials that begin at `start_s` and have `n_bins` bins of `bin_width_s`.

    Args:
        start_s: Start of each trial's first bin, (trials,).
        n_bins: Number of whole bins of each trial, (trials,).
        bin_width_s: Width of one bin.
        kept: Index of each trial among what was given, (trials,).
        label: Condition of each trial, (trials,).
    """

    start_s: np.ndarray
    n_bins: np.ndarray
    bin_width_s: float
    kept: np.ndarray
    label: np.ndarray | None = None

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins of every trial, (trials, most bins + 1); those of shorter trials go on after their end."""
        return self.start_s[:, None] + np.arange(self.n_bins.max() + 1) * self.bin_width_s

    @property
    def centers(self) -> np.ndarray:
        """Centres of the bins, (trials, most bins)."""
        return self.start_s[:, None] + (np.arange(self.n_bins.max()) + 0.5) * self.bin_width_s

    @property
    def padding(self) -> np.ndarray:
        """Which bins lie after the end of their trial, (trials, most bins) bool."""
        return np.arange(self.n_bins.max()) >= self.n_bins[:, None]

    def inside(self, intervals: np.ndarray) -> np.ndarray:
        """Which bins lie wholly inside one of the ascending intervals (n, 2), (trials, most bins) bool."""
        if not len(intervals):
            return np.zeros(self.padding.shape, bool)
        edges = self.edges
        slack = max(1e-6 * self.bin_width_s, 4 * np.spacing(np.abs(edges).max()))
        found = np.searchsorted(intervals[:, 0], edges[:, :-1] + slack, side="right") - 1
        return (found >= 0) & (edges[:, 1:] - slack <= intervals[found, 1])

    def __getitem__(self, which: np.ndarray) -> Bins:
        """Some of the trials."""
        label = None if self.label is None else self.label[which]
        return Bins(self.start_s[which], self.n_bins[which], self.bin_width_s, self.kept[which], label)


def pairs(intervals: Any) -> np.ndarray:
    """Starts and stops (n, 2) of anything that holds them; one interval may be a pair."""
    if hasattr(intervals, "start") and hasattr(intervals, "end"):  # as pynapple's IntervalSet
        intervals = np.stack([intervals.start, intervals.end], axis=1)
    return np.atleast_2d(np.asarray(intervals))
