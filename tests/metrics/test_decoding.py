"""Ridge decoding: known maps, lags, gaps, the benchmark's variant, and the numbers of real recordings."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from indl.data import gaussian_smooth, load_recording
from indl.metrics import bootstrap_se, ridge_decoding, velocity_r2

WEIGHTS = np.array([[1.0, 0.0], [0.5, -2.0], [0.0, 3.0]])


def features(seed, n_trials=30):
    return np.random.default_rng(seed).normal(size=(n_trials, 12, 3)) * [1, 10, 0.1]


def lagged(x, lag):
    """Behaviour `lag` bins after the features it comes from; what np.roll wraps around has no partner."""
    return np.roll(x @ WEIGHTS, lag, axis=1)


def test_a_linear_map_comes_back():
    train, valid = features(0), features(1)
    decoded = ridge_decoding(train, train @ WEIGHTS + 7, valid, valid @ WEIGHTS + 7)
    assert decoded.r2 == pytest.approx(1, abs=1e-6)
    assert decoded.cv_r2 == pytest.approx(1, abs=1e-6)
    assert decoded.r2_per_dim.shape == (2,)


@pytest.mark.parametrize("lag", [*(pytest.param(lag, marks=pytest.mark.slow) for lag in (-3, 0)), 4])
def test_the_lag_moves_behavior_behind_features(lag):
    train, valid = features(0), features(1)
    right = ridge_decoding(train, lagged(train, lag), valid, lagged(valid, lag), lag_bins=lag)
    wrong = ridge_decoding(train, lagged(train, lag), valid, lagged(valid, lag), lag_bins=lag + 1)
    assert right.r2 == pytest.approx(1, abs=1e-6)
    assert wrong.r2 < 0.1
    assert right.lag_bins == lag


@pytest.mark.parametrize("lag", [-2, *(pytest.param(lag, marks=pytest.mark.slow) for lag in (0, 3))])
def test_the_lag_is_found_and_the_fit_then_uses_all_bins_with_a_partner(lag):
    rng = np.random.default_rng(3)
    train, valid = features(0), features(1)
    y_train, y_valid = (lagged(x, lag) + rng.normal(size=(30, 12, 2)) for x in (train, valid))
    found = ridge_decoding(train, y_train, valid, y_valid, range(-3, 5))
    given = ridge_decoding(train, y_train, valid, y_valid, lag, penalties=[found.penalty])
    assert found.lag_bins == lag
    assert found.r2_per_dim == pytest.approx(given.r2_per_dim)
    assert found.se == pytest.approx(given.se)


@pytest.mark.parametrize("lag", [-2, 3])
def test_every_bin_is_decoded(lag):
    train, valid = features(0), features(1)
    behavior = np.full((30, 12, 2), np.nan)
    behavior[:, 5] = lagged(valid, lag)[:, 5]
    found = ridge_decoding(train, lagged(train, lag), valid, behavior, lag)
    assert found.predicted == pytest.approx(valid @ WEIGHTS, abs=1e-2)


def test_lags_are_compared_on_the_same_bins():
    """Behaviour that is easy late in a trial must not make a long lag win by dropping the early bins."""
    rng = np.random.default_rng(0)
    train = features(0)
    noise = np.where(np.arange(12) < 6, 20.0, 0.0)[:, None] * rng.normal(size=(30, 12, 2))
    # A slow signal: shifted by some bins it is still told, but worse.
    slow = gaussian_smooth(train, 4)
    behavior = slow @ WEIGHTS / slow.std() + noise
    assert ridge_decoding(slow, behavior, slow, behavior, [0, 6], seed=1).lag_bins == 0


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


def test_folds_hold_whole_trials():
    """Each trial has its own constant behaviour and features that name it: other bins of a trial would tell it."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20, 1, 20)), 12, axis=1)
    behavior = np.repeat(rng.normal(size=(20, 1, 1)), 12, axis=1)
    found = ridge_decoding(x, behavior, x, behavior, penalties=[1e-2])
    assert found.r2 > 0.99
    assert found.cv_r2 < 0.2
    one = ridge_decoding(x[:1] + features(0, 1)[..., :1], behavior[:1] + features(0, 1)[..., :1], x, behavior)
    assert np.isfinite(one.cv_r2), "a single trial is cut into blocks of bins"


@pytest.mark.slow
def test_standard_error_is_that_of_resampled_trials():
    rng = np.random.default_rng(0)
    train, valid = features(0), features(1)
    y_train, y_valid = (x @ WEIGHTS + 20 * rng.normal(size=(30, 12, 2)) for x in (train, valid))
    y_valid[2, 5:] = np.nan

    def score(x, y):
        return ridge_decoding(train, y_train, x, y, penalties=[1.0], n_resamples=2).r2

    found = ridge_decoding(train, y_train, valid, y_valid, penalties=[1.0], n_resamples=40, seed=4).se
    assert found == pytest.approx(bootstrap_se(score, valid, y_valid, n_resamples=40, seed=4))
    assert np.isnan(ridge_decoding(train, y_train, valid[:1], y_valid[:1]).se)


