"""HDF5 files, read with distrust: what is damaged, absurd or elsewhere is an error before it is data.

What is written here carries checksums (of the values and of the file's structure), so damage to it is found.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from indl.data.files.heaps import Heaps
from indl.data.files.integrity import extents, filters, overlapping, unknown_filters
from indl.data.values.lazy import LazyArray
from indl.files import OutputError, WriteError, atomic, expanded, output_file
from indl.machine import memory
from indl.text import shown

_CHUNK_BYTES = 2**20
#: Kinds of numpy's types: numbers, what may name or label something, and lists of indices (R) beside numbers.
NUMBERS, LABELS, RAGGED = "buif", "buifSO", "buifR"


#: What is wrong with a file that HDF5 opens, and that is still not of the form.
_OF_HDF5 = {
    "HDF5": "it is damaged",
    "NWB": "it is HDF5, but not NWB, of a version or an extension that pynwb does not know, or damaged",
}


class RecordingError(ValueError):
    """A file that cannot be read as a recording, or a recording that cannot be written."""


class Source:
    """An open HDF5 file whose datasets and attributes are looked at before they are read.

    Every method raises :class:`RecordingError` for what cannot be read.
    """

    def __init__(self, file: h5py.File, path: Path):
        self.file = file
        self.path = path
        self._checked: dict[str, tuple[np.ndarray, h5py.Dataset]] = {}
        self._heaps: Heaps | None = None
        self._check_names()

    def names(self) -> list[str]:
        """What lies in the file, sorted."""
        return sorted(self.file)

    def groups(self) -> list[str]:
        """The groups that lie in the file itself, sorted."""
        linked = self.file.get
        own = [name for name in self.names() if isinstance(linked(name, getlink=True), h5py.HardLink)]
        return [name for name in own if linked(name, getclass=True) is h5py.Group]

    def __contains__(self, name: str) -> bool:
        return name in self.file or self.file.get(name, getlink=True) is not None

    def dataset(self, name: str, kinds: str = NUMBERS) -> h5py.Dataset:
        """The dataset of that name, which is of these kinds and can be read whole."""
        found = self._follow(name)
        if not isinstance(found, h5py.Dataset):
            what = "nothing" if found is None else f"a {type(found).__name__.lower()}"
            raise self.error(f"has no dataset {name!r}", f"Found {what} of that name", "Write the array")
        if found.is_virtual or found.external:
            raise self.error(
                f"keeps {name} in other files", "Found a virtual or external dataset", "Copy the values into this file"
            )
        kind = found.dtype.kind
        if kind == "O" and h5py.check_string_dtype(found.dtype) is None:
            kind = "R" if getattr(h5py.check_vlen_dtype(found.dtype), "kind", "") in ("i", "u") else "-"
        if found.shape is None or kind not in kinds:
            wanted = "numeric" if kinds == NUMBERS else "numeric or text"
            got = f"Given: dtype {found.dtype}" + ("" if found.shape is not None else " without values")
            raise self.error(f"must hold numbers: {name} must be {wanted}", got, f"Write {name} as an array")
        self._check_stored(found, name)
        if found.dtype.kind == "O":
            self._check_texts(found)
        return found

    def array(self, name: str, kinds: str = NUMBERS) -> np.ndarray:
        """The values of a dataset; texts as str."""
        found = self.dataset(name, kinds)
        wanted = 4 * found.size if found.dtype.kind in NUMBERS else 0
        if wanted > memory():
            raise self.error(
                f"is too large for the memory: {name} is {wanted / 2**30:.1f} GiB in float32",
                f"Given: shape {found.shape}",
                "Use open_recording, which reads a few trials at a time",
            )
        return self.plain(found[()], name)

    def lazy(self, name: str, divide_by: float, max_bytes: int) -> LazyArray:
        """The dataset, read where it is indexed."""
        found = self.dataset(name)
        trials = found.chunks[0] if found.chunks else 1
        piece = 4 * trials * math.prod(found.shape[1:])
        if piece > max_bytes:
            raise self.error(
                f"cannot be read in pieces: {name} has {trials} trials in a chunk, {piece / 2**20:.0f} MiB of float32",
                f"Given: chunks of {found.chunks} with max_bytes at {max_bytes / 2**20:.0f} MiB",
                "Store smaller chunks (save_recording does), or raise max_bytes",
            )
        return LazyArray(self.path, name, divide_by=divide_by, max_bytes=max_bytes)

    def attributes(self) -> dict[str, Any]:
        """The attributes of the file."""
        found = {}
        kinds = {name: self.file.attrs.get_id(name).dtype for name in self.file.attrs}
        odd = [name for name in kinds if not isinstance(name, str)]
        if odd:
            raise self.error("is damaged: an attribute's name is no text", f"Given: {odd[0]!r}", "Copy the file again")
        if any(dtype.kind == "O" for dtype in kinds.values()):
            self._check_texts()
        for name, dtype in kinds.items():
            if dtype.kind not in "buifcS" and h5py.check_string_dtype(dtype) is None:
                raise self.error(
                    f"has an attribute {name} that is neither numbers nor text",
                    f"Given: {dtype}",
                    "Remove the attribute",
                )
            value = self.file.attrs[name]
            if isinstance(value, h5py.Empty):
                raise self.error(
                    f"has an empty attribute {name}", f"Given: {value.dtype}", "Write its value or remove it"
                )
            found[name] = self.plain(value, f"the attribute {name}")
        return found

    def plain(self, value: Any, name: str) -> Any:
        """HDF5's texts as str; everything else as it is."""
        try:
            if isinstance(value, bytes):
                return value.decode()
            if isinstance(value, np.ndarray) and (value.dtype.kind == "S" or h5py.check_string_dtype(value.dtype)):
                texts = [item.decode() if isinstance(item, bytes) else str(item) for item in value.flat]
                return np.array(texts, dtype=np.str_).reshape(value.shape)
        except UnicodeDecodeError as error:
            raise self.error(
                f"is damaged: {name} is no text", "Given: bytes that are not UTF-8", "Copy the file again"
            ) from error
        return value

    def error(self, problem: str, got: str, advice: str) -> RecordingError:
        """An error that names the file."""
        return RecordingError(f"{self.path} {problem}. {got}. {advice}.")

    def _follow(self, name: str) -> Any:
        """The object of that name if every link to it leads within the file."""
        for _ in range(16):
            parts = [part for part in name.split("/") if part]
            for i in range(len(parts)):
                link = self.file.get("/".join(parts[: i + 1]), getlink=True)
                # A group that is a link may lie in another file, which is not opened.
                if not isinstance(link, h5py.HardLink):
                    break
            else:
                return self.file.get(name)
            if not isinstance(link, h5py.SoftLink) or i < len(parts) - 1:
                break
            name = link.path
        raise self.error(
            f"has no values at {name}",
            f"Found {'nothing' if link is None else f'a link ({type(link).__name__}) to elsewhere'}",
            "Copy the array into this file",
        )

    def _check_stored(self, found: h5py.Dataset, name: str) -> None:
        """Refuses values that are not in the file as it says, before any of them is allocated."""
        if name in self._checked:
            return
        unknown = unknown_filters(found)
        if unknown:
            raise self.error(
                f"has {name} compressed by a filter that is not installed",
                f"Given: HDF5 filter {unknown[0]}",
                "Install and import hdf5plugin, or write the file with gzip",
            )
        try:
            places = extents(found, self.path.stat().st_size)
        except ValueError as error:
            raise self.error(
                f"is damaged, or was not written to its end: {name} is incomplete",
                f"Given: {error} for shape {found.shape}",
                "Copy or write the file again",
            ) from error
        # One dataset may have several names.
        if any(dataset == found for _, dataset in self._checked.values()):
            places = places[:0]
        if overlapping(np.concatenate([places, *(others for others, _ in self._checked.values())])):
            raise self.error(
                f"is damaged: {name} shares its place in the file with another array",
                f"Given: {len(places)} pieces for shape {found.shape}",
                "Copy or write the file again",
            )
        self._checked[name] = places, found

    def _check_names(self) -> None:
        """Refuses a file whose names are not in HDF5's order: one is damaged, and its array would not be found."""
        if self.file.id.get_create_plist().get_version()[0] >= 2:
            # There names have checksums, and listing damaged ones would crash HDF5.
            return
        names = [self.file.id.get_objname_by_idx(i) for i in range(self.file.id.get_num_objs())]
        wrong = [b for a, b in zip(names, names[1:], strict=False) if not a < b]
        wrong += [name for name in names if not self.file.id.links.exists(name)]
        if wrong:
            raise self.error(
                "is damaged: its names are not in order, or cannot be found",
                f"Given: {shown(wrong[0])} out of place among {len(names)}",
                "Copy or write the file again",
            )

    def _check_texts(self, found: h5py.Dataset | None = None) -> None:
        """Refuses texts of variable length (of a dataset, or of the attributes) that HDF5 cannot follow."""
        try:
            if self._heaps is None:
                self._heaps = Heaps(self.file, self.path)
            if found is None:
                self._heaps.check_attributes(self.file)
            elif not filters(found):
                item = h5py.check_vlen_dtype(found.dtype)
                with self.path.open("rb") as raw:
                    for start, end in extents(found, self.path.stat().st_size).tolist():
                        raw.seek(self.file.userblock_size + start)
                        self._heaps.check(raw.read(end - start), item.itemsize if isinstance(item, np.dtype) else 1)
        except ValueError as error:
            raise self.error(
                "is damaged: its texts cannot be read", f"Given: {error}", "Copy the file again"
            ) from error


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[Source]:
    """Opens an HDF5 file to read, and words what may go wrong with it.

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file is not HDF5, is damaged, or does not hold what is asked of it.
    """
    path = expanded(path)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(
            f"There is no recording at {path}. Found {what} there. Check the path; relative "
            f"paths start at {Path.cwd()}."
        )
    try:
        with h5py.File(path, "r") as file:
            yield Source(file, path)
    except RecordingError:
        raise
    except ValueError as error:
        raise RecordingError(f"{path} is not a usable recording. {error}") from error
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, SystemError, MemoryError) as error:
        # HDF5 answers to damage with any of these.
        advice = "Copy or download the file again, or convert it with Trials and save_trials"
        raise unreadable(path, "HDF5", error, advice) from error


