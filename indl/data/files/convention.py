"""The names that arrays of recordings have in HDF5 files, and what is made of them; see :mod:`indl.data.files.hdf5`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from indl.data.checks.arrays import check_bin_width, check_trials, pieces
from indl.data.files.attributes import read_attrs, stored_attrs
from indl.data.files.storage import LABELS, RAGGED, Source, write_array, write_attribute
from indl.data.values.provenance import digest
from indl.data.values.recording import OPTIONAL, Recording, Split
from indl.data.values.trials import PER_TRIAL, Trials, lengthened
from indl.files.marks import MARK
from indl.text import shown

#: What files are written for, as their marks say.
RECORDING, TRIALS = "recording", "trials"
_PARTS = ("train", "valid", "test")
# Derived from the arrays or told by their container: kept out of `attrs`, where they could contradict them.
_DERIVED = ("bin_width_s", "n_heldin", "n_heldout", "conversion_factor", "missing", "are_counts", "sha256", MARK)
# Datasets kept in `attrs`: what initialises and aligns models elsewhere, and what metrics need.
_KEPT = ("readin_weight", "readout_bias", "psth", "alignment_matrix_cxf", "alignment_bias_c")
_KEPT_OF_PARTS = tuple(f"{part}_{name}" for part in _PARTS for name in ("cond_idx", "decode_mask", "jitter"))
_BEHAVIOR_OF_PARTS = tuple(f"{part}_behavior" for part in _PARTS)


class Reader:
    """Makes recordings and trials of an open file.

    Args:
        source: The file.
        counts, bin_width_s, missing: What the caller says, or None for what the file says.
        max_bytes: Leave the arrays in the file, as :class:`~indl.data.LazyArray` with this bound. None: read them.
    """

    def __init__(
        self,
        source: Source,
        counts: bool | None,
        bin_width_s: float | None,
        missing: bool | None,
        max_bytes: int | None = None,
    ):
        self.source = source
        self.stated = source.attributes()
        self.counts = self._flag("are_counts", True) if counts is None else counts
        self.missing = self._flag("missing", False) if missing is None else missing
        self.bin_width_s = self._bin_width(bin_width_s)
        self.max_bytes = max_bytes

    def recording(self) -> Recording:
        """The training and validation part."""
        train, valid = self._part("train"), self._part("valid")
        n_channels = train.recon.shape[2]
        ids = self.source.array("channel_ids", LABELS) if "channel_ids" in self.source else np.arange(n_channels)
        for name, there in (("n_heldin", train.encod.shape[2]), ("n_heldout", n_channels - train.encod.shape[2])):
            if name in self.stated and not np.array_equal(self.stated[name], there):
                raise self.source.error(
                    f"contradicts itself: {name} and the channels differ",
                    f"Given: the attribute {self.stated[name]} for {there} channels",
                    "Correct or remove the attribute",
                )
        return self._unchanged(
            Recording(train, valid, self.bin_width_s, ids, self.attrs(), str(self.source.path), self.counts)
        )

    def trials(self) -> Trials:
        """Unsplit trials, or all parts joined."""
        unsplit = "trials_data" in self.source
        if unsplit:
            fields = {"counts": self.source.array("trials_data"), **self._optional("trials")}
        else:
            fields = self._joined()
        if "channel_ids" in self.source:
            fields["channel_ids"] = self.source.array("channel_ids", LABELS)
        found = self.make_trials(stacklevel=4, **fields)
        return self._unchanged(found) if unsplit else found

    def make_trials(self, counts: np.ndarray, stacklevel: int = 3, **fields: Any) -> Trials:
        """Trials with what the file and its caller say about them; warnings point `stacklevel` calls up."""
        about = {"are_counts": self.counts, "missing": self.missing, "source": str(self.source.path)}
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            trials = Trials(counts, self.bin_width_s, attrs=self.attrs(), **about, **fields)
        for warning in found:
            warnings.warn(warning.message, stacklevel=stacklevel)
        return trials

    def _unchanged(self, found: Any) -> Any:
        """What was read, if it has the hash that was written with it; arrays that stay in the file are not hashed."""
        stated = self.stated.get("sha256")
        if stated is not None and self.max_bytes is None and digest(found) != stated:
            raise self.source.error(
                "is damaged, or was changed since it was written: its values do not have the hash that it states",
                f"Given: the attribute sha256 {str(stated)[:16]} ...",
                "Copy the file again; if it was changed on purpose, remove that attribute",
            )
        return found

    def attrs(self) -> dict[str, Any]:
        """The attributes of the file, and the datasets that are kept with them."""
        found = read_attrs({name: value for name, value in self.stated.items() if name not in _DERIVED}, self.source)
        for name in (*_KEPT, *_KEPT_OF_PARTS):
            if name in self.source:
                found[name] = self.source.array(name, RAGGED)
        for name in _BEHAVIOR_OF_PARTS:
            if name in self.source and self.source.dataset(name).ndim == 2:
                found[name] = self.source.array(name)
        return found

    def _part(self, part: str, check: bool = True) -> Split:
        encod_key, recon_key = self._keys(part)
        encod = self._sequence(encod_key)
        # Without held-out channels both names may lead to one dataset.
        same = self.source.dataset(encod_key) == self.source.dataset(recon_key)
        recon = encod if same else self._sequence(recon_key)
        if check:
            # Deep enough for the warning to point at whoever called load_recording.
            names = (encod_key, recon_key)
            check_trials(encod, recon, counts=self.counts, missing=self.missing, names=names, stacklevel=5)
        return Split(encod=encod, recon=recon, **self._optional(part))

    def _keys(self, part: str) -> tuple[str, str]:
        """Names of the datasets with the encoder's and the reconstructed data."""
        encod, recon, legacy = f"{part}_encod_data", f"{part}_recon_data", f"{part}_data"
        if encod not in self.source and recon not in self.source and legacy in self.source:
            return legacy, legacy
        missing = [key for key in (encod, recon) if key not in self.source]
        if missing:
            unsplit = "trials_data" in self.source
            raise self.source.error(
                f"has no dataset {' and no '.join(missing)}",
                f"Found: {', '.join(self.source.names()[:12]) or 'nothing'}",
                "These are unsplit trials: use load_trials and Trials.split"
                if unsplit
                else "Rename the datasets, or read them yourself and use Trials.split",
            )
        return encod, recon

    def _optional(self, part: str) -> dict[str, Any]:
        found = {}
        for name in OPTIONAL:
            key = f"{part}_{name}"
            if key not in self.source or (name == "behavior" and self.source.dataset(key).ndim == 2):
                continue
            if name in ("inds", "start_s", "label", "session"):
                value = self.source.array(key, LABELS if name == "label" else "buif")
                value = self._indices(value, key) if name in ("inds", "session") else value
            else:
                value = self._sequence(key, conversion_factor(self.source, key) if name == "truth" else 1.0)
            if value.dtype.kind == "f":
                self._require_finite(value, key, name == "behavior" or (self.missing and value.ndim == 3))
            found[name] = value
        return found

    def _sequence(self, key: str, divide_by: float = 1.0) -> Any:
        if self.max_bytes is not None:
            return self.source.lazy(key, divide_by, self.max_bytes)
        values = self.source.array(key)
        return values if divide_by == 1 else values / divide_by

    def _indices(self, values: np.ndarray, key: str) -> np.ndarray:
        whole = np.all((values >= 0) & (values == np.rint(values))) if values.dtype.kind in "iuf" else False
        if not whole:
            raise ValueError(
                f"{key} must hold the index of each trial in the session. Given: {values[:5].tolist()} ... Give whole "
                "numbers from 0, or remove the dataset."
            )
        return values.astype(np.int64)

    def _require_finite(self, values: Any, key: str, or_nan: bool) -> None:
        bad = sum(np.count_nonzero(np.isinf(piece) if or_nan else ~np.isfinite(piece)) for _, piece in pieces(values))
        if bad:
            raise ValueError(
                f"{key} must be finite{' or NaN' if or_nan else ''}. Given: {bad} "
                f"{'' if or_nan else 'NaN or '}infinite values. Write it again, or remove it from the file."
            )

    def _joined(self) -> dict[str, Any]:
        """The arrays of all parts in the order of the session."""
        there = [
            part for part in _PARTS if part != "test" or {"test_recon_data", "test_data"} & set(self.source.names())
        ]
        splits = {part: self._part(part, check=False) for part in there}
        shapes = {part: split.recon.shape[1:] for part, split in splits.items()}
        if len(set(shapes.values())) > 1:
            raise self.source.error(
                "has parts that cannot be joined: their bins and channels differ",
                f"Given: {shapes}",
                "Use load_recording",
            )
        fields: dict[str, Any] = {"counts": np.concatenate([split.recon for split in splits.values()])}
        for name in PER_TRIAL:
            having = [part for part, split in splits.items() if getattr(split, name) is not None]
            if having and len(having) < len(splits):
                raise self.source.error(
                    f"has parts that cannot be joined: not all have {name}",
                    f"Given: only {having}",
                    "Use load_recording",
                )
            if having:
                values = [getattr(split, name) for split in splits.values()]
                if name == "behavior":
                    values = [lengthened(value, fields["counts"].shape[1]) for value in values]
                if len({value.shape[1:] for value in values}) > 1:
                    raise self.source.error(
                        f"has parts that cannot be joined: their {name} differs",
                        f"Given: shapes {[value.shape for value in values]}",
                        "Use load_recording",
                    )
                fields[name] = np.concatenate(values)
        inds = fields.get("inds")
        if inds is None:
            return fields
        if len(np.unique(inds)) < len(inds):
            shared = np.flatnonzero(np.bincount(inds) > 1)
            raise self.source.error(
                f"has the same trial twice: {len(shared)} indices in *_inds occur again",
                f"Given: {shared[:10].tolist()}",
                "Number the trials of the session, or remove *_inds",
            )
        order = np.argsort(inds)
        return {name: value[order] for name, value in fields.items()}

    def _flag(self, name: str, default: bool) -> bool:
        value = self.stated.get(name, default)
        if np.ndim(value) or value not in (0, 1):
            raise self.source.error(
                f"has an attribute {name} that is neither true nor false", f"Given: {value!r}", "Correct or remove it"
            )
        return bool(value)

    def _bin_width(self, given: float | None) -> float:
        stated = self.stated.get("bin_width_s")
        if stated is None and given is None:
            raise self.source.error(
                "does not state its bin width",
                f"Found the attributes: {', '.join(sorted(self.stated)) or 'none'}",
                "Write the attribute bin_width_s into the file or give bin_width_s=..., in seconds",
            )
        widths = []
        for width in (given, stated):
            if width is not None:
                one = isinstance(width, np.ndarray) and width.size == 1
                widths.append(check_bin_width(width.item() if one else width))
        if not np.allclose(widths, widths[0]):
            raise self.source.error(
                "states another bin width than the one given",
                f"Given: {stated} s in the file and {given} s as argument",
                "Leave out the argument or correct the file",
            )
        return widths[-1]


