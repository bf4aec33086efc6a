"""The Lorenz benchmark has the statistics that published scores on it presuppose."""

import numpy as np
import pytest

from indl.data import lorenz


@pytest.fixture(scope="module")
def recording():
    return lorenz()


def both(recording, name):
    return np.concatenate([getattr(recording.train, name), getattr(recording.valid, name)])


def test_sizes_and_split(recording):
    assert recording.train.recon.shape == (1248, 50, 29)
    assert recording.valid.recon.shape == (312, 50, 29)
    assert np.array_equal(recording.valid.inds, np.arange(4, 1560, 5))
    assert np.array_equal(recording.valid.label, recording.valid.inds // 24)
    assert np.unique(recording.valid.label).size == 65


def test_statistics(recording):
    """Those of another draw of the same recipe: 8.2 Hz, .14-255 Hz, .4705 and .3952 nats a bin (Stirling)."""
    hz = both(recording, "truth") / recording.bin_width_s
    assert 5 < hz.mean() < 9 and 0.05 < hz.min() < 0.3 and 100 < hz.max() < 500
    counts = both(recording, "recon").astype(float)
    assert 0.12 < counts.mean() < 0.2 and 0.8 < (counts == 0).mean() < 0.92
    stirling = np.where(
        counts > 1, counts * np.log(np.maximum(counts, 1)) - counts + 0.5 * np.log(2 * np.pi * np.maximum(counts, 1)), 0
    )

    def nll(rates):
        return np.mean(rates - counts * np.log(rates) + stirling)

    assert 0.34 < nll(both(recording, "truth")) < 0.40
    assert 0.38 < nll(np.broadcast_to(counts.mean((0, 1)), counts.shape)) < 0.48


def test_counts_are_draws_of_the_true_rates(recording):
    """Of 1 ms steps that hold at most one spike; the rates are close to constant within a bin."""
    counts, truth = both(recording, "recon").astype(float), both(recording, "truth").astype(float)
    expected = 20 * -np.expm1(-truth / 20)
    variance = expected * (1 - expected / 20)
    score = (counts.sum((0, 1)) - expected.sum((0, 1))) / np.sqrt(variance.sum((0, 1)))
    assert np.abs(score).max() < 4.5
    deviance = np.mean((counts - expected) ** 2 / variance)
    assert deviance == pytest.approx(1.0, abs=0.02)
    assert counts.max() <= 20


def test_rates_are_log_linear_in_the_latents():
    """With bins of 1 ms nothing is averaged, so the relation is exact."""
    recording = lorenz(n_neurons=5, n_conditions=2, n_trials=5, n_bins=40, bin_width_s=0.001, base_rate_hz=3.0)
    loading = recording.attrs["loading"]
    assert np.all((np.abs(loading) >= 1) & (np.abs(loading) < 2))
    hz = 3.0 * np.exp(recording.train.latents.astype(float) @ loading)
    assert np.allclose(recording.train.truth, hz * 0.001, rtol=1e-5)
    assert set(np.unique(recording.train.recon)) <= {0, 1}


def test_latents_follow_the_lorenz_equations():
    """One Euler step is linear in products of the state; centre and scale of each latent are fitted along."""
    recording = lorenz(n_neurons=2, n_conditions=3, n_trials=5, n_bins=1000, bin_width_s=0.001)
    for condition in range(3):
        latents = recording.train.latents[recording.train.label == condition][0].astype(float)
        x, y, z = latents.T
        steps = {"x": (y, x), "y": (x * z, x, z, y), "z": (x * y, x, y, z)}
        decay = {"x": 10, "y": 1, "z": 8 / 3}
        for latent, terms in steps.items():
            design = np.stack([*terms, np.ones(1000)], axis=1)[:-1]
            fitted, *_ = np.linalg.lstsq(design, np.diff({"x": x, "y": y, "z": z}[latent]), rcond=None)
            assert fitted[-2] == pytest.approx(-0.006 * decay[latent], rel=1e-3)
    every = recording.train.latents
    assert np.abs(every).max((0, 1)) == pytest.approx([1, 1, 1], abs=1e-6)
    assert np.abs(every.mean(axis=1)).max() < 1e-6


def test_bins_sum_the_same_spikes_and_average_the_same_latents():
    fine, coarse = (lorenz(3, 2, 5, n, width) for n, width in ((100, 0.001), (10, 0.01)))
    assert np.array_equal(fine.train.recon.reshape(8, 10, 10, 3).sum(2), coarse.train.recon)
    assert np.allclose(fine.train.latents.reshape(8, 10, 10, 3).mean(2), coarse.train.latents, atol=1e-6)
    assert np.allclose(fine.train.truth.reshape(8, 10, 10, 3).sum(2), coarse.train.truth, rtol=1e-5)


def test_seed_and_heldout():
    first, again, other = (lorenz(6, 2, 5, 10, seed=s) for s in (3, 3, 4))
    assert np.array_equal(first.train.recon, again.train.recon)
    assert not np.array_equal(first.train.recon, other.train.recon)
    heldout = lorenz(6, 2, 5, 10, seed=3, heldout=2)
    assert (heldout.n_heldin, heldout.n_heldout) == (4, 2)
    assert np.array_equal(heldout.train.recon, first.train.recon)
    assert np.array_equal(heldout.train.encod, first.train.recon[:, :, :4])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"n_neurons": 0}, "n_neurons must be a whole number from 1 to 10000"),
        ({"n_trials": 10**400}, "n_trials must be a whole number from 1 to 100000"),
        ({"n_bins": 50.5}, "n_bins must be a whole number"),
        ({"n_bins": 100_000}, "too large to simulate"),
        ({"n_neurons": 10_000, "n_conditions": 10_000}, "too large to simulate"),
        ({"base_rate_hz": 1e6}, "1000 at most"),
        ({"n_conditions": 1, "n_trials": 4}, "needs 5 trials"),
        ({"bin_width_s": 0.0025}, "whole number of milliseconds"),
        ({"bin_width_s": 20}, "give 0.02"),
        ({"base_rate_hz": 0}, "base_rate_hz must be positive"),
        ({"heldout": 29}, "leave at least one channel"),
    ],
)
def test_impossible_benchmarks_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        lorenz(**arguments)