def output_place(path: Path | str, purpose: str) -> Path:
    """The path of an HDF5 file to write, in a folder that exists; see :func:`writing`."""
    path = expanded(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder to write {path.name} to. Given: {path.parent}. Make the folder first."
        )
    return output_file(path, purpose)


@contextlib.contextmanager
def writing(path: Path | str, purpose: str) -> Iterator[h5py.File]:
    """Opens an HDF5 file to write, which appears whole or not at all.

    It may replace a file that the library wrote for the same purpose.

    Raises:
        OutputError: If another file is there.
        FileNotFoundError: If the folder does not exist.
        WriteError: If the disk is full, or otherwise refuses; an existing file stays as it was.
    """
    path = output_place(path, purpose)
    try:
        # From version 1.8 on, HDF5 checks the sums of its own structures.
        with atomic(path) as temporary, h5py.File(temporary, "w", libver=("v108", "v108")) as file:
            yield file
    except (OutputError, WriteError):
        raise
    # HDF5 does not always say what the system has refused.
    except (OSError, RuntimeError) as error:
        raise WriteError(path, error) from error


def unreadable(path: Path, form: str, error: Exception, advice: str) -> RecordingError:
    """The error of a file that cannot be read, with its cause where that can be told.

    Args:
        path: The file.
        form: What it should be, ``"HDF5"``, ``"NWB"`` or another form.
        error: What reading it has raised.
        advice: What to do about a file that is another one or damaged, without the full stop.
    """
    said, size = str(error), f"{path.stat().st_size} bytes"
    if "unable to lock file" in said:
        return RecordingError(
            f"{path} is open in another process, which may be writing it. Given: a file that HDF5 found locked. Close "
            "it there, or set HDF5_USE_FILE_LOCKING=FALSE in the environment to read it all the same."
        )
    if isinstance(error, PermissionError) or "Permission denied" in said:
        return RecordingError(
            f"{path} may not be read by this user. Given: {size}, permission denied. Change its permissions."
        )
    if "truncated file" in said:
        what = "it is truncated, which an interrupted copy leaves"
    elif form in _OF_HDF5:
        what = _OF_HDF5[form] if h5py.is_hdf5(path) else "it is another kind of file"
    else:
        what = "it is another kind of file, or damaged"
    return RecordingError(f"{path} cannot be read as {form}: {what}. Given: {size}. {advice}.")


