"""Units: spike times as they come, one sorted array of seconds a unit as they leave."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from indl.data.checks.masks import as_array
from indl.data.spikes.bins import pairs
from indl.text import shown

# Later is no time of a recording in seconds; clocks that count from 1970 are below.
_LATEST_S = 1e10


@dataclass(frozen=True, eq=False, repr=False)
class Units:
    """Spike times with what else is known of their units. Where nothing is, the spike times alone will do.

    Args:
        spike_times: A list with one array a unit, in any order of spikes; a mapping from id to array (pynapple's
            TsGroup is one); or a tuple (times, clusters) of two arrays with one entry a spike.
        ids: Id of each array of a list (None: 0, 1, ...); or the ids to take, and their order, of a mapping or of
            clusters (a cluster without spikes is a silent unit).
        sampling_rate_hz: Samples per second where spike times are sample numbers: one for all units, one a unit (1
            where times are in seconds) or a mapping from id. None: seconds.
        offset_s: Added to a unit's times to bring it to the clock of the events; one, one a unit or a mapping likewise.
        obs_intervals: When units were recorded: (intervals, 2) start and stop for all, or a list or mapping with one
            such array a unit (pynapple's IntervalSet is one). Bins not wholly inside become NaN.

    Example:
        >>> from indl.data import Units, Window, bin_spikes
        >>> probes = Units([[0.5, 1.5], [15_000, 45_000]], ["a", "b"], sampling_rate_hz=[1, 30_000])
        >>> bin_spikes(probes, Window(intervals=(0, 2), bin_width_s=1.0)).counts[0].T.tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """

    spike_times: Any
    ids: Any = None
    sampling_rate_hz: Any = None
    offset_s: Any = 0.0
    obs_intervals: Any = None

    def in_seconds(self, earliest_s: float = 0.0) -> tuple[np.ndarray, list[np.ndarray]]:
        """Ids of the units, (units,), and for each its spike times in seconds of one clock, ascending.

        Args:
            earliest_s: No spike can be earlier, before `offset_s` is added.

        Raises:
            ValueError: If times are not numbers, not finite, earlier than `earliest_s` or far too late to be seconds;
                if ids repeat, are not there, or are not one a unit.

        Warns:
            UserWarning: If units have several spikes at the same time.
        """
        ids, arrays = _by_unit(self.spike_times, self.ids)
        if not len(ids):
            raise ValueError("There must be at least one unit. Given: none. Check the selection of units.")
        values, counts = np.unique(ids, return_counts=True)
        if len(values) < len(ids):
            raise ValueError(
                f"Every unit needs an id of its own. Given: {values[counts > 1].tolist()[:10]} more than once. Rename "
                "or leave out the repeated ones."
            )
        rates = None if self.sampling_rate_hz is None else _numbers_of(self.sampling_rate_hz, ids, "sampling_rate_hz")
        offsets = _numbers_of(self.offset_s, ids, "offset_s")
        if rates is not None and not (np.isfinite(rates) & (rates > 0)).all():
            raise ValueError(
                f"sampling_rate_hz must be positive. Given: {rates[~(rates > 0)].tolist()[:10]}. Give samples per "
                "second, e.g. 30000; 1 for a unit whose times are seconds."
            )
        if not np.isfinite(offsets).all():
            raise ValueError(f"offset_s must be finite. Given: {offsets.tolist()[:10]}. Give seconds to add.")
        arrays = [_times(array, unit) for array, unit in zip(arrays, ids, strict=True)]
        if rates is not None:
            arrays = [array / rate for array, rate in zip(arrays, rates, strict=True)]
        _check(arrays, ids, ~np.isfinite(np.concatenate(arrays)), "finite", "NaN or infinite", "Remove them.")
        times = np.concatenate(arrays)
        _check(
            arrays,
            ids,
            times < earliest_s,
            f"at or after the start of the recording, {earliest_s:g} s",
            "earlier",
            "Correct the clock, or say recording_s=(start, stop) with an earlier start.",
        )
        _check(
            arrays,
            ids,
            times > _LATEST_S,
            f"in seconds, so below {_LATEST_S:g}",
            "later",
            "If they are sample numbers, give sampling_rate_hz.",
        )
        arrays = [np.sort(array + offset) for array, offset in zip(arrays, offsets, strict=True)]
        _warn_repeated(arrays, ids)
        return ids, arrays

    def observed(self, ids: np.ndarray) -> list[np.ndarray]:
        """When each unit was recorded: ascending intervals (n, 2) a unit; an empty list if it is not known."""
        if self.obs_intervals is None:
            return []
        value = _each(self.obs_intervals, ids, "obs_intervals")
        for_all = hasattr(value, "start") or all(np.ndim(item) == 1 and len(item) == 2 for item in value)
        value = [value] * len(ids) if for_all else list(value)
        if len(value) != len(ids):
            raise ValueError(
                f"obs_intervals must be for all units, or for each. Given: {len(value)} for {len(ids)} units. Give one "
                "(n, 2) array, or a list or mapping with one a unit."
            )
        return [_ascending(intervals, unit) for intervals, unit in zip(value, ids, strict=True)]


def _each(value: Any, ids: np.ndarray, name: str) -> Any:
    """One value a unit where a mapping from id was given; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    missing = [unit for unit in ids.tolist() if unit not in value]
    if missing:
        raise ValueError(
            f"{name} must have an entry for every unit. Given: none for {missing[:10]} ({len(missing)} of {len(ids)}). "
            "Add them."
        )
    return [value[unit] for unit in ids.tolist()]


def _numbers_of(value: Any, ids: np.ndarray, name: str) -> np.ndarray:
    """One number a unit, from one for all, one a unit, or a mapping from id."""
    array = np.asarray(_each(value, ids, name))
    if array.dtype.kind not in "iuf" or array.shape not in ((), ids.shape):
        raise ValueError(
            f"{name} must be one number, or one a unit. Given: shape {array.shape} of {array.dtype} for {len(ids)} "
            "units. Give a number, a list in the order of the units, or a mapping from id."
        )
    return np.broadcast_to(array.astype(np.float64), ids.shape)


def _ascending(intervals: Any, unit: Any) -> np.ndarray:
    """Intervals (n, 2), ascending, with those that touch or overlap made one."""
    spans = pairs(intervals).astype(np.float64)
    spans = spans.reshape(0, 2) if spans.size == 0 else spans
    if spans.ndim != 2 or spans.shape[1] != 2 or not (spans[:, 0] <= spans[:, 1]).all():
        raise ValueError(
            f"obs_intervals must be starts with stops that are not earlier. Given: shape {spans.shape} for unit "
            f"{unit}, beginning {spans.tolist()[:2]}. Give (intervals, 2) in seconds."
        )
    starts, stops = spans[np.argsort(spans[:, 0], kind="stable")].T
    stops = np.maximum.accumulate(stops)
    new = np.concatenate([[True], starts[1:] > stops[:-1] + 1e-9])[: len(starts)]
    return np.stack([starts[new], stops[np.append(new[1:], True)[: len(starts)]]], axis=1)


def _by_unit(spike_times: Any, wanted_ids: Any) -> tuple[np.ndarray, list[Any]]:
    if isinstance(spike_times, tuple) and len(spike_times) == 2:
        return _by_cluster(*spike_times, wanted_ids)
    if isinstance(spike_times, Mapping):
        wanted = list(spike_times.keys()) if wanted_ids is None else np.asarray(wanted_ids).tolist()
        unknown = [unit for unit in wanted if unit not in spike_times]
        if unknown:
            raise ValueError(
                f"ids must be among the units. Given: {unknown[:10]}, which are not in {list(spike_times)[:20]}. "
                "Correct the ids."
            )
        return np.asarray(wanted), [spike_times[unit] for unit in wanted]
    objects = isinstance(spike_times, np.ndarray) and spike_times.dtype.kind == "O" and spike_times.ndim == 1
    if not isinstance(spike_times, (list, tuple)) and not objects:
        raise ValueError(
            f"spike_times must hold one array a unit. Given: {type(spike_times).__name__} of shape "
            f"{np.shape(spike_times)}. Give a list of arrays (one unit: [times]), a mapping from id to "
            "array, or a tuple (times, clusters)."
        )
    if len(spike_times) and all(isinstance(item, numbers.Real) for item in spike_times):
        raise ValueError(
            f"spike_times must hold one array a unit. Given: {len(spike_times)} numbers, "
            f"{shown(list(spike_times)[:3])} ... Give [times] for one unit, or a tuple (times, clusters)."
        )
    ids = np.arange(len(spike_times)) if wanted_ids is None else np.asarray(wanted_ids)
    if ids.shape != (len(spike_times),):
        raise ValueError(
            f"ids must be one a unit. Given: shape {ids.shape} for {len(spike_times)} units. Give one id for each."
        )
    return ids, list(spike_times)


def _by_cluster(times: Any, clusters: Any, wanted_ids: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    times, clusters = np.asarray(times), np.asarray(clusters)
    # MATLAB and some sorters store a vector as one row or column.
    times, clusters = (x.ravel() if x.ndim == 2 and 1 in x.shape else x for x in (times, clusters))
    whole = clusters.dtype.kind in "iuUS" or (clusters.dtype.kind == "f" and (clusters == np.rint(clusters)).all())
    if times.shape != clusters.shape or times.ndim != 1 or not whole:
        raise ValueError(
            f"A tuple of two arrays is (times, clusters), one entry a spike. Given: shapes {times.shape} and "
            f"{clusters.shape}, clusters of {clusters.dtype}. Give the cluster's number for every spike; for two units "
            "give a list of two arrays."
        )
    clusters = clusters.astype(np.int64) if clusters.dtype.kind == "f" else clusters
    found = np.unique(clusters)
    order = np.argsort(clusters, kind="stable")
    # Even of no spikes there is one part.
    parts = np.split(times[order], np.searchsorted(clusters[order], found[1:])) if found.size else []
    split = dict(zip(found.tolist(), parts, strict=True))
    ids = found if wanted_ids is None else np.asarray(wanted_ids)
    return ids, [split.get(unit, times[:0]) for unit in ids.tolist()]


def _times(array: Any, unit: Any) -> np.ndarray:
    # A pynapple Ts carries its times in `t`.
    array = as_array(getattr(array, "t", array))
    array = array.ravel() if array.ndim == 2 and 1 in array.shape else array
    if array.size == 0:
        return np.zeros(0)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise ValueError(
            f"Spike times must be a vector of numbers for every unit. Given: shape {array.shape} of {array.dtype} for "
            f"unit {unit}. Give times in seconds, or sample numbers with sampling_rate_hz."
        )
    return np.atleast_1d(array).astype(np.float64)


def _check(arrays: list[np.ndarray], ids: np.ndarray, bad: np.ndarray, rule: str, what: str, advice: str) -> None:
    if not bad.any():
        return
    first, ends = int(np.argmax(bad)), np.cumsum([len(array) for array in arrays])
    unit = int(np.searchsorted(ends, first, side="right"))
    index = first - (int(ends[unit - 1]) if unit else 0)
    raise ValueError(
        f"Spike times must be {rule}. Given: {np.count_nonzero(bad)} {what} of {len(bad)}, the first in unit "
        f"{ids[unit]} at index {index}: {arrays[unit][index]:.10g} s. {advice}"
    )


def _warn_repeated(arrays: list[np.ndarray], ids: np.ndarray) -> None:
    repeated = np.array([np.count_nonzero(np.diff(array) == 0) for array in arrays])
    units = np.flatnonzero(repeated)
    if units.size:
        times = arrays[units[0]]
        first = times[1:][np.diff(times) == 0][0]
        warnings.warn(
            f"Spikes repeat the time of another of their unit. Given: {repeated.sum()} in {units.size} of {len(ids)} "
            f"units, the first in unit {ids[units[0]]} at {first:.10g} s. All are counted; remove them if the sorter "
            "wrote spikes twice.",
            UserWarning,
            stacklevel=4,
        )
