"""Forms in which arrays of trials come, brought to one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np


def with_dimensions(values: Any, n_trials: int, n_times: Collection[int]) -> Any:
    """A sequence of one dimension, given as (trials, time), as (trials, time, 1); anything else as it is.

    Args:
        values: An array, what lies on disk, or None.
        n_trials: Number of trials.
        n_times: Numbers of bins that it may have.
    """
    one = isinstance(values, np.ndarray) and values.ndim == 2 and len(values) == n_trials and values.shape[1] in n_times
    return values[..., None] if one else values


def one_label_each(label: Any) -> Any:
    """One value a trial: of a column (trials, 1) its entries, of one-hot rows (trials, classes) their class.

    Args:
        label: An array or None; what is neither stays as it is.
    """
    if label is None or label.ndim != 2:
        return label
    return label[:, 0] if label.shape[1] == 1 else label.argmax(axis=1) if is_one_hot(label) else label


def is_one_hot(label: np.ndarray) -> bool:
    """Whether each row of (trials, classes), at least two classes, is zero but for a single one."""
    numeric = label.dtype.kind in "buif" and label.ndim == 2 and label.shape[1] > 1
    return bool(numeric and np.isin(label, (0, 1)).all() and (label.sum(axis=1) == 1).all())