def write_array(file: h5py.File, name: str, values: Any, smallest: bool = False) -> None:
    """Writes an array, compressed and with checksums, in chunks of whole trials; texts as UTF-8.

    Args:
        file: The file.
        name: Name of the dataset.
        values: A numpy array, or a :class:`~indl.data.LazyArray`, which is copied piece by piece.
        smallest: Store whole numbers from 0 in the smallest type that holds them.
    """
    if not isinstance(values, LazyArray):
        values = _storable(values)
    if values.ndim == 0 or values.size == 0 or values.dtype.kind == "O":
        file[name] = values
        return
    row = max(1, values.dtype.itemsize * values.size // len(values))
    rows = min(len(values), max(1, _CHUNK_BYTES // row))
    # A long recording is one row: it is cut in time.
    rest = values.shape[1:] if row <= _CHUNK_BYTES else (-(-values.shape[1] * _CHUNK_BYTES // row), *values.shape[2:])
    step = rows * max(1, 2**24 // (row * rows))
    pieces = [slice(start, start + step) for start in range(0, len(values), step)]
    dtype = _smallest(values, pieces) if smallest else values.dtype
    stored = file.create_dataset(
        name, values.shape, dtype, chunks=(rows, *rest), compression="gzip", shuffle=True, fletcher32=True
    )
    for piece in pieces:
        stored[piece] = values[piece].astype(dtype, copy=False)


def write_attribute(file: h5py.File, name: str, value: Any) -> None:
    """Writes an attribute of the file.

    Raises:
        RecordingError: If the value cannot be one.
    """
    try:
        file.attrs[name] = _storable(value)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise RecordingError(
            f"The entry {name!r} of attrs cannot be stored in HDF5. Given: {shown(value)} of type "
            f"{type(value).__name__}. Use texts without NUL, numbers, dates, arrays or dicts of them, or remove it."
        ) from error


def _storable(values: Any) -> np.ndarray:
    """An array that HDF5 holds; texts in a field of fixed length, which is covered by the checksums."""
    array = np.asarray(values)
    if array.dtype == object and all(isinstance(item, np.ndarray) for item in array.flat):
        return array.astype(h5py.vlen_dtype(np.int64))
    if array.dtype.kind not in "UO":
        return array
    other = [item for item in array.flat if not isinstance(item, str | bytes)]
    if other:
        raise TypeError(f"HDF5 holds numbers and texts, not {type(other[0]).__name__}")
    encoded = [item if isinstance(item, bytes) else item.encode() for item in array.flat]
    if any(b"\0" in text for text in encoded):
        raise ValueError("texts cannot hold NUL")
    length = max([1, *map(len, encoded)])
    return np.array(encoded, h5py.string_dtype("utf-8", length)).reshape(array.shape)


def _smallest(values: Any, pieces: list[slice]) -> np.dtype:
    """The smallest unsigned type that holds the values exactly, or their own."""
    top = 0
    for piece in pieces:
        part = values[piece]
        if not (part.min() >= 0 and (part == np.rint(part)).all()):
            return values.dtype
        top = max(top, int(part.max()))
    return np.min_scalar_type(top)
