"""What is in an NWB file, read through pynwb and checked: nothing that comes out of here is taken on trust."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from indl.data.files.heaps import broken_heap
from indl.data.files.storage import LABELS, NUMBERS, RecordingError, Source, unreadable
from indl.data.values.series import Series
from indl.text import nearest, shown

# HDF5 hangs on damaged texts, so they are looked through first, unless the file is too large to be.
_SCANNED_BYTES = 2**31

#: A time that every recording lies in, in seconds.
_ALWAYS = np.array([[-1e9, 1e9]])


@contextmanager
def opened(path: Path) -> Iterator[NWBFile]:
    """The file, open. Whatever goes wrong while it is becomes a RecordingError that names it."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(
            f"There is no NWB file at {path}. Found {what} there. Check the path; relative paths start at {Path.cwd()}."
        )
    try:
        import pynwb
    except ImportError as error:
        raise ImportError(
            "Reading NWB files needs pynwb. Given: a Python in which it is not installed, or is incomplete. Install "
            "it: pip install 'pynwb>=4.2'."
        ) from error
    try:
        if path.stat().st_size < _SCANNED_BYTES and (where := broken_heap(path)) is not None:
            raise RecordingError(
                f"{path} is damaged: its texts cannot be read. Found the damage at byte {where}. Copy or download the "
                "file again."
            )
        with warnings.catch_warnings():
            # Both are about how the file was written, not about what is read.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="hdmf|pynwb")
            warnings.filterwarnings("ignore", message="Ignoring .*cached namespace")
            with pynwb.NWBHDF5IO(str(path), "r") as io:
                yield NWBFile(io.read(), path)
    except RecordingError:
        raise
    except Exception as error:  # hdmf, h5py and pynwb raise of many kinds on a broken file
        advice = "Copy or download it again, or install its extensions; pynwb.validate tells more"
        raise unreadable(path, "NWB", error, advice) from error


