"""Trial averages by hand, smoothed across gaps, and compared with averages of rates that were jittered."""

import numpy as np
import pytest

from indl.data import gaussian_smooth
from indl.metrics import psth, psth_ceiling, psth_r2, smooth_observed


def r2(truth, predicted):
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_smoothing_leaves_missing_samples_out(rng):
    counts = rng.poisson(2.0, (3, 9, 2)).astype("float32")
    assert np.array_equal(smooth_observed(counts, 1.5), gaussian_smooth(counts, 1.5))
    counts[0, 2:5, 1] = counts[2, :, 0] = np.nan
    found = smooth_observed(counts, 1.0, fill=[7.0, 8.0])
    weights = np.exp(-0.5 * np.subtract.outer(np.arange(9), np.arange(9)) ** 2)
    # The kernel ends 4 standard deviations from its middle.
    weights[weights < np.exp(-0.5 * 4.5**2)] = 0
    seen = ~np.isnan(counts[0, :, 1])
    expected = (weights[:, seen] @ counts[0, seen, 1]) / weights[:, seen].sum(axis=1)
    assert found[0, :, 1] == pytest.approx(expected, rel=1e-5)
    assert np.all(found[2, :, 0] == 7.0)
    assert np.isnan(smooth_observed(counts, 1.0)[2, :, 0]).all()


def test_averages_by_hand(rng):
    counts = rng.poisson(1.0, (7, 5, 2)).astype(float)
    label = np.array([3, 0, 3, 0, 3, 0, 0])
    counts[1, 2, 0] = np.nan
    found = psth(counts, label)
    assert found.shape == (4, 5, 2)
    assert found[3] == pytest.approx(counts[[0, 2, 4]].mean(axis=0))
    assert found[0, 2, 0] == pytest.approx(counts[[3, 5, 6], 2, 0].mean())
    assert np.isnan(found[[1, 2]]).all()
    assert psth(counts, label, sd_bins=1.2)[3] == pytest.approx(gaussian_smooth(found[3:], 1.2)[0])


def test_r2_by_hand(rng):
    rates = rng.random((7, 5, 2))
    label = np.array([2, 0, 2, 0, 2, 0, 0])
    averages = rng.random((3, 5, 2))
    averages[0, 3, 1] = np.nan
    average = np.stack([rates[label == k].mean(0) for k in (0, 2)])
    expected = averages[[0, 2]]
    kept = ~np.isnan(expected[..., 1])
    by_channel = [r2(expected[..., 0], average[..., 0]), r2(expected[..., 1][kept], average[..., 1][kept])]
    assert psth_r2(rates, label, averages) == pytest.approx(np.mean(by_channel))


def test_jitter_is_undone_one_trial_at_a_time(rng):
    rates, averages = rng.random((6, 8, 2)), rng.random((2, 8, 2))
    label, jitter = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 2, -3, 1, 1, 1])
    moved = np.full(rates.shape, np.nan)
    for trial, t, c in np.ndindex(*rates.shape):
        if 0 <= t + jitter[trial] < 8:
            moved[trial, t + jitter[trial], c] = rates[trial, t, c]
    means = np.full(averages.shape, np.nan)
    for k, t, c in np.ndindex(*averages.shape):
        values = moved[label == k, t, c]
        if not np.isnan(values).all():
            means[k, t, c] = values[~np.isnan(values)].mean()
    # All trials of condition 1 begin a bin late: its first bin has no rate, and is not scored.
    assert np.isnan(means[1, 0]).all() and not np.isnan(means[0]).any()
    kept = ~np.isnan(means[..., 0])
    expected = np.mean([r2(averages[..., c][kept], means[..., c][kept]) for c in range(2)])
    assert psth_r2(rates, label, averages, jitter) == pytest.approx(expected)
    assert psth_r2(rates, label, averages, 0 * jitter) == psth_r2(rates, label, averages)


def test_rates_of_jittered_trials_match_once_it_is_undone(rng):
    averages = gaussian_smooth(rng.random((2, 40, 3)), 2)
    label, jitter = np.arange(20) % 2, rng.integers(-4, 5, 20)
    rates = np.stack([np.roll(averages[k], -j, axis=0) for k, j in zip(label, jitter, strict=True)])
    # What np.roll wrapped around is what the shift leaves free.
    assert psth_r2(rates, label, averages, jitter) == pytest.approx(1.0)
    assert psth_r2(rates, label, averages) < 0.9


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: psth_r2(a, np.zeros(4, int), a[:, :2]), "same bins and channels"),
        (lambda a: psth_r2(a, np.array([0, 1, 2, 4]), a), "labels up to 4 and 4 conditions"),
        (lambda a: psth_r2(a, np.zeros(3, int), a), "one index of a condition a trial"),
        (lambda a: psth(a, np.zeros(4)), "Given: float64"),
        (lambda a: psth(a, np.array([0, 1, -1, 0])), r"values \[-1, 0, 1\]"),
        (lambda a: psth(a * np.inf, np.zeros(4, int)), "24 infinite values"),
        (lambda a: psth_r2(a, np.zeros(4, int), a, np.ones(4)), "jitter must hold one whole number"),
        (
            lambda a: psth_r2(a, np.zeros(4, int), a, np.full(4, 3)),
            "two bins of every channel. Given: less in channel 0",
        ),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0).random((4, 3, 2)) + 0.1)


@pytest.mark.parametrize("n_trials, sd_bins, unknown", [(3, 0.0, 0.0), (12, 2.0, 0.0), (12, 0.0, 0.2)])
def test_the_ceiling_is_what_true_rates_reach(n_trials, sd_bins, unknown):
    """faults.md D: of Poisson counts of known rates; the mean over data sets, within its standard error."""
    rng = np.random.default_rng(5)
    rates = rng.gamma(2.0, 0.6, (6, 1, 3)) * (
        1 + 0.5 * np.sin(np.arange(20)[:, None] / 3 + rng.uniform(0, 6, (6, 1, 3)))
    )
    label = np.repeat(np.arange(6), n_trials)
    reached, ceiling = [], []
    for _ in range(60):
        counts = rng.poisson(rates[label]).astype("float64")
        counts[rng.uniform(size=counts.shape) < unknown] = np.nan
        reached.append(psth_r2(smooth_observed(rates, sd_bins), np.arange(6), psth(counts, label, sd_bins)))
        ceiling.append(psth_ceiling(counts, label, sd_bins).mean())
    difference = np.subtract(reached, ceiling)
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(60) + 0.003
    assert 0.2 < np.mean(ceiling) < 0.99


def test_the_ceiling_of_noise_is_zero_and_of_one_trial_unknown():
    rng = np.random.default_rng(0)
    label = np.arange(200) % 50
    counts = rng.poisson(1.0, (200, 40, 4))
    counts[:, :, 3] = 0
    ceiling = psth_ceiling(counts, label)
    assert np.abs(ceiling[:3]).max() < 0.1 and ceiling[3] == 0
    with_one_more = psth_ceiling(np.concatenate([counts, 9 + counts[:1]]), np.append(label, 50))
    np.testing.assert_array_equal(with_one_more, ceiling)
    with pytest.raises(ValueError, match="Given: 3 trials of 3 conditions, one each"):
        psth_ceiling(counts[:3], np.arange(3))
