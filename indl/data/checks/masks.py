"""Masked arrays at the borders of the library: what is masked was not recorded, and is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_array(values: Any, dtype: Any = None) -> np.ndarray:
    """As ``numpy.asarray``, which forgets masks: masked entries of a ``numpy.ma`` array are NaN here.

    Args:
        values: Anything that numpy makes an array of; whole numbers become real ones where some are masked.
        dtype: Type to convert to.

    Raises:
        ValueError: If entries are masked that are no numbers.
    """
    if not np.ma.is_masked(values):
        return np.asarray(values, dtype)
    if values.dtype.kind not in "buif":
        raise ValueError(
            f"Only numbers can be masked. Given: {int(np.ma.getmaskarray(values).sum())} masked entries of dtype "
            f"{values.dtype}. Remove what they belong to, or fill them."
        )
    real = values.dtype if values.dtype.kind == "f" else np.result_type(values.dtype, np.float32)
    return np.asarray(np.ma.filled(values.astype(real), np.nan), dtype)