def conversion_factor(source: Source, key: str) -> float:
    """What the true rates in a dataset are divided by to be expected counts per bin.

    Raises:
        ValueError: If it is not one positive number.
    """
    value: Any = 1.0
    if "conversion_factor" in source:
        value = source.array("conversion_factor")
    for attributes in (source.file.attrs, source.dataset(key).attrs):
        value = attributes.get("conversion_factor", value)
    value = np.asarray(value)
    if value.dtype.kind not in "iuf" or value.size != 1 or not 0 < value.item() < np.inf:
        raise ValueError(
            f"conversion_factor must be one positive number. Given: {shown(value)}. It divides truth to "
            "give expected counts per bin; use 1 if truth is in counts per bin already."
        )
    return float(value.item())


def write_recording(recording: Recording, file: h5py.File) -> None:
    """Writes all arrays and attributes of a recording."""
    about = {"n_heldin": recording.n_heldin, "n_heldout": recording.n_heldout, "missing": recording.has_missing}
    about["are_counts"] = recording.are_counts
    _write_attrs(file, recording, {**about, "sha256": digest(recording), MARK: RECORDING})
    for part in ("train", "valid"):
        split = getattr(recording, part)
        write_array(file, f"{part}_recon_data", split.recon, smallest=True)
        if split.encod is split.recon:
            file[f"{part}_encod_data"] = file[f"{part}_recon_data"]
        else:
            write_array(file, f"{part}_encod_data", split.encod, smallest=True)
        for name in OPTIONAL:
            if getattr(split, name) is not None:
                write_array(file, f"{part}_{name}", getattr(split, name))
    if recording.train.truth is not None:
        file["conversion_factor"] = 1.0


def write_trials(trials: Trials, file: h5py.File) -> None:
    """Writes all arrays and attributes of unsplit trials."""
    about = {"missing": trials.missing, "are_counts": trials.are_counts, "sha256": digest(trials)}
    _write_attrs(file, trials, {**about, MARK: TRIALS})
    write_array(file, "trials_data", trials.counts, smallest=True)
    for name in PER_TRIAL:
        if getattr(trials, name) is not None:
            write_array(file, f"trials_{name}", getattr(trials, name))


def _write_attrs(file: h5py.File, container: Recording | Trials, about: Mapping[str, Any]) -> None:
    write_array(file, "channel_ids", container.channel_ids)
    attrs = {"source": container.source, **container.attrs, "bin_width_s": container.bin_width_s, **about}
    for name, value in stored_attrs(attrs).items():
        if name in (*_KEPT, *_KEPT_OF_PARTS, *_BEHAVIOR_OF_PARTS):
            write_array(file, name, value)
        else:
            write_attribute(file, name, value)
