"""Smoothed-spikes baselines: what they choose, and the numbers of real recordings."""

import warnings

import numpy as np
import pytest

from indl.data import Recording, gaussian_smooth, load_recording, lorenz
from indl.metrics import cosmoothing, latent_r2, rate_r2_flat, rate_r2_per_channel, smoothing_baseline


@pytest.fixture(scope="module")
def benchmark():
    return lorenz(n_neurons=12, n_conditions=10, n_trials=10, base_rate_hz=20.0, heldout=3)


def test_smoothing_is_chosen_on_the_training_part(benchmark):
    sds = (0.02, 0.04, 0.3)
    found = smoothing_baseline(benchmark, sds_s=sds, penalties=(0.1,))
    train, valid = benchmark.train, benchmark.valid
    best = max(sds, key=lambda s: rate_r2_per_channel(gaussian_smooth(train.recon, s / 0.02), train.truth))
    smoothed = gaussian_smooth(valid.recon, best / 0.02)
    assert found.rate_sd_s == best
    assert found.rate_r2_flat == rate_r2_flat(smoothed, valid.truth)
    assert found.rate_r2_per_channel == rate_r2_per_channel(smoothed, valid.truth)
    roots = [gaussian_smooth(np.sqrt(part.encod), found.latent_sd_s / 0.02) for part in (train, valid)]
    expected = latent_r2(roots[0], train.latents, roots[1], valid.latents)
    assert found.latent_r2 == pytest.approx(expected)
    assert found.latent_r2.mean() > 0.5


def test_cosmoothing_lies_between_the_null_and_the_true_rates(benchmark):
    found = smoothing_baseline(benchmark, sds_s=(0.02, 0.05), penalties=(0.01, 10.0))
    ceiling = cosmoothing(benchmark.valid.truth, benchmark.valid.recon, benchmark.n_heldin)
    assert 0.2 * ceiling < found.cosmoothing < ceiling
    assert found.cosmoothing_penalty == 0.01
    assert 0 < found.cosmoothing_se < 0.1 * ceiling
    again = smoothing_baseline(benchmark, sds_s=(0.02, 0.05), penalties=(0.01, 10.0))
    assert (found.cosmoothing, found.cosmoothing_se) == (again.cosmoothing, again.cosmoothing_se)


def test_only_what_a_recording_has_is_scored():
    counts = np.random.default_rng(0).poisson(1.0, (10, 8, 3))
    assert smoothing_baseline(Recording.from_arrays(counts, 0.02)) == (None,) * 9


def test_a_channel_that_is_silent_in_training_does_not_stop_the_baseline():
    counts = np.random.default_rng(0).poisson(1.0, (20, 8, 4))
    counts[:, :, 3] = 0
    with pytest.warns(UserWarning, match="zero everywhere"):
        recording = Recording.from_arrays(counts, 0.02, heldout=[2, 3])
    assert np.isfinite(smoothing_baseline(recording).cosmoothing)


def test_too_few_trials_to_choose():
    recording = Recording.from_arrays(np.ones((3, 8, 3)), 0.02, heldout=1, valid_fraction=0.34)
    with pytest.raises(ValueError, match="Got 1 trials and n_folds 3"):
        smoothing_baseline(recording)


@pytest.mark.parametrize(
    "name, expected, tolerance",
    [("adan_day0.h5", 0.1255, 0.003), ("reach_day31.h5", 0.071, 0.005), ("head_direction_20ms.h5", 0.88, 0.07)],
)
def test_regression_of_real_recordings(recording_path, name, expected, tolerance):
    """Published beside the recordings, from smoothing and penalties of another grid."""
    found = smoothing_baseline(load_recording(recording_path(name)))
    assert found.cosmoothing == pytest.approx(expected, abs=tolerance)


@pytest.mark.slow
def test_regression_of_fine_bins(recording_path):
    """Published: .111 +- .018."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        recording = load_recording(recording_path("mc_maze_small_5ms.h5"))
    found = smoothing_baseline(recording)
    assert found.cosmoothing == pytest.approx(0.111, abs=0.01)
    assert found.cosmoothing_se == pytest.approx(0.018, abs=0.006)
