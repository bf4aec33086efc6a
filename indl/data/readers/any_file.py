"""Any file that the library reads as a recording: which reader it needs, and how it is cut and split."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.files.hdf5 import load_continuous, load_recording, load_trials
from indl.data.files.storage import RecordingError, reading
from indl.data.prepare.chopping import chop
from indl.data.readers.mapping import read_mat, read_npz
from indl.data.readers.nlb import holds_nlb, read_nlb
from indl.data.readers.nwb import read_nwb
from indl.data.readers.nwb_file import column_of
from indl.data.spikes.window import Window
from indl.data.values.nlb_data import NLBData, alike
from indl.data.values.recording import Recording
from indl.data.values.trials import Trials
from indl.files import expanded
from indl.text import nearest, shown

#: What a file is, as :func:`kind_of` names it, in words.
KINDS = {
    "recording": "a recording that is split already",
    "trials": "unsplit trials in HDF5",
    "continuous": "an uncut recording in HDF5",
    "nwb": "an NWB file",
    "mat": "a MATLAB file",
    "npz": "an npz file",
    "nlb": "a file in the layout of nlb_tools",
}
_CUT = ("chop_s", "overlap_s")
_SPLIT = ("valid", "heldout", "forward", "block", "split_seed")
_VARIABLES = ("counts", "variables", "axes", "window_s", "edges", *_CUT, *_SPLIT)
#: Which options each kind of file takes beside `bin_width_s`.
_OPTIONS = {
    "recording": ("counts",),
    "trials": ("counts", *_CUT, *_SPLIT),
    "continuous": ("counts", "dataset", *_CUT, *_SPLIT),
    "nlb": ("dataset", "valid", "split_seed"),
    "nwb": (
        *("align", "window_s", "intervals", "label", "signals", "behavior", "ext_input", "angles", "units", "edges"),
        *(*_CUT, *_SPLIT),
    ),
    "mat": _VARIABLES,
    "npz": _VARIABLES,
}
#: Successive windows of one recording are alike: so many go to one part together.
_BLOCK = 10


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file becomes trials, and how these are split. All values are plain, so that a run can write them down.

    Args:
        bin_width_s: Width of a bin in seconds, where the file does not state it.
        counts: False for real-valued signals. None: what the file says, else counts.
        align: NWB: column of the trials with the event to align to; with `window_s`.
        window_s: Start and stop in seconds relative to the event (or, in npz and MATLAB files, to the trial's zero).
        intervals: NWB: table of intervals, or tag of the epochs, that holds the trials. None: the table of trials.
        label: NWB: column of the trials with their condition.
        signals: NWB: names of time series whose dimensions are the channels, instead of the units' spikes.
        behavior, ext_input, angles: NWB: names of time series; see :func:`~indl.data.read_nwb`.
        units: NWB: "column=value", or a mapping, for every column of the units that is to have a value.
        edges: What becomes of trials that leave the recording: see :class:`~indl.data.Window`.
        variables: npz and MATLAB: "field=variable" or "field=variable:axes", or a mapping; see
            :func:`~indl.data.read_mat`.
        axes: npz and MATLAB: the axes of the variables that do not say their own.
        dataset: HDF5: name of an uncut recording, see :func:`~indl.data.load_continuous`; or, in the layout of
            nlb_tools, of the data set, see :func:`~indl.data.read_nlb`.
        chop_s: Cut the trials (or the uncut recording) into windows of so many seconds.
        overlap_s: Seconds that a window shares with the one before it.
        valid: Fraction of the trials for validation.
        heldout: How many channels to hold out from the encoder, or which fraction; or, NWB, the column that marks them.
        forward: Bins at the end of a trial that the encoder does not see.
        block: Successive trials that go to one part together. None: 10 for windows of `chop_s` (fewer where there are
            not 100), else 1.
        split_seed: Seed of the split and of the channels held out.

    Example:
        >>> from indl.data import Reading
        >>> Reading(align="move_onset_time", window_s=(-0.25, 0.45), bin_width_s=0.02).plain()
        {'bin_width_s': 0.02, 'align': 'move_onset_time', 'window_s': (-0.25, 0.45)}
    """

    bin_width_s: float | None = None
    counts: bool | None = None
    align: str | None = None
    window_s: tuple[float, float] | None = None
    intervals: str | None = None
    label: str | None = None
    signals: tuple[str, ...] = ()
    behavior: tuple[str, ...] = ()
    ext_input: tuple[str, ...] = ()
    angles: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    edges: str = "raise"
    variables: tuple[str, ...] = ()
    axes: str | None = None
    dataset: str | None = None
    chop_s: float | None = None
    overlap_s: float = 0.0
    valid: float = 0.2
    heldout: int | float | str = 0
    forward: int = 0
    block: int | None = None
    split_seed: int = 0

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Reading:
        """What :meth:`plain` gave, also after JSON.

        Raises:
            ValueError: An entry that there is not.
        """
        names = [field.name for field in fields(cls)]
        for name in plain:
            if name not in names:
                raise ValueError(
                    f"There is no such option of reading. Given: {shown(name)}.{nearest(name, names)} Choose from "
                    f"{', '.join(names)}."
                )
        return cls(**{name: _plain(value) for name, value in plain.items()})

    def plain(self) -> dict[str, Any]:
        """The options that are not at their default."""
        return {name: value for name, value in asdict(self).items() if value != getattr(Reading(), name)}

    def check(self, path: Path, kind: str) -> None:
        """Refuses options that say nothing about a kind of file.

        Raises:
            ValueError: There is one.
        """
        needless = [name for name in self.plain() if name not in options_of(kind)]
        if needless:
            given = ", ".join(f"{name}={shown(getattr(self, name))}" for name in needless)
            takes = ", ".join(options_of(kind))
            raise ValueError(
                f"Not every option is for every file. Given: {given} for {path}, which is {KINDS[kind]}. Leave that "
                f"out; such a file takes {takes}."
            )
        if isinstance(self.heldout, str) and kind != "nwb":
            raise ValueError(
                f"Only an NWB file has columns that mark channels. Given: heldout={self.heldout!r} for {path}. Give a "
                "number of channels, or a fraction."
            )

    def split(self, trials: Trials) -> Recording:
        """The recording of the trials; a column of marks was read with them."""
        heldout = self.heldout
        if isinstance(heldout, str):
            heldout = trials.attrs["heldout"]
            if not len(heldout):
                raise ValueError(
                    f"The column marks no channel to hold out. Given: heldout={self.heldout!r}, false for all of "
                    f"{trials.n_channels}. Give a number or a fraction of the channels, or leave it out."
                )
        block = self.block
        if block is None:
            block = 1 if self.chop_s is None else max(1, min(_BLOCK, len(trials) // _BLOCK))
        return trials.split(self.valid, heldout=heldout, forward_steps=self.forward, block=block, seed=self.split_seed)


def options_of(kind: str, split: bool = True) -> tuple[str, ...]:
    """The options that a kind of file takes; `split`: with those that say how its trials are split."""
    return tuple(name for name in ("bin_width_s", *_OPTIONS[kind]) if split or name not in _SPLIT)


def kind_of(path: Path | str, dataset: str | None = None) -> str:
    """Which of :data:`KINDS` a file is, by its ending, or else by what lies in it.

    Args:
        path: The file.
        dataset: Name of an uncut recording that is asked for.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If it cannot be read, or is none of them.
    """
    path = expanded(path)
    ending = path.suffix.lower().removeprefix(".")
    if ending in ("nwb", "mat", "npz"):
        return ending
    with reading(path) as source:
        if "nwb_version" in source.file.attrs:
            return "nwb"
        if holds_nlb(source):
            return "nlb"
        if dataset is not None:
            return "continuous"
        return "trials" if "trials_data" in source else "recording"


def read_trials(path: Path | str, **how: Any) -> Trials:
    """The trials of any file that the library reads, all of them, in the order of the session.

    Args:
        path: HDF5 in the convention of :func:`~indl.data.load_recording`, NWB, MATLAB or npz.
        **how: What the file does not say by itself, as of :class:`Reading`.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file cannot be read, or not in this way.
        ValueError: If an option says nothing about this kind of file.
    """
    path, options = expanded(path), Reading.of(how)
    kind = kind_of(path, options.dataset)
    options.check(path, kind)
    return _cut(_uncut(path, options, kind), options, path)


def read_recording(path: Path | str, **how: Any) -> Recording:
    """Any file that the library reads as a recording to train on: as it is split in the file, or as `how` says.

    Args:
        path: As for :func:`read_trials`.
        **how: What the file does not say by itself, and how its trials are split, as of :class:`Reading`.

    Raises:
        FileNotFoundError, RecordingError, ValueError: As :func:`read_trials`; or if the trials cannot be split so.

    Example:
        >>> from indl.data import read_recording
        >>> read_recording(
        ...     "mc_maze_small_test.nwb",
        ...     align="move_onset_time",
        ...     window_s=(-0.25, 0.45),
        ...     bin_width_s=0.02,
        ...     heldout=27,
        ... )  # doctest: +SKIP
        Recording(mc_maze_small_test.nwb, 80 train + 20 valid trials, 35 bins of 20 ms, 80 channels held-in + ...
    """
    path, options = expanded(path), Reading.of(how)
    kind = kind_of(path, options.dataset)
    options.check(path, kind)
    if kind == "recording":
        return load_recording(path, counts=options.counts, bin_width_s=options.bin_width_s)
    if kind == "nlb":
        return _nlb(path, options).recording(options.valid, seed=options.split_seed)
    return options.split(_cut(_uncut(path, options, kind), options, path))


def _uncut(path: Path, how: Reading, kind: str) -> Trials:
    about = {"counts": how.counts, "bin_width_s": how.bin_width_s}
    if kind in ("recording", "trials"):
        return load_trials(path, **about)
    if kind == "continuous":
        return load_continuous(path, how.dataset, **about)
    if kind == "nwb":
        return _nwb(path, how)
    if kind == "nlb":
        data = _nlb(path, how)
        return Trials.concatenate(alike(*(part for part in (data.train, data.evaluation) if part is not None)))
    fields_given = [_pair(text, "variables")[0] for text in how.variables]
    if len(set(fields_given)) < len(fields_given):
        raise ValueError(f"Every field is one variable. Given: {', '.join(how.variables)}. Map each field once.")
    read = read_mat if kind == "mat" else read_npz
    window = None if how.window_s is None else Window(window_s=how.window_s, bin_width_s=how.bin_width_s)
    return read(
        path,
        dict(map(_variable, how.variables)),
        None if window is None else replace(window, edges=how.edges),
        axes=how.axes,
        bin_width_s=how.bin_width_s,
        are_counts=how.counts is not False,
    )


def _nlb(path: Path, how: Reading) -> NLBData:
    return read_nlb(path, name=how.dataset or "", bin_width_s=how.bin_width_s)


def _nwb(path: Path, how: Reading) -> Trials:
    if how.bin_width_s is None and not how.signals:
        raise RecordingError(
            f"An NWB file holds times, not bins. Given: {path} without a bin width. Say bin_width_s, in seconds "
            "(--bin 0.02 for 20 ms)."
        )
    if (how.align is None) != (how.window_s is None):
        given = f"align={how.align!r}" if how.window_s is None else f"window_s={how.window_s}"
        raise RecordingError(
            f"An event and a window around it belong together. Given: {given} alone for {path}. Say both (--align "
            "COLUMN --window START,STOP), or neither for trials from their start to their stop."
        )
    window = Window(how.align, how.window_s, how.bin_width_s, intervals=how.intervals, label=how.label, edges=how.edges)
    wanted = [_pair(text, "units") for text in how.units]

    def chosen(units: Any) -> np.ndarray:
        columns = [column_of(units, name, "the units", path) for name, _ in wanted]
        found = np.all([_equals(column, text) for column, (_, text) in zip(columns, wanted, strict=True)], axis=0)
        if not found.any():
            values = "; ".join(
                f"{name} is {', '.join(map(str, np.unique(column.astype(np.str_))[:6]))}"
                for column, (name, _) in zip(columns, wanted, strict=True)
            )
            raise RecordingError(
                f"No unit has the values that are asked for. Given: {', '.join(how.units)} for {path}, where {values}. "
                "Change or leave out --units."
            )
        return found

    return read_nwb(
        path,
        window,
        signals=how.signals or None,
        behavior=how.behavior or None,
        ext_input=how.ext_input or None,
        angles=how.angles,
        unit_filter=chosen if wanted else None,
        heldout=how.heldout if isinstance(how.heldout, str) else None,
    )


def _cut(trials: Trials, how: Reading, path: Path) -> Trials:
    """The trials, or the windows that they are cut into."""
    if how.chop_s is None:
        if how.overlap_s:
            raise ValueError(
                f"Only windows overlap. Given: overlap_s={how.overlap_s} without chop_s for {path}. Say chop_s, or "
                "leave it out."
            )
        return trials
    bins = [_bins(name, getattr(how, name), trials.bin_width_s) for name in _CUT]
    return chop(trials, *bins)


def _plain(value: Any) -> Any:
    """A list, or a mapping from names to values, as the tuple that it stands for."""
    if isinstance(value, Mapping):
        return tuple(f"{name}={item}" for name, item in value.items())
    return tuple(value) if isinstance(value, list) else value


def _bins(name: str, seconds: float, width: float) -> int:
    bins = seconds / width if isinstance(seconds, numbers.Real) else math.nan
    if not math.isfinite(bins) or abs(bins - round(bins)) > 1e-6 * max(bins, 1):
        raise ValueError(
            f"{name} must be a whole number of bins. Given: {seconds:g} s with bins of {width:g} s. The nearest that "
            f"fits is {max(round(bins), 1) * width:g} s."
            if math.isfinite(bins)
            else f"{name} must be a number of seconds. Given: {shown(seconds)}. Give for example 1.0."
        )
    return round(bins)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name.strip() and sign and value.strip()):
        raise ValueError(f"{option} goes from a name to a value. Given: {shown(text)}. Give name=value.")
    return name.strip(), value.strip()


def _variable(text: str) -> tuple[str, str | tuple[str, str]]:
    """A field and the variable that it is mapped to, with its axes where they are given."""
    field, value = _pair(text, "variables")
    name, sign, axes = value.partition(":")
    return field, (name, axes) if sign else name


def _equals(column: np.ndarray, text: str) -> np.ndarray:
    """Where a column has the value that a text stands for."""
    if column.dtype.kind == "b":
        return np.char.lower(column.astype(np.str_)) == text.lower()
    if column.dtype.kind not in "iuf":
        return column.astype(np.str_) == text
    try:
        return column == float(text)
    except ValueError:
        return np.zeros(len(column), bool)
