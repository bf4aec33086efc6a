"""npz and MATLAB files of any layout: a mapping says which variable is which part of the trials."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.checks.arrays import shown
from indl.data.files.storage import RecordingError
from indl.data.readers.matlab import load_matlab
from indl.data.readers.variables import follow, found_in, items_of, numbers, order_of, sequence, vector
from indl.data.spikes.binning import bin_spikes, count
from indl.data.spikes.times import units_of
from indl.data.spikes.windows import cut_windows
from indl.data.values.trials import Trials
from indl.text import nearest

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
)
#: Names that a mapping may have.
FIELDS = (*_SEQUENCES, "spike_times", *_VECTORS)


def read_npz(path: Path | str, mapping: Mapping[str, Any] | None = None, **kwargs: Any) -> Trials:
    """Trials from the arrays of an npz file. Pickled objects are not loaded.

    Args:
        path: The file.
        mapping: From fields to names of arrays; see :func:`read_mat`.
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
    return _trials(_load_npz, path, mapping, **kwargs)


def read_mat(
    path: Path | str,
    mapping: Mapping[str, Any] | None = None,
    *,
    axes: str | None = None,
    bin_width_s: float | None = None,
    are_counts: bool = True,
    missing: bool = False,
    attrs: Mapping[str, Any] | None = None,
    **binning: Any,
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
              `spike_clusters`. With `events_s`, or `start_s` and `stop_s`. `behavior` then is a series with
              `behavior_times`.
            - or `spike_times` of trials, without events: a cell array of units by trials, in seconds from each trial's
              own zero. `window_s` says what to bin of every trial.
        axes: What the axes of `counts` and the other sequences are, as MATLAB's `size` shows them (numpy's `shape` for
            npz): "trials,time,channels" (None) in any order; "channels" stands for the dimensions of behaviour. An
            axis that is left out has one entry. For spike times of trials: "units,trials" (None) or "trials,units".
            MATLAB drops axes of one entry at the end of a shape; they are put back.
        bin_width_s: Width of one bin in seconds, if the file does not hold it.
        are_counts: False for a real-valued signal.
        missing: Whether NaN marks samples that were not recorded.
        attrs: What else is known.
        **binning: With spike times, `window_s` and other arguments of :func:`~indl.data.bin_spikes`.

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
    return _trials(load_matlab, path, mapping, **given, **binning)


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
        raise RecordingError(
            f"{path} cannot be read as npz: it is another kind of file, or damaged. Got {path.stat().st_size} bytes "
            f"({type(error).__name__}: {str(error)[:300]}). Write it again with numpy.savez."
        ) from error
    return found


def _trials(
    load: Callable[..., dict[str, Any]],
    path: Path | str,
    mapping: Mapping[str, Any] | None,
    *,
    axes: str | None = None,
    bin_width_s: float | None = None,
    are_counts: bool = True,
    missing: bool = False,
    attrs: Mapping[str, Any] | None = None,
    **binning: Any,
) -> Trials:
    path = Path(path)
    if not mapping or not {"counts", "spike_times"} & set(mapping):
        raise RecordingError(
            f"{path} needs a mapping from fields to its variables, with counts or spike_times. Got {mapping!r}."
            f"{found_in(load(path))}Give for example {{'counts': 'spikes'}}."
        )
    unknown = [name for name in mapping if name not in FIELDS]
    if unknown:
        raise RecordingError(
            f"There is no field of that name. Got {unknown[0]!r}.{nearest(unknown[0], FIELDS)} Choose from "
            f"{', '.join(FIELDS)}."
        )
    pairs = {field: (given, axes) if isinstance(given, str) else given for field, given in mapping.items()}
    wrong = [name for name, pair in pairs.items() if not isinstance(pair, tuple) or len(pair) != 2]
    if wrong:
        raise RecordingError(
            f"A mapping goes from a field to a path, or to a pair (path, axes). Got {shown(mapping[wrong[0]])} for "
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
                    f"bin_width_s must be one number. Got {shown(widths)}. Map another variable, or say bin_width_s=..."
                )
            bin_width_s = widths.item()
        if bin_width_s is None:
            raise ValueError(
                "The bin width is not known. Got none in the mapping. Say bin_width_s=..., in seconds, or map it."
            )
        variables = ", ".join(f"{field}={name}" for field, name in where.items())
        common = {"bin_width_s": bin_width_s, "source": str(path), "attrs": {"variables": variables, **(attrs or {})}}
        if "spike_times" in found:
            return _from_spikes(found, order["spike_times"], vectors, common, binning)
        if binning:
            raise ValueError(f"Counts are in bins already. Got {', '.join(binning)}. Leave that out.")
        sequences = {name: sequence(value, order[name], name) for name, value in found.items()}
        return _from_counts(sequences, **vectors, **common, are_counts=are_counts, missing=missing)
    except (ValueError, TypeError) as error:
        raise RecordingError(f"{path} does not make trials with this mapping. {error}{found_in(load(path))}") from error


