"""What a recording is, as a hash: two recordings with one hash hold the same numbers."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

_TRIALS_AT_ONCE = 256


def digest(data: Any) -> str:
    """SHA-256 of all arrays of a recording (or of trials), its channels and its bin width; read in pieces."""
    found = hashlib.sha256(repr((data.bin_width_s, _plain(data.channel_ids).tolist())).encode())
    for part in (data.train, data.valid) if hasattr(data, "train") else (data,):
        for field in fields(part):
            values = getattr(part, field.name)
            if hasattr(values, "shape"):
                found.update(repr((field.name, values.shape)).encode())
                for start in range(0, len(values), _TRIALS_AT_ONCE):
                    piece = _plain(values[start : start + _TRIALS_AT_ONCE])
                    # Text has no bytes of its own that would be the same everywhere.
                    found.update(piece.tobytes() if piece.dtype.kind in "bifM" else repr(piece.tolist()).encode())
    return found.hexdigest()


def _plain(values: np.ndarray) -> np.ndarray:
    """Values that are equal as the same bytes: whole numbers as int64, one zero and one NaN, bytes as text."""
    if values.dtype.kind in "iu":
        return np.ascontiguousarray(values, np.int64)
    if values.dtype.kind == "f":
        # Adding zero makes -0 to 0.
        return np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else np.ascontiguousarray(values)
