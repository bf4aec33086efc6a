"""Spike times to counts: around events, in intervals, or of a whole recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.spikes.bins import Bins
from indl.data.spikes.units import Units
from indl.data.spikes.window import Window, check_window
from indl.data.values.recording import own_attrs
from indl.data.values.series import sampled
from indl.data.values.trials import Trials


def bin_spikes(
    spike_times: Any,
    window: Window,
    *,
    behavior: Any = None,
    ext_input: Any = None,
    attrs: Mapping[str, Any] | None = None,
    source: str = "spike times",
) -> Trials:
    """Counts of spikes in bins around events, or in trials of different length.

    Args:
        spike_times: A list with one array a unit, in any order of spikes; a mapping from unit id to array (pynapple's
            TsGroup is one); a tuple (times, clusters) of two arrays with one entry a spike; or any of these with ids,
            sampling rates or observed intervals, as :class:`~indl.data.Units`.
        window: The trials and their bins, a :class:`~indl.data.Window`.
        behavior, ext_input: A :class:`~indl.data.Series`, a pair (times_s, values), a mapping from names to either, or
            a pynapple Tsd or TsdFrame. Interpolated linearly at the centres of bins; NaN where there are no samples.
        attrs: What else is known; added to what is recorded here.
        source: Where the spikes came from.

    Returns:
        :class:`~indl.data.Trials` with counts (trials, time, units), `start_s` of every trial, and `inds`, the index of
        its event. `attrs` holds `window_s` and the names of the behaviour's dimensions.

    Raises:
        TypeError: If `window` is no Window.
        ValueError: If spike times are not finite, negative, or too late to be seconds; trials leave the recording; or
            arguments do not fit one another.

    Warns:
        UserWarning: About trials left out, units with repeated spike times, silent units and trials.

    Example:
        >>> from indl.data import Window, bin_spikes
        >>> trials = bin_spikes([[0.3, 0.51, 0.52], [0.69]], Window([0.5], (-0.2, 0.2), bin_width_s=0.1))
        >>> trials.counts[0].T.tolist()
        [[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    recording_s = check_window(window).recording_s
    units = spike_times if isinstance(spike_times, Units) else Units(spike_times)
    ids, times = units.in_seconds(0.0 if recording_s is None else recording_s[0])
    bins = window.cut(len(ids))
    counts = count(times, bins, window.tolerance)
    for unit, intervals in enumerate(units.observed(ids)):
        counts[:, :, unit][~bins.inside(intervals)] = np.nan
    if recording_s is not None:
        counts[~bins.inside(np.array([recording_s]))] = np.nan
    counts[bins.padding] = np.nan
    bins, counts = window.recorded(
        bins, counts, "have no recorded bin of any unit", "Check recording_s and obs_intervals"
    )
    # Read-only already, so that it is not copied to be so.
    counts.flags.writeable = False
    fields = fields_of(bins, bins.centers, window, behavior=behavior, ext_input=ext_input, attrs=attrs)
    missing = bool(np.isnan(counts).any())
    return Trials(counts, bins.bin_width_s, channel_ids=ids, source=source, missing=missing, **fields)


def bin_continuous(spike_times: Any, start_s: float, stop_s: float, *, bin_width_s: float, **kwargs: Any) -> Trials:
    """Counts of a whole recording, uncut, as one trial.

    Args:
        spike_times: As for :func:`bin_spikes`.
        start_s, stop_s: What to bin, in seconds; less than a bin may be left over at the end.
        bin_width_s: Width of one bin.
        **kwargs: As for :func:`bin_spikes`: behaviour, attributes.

    Raises:
        ValueError: As :func:`bin_spikes`.

    Example:
        >>> from indl.data import bin_continuous
        >>> bin_continuous({"a": [0.1, 0.9], "b": [1.5]}, 0, 2, bin_width_s=0.5).counts[0].T.tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    return bin_spikes(spike_times, Window(intervals=(start_s, stop_s), bin_width_s=bin_width_s), **kwargs)


def count(times: list[np.ndarray], bins: Bins, tolerance: float) -> np.ndarray:
    """Spikes in each bin, (trials, most bins, units) float32, from ascending times."""
    edges = bins.edges
    if tolerance > 0:
        # Far from zero a time cannot be told from its neighbours in double precision.
        edges = edges - max(tolerance * bins.bin_width_s, 4 * np.spacing(np.abs(edges).max()))
    counts = np.empty((*bins.padding.shape, len(times)), np.float32)
    for unit, spikes in enumerate(times):
        counts[:, :, unit] = np.diff(np.searchsorted(spikes, edges), axis=1)
    return counts


def fields_of(
    bins: Bins, when_s: np.ndarray, window: Window, *, attrs: Mapping[str, Any] | None = None, **series: Any
) -> dict[str, Any]:
    """Fields of :class:`~indl.data.Trials` that come of how they were cut.

    Args:
        bins: The trials.
        when_s: When the series are sampled, (trials, most bins).
        window: What the trials were cut with.
        attrs: What else is known; added to what is recorded here.
        **series: `behavior` and `ext_input`, as for :func:`bin_spikes`.
    """
    known: dict[str, Any] = {} if window.window_s is None else {"window_s": np.array(window.window_s)}
    found = {"inds": bins.kept, "start_s": bins.start_s, "label": bins.label}
    for name, value in series.items():
        if value is not None:
            found[name], known[f"{name}_names"] = sampled(value, name, when_s, bins.padding, window.max_gap_s)
    return {**found, "attrs": {**known, **own_attrs(attrs or {})}}