def _from_counts(sequences: dict[str, Any], **fields: Any) -> Trials:
    counts, bin_width_s = sequences.pop("counts"), fields.pop("bin_width_s")
    if not any(isinstance(value, list) for value in (counts, *sequences.values())):
        return Trials(counts, bin_width_s, **sequences, **fields)
    return Trials.from_list(
        list(counts), bin_width_s, **{name: list(value) for name, value in sequences.items()}, **fields
    )


def _from_spikes(
    found: dict[str, Any], axes: str | None, vectors: dict[str, Any], common: dict[str, Any], binning: dict[str, Any]
) -> Trials:
    times = found.pop("spike_times")
    if "behavior" in found and "behavior_times" in vectors:
        when, values = vectors.pop("behavior_times"), numbers(found.pop("behavior"), "behavior")
        binning = {**binning, "behavior": (when, values if len(values) == len(when) else values.T)}
    if found:
        raise ValueError(
            f"With spike times, a sequence needs times of its own. Got {', '.join(found)}. Map behavior with "
            "behavior_times, and leave out the rest."
        )
    ids = vectors.pop("channel_ids", None)
    if "spike_clusters" in vectors:
        session = (vector(times, "spike_times"), vectors.pop("spike_clusters"))
    elif {"events_s", "stop_s"} & set(vectors):
        session = items_of(times)
    else:
        return _from_trials(_by_trial(times, axes), ids, vectors, common, **binning)
    if session is None:
        raise ValueError(
            "spike_times must be a cell array with one vector a unit, or be mapped with spike_clusters. Got shape "
            f"{np.shape(times)}. Map both."
        )
    return bin_spikes(session, unit_ids=ids, **vectors, **common, **binning)


def _from_trials(
    trials: list[list[Any]],
    ids: np.ndarray | None,
    vectors: dict[str, Any],
    common: dict[str, Any],
    *,
    window_s: tuple[float, float] | None = None,
    tolerance: float = 1e-6,
    sampling_rate_hz: Any = None,
    offset_s: Any = 0.0,
) -> Trials:
    """Counts of spikes whose times start anew in every trial."""
    if len({len(units) for units in trials}) != 1:
        raise ValueError(
            f"Every trial needs the same units. Got {[len(units) for units in trials][:10]}. Give an empty cell for a "
            "unit without spikes."
        )
    windows = cut_windows([0.0], bin_width_s=common["bin_width_s"], window_s=window_s, n_channels=len(trials[0]))
    base = {"unit_ids": ids, "sampling_rate_hz": sampling_rate_hz, "offset_s": offset_s, "earliest_s": -np.inf}
    units = [units_of(trial, **base) for trial in trials]
    counts = np.concatenate([count(times, windows, tolerance) for _, times in units])
    attrs = {**common.pop("attrs"), "window_s": np.array(window_s, np.float64)}
    return Trials(counts, channel_ids=units[0][0], attrs=attrs, **vectors, **common)


def _by_trial(times: Any, axes: str | None) -> list[list[Any]]:
    """For every trial its units' spike times, from a cell array of two axes or a list of cell vectors."""
    if isinstance(times, np.ndarray) and times.dtype == object and not any(items_of(item) for item in times.flat):
        order = order_of(axes or "units,trials", ("units", "trials"))
        return [list(trial) for trial in (times.T if order == ["units", "trials"] else times)]
    trials = [items_of(trial) for trial in items_of(times) or []]
    if not trials or any(trial is None for trial in trials):
        raise ValueError(
            f"Spike times of trials must be a cell array, units by trials. Got {type(times).__name__} of shape "
            f"{np.shape(times)}. For times in the session, map events_s, or start_s and stop_s, too."
        )
    return trials
