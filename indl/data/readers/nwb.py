"""Neurodata Without Borders files: binned trials of units with behaviour, and what there is to ask for."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.files.storage import RecordingError
from indl.data.readers.nwb_file import NWBFile, column_of, marks, opened
from indl.data.spikes.binning import bin_spikes
from indl.data.spikes.signals import bin_signals
from indl.data.spikes.units import Units
from indl.data.spikes.window import Window, check_window
from indl.data.values.trials import Trials
from indl.files import expanded


def read_nwb(
    path: str | Path,
    window: Window,
    *,
    signals: str | Sequence[str] | None = None,
    behavior: str | Sequence[str] | None = None,
    ext_input: str | Sequence[str] | None = None,
    angles: str | Sequence[str] = (),
    unit_filter: Mapping[str, Any] | Callable[[Any], Any] | None = None,
    heldout: str | None = None,
) -> Trials:
    """Binned trials of the units, or of signals, in an NWB file. :func:`describe_nwb` shows what is there. Needs pynwb.

    Args:
        path: The file.
        window: The trials and their bins, a :class:`~indl.data.Window`, whose parts may be names in the file:

            - `events`: the column of the trials to align to, e.g. "move_onset_time", or times. None: with a window,
              `start_time`; without, trials from `start_time` to `stop_time`, each of its own length.
            - `intervals`: what the trials are. None: the table of trials. Otherwise the name of another table of
              intervals, a tag of the epochs (e.g. "wake"), or times.
            - `label`: the column of the trials with their condition.
        signals: Names of time series whose dimensions are the channels, instead of the units' spikes: fluorescence,
            field potentials. Without a bin width the trials have that of the samples; see
            :func:`~indl.data.spikes.signals.bin_signals`.
        behavior, ext_input: Names of one or more time series, anywhere in the file: the last part of the path, or as
            much of it as makes it unique ("Position/x"). Interpolated at the centres of the bins, in the file's units.
        angles: Those of the names that are angles: their cosines and sines are taken.
        unit_filter: Which units: a mapping from column (of the units, or of their first electrode) to the value, or
            list of values, it must have; or a function of the units' data frame that returns a bool a unit.
        heldout: Bool column of the units. `attrs["heldout"]` then holds the indices of the channels it marks, for
            `trials.split(heldout=...)`.

    Returns:
        :class:`~indl.data.Trials`. Bins outside the `obs_intervals` of a unit are NaN, with a warning. `channel_ids`
        are the ids of the units, in the file's order, or, with a warning, their rows where ids repeat; of signals the
        names of their dimensions. `inds` are rows of the table of trials.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If pynwb is not installed.
        RecordingError: If the file cannot be read; has no such column, series or table (the message names the nearest);
            holds what cannot be right; or cannot be cut as asked.

    Example:
        >>> from indl.data import Window, read_nwb
        >>> read_nwb(
        ...     "mc_maze_small_test.nwb", Window("move_onset_time", (-0.25, 0.45), bin_width_s=0.005)
        ... )  # doctest: +SKIP
        Trials(mc_maze_small_test.nwb, 100 trials, 140 bins of 5 ms, 107 channels, mean 4.4 Hz)
    """
    path = expanded(path)
    check_window(window)
    wanted = {"behavior": _names(behavior), "ext_input": _names(ext_input)}
    unused = set(_names(angles)).difference(*wanted.values())
    if unused:
        raise ValueError(
            f"angles must be among the series that are read. Given: {sorted(unused)}. Name them in behavior or "
            "ext_input, too."
        )
    if signals is not None and (unit_filter is not None or heldout is not None):
        raise ValueError(
            "unit_filter and heldout choose among units. Given: one of them, and signals. Choose channels of the "
            "trials that come back, with trials.channels and trials.split."
        )
    with opened(path) as file:
        if signals is None:
            units, times, observed = file.units(electrodes=unit_filter is not None)
            marked = None if heldout is None else marks(column_of(units, heldout, "the units", path), heldout, path)
        else:
            channels, valid = [file.series(one, max_gap_s=window.max_gap_s) for one in _names(signals)], file.valid()
        trials = _trials(file, window)
        about: dict[str, Any] = {"attrs": file.attrs(), "source": str(path)}
        for name, names in wanted.items():
            about[name] = [file.series(one, one in _names(angles), window.max_gap_s) for one in names] or None
    aligned = "given times" if isinstance(window.events, np.ndarray) else window.events or "start_time"
    about["attrs"]["align_event"] = "start_time to stop_time" if window.window_s is None else aligned
    if signals is not None:
        with _cutting(path):
            return bin_signals(channels, replace(window, **trials), observed=valid, **about)
    # Outside, where an error in the user's own function stays what it is.
    chosen = _chosen(units, unit_filter, path)
    if marked is not None:
        about["attrs"]["heldout"] = np.flatnonzero(marked[chosen])
    obs_intervals = None if observed is None else [observed[i] for i in chosen]
    with _cutting(path):
        spikes = Units([times[i] for i in chosen], _ids(units, chosen, path), obs_intervals=obs_intervals)
        found = bin_spikes(spikes, replace(window, **trials), **about)
    missing = np.isnan(found.counts[found.mask]).any(axis=0)
    if observed is not None and missing.any():
        samples = np.count_nonzero(np.isnan(found.counts[found.mask]))
        warnings.warn(
            f"{path.name} has bins outside the obs_intervals of units, in invalid times, or outside the recording: "
            f"they are missing. Given: {samples} samples of {np.count_nonzero(missing)} of {len(missing)} units, the "
            f"first is unit {found.channel_ids[np.argmax(missing)]}. Check that this is meant.",
            UserWarning,
            stacklevel=2,
        )
    return found


@dataclass(frozen=True)
class NWBContents:
    """What an NWB file holds that :func:`read_nwb` can be asked for; printed in plain words.

    Attributes:
        path: The file.
        attrs: What it says about the session.
        n_units: Number of units.
        n_spikes: Number of their spikes.
        unit_columns: What each column of the units (and of their electrodes) holds.
        intervals: For each table of intervals, what each column holds.
        epochs: Tags of the epochs.
        series: For each time series, by path: shape, unit and times.
    """

    path: str
    attrs: Mapping[str, str]
    n_units: int
    n_spikes: int
    unit_columns: Mapping[str, str]
    intervals: Mapping[str, Mapping[str, str]]
    epochs: tuple[str, ...]
    series: Mapping[str, str]

    def __str__(self) -> str:
        lines = [self.path, *(f"  {name}: {value[:80]}" for name, value in self.attrs.items())]
        lines += [f"units: {self.n_units} with {self.n_spikes} spikes"]
        lines += [f"  {name}: {what}" for name, what in self.unit_columns.items()]
        for table, columns in self.intervals.items():
            lines += [f"intervals {table!r}", *(f"  {name}: {what}" for name, what in columns.items())]
        lines += [f"epochs tagged {', '.join(self.epochs)}"] if self.epochs else []
        lines += ["time series", *(f"  {name}: {what}" for name, what in self.series.items())] if self.series else []
        return "\n".join(lines)

    __repr__ = __str__


def describe_nwb(path: str | Path) -> NWBContents:
    """What an NWB file holds: units, tables of intervals and time series with their names. Needs pynwb.

    Args:
        path: The file.

    Returns:
        The contents, which print in plain words: `print(describe_nwb(path))`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If pynwb is not installed.
        RecordingError: If the file cannot be read.
    """
    path = expanded(path)
    with opened(path) as file:
        units, times, _ = file.units(electrodes=True) if file.has_spikes() else (None, [], None)
        return NWBContents(
            path=str(path),
            attrs=file.attrs(),
            n_units=len(times),
            n_spikes=sum(map(len, times)),
            unit_columns={} if units is None else _summary(units),
            intervals={name: _summary(file.frame(table)) for name, table in file.tables().items()},
            epochs=tuple(file.tagged()),
            series={name: _sampling(series) for name, series in file.series_paths().items()},
        )


@contextlib.contextmanager
def _cutting(path: Path) -> Iterator[None]:
    """Names the file where it cannot be cut as asked."""
    try:
        yield
    except ValueError as error:
        raise RecordingError(f"{path} cannot be cut into these trials. {error}") from error


def _ids(units: Any, chosen: np.ndarray, path: Path) -> np.ndarray:
    """Ids of the chosen units; their rows where ids repeat."""
    ids = units.index.to_numpy()[chosen]
    values, counts = np.unique(ids, return_counts=True)
    if len(values) == len(ids):
        return ids
    warnings.warn(
        f"{path.name} has units that share an id. Given: {values[counts > 1].tolist()[:10]} more than once among "
        f"{len(ids)} units. They are numbered anew: channel_ids are their rows in the table of units, from 0.",
        UserWarning,
        stacklevel=3,
    )
    return chosen


def _names(names: str | Sequence[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def _trials(file: NWBFile, window: Window) -> dict[str, Any]:
    """Fields of the window with times and conditions in place of names in the file."""
    if isinstance(window.events, np.ndarray):
        return {}
    table = file.trials(window.intervals)
    of = f"the intervals {window.intervals!r}" if isinstance(window.intervals, str) else "the trials"
    if not len(table):
        raise RecordingError(f"{file.path} has no trials. Given: 0 rows in {of}. Say intervals= another table.")

    def column(name: str) -> np.ndarray:
        return column_of(table, name, of, file.path)

    if window.window_s is None:
        found = {"intervals": np.stack([column("start_time"), column("stop_time")], axis=1)}
    else:
        found = {"events": column(window.events or "start_time"), "intervals": None}
    return found | ({"label": column(window.label)} if isinstance(window.label, str) else {})


def _chosen(units: Any, unit_filter: Any, path: Path) -> np.ndarray:
    """Rows of the units that pass the filter."""
    if unit_filter is None:
        return np.arange(len(units))
    if callable(unit_filter):
        mask = np.asarray(unit_filter(units))
        if mask.shape != (len(units),) or mask.dtype != bool:
            raise ValueError(
                f"unit_filter must return a bool a unit. Given: shape {mask.shape} of {mask.dtype} for {len(units)} "
                "units. Return for example units['quality'] == 'good'."
            )
    else:
        mask = np.ones(len(units), bool)
        for name, value in unit_filter.items():
            values = list(value) if isinstance(value, (list, tuple, set, np.ndarray)) else [value]
            mask &= np.isin(column_of(units, name, "the units", path), values)
    if not mask.any():
        raise RecordingError(
            f"{path} has no unit that passes the filter. Given: {unit_filter!r} for {len(units)} units with\n"
            + "\n".join(f"  {name}: {what}" for name, what in _summary(units).items())
            + "\nChange the filter."
        )
    return np.flatnonzero(mask)


def _summary(frame: Any) -> dict[str, str]:
    """In a few words, what each column holds."""
    found = {}
    for name in frame.columns:
        column = frame[name].dropna()
        values = column.unique()
        if len(values) <= 6:
            text = ", ".join(f"{value} ({count})" for value, count in column.value_counts(sort=False).items())
        elif column.dtype.kind in "uif":
            text = f"{column.min():g} to {column.max():g}"
        else:
            text = f"{len(values)} values, e.g. {values[0]}"
        found[str(name)] = text or "empty"
    return found


def _sampling(series: Any) -> str:
    shape = tuple(np.shape(series.data))
    if series.timestamps is not None and len(series.timestamps):
        times = f"from {series.timestamps[0]:g} to {series.timestamps[-1]:g} s"
    else:
        times = f"at {series.rate:g} Hz from {series.starting_time or 0:g} s" if series.rate else "no times"
    return f"{type(series).__name__} {shape}, in {series.unit or 'no unit'}, {times}"