def test_the_benchmarks_decoder_is_ridge_on_rates_as_they_are():
    rng = np.random.default_rng(0)
    train, valid = features(0), features(1)
    y_train, y_valid = (x @ WEIGHTS + 9 * rng.normal(size=(30, 12, 2)) for x in (train, valid))
    y_train[4, :3], y_valid[7] = np.nan, np.nan
    masks = [np.stack([mask, ~mask], axis=1) for mask in (np.arange(30) % 3 == 0, np.arange(30) % 4 == 0)]
    expected = []
    for a, b in zip(masks[0].T, masks[1].T, strict=True):
        known, scored = ~np.isnan(y_train[a][..., 0]), ~np.isnan(y_valid[b][..., 0])
        model = Ridge(0.5).fit(train[a][known], y_train[a][known])
        expected.append(r2_score(y_valid[b][scored], model.predict(valid[b][scored])))
    found = velocity_r2(train, y_train, valid, y_valid, *masks, penalty=0.5)
    assert found.r2 == pytest.approx(np.mean(expected), rel=1e-9)
    assert found.penalties == (0.5, 0.5)

    def score(x, y, mask):
        return velocity_r2(train, y_train, x, y, masks[0], mask, penalty=0.5, n_resamples=2).r2

    resampled = bootstrap_se(score, valid, y_valid, masks[1], n_resamples=30, seed=6)
    again = velocity_r2(train, y_train, valid, y_valid, *masks, penalty=0.5, n_resamples=30, seed=6)
    assert again.se == pytest.approx(resampled)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"behavior_train": np.zeros((30, 11, 2))}, "training part.*same trials and bins"),
        ({"features_valid": np.zeros((30, 12))}, "validation part"),
        ({"lag_bins": 12}, "0 to 12 bins and trials of 12 bins"),
        ({"lag_bins": [-6, 6]}, "-6 to 6 bins and trials of 12 bins"),
        ({"behavior_valid": np.full((30, 12, 2), np.nan)}, "validation part have behaviour. Given: 0 of 360"),
        ({"features_valid": np.full((30, 12, 3), np.nan)}, "validation part must be finite. Given: 1080 features"),
        ({"behavior_train": np.full((30, 12, 3), np.inf)}, "1080 values of behaviour"),
    ],
)
def test_bad_arguments(change, words):
    arguments = dict(
        features_train=features(0), behavior_train=features(0), features_valid=features(1), behavior_valid=features(1)
    )
    with pytest.raises(ValueError, match=words):
        ridge_decoding(**arguments | change)


@pytest.mark.parametrize(
    "masks, words",
    [
        ((np.ones((30, 1)), None), "Masks must be bool"),
        ((np.ones((29, 1), bool), None), "for 30 trials"),
        ((np.ones((30, 2), bool), None), "2 for training and 1 for validation"),
        ((np.zeros((30, 1), bool), None), "training part have behaviour. Given: 0 of 0"),
    ],
)
def test_bad_masks(masks, words):
    with pytest.raises(ValueError, match=words):
        velocity_r2(features(0), features(0), features(1), features(1), *masks)


@pytest.mark.parametrize(
    "name, sd_s, lag_s, r2, each",
    [("adan_day0", 0.1, 0.15, 0.846, [0.89, 0.81]), ("reach_day31", 0.06, 0.16, 0.20, None)],
)
def test_behavior_of_real_recordings(recording_path, name, sd_s, lag_s, r2, each):
    """Published beside the recordings, with penalty and lag from cross-validation."""
    recording = load_recording(recording_path(f"{name}.h5"))
    train, valid, width = recording.train, recording.valid, recording.bin_width_s
    smoothed = [gaussian_smooth(part.recon, sd_s / width) for part in (train, valid)]
    decoded = ridge_decoding(smoothed[0], train.behavior, smoothed[1], valid.behavior, lag_bins=round(lag_s / width))
    assert decoded.r2 == pytest.approx(r2, abs=0.005)
    if each:
        assert decoded.r2_per_dim == pytest.approx(each, abs=0.006)


def test_prediction_of_every_bin_is_that_of_the_decoder():
    """Shifted by the lag and scored, it gives the reported R2."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 20, 12, 4)), rng.normal(size=(2, 20, 12, 2))
    y[:, :, 2:] += x[:, :, :-2, :2]
    decoded = ridge_decoding(x[0], y[0], x[1], y[1], lag_bins=2)
    assert decoded.predicted.shape == (20, 12, 2)
    for dim in range(2):
        found = r2_score(y[1, :, 2:, dim].ravel(), decoded.predicted[:, :-2, dim].ravel())
        assert found == pytest.approx(decoded.r2_per_dim[dim])
