"""beta-VAE score: whether the codes that agree within pairs tell which factor the pairs share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from indl.data.checks.arrays import check_whole
from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.cells import shared_factor_draws
from indl.metrics.disentanglement.codes_and_factors import codes_and_levels

#: Batches whose codes are gathered at once, which bounds the memory.
_AT_ONCE = 500


class PairScore(NamedTuple):
    """Result of `beta_vae_score` and `beta_vae_score_by_resampling`.

    Attributes:
        score: Accuracy on the batches that did not train the classifier.
        train_accuracy: Accuracy on those that did.
    """

    score: float
    train_accuracy: float


def beta_vae_score(differences: np.ndarray, shared: np.ndarray, n_train: int) -> PairScore:
    """beta-VAE score (Higgins et al. 2017, openreview.net/forum?id=Sy2fzU9gl) of given draws.

    In each batch all pairs share one factor. Logistic regression tells which from the mean absolute difference of the
    codes of a pair (:func:`pair_differences`); the score is its accuracy on fresh batches.

    Chance is 1 / K. 1 does not prove that all factors are disentangled: a linear classifier tells K of them from K - 1
    good codes. Codes are not rescaled, so that the penalty (C = 1) weighs more on narrow ones.

    Args:
        differences: Mean absolute difference of each code in each batch, (points, D).
        shared: Factor that the pairs of each batch share, (points,).
        n_train: Number of batches, from the first on, that train the classifier; the others score it.

    Returns:
        A `PairScore`.

    Raises:
        ValueError: If shapes do not fit, differences are not finite, or `n_train` leaves no batch to score or a single
            factor to train on.
    """
    x, y, n_train = as_array(differences, np.float64), np.asarray(shared), check_whole(n_train, "n_train", 1)
    if x.ndim != 2 or not x.shape[1] or y.shape != x.shape[:1] or not np.isfinite(x).all():
        raise ValueError(
            f"Differences must be finite, (batches, codes), with a shared factor each. Given: {x.shape} and {y.shape}. "
            "Make them with pair_differences."
        )
    if n_train >= len(x) or len(np.unique(y[:n_train])) < 2:
        raise ValueError(
            "Batches must be left to score, and train on two factors or more. Given: "
            f"n_train={n_train} of {len(x)}, {len(np.unique(y[:n_train]))} factors in them. Draw more batches."
        )
    with threadpool_limits(limits=1):
        model = LogisticRegression(max_iter=10_000).fit(x[:n_train], y[:n_train])
        right = model.predict(x) == y
    return PairScore(float(right[n_train:].mean()), float(right[:n_train].mean()))


def beta_vae_score_by_resampling(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    n_train: int = 10_000,
    n_test: int = 5_000,
    batch_size: int = 64,
    seed: int = 0,
) -> PairScore:
    """beta-VAE score without a generator: pairs are trials drawn anew within cells of equal factors.

    See :func:`beta_vae_score` for formula and chance, :func:`~indl.metrics.disentanglement.cells.shared_factor_draws`
    for the draws, which know only the combinations of factors that some trial has.

    Args:
        codes: Codes, (n, D).
        factors: Discrete factors, (n, K), two or more.
        n_train: Batches that train the classifier.
        n_test: Batches that score it.
        batch_size: Pairs of a batch.
        seed: Seed of the draws.

    Returns:
        A `PairScore`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, a factor is missing, constant or continuous, there is a
            single factor, or a number is out of range.
    """
    codes, levels = codes_and_levels(codes, factors)
    n_train, n_test = check_whole(n_train, "n_train", 1), check_whole(n_test, "n_test", 1)
    batch_size = check_whole(batch_size, "batch_size", 1)
    shared, *pairs = shared_factor_draws(levels, n_train + n_test, batch_size, np.random.default_rng(seed))
    blocks = [slice(i, i + _AT_ONCE) for i in range(0, len(shared), _AT_ONCE)]
    differences = [pair_differences(*(codes[trials[block]] for trials in pairs)) for block in blocks]
    return beta_vae_score(np.concatenate(differences), shared, n_train)


def pair_differences(codes_1: np.ndarray, codes_2: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each code over the pairs of a batch.

    Args:
        codes_1: Codes of the first trial of each pair, (points, pairs, D).
        codes_2: Codes of the second, same shape.

    Returns:
        (points, D).

    Raises:
        ValueError: If the shapes differ or do not have three axes.
    """
    codes_1, codes_2 = as_array(codes_1, np.float64), as_array(codes_2, np.float64)
    if codes_1.shape != codes_2.shape or codes_1.ndim != 3 or not codes_1.size:
        raise ValueError(
            f"Pairs must be two arrays (batches, pairs, codes) of one shape. Given: {codes_1.shape} and "
            f"{codes_2.shape}. Draw both trials of each pair."
        )
    return np.abs(codes_1 - codes_2).mean(axis=1)
