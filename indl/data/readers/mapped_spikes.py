"""Spike times that a mapping found in an npz or MATLAB file, as trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from indl.data.readers.variables import items_of, numbers, order_of, vector
from indl.data.spikes.binning import bin_spikes, count
from indl.data.spikes.units import Units
from indl.data.spikes.window import Window
from indl.data.values.trials import Trials


def trials_of_spikes(
    found: dict[str, Any],
    axes: str | None,
    vectors: dict[str, Any],
    window: Window,
    units: dict[str, Any],
    common: dict[str, Any],
) -> Trials:
    """Trials of the spike times of a session, or of trials that each have a zero of their own.

    Args:
        found: The mapped variables that are no vectors, `spike_times` among them.
        axes: What the axes of a cell array of spike times are.
        vectors: The mapped variables with one value each.
        window: How the trials are cut, but for what is mapped.
        units: What else is known of the units, as of :class:`~indl.data.Units`.
        common: Where the file is, and what is known of it: fields of :class:`~indl.data.Trials`.

    Raises:
        ValueError: If they do not make trials.
    """
    times = found.pop("spike_times")
    for name in ("behavior", "ext_input"):
        if name in found and f"{name}_times" in vectors:
            when, values = vectors.pop(f"{name}_times"), numbers(found.pop(name), name)
            common[name] = (when, values if len(values) == len(when) else values.T)
    if found:
        raise ValueError(
            f"With spike times, a sequence needs times of its own. Given: {', '.join(found)}. Map behavior with "
            "behavior_times, ext_input with ext_input_times, and leave out the rest."
        )
    ids = vectors.pop("channel_ids", None)
    if "spike_clusters" in vectors:
        session = (vector(times, "spike_times"), vectors.pop("spike_clusters"))
    elif {"events_s", "stop_s"} & set(vectors) or window.events is not None or window.intervals is not None:
        session = items_of(times)
    else:
        return _from_trials(_by_trial(times, axes), ids, vectors, window, units, common)
    if session is None:
        raise ValueError(
            "spike_times must be a cell array with one vector a unit, or be mapped with spike_clusters. Given: shape "
            f"{np.shape(times)}. Map both."
        )
    return bin_spikes(Units(session, ids, **units), _placed(window, vectors), **vectors, **common)


def _placed(window: Window, vectors: dict[str, Any]) -> Window:
    """The window with the events, intervals and conditions that are taken from the vectors of a file."""
    found = {}
    if "events_s" in vectors:
        found["events"] = vectors.pop("events_s")
    if "stop_s" in vectors:
        start, stop = vectors.pop("start_s", np.zeros(0)), vectors.pop("stop_s")
        if len(start) != len(stop):
            raise ValueError(
                f"start_s and stop_s must have the same trials. Given: {len(start)} and {len(stop)}. Map one of each a "
                "trial."
            )
        found["intervals"] = np.stack([start, stop], axis=1)
    if "label" in vectors:
        found["label"] = vectors.pop("label")
    return replace(window, **found)


def _from_trials(
    trials: list[list[Any]],
    ids: np.ndarray | None,
    vectors: dict[str, Any],
    window: Window,
    units: dict[str, Any],
    common: dict[str, Any],
) -> Trials:
    """Counts of spikes whose times start anew in every trial."""
    n_units = [len(trial) for trial in trials]
    if len(set(n_units)) != 1:
        raise ValueError(
            f"Every trial needs the same units. Given: {n_units[:10]}. Give an empty cell for a unit without spikes."
        )
    given = {"recording_s": window.recording_s, **units, **common}
    needless = [n for n in ("recording_s", "obs_intervals", "behavior", "ext_input") if given.get(n) is not None]
    if needless:
        raise ValueError(
            f"Times from each trial's own zero have no times of a session beside them. Given: {', '.join(needless)}. "
            "Leave that out, or map events_s."
        )
    bins = replace(window, events=[0.0], label=None).cut(n_units[0])
    found = [Units(trial, ids, **units).in_seconds(-np.inf) for trial in trials]
    counts = np.concatenate([count(times, bins, window.tolerance) for _, times in found])
    common["attrs"] = {**common["attrs"], "window_s": np.array(window.window_s)}
    label = vectors.pop("label", window.label)
    return Trials(counts, bins.bin_width_s, channel_ids=found[0][0], label=label, **vectors, **common)


def _by_trial(times: Any, axes: str | None) -> list[list[Any]]:
    """For every trial its units' spike times, from a cell array of two axes or a list of cell vectors."""
    if isinstance(times, np.ndarray) and times.dtype == object and not any(items_of(item) for item in times.flat):
        order = order_of(axes or "units,trials", ("units", "trials"))
        return [list(trial) for trial in (times.T if order == ["units", "trials"] else times)]
    trials = [items_of(trial) for trial in items_of(times) or []]
    if not trials or any(trial is None for trial in trials):
        raise ValueError(
            f"Spike times of trials must be a cell array, units by trials. Given: {type(times).__name__} of shape "
            f"{np.shape(times)}. For times in the session, map events_s, or start_s and stop_s, too."
        )
    return trials
