"""Separated attribute predictability: whether one code alone predicts each factor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.codes_and_factors import check_same_trials, checked_codes, top_two_gap, train_and_test
from indl.metrics.identifiability import absolute_correlations


class SAP(NamedTuple):
    """Result of `sap_svc` and `sap_r2`.

    Attributes:
        score: Mean of `per_factor`.
        per_factor: Difference of the two best codes of each factor, (K,).
        predictability: Score of each code for each factor, (D, K): accuracies or r^2.
    """

    score: float
    per_factor: np.ndarray
    predictability: np.ndarray


def sap_svc(
    codes_train: np.ndarray, factors_train: np.ndarray, codes_test: np.ndarray, factors_test: np.ndarray
) -> SAP:
    """SAP of discrete factors (Kumar et al. 2018, arXiv:1711.00848).

    S[j, k] is the test accuracy of a linear support vector machine (C = 0.01, balanced classes) that tells factor k
    from code j alone; the score is the mean over factors of the difference of the two best codes.

    Chance is 0. 1 cannot be reached where a factor has more than two values, as one line cannot tell those in the
    middle: a perfect code of five values has about .44. Use :func:`sap_r2` for ordered factors. Codes are not rescaled,
    so that the penalty weighs more on narrow ones.

    Args:
        codes_train: Codes to fit on, (n, D).
        factors_train: Discrete factors of the same trials, (n, K).
        codes_test: Codes to score, (m, D).
        factors_test: Factors of the scored trials, (m, K).

    Returns:
        A `SAP`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, or a factor is missing, constant or continuous.
    """
    x_train, y_train, x_test, y_test = train_and_test(codes_train, factors_train, codes_test, factors_test)
    accuracy = np.empty((x_train.shape[1], y_train.shape[1]))
    with threadpool_limits(limits=1):
        for j, k in np.ndindex(*accuracy.shape):
            svc = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(x_train[:, [j]], y_train[:, k])
            accuracy[j, k] = svc.score(x_test[:, [j]], y_test[:, k])
    return _sap(accuracy)


def sap_r2(codes: np.ndarray, factors: np.ndarray) -> SAP:
    """SAP of ordered factors (Kumar et al. 2018, arXiv:1711.00848).

    S[j, k] is the squared correlation of code j and factor k; the score is the mean over factors of the difference of
    the two best codes. Chance is 0; 1 for one code a factor that is linear in it. A code that is there twice has 0.

    Args:
        codes: Codes, (n, D).
        factors: Ordered factors, discrete or continuous, (n, K).

    Returns:
        A `SAP`. A constant code or factor has r^2 of 0.

    Raises:
        ValueError: If shapes do not fit, or codes or factors are no finite numbers.
    """
    codes, factors = checked_codes(codes), _ordered(factors)
    check_same_trials(codes, factors)
    return _sap(absolute_correlations(codes, factors) ** 2)


def _ordered(factors):
    try:
        factors = as_array(factors, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Ordered factors must be numbers. Given: others. Use sap_svc for factors that are names."
        ) from error
    if factors.ndim != 2 or not factors.shape[1] or not np.isfinite(factors).all():
        raise ValueError(
            f"Ordered factors must be finite and (trials, factors). Given: {factors.shape}, "
            f"{int((~np.isfinite(factors)).sum())} of them not finite. Leave those trials out, and give a single "
            "factor as values[:, None]."
        )
    return factors


def _sap(predictability):
    per_factor = top_two_gap(predictability)
    return SAP(float(per_factor.mean()), per_factor, predictability)
