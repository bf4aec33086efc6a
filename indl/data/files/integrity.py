"""Whether the values of an HDF5 file are where the file says: what HDF5 itself takes on trust."""

from __future__ import annotations

import math

import h5py
import numpy as np

from indl.data.files.heaps import broken_heap as broken_heap

# No compression that recordings come in makes a chunk smaller than this fraction of itself; deflate reaches 1/1032.
_MAX_RATIO = {"none": 1, "deflate": 1100, "other": 100_000}
_CHECKSUM = 4
_OF_ONE_SIZE = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_DEFLATE = {h5py.h5z.FILTER_DEFLATE, *_OF_ONE_SIZE}


def unknown_filters(dataset: h5py.Dataset) -> list[int]:
    """Numbers of the compression filters that are not installed."""
    return [code for code in filters(dataset) if not h5py.h5z.filter_avail(code)]


def extents(dataset: h5py.Dataset, file_size: int) -> np.ndarray:
    """Where the values of a dataset lie, (pieces, 2) first byte and one past the last, once all are found to be there.

    Raises:
        ValueError: With what was found, if values are absent, outside the file, compressed beyond belief or not as the
            dataset says.
    """
    shape, chunks = dataset.shape, dataset.chunks
    # A reference to a text of variable length takes 16 bytes.
    itemsize = 16 if dataset.dtype.kind == "O" else dataset.dtype.itemsize
    stored, n_bytes = dataset.id.get_storage_size(), math.prod(shape) * itemsize
    pipeline = _pipeline(dataset)
    used = {code for code, _ in pipeline}
    kind = "none" if not used else "deflate" if used <= _DEFLATE else "other"
    if stored > file_size or n_bytes > _MAX_RATIO[kind] * stored + 1024:
        raise ValueError(f"{n_bytes} bytes of values in {stored} bytes of a file of {file_size}")
    if chunks is None:
        if stored != n_bytes:
            raise ValueError(f"{stored} of {n_bytes} bytes")
        offset = dataset.id.get_offset()
        # Small values may lie within the description of the dataset.
        found = np.array([] if offset is None else [(offset, offset + stored)], np.int64).reshape(-1, 2)
    else:
        wanted = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
        places: list[h5py.h5d.StoreInfo] = []
        dataset.id.chunk_iter(places.append)
        if any(code == h5py.h5z.FILTER_SHUFFLE and values != (itemsize,) for code, values in pipeline):
            raise ValueError(f"bytes shuffled otherwise than by the {itemsize} of a value")
        # A chunk that does not shrink is stored as it is, without its compression.
        whole, squeezed = math.prod(chunks) * itemsize, bool(used - _OF_ONE_SIZE)
        sound = [p for p in places if (squeezed and p.filter_mask == 0) or p.size in (whole, whole + _CHECKSUM)]
        corners = {place.chunk_offset for place in sound if _can_be_found(dataset, place)}
        within = [
            all(at < size and at % chunk == 0 for at, size, chunk in zip(corner, shape, chunks, strict=True))
            for corner in corners
        ]
        if sum(within) != wanted or len(places) != wanted:
            raise ValueError(f"{sum(within)} of {wanted} chunks")
        found = np.array([(p.byte_offset, p.byte_offset + p.size) for p in places], np.int64).reshape(-1, 2)
    if found.size and (found.min() < 0 or found.max() > file_size):
        raise ValueError(f"values at byte {found.max()} of a file of {file_size}")
    return found


def overlapping(found: np.ndarray) -> bool:
    """Whether any two of the extents (pieces, 2) share a byte."""
    found = found[np.argsort(found[:, 0])]
    return bool((found[1:, 0] < found[:-1, 1]).any())


def _can_be_found(dataset: h5py.Dataset, place: h5py.h5d.StoreInfo) -> bool:
    """Whether HDF5 finds a chunk that it lists; else it would fill in zeros."""
    try:
        dataset.id.read_direct_chunk(place.chunk_offset, out=bytearray(0))
    except ValueError:
        # It is there, and too large for no buffer at all: nothing was read.
        return True
    except RuntimeError:
        return False
    return False


def filters(dataset: h5py.Dataset) -> set[int]:
    """Numbers of the filters (compression, checksums) of a dataset."""
    return {code for code, _ in _pipeline(dataset)}


def _pipeline(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """Number and parameters of each filter."""
    properties = dataset.id.get_create_plist()
    found = [properties.get_filter(i) for i in range(properties.get_nfilters())]
    return [(code, tuple(values)) for code, _, values, _ in found]
