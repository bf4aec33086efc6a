"""pynapple's objects: spikes or signals cut into trials. The objects are enough, pynapple itself is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width
from indl.data.spikes.binning import bin_spikes, fields_of
from indl.data.spikes.window import Window, check_window
from indl.data.values.series import as_series
from indl.data.values.trials import Trials


def from_pynapple(
    data: Any,
    window: Window | None = None,
    *,
    behavior: Any = None,
    ext_input: Any = None,
    attrs: Mapping[str, Any] | None = None,
) -> Trials:
    """Trials of a pynapple TsGroup (spikes), TsdFrame or Tsd (a signal, or counts that are binned already).

    Bins outside the `time_support` of a group do not become NaN, because pynapple lets the support begin at the first
    spike unless told otherwise. ``bin_spikes(Units(group, obs_intervals=group.time_support), window)`` makes them NaN,
    and with ``edges="drop"`` leaves out trials that are wholly outside; of a signal such trials are left out here.

    Args:
        data: TsGroup: its spikes are binned. TsdFrame or Tsd: its samples are the bins; integers are taken for counts,
            other numbers for a signal.
        window: The trials and their bins, a :class:`~indl.data.Window`. Without events and intervals the data's
            `time_support` is cut; without a bin width the interval between the samples of a TsdFrame or Tsd is taken.
        behavior, ext_input: As for :func:`~indl.data.bin_spikes`.
        attrs: What else is known.

    Returns:
        :class:`~indl.data.Trials`; the keys of the group, or the columns of the frame, are `channel_ids`.

    Raises:
        TypeError: If `data` is none of these.
        ValueError: As :func:`~indl.data.bin_spikes`; or if the samples of a signal are not evenly spaced.
    """
    spikes = isinstance(data, Mapping)
    if not hasattr(data, "time_support") or not (spikes or (hasattr(data, "t") and hasattr(data, "values"))):
        raise TypeError(
            f"from_pynapple takes a TsGroup, TsdFrame or Tsd. Given: {type(data).__name__}. For arrays use bin_spikes "
            "or Trials."
        )
    window = Window() if window is None else check_window(window)
    if window.events is None and window.intervals is None:
        window = replace(window, intervals=data.time_support)
    given = {"behavior": behavior, "ext_input": ext_input, "attrs": attrs}
    source = f"pynapple {type(data).__name__}"
    return bin_spikes(data, window, source=source, **given) if spikes else _cut(data, window, source, given)


def _cut(data: Any, window: Window, source: str, given: dict[str, Any]) -> Trials:
    """Samples of a signal from the first one of each window on; NaN where there is none within half a bin."""
    signal = as_series(data, "channel")[0]
    are_counts = np.asarray(data.values).dtype.kind in "bui"
    width = _interval(signal.times_s, window.bin_width_s)
    # pynapple gives counts the centres of their bins as times.
    half = width / 2 if are_counts else 0.0
    times = signal.times_s - half
    bins = replace(window, bin_width_s=width).cut(signal.values.shape[1])
    first = np.searchsorted(times, bins.start_s - 1e-6 * width).clip(max=len(times) - 1)
    # In a gap the grid goes on from the window's start.
    start = np.where(np.abs(times[first] - bins.start_s) < width, times[first], bins.start_s)
    bins = replace(bins, start_s=start)
    when = bins.edges[:, :-1]
    after = np.searchsorted(times, when).clip(1, len(times) - 1)
    nearest = np.where(when - times[after - 1] < times[after] - when, after - 1, after)
    counts = signal.values[nearest].astype(np.float32)
    counts[bins.padding | (np.abs(times[nearest] - when) > width / 2)] = np.nan
    bins, counts = window.recorded(
        bins, counts, "hold no sample", "Choose trials within the time_support of the data", stacklevel=4
    )
    return Trials(
        counts,
        width,
        channel_ids=np.asarray(getattr(data, "columns", [0])),
        source=source,
        are_counts=are_counts,
        missing=bool(np.isnan(counts).any()),
        **fields_of(bins, bins.edges[:, :-1] + half, window, **given),
    )


def _interval(times: np.ndarray, bin_width_s: float | None) -> float:
    """The interval between samples that are evenly spaced but for gaps."""
    steps = np.diff(times)
    width = float(np.median(steps)) if len(steps) else 0.0
    bins = np.rint(steps / width) if width > 0 else steps
    even = width > 0 and (bins > 0).all() and (np.abs(steps - bins * width) < 0.1 * width).all()
    if even:
        # The median alone carries the rounding of a single step into every later bin.
        width = round(float(steps.sum() / bins.sum()), 12)
    if not even or (bin_width_s is not None and not np.isclose(width, check_bin_width(bin_width_s), rtol=1e-3)):
        raise ValueError(
            f"The samples of a signal must be evenly spaced, one a bin. Given: {len(times)} samples about {width:g} s "
            f"apart{'' if bin_width_s is None else f' for bins of {bin_width_s:g} s'}. Bin the signal first, e.g. with "
            "pynapple's bin_average."
        )
    return width if bin_width_s is None else float(bin_width_s)
