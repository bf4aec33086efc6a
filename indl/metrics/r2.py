"""Coefficients of determination where some values are missing, and their spread over resampled trials."""

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.bootstrap import trial_weights


def r2_per_column(truth, predicted):
    """R2 of each column, over everything else.

    Args:
        truth: True values, (..., columns); NaN marks values that are left out.
        predicted: Predicted values, same shape.

    Returns:
        R2, (columns,). As in scikit-learn, a column whose truth is constant scores 1 if it is predicted exactly and 0
        otherwise. NaN for a column with less than two values.

    Raises:
        ValueError: If the shapes differ, or a value of `truth` or its prediction is not finite.
    """
    truth, predicted, known = known_values(truth, predicted)
    n = known.sum(axis=0)
    mean = truth.sum(axis=0) / np.maximum(n, 1)
    total = np.where(known, truth - mean, 0.0)
    error = np.where(known, truth - predicted, 0.0)
    total, error = (total**2).sum(axis=0), (error**2).sum(axis=0)
    r2 = np.where(total > 0, 1.0 - error / np.where(total > 0, total, 1.0), np.where(error > 0, 0.0, 1.0))
    return np.where(n > 1, r2, np.nan)


def r2_resamples(truth, predicted, *, n_resamples=1000, seed=0):
    """R2 of each column in resamples of the trials, (n_resamples, columns).

    Args:
        truth: True values, (trials, time, columns); NaN marks values that are left out.
        predicted: Predicted values, same shape.
        n_resamples: Number of resamples, each as many trials as there are, drawn with replacement.
        seed: Seed of the resamples.

    Returns:
        R2 by resample and column; NaN where the truth of a resample is constant.

    Raises:
        ValueError: As :func:`r2_per_column`.
    """
    shape = np.shape(truth)
    truth, predicted, known = known_values(truth, predicted)
    # R2 does not depend on where the truth is centred; its sums of squares lose fewer digits near zero.
    mean = truth.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    truth, error = np.where(known, truth - mean, 0.0), np.where(known, truth - predicted, 0.0)
    weights = trial_weights(shape[0], n_resamples, seed)
    n, total, squares, errors = (
        weights @ values.reshape(shape[0], -1, shape[-1]).sum(axis=1) for values in (known, truth, truth**2, error**2)
    )
    spread = squares - total**2 / np.maximum(n, 1)
    usable = spread > 1e-12 * squares
    return np.where(usable, 1.0 - errors / np.where(usable, spread, 1.0), np.nan)


def known_values(truth, predicted):
    """Both as float64 rows (rows, columns), zero where the truth is NaN, and where it is not.

    Raises:
        ValueError: If the shapes differ, or a value of `truth` or its prediction is not finite.
    """
    truth, predicted = as_array(truth, np.float64), as_array(predicted, np.float64)
    if truth.shape != predicted.shape or truth.ndim < 1:
        raise ValueError(
            f"True and predicted values must have one shape. Given: {truth.shape} and {predicted.shape}. "
            "Select the same trials, bins and channels for both."
        )
    truth, predicted = (values.reshape(-1, values.shape[-1]) for values in (truth, predicted))
    known = ~np.isnan(truth)
    wrong = known & ~(np.isfinite(truth) & np.isfinite(predicted))
    if wrong.any():
        raise ValueError(
            f"True and predicted values must be finite. Given: {int(wrong.sum())} pairs that are not. NaN in the true "
            "values alone leaves a pair out."
        )
    return np.where(known, truth, 0.0), np.where(known, predicted, 0.0), known
