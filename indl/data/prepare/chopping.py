"""Cutting continuous recordings into overlapping windows, and merging what a model makes of these."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from indl.data.values.chop_plan import ChopPlan
from indl.data.values.recording import Recording
from indl.data.values.trials import PER_TRIAL, Trials


def chop(trials: Any, window_bins: int, overlap_bins: int = 0, *, last: Literal["drop", "pad"] = "drop") -> Any:
    """Cut long trials into windows of one length.

    Args:
        trials: Trials, as of :func:`~indl.data.load_continuous`; or an array (trials, time, channels) or
            (time, channels).
        window_bins: Number of bins of a window.
        overlap_bins: Number of bins that a window shares with the one before it, at most half of `window_bins`.
        last: ``"drop"``: bins at a trial's end that fill no window are left out. ``"pad"``: they begin one more window,
            which ends in NaN.

    Returns:
        Of an array: the windows (windows, window_bins, channels). Of trials: trials that are windows, with everything
        that belonged to the bins and the `label` of their trial; `start_s` is that of the window, `inds` its index
        among all windows. Windows in which nothing was recorded are left out. Trials remember how they were cut:
        :func:`merge` needs it, and :meth:`~indl.data.Trials.split` leaves training windows out that share bins with
        validation windows. Split windows in blocks (``block=20``), for neighbours are alike.

    Raises:
        ValueError: If the numbers of bins are wrong, or no window fits.

    Example:
        >>> import numpy as np
        >>> from indl.data import chop
        >>> chop(np.arange(8)[:, None], 4, 2)[:, :, 0].tolist()
        [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    """
    if not isinstance(trials, Trials):
        values = np.asarray(trials)
        values = values[None] if values.ndim == 2 else values
        if values.ndim != 3:
            raise ValueError(
                "What is cut must be (trials, time, channels) or (time, channels). Given: shape "
                f"{values.shape}. Add axes."
            )
        return _cut(values, ChopPlan((values.shape[1],) * len(values), window_bins, overlap_bins, last))
    plan = ChopPlan(tuple(trials.lengths), window_bins, overlap_bins, last)
    counts = _cut(trials.counts, plan)
    unknown = np.isnan(counts)
    kept = np.flatnonzero(~unknown.all(axis=(1, 2)))
    found: dict[str, Any] = {}
    for name in PER_TRIAL:
        values = getattr(trials, name)
        if values is not None:
            found[name] = _cut(values, plan)[kept] if values.ndim == 3 else values[plan.trial[kept]]
    if trials.start_s is not None:
        found["start_s"] = found["start_s"] + plan.start[kept] * trials.bin_width_s
    found["inds"] = kept
    missing = bool(unknown[kept].any())
    return replace(trials, counts=counts[kept], attrs={**trials.attrs, **plan.attrs}, missing=missing, **found)


def merge(values: Any, windows: ChopPlan | Trials | Recording, *, inds: Any = None, power: float = 2.0) -> np.ndarray:
    """Put values of windows (counts, rates, factors of any width) back onto the bins they were cut from.

    Where two windows overlap in ``o`` bins, the later one has the weight ``x**power`` with
    ``x = linspace(1/o, 1 - 1/o, o)`` and the earlier one the rest, so the weights of a bin sum to 1 and equal values
    come back exactly. One overlapping bin is taken from the later window.

    Args:
        values: (windows, window_bins, ...), one entry a window.
        windows: How they were cut: trials of :func:`chop`, the recording these were split into, or the plan itself.
        inds: Index of each window of `values`. None: `inds` of the trials; otherwise all windows in their order.
        power: 1: the weights change linearly. The larger it is, the longer the earlier window counts; ``inf``: the
            earlier window alone.

    Returns:
        (trials, time, ...), with the bins of the longest trial; NaN where there is no window.

    Raises:
        ValueError: If the values are not those of the windows.

    Example:
        >>> import numpy as np
        >>> from indl.data import ChopPlan, chop, merge
        >>> signal = np.arange(8.0)[:, None]
        >>> bool((merge(chop(signal, 4, 2), ChopPlan(8, 4, 2))[0] == signal).all())
        True
    """
    plan = windows if isinstance(windows, ChopPlan) else ChopPlan.of(windows.attrs)
    if plan is None:
        raise ValueError(f"merge needs to know how the windows were cut. Given: {windows!r}. Give what chop returned.")
    if not power >= 0:
        raise ValueError(f"power must not be negative. Given: {power!r}. Give 2, 1 for a linear change, or inf.")
    values = np.asarray(values)
    if inds is None:
        inds = windows.inds if isinstance(windows, Trials) else np.arange(len(plan))
    inds = plan.known(inds)
    if values.ndim < 2 or values.shape[:2] != (len(inds), plan.window_bins):
        raise ValueError(
            f"values must be those of the windows. Given: shape {values.shape} for {len(inds)} windows of "
            f"{plan.window_bins} bins. Give (windows, window_bins, ...)."
        )
    dtype = np.result_type(values.dtype, np.float32)
    merged = np.full((len(plan.lengths), max(plan.lengths), *values.shape[2:]), np.nan, dtype)
    overlap = plan.overlap_bins
    later = np.linspace(1 / overlap, 1 - 1 / overlap, overlap) ** power if overlap else np.zeros(0)
    later = later.reshape(-1, *(1,) * (values.ndim - 2))
    order = np.argsort(inds)
    for row, window, before in zip(order, inds[order], [-2, *inds[order][:-1]], strict=True):
        trial, start = plan.trial[window], plan.start[window]
        target = merged[trial, start : min(start + plan.window_bins, plan.lengths[trial])]
        value = values[row, : len(target)].astype(dtype)
        if before == window - 1 and start > 0:
            value[:overlap] = _weighted(target[:overlap], value[:overlap], later)
        target[:] = value
    return merged


def _cut(values: np.ndarray, plan: ChopPlan) -> np.ndarray:
    """The windows of (trials, time, channels); NaN after the end of a trial."""
    bins = plan.start[:, None] + np.arange(plan.window_bins)
    beyond = bins >= np.take(plan.lengths, plan.trial)[:, None]
    cut = values[plan.trial[:, None], np.minimum(bins, values.shape[1] - 1)]
    if beyond.any():
        cut = cut.astype(np.result_type(values.dtype, np.float32), copy=False)
        cut[beyond] = np.nan
    return cut


def _weighted(earlier: np.ndarray, later: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weighted mean, exact where both are equal and free of what has no weight."""
    with np.errstate(invalid="ignore"):
        mean = earlier + weight * (later - earlier)
    mean = np.where((weight == 0) | (earlier == later), earlier, mean)
    return np.where(weight == 1, later, mean)
