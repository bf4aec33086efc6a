"""How continuous time becomes trials in bins: windows around events, or intervals of their own length."""

from __future__ import annotations

import numbers
import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width
from indl.data.checks.masks import as_array
from indl.data.spikes.bins import Bins, pairs
from indl.text import shown

#: What is done with a trial that leaves the recording.
EDGES = ("raise", "missing", "drop")
# More is refused, so that a time in another unit does not fill the memory: 4 GiB of float32.
_MAX_SAMPLES = 2**30
# Two numbers of bins are the same within this.
_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Window:
    """How continuous time becomes trials in bins: windows around events, or intervals of their own length.

    Every reader of spike times takes one. Times are in seconds, of the clock that the spikes have.

    A bin holds the spikes from its start up to, not including, its end. A spike less than `tolerance` of a bin before
    an edge counts as on it, because most decimal times have no exact binary number: a spike at 0.3 s belongs to the
    bin from 0.3 s even where arithmetic makes that edge 0.30000000000000004.

    Args:
        events: Time of each event, (trials,), or a pynapple Ts. NaN, a trial without the event, is left out with a
            warning. For :func:`~indl.data.read_nwb` also the name of a column.
        window_s: Start and stop of the window relative to the event, e.g. (-0.2, 0.6): a whole number of bins.
        bin_width_s: Width of one bin. None where the data have bins of their own.
        intervals: Instead of events and window, start and stop of each trial: (trials, 2), one pair, or a pynapple
            IntervalSet. As many whole bins as fit are taken; shorter trials are padded with NaN. For
            :func:`~indl.data.read_nwb` also the name of a table.
        label: Condition of each event or interval, (trials,); or the name of the column that holds it, in the metadata
            of an IntervalSet or the table of an NWB file.
        recording_s: Start and stop of the recording. None: from 0, with an unknown end. No spike may be earlier.
        edges: For trials that leave `recording_s`: "raise" ValueError, "missing" makes bins outside NaN (and leaves out
            trials without any bin inside, with a warning), "drop" leaves the trials out with a warning, and intervals
            that are not finite or shorter than a bin with them.
        tolerance: In bins. 0 compares with the edges `start + k * bin_width_s` as they are in double precision, as
            `numpy.histogram` does.
        max_gap_s: Longest gap between samples of behaviour and external input to interpolate across. None: five times
            the median interval.

    Raises:
        ValueError: If the window is not a whole number of bins (the message names the nearest that is), events come
            without one, or a value is not what it should be.

    Example:
        >>> from indl.data import Window
        >>> Window([1.0, 2.5], (-0.2, 0.6), 0.1).cut().start_s.tolist()
        [0.8, 2.3]
        >>> Window(intervals=[(0, 3), (10, 12)], bin_width_s=0.5).cut().n_bins.tolist()
        [6, 4]
    """

    events: Any = None
    window_s: tuple[float, float] | None = None
    bin_width_s: float | None = None
    _: KW_ONLY
    intervals: Any = None
    label: Any = None
    recording_s: tuple[float, float] | None = None
    edges: str = "raise"
    tolerance: float = 1e-6
    max_gap_s: float | None = None

    def __post_init__(self) -> None:
        if self.edges not in EDGES:
            raise ValueError(f"Unknown treatment of edges. Given: {self.edges!r}. Choose one of {', '.join(EDGES)}.")
        if not isinstance(self.tolerance, numbers.Real) or not 0 <= self.tolerance < 0.5:
            raise ValueError(
                f"tolerance must be a small part of a bin. Given: {shown(self.tolerance)}. Give e.g. 1e-6, or 0."
            )
        if self.events is not None and self.window_s is None:
            raise ValueError(
                f"Events need a window around them. Given: events {shown(self.events)} alone. Say "
                "window_s=(start, stop)."
            )
        checked: dict[str, Any] = {}
        if self.recording_s is not None:
            rule = "recording_s must be the start and the stop of the recording"
            checked["recording_s"] = _span(self.recording_s, rule, "Give (start, stop) in seconds")
        if self.window_s is not None:
            rule = "window_s must be a start before a stop, in seconds relative to the event"
            checked["window_s"] = _span(self.window_s, rule, "Give for example (-0.2, 0.6)")
        if self.bin_width_s is not None:
            checked["bin_width_s"] = check_bin_width(self.bin_width_s)
        # Names stay as they are until a reader has looked them up.
        if self.events is not None and not isinstance(self.events, str):
            checked["events"] = _events(self.events)
        if self.intervals is not None and not isinstance(self.intervals, str):
            checked["intervals"] = _intervals(self.intervals)
            if isinstance(self.label, str) and hasattr(self.intervals, "get_info"):
                checked["label"] = np.array(self.intervals.get_info(self.label).tolist())
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.window_s is not None and self.bin_width_s is not None:
            self._n_bins()

    def cut(self, n_channels: int = 1) -> Bins:
        """The trials and their bins.

        Args:
            n_channels: How many channels will be cut; refuses what would not fit in memory.

        Raises:
            ValueError: Unless either events with a window or intervals are given; if an interval is not finite or
                shorter than a bin, labels are not one a trial, trials leave the recording, or none is left.

        Warns:
            UserWarning: About trials that are left out.
        """
        width = check_bin_width(self.bin_width_s)
        given = [name for name in ("events", "window_s", "intervals") if getattr(self, name) is not None]
        if given == ["events", "window_s"]:
            starts, bins = self.events + self.window_s[0], np.full(len(self.events), self._n_bins())
        elif given == ["intervals"]:
            starts, bins = self.intervals[:, 0], self._whole_bins(width)
        else:
            raise ValueError(
                f"Give either events with window_s, or intervals. Given: {', '.join(given) or 'none of them'}. Leave "
                "out the others."
            )
        samples = len(starts) * float(bins.max()) * n_channels
        if samples > _MAX_SAMPLES:
            raise ValueError(
                f"The counts must fit in memory. Given: {len(starts)} trials of up to {bins.max():.0f} bins and "
                f"{n_channels} channels, {samples * 4 / 2**30:.3g} GiB. Check the unit of the times (seconds), use "
                "wider bins, or cut fewer trials."
            )
        label = None if self.label is None else np.asarray(self.label)
        if label is not None and label.shape != starts.shape:
            raise ValueError(
                f"label must be one value a trial. Given: shape {label.shape} for {len(starts)} trials. "
                "Give one for each."
            )
        found = Bins(starts, bins.astype(np.int64), width, np.arange(len(starts)), label)
        absent, what, advice = np.isnan(starts), "events are NaN", "Align to another event"
        if given == ["intervals"]:
            absent, what = bins < 1, f"intervals are not finite or shorter than a bin of {width:g} s"
            advice = "Correct them, or use narrower bins"
        if absent.any():
            what = f"{np.count_nonzero(absent)} of {len(absent)} {what}, the first is number {absent.argmax()}"
            if absent.all():
                raise ValueError(f"There must be {what.split()[3]}. Given: {what}. {advice}.")
            warnings.warn(f"Left out: {what}.", UserWarning, stacklevel=3)
            found = found[~absent]
        return found[self._inside(found)]

    def stay(self, bins: Bins, bad: np.ndarray, what: str, rule: str, advice: str, stacklevel: int = 3) -> np.ndarray:
        """Which trials remain, (trials,) bool, as `edges` asks: all, or those that are not bad, with a warning.

        Args:
            bins: The trials.
            bad: Which of them are not as they should be, (trials,) bool.
            what: What those do, for the message.
            rule: What trials must do.
            advice: What else to do than to leave them out.
            stacklevel: Depth of the caller that the warning is shown for.

        Raises:
            ValueError: If trials are bad and `edges` is "raise", or all are.
        """
        if not bad.any():
            return ~bad
        first = np.argmax(bad)
        found = (
            f"{np.count_nonzero(bad)} of {len(bad)} trials {what}; the first is trial {bins.kept[first]}, which starts "
            f"at {bins.start_s[first]:.6g} s with {bins.n_bins[first]} bins"
        )
        if self.edges == "raise" or bad.all():
            raise ValueError(
                f"{rule} Given: {found}. {advice}, or say edges='drop' to leave such trials out, if others remain."
            )
        warnings.warn(f"Left out: {found}.", UserWarning, stacklevel=stacklevel)
        return ~bad

    def recorded(
        self, bins: Bins, values: np.ndarray, what: str, advice: str, stacklevel: int = 3
    ) -> tuple[Bins, np.ndarray]:
        """The trials that hold a sample, as :meth:`stay` decides, with values no longer than the longest of them.

        Args:
            bins: The trials.
            values: Theirs, (trials, time, channels), NaN where nothing was recorded.
            what, advice, stacklevel: As of :meth:`stay`.

        Raises:
            ValueError: As :meth:`stay`.
        """
        empty, rule = np.isnan(values).all(axis=(1, 2)), "Every trial needs something recorded."
        kept = self.stay(bins, empty, what, rule, advice, stacklevel + 1)
        if kept.all():
            return bins, values
        bins = bins[kept]
        return bins, values[kept, : bins.n_bins.max()]

    def _inside(self, bins: Bins) -> np.ndarray:
        """Which trials remain for the recording's ends."""
        if self.recording_s is None or self.edges == "missing":
            return np.ones(len(bins.kept), bool)
        start, stop = self.recording_s
        slack = _SLACK * bins.bin_width_s
        return self.stay(
            bins,
            (bins.start_s < start - slack) | (bins.start_s + bins.n_bins * bins.bin_width_s > stop + slack),
            f"leave the recording from {start:g} to {stop:g} s",
            "Trials must lie in the recording.",
            "Choose a smaller window, say edges='missing' (bins outside become NaN)",
            stacklevel=5,
        )

    def _n_bins(self) -> int:
        """Number of bins of the window."""
        start, stop = self.window_s
        bins = (stop - start) / self.bin_width_s
        whole = max(round(bins), 1) if np.isfinite(bins) else 1
        if abs(bins - whole) > _SLACK * whole:
            raise ValueError(
                f"The window must be a whole number of bins. Given: {stop - start:g} s from {start:g} to {stop:g} s, "
                f"{bins:.6g} bins of {self.bin_width_s:g} s. The nearest that fits is window_s=({start:g}, "
                f"{start + whole * self.bin_width_s:.9g})."
            )
        return whole

    def _whole_bins(self, width: float) -> np.ndarray:
        """Number of whole bins of each interval; 0 where it cannot be a trial and `edges` leaves such out."""
        finite = np.isfinite(self.intervals).all(axis=1)
        lasts = np.where(finite[:, None], self.intervals, 0.0) @ [-1.0, 1.0]
        bins = np.maximum(np.floor(lasts / width + _SLACK), 0)
        if self.edges != "drop":
            _require(finite, "intervals must be finite", self.intervals)
            _require(bins >= 1, f"Every trial must last at least one bin of {width:g} s", self.intervals)
        return bins


