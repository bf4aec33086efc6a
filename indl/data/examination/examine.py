"""Everything that is suspicious about trials, a recording or a recording's file, as one report."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from indl.data.checks.arrays import bin_width_finding, scale_finding, trial_findings
from indl.data.checks.findings import CheckReport, Finding
from indl.data.examination.channels import activity_findings, channel_pair_findings, constant_findings
from indl.data.examination.file import RawFile, read_raw
from indl.data.examination.parts import Part, channel_id_findings, misfits, part_findings
from indl.data.examination.session import (
    axes_findings,
    drift_findings,
    missing_findings,
    size_findings,
    trial_pair_findings,
)
from indl.data.examination.split import overlap_findings, two_part_findings
from indl.data.examination.statistics import Statistics
from indl.data.files.hdf5 import RecordingError, load_recording, load_trials, open_recording
from indl.data.files.storage import reading
from indl.data.readers.any_file import Reading, kind_of, read_trials
from indl.data.values.recording import OPTIONAL, Recording, Split
from indl.data.values.trials import Trials
from indl.files import expanded

# With these an array is no array of trials, and nothing else can be said about it.
_UNUSABLE = {"not-numeric", "wrong-axes", "empty", "unequal-trials", "unequal-shapes"}
_NWB_BIN_S = 0.02
_NOT_COUNTS = {"negative", "fractional"}


def examine(
    data: Trials | Recording | Split | RawFile, *, counts: bool | None = None, bin_width_s: float | None = None
) -> CheckReport:
    """Look for everything in the data that is wrong, suspicious or good to know; nothing is raised or changed.

    Args:
        data: Trials, a recording, one part of it, or what :func:`examine_file` has read.
        counts: False for real-valued signals. None: as the data say.
        bin_width_s: Bin width in seconds of a `Split`, which does not know its own; without it rates are not looked at.

    Returns:
        The report. `print` shows it; `raise_errors` and `warn` act on it.

    Raises:
        TypeError: If the data are something else.

    Example:
        >>> from indl.data import examine, lorenz
        >>> examine(lorenz(seed=0)).ok
        True
    """
    ids, found, subject = None, [], repr(data)
    if isinstance(data, Trials):
        arrays = {"encod": data.counts, "recon": data.counts} | {name: getattr(data, name, None) for name in OPTIONAL}
        parts = [Part(arrays, {"encod": "counts", "recon": "counts"} | {name: name for name in OPTIONAL})]
        counts = data.are_counts if counts is None else counts
        bin_width_s, ids = data.bin_width_s, data.channel_ids
    elif isinstance(data, Split):
        parts = [_part(data, "")]
    elif isinstance(data, Recording):
        parts = [_part(data.train, "train."), _part(data.valid, "valid.")]
        counts = data.are_counts if counts is None else counts
        bin_width_s, ids = data.bin_width_s, data.channel_ids
    elif isinstance(data, RawFile):
        parts, subject = list(data.parts.values()), str(data.path)
        found = [f for f in data.findings if bin_width_s is None or f.code != "no-bin-width"]
        bin_width_s, ids = bin_width_s if data.bin_width_s is None else data.bin_width_s, data.channel_ids
        counts = data.are_counts if counts is None else counts
    else:
        raise TypeError(
            f"Only data of this library can be examined. Given: {type(data).__name__}. Make Trials(counts, "
            "bin_width_s) of an array, or give the path of a file to examine_file."
        )
    # What the containers hold has passed: NaN in it is meant.
    missing = data.missing if isinstance(data, RawFile) else True
    found = [*found, *_findings(parts, bin_width_s, ids, counts is None or counts, missing)]
    if isinstance(data, RawFile) and data.refusal and not any(finding.severity == "error" for finding in found):
        found.append(Finding("error", "refused", str(data.path), data.refusal, "", ""))
    return CheckReport(tuple(found), subject)


def examine_file(path: Path | str, **how: Any) -> CheckReport:
    """Examine a file, also one that `load_recording` refuses: all that is wrong is listed.

    Args:
        path: Any file that :func:`~indl.data.read_recording` reads.
        **how: How it is read, as of :class:`~indl.data.Reading`; an NWB file without `bin_width_s` is cut into bins of
            20 ms.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If it cannot be read at all, or not cut into trials.
        ValueError: If an option says nothing about this kind of file.
    """
    with opened(path, **how) as data:
        return examine(data, counts=how.get("counts"), bin_width_s=how.get("bin_width_s"))


@contextmanager
def opened(path: Path | str, **how: Any) -> Iterator[RawFile | Trials]:
    """What :func:`examine_file` examines; arguments as there. Large arrays stay in the file until the block ends."""
    path, options = expanded(path), Reading.of(how)
    kind = kind_of(path, options.dataset)
    if kind not in ("recording", "trials") or options.chop_s is not None:
        default = {"bin_width_s": _NWB_BIN_S} if kind == "nwb" and not options.signals else {}
        with warnings.catch_warnings():
            # The report says the same.
            warnings.simplefilter("ignore", UserWarning)
            trials = read_trials(path, **{**default, **how})
        yield trials
        return
    options.check(path, kind)
    with reading(path) as source:
        raw = read_raw(source)
        raw.refusal = _refusal(raw, options.counts, options.bin_width_s)
        yield raw


def _refusal(raw: RawFile, counts: bool | None, bin_width_s: float | None) -> str:
    """Why the file cannot be loaded; empty if it can. What it states may contradict its arrays in ways of its own."""
    in_memory = all(isinstance(part["recon"], np.ndarray) for part in raw.parts.values())
    load = load_trials if "trials" in raw.parts else load_recording if in_memory else open_recording
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            load(raw.path, counts=counts, bin_width_s=bin_width_s)
    except RecordingError as error:
        return str(error)
    return ""


def _part(split: Split, prefix: str) -> Part:
    fields = ("encod", "recon", *OPTIONAL)
    return Part({name: getattr(split, name) for name in fields}, {name: f"{prefix}{name}" for name in fields})


def _findings(parts: list[Part], bin_width_s: Any, channel_ids: Any, counts: bool, missing: bool) -> Iterator[Finding]:
    """Every finding; the parts are the training part (or all trials) first, then the validation part."""
    wrong_width = None if bin_width_s is None else bin_width_finding(bin_width_s)
    if wrong_width:
        yield wrong_width
        bin_width_s = None
    usable: list[tuple[Part, Statistics]] = []
    silent: set[int] = set()
    for part in parts:
        names = part.names["encod"], part.names["recon"]
        found = list(trial_findings(part["encod"], part["recon"], counts=counts, missing=missing, names=names))
        yield from _once(found, names[1], silent)
        codes = {finding.code for finding in found}
        if codes & _UNUSABLE:
            continue
        wrong = misfits(part)
        yield from wrong.values()
        part = part.without(set(wrong))
        are_counts = counts and not codes & _NOT_COUNTS
        s = Statistics.of(part["recon"], are_counts)
        yield from _array_findings(part, s, bin_width_s, are_counts, first=not usable)
        yield from part_findings(part, s)
        usable.append((part, s))
    if usable and channel_ids is not None:
        yield from channel_id_findings(channel_ids, usable[0][1].shape[2])
    if len(usable) == 2:
        (train, s_train), (valid, s_valid) = usable
        yield from two_part_findings(train, valid, s_train, s_valid)
        if bin_width_s is not None:
            yield from overlap_findings(train, valid, bin_width_s)


def _once(found: list[Finding], recon: str, silent: set[int]) -> Iterator[Finding]:
    """What has not been told: of held-in channels for `recon` too, of `silent` channels (grows) for another part."""
    told = {(finding.code, finding.first) for finding in found if finding.where == recon}
    for finding in found:
        channels = finding.details["channels"].tolist() if finding.code == "silent-channels" else []
        again = finding.where != recon and (finding.code, finding.first) in told
        if not again and not (channels and silent.issuperset(channels)):
            silent.update(channels)
            yield finding


def _array_findings(
    part: Part, s: Statistics, bin_width_s: float | None, counts: bool, first: bool
) -> Iterator[Finding]:
    name = part.names["recon"]
    yield from missing_findings(s, name)
    yield from trial_pair_findings(s, name)
    # A validation part is small, and what is true of its channels is true of the training part.
    if not first:
        return
    if counts:
        yield from activity_findings(s, name, bin_width_s)
    elif (scale := scale_finding(s.lowest, s.highest, s.means, name)) is not None:
        yield scale
    yield from size_findings(s.shape[0], name)
    yield from constant_findings(s, name)
    yield from channel_pair_findings(s, name)
    yield from axes_findings(s, name)
    by = next((field for field in ("start_s", "inds") if field in part and part[field].dtype.kind in "iuf"), None)
    yield from drift_findings(s, name, np.arange(s.shape[0]) if by is None else np.argsort(part[by], kind="stable"))
