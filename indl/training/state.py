"""The file of a run's state, read: all of it is looked at before anything is taken from it."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NotRequired, Protocol

import numpy as np
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from indl.files.plain import check_plain
from indl.files.schema import Count, Positive, Sha256, parsed
from indl.params.schema import Params

#: The layout of the file.
FORMAT = 2
_META = "meta"


class CheckpointError(RuntimeError):
    """The state of a run that cannot be written, read, or continued."""


class Stateful(Protocol):
    """A callback, or the like, whose state is kept with that of the run."""

    #: What the entries of the state are that are no lists of arrays.
    numbers: ClassVar[TypeAdapter[Any]]

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: numbers, and lists of arrays."""

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state, whose numbers are of their kinds, can be one of this model after the epochs of a history."""

    def restore(self, state: dict[str, Any]) -> None:
        """Takes a state on."""


class Stored(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype


@with_config(ConfigDict(extra="allow"))
class Settings(TypedDict):
    """What must be the same for a run to go on."""

    params: NotRequired[Params]
    epochs: NotRequired[Positive]
    hidden_every: NotRequired[Positive]
    data: NotRequired[Sha256]


class Meta(TypedDict):
    """What is not an array."""

    settings: Settings
    epochs_done: Positive
    history: dict[str, list[float]]
    parts: dict[str, dict[str, Any]]
    lists: dict[str, dict[str, Count]]


class _Format(TypedDict):
    format: Count


_FORMAT_ALONE, _ALL = TypeAdapter(_Format), TypeAdapter(Meta)


def read_state(path: Path, check: Callable[[Meta, dict[str, Stored]], None]) -> tuple[Meta, dict[str, np.ndarray]]:
    """The description in a file, and its arrays by name.

    Args:
        path: the file.
        check: raises a :class:`CheckpointError` where description and headers of the arrays are not those of the run;
            no array is loaded before.

    Raises:
        CheckpointError: the file is damaged, of another version, or does not pass the check.
    """
    try:
        size = check_plain(path)
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, size)
            meta = _meta(path, archive, members.pop(_META))
            stored = {name: _stored(archive, member) for name, member in members.items()}
            check(meta, stored)
            return meta, {name: _array(archive, name) for name in stored}
    except CheckpointError:
        raise
    # An archive from elsewhere is broken in more ways than its readers name.
    except Exception as error:
        reason = getattr(error, "strerror", None) or "it is cut off, damaged, or not as it was written"
        raise unreadable(path, f"({reason})") from error


def unreadable(path: Path, why: str) -> CheckpointError:
    """The error of a file that is no state; `why` follows its name."""
    return CheckpointError(
        f"The state of the run cannot be read. Given: {path} {why}. Remove it to begin the run anew."
    )


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive by name, which are together no larger than the file.

    Raises:
        ValueError: they are not as they were written.
    """
    members = archive.infolist()
    found = {member.filename.removesuffix(".npy"): member for member in members}
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or len(found) != len(members) or sum(member.file_size for member in members) > size:
        raise ValueError("the members are not as they were written")
    return found


def _stored(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    """Shape and dtype of an array, borne out by the bytes that are there.

    Raises:
        ValueError: the array is not as it was written.
    """
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        n_bytes = file.tell() + math.prod(shape) * dtype.itemsize
    if version != (1, 0) or dtype.hasobject or n_bytes != member.file_size:
        raise ValueError("the array is not as it was written")
    return Stored(shape, dtype)


def _meta(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Meta:
    stored = _stored(archive, member)
    if stored.dtype.kind != "U" or stored.shape:
        raise ValueError("the description is no text")
    text = str(_array(archive, _META))
    try:
        written = parsed(text, _FORMAT_ALONE)["format"]
        if written == FORMAT:
            return parsed(text, _ALL)
    except ValueError as error:
        raise unreadable(path, f"({_META}), {error}") from error
    raise CheckpointError(
        f"The state was written by another version of indl. Given: format {written} in {path}; this version reads "
        f"{FORMAT}. Remove it to begin the run anew."
    )


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
