"""Mutual information gap: whether each factor is in one code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.metrics.disentanglement.codes_and_factors import codes_and_levels, top_two_gap
from indl.metrics.disentanglement.information import discretized, entropy, mutual_information


class MutualInformationGap(NamedTuple):
    """Result of `mig`.

    Attributes:
        score: Mean of `per_factor`.
        per_factor: Gap of each factor, (K,), from 0 to 1.
        information: Mutual information of each code with each factor, (D, K), in nats.
        entropy: Entropy of each factor, (K,), in nats.
    """

    score: float
    per_factor: np.ndarray
    information: np.ndarray
    entropy: np.ndarray


def mig(codes: np.ndarray, factors: np.ndarray, *, n_bins: int = 20) -> MutualInformationGap:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942).

    MIG = mean_k [ I(c_first; v_k) - I(c_second; v_k) ] / H(v_k), where first and second are the two codes that know
    most of factor k, and codes are cut into bins of equal width.

    1 for one code a factor that knows it wholly. Chance is 0, and so is a code that is there twice: MIG asks for
    compactness as much as for disentanglement. Two factors in one code do not lower it (see
    :func:`~indl.metrics.disentanglement.modularity.modularity`). One outlier stretches the bins; few trials raise all
    informations alike.

    Args:
        codes: Codes, (n, D).
        factors: Discrete factors, (n, K).
        n_bins: Bins of a code. 20 is usual, for 10000 trials.

    Returns:
        A `MutualInformationGap`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, or a factor is missing, constant or continuous.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import mig
        >>> v = np.random.default_rng(0).integers(0, 3, (500, 2))
        >>> mig(v, v).score > 0.98, mig(np.repeat(v, 2, axis=1), v).score
        (True, 0.0)
    """
    codes, levels = codes_and_levels(codes, factors)
    information, of_factors = mutual_information(discretized(codes, n_bins), levels), entropy(levels)
    per_factor = top_two_gap(information) / of_factors
    return MutualInformationGap(float(per_factor.mean()), per_factor, information, of_factors)
