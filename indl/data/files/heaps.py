"""Texts of variable length in HDF5 files: whether what refers to them and where they lie is sound.

HDF5 follows such references unseen, and crashes or never returns where they are damaged. Layouts: "HDF5 File Format
Specification", version 3, III.E (global heap), IV.A.1.a (object header, version 1) and IV.A.2.m (attribute message).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

_BLOCK = 2**24
_HEADER = 16
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
_VARIABLE_LENGTH = 9
_ATTRIBUTE, _CONTINUATION = 12, 16


class BrokenHeapError(ValueError):
    """A heap that does not come to its end; `where` is its first byte."""

    def __init__(self, where: int):
        super().__init__(f"a heap of texts at byte {where} that does not end")
        self.where = where


class Heaps:
    """The global heaps of an open file, with the size of every object in them.

    Args:
        file: The open file.
        path: Where it lies.

    Raises:
        BrokenHeapError: If a heap does not come to its end.
    """

    def __init__(self, file: h5py.File, path: Path):
        self.path = path
        self.base = file.userblock_size
        self.sizes = {where - self.base: sizes for where, sizes in _heaps(path)}

    def check_attributes(self, holder: h5py.Group | h5py.Dataset) -> None:
        """Goes through the references in the attributes of a group or dataset.

        Raises:
            ValueError: If one does not lead to an object of its length.
        """
        with self.path.open("rb") as raw:
            for message in _attribute_messages(raw, self.base, h5py.h5o.get_info(holder.id).addr):
                self.check(_references(message))

    def check(self, references: bytes, item_bytes: int = 1) -> None:
        """Goes through references, 16 bytes each, to sequences of items.

        Raises:
            ValueError: If one does not lead to an object of its length.
        """
        for length, address, index in np.frombuffer(references[: len(references) // 16 * 16], _REFERENCE).tolist():
            if address and self.sizes.get(address, {}).get(index) != length * item_bytes:
                raise ValueError(f"a text of {length} bytes at {address}, where there is none")


def broken_heap(path: Path) -> int | None:
    """Where in a file a heap is that HDF5 would never come to the end of, or None."""
    try:
        for _ in _heaps(path):
            pass
    except BrokenHeapError as error:
        return error.where
    return None


def _heaps(path: Path) -> Iterator[tuple[int, dict[int, int]]]:
    """Every heap of a file: its first byte and the sizes of its objects."""
    with path.open("rb") as raw:
        size = raw.seek(0, 2)
        for start in range(0, size, _BLOCK):
            raw.seek(start)
            # Four letters may lie across the end of a block.
            block = raw.read(_BLOCK + 3)
            at = block.find(b"GCOL")
            while at >= 0:
                raw.seek(start + at)
                header = raw.read(_HEADER)
                room = int.from_bytes(header[8:], "little")
                # Anything else has the same letters by chance, or is so damaged that HDF5 sees it.
                if header[4:8] == b"\1\0\0\0" and 4096 <= room <= size - start - at:
                    yield start + at, _sizes(raw.read(room - _HEADER), start + at)
                at = block.find(b"GCOL", at + 1)


def _sizes(heap: bytes, where: int) -> dict[int, int]:
    """Size of each object of a heap by its index; the last one, 0, is the free space."""
    found: dict[int, int] = {}
    at = 0
    while at + _HEADER <= len(heap):
        index, size = int.from_bytes(heap[at : at + 2], "little"), int.from_bytes(heap[at + 8 : at + 16], "little")
        if index == 0 and at + size == len(heap):
            return found
        found[index] = size
        at += _HEADER + -(-size // 8) * 8
        if index == 0 or at > len(heap):
            raise BrokenHeapError(where)
    return found


def _attribute_messages(raw: BinaryIO, base: int, header: int) -> Iterator[bytes]:
    """The attribute messages of an object header, where they carry no checksum (in headers of version 1)."""
    raw.seek(base + header)
    start = raw.read(_HEADER)
    if start[:1] != b"\1":
        return
    blocks, seen = [raw.read(int.from_bytes(start[8:12], "little"))], set()
    while blocks:
        block, at = blocks.pop(), 0
        while at + 8 <= len(block):
            kind, size = int.from_bytes(block[at : at + 2], "little"), int.from_bytes(block[at + 2 : at + 4], "little")
            message = block[at + 8 : at + 8 + size]
            if kind == _ATTRIBUTE:
                yield message
            elif kind == _CONTINUATION and message not in seen:
                seen.add(message)
                raw.seek(base + int.from_bytes(message[:8], "little"))
                blocks.append(raw.read(int.from_bytes(message[8:16], "little")))
            at += 8 + size


def _references(message: bytes) -> bytes:
    """The values of an attribute of variable length; nothing of any other."""
    version = message[0] if message else 0
    sizes = [int.from_bytes(message[i : i + 2], "little") for i in (2, 4, 6)]
    if version == 1:
        sizes = [-(-size // 8) * 8 for size in sizes]
    name = 9 if version == 3 else 8
    kind = name + sizes[0]
    is_variable = message[kind : kind + 1] and message[kind] & 15 == _VARIABLE_LENGTH
    return message[kind + sizes[1] + sizes[2] :] if is_variable else b""