def check_window(window: Any) -> Window:
    """What is given as a window, if it is one.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(window, Window):
        raise TypeError(
            f"Trials are cut by a Window. Given: {shown(window)}. Give Window(events, (-0.2, 0.6), bin_width_s=0.02), "
            "or Window(intervals=..., bin_width_s=0.02)."
        )
    return window


def _span(value: Any, rule: str, advice: str) -> tuple[float, float]:
    span = np.asarray(value)
    if span.dtype.kind not in "iuf" or span.shape != (2,) or not span[0] < span[1]:
        raise ValueError(f"{rule}. Given: {shown(value)}. {advice}.")
    return float(span[0]), float(span[1])


def _events(values: Any) -> np.ndarray:
    # A pynapple Ts carries its times in `t`.
    values = np.atleast_1d(as_array(getattr(values, "t", values)))
    if values.dtype.kind not in "uif" or values.ndim != 1 or not values.size:
        raise ValueError(
            f"events must be one time a trial, in seconds. Given: shape {values.shape} of {values.dtype}. Give a "
            "vector of numbers."
        )
    values = values.astype(np.float64)
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise ValueError(
            f"events must be finite. Given: {infinite.size} infinite of {len(values)}, the first at index "
            f"{infinite[0]}. Remove them."
        )
    return values


def _intervals(values: Any) -> np.ndarray:
    values = pairs(values)
    if values.dtype.kind not in "uif" or values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(
            f"intervals must be the start and stop of each trial, in seconds. Given: shape {values.shape} of "
            f"{values.dtype}. Give an array (trials, 2), or one pair (start, stop)."
        )
    return values.astype(np.float64)


def _require(good: np.ndarray, rule: str, intervals: np.ndarray) -> None:
    bad = np.flatnonzero(~good)
    if bad.size:
        i = bad[0]
        raise ValueError(
            f"{rule}. Given: {bad.size} of {len(good)} trials that do not, the first is trial {i} from "
            f"{intervals[i, 0]:g} to {intervals[i, 1]:g} s. Correct them, or say edges='drop' to leave "
            "such trials out, if others remain."
        )
