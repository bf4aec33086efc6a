"""Sampled signals, such as fluorescence, cut into trials in bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from indl.data.spikes.binning import fields_of
from indl.data.spikes.window import Window, check_window
from indl.data.values.series import Series, sampled
from indl.data.values.trials import Trials


def bin_signals(
    signals: Sequence[Series],
    window: Window,
    *,
    observed: np.ndarray | None = None,
    behavior: Any = None,
    ext_input: Any = None,
    attrs: Mapping[str, Any] | None = None,
    source: str = "signals",
) -> Trials:
    """Trials whose channels are the dimensions of signals, interpolated linearly at the centres of the bins.

    Bins wider than the samples are apart see some of the samples only: cut such signals at their own interval, and
    call :func:`~indl.data.rebin`, which averages.

    Args:
        signals: One or more series; NaN, and gaps longer than the window's `max_gap_s`, are not recorded.
        window: The trials and their bins. Without a bin width the median interval of the first series is taken.
        observed: When there was a recording, ascending intervals (n, 2). None: always.
        behavior, ext_input, attrs: As for :func:`~indl.data.bin_spikes`.
        source: Where the signals came from.

    Returns:
        :class:`~indl.data.Trials` with `are_counts` False; `channel_ids` are the names of the dimensions.

    Raises:
        ValueError: If trials leave the recording or hold no sample, unless the window's `edges` leaves such out; or if
            arguments do not fit one another.

    Example:
        >>> from indl.data import Series, Window
        >>> from indl.data.spikes.signals import bin_signals
        >>> ramp = Series([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], "ramp")
        >>> bin_signals([ramp], Window([1.0], (-1, 1), 0.5)).counts[0, :, 0].tolist()
        [0.25, 0.75, 1.25, 1.75]
    """
    if check_window(window).bin_width_s is None:
        window = replace(window, bin_width_s=float(np.median(np.diff(signals[0].times_s))))
    bins = window.cut(sum(series.values.shape[1] for series in signals))
    values, names = sampled(list(signals), "signals", bins.centers, bins.padding, window.max_gap_s)
    for intervals in (observed, None if window.recording_s is None else np.array([window.recording_s])):
        if intervals is not None:
            values[~bins.inside(intervals)] = np.nan
    bins, values = window.recorded(
        bins, values, "hold no sample of any signal", "Check the times of the signals and of the trials"
    )
    return Trials(
        values,
        bins.bin_width_s,
        channel_ids=names,
        source=source,
        are_counts=False,
        missing=bool(np.isnan(values).any()),
        **fields_of(bins, bins.centers, window, behavior=behavior, ext_input=ext_input, attrs=attrs),
    )
