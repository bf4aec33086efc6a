"""MATLAB files of all versions as one tree of dicts, lists and arrays, with MATLAB's shapes."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse
from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque

from indl.data.files.storage import Source, reading, unreadable
from indl.files import expanded
from indl.machine import memory


def load_matlab(path: Path | str, names: Collection[str] | None = None) -> dict[str, Any]:
    """The variables of a MATLAB file, version 4 to 7 (scipy) or 7.3 (HDF5). Nothing in it is executed.

    Args:
        path: The file.
        names: Variables to read, where there are such. None: all.

    Returns:
        A dict of variables. A struct is a dict, a struct array a list of dicts in MATLAB's linear order, a cell array
        an object array of its shape, text a str, a number array an array of the shape that MATLAB's `size` shows. None
        stands for what has no such form (function handles, objects, tables, `string` arrays).

    Raises:
        FileNotFoundError: If there is no such file.
        RecordingError: If the file is not MATLAB's, or is damaged.
    """
    path = expanded(path)
    if path.is_file() and not h5py.is_hdf5(path):
        try:
            found = scipy.io.loadmat(path, variable_names=None if names is None else list(names))
            return {name: _from_scipy(value) for name, value in found.items() if not name.startswith("__")}
        except Exception as error:  # scipy raises of many kinds on a broken file
            advice = "Save it again in MATLAB, e.g. save('file.mat', 'data', '-v7.3')"
            raise unreadable(path, "a MATLAB file", error, advice) from error
    with reading(path) as source:
        # What begins with # is MATLAB's own.
        wanted = [name for name in source.names() if not name.startswith("#") and (names is None or name in names)]
        return {name: _from_hdf5(source.file[name], source) for name in wanted}


def _from_scipy(value: Any) -> Any:
    if scipy.sparse.issparse(value):
        columns = value.tocsc()
        return _dense(columns.data, columns.indices, columns.indptr, columns.shape[0])
    if isinstance(value, (MatlabFunction, MatlabObject, MatlabOpaque)) or not isinstance(value, np.ndarray):
        return None
    if value.dtype.names is not None:
        structs = [{name: _from_scipy(item[name]) for name in value.dtype.names} for item in value.ravel(order="F")]
        return structs[0] if value.size == 1 else structs
    if value.dtype.kind == "O":
        return _cells([_from_scipy(item) for item in value.ravel(order="F")], value.shape)
    if value.dtype.kind == "U":
        return _text(value.ravel().tolist())
    return value


def _from_hdf5(item: h5py.Group | h5py.Dataset, source: Source) -> Any:
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if isinstance(item, h5py.Group):
        if "MATLAB_sparse" in item.attrs:
            return _sparse(item, source)
        return _struct({name: item[name] for name in item}, source) if kind in ("struct", "") else None
    references = h5py.check_ref_dtype(item.dtype) is not None
    if "MATLAB_empty" in item.attrs:
        shape = tuple(int(size) for size in np.ravel(item[()]))
        return "" if kind == "char" else np.empty(shape, object if kind == "cell" else np.float64)
    if references and kind == "cell":
        # HDF5 keeps MATLAB's axes in reverse.
        return _cells([_from_hdf5(source.file[ref], source) for ref in item[()].ravel()], item.shape[::-1])
    if references or item.dtype.kind not in "buif" or kind == "string":
        return None
    array = source.dataset(item.name)[()].T
    if kind == "char":
        return _text(["".join(map(chr, row)) for row in np.atleast_2d(array)])
    return array.astype(bool) if kind == "logical" else array


def _sparse(item: h5py.Group, source: Source) -> np.ndarray:
    """A sparse matrix as an array, once its parts belong together."""
    n_rows = np.asarray(item.attrs["MATLAB_sparse"])
    # A matrix of zeros has the ends of its columns alone.
    parts = {name: source.dataset(f"{item.name}/{name}")[()] for name in ("data", "ir", "jc") if name in item}
    try:
        if n_rows.size != 1 or n_rows.dtype.kind not in "iu":
            raise ValueError(f"{n_rows.size} numbers of rows")
        values, rows = parts.get("data", np.zeros(0)), parts.get("ir", np.zeros(0, np.int64))
        return _dense(values, rows, parts.get("jc", np.zeros(0)), int(n_rows.item()))
    except ValueError as error:
        raise source.error(
            f"has a sparse matrix that is damaged: {item.name}", f"Given: {error}", "Save it again in MATLAB"
        ) from error


def _dense(values: np.ndarray, rows: np.ndarray, ends: np.ndarray, n_rows: int) -> np.ndarray:
    """The array of a matrix in compressed columns, whose indices are looked at first: scipy would write anywhere.

    Args:
        values: The entries that are not zero, (entries,).
        rows: The row of each, (entries,).
        ends: Where each column begins among them, and where the last one ends, (columns + 1,).
        n_rows: Number of rows.

    Raises:
        ValueError: With what was found, if the parts do not make a matrix, or not one that the memory holds.
    """
    if any(part.ndim != 1 for part in (values, rows, ends)) or not len(ends) or ends.dtype.kind not in "iu":
        raise ValueError(f"entries {values.shape}, rows {rows.shape} and columns {ends.shape}")
    ends = ends.astype(np.int64)
    if len(values) != len(rows) or ends[0] != 0 or ends[-1] != len(rows) or (np.diff(ends) < 0).any():
        raise ValueError(f"{len(values)} entries in {len(rows)} rows, with columns from {ends[0]} to {ends[-1]}")
    if len(rows) and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= n_rows):
        raise ValueError(f"rows from {rows.min()} to {rows.max()} of {n_rows}")
    shape = n_rows, len(ends) - 1
    if n_rows < 0 or math.prod(shape) * values.dtype.itemsize > memory():
        raise ValueError(f"{shape[0]} rows and {shape[1]} columns, more than the memory holds")
    found = np.zeros(shape, values.dtype)
    np.add.at(found, (rows.astype(np.int64), np.repeat(np.arange(shape[1]), np.diff(ends))), values)
    return found


def _struct(fields: dict[str, Any], source: Source) -> Any:
    """A struct, or a struct array: there every field is a dataset of references that is not a cell array."""
    arrays = {name: _elements(field) for name, field in fields.items()}
    if not fields or any(array is None for array in arrays.values()):
        return {name: _from_hdf5(field, source) for name, field in fields.items()}
    columns = {name: [_from_hdf5(source.file[ref], source) for ref in array] for name, array in arrays.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _elements(field: Any) -> np.ndarray | None:
    listed = isinstance(field, h5py.Dataset) and h5py.check_ref_dtype(field.dtype) is not None
    return field[()].ravel() if listed and "MATLAB_class" not in field.attrs else None


def _cells(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """An object array of MATLAB's shape from its cells in MATLAB's linear order."""
    cells = np.empty(len(items), object)
    for i, item in enumerate(items):
        cells[i] = item
    return cells.reshape(shape, order="F")


def _text(rows: list[str]) -> str | list[str]:
    return rows[0] if len(rows) == 1 else [row.rstrip() for row in rows]
