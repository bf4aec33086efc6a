"""FactorVAE score: whether the code that stays still tells which factor was held."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.cells import fixed_factor_draws
from indl.metrics.disentanglement.codes_and_factors import checked_codes, codes_and_levels
from indl.text import shown

#: Batches whose codes are gathered at once, which bounds the memory.
_AT_ONCE = 500


class VoteScore(NamedTuple):
    """Result of `factor_vae_score` and `factor_vae_score_by_resampling`.

    Attributes:
        score: Accuracy on the votes that did not train the classifier.
        train_accuracy: Accuracy on those that did.
        votes: Training votes of each code for each factor, (D, K).
        used: Which codes vary enough to vote, (D,) bool.
    """

    score: float
    train_accuracy: float
    votes: np.ndarray
    used: np.ndarray


def factor_vae_score(
    codes: np.ndarray, batches: np.ndarray, held: np.ndarray, n_train: int, *, threshold: float = 0.05
) -> VoteScore:
    """FactorVAE score (Kim and Mnih 2018, arXiv:1802.05983) of given draws.

    In each batch one factor is held. The code of the least variance, relative to its variance over all trials, casts a
    vote for that factor. A classifier says for each code the factor it has most votes for; the score is its accuracy on
    fresh votes.

    Chance is 1 / K. 1 for codes of one factor each, and also where several codes share a factor. Codes that hardly vary
    are left out, as the ratio of two variances of noise would take every vote; where all are, the score is 0.

    Args:
        codes: Codes of trials in which all factors vary, (n, D), for the overall variance.
        batches: Codes of the trials of each batch, (votes, batch size, D), two trials or more.
        held: Factor that is held in each batch, (votes,), whole numbers from 0.
        n_train: Number of votes, from the first on, that train the classifier; the others score it.
        threshold: Least standard deviation of a code over all trials, in its unit.

    Returns:
        A `VoteScore`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, `n_train` leaves no votes to score, or the threshold is
            negative.

    See Also:
        :func:`factor_vae_score_by_resampling` draws the batches from trials with known factors.
    """
    codes, batches = checked_codes(codes), as_array(batches, np.float64)
    held = np.asarray(held)
    fits = batches.ndim == 3 and batches.shape[2] == codes.shape[1] and held.shape == batches.shape[:1]
    if not fits or batches.shape[1] < 2 or not np.isfinite(batches).all():
        raise ValueError(
            "Batches must be finite, (votes, two trials or more, codes), with a held factor each. Given: "
            f"{batches.shape} for {codes.shape[1]} codes, and {held.shape} factors. Take all from one model."
        )
    n_train = _check_votes(held, n_train)
    spread = _overall_spread(codes, threshold)
    return _scored(_votes(batches, spread), held, n_train, spread)


def factor_vae_score_by_resampling(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    n_train: int = 10_000,
    n_test: int = 5_000,
    batch_size: int = 64,
    threshold: float = 0.05,
    seed: int = 0,
) -> VoteScore:
    """FactorVAE score without a generator: batches are trials drawn anew within cells of equal factors.

    See :func:`factor_vae_score` for formula and chance, :func:`~indl.metrics.disentanglement.cells.fixed_factor_draws`
    for the draws. They are as good as the design: combinations of factors that no trial has are never drawn, and
    factors that go together in the data stay together. A value with few trials repeats them.

    Args:
        codes: Codes, (n, D).
        factors: Discrete factors, (n, K).
        n_train: Votes that train the classifier.
        n_test: Votes that score it.
        batch_size: Trials of a vote.
        threshold: Least standard deviation of a code, in its unit.
        seed: Seed of the draws.

    Returns:
        A `VoteScore`.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, a factor is missing, constant or continuous, or a number
            is out of range.
    """
    codes, levels = codes_and_levels(codes, factors)
    n_train, n_test = check_whole(n_train, "n_train", 1), check_whole(n_test, "n_test", 1)
    batch_size = check_whole(batch_size, "batch_size", 2)
    spread = _overall_spread(codes, threshold)
    held, trials = fixed_factor_draws(levels, n_train + n_test, batch_size, np.random.default_rng(seed))
    votes = [_votes(codes[trials[i : i + _AT_ONCE]], spread) for i in range(0, len(trials), _AT_ONCE)]
    return _scored(np.concatenate(votes), held, n_train, spread)


def _overall_spread(codes, threshold):
    """Standard deviation of each code over all trials; 0 where it is below the threshold."""
    if not 0 <= threshold < np.inf:
        raise ValueError(
            f"The threshold is a standard deviation, 0 or more. Given: threshold={shown(threshold)}. Use 0.05 for "
            "codes whose prior has standard deviation 1."
        )
    spread = codes.std(axis=0, ddof=1)
    return np.where((np.ptp(codes, axis=0) > 0) & (spread >= threshold), spread, 0.0)


def _votes(batches, spread):
    """The code of least relative variance in each batch, among those with a spread, (votes,)."""
    used = spread > 0
    ratio = batches.var(axis=1, ddof=1) / np.where(used, spread, 1.0) ** 2
    return np.where(used, ratio, np.inf).argmin(axis=1)


def _check_votes(held, n_train):
    n_train = check_whole(n_train, "n_train", 1)
    if held.dtype.kind not in "iu" or held.min(initial=0) < 0 or n_train >= len(held):
        raise ValueError(
            "Held factors must be whole numbers from 0, and more of them than train the classifier. Given: "
            f"{len(held)} of dtype {held.dtype}, n_train={n_train}. Keep a third of the votes for the score."
        )
    return n_train


def _scored(votes, held, n_train, spread):
    counts = np.zeros((len(spread), held.max() + 1), int)
    np.add.at(counts, (votes[:n_train], held[:n_train]), 1)
    used = spread > 0
    right = (counts.argmax(axis=1)[votes] == held) & used.any()
    return VoteScore(float(right[n_train:].mean()), float(right[:n_train].mean()), counts, used)
