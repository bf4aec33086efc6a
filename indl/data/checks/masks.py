"""What arrays are at the borders of the library: what is masked is NaN, and objects that are numbers are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

_NUMBER = (bool, int, float, np.bool_, np.number)


def as_array(values: Any, dtype: Any = None) -> np.ndarray:
    """As ``numpy.asarray``, which forgets masks: masked entries of a ``numpy.ma`` array are NaN here.

    An array of Python objects that are all numbers, as tables often hold, becomes one of numbers.

    Args:
        values: Anything that numpy makes an array of; whole numbers become real ones where some are masked.
        dtype: Type to convert to.

    Raises:
        ValueError: If entries are masked that are no numbers.
    """
    if not np.ma.is_masked(values):
        return _of_numbers(np.asarray(values, dtype))
    if values.dtype.kind not in "buif":
        raise ValueError(
            f"Only numbers can be masked. Given: {int(np.ma.getmaskarray(values).sum())} masked entries of dtype "
            f"{values.dtype}. Remove what they belong to, or fill them."
        )
    real = values.dtype if values.dtype.kind == "f" else np.result_type(values.dtype, np.float32)
    return np.asarray(np.ma.filled(values.astype(real), np.nan), dtype)


def _of_numbers(array: np.ndarray) -> np.ndarray:
    """An array of Python numbers as one of numpy's; any other as it is."""
    are_numbers = array.dtype == object and array.size and all(isinstance(item, _NUMBER) for item in array.flat)
    return np.array(array.tolist()) if are_numbers else array
