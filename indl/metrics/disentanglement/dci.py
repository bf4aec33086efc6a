"""Disentanglement, completeness and informativeness from what boosted trees find important."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier

from indl.data.checks.arrays import check_whole
from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.codes_and_factors import train_and_test
from indl.text import shown

# Keeps rows without any importance from dividing by zero.
_FLOOR = 1e-11


class ImportanceScores(NamedTuple):
    """Result of `importance_scores`.

    Attributes:
        disentanglement: Mean of `per_code`, weighted by the importance of the codes.
        completeness: Mean of `per_factor`, weighted by the importance of the factors.
        per_code: Whether a code is important for one factor only, (D,).
        per_factor: Whether one code only is important for a factor, (K,).
    """

    disentanglement: float
    completeness: float
    per_code: np.ndarray
    per_factor: np.ndarray


class DCI(NamedTuple):
    """Result of `dci`.

    Attributes:
        disentanglement: See `ImportanceScores`.
        completeness: See `ImportanceScores`.
        informativeness: Accuracy on test trials, mean over factors.
        train_accuracy: Accuracy on training trials; near 1 for any code, as trees overfit.
        importance: Importance of each code for each factor, (D, K); columns add up to 1.
        scores: The scores of single codes and factors.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    train_accuracy: float
    importance: np.ndarray
    scores: ImportanceScores


def dci(
    codes_train: np.ndarray,
    factors_train: np.ndarray,
    codes_test: np.ndarray,
    factors_test: np.ndarray,
    *,
    n_trees: int = 100,
    seed: int = 0,
) -> DCI:
    """Disentanglement, completeness, informativeness (Eastwood and Williams 2018, openreview.net/forum?id=By-7dz-AZ).

    One boosted-trees classifier a factor, trained on all codes, gives the importances P (D, K); scores as in
    :func:`importance_scores`. Informativeness is the accuracy of the trees, as in disentanglement_lib, and not the
    error of the paper.

    Chance is 0 for both D and C, and for the informativeness the share of the most frequent value: look at it first, as
    importances of trees that tell nothing mean nothing. With few trials D and C of noise rise above 0. D does not
    suffer from several codes of one factor, C does. Another seed or version moves importances by .01.

    Args:
        codes_train: Codes to fit on, (n, D).
        factors_train: Discrete factors of the same trials, (n, K).
        codes_test: Codes to score, (m, D).
        factors_test: Factors of the scored trials, (m, K).
        n_trees: Boosting rounds; the time is proportional to them, to n, D and the number of values.
        seed: Seed of the trees.

    Returns:
        A `DCI`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, or a factor is missing, constant or continuous.
    """
    x_train, y_train, x_test, y_test = train_and_test(codes_train, factors_train, codes_test, factors_test)
    n_trees = check_whole(n_trees, "n_trees", 1)
    importance, accuracies = np.empty((x_train.shape[1], y_train.shape[1])), []
    for k in range(y_train.shape[1]):
        trees = GradientBoostingClassifier(n_estimators=n_trees, random_state=seed).fit(x_train, y_train[:, k])
        # Rounding leaves some a little below zero.
        importance[:, k] = np.abs(trees.feature_importances_)
        accuracies.append([trees.score(x_train, y_train[:, k]), trees.score(x_test, y_test[:, k])])
    scores, (train, test) = importance_scores(importance), np.mean(accuracies, axis=0)
    return DCI(scores.disentanglement, scores.completeness, float(test), float(train), importance, scores)


def importance_scores(importance: np.ndarray) -> ImportanceScores:
    """Disentanglement and completeness of a table of importances, however they were found.

    D_j = 1 - H_K(P_j. / sum P_j.), the entropy to the base K; D = sum_j D_j w_j, w_j the share of code j in all of P.
    C_k = 1 - H_D(P_.k / sum P_.k), weighted alike. With a single factor every D_j is 1, with a single code every C_k.

    Args:
        importance: Importances of each code for each factor, (D, K), not negative.

    Returns:
        An `ImportanceScores`. A code without importance has 0 and no weight. Where nothing has any, all scores are 0.

    Raises:
        ValueError: If it is no table of finite numbers that are not negative.
    """
    table = as_array(importance, np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all() or table.min() < 0:
        raise ValueError(
            f"Importances must be finite, not negative, and (codes, factors). Given: {shown(table)}. Use absolute "
            "values of weights."
        )
    per_code, per_factor = _concentration(table), _concentration(table.T)
    return ImportanceScores(
        _weighted(per_code, table.sum(axis=1)), _weighted(per_factor, table.sum(axis=0)), per_code, per_factor
    )


def _concentration(rows):
    """1 - entropy of each row to the base of its length."""
    if rows.shape[1] == 1:
        return np.where(rows[:, 0] > 0, 1.0, 0.0)
    return 1.0 - entropy(rows.T + _FLOOR, base=rows.shape[1])


def _weighted(scores, weights):
    return float(np.average(scores, weights=weights)) if weights.sum() > 0 else 0.0
