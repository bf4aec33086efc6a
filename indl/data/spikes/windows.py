"""The bins of trials: windows around events, or spans from a start to a stop, in seconds of one clock."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width, shown

#: What is done with a trial that leaves the recording.
EDGES = ("raise", "missing", "drop")
# More is refused, so that a time in another unit does not fill the memory: 4 GiB of float32.
_MAX_SAMPLES = 2**30
# Two numbers of bins are the same within this.
_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Windows:
    """Trials that begin at `start_s` and have `n_bins` bins of `bin_width_s`.

    Args:
        start_s: Start of each trial's first bin, (trials,).
        n_bins: Number of whole bins of each trial, (trials,).
        bin_width_s: Width of one bin.
        kept: Index of each trial among what was given, (trials,).
    """

    start_s: np.ndarray
    n_bins: np.ndarray
    bin_width_s: float
    kept: np.ndarray

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

    def __getitem__(self, which: np.ndarray) -> Windows:
        """Some of the trials."""
        return Windows(self.start_s[which], self.n_bins[which], self.bin_width_s, self.kept[which])

    def within(self, recording_s: tuple[float, float] | None, edges: str) -> Windows:
        """The trials that lie in the recording, by `edges`: all or ValueError, all, or those that do with a warning."""
        if edges not in EDGES:
            raise ValueError(f"Unknown treatment of edges. Got {edges!r}. Choose one of {', '.join(EDGES)}.")
        if recording_s is None or edges == "missing":
            return self
        start, stop = recording_s
        slack = _SLACK * self.bin_width_s
        outside = (self.start_s < start - slack) | (self.start_s + self.n_bins * self.bin_width_s > stop + slack)
        if not outside.any():
            return self
        first = np.flatnonzero(outside)[0]
        found = (
            f"{np.count_nonzero(outside)} of {len(outside)} trials leave the recording from {start:g} to {stop:g} s; "
            f"the first is trial {self.kept[first]}, which starts at {self.start_s[first]:.6g} s with "
            f"{self.n_bins[first]} bins"
        )
        if edges == "raise" or outside.all():
            raise ValueError(
                f"Trials must lie in the recording. Got: {found}. Choose a smaller window, or say edges='missing' "
                "(bins outside become NaN) or edges='drop' (such trials are left out, if others remain)."
            )
        warnings.warn(f"Left out: {found}.", UserWarning, stacklevel=4)
        return self[~outside]


def cut_windows(
    events_s: Any = None,
    *,
    bin_width_s: float,
    window_s: tuple[float, float] | None = None,
    start_s: Any = None,
    stop_s: Any = None,
    n_channels: int = 1,
) -> Windows:
    """Windows around events, or trials of their own length.

    Args:
        events_s: Time of each event, (trials,). NaN (a trial without the event) is left out with a warning.
        bin_width_s: Width of one bin.
        window_s: Start and stop relative to the event, e.g. (-0.2, 0.6); a whole number of bins apart.
        start_s, stop_s: Instead of events and a window: start and stop of each trial. As many whole bins as fit are
            taken; less than a bin may be left over at the end.
        n_channels: How many channels will be cut; refuses what would not fit in memory.

    Raises:
        ValueError: Unless exactly one of the two ways is given completely; if the window is not a whole number of
            bins; if a time is not finite, a trial is shorter than a bin, or none is left.
    """
    width = check_bin_width(bin_width_s)
    given = {"events_s": events_s, "window_s": window_s, "start_s": start_s, "stop_s": stop_s}
    given = [name for name, value in given.items() if value is not None]
    if given == ["events_s", "window_s"]:
        events = _times(events_s, "events_s")
        begin, n_bins = whole_bins(window_s, width)
        kept = np.flatnonzero(~np.isnan(events))
        if len(kept) < len(events):
            first = np.flatnonzero(np.isnan(events))[0]
            found = f"{len(events) - len(kept)} of {len(events)} events are NaN, the first is event {first}"
            if not len(kept):
                raise ValueError(f"There must be events. Got: {found}. Align to another event.")
            warnings.warn(f"Left out: {found}.", UserWarning, stacklevel=3)
        starts, bins = events[kept] + begin, np.full(len(kept), n_bins)
    elif given == ["start_s", "stop_s"]:
        starts, stops = _times(start_s, "start_s"), _times(stop_s, "stop_s")
        if len(starts) != len(stops):
            raise ValueError(
                f"start_s and stop_s must have the same trials. Got {len(starts)} and {len(stops)}. Give one of each "
                "a trial."
            )
        _require(np.isfinite(starts) & np.isfinite(stops), "start_s and stop_s must be finite", starts, stops)
        bins = np.floor((stops - starts) / width + _SLACK)
        _require(bins >= 1, f"Every trial must last at least one bin of {width:g} s", starts, stops)
        kept = np.arange(len(starts))
    else:
        raise ValueError(
            f"Give either events_s with window_s, or start_s with stop_s. Got {', '.join(given) or 'none of them'}. "
            "Leave out the others."
        )
    samples = len(starts) * float(bins.max()) * n_channels
    if samples > _MAX_SAMPLES:
        raise ValueError(
            f"The counts must fit in memory. Got {len(starts)} trials of up to {bins.max():.0f} bins and {n_channels} "
            f"channels, {samples * 4 / 2**30:.3g} GiB. Check the unit of the times (seconds), use wider bins, or cut "
            "fewer trials."
        )
    return Windows(starts, bins.astype(np.int64), width, kept)


def whole_bins(window_s: Any, bin_width_s: float) -> tuple[float, int]:
    """The start of a window and its number of bins.

    Raises:
        ValueError: If it is not a start before a stop, or not a whole number of bins; the message names the nearest
            window that is.
    """
    window = np.asarray(window_s)
    good = window.dtype.kind in "iuf" and window.shape == (2,)
    if not good or not np.isfinite(window).all() or not window[0] < window[1]:
        raise ValueError(
            f"window_s must be a start before a stop, in seconds relative to the event. Got {shown(window_s)}. Give "
            "for example (-0.2, 0.6)."
        )
    start, length = float(window[0]), float(window[1] - window[0])
    n_bins = max(round(length / bin_width_s), 1)
    if abs(length / bin_width_s - n_bins) > _SLACK * n_bins:
        raise ValueError(
            f"The window must be a whole number of bins. Got {length:g} s from {start:g} to {window[1]:g} s, "
            f"{length / bin_width_s:.6g} bins of {bin_width_s:g} s. The nearest that fits is window_s="
            f"({start:g}, {start + n_bins * bin_width_s:.9g})."
        )
    return start, n_bins


def _times(values: Any, name: str) -> np.ndarray:
    # A pynapple Ts carries its times in `t`.
    values = np.atleast_1d(np.asarray(getattr(values, "t", values)))
    if values.dtype.kind not in "uif" or values.ndim != 1 or not values.size:
        raise ValueError(
            f"{name} must be one time a trial, in seconds. Got shape {values.shape} of {values.dtype}. Give a vector "
            "of numbers."
        )
    values = values.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise ValueError(
            f"{name} must be finite. Got {infinite.size} infinite of {len(values)}, the first at index {infinite[0]}. "
            "Remove them."
        )
    return values


def _require(good: np.ndarray, rule: str, starts: np.ndarray, stops: np.ndarray) -> None:
    bad = np.flatnonzero(~good)
    if bad.size:
        i = bad[0]
        raise ValueError(
            f"{rule}. Got {bad.size} of {len(good)} trials that do not, the first is trial {i} from {starts[i]:g} to "
            f"{stops[i]:g} s. Leave them out or correct them."
        )
