"""Conditions told from counts: separable ones, chance, gaps, and the numbers of real recordings."""

import numpy as np
import pytest

from indl.data import load_recording
from indl.metrics import target_decoding


def trials(n, seed, n_conditions=3):
    """Counts in which each condition raises one channel in one third of the trial."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % n_conditions
    rates = np.full((n, 10, n_conditions), 0.5)
    for trial, condition in enumerate(label):
        rates[trial, 3 * condition : 3 * condition + 3, condition] = 4.0
    return rng.poisson(rates).astype(float), label


def test_conditions_that_differ_in_time_are_told():
    found = target_decoding(*trials(90, 0), *trials(31, 1))
    assert found.accuracy > 0.95
    assert found.cv_accuracy > 0.95
    assert found.chance == pytest.approx(11 / 31)


def test_labels_that_say_nothing_score_by_chance():
    counts, _ = trials(90, 0)
    shuffled = np.random.default_rng(2).permutation(90) % 3
    assert target_decoding(counts, shuffled, *trials(31, 1)).cv_accuracy < 0.5


def test_one_window_forgets_when_the_spikes_came():
    counts, label = trials(90, 0)
    counts, valid = counts.sum(2, keepdims=True), trials(31, 1)[0].sum(2, keepdims=True)
    found = {n: target_decoding(counts, label, valid, trials(31, 1)[1], n_windows=n).accuracy for n in (1, 3)}
    assert found[1] < 0.6 < 0.8 < found[3]


def test_standard_error_is_that_of_a_mean():
    found = target_decoding(*trials(30, 0), *trials(200, 1), C=1e-4)
    assert found.se == pytest.approx(np.sqrt(found.accuracy * (1 - found.accuracy) / 200))
    counts, label = trials(31, 1)
    assert np.isnan(target_decoding(*trials(30, 0), counts[:1], label[:1]).se)


def test_missing_samples_count_as_the_mean_of_their_window():
    # Windows of 3, 3 and 4 bins; the last keeps its first and last bin.
    counts, label = np.random.default_rng(0).poisson(2.0, (40, 10, 2)).astype(float), np.arange(40) % 2
    filled = counts.copy()
    filled[:, 7:9] = counts[:, [6, 9]].mean(axis=1, keepdims=True)
    counts[:, 7:9] = np.nan
    counts[0, :3, 1], filled[0, :3, 1] = np.nan, 0.0
    assert target_decoding(counts, label, counts[:9], label[:9]) == target_decoding(
        filled, label, filled[:9], label[:9]
    )


def test_labels_of_any_kind_and_conditions_of_one_trial():
    counts, label = trials(30, 0)
    names = np.array(["left", "right", "up"])[label]
    assert (
        target_decoding(counts, names, counts, names).accuracy == target_decoding(counts, label, counts, label).accuracy
    )
    label[0] = 7
    assert np.isnan(target_decoding(counts, label, counts, label).cv_accuracy)
    assert target_decoding(counts, label, counts[:4], np.full(4, 99)).accuracy == 0


@pytest.mark.parametrize(
    "change, words",
    [
        ({"label_train": np.zeros(30)}, r"conditions to tell apart. Given: \[0.0\]"),
        ({"label_valid": np.zeros(3)}, r"labels \(3,\)"),
        ({"counts_train": np.zeros((30, 10))}, r"Given: \(30, 10\)"),
        ({"n_windows": 11}, "11 windows"),
        ({"n_windows": 0}, "0 windows"),
    ],
)
def test_bad_arguments(change, words):
    counts, label = trials(30, 0)
    arguments = dict(counts_train=counts, label_train=label, counts_valid=counts, label_valid=label)
    with pytest.raises(ValueError, match=words):
        target_decoding(**arguments | change)


@pytest.mark.parametrize(
    "name, accuracy, cv_accuracy, chance",
    [("adan_day0", 0.98, 0.98, 0.14), ("reach_day31", 0.64, 0.65, 0.17), ("head_direction_20ms", 0.75, 0.76, 0.25)],
)
def test_conditions_of_real_recordings(recording_path, name, accuracy, cv_accuracy, chance):
    """Published beside the recordings."""
    recording = load_recording(recording_path(f"{name}.h5"))
    parts = (recording.train, recording.valid)
    found = target_decoding(*(a for part in parts for a in (part.recon, part.label)))
    assert found.accuracy == pytest.approx(accuracy, abs=0.006)
    assert found.cv_accuracy == pytest.approx(cv_accuracy, abs=0.006)
    assert found.chance == pytest.approx(chance, abs=0.006)
