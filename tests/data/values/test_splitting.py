"""Who goes where: exact counts of each condition, seeds, blocks, and what cannot be split."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indl.data.values.splitting import choose_heldout, split_trials


def rng(seed=0):
    return np.random.default_rng(seed)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(10, 40), min_size=1, max_size=5),
    fraction=st.sampled_from([0.1, 0.2, 0.25, 0.5]),
    seed=st.integers(0, 20),
)
def test_every_condition_is_dealt_in_proportion(sizes, fraction, seed):
    label = rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, valid = split_trials(len(label), label, fraction, rng(seed))
    assert sorted([*train, *valid]) == list(range(len(label)))
    assert np.array_equal(train, np.sort(train)) and np.array_equal(valid, np.sort(valid))
    assert len(valid) == np.ceil(len(label) * fraction)
    share = len(valid) / len(label)
    found = np.bincount(label[valid], minlength=len(sizes))
    # Each within one trial of its share: whole trials cannot come closer.
    assert np.all(np.abs(found - share * np.array(sizes)) < 1)


def test_equal_conditions_get_equal_numbers():
    label = np.repeat(list("abcd"), 25)
    _, valid = split_trials(100, label, 0.2, rng())
    assert np.unique(label[valid], return_counts=True)[1].tolist() == [5, 5, 5, 5]


def test_the_split_is_a_function_of_the_seed():
    splits = [split_trials(50, None, 0.2, rng(seed))[1] for seed in (0, 0, 1)]
    assert np.array_equal(splits[0], splits[1]) and not np.array_equal(splits[0], splits[2])


@pytest.mark.parametrize("n_trials, block, n_valid", [(100, 10, 20), (95, 10, 20), (12, 4, 4), (7, 3, 3)])
def test_blocks_stay_together(n_trials, block, n_valid):
    found = set()
    for seed in range(20):
        train, valid = split_trials(n_trials, np.arange(n_trials) % 2, 0.2, rng(seed), block=block)
        assert not set(train // block) & set(valid // block)
        assert sorted([*train, *valid]) == list(range(n_trials))
        found.add(len(valid))
    # A last, shorter block makes the part smaller where it is drawn.
    short = n_valid - block + n_trials % block if n_trials % block else n_valid
    assert found == {n_valid, short}


def test_a_given_split_is_taken():
    mask = np.zeros(6, bool)
    mask[[1, 4]] = True
    for valid in ([1, 4], [4, 1], [-2, 1], mask, slice(1, 5, 3)):
        found = split_trials(6, None, 0.9, rng(), valid=np.arange(6)[valid] if isinstance(valid, slice) else valid)
        assert [part.tolist() for part in found] == [[0, 2, 3, 5], [1, 4]]


def test_conditions_that_cannot_be_dealt_are_said():
    with pytest.warns(UserWarning, match="not stratified by label.*Given: 2 conditions, the smallest with 1 trials"):
        split_trials(10, np.array([0] * 9 + [1]), 0.2, rng())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_trials(10, np.arange(10), 0.2, rng(), block=2)


@pytest.mark.parametrize(
    "n_trials, options, words",
    [
        (1, {}, "at least one trial. Given: 1 trials and valid_fraction 0.2"),
        (10, {"valid_fraction": 0.0}, "valid_fraction 0.0. Give"),
        (10, {"valid_fraction": 1.0}, "valid_fraction 1.0"),
        (10, {"valid_fraction": -0.2}, "valid_fraction -0.2"),
        (10, {"valid_fraction": np.nan}, "valid_fraction nan"),
        (10, {"block": 10}, "10 trials in 1 blocks"),
        (10, {"block": 0}, "block must be a whole number from 1 on. Given: 0"),
        (10, {"valid": []}, "Given: 0 validation trials of 10"),
        (10, {"valid": range(10)}, "Given: 10 validation trials of 10"),
        (10, {"valid": [10]}, "indices of trials.*Give indices from 0 to 9"),
        (10, {"valid": [0.5]}, "indices of trials, or a bool for each"),
        (10, {"valid": [True, False]}, "indices of trials, or a bool for each"),
    ],
)
def test_what_cannot_be_split(n_trials, options, words):
    with pytest.raises(ValueError, match=words):
        split_trials(n_trials, None, options.pop("valid_fraction", 0.2), rng(), **options)


@pytest.mark.parametrize("heldout", [0, 1, 3])
def test_a_number_of_channels_is_drawn(heldout):
    draws = [choose_heldout(heldout, 8, rng(seed)) for seed in range(30)]
    for heldin, drawn in draws:
        assert len(drawn) == heldout and sorted([*heldin, *drawn]) == list(range(8))
        assert np.array_equal(heldin, np.sort(heldin)) and np.array_equal(drawn, np.sort(drawn))
    if heldout:
        assert len(set(np.concatenate([drawn for _, drawn in draws]).tolist())) > 5


def test_given_channels_keep_their_order():
    heldin, heldout = choose_heldout([5, 2], 6, rng())
    assert heldin.tolist() == [0, 1, 3, 4] and heldout.tolist() == [5, 2]
