"""Mutual information of codes, cut into bins of equal width, with discrete factors and with each other."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import mutual_info_score

from indl.data.checks.arrays import check_whole
from indl.metrics.disentanglement.codes_and_factors import checked_codes


def discretized(values: np.ndarray, n_bins: int = 20) -> np.ndarray:
    """Each column cut into bins of equal width between its least and largest value.

    Args:
        values: Codes, or continuous factors, (n, columns).
        n_bins: Number of bins.

    Returns:
        The bin of each value, (n, columns) int from 1. A constant column is all in one bin.

    Raises:
        ValueError: If the values are no finite numbers, are not (n, columns), or `n_bins` is not a positive whole
            number.
    """
    values, n_bins = checked_codes(values), check_whole(n_bins, "n_bins", 1)
    return np.stack([np.digitize(v, np.histogram_bin_edges(v, n_bins)[:-1]) for v in values.T], axis=1)


def mutual_information(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mutual information of each column of one array with each column of another, from how often values coincide.

    It is biased upwards by about (levels of a - 1) (levels of b - 1) / (2 n).

    Args:
        a: Discrete values, (n, A).
        b: Discrete values of the same rows, (n, B).

    Returns:
        Information in nats, (A, B). That of a column with itself is its entropy.
    """
    return np.array([[mutual_info_score(x, y) for y in b.T] for x in a.T])


def entropy(levels: np.ndarray) -> np.ndarray:
    """Entropy of each column of discrete values, (columns,), in nats."""
    return np.array([mutual_info_score(column, column) for column in levels.T])
