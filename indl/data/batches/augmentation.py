"""Augmentations that move samples of a batch: spike jitter and temporal shift.

Randomness comes from the generator that is passed; functions without one are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from indl.data.values.trials import time_mask


@dataclass(frozen=True)
class Augmentation:
    """What happens to the input ``x`` and the target ``target`` of every training batch, for :class:`Batches`.

    Spikes are jittered first. Where the input is the first bins and channels of the target it stays so: its spikes move
    alike. No spike moves from the bins that the input has to later ones, or back, so none that is to be predicted is
    seen. Then both are shifted, each by draws of its own.

    Args:
        jitter_width: Largest move of a spike in bins. 0: no jitter.
        shift_std: Standard deviation of the shifts in bins. 0: no shift.
        shift_max: Largest shift in either direction, in bins.
    """

    jitter_width: int = 0
    shift_std: float = 0.0
    shift_max: int = 6

    def __call__(self, batch: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
        x, target = batch["x"], batch["target"]
        if self.jitter_width:
            bins, channels = x.shape[1:]
            same = x is target or np.array_equal(x, target[:, :bins, :channels])
            pieces = (target[:, :bins], target[:, bins:])
            target = np.concatenate([jitter_spikes(piece, self.jitter_width, rng=rng) for piece in pieces], axis=1)
            x = target[:, :bins, :channels] if same else jitter_spikes(x, self.jitter_width, rng=rng)
        if self.shift_std:
            x, target = (
                temporal_shift(part, draw_shift(part.shape[::2], self.shift_std, self.shift_max, rng=rng))
                for part in (x, target)
            )
        return {**batch, "x": x, "target": target}


def jitter_spikes(counts: np.ndarray, width: int = 2, *, rng: np.random.Generator) -> np.ndarray:
    """Moves every spike by a whole number of bins, all of -width .. width alike likely.

    A spike that would leave the trial is reflected at its first or last bin: from bin 0, one bin earlier is bin 1. None
    is lost.

    Args:
        counts: Spike counts (batch, time, channels).
        width: Largest move in bins.
        rng: Source of the moves.

    Raises:
        ValueError: If a value is no count, or missing.
    """
    at = np.flatnonzero(counts)
    found = counts.ravel()[at]
    # NaN is none of these.
    if not ((found > 0) & (found == np.round(found))).all():
        raise ValueError(
            "Spike jitter moves whole spikes. Given: values that are no counts, or are missing. Jitter spike counts "
            "without gaps, or use a width of 0."
        )
    at = np.repeat(at, found.astype(np.intp))
    bins, channels = counts.shape[1:]
    start = at // channels % bins
    to = start + rng.integers(-width, width + 1, len(at))
    # A way there and back through the trial is one period of the reflections.
    period = max(2 * (bins - 1), 1)
    to %= period
    to = np.minimum(to, period - to)
    return np.bincount(at + (to - start) * channels, minlength=counts.size).astype(counts.dtype).reshape(counts.shape)


def draw_shift(shape: tuple[int, int], std: float = 3.0, max_shift: int = 6, *, rng: np.random.Generator) -> np.ndarray:
    """A shift in bins for every trial and channel: normal draws, rounded and bounded.

    Args:
        shape: (batch, channels).
        std: Standard deviation of the draws in bins.
        max_shift: Largest shift in either direction.
        rng: Source of the draws.
    """
    return round_shift(std * rng.standard_normal(shape), max_shift)


def round_shift(raw: np.ndarray, max_shift: int = 6) -> np.ndarray:
    """Whole bins from real ones: rounded, then bounded by `max_shift` in either direction."""
    return np.clip(np.rint(raw), -max_shift, max_shift).astype(np.int64)


def temporal_shift(x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Moves every channel of every trial in time; its first or last value fills the end left free.

    For signals such as EMG envelopes. (lfads-torch draws one shift for the input and another for the target.) A missing
    sample (NaN) moves like any other, within its trial: the padding of a trial that ends before the others stays.

    Args:
        x: (batch, time, channels).
        shift: Bins by which each is moved later, whole numbers (batch, channels).
    """
    t = np.arange(x.shape[1])[:, None]
    ends = time_mask(x).sum(axis=1)[:, None, None]
    source = np.where(t < ends, np.clip(t - shift[:, None, :], 0, np.maximum(ends - 1, 0)), t)
    return np.take_along_axis(x, source, axis=1)
