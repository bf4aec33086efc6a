"""Spike times to counts: around events, from a start to a stop, or of a whole recording."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.checks.arrays import shown
from indl.data.spikes.times import per_unit, units_of
from indl.data.spikes.windows import Windows, cut_windows
from indl.data.values.recording import own_attrs
from indl.data.values.series import sampled
from indl.data.values.trials import Trials


def bin_spikes(
    spike_times: Any,
    events_s: Any = None,
    *,
    bin_width_s: float,
    window_s: tuple[float, float] | None = None,
    start_s: Any = None,
    stop_s: Any = None,
    unit_ids: Any = None,
    sampling_rate_hz: Any = None,
    offset_s: Any = 0.0,
    label: Any = None,
    behavior: Any = None,
    ext_input: Any = None,
    max_gap_s: float | None = None,
    obs_intervals: Any = None,
    recording_s: tuple[float, float] | None = None,
    edges: str = "raise",
    tolerance: float = 1e-6,
    attrs: Mapping[str, Any] | None = None,
    source: str = "spike times",
) -> Trials:
    """Counts of spikes in bins around events, or in trials of different length.

    A bin holds the spikes from its start up to, not including, its end. A spike less than `tolerance` of a bin before
    an edge counts as on it, because most decimal times have no exact binary number: a spike at 0.3 s belongs to the
    bin from 0.3 s even where arithmetic makes that edge 0.30000000000000004.

    Args:
        spike_times: A list with one array a unit, in any order of spikes; a mapping from unit id to array (pynapple's
            TsGroup is one); or a tuple (times, clusters) of two arrays with one entry a spike.
        events_s: Time of each event, (trials,). NaN, a trial without the event, is left out with a warning.
        bin_width_s: Width of one bin.
        window_s: Start and stop of the window relative to the event, e.g. (-0.2, 0.6): a whole number of bins.
        start_s, stop_s: Instead of events and window, start and stop of each trial, (trials,). As many whole bins as
            fit are taken; shorter trials are padded with NaN.
        unit_ids: Id of each array of a list (None: 0, 1, ...), or which ids of a mapping or of clusters to take.
        sampling_rate_hz: Samples per second where spike times are sample numbers: one for all units, one a unit (1
            where times are in seconds) or a mapping from id. None: seconds.
        offset_s: Added to a unit's times to bring it to the clock of the events; one, one a unit or a mapping likewise.
        label: Condition of each event or trial, (trials,).
        behavior, ext_input: A :class:`~indl.data.Series`, a pair (times_s, values), a mapping from names to either, or
            a pynapple Tsd or TsdFrame. Interpolated linearly at the centres of bins; NaN where there are no samples.
        max_gap_s: Longest gap between samples of `behavior` and `ext_input` to interpolate across. None: five times
            the median interval.
        obs_intervals: When units were recorded: (intervals, 2) start and stop for all, or a list or mapping with one
            such array a unit (pynapple's IntervalSet is one). Bins not wholly inside become NaN.
        recording_s: Start and stop of the recording. None: from 0, with an unknown end. No spike may be earlier.
        edges: For trials that leave `recording_s`: "raise" ValueError, "missing" makes bins outside NaN (and leaves out
            trials without any bin inside, with a warning), "drop" leaves the trials out with a warning.
        tolerance: In bins. 0 compares with the edges `start + k * bin_width_s` as they are in double precision, as
            `numpy.histogram` does.
        attrs: What else is known; added to what is recorded here.
        source: Where the spikes came from.

    Returns:
        :class:`~indl.data.Trials` with counts (trials, time, units), `start_s` of every trial, and `inds`, the index of
        its event. `attrs` holds `window_s` and the names of the behaviour's dimensions.

    Raises:
        ValueError: If spike times are not finite, negative, or too late to be seconds; the window is not a whole number
            of bins; trials leave the recording; or arguments do not fit one another.

    Warns:
        UserWarning: About trials left out, units with repeated spike times, silent units and trials.

    Example:
        >>> from indl.data import bin_spikes
        >>> trials = bin_spikes([[0.3, 0.51, 0.52], [0.69]], [0.5], window_s=(-0.2, 0.2), bin_width_s=0.1)
        >>> trials.counts[0].T.tolist()
        [[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    if not isinstance(tolerance, numbers.Real) or not 0 <= tolerance < 0.5:
        raise ValueError(f"tolerance must be a small part of a bin. Got {shown(tolerance)}. Give e.g. 1e-6, or 0.")
    recording_s = None if recording_s is None else _recording(recording_s)
    ids, times = units_of(
        spike_times,
        unit_ids=unit_ids,
        sampling_rate_hz=sampling_rate_hz,
        offset_s=offset_s,
        earliest_s=0.0 if recording_s is None else recording_s[0],
    )
    windows = cut_windows(
        events_s, bin_width_s=bin_width_s, window_s=window_s, start_s=start_s, stop_s=stop_s, n_channels=len(ids)
    )
    n_given = np.size(start_s if events_s is None else getattr(events_s, "t", events_s))
    if label is not None and np.shape(label) != (n_given,):
        raise ValueError(
            f"label must be one value a trial. Got shape {np.shape(label)} for {n_given} trials. Give one for each."
        )
    windows = windows.within(recording_s, edges)
    counts = count(times, windows, tolerance)
    if obs_intervals is not None:
        for unit, spans in enumerate(_per_unit_intervals(obs_intervals, ids)):
            counts[:, :, unit][~_covered(windows, spans)] = np.nan
    if recording_s is not None:
        counts[~_covered(windows, np.array([recording_s]))] = np.nan
    counts[windows.padding] = np.nan
    counts, windows = _recorded(counts, windows, edges)
    # Read-only already, so that it is not copied to be so.
    counts.flags.writeable = False
    found: dict[str, Any] = {} if window_s is None else {"window_s": np.array(window_s, np.float64)}
    sequences = {}
    for name, value in (("behavior", behavior), ("ext_input", ext_input)):
        if value is not None:
            sequences[name], found[f"{name}_names"] = sampled(value, name, windows.centers, windows.padding, max_gap_s)
    return Trials(
        counts,
        windows.bin_width_s,
        channel_ids=ids,
        inds=windows.kept,
        start_s=windows.start_s,
        label=None if label is None else np.asarray(label)[windows.kept],
        **sequences,
        attrs={**found, **own_attrs(attrs or {})},
        source=source,
        missing=bool(np.isnan(counts).any()),
    )


def bin_continuous(spike_times: Any, start_s: float, stop_s: float, *, bin_width_s: float, **kwargs: Any) -> Trials:
    """Counts of a whole recording, uncut, as one trial.

    Args:
        spike_times: As for :func:`bin_spikes`.
        start_s, stop_s: What to bin, in seconds; less than a bin may be left over at the end.
        bin_width_s: Width of one bin.
        **kwargs: As for :func:`bin_spikes`: units, time bases, behaviour, what was recorded.

    Raises:
        ValueError: As :func:`bin_spikes`.

    Example:
        >>> from indl.data import bin_continuous
        >>> bin_continuous({"a": [0.1, 0.9], "b": [1.5]}, 0, 2, bin_width_s=0.5).counts[0].T.tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    return bin_spikes(spike_times, start_s=[start_s], stop_s=[stop_s], bin_width_s=bin_width_s, **kwargs)


def count(times: list[np.ndarray], windows: Windows, tolerance: float) -> np.ndarray:
    """Spikes in each bin, (trials, most bins, units) float32, from ascending times."""
    edges = windows.edges
    if tolerance > 0:
        # Far from zero a time cannot be told from its neighbours in double precision.
        edges = edges - max(tolerance * windows.bin_width_s, 4 * np.spacing(np.abs(edges).max()))
    counts = np.empty((*windows.padding.shape, len(times)), np.float32)
    for unit, spikes in enumerate(times):
        counts[:, :, unit] = np.diff(np.searchsorted(spikes, edges), axis=1)
    return counts


def _recording(recording_s: Any) -> tuple[float, float]:
    span = np.asarray(recording_s)
    if span.dtype.kind not in "iuf" or span.shape != (2,) or not span[0] < span[1]:
        raise ValueError(
            f"recording_s must be the start and the stop of the recording. Got {shown(recording_s)}. Give (start, "
            "stop) in seconds."
        )
    return float(span[0]), float(span[1])


def _per_unit_intervals(obs_intervals: Any, ids: np.ndarray) -> list[np.ndarray]:
    value = per_unit(obs_intervals, ids, "obs_intervals")
    for_all = hasattr(value, "start") or all(np.ndim(item) == 1 and len(item) == 2 for item in value)
    value = [value] * len(ids) if for_all else list(value)
    if len(value) != len(ids):
        raise ValueError(
            f"obs_intervals must be for all units, or for each. Got {len(value)} for {len(ids)} units. Give one (n, 2) "
            "array, or a list or mapping with one a unit."
        )
    return [_intervals(spans, unit) for spans, unit in zip(value, ids, strict=True)]


def _intervals(spans: Any, unit: Any) -> np.ndarray:
    """Intervals (n, 2), ascending, with those that touch or overlap made one."""
    if hasattr(spans, "start"):
        spans = np.stack([spans.start, spans.end], axis=1)
    spans = np.asarray(spans, dtype=np.float64)
    spans = spans.reshape(0, 2) if spans.size == 0 else spans
    if spans.ndim != 2 or spans.shape[1] != 2 or not (spans[:, 0] <= spans[:, 1]).all():
        raise ValueError(
            f"obs_intervals must be starts with stops that are not earlier. Got shape {spans.shape} for unit {unit}, "
            f"beginning {spans.tolist()[:2]}. Give (intervals, 2) in seconds."
        )
    starts, stops = spans[np.argsort(spans[:, 0], kind="stable")].T
    stops = np.maximum.accumulate(stops)
    new = np.concatenate([[True], starts[1:] > stops[:-1] + 1e-9])[: len(starts)]
    return np.stack([starts[new], stops[np.append(new[1:], True)[: len(starts)]]], axis=1)


def _covered(windows: Windows, spans: np.ndarray) -> np.ndarray:
    """Which bins lie wholly inside one of the ascending intervals, (trials, most bins) bool."""
    if not len(spans):
        return np.zeros(windows.padding.shape, bool)
    edges = windows.edges
    slack = max(1e-6 * windows.bin_width_s, 4 * np.spacing(np.abs(edges).max()))
    inside = np.searchsorted(spans[:, 0], edges[:, :-1] + slack, side="right") - 1
    return (inside >= 0) & (edges[:, 1:] - slack <= spans[inside, 1])


def _recorded(counts: np.ndarray, windows: Windows, edges: str) -> tuple[np.ndarray, Windows]:
    """The trials in which something was recorded."""
    empty = np.isnan(counts).all(axis=(1, 2))
    if not empty.any():
        return counts, windows
    found = (
        f"{np.count_nonzero(empty)} of {len(empty)} trials have no recorded bin of any unit; the first is trial "
        f"{windows.kept[np.argmax(empty)]}"
    )
    if edges == "raise" or empty.all():
        raise ValueError(
            f"Every trial needs something recorded. Got: {found}. Check recording_s and obs_intervals, or say "
            "edges='drop' to leave such trials out, if others remain."
        )
    warnings.warn(f"Left out: {found}.", UserWarning, stacklevel=3)
    return counts[~empty], windows[~empty]
