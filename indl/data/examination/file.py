"""Reading a recording's HDF5 file as it is, so that a report can list all that is wrong with it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from indl.data.checks.arrays import as_trials
from indl.data.checks.findings import Finding
from indl.data.examination.parts import Part
from indl.data.files.convention import conversion_factor
from indl.data.files.storage import LABELS, RecordingError, Source
from indl.data.values.recording import OPTIONAL
from indl.files import refusal

# Larger datasets stay in the file and are gone through in pieces.
_MAX_IN_MEMORY = 2**30
# HDF5 answers to damage with any of these.
_DAMAGE = (RecordingError, OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError)


@dataclass(eq=False)
class RawFile:
    """What an HDF5 file of the convention holds, with nothing checked but that it can be read.

    Args:
        path: The file.
        parts: ``"train"`` and ``"valid"``, as far as they are there, or ``"trials"``.
        bin_width_s: What the file states, None if it does not.
        are_counts, missing: The same.
        channel_ids: The same.
        findings: What could not be read or is not there.
        refusal: Why `load_recording` refuses the file, empty if it does not.
    """

    path: Path
    parts: dict[str, Part] = field(default_factory=dict)
    bin_width_s: Any = None
    are_counts: bool = True
    missing: bool = False
    channel_ids: Any = None
    findings: list[Finding] = field(default_factory=list)
    refusal: str = ""

    def trials(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Counts of the trials of all parts, and their labels where all have some, in the order of the session.

        At most about 1 GiB, to be drawn: of more trials some are left out at even distances.

        Raises:
            RecordingError: If no part holds trials that can be drawn.
        """
        parts = [part for part in self.parts.values() if as_trials(part["recon"], "")[1] is None]
        parts = [part for part in parts if part["recon"].shape[1:] == parts[0]["recon"].shape[1:]]
        if not parts:
            raise RecordingError(
                f"{self.path} holds no trials to draw. Found no counts (trials, time, channels). See the report."
            )
        every = 1 + sum(4 * part["recon"].size for part in parts) // _MAX_IN_MEMORY
        counts = np.concatenate([np.asarray(part["recon"][::every], np.float32) for part in parts])

        def of_trials(field: str) -> np.ndarray | None:
            found = [np.asarray(part[field])[::every] for part in parts if field in part]
            there = len(found) == len(parts) and all(values.ndim == 1 for values in found)
            return np.concatenate(found) if there and sum(map(len, found)) == len(counts) else None

        label, inds = of_trials("label"), of_trials("inds")
        order = np.arange(len(counts)) if inds is None else np.argsort(inds, kind="stable")
        return counts[order], None if label is None else label[order]


def read_raw(source: Source) -> RawFile:
    """Read an open HDF5 file, which must stay open while the result is used: large arrays stay in it."""
    raw = RawFile(source.path)
    for part in ("trials",) if "trials_data" in source else ("train", "valid"):
        keys = {"encod": f"{part}_encod_data", "recon": f"{part}_recon_data"}
        if not any(key in source for key in keys.values()) and f"{part}_data" in source:
            keys = dict.fromkeys(keys, f"{part}_data")
        absent = [key for key in dict.fromkeys(keys.values()) if key not in source]
        if absent:
            raw.findings.append(_absent(source, absent))
        arrays = {"recon": _read(raw, source, keys["recon"])}
        same = keys["encod"] == keys["recon"]
        arrays["encod"] = arrays["recon"] if same else _read(raw, source, keys["encod"])
        if isinstance(arrays["recon"], h5py.Dataset) and arrays["encod"] == arrays["recon"]:
            # Both names lead to one dataset, which is gone through once.
            arrays["encod"] = arrays["recon"]
        keys |= {name: f"{part}_{name}" for name in OPTIONAL}
        arrays |= {name: _read(raw, source, keys[name]) for name in OPTIONAL}
        if arrays.get("truth") is not None:
            arrays["truth"] = _scaled(raw, source, arrays["truth"], keys["truth"])
        if np.ndim(arrays.get("behavior")) == 2:
            # One row a trial, as a decoding target: not a series.
            del arrays["behavior"]
        if arrays["encod"] is not None and arrays["recon"] is not None:
            raw.parts[part] = Part(arrays, keys)
    if "channel_ids" in source:
        raw.channel_ids = _read(raw, source, "channel_ids")
    _read_attributes(raw, source)
    return raw


def _read(raw: RawFile, source: Source, key: str) -> Any:
    """The values, or the dataset itself if they are many; None if they are absent, or cannot be read (a finding)."""
    try:
        if key not in source:
            return None
        stored = source.dataset(key, LABELS)
        return stored if 4 * stored.size > _MAX_IN_MEMORY else source.array(key, LABELS)
    except _DAMAGE as error:
        raw.findings.append(_unreadable(key, error))
        return None


def _scaled(raw: RawFile, source: Source, truth: Any, key: str) -> Any:
    """True rates in expected counts per bin; None, with a finding, if they cannot be."""
    try:
        factor = conversion_factor(source, key)
    except ValueError as error:
        raw.findings.append(Finding("error", "conversion-factor", key, str(error), "", ""))
        return None
    return truth if factor == 1 else np.asarray(truth) / factor


def _read_attributes(raw: RawFile, source: Source) -> None:
    try:
        attributes = source.attributes()
    except _DAMAGE as error:
        raw.findings.append(_unreadable("attributes", error))
        return
    stated = attributes.get("bin_width_s")
    raw.bin_width_s = stated.item() if isinstance(stated, np.ndarray | np.generic) and stated.size == 1 else stated
    raw.are_counts = bool(np.all(attributes.get("are_counts", True)))
    raw.missing = bool(np.all(attributes.get("missing", False)))
    if stated is None:
        got = f"Given: the attributes {', '.join(sorted(attributes)) or '(none)'}."
        advice = "Write the attribute bin_width_s into the file, in seconds, or give it (--bin-width)."
        problem = f"{source.path} does not state its bin width."
        raw.findings.append(Finding("error", "no-bin-width", "bin_width_s", problem, got, advice))


def _absent(source: Source, keys: list[str]) -> Finding:
    uncut = [name for name in source.names() if name.startswith("continuous_") and source.dataset(name).ndim == 2]
    advice = "Rename the datasets, or read them yourself and use Trials and save_trials."
    if uncut:
        advice = f"{uncut[0]} may be an uncut recording: say dataset={uncut[0]!r} and chop_s (--dataset, --chop)."
    return Finding(
        "error",
        "absent",
        keys[0],
        f"{source.path} has no dataset {' and no '.join(keys)}.",
        f"Found {', '.join(source.names()[:12]) or 'nothing'}.",
        advice,
    )


def _unreadable(key: str, error: Exception) -> Finding:
    if isinstance(error, RecordingError):
        return Finding("error", "unreadable", key, str(error), "", "")
    number = refusal(error)
    got = f"Given: {'values that HDF5 cannot read' if number is None else os.strerror(number)}."
    return Finding("error", "unreadable", key, f"{key} is damaged.", got, "Copy or download the file again.")
