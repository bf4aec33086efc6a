"""Ridge decoding: known maps, lags, gaps, and the number of a real recording."""

import numpy as np
import pytest

from indl.data import gaussian_smooth, load_recording
from indl.metrics import ridge_decoding

WEIGHTS = np.array([[1.0, 0.0], [0.5, -2.0], [0.0, 3.0]])


def features(seed, n_trials=30):
    return np.random.default_rng(seed).normal(size=(n_trials, 12, 3)) * [1, 10, 0.1]


def test_a_linear_map_comes_back():
    train, valid = features(0), features(1)
    decoded = ridge_decoding(train, train @ WEIGHTS + 7, valid, valid @ WEIGHTS + 7)
    assert decoded.r2 == pytest.approx(1, abs=1e-6)
    assert decoded.r2_per_dim.shape == (2,)


@pytest.mark.parametrize("lag", [-3, 0, 4])
def test_the_lag_moves_behavior_behind_features(lag):
    def behavior(x):
        return np.roll(x @ WEIGHTS, lag, axis=1)

    train, valid = features(0), features(1)
    # What np.roll wrapped around lies outside of the bins that have a partner.
    right = ridge_decoding(train, behavior(train), valid, behavior(valid), lag_bins=lag)
    wrong = ridge_decoding(train, behavior(train), valid, behavior(valid), lag_bins=lag + 1)
    assert right.r2 == pytest.approx(1, abs=1e-6)
    assert wrong.r2 < 0.1


def test_bins_without_behavior_are_left_out():
    train, valid = features(0), features(1)
    y_train, y_valid = train @ WEIGHTS, valid @ WEIGHTS
    y_train[::2, :, 0], y_valid[3, 2:5] = np.nan, np.nan
    train[::2] = 1e3
    assert ridge_decoding(train, y_train, valid, y_valid).r2 == pytest.approx(1, abs=1e-6)


def test_the_penalty_is_chosen_on_the_training_part():
    rng = np.random.default_rng(0)
    noise, behavior = rng.normal(size=(30, 12, 100)), rng.normal(size=(30, 12, 2))
    decoded = ridge_decoding(noise, behavior, noise[:5], behavior[:5], penalties=[1e-3, 1e6])
    assert decoded.penalty == 1e6
    assert decoded.r2 == pytest.approx(decoded.r2_per_dim.mean())
    train = features(0)
    assert ridge_decoding(train, train @ WEIGHTS, train, train @ WEIGHTS, penalties=[1e-3, 1e6]).penalty == 1e-3


@pytest.mark.parametrize(
    "change, words",
    [
        ({"behavior_train": np.zeros((30, 11, 2))}, "training part.*same trials and bins"),
        ({"features_valid": np.zeros((30, 12))}, "validation part"),
        ({"lag_bins": 12}, "12 bins and trials of 12 bins"),
        ({"behavior_valid": np.full((30, 12, 2), np.nan)}, "validation part have behaviour. Got 0 of 360"),
    ],
)
def test_bad_arguments(change, words):
    arguments = dict(
        features_train=features(0), behavior_train=features(0), features_valid=features(1), behavior_valid=features(1)
    )
    with pytest.raises(ValueError, match=words):
        ridge_decoding(**arguments | change)


def test_force_from_smoothed_spikes(recording_path):
    """Published beside the recording: R2 0.846 (0.89 and 0.81) at 100 ms of smoothing and a lag of 150 ms."""
    recording = load_recording(recording_path("adan_day0.h5"))
    smoothed = [gaussian_smooth(part.recon, 2) for part in (recording.train, recording.valid)]
    decoded = ridge_decoding(smoothed[0], recording.train.behavior, smoothed[1], recording.valid.behavior, lag_bins=3)
    assert decoded.r2 == pytest.approx(0.846, abs=0.003)
    assert decoded.r2_per_dim == pytest.approx([0.89, 0.81], abs=0.006)
