"""What the checks need to know about an array of trials, gathered in one pass over it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from indl.data.checks.arrays import pieces

# Counts up to this are told apart in the histograms; no neuron fires as often in a bin.
_MAX_COUNT = 255
# Multiplications spent on correlations; beyond that, trials are left out at even distances.
_MAX_PRODUCTS = 4e10


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sums over an array of trials (trials, time, channels); what is not finite counts as not recorded.

    Attributes:
        shape: Shape of the array.
        sums: Sum over time, (trials, channels).
        recorded: Number of recorded bins, (trials, channels).
        lengths: Bins up to the last recorded one, (trials,).
        profile: Mean over trials, (time, channels); NaN where nothing was recorded.
        population: Sum over channels, (trials, time).
        active: Fraction of the channels that are not zero, (trials, time).
        lowest, highest: Range of each channel, (channels,).
        histogram: How often each channel has each count, (channels, 257): the last but one column holds 255, the last
            one all higher counts. None for signals.
        correlation: Correlation between channels in the same bin, (channels, channels); NaN for constant channels.
        lagged: The same with the second channel one bin later.
        digests: A hash of each trial; equal for identical trials alone.
    """

    shape: tuple[int, int, int]
    sums: np.ndarray
    recorded: np.ndarray
    lengths: np.ndarray
    profile: np.ndarray
    population: np.ndarray
    active: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    histogram: np.ndarray | None
    correlation: np.ndarray
    lagged: np.ndarray
    digests: list[bytes]

    @classmethod
    def of(cls, array: Any, counts: bool = True) -> Statistics:
        """The statistics of an array that passed :func:`~indl.data.check_trials`, read piece by piece."""
        n_trials, n_times, n_channels = array.shape
        every = max(1, round(n_trials * n_times * n_channels**2 / _MAX_PRODUCTS))
        sums, recorded = np.zeros((n_trials, n_channels)), np.zeros((n_trials, n_channels), np.int64)
        lengths, digests = np.zeros(n_trials, np.int64), []
        profile, profile_n = np.zeros((n_times, n_channels)), np.zeros((n_times, n_channels))
        population, active = np.zeros((n_trials, n_times)), np.zeros((n_trials, n_times))
        lowest, highest = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
        histogram = np.zeros((n_channels, _MAX_COUNT + 2), np.int64) if counts else None
        moments, late, shift = _Moments(n_channels), _Moments(n_channels), None
        for start, piece in pieces(array):
            rows = slice(start, start + len(piece))
            values = np.asarray(piece, np.float32)
            digests += [hashlib.blake2b(np.ascontiguousarray(trial), digest_size=16).digest() for trial in values]
            there = np.isfinite(values)
            lowest = np.minimum(lowest, np.where(there, values, np.inf).min(axis=(0, 1)))
            highest = np.maximum(highest, np.where(there, values, -np.inf).max(axis=(0, 1)))
            filled = np.where(there, values, 0)
            recorded[rows], profile_n = there.sum(axis=1), profile_n + there.sum(axis=0)
            lengths[rows] = np.where(there.any(axis=2), np.arange(1, n_times + 1), 0).max(axis=1)
            sums[rows], profile = filled.sum(axis=1, dtype=np.float64), profile + filled.sum(axis=0, dtype=np.float64)
            population[rows] = filled.sum(axis=2, dtype=np.float64)
            active[rows] = (filled != 0).mean(axis=2)
            if counts:
                _count(histogram, values, there)
            # Near its mean a channel loses no digits; what was not recorded is put there.
            shift = sums[rows].sum(axis=0) / np.maximum(recorded[rows].sum(axis=0), 1) if shift is None else shift
            chosen = slice(-start % every, None, every)
            centred = np.where(there[chosen], values[chosen] - shift.astype(np.float32), 0)
            moments.add(centred, centred)
            late.add(centred[:, :-1], centred[:, 1:])
        with np.errstate(invalid="ignore", divide="ignore"):
            profile = profile / np.where(profile_n == 0, np.nan, profile_n)
        return cls(
            tuple(array.shape),
            sums,
            recorded,
            lengths,
            profile,
            population,
            active,
            lowest,
            highest,
            histogram,
            moments.correlation(),
            late.correlation(),
            digests,
        )

    @property
    def means(self) -> np.ndarray:
        """Mean of each channel, (channels,); NaN for a channel without a sample."""
        return _ratio(self.sums.sum(axis=0), self.recorded.sum(axis=0))

    @property
    def trial_means(self) -> np.ndarray:
        """Mean of each trial over what was recorded, (trials,)."""
        return _ratio(self.sums.sum(axis=1), self.recorded.sum(axis=1))

    @property
    def missing(self) -> np.ndarray:
        """Number of samples that are missing before the end of each trial, (trials, channels)."""
        return self.lengths[:, None] - self.recorded


class _Moments:
    """Correlations between the channels of two arrays, from their sums and products."""

    def __init__(self, n_channels: int):
        self.n = 0
        self.sums = np.zeros((2, n_channels))
        self.squares = np.zeros((2, n_channels))
        self.products = np.zeros((n_channels, n_channels))

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        same = a is b
        a = a.reshape(-1, a.shape[-1])
        b = a if same else b.reshape(-1, b.shape[-1])
        self.n += len(a)
        self.products += a.T @ b
        for i, values in enumerate((a, b)):
            self.sums[i] += values.sum(axis=0, dtype=np.float64)
            self.squares[i] += np.einsum("ij,ij->j", values, values, dtype=np.float64)

    def correlation(self) -> np.ndarray:
        n = max(self.n, 1)
        means = self.sums / n
        variances = self.squares / n - means**2
        scale = np.sqrt(np.maximum(variances[0][:, None] * variances[1], 0))
        covariance = self.products / n - means[0][:, None] * means[1]
        return np.divide(covariance, scale, out=np.full_like(covariance, np.nan), where=scale > 1e-12)


def _count(histogram: np.ndarray, values: np.ndarray, there: np.ndarray) -> None:
    n_channels, n_columns = histogram.shape
    column = np.clip(np.where(there, values, 0), 0, n_columns - 1).astype(np.int32)
    column += np.arange(n_channels, dtype=np.int32) * n_columns
    histogram += np.bincount(column[there], minlength=histogram.size).reshape(histogram.shape)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=b > 0)
