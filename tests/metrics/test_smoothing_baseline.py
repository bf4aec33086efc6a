"""Smoothed-spikes baselines: what they choose, and the numbers of real recordings."""

from dataclasses import replace

import numpy as np
import pytest

from indl.data import Trials, gaussian_smooth, load_recording, lorenz
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
    assert smoothing_baseline(Trials(counts, 0.02).split()) == (None,) * 9


def test_a_channel_that_is_silent_in_training_does_not_stop_the_baseline():
    counts = np.random.default_rng(0).poisson(1.0, (20, 8, 4))
    counts[:, :, 3] = 0
    with pytest.warns(UserWarning, match="zero everywhere"):
        recording = Trials(counts, 0.02).split(heldout=[2, 3])
    assert np.isfinite(smoothing_baseline(recording).cosmoothing)


def test_too_few_trials_to_choose():
    recording = Trials(np.ones((3, 8, 3)), 0.02).split(0.34, heldout=1)
    with pytest.raises(ValueError, match="Given: 1 trials and n_folds 3"):
        smoothing_baseline(recording)


def test_gaps_are_filled_from_their_neighbours(benchmark):
    """A tenth of the samples missing costs little; a score that took them for zeros would break down."""
    rng = np.random.default_rng(0)

    def gaps(part):
        recon = np.where(rng.random(part.recon.shape) < 0.1, np.nan, part.recon)
        truth = np.where(rng.random(part.truth.shape) < 0.1, np.nan, part.truth)
        return replace(part, recon=recon, encod=recon[..., : part.encod.shape[2]], truth=truth)

    grids = {"sds_s": (0.05,), "penalties": (0.03,)}
    whole = smoothing_baseline(benchmark, **grids)
    found = smoothing_baseline(replace(benchmark, train=gaps(benchmark.train), valid=gaps(benchmark.valid)), **grids)
    assert found.rate_r2_flat == pytest.approx(whole.rate_r2_flat, abs=0.05)
    assert found.latent_r2 == pytest.approx(whole.latent_r2, abs=0.05)
    assert found.cosmoothing == pytest.approx(whole.cosmoothing, abs=3 * whole.cosmoothing_se)


def test_a_real_valued_signal_has_no_cosmoothing():
    signal = np.random.default_rng(0).normal(size=(20, 8, 4))
    recording = Trials(signal, 0.02, are_counts=False).split(heldout=1)
    assert smoothing_baseline(recording) == (None,) * 9


def test_regression_of_a_real_recording(recording_path):
    """Published beside the recording: 0.071 +- 0.009 bits/spike."""
    found = smoothing_baseline(load_recording(recording_path("reach_day31.h5")))
    assert found.cosmoothing == pytest.approx(0.071, abs=0.009)
    assert found.cosmoothing_se == pytest.approx(0.009, abs=0.002)
