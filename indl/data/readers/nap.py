"""pynapple's objects: spikes or signals cut into trials. The objects are enough, pynapple itself is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width
from indl.data.spikes.binning import bin_spikes
from indl.data.spikes.windows import cut_windows
from indl.data.values.series import as_series, sampled
from indl.data.values.trials import Trials


def from_pynapple(
    data: Any,
    align: Any = None,
    *,
    bin_width_s: float | None = None,
    window_s: tuple[float, float] | None = None,
    intervals: Any = None,
    label: Any = None,
    **kwargs: Any,
) -> Trials:
    """Trials of a pynapple TsGroup (spikes), TsdFrame or Tsd (a signal, or counts that are binned already).

    Args:
        data: TsGroup: its spikes are binned. TsdFrame or Tsd: its samples are the bins; integers are taken for counts,
            other numbers for a signal.
        align: Events, a Ts, Tsd or array of seconds; needs `window_s`.
        bin_width_s: Width of one bin. None: the interval between the samples of a TsdFrame or Tsd.
        window_s: Start and stop around the event, a whole number of bins.
        intervals: Instead of events: the trials as an IntervalSet, each of its own length. None without `align`: the
            data's `time_support`.
        label: Condition of each event or interval, or the name of a column of the metadata of `intervals`.
        **kwargs: `behavior` (a Tsd, TsdFrame or what :func:`~indl.data.bin_spikes` takes), `ext_input`, `max_gap_s`,
            `attrs`; and with a TsGroup all other arguments of :func:`~indl.data.bin_spikes`. Of these,
            `obs_intervals=group.time_support` makes bins outside the support NaN. It is not assumed, because pynapple
            lets the support of a group begin at its first spike unless told otherwise.

    Returns:
        :class:`~indl.data.Trials`; the keys of the group, or the columns of the frame, are `channel_ids`.

    Raises:
        TypeError: If `data` is none of these.
        ValueError: As :func:`~indl.data.bin_spikes`; or if the samples of a signal are not evenly spaced.
    """
    spikes = isinstance(data, Mapping)
    if not hasattr(data, "time_support") or not (spikes or (hasattr(data, "t") and hasattr(data, "values"))):
        raise TypeError(
            f"from_pynapple takes a TsGroup, TsdFrame or Tsd. Got {type(data).__name__}. For arrays use bin_spikes or "
            "Trials."
        )
    if align is None and intervals is None:
        intervals = data.time_support
    where = {} if align is None else {"events_s": align}
    where |= {} if intervals is None else {"start_s": intervals.start, "stop_s": intervals.end}
    if isinstance(label, str):
        label = np.array(intervals.get_info(label).tolist())
    given = {"window_s": window_s, "label": label, "source": f"pynapple {type(data).__name__}", **where, **kwargs}
    return bin_spikes(data, bin_width_s=bin_width_s, **given) if spikes else _cut(data, bin_width_s, **given)


def _cut(
    data: Any,
    bin_width_s: float | None,
    *,
    window_s: Any,
    label: Any,
    source: str,
    behavior: Any = None,
    ext_input: Any = None,
    max_gap_s: float | None = None,
    attrs: Mapping[str, Any] | None = None,
    **where: Any,
) -> Trials:
    """Samples of a signal from the first one of each window on; NaN where there is none within half a bin."""
    signal = as_series(data, "channel")[0]
    times = signal.times_s
    width = _interval(times, bin_width_s)
    windows = cut_windows(bin_width_s=width, window_s=window_s, n_channels=signal.values.shape[1], **where)
    first = np.searchsorted(times, windows.start_s - 1e-6 * width).clip(max=len(times) - 1)
    # In a gap the grid goes on from the window's start.
    start = np.where(np.abs(times[first] - windows.start_s) < width, times[first], windows.start_s)
    when = start[:, None] + np.arange(windows.n_bins.max()) * width
    after = np.searchsorted(times, when).clip(1, len(times) - 1)
    nearest = np.where(when - times[after - 1] < times[after] - when, after - 1, after)
    missing = windows.padding | (np.abs(times[nearest] - when) > width / 2)
    counts = signal.values[nearest].astype(np.float32)
    counts[missing] = np.nan
    found: dict[str, Any] = {} if window_s is None else {"window_s": np.array(window_s, np.float64)}
    sequences = {}
    for name, value in (("behavior", behavior), ("ext_input", ext_input)):
        if value is not None:
            sequences[name], found[f"{name}_names"] = sampled(value, name, when, windows.padding, max_gap_s)
    return Trials(
        counts,
        width,
        channel_ids=np.asarray(getattr(data, "columns", [0])),
        inds=windows.kept,
        start_s=start,
        label=None if label is None else np.asarray(label)[windows.kept],
        attrs={**found, **(attrs or {})},
        source=source,
        are_counts=np.asarray(data.values).dtype.kind in "bui",
        missing=bool(np.isnan(counts).any()),
        **sequences,
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
            f"The samples of a signal must be evenly spaced, one a bin. Got {len(times)} samples about {width:g} s "
            f"apart{'' if bin_width_s is None else f' for bins of {bin_width_s:g} s'}. Bin the signal first, e.g. with "
            "pynapple's bin_average."
        )
    return width if bin_width_s is None else float(bin_width_s)
