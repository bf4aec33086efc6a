"""Which condition a trial belongs to, told from its counts."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.data.checks.masks import as_array


class TargetDecoding(NamedTuple):
    """Result of `target_decoding`.

    Attributes:
        accuracy: Fraction of validation trials whose condition is told.
        se: Its standard error over trials; NaN for a single trial.
        cv_accuracy: Accuracy by cross-validation on the training part; NaN where a condition has a single trial.
        chance: Fraction of validation trials of the condition most frequent there.
    """

    accuracy: float
    se: float
    cv_accuracy: float
    chance: float


def target_decoding(counts_train, label_train, counts_valid, label_valid, *, n_windows=3, C=0.01, seed=0):
    """Tell the condition of a trial by logistic regression on standardised square roots of counts in a few windows.

    Args:
        counts_train: Counts per bin, (trials, time, channels). Of a window with missing samples (NaN) the mean of
            the others counts for all its bins.
        label_train: Condition of each trial, (trials,).
        counts_valid: Counts of the validation part.
        label_valid: Conditions of the validation part. One that training does not have is never told.
        n_windows: Number of windows that a trial is cut into, as equal as its bins allow.
        C: Inverse penalty of the regression.
        seed: Seed of the folds.

    Returns:
        A `TargetDecoding`.

    Raises:
        ValueError: If there is not one label a trial, less than two conditions in training, or less bins than
            windows.
    """
    x_train, label_train = _windows(counts_train, label_train, n_windows)
    x_valid, label_valid = _windows(counts_valid, label_valid, n_windows)
    conditions, sizes = np.unique(label_train, return_counts=True)
    if len(conditions) < 2:
        raise ValueError(
            f"There must be conditions to tell apart. Given: {conditions.tolist()}. Give labels that differ."
        )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
    cv_accuracy = np.nan
    with threadpool_limits(limits=1):
        if sizes.min() > 1:
            folds = StratifiedKFold(min(5, sizes.min()), shuffle=True, random_state=seed)
            cv_accuracy = cross_val_score(model, x_train, label_train, cv=folds).mean()
        hits = model.fit(x_train, label_train).predict(x_valid) == label_valid
    return TargetDecoding(
        accuracy=float(hits.mean()),
        # The bootstrap standard error of a mean has this closed form.
        se=float(hits.std() / np.sqrt(len(hits))) if len(hits) > 1 else float("nan"),
        cv_accuracy=float(cv_accuracy),
        chance=float(np.unique(label_valid, return_counts=True)[1].max() / len(label_valid)),
    )


def _windows(counts, label, n_windows):
    """Square roots of the counts in every window, (trials, windows * channels)."""
    counts, label = as_array(counts, np.float64), np.asarray(label)
    if counts.ndim != 3 or label.shape != counts.shape[:1] or not 0 < n_windows <= counts.shape[1]:
        raise ValueError(
            "Counts must be (trials, time, channels) with one label a trial and a bin a window. Given: "
            f"{counts.shape}, labels {label.shape} and {n_windows} windows. Select the same trials for "
            "both, or fewer windows."
        )
    edges = np.linspace(0, counts.shape[1], n_windows + 1).astype(int)
    sums = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        known = ~np.isnan(counts[:, first:last])
        total = np.where(known, counts[:, first:last], 0.0).sum(axis=1)
        sums.append(total * (last - first) / np.maximum(known.sum(axis=1), 1))
    return np.sqrt(np.concatenate(sums, axis=1)), label
