"""Coefficients of determination of rates and latents against sums and known maps."""

import numpy as np
import pytest

from indl.metrics import latent_r2, psth_r2, rate_r2_flat, rate_r2_per_channel


def r2(truth, predicted):
    return 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


@pytest.fixture
def rates():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(8, 6, 3)) * [1, 10, 100]
    return truth + rng.normal(size=truth.shape) * [0.5, 9, 20], truth


def test_the_two_ways_to_average(rates):
    inferred, truth = rates
    by_channel = [r2(truth[..., c], inferred[..., c]) for c in range(3)]
    assert rate_r2_per_channel(inferred, truth) == pytest.approx(np.mean(by_channel))
    assert rate_r2_flat(inferred, truth) == pytest.approx(r2(truth, inferred))
    assert rate_r2_flat(inferred, truth) > rate_r2_per_channel(inferred, truth)


def test_perfect_and_mean_rates(rates):
    _, truth = rates
    assert rate_r2_per_channel(truth, truth) == rate_r2_flat(truth, truth) == 1
    mean = np.broadcast_to(truth.mean((0, 1)), truth.shape)
    assert rate_r2_per_channel(mean, truth) == pytest.approx(0)


def test_trial_averages_by_hand():
    rates = np.random.default_rng(0).random((7, 5, 2))
    label = np.array([2, 0, 2, 0, 2, 0, 0])
    psth = np.random.default_rng(1).random((3, 5, 2))
    psth[0, 3, 1] = np.nan
    average = np.stack([rates[label == k].mean(0) for k in (0, 2)])
    expected = psth[[0, 2]]
    kept = ~np.isnan(expected[..., 1])
    by_channel = [r2(expected[..., 0], average[..., 0]), r2(expected[..., 1][kept], average[..., 1][kept])]
    assert psth_r2(rates, label, psth) == pytest.approx(np.mean(by_channel))


def test_latents_behind_an_affine_map_come_back():
    rng = np.random.default_rng(0)
    latents = [rng.normal(size=(n, 20, 2)).astype("float32") for n in (30, 10)]
    mixed = [z @ np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]) + [100, -5, 7] for z in latents]
    assert latent_r2(mixed[0], latents[0], mixed[1], latents[1]) == pytest.approx([1, 1], abs=1e-6)


def test_latents_are_scored_on_the_second_part_with_the_map_of_the_first():
    rng = np.random.default_rng(0)
    fit, z_fit, x, z = (rng.normal(size=(5, 20, 2)) for _ in range(4))
    design = np.c_[fit.reshape(-1, 2), np.ones(100)]
    weights, *_ = np.linalg.lstsq(design, z_fit.reshape(-1, 2), rcond=None)
    predicted = np.c_[x.reshape(-1, 2), np.ones(100)] @ weights
    expected = [r2(z.reshape(-1, 2)[:, d], predicted[:, d]) for d in range(2)]
    assert latent_r2(fit, z_fit, x, z) == pytest.approx(expected)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: rate_r2_flat(a, a[:2]), "one shape"),
        (lambda a: rate_r2_per_channel(a[..., :1], a), "one shape"),
        (lambda a: latent_r2(a, a, a, a[:, :2]), "same trials and bins"),
        (lambda a: psth_r2(a, np.zeros(4, int), a[:, :2]), "same bins and channels"),
        (lambda a: psth_r2(a, np.array([0, 1, 2, 4]), a), "4 trials and 4 conditions"),
        (lambda a: psth_r2(a, np.zeros(3, int), a), "one index into psth a trial"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0).random((4, 3, 2)))
