"""Standard errors by resampling trials."""

import numpy as np

from indl.data.checks.masks import as_array


def bootstrap_se(score, *arrays, n_resamples=1000, seed=0):
    """Bootstrap standard error of any score over trials.

    Scores of this package with a standard error of their own (`cosmoothing_se`, `ridge_decoding`, ...) get the same
    number much faster from sums per trial.

    Args:
        score: Function of arrays with the trials of `arrays`; returns a number or an array. A resample whose score is
            NaN is left out.
        *arrays: Arrays with one entry a trial along the first axis; trials are drawn alike from all.
        n_resamples: Number of resamples. Each draws as many trials as there are, with replacement.
        seed: Seed of the resamples.

    Returns:
        Standard deviation of the resampled scores, shape of a score; NaN for a single trial, which tells nothing of
        the spread.

    Raises:
        ValueError: If there is no array, the arrays do not have the same trials, or there are less than 2 resamples.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import bootstrap_se
        >>> x = np.arange(100.0)
        >>> round(float(bootstrap_se(np.mean, x)), 1), round(x.std() / 10, 1)
        (2.9, 2.9)
    """
    arrays = [as_array(array) for array in arrays]
    sizes = {array.shape[:1] for array in arrays}
    if len(sizes) != 1 or not all(sizes):
        raise ValueError(
            f"Resampling needs arrays with the same trials. Given: shapes {[array.shape for array in arrays]}. Give "
            "everything that the score needs, trials along the first axis."
        )
    n_trials = len(arrays[0])
    scores = []
    for weights in trial_weights(n_trials, n_resamples, seed):
        chosen = np.repeat(np.arange(n_trials), weights)
        scores.append(score(*(array[chosen] for array in arrays)))
    return standard_error(np.array(scores, np.float64), n_trials)


def trial_weights(n_trials, n_resamples=1000, seed=0):
    """How often each trial is drawn in each resample, (n_resamples, n_trials).

    Sums over the trials of a resample are these weights times the sums of each trial.

    Raises:
        ValueError: If there is no trial or there are less than 2 resamples.
    """
    if n_trials < 1 or n_resamples < 2:
        raise ValueError(
            f"Resampling needs a trial and two resamples. Given: {n_trials} trials and n_resamples {n_resamples}. Use "
            "100 resamples or more."
        )
    return np.random.default_rng(seed).multinomial(n_trials, np.full(n_trials, 1.0 / n_trials), size=n_resamples)


def standard_error(scores, n_trials):
    """Standard deviation of resampled scores along the first axis without NaN; NaN where less than two are left."""
    used = np.isfinite(scores)
    n = used.sum(axis=0)
    mean = np.where(used, scores, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(used, scores - mean, 0.0) ** 2
    se = np.where((n > 1) & (n_trials > 1), np.sqrt(squares.sum(axis=0) / np.maximum(n - 1, 1)), np.nan)
    return se if se.ndim else float(se)
