"""Arrays of trials that stay in their HDF5 file and are read a few trials at a time."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from indl.files import expanded

#: Size in float32 beyond which a :class:`LazyArray` refuses to be read at once.
MAX_BYTES = 2**29
# What is read from the file in one go, and what batches are mixed from, in stored bytes.
_BLOCK_BYTES = 2**22
_WINDOW_BYTES = 2**26


class LazyArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An HDF5 dataset that behaves like a read-only float32 array but is read where it is indexed.

    The file is opened at first use; a copy by pickle opens it again by its path. It is read in blocks of neighbouring
    trials, of which the last are kept (up to 128 MiB in the type of the file), so batches that are mixed from a few
    blocks read each block once.

    Args:
        path: The HDF5 file.
        name: Its dataset, of numbers, at least one axis.
        divide_by: Every value is divided by this.
        max_bytes: An index (or `np.asarray`) that would make more bytes of float32 than this is refused.

    Raises:
        ValueError: If the array, or what is asked of it at once, is larger than `max_bytes`; if the file has changed
            since it was opened first.

    Example:
        >>> import h5py, numpy as np, pathlib, tempfile
        >>> from indl.data import LazyArray
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "counts.h5"
        >>> with h5py.File(path, "w") as file:
        ...     file["counts"] = np.arange(24, dtype="uint8").reshape(4, 3, 2)
        >>> counts = LazyArray(path, "counts")
        >>> counts
        LazyArray((4, 3, 2) in counts of counts.h5)
        >>> chosen = counts[[2, 0]]
        >>> chosen[:, 0, 0].tolist()
        [12.0, 0.0]
    """

    dtype = np.dtype(np.float32)

    def __init__(self, path: Path | str, name: str, *, divide_by: float = 1.0, max_bytes: int = MAX_BYTES):
        self.path = expanded(path).resolve()
        self.name = name
        self.divide_by = float(divide_by)
        self.max_bytes = max_bytes
        self._set: h5py.Dataset | None = None
        self._blocks: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        with h5py.File(self.path, "r") as file:
            stored = file[name]
            self.shape: tuple[int, ...] = stored.shape
            self._stored = stored.dtype
            self.chunks: tuple[int, ...] | None = stored.chunks

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the whole array would take as float32."""
        return self.size * self.dtype.itemsize

    @property
    def shuffle_blocks(self) -> tuple[int, int]:
        """Number of trials in a block that is read together, and of blocks that batches are mixed from."""
        row_bytes = max(1, self.size // len(self) * self._stored.itemsize)
        chunk = self.chunks[0] if self.chunks else 1
        size = chunk * max(1, _BLOCK_BYTES // (row_bytes * chunk))
        return size, max(1, _WINDOW_BYTES // (row_bytes * size))

    def __len__(self) -> int:
        """Number of trials."""
        return self.shape[0]

    def __getitem__(self, which: Any) -> np.ndarray:
        """Some trials as a new float32 array, by index, slice, indices in any order, or a bool mask.

        Further indices apply to the trials read.
        """
        rows, *rest = which if isinstance(which, tuple) else (which,)
        if rows is Ellipsis:
            rows, rest = slice(None), [rows, *rest]
        chosen = np.arange(len(self))[rows]
        if chosen.ndim > 1:
            raise IndexError(
                f"{self!r} is indexed along its trials. Given: {rows!r}. Give an index, a slice or a list."
            )
        found = self._read(np.atleast_1d(chosen))
        return found[(slice(None), *rest)] if chosen.ndim else found[0][tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self._read(np.arange(len(self)))
        return found if dtype is None else found.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inputs = tuple(np.asarray(value) if isinstance(value, LazyArray) else value for value in inputs)
        return getattr(ufunc, method)(*inputs, **kwargs)

    def __repr__(self) -> str:
        return f"LazyArray({self.shape} in {self.name} of {self.path.name})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_set": None, "_blocks": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _read(self, rows: np.ndarray) -> np.ndarray:
        wanted = len(rows) * (self.nbytes // max(1, len(self)))
        if wanted > self.max_bytes:
            raise ValueError(
                f"{self!r} is too large to be read at once. Given: {len(rows)} trials, {wanted / 2**20:.0f} MiB of "
                f"float32, with max_bytes at {self.max_bytes / 2**20:.0f} MiB. Take fewer trials at a time, or "
                "raise max_bytes."
            )
        found = np.empty((len(rows), *self.shape[1:]), np.float32)
        block, within = np.divmod(rows, self.shuffle_blocks[0])
        with self._lock:
            for number in np.unique(block).tolist():
                here = block == number
                found[here] = self._block(number)[within[here]]
        return found if self.divide_by == 1 else found / np.float32(self.divide_by)

    def _block(self, number: int) -> np.ndarray:
        size, mixed = self.shuffle_blocks
        if number not in self._blocks:
            self._blocks[number] = self._open()[number * size : (number + 1) * size]
        self._blocks.move_to_end(number)
        # A batch may lie across the end of what is mixed.
        while len(self._blocks) > 2 * mixed:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _open(self) -> h5py.Dataset:
        if self._set is None:
            found = h5py.File(self.path, "r").get(self.name)
            if not isinstance(found, h5py.Dataset) or (found.shape, found.dtype) != (self.shape, self._stored):
                raise ValueError(
                    f"{self.path} has changed since it was opened. Given: {found} for {self!r}. Open the "
                    "recording again."
                )
            self._set = found
        return self._set
