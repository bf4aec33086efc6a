"""npz and MATLAB files of any layout: a mapping says which variable is which part of the trials."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.files.storage import RecordingError, unreadable
from indl.data.readers.mapped_spikes import trials_of_spikes
from indl.data.readers.matlab import load_matlab
from indl.data.readers.variables import follow, found_in, sequence, vector
from indl.data.spikes.window import Window, check_window
from indl.data.values.trials import Trials
from indl.files import expanded
from indl.text import nearest, shown

_SEQUENCES = ("counts", "behavior", "ext_input", "truth", "latents")
_VECTORS = (
    "bin_width_s",
    "channel_ids",
    "inds",
    "start_s",
    "label",
    "spike_clusters",
    "events_s",
    "stop_s",
    "behavior_times",
    "ext_input_times",
)
#: Names that a mapping may have.
FIELDS = (*_SEQUENCES, "spike_times", *_VECTORS)


def read_npz(
    path: Path | str, mapping: Mapping[str, Any] | None = None, window: Window | None = None, **kwargs: Any
) -> Trials:
    """Trials from the arrays of an npz file. Pickled objects are not loaded.

    Args:
        path: The file.
        mapping: From fields to names of arrays; see :func:`read_mat`.
        window: With spike times, the trials and their bins; see :func:`read_mat`.
        **kwargs: As for :func:`read_mat`.

    Returns:
        :class:`~indl.data.Trials`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: As :func:`read_mat`; also if an array that is asked for holds Python objects.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> from indl.data import read_npz
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "spikes.npz"
        >>> np.savez(path, y=np.random.default_rng(0).poisson(0.5, (4, 30, 10)))  # channels, time, trials
        >>> trials = read_npz(path, {"counts": "y"}, axes="channels,time,trials", bin_width_s=0.02)
        >>> trials.counts.shape
        (10, 30, 4)
    """
    return _trials(_load_npz, path, mapping, window, **kwargs)


def read_mat(
    path: Path | str,
    mapping: Mapping[str, Any] | None = None,
    window: Window | None = None,
    *,
    axes: str | None = None,
    bin_width_s: float | None = None,
    are_counts: bool = True,
    missing: bool = False,
    empty: str = "raise",
    attrs: Mapping[str, Any] | None = None,
    **units: Any,
) -> Trials:
    """Trials from the variables of a MATLAB file of any version.

    Args:
        path: The file.
        mapping: From fields to paths of variables, "data.spikes" or "data/spikes". A field of a struct array
            ("trial.spikes") has one entry a trial; entries of different length become trials of different length.
            Instead of a path, a pair (path, axes) for a variable whose axes differ. None lists what there is.

            - `counts`, and with it `behavior`, `ext_input`, `truth`, `latents` (one row a bin), `channel_ids`, `inds`,
              `start_s`, `label` (one value each), `bin_width_s`; as in :class:`~indl.data.Trials`.
            - or `spike_times` in the session: a cell array with one vector a unit; or one vector with
              `spike_clusters`. With `events_s`, or `start_s` and `stop_s`, unless `window` has events or intervals.
              `behavior` and `ext_input` then are series with `behavior_times` and `ext_input_times`.
            - or `spike_times` of trials, without events: a cell array of units by trials, in seconds from each trial's
              own zero. The `window_s` of `window` says what to bin of every trial.
        window: With spike times, the trials and their bins, but for what is mapped: a :class:`~indl.data.Window`.
        axes: What the axes of `counts` and the other sequences are, as MATLAB's `size` shows them (numpy's `shape` for
            npz): "trials,time,channels" (None) in any order; "channels" stands for the dimensions of behaviour. An
            axis that is left out has one entry. For spike times of trials: "units,trials" (None) or "trials,units".
            MATLAB drops axes of one entry at the end of a shape; they are put back.
        bin_width_s: Width of one bin in seconds, if neither the file nor `window` holds it.
        are_counts: False for a real-valued signal.
        missing: Whether NaN marks samples that were not recorded.
        empty: Of trials of different length, what becomes of those without a bin: "raise", or "drop" with a warning.
        attrs: What else is known.
        **units: With spike times, `sampling_rate_hz`, `offset_s` and `obs_intervals`, as of :class:`~indl.data.Units`.

    Returns:
        :class:`~indl.data.Trials`; `attrs["variables"]` says what was read.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file cannot be read, has no such variable (the message lists all with their shapes), or
            the variables do not make trials.

    Example:
        >>> import numpy as np, pathlib, scipy.io, tempfile
        >>> from indl.data import read_mat
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "session.mat"
        >>> spikes = np.random.default_rng(0).poisson(0.5, (20, 30, 4))  # trials, time, channels
        >>> scipy.io.savemat(path, {"data": {"spikes": spikes, "target": np.arange(20) % 2}})
        >>> trials = read_mat(path, {"counts": "data.spikes", "label": "data.target"}, bin_width_s=0.02)
        >>> trials.counts.shape, np.unique(trials.label).tolist()
        ((20, 30, 4), [0, 1])
    """
    given = {"axes": axes, "bin_width_s": bin_width_s, "are_counts": are_counts, "missing": missing, "attrs": attrs}
    return _trials(load_matlab, path, mapping, window, empty=empty, **given, **units)


def _load_npz(path: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """The arrays of an npz file; None for one of pickled objects."""
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no npz file at {path}. Found {'a folder' if path.is_dir() else 'nothing'} there. Check the "
            f"path; relative paths start at {Path.cwd()}."
        )
    found = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                if names is None or name in names:
                    try:
                        found[name] = file[name]
                    except ValueError as error:
                        if "allow_pickle" not in str(error):
                            raise
                        found[name] = None
    except Exception as error:  # zip and numpy raise of many kinds on a broken file
        raise unreadable(path, "npz", error, "Write it again with numpy.savez") from error
    return found


def _trials(
    load: Callable[..., dict[str, Any]],
    path: Path | str,
    mapping: Mapping[str, Any] | None,
    window: Window | None,
    *,
    axes: str | None = None,
    bin_width_s: float | None = None,
    are_counts: bool = True,
    missing: bool = False,
    empty: str = "raise",
    attrs: Mapping[str, Any] | None = None,
    **units: Any,
) -> Trials:
    path = expanded(path)
    if window is not None:
        check_window(window)
    if not mapping or not {"counts", "spike_times"} & set(mapping):
        raise RecordingError(
            f"{path} needs a mapping from fields to its variables, with counts or spike_times. Given: {mapping!r}."
            f"{found_in(load(path))}Give for example {{'counts': 'spikes'}}."
        )
    unknown = [name for name in mapping if name not in FIELDS]
    if unknown:
        raise RecordingError(
            f"There is no field of that name. Given: {unknown[0]!r}.{nearest(unknown[0], FIELDS)} Choose from "
            f"{', '.join(FIELDS)}."
        )
    pairs = {field: (given, axes) if isinstance(given, str) else given for field, given in mapping.items()}
    wrong = [name for name, pair in pairs.items() if not isinstance(pair, tuple) or len(pair) != 2]
    if wrong:
        raise RecordingError(
            f"A mapping goes from a field to a path, or to a pair (path, axes). Given: {shown(mapping[wrong[0]])} for "
            f"{wrong[0]}. Give for example {{'counts': 'data.spikes'}}."
        )
    where = {field: path_in_file for field, (path_in_file, _) in pairs.items()}
    order = {field: its_axes for field, (_, its_axes) in pairs.items()}
    tree = load(path, {*where.values(), *(re.split("[./]", name)[0] for name in where.values())})
    try:
        found = {field: follow(tree, name) for field, name in where.items()}
        vectors: dict[str, Any] = {name: vector(found.pop(name), name) for name in _VECTORS if name in found}
        if "bin_width_s" in vectors:
            widths = vectors.pop("bin_width_s")
            if widths.size != 1:
                raise ValueError(
                    f"bin_width_s must be one number. Given: {shown(widths)}. Map another variable, or "
                    "say bin_width_s=..."
                )
            bin_width_s = widths.item()
        if bin_width_s is None and window is not None:
            bin_width_s = window.bin_width_s
        if bin_width_s is None:
            raise ValueError(
                "The bin width is not known. Given: none in the mapping. Say bin_width_s=..., in seconds, or map it."
            )
        variables = ", ".join(f"{field}={name}" for field, name in where.items())
        common = {"source": str(path), "attrs": {"variables": variables, **(attrs or {})}}
        if "spike_times" in found:
            window = replace(window or Window(), bin_width_s=bin_width_s)
            return trials_of_spikes(found, order["spike_times"], vectors, window, units, common)
        needless = [*units, *(["window"] if window is not None else [])]
        if needless:
            raise ValueError(f"Counts are in bins already. Given: {', '.join(needless)}. Leave that out.")
        common["bin_width_s"] = bin_width_s
        sequences = {name: sequence(value, order[name], name) for name, value in found.items()}
        return _from_counts(sequences, empty, **vectors, **common, are_counts=are_counts, missing=missing)
    except (ValueError, TypeError) as error:
        raise RecordingError(f"{path} does not make trials with this mapping. {error}{found_in(load(path))}") from error


def _from_counts(sequences: dict[str, Any], empty: str, **fields: Any) -> Trials:
    counts, bin_width_s = sequences.pop("counts"), fields.pop("bin_width_s")
    if not any(isinstance(value, list) for value in (counts, *sequences.values())):
        return Trials(counts, bin_width_s, **sequences, **fields)
    return Trials.from_list(
        list(counts), bin_width_s, empty=empty, **{name: list(value) for name, value in sequences.items()}, **fields
    )
