"""MATLAB files of all versions as one tree of dicts, lists and arrays, with MATLAB's shapes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse
from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque

from indl.data.files.storage import RecordingError, Source, reading


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
    path = Path(path)
    if path.is_file() and not h5py.is_hdf5(path):
        try:
            found = scipy.io.loadmat(path, variable_names=None if names is None else list(names))
            return {name: _from_scipy(value) for name, value in found.items() if not name.startswith("__")}
        except Exception as error:  # scipy raises of many kinds on a broken file
            raise RecordingError(
                f"{path} cannot be read as a MATLAB file: it is another kind of file, or damaged. Given: "
                f"{path.stat().st_size} bytes ({type(error).__name__}: {str(error)[:300]}). Save it again in MATLAB, "
                "e.g. save('file.mat', 'data', '-v7.3')."
            ) from error
    with reading(path) as source:
        # What begins with # is MATLAB's own.
        wanted = [name for name in source.names() if not name.startswith("#") and (names is None or name in names)]
        return {name: _from_hdf5(source.file[name], source) for name in wanted}


def _from_scipy(value: Any) -> Any:
    if scipy.sparse.issparse(value):
        return value.toarray()
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
            parts = (
                [source.dataset(f"{item.name}/{name}")[()] for name in ("data", "ir", "jc")] if "data" in item else None
            )
            shape = (int(item.attrs["MATLAB_sparse"]), len(item["jc"]) - 1)
            return scipy.sparse.csc_array(tuple(parts), shape=shape).toarray() if parts else np.zeros(shape)
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
