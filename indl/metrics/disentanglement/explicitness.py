"""Explicitness: whether a linear reader finds each factor in all codes together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.metrics.disentanglement.codes_and_factors import train_and_test


class Explicitness(NamedTuple):
    """Result of `explicitness`.

    Attributes:
        score: Mean of `per_factor`.
        per_factor: Mean area under the curve over the values of each factor on test trials, (K,).
        train_score: The same as `score` on the training trials.
    """

    score: float
    per_factor: np.ndarray
    train_score: float


def explicitness(
    codes_train: np.ndarray, factors_train: np.ndarray, codes_test: np.ndarray, factors_test: np.ndarray
) -> Explicitness:
    """Explicitness (Ridgeway and Mozer 2018, arXiv:1802.05312).

    Logistic regression (C = 1, standardised codes) tells each factor from all codes. The probability of each value
    against all others gives the area under its ROC curve; the mean over values, then over factors.

    Chance is 0.5, not 0; 1 where every value is told linearly. It does not ask for disentanglement: any rotation of the
    codes has the same score.

    Args:
        codes_train: Codes to fit on, (n, D).
        factors_train: Discrete factors of the same trials, (n, K).
        codes_test: Codes to score, (m, D).
        factors_test: Factors of the scored trials, (m, K). A value that training does not have is never told; where a
            factor has one value alone, it has no curve and a score of NaN, which the mean leaves out.

    Returns:
        An `Explicitness`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, or a factor is missing, constant or continuous.
    """
    x_train, y_train, x_test, y_test = train_and_test(codes_train, factors_train, codes_test, factors_test)
    areas = np.array([_areas(x_train, y_train[:, k], x_test, y_test[:, k]) for k in range(y_train.shape[1])])
    known = ~np.isnan(areas[:, 1])
    score = float(areas[known, 1].mean()) if known.any() else float("nan")
    return Explicitness(score, areas[:, 1], float(areas[:, 0].mean()))


def _areas(x_train, y_train, x_test, y_test):
    """Mean area over the values of one factor on training and on test trials."""
    model = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000))
    with threadpool_limits(limits=1):
        model.fit(x_train, y_train)
        return [
            _mean_area(model.predict_proba(x), y, model.classes_) for x, y in ((x_train, y_train), (x_test, y_test))
        ]


def _mean_area(probability, level, classes):
    """Mean over the classes that some trials have and others have not; NaN where there is none."""
    found = [i for i, value in enumerate(classes) if 0 < np.mean(level == value) < 1]
    areas = [roc_auc_score(level == classes[i], probability[:, i]) for i in found]
    return np.mean(areas) if areas else np.nan
