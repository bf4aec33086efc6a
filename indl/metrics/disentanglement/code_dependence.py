"""How far codes depend on each other, whatever they mean: scores that need no factors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.metrics.disentanglement.codes_and_factors import checked_codes
from indl.metrics.disentanglement.information import discretized, mutual_information


class CodeDependence(NamedTuple):
    """Result of `code_dependence`.

    Attributes:
        total_correlation: Total correlation of a Gaussian with the codes' covariance, in nats.
        wasserstein: Squared 2-Wasserstein distance of that Gaussian to one of independent codes, in squared units of
            them.
        wasserstein_share: The same divided by the sum of the codes' variances.
        information: Mean mutual information of pairs of codes, in nats.
        used: Which codes vary, (D,) bool; the others are left out of all scores.
    """

    total_correlation: float
    wasserstein: float
    wasserstein_share: float
    information: float
    used: np.ndarray


def code_dependence(codes: np.ndarray, *, n_bins: int = 20) -> CodeDependence:
    """Dependence of codes on each other (Locatello et al. 2019, arXiv:1811.12359).

    With C the covariance of the codes: total correlation .5 (sum_i log C_ii - log det C); Wasserstein dependence
    2 tr C - 2 tr sqrt(diag(C) C); and the mean of I(c_i; c_j) over pairs i != j of codes in bins of equal width.

    0 for independent codes, without an upper bound. The first two see correlations alone. The last has a bias of about
    (n_bins - 1)^2 / (2 n), .05 for 20 bins and 4000 trials. Codes that are independent need not be disentangled: any
    rotation of whitened ones keeps the first two at 0. Score means and samples: means are often more correlated.

    Args:
        codes: Codes, (n, D).
        n_bins: Bins of a code.

    Returns:
        A `CodeDependence`. Codes that do not vary are left out; with a single one all scores are 0. The total
        correlation is infinite where a code is an exact linear function of others.

    Raises:
        ValueError: If codes are no finite numbers (n, D), or less or as many trials as codes.
    """
    codes = checked_codes(codes)
    used = np.ptp(codes, axis=0) > 0
    codes = codes[:, used]
    n_used = codes.shape[1]
    if len(codes) <= n_used:
        raise ValueError(
            f"A covariance needs more trials than codes. Given: {len(codes)} trials and {n_used} codes that vary. Use "
            "more trials, or fewer codes."
        )
    if n_used < 2:
        return CodeDependence(0.0, 0.0, 0.0, 0.0, used)
    covariance = np.atleast_2d(np.cov(codes, rowvar=False))
    wasserstein = gaussian_wasserstein(covariance)
    pairs = mutual_information(discretized(codes, n_bins), discretized(codes, n_bins))
    return CodeDependence(
        gaussian_total_correlation(covariance),
        wasserstein,
        wasserstein / float(np.trace(covariance)),
        float(pairs[~np.eye(n_used, dtype=bool)].mean()),
        used,
    )


def gaussian_total_correlation(covariance: np.ndarray) -> float:
    """Total correlation of a Gaussian in nats; infinite where the covariance is singular.

    Args:
        covariance: Covariance, (D, D), of variables that vary.
    """
    std = np.sqrt(np.diag(covariance))
    # The logarithm of the determinant of the correlations, which no unit of the codes changes.
    values = np.linalg.eigvalsh(covariance / np.outer(std, std))
    least = len(values) * np.finfo(np.float64).eps * values.max()
    return float("inf") if values.min() <= least else float(-0.5 * np.log(values).sum())


def gaussian_wasserstein(covariance: np.ndarray) -> float:
    """Squared 2-Wasserstein distance of a Gaussian to the one with its variances and no covariances.

    Args:
        covariance: Covariance, (D, D).
    """
    std = np.sqrt(np.diag(covariance))
    # diag(C) C has the eigenvalues of this symmetric matrix.
    values = np.linalg.eigvalsh(covariance * np.outer(std, std))
    return float(2 * np.trace(covariance) - 2 * np.sqrt(np.maximum(values, 0.0)).sum())
