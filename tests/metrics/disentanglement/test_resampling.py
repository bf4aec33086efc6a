"""Draws within cells, and the two scores that live on them, by brute force."""

import numpy as np
import pytest

from indl.metrics import (
    beta_vae_score,
    beta_vae_score_by_resampling,
    factor_vae_score,
    factor_vae_score_by_resampling,
    pair_differences,
)
from indl.metrics.disentanglement.cells import fixed_factor_draws, grouped, shared_factor_draws
from tests.messages import faults

RNG = np.random.default_rng(0)
V = RNG.integers(0, 3, (400, 2))
CODES = V + 0.1 * RNG.normal(size=V.shape)
# One cell has almost all trials, and (1, 1) has none.
UNEVEN = np.array([[0, 0]] * 96 + [[0, 1]] * 2 + [[1, 0]] * 2)


def test_every_item_of_a_group_is_as_likely():
    groups = grouped(np.array([1, 0, 1, 1]))
    drawn = groups.draw(np.ones((5, 2000), int), np.random.default_rng(0))
    assert groups.draw(np.zeros(3, int), np.random.default_rng(0)).tolist() == [1, 1, 1]
    assert np.bincount(drawn.ravel(), minlength=4) / drawn.size == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.02)


def test_one_factor_is_held_and_the_others_vary():
    held, trials = fixed_factor_draws(V, 300, 30, np.random.default_rng(0))
    drawn = V[trials]
    for k in range(2):
        batches = drawn[held == k]
        assert 100 < len(batches) < 200
        assert (batches[:, :, k] == batches[:, :1, k]).all()
        assert set(batches[:, 0, k]) == {0, 1, 2} and (np.ptp(batches[:, :, 1 - k], axis=1) > 0).all()


def test_cells_count_alike_however_many_trials_they_have():
    held, trials = fixed_factor_draws(UNEVEN, 2000, 20, np.random.default_rng(0))
    batches = UNEVEN[trials[held == 0]]
    assert batches[:, 0, 0].mean() == pytest.approx(0.5, abs=0.05)
    # Of the value 0 there are two cells, with 96 trials and 2.
    assert batches[batches[:, 0, 0] == 0][:, :, 1].mean() == pytest.approx(0.5, abs=0.02)


def test_pairs_share_one_factor():
    shared, first, second = shared_factor_draws(V, 400, 20, np.random.default_rng(0))
    same = V[first] == V[second]
    for k in range(2):
        assert same[shared == k][..., k].all()
        # The other one is the same by chance.
        assert same[shared == k][..., 1 - k].mean() == pytest.approx(1 / 3, abs=0.03)
    values = V[first][shared == 0][..., 0]
    assert (np.ptp(values, axis=1) > 0).all(), "the shared value differs between the pairs of a batch"


def test_votes_by_hand():
    codes = np.array([[0.0, 0.0, 5.0], [1.0, 10.0, 5.0], [2.0, 20.0, 5.0]])
    # Relative to its spread the second code is the still one of the first two batches, the first that of the others.
    still = np.array([[0.0, 1.0, 5.0], [1.0, 2.0, 5.0]])
    moved = np.array([[0.0, 0.0, 5.0], [0.2, 9.0, 5.0]])
    batches = np.stack([still, still, moved, moved, still])
    found = factor_vae_score(codes, batches, np.array([1, 1, 0, 0, 0]), 4)
    assert found.votes.tolist() == [[2, 0], [0, 2], [0, 0]] and found.used.tolist() == [True, True, False]
    assert found.train_accuracy == 1 and found.score == 0


def test_resampled_scores_are_those_of_their_draws():
    held, trials = fixed_factor_draws(V, 60, 16, np.random.default_rng(3))
    expected = factor_vae_score(CODES, CODES[trials], held, 40)
    found = factor_vae_score_by_resampling(CODES, V, n_train=40, n_test=20, batch_size=16, seed=3)
    assert found[:2] == expected[:2] and np.array_equal(found.votes, expected.votes)
    shared, first, second = shared_factor_draws(V, 60, 16, np.random.default_rng(3))
    expected = beta_vae_score(pair_differences(CODES[first], CODES[second]), shared, 40)
    assert beta_vae_score_by_resampling(CODES, V, n_train=40, n_test=20, batch_size=16, seed=3) == expected


def test_resampling_takes_blocks_without_a_seam():
    found = factor_vae_score_by_resampling(CODES, V, n_train=900, n_test=301, batch_size=8)
    assert found.votes.sum() == 900 and found.score == 1
    assert beta_vae_score_by_resampling(CODES, V, n_train=900, n_test=301, batch_size=8).score > 0.97


def test_codes_in_common_lose_their_vote_and_constant_ones_never_have_one():
    mixed = CODES @ [[1.0, 1.0], [1.0, -1.0]]
    settings = {"n_train": 400, "n_test": 400}
    assert factor_vae_score_by_resampling(mixed, V, **settings).score < 0.7
    dead = np.c_[np.full(400, 0.1), CODES, 1e-3 * RNG.normal(size=400)]
    found = factor_vae_score_by_resampling(dead, V, **settings)
    assert found.score == 1 and found.used.tolist() == [False, True, True, False]
    found = factor_vae_score_by_resampling(dead, V, **settings, threshold=0)
    assert found.used.tolist() == [False, True, True, True]
    assert factor_vae_score_by_resampling(np.ones((400, 2)), V, **settings).score == 0


BATCHES = RNG.normal(size=(6, 4, 2))
HELD = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: factor_vae_score(CODES, BATCHES[..., :1], HELD, 3), r"\(6, 4, 1\) for 2 codes"),
        (lambda: factor_vae_score(CODES, BATCHES[:, :1], HELD, 3), "two trials or more"),
        (lambda: factor_vae_score(CODES, BATCHES * np.nan, HELD, 3), "Batches must be finite"),
        (lambda: factor_vae_score(CODES, BATCHES, HELD, 6), "6 of dtype int64, n_train=6"),
        (lambda: factor_vae_score(CODES, BATCHES, HELD - 1, 3), "whole numbers from 0"),
        (lambda: factor_vae_score(CODES, BATCHES, HELD, 3, threshold=-1), "threshold=-1. Use 0.05"),
        (lambda: factor_vae_score_by_resampling(CODES, V, batch_size=1), "batch_size must be a whole number from 2"),
        (lambda: factor_vae_score_by_resampling(CODES, CODES), "discretized"),
        (lambda: beta_vae_score(BATCHES[:, 0], HELD[:3], 3), r"\(6, 2\) and \(3,\)"),
        (lambda: beta_vae_score(BATCHES[:, 0], HELD, 6), "n_train=6 of 6"),
        (lambda: beta_vae_score(BATCHES[:, 0], HELD, 1), "n_train=1 of 6, 1 factors"),
        (lambda: beta_vae_score_by_resampling(CODES, V[:, :1], n_train=9, n_test=9), "two factors or more"),
        (lambda: beta_vae_score_by_resampling(CODES, V, n_test=0), "n_test must be"),
        (lambda: pair_differences(BATCHES, BATCHES[:3]), r"\(6, 4, 2\) and \(3, 4, 2\)"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert not faults(str(raised.value))
