"""Interventional robustness: whether other factors leave a code as it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.metrics.disentanglement.codes_and_factors import codes_and_levels
from indl.text import shown


class InterventionalRobustness(NamedTuple):
    """Result of `irs`.

    Attributes:
        score: Mean of `per_code`, weighted by `max_deviation`.
        per_code: Largest entry of each row of `matrix`, (D,).
        factor: The factor of that entry, (D,).
        matrix: Robustness of each code where each factor is held, (D, K).
        max_deviation: Largest distance of each code from its mean, (D,), in its unit.
    """

    score: float
    per_code: np.ndarray
    factor: np.ndarray
    matrix: np.ndarray
    max_deviation: np.ndarray


def irs(codes: np.ndarray, factors: np.ndarray, *, quantile: float = 0.99) -> InterventionalRobustness:
    """Interventional robustness score (Suter et al. 2019, arXiv:1811.00007).

    matrix[j, k] = 1 - mean over the values of v_k of [the quantile of |c_j - its mean at that value|] / max |c_j - its
    mean|: how little code j moves while factor k is held and all others vary. A code has its largest entry; the score
    is their mean, weighted by the largest deviation.

    1 for codes that depend on one factor each. Noise does not have 0 but what its tails give (Gaussian codes about .3),
    as the quantile lies below the maximum: compare with a shuffled code. Values of a factor count alike, however rare.

    Args:
        codes: Codes, (n, D).
        factors: Discrete factors, (n, K).
        quantile: Quantile of the deviations, more than 0 and at most 1; 1 is the maximum, which one outlier decides.

    Returns:
        An `InterventionalRobustness`. A constant code has 0 and no weight.

    Raises:
        ValueError: As :func:`~indl.metrics.disentanglement.mig.mig`, or if the quantile is not in (0, 1].
    """
    if not 0 < quantile <= 1:
        raise ValueError(
            f"The quantile is a share, more than 0 and at most 1. Given: quantile={shown(quantile)}. Use 0.99."
        )
    codes, levels = codes_and_levels(codes, factors)
    codes = np.where(np.ptp(codes, axis=0) > 0, codes - codes.mean(axis=0), 0.0)
    largest = np.abs(codes).max(axis=0)
    deviation = np.stack([_held_deviation(codes, levels[:, k], quantile) for k in range(levels.shape[1])], axis=1)
    moves = largest[:, None] > 0
    matrix = np.where(moves, 1.0 - deviation / np.where(moves, largest[:, None], 1.0), 0.0)
    per_code = matrix.max(axis=1)
    score = float(np.average(per_code, weights=largest)) if moves.any() else 0.0
    return InterventionalRobustness(score, per_code, matrix.argmax(axis=1), matrix, largest)


def _held_deviation(codes, level, quantile):
    """Deviation of each code from its mean at each value of a factor: quantile over trials, mean over values, (D,)."""
    cells = [codes[level == value] for value in range(level.max() + 1)]
    return np.mean([np.quantile(np.abs(cell - cell.mean(axis=0)), quantile, axis=0) for cell in cells], axis=0)