class NWBFile:
    """The parts of an open NWB file that trials are made of, as arrays and data frames."""

    def __init__(self, nwb: Any, path: Path):
        self.nwb = nwb
        self.path = path
        self._sources: dict[str, Source] = {}

    def attrs(self) -> dict[str, str]:
        """What the file says about the session and the subject, where it says something."""
        found = {
            name: getattr(self.nwb, name)
            for name in ("identifier", "session_id", "session_description", "institution", "lab")
        }
        found |= {name: getattr(self.nwb.subject, name, None) for name in ("subject_id", "species")}
        found["session_start_time"] = self.nwb.session_start_time.isoformat()
        return {name: str(value) for name, value in found.items() if value}

    def has_spikes(self) -> bool:
        """Whether there is a table of units with spike times."""
        return self.nwb.units is not None and "spike_times" in self.nwb.units.colnames

    def units(self, electrodes: bool = False) -> tuple[Any, list[np.ndarray], list[np.ndarray] | None]:
        """The units' data frame (by id), their spike times and, if the file has them, their observed intervals.

        Args:
            electrodes: Whether the frame also holds the columns of each unit's first electrode.
        """
        table = self.nwb.units
        if not self.has_spikes():
            found = "no table of units" if table is None else f"units with the columns {', '.join(table.colnames)}"
            series = shown([*self.series_paths()]) if self.series_paths() else "none"
            raise RecordingError(
                f"{self.path} has no spike times. Found {found}, and the time series {series}. Name those that are to "
                "be the channels, read_nwb(path, window, signals=...), or give a file whose units have spike_times."
            )
        frame = self.frame(table)
        if electrodes and "electrodes" in table.colnames:
            rows = self._ragged(table["electrodes"], "electrodes")
            of_electrodes = self.frame(self.nwb.electrodes)
            first = [row[0] if len(row) else -1 for row in rows]
            if max(first, default=-1) >= len(of_electrodes):
                raise self._wrong("electrodes", f"row {max(first)} of {len(of_electrodes)} electrodes")
            for name in of_electrodes.columns.difference(frame.columns):
                values = of_electrodes[name].tolist()
                frame[name] = [values[row] if row >= 0 else None for row in first]
        observed = self._ragged(table["obs_intervals"], "obs_intervals") if "obs_intervals" in table.colnames else None
        times = self._ragged(table["spike_times"], "spike_times")
        for name, odd in (
            ("descend", [(np.diff(spikes) < 0).sum() for spikes in times]),
            ("lie outside obs_intervals", [] if observed is None else map(_outside, times, observed)),
        ):
            odd = np.array(list(odd))
            if odd.any():
                warnings.warn(
                    f"{self.path.name} holds spike times that {name}. Given: {odd.sum()} in {np.count_nonzero(odd)} of "
                    f"{len(odd)} units, the first in unit {frame.index[np.argmax(odd > 0)]}. If the file is "
                    "not meant to be so, it is damaged: copy or download it again.",
                    UserWarning,
                    stacklevel=3,
                )
        invalid = self.invalid()
        if len(invalid):
            # Where nothing else is said, a unit was recorded at any time.
            spans = [_ALWAYS] * len(times) if observed is None else observed
            observed = [_without(span, invalid) for span in spans]
        return frame, times, observed

    def valid(self) -> np.ndarray:
        """The intervals (n, 2) that are left for analyses."""
        return _without(_ALWAYS, self.invalid())

    def invalid(self) -> np.ndarray:
        """The intervals (n, 2) that the file says to leave out of every analysis."""
        table = self.nwb.invalid_times
        if table is None or not len(table):
            return np.zeros((0, 2))
        frame = self.frame(table)
        return frame[["start_time", "stop_time"]].to_numpy(np.float64)

    def tables(self) -> dict[str, Any]:
        """Every table of intervals by name, trials and epochs among them."""
        return dict(self.nwb.intervals or {})

    def trials(self, intervals: Any) -> Any:
        """A data frame with `start_time` and `stop_time` for the `intervals` of a :class:`~indl.data.Window`."""
        import pandas

        tables = self.tables()
        if intervals is None and "trials" not in tables:
            raise RecordingError(
                f"{self.path} has no table of trials. Found {self._found(tables)}. Say intervals= one of these, a pair "
                "(start, stop) or an array (trials, 2)."
            )
        if intervals is None or isinstance(intervals, str):
            name = intervals or "trials"
            if name in tables:
                return self.frame(tables[name])
            tagged = self.tagged()
            if name in tagged:
                return self.frame(tables["epochs"]).iloc[tagged[name]]
            raise RecordingError(
                f"{self.path} has no intervals of that name. Given: {name!r}; found {self._found(tables)}."
                f"{nearest(name, [*tables, *tagged])} Name a table or a tag of the epochs, or give (start, stop)."
            )
        return pandas.DataFrame(intervals, columns=["start_time", "stop_time"])

    def tagged(self) -> dict[str, list[int]]:
        """The rows of the epochs by tag."""
        epochs = self.tables().get("epochs")
        if epochs is None or "tags" not in epochs.colnames:
            return {}
        found: dict[str, list[int]] = {}
        for row, tags in enumerate(self._ragged(epochs["tags"], "tags")):
            for tag in tags:
                found.setdefault(str(tag), []).append(row)
        return found

    def frame(self, table: Any) -> Any:
        """The columns of a table that hold one number or text a row, as a data frame by id."""
        import pandas

        ids = self.values(table.id.data, "id")
        columns = {}
        for name in table.colnames:
            column = table[name]
            # Ragged columns have a target, references to another table have a table.
            if not _is_plain(column.data) or hasattr(column, "target") or hasattr(column, "table"):
                continue
            values = self.values(column.data, name)
            if len(values) != len(ids):
                raise self._wrong(name, f"{len(values)} values for {len(ids)} rows")
            columns[name] = values
        return pandas.DataFrame(columns, index=pandas.Index(ids, name="id"))

    def series_paths(self) -> dict[str, Any]:
        """Every time series of the file by its path."""
        from pynwb import TimeSeries

        def walk(container: Any, path: str) -> Iterator[tuple[str, Any]]:
            if isinstance(container, TimeSeries):
                yield path, container
            for child in container.children:
                if hasattr(child, "children"):
                    yield from walk(child, f"{path}/{child.name}")

        found: dict[str, Any] = {}
        for part in ("acquisition", "processing", "stimulus", "analysis"):
            for container in getattr(self.nwb, part).values():
                found.update(walk(container, f"{part}/{container.name}"))
        return found

    def series(self, name: str, angle: bool = False, max_gap_s: float | None = None) -> Series:
        """A time series by its path, or by as much of the path's end as makes it unique, in the units it states."""
        paths = self.series_paths()
        fits = [path for path in paths if path == name or path.endswith(f"/{name}")]
        if len(fits) != 1:
            what = f"has {len(fits)} time series" if fits else "has no time series"
            raise RecordingError(
                f"{self.path} {what} of that name. Given: {name!r}; found {', '.join(fits or paths) or 'none at all'}."
                f"{nearest(name, [*paths, *(path.rpartition('/')[2] for path in paths)]) if not fits else ''} Give as "
                "much of the path as makes it unique."
            )
        found = paths[fits[0]]
        values = self.values(found.data, name)
        if values.dtype.kind not in "buif" or values.ndim not in (1, 2):
            raise self._wrong(name, f"shape {values.shape} of {values.dtype}")
        values = values * float(found.conversion) * self._channel_conversion(found, values) + float(found.offset)
        if found.timestamps is not None:
            times = self.values(found.timestamps, f"{name}/timestamps")
        elif found.rate is not None and np.isfinite(found.rate) and found.rate > 0:
            times = float(found.starting_time or 0.0) + np.arange(len(values)) / float(found.rate)
        else:
            raise self._wrong(name, f"neither timestamps nor a positive rate ({found.rate})")
        unit = str(found.unit or "").lower()
        if angle and unit.startswith("deg"):
            values = np.deg2rad(values)
        elif not angle and unit.startswith("rad") and (np.abs(np.diff(values, axis=0)) > np.pi).any():
            warnings.warn(
                f"The series {name!r} of {self.path.name} is in radians and jumps by more than half a turn. Between "
                f"such samples an interpolated angle is wrong. Say angles=[{name!r}] to take its cosine and sine.",
                UserWarning,
                stacklevel=4,
            )
        try:
            return Series(times, values, name.rpartition("/")[2], angle, max_gap_s)
        except ValueError as error:
            raise RecordingError(f"{self.path} is not usable. {error}") from error

    def _channel_conversion(self, series: Any, values: np.ndarray) -> Any:
        """Factors by channel, which electrical series may have beside the one for all."""
        if getattr(series, "channel_conversion", None) is None:
            return 1.0
        factors = self.values(series.channel_conversion, "channel_conversion").astype(np.float64)
        if values.ndim != 2 or factors.shape != values.shape[1:]:
            raise self._wrong("channel_conversion", f"shape {factors.shape} for values {values.shape}")
        return factors

    def values(self, dataset: Any, what: str) -> np.ndarray:
        """A data set as an array; texts as str."""
        if not isinstance(dataset, h5py.Dataset):
            return np.asarray(dataset)
        # A link may lead to another file, where large series lie.
        name = dataset.file.filename
        source = self._sources.setdefault(name, Source(dataset.file, Path(name)))
        return source.plain(source.dataset(dataset.name, LABELS)[()], what)

    def _ragged(self, index: Any, what: str) -> list[np.ndarray]:
        """The part of every row of a ragged column."""
        if not hasattr(index, "target"):
            raise self._wrong(what, "no index that tells which row its values belong to")
        ends = self.values(index.data, f"{what}_index")
        values = self.values(index.target.data, what)
        if ends.dtype.kind not in "ui" or ends.ndim != 1:
            raise self._wrong(f"{what}_index", f"shape {ends.shape} of {ends.dtype}")
        ends = ends.astype(np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        bad = np.flatnonzero(ends < starts)
        if bad.size or (len(ends) and ends[-1] != len(values)):
            raise self._wrong(
                f"{what}_index",
                f"{bad.size} rows that end before they start, and an end of {ends[-1]} for {len(values)} values",
            )
        return [values[start:end] for start, end in zip(starts, ends, strict=True)]

    def _found(self, tables: Iterable[str]) -> str:
        parts = [f"the tables {', '.join(tables)}"] if tables else ["no tables of intervals"]
        tagged = self.tagged()
        return " and ".join(parts + ([f"epochs tagged {', '.join(tagged)}"] if tagged else []))

    def _wrong(self, what: str, given: str) -> RecordingError:
        return RecordingError(
            f"{self.path} is damaged or unusual in {what}. Given: {given}. Write the file again, or check it with "
            "pynwb.validate."
        )


def _is_plain(data: Any) -> bool:
    """Whether a column is a vector of numbers or texts."""
    kind = getattr(getattr(data, "dtype", None), "kind", "")
    text = isinstance(data, h5py.Dataset) and h5py.check_string_dtype(data.dtype) is not None
    return np.ndim(data) == 1 and (text or kind in NUMBERS)


def _outside(spikes: np.ndarray, spans: np.ndarray) -> int:
    """How many spikes are in none of the intervals (n, 2)."""
    starts, stops = np.sort(spans, axis=0).T
    return int((np.searchsorted(starts, spikes + 1e-6, "right") == np.searchsorted(stops, spikes - 1e-6, "left")).sum())


def _without(spans: np.ndarray, invalid: np.ndarray) -> np.ndarray:
    """What is left of intervals (n, 2) where others are taken out."""
    left = [tuple(span) for span in np.reshape(spans, (-1, 2))]
    for start, stop in invalid:
        cut = [part for a, b in left for part in ((a, min(b, start)), (max(a, stop), b))]
        left = [(a, b) for a, b in cut if a < b]
    return np.array(left).reshape(-1, 2)


def marks(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """A column of marks as bool: numbers 0 and 1, or words for yes and no.

    Raises:
        RecordingError: it holds something else.
    """
    texts = np.char.lower(np.char.strip(values.astype(np.str_)))
    marked = np.isin(texts, ("true", "yes", "y", "t", "1", "1.0"))
    wrong = ~marked & ~np.isin(texts, ("false", "no", "n", "f", "0", "0.0"))
    if wrong.any():
        raise RecordingError(
            f"{path} has marks in {name!r} that say neither yes nor no. Given: {np.unique(values[wrong])[:5].tolist()}."
            " Use true and false, yes and no, or 1 and 0."
        )
    return marked


def column_of(frame: Any, name: str, of: str, path: Path) -> np.ndarray:
    """A column of a data frame; texts as numpy's. An error names the nearest."""
    if name not in frame.columns:
        raise RecordingError(
            f"{path} has no such column in {of}. Given: {name!r}; found {', '.join(map(str, frame.columns)) or 'none'}."
            f"{nearest(name, frame.columns)} Choose one of them."
        )
    values = frame[name].to_numpy()
    return values.astype(np.str_) if values.dtype.kind == "O" else values
