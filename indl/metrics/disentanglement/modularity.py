"""Modularity: whether each code knows of one factor only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.metrics.disentanglement.codes_and_factors import codes_and_levels
from indl.metrics.disentanglement.information import discretized, mutual_information


class Modularity(NamedTuple):
    """Result of `modularity`.

    Attributes:
        score: Mean of `per_code`.
        per_code: Modularity of each code, (D,), from 0 to 1; 0 for a code that knows nothing.
    """

    score: float
    per_code: np.ndarray


def modularity(codes: np.ndarray, factors: np.ndarray, *, n_bins: int = 20) -> Modularity:
    """Modularity (Ridgeway and Mozer 2018, arXiv:1802.05312).

    1 - sum_{k != k*} I(c_j; v_k)^2 / ( I(c_j; v_k*)^2 (K - 1) ) for each code j, k* being the factor it knows most of;
    then the mean over codes.

    1 for codes of one factor each, however many codes share a factor. A code that knows all factors alike has 0, and so
    has one without information, so that dead codes lower the mean. Noise is not at 0 but near 0.3 where informations
    are nothing but their bias. With a single factor every code that knows of it has 1.

    Args:
        codes: Codes, (n, D).
        factors: Discrete factors, (n, K).
        n_bins: Bins of a code.

    Returns:
        A `Modularity`.

    Raises:
        ValueError: As :func:`~indl.metrics.disentanglement.mig.mig`.
    """
    codes, levels = codes_and_levels(codes, factors)
    per_code = modularity_of_information(mutual_information(discretized(codes, n_bins), levels))
    return Modularity(float(per_code.mean()), per_code)


def modularity_of_information(information: np.ndarray) -> np.ndarray:
    """Modularity of each code from its information of each factor.

    Args:
        information: Mutual information, (D, K).

    Returns:
        (D,); 0 where a row is 0.
    """
    squares = information**2
    largest = squares.max(axis=1)
    others = squares.sum(axis=1) - largest
    informed = largest > 0
    spread = others / np.where(informed, largest * max(information.shape[1] - 1, 1), 1.0)
    return np.where(informed, 1.0 - spread, 0.0)
