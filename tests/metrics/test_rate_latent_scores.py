"""Coefficients of determination of rates and latents against sums and known maps."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from indl.metrics import bootstrap_se, latent_r2, latent_r2_se, rate_r2_flat, rate_r2_per_channel
from indl.metrics.r2 import r2_per_column, r2_resamples


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


def test_missing_true_rates_are_left_out(rates):
    inferred, truth = rates
    truth[0, 2, 1], truth[3:, :, 2] = np.nan, np.nan
    inferred[3:, :, 2] = 1e9
    known = ~np.isnan(truth)
    by_channel = [r2(truth[..., c][known[..., c]], inferred[..., c][known[..., c]]) for c in range(3)]
    assert rate_r2_per_channel(inferred, truth) == pytest.approx(np.mean(by_channel))
    assert rate_r2_flat(inferred, truth) == pytest.approx(r2(truth[known], inferred[known]))
    truth[..., 2] = np.nan
    assert rate_r2_per_channel(inferred, truth) == pytest.approx(np.mean(by_channel[:2]))


def test_columns_equal_scikit_learn_where_nothing_is_missing(rates):
    inferred, truth = (a.reshape(-1, 3) for a in rates)
    truth[:, 1] = 4.0
    for predicted in (inferred, truth):
        expected = r2_score(truth, predicted, multioutput="raw_values")
        assert r2_per_column(truth, predicted) == pytest.approx(expected)


def test_resamples_of_r2_are_r2_of_resamples(rates):
    inferred, truth = rates
    truth[1, :4, 0] = np.nan
    # Far from zero, sums of squares would lose the digits.
    inferred, truth = inferred + 1e6, truth + 1e6
    found = r2_resamples(truth, inferred, n_resamples=30, seed=3)
    draws = np.random.default_rng(3).multinomial(8, np.full(8, 1 / 8), size=30)
    for weights, values in zip(draws, found, strict=True):
        chosen = np.repeat(np.arange(8), weights)
        assert values == pytest.approx(r2_per_column(truth[chosen], inferred[chosen]))


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


def test_latents_that_are_not_known_are_left_out():
    rng = np.random.default_rng(0)
    fit, z_fit, x, z = (rng.normal(size=(5, 20, 2)) for _ in range(4))
    expected = latent_r2(fit[:4], z_fit[:4], x[1:], z[1:])
    z_fit[4, :, 0], z[0, :, 1], x[0] = np.nan, np.nan, np.nan
    assert latent_r2(fit, z_fit, x, z) == pytest.approx(expected)


def test_standard_error_of_latents_keeps_the_map():
    rng = np.random.default_rng(0)
    z_fit, z = rng.normal(size=(6, 20, 2)), rng.normal(size=(9, 20, 2))
    fit, x = (a @ [[1.0, 2.0], [0.5, -1.0]] + rng.normal(size=a.shape) for a in (z_fit, z))
    found = latent_r2_se(fit, z_fit, x, z, seed=2)
    assert found == pytest.approx(bootstrap_se(lambda a, b: latent_r2(fit, z_fit, a, b), x, z, seed=2))
    assert np.isnan(latent_r2_se(fit, z_fit, x[:1], z[:1])).all()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: rate_r2_flat(a, a[:2]), "one shape"),
        (lambda a: rate_r2_per_channel(a[..., :1], a), "one shape"),
        (lambda a: latent_r2(a, a, a, a[:, :2]), "same trials and bins"),
        (lambda a: rate_r2_flat(a * np.nan, a), "24 pairs"),
        (lambda a: rate_r2_per_channel(a, a * np.nan), "none or one in each of 2 columns"),
        (lambda a: latent_r2(a, a * np.nan, a, a), "0 of 12 to fit on"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.random.default_rng(0).random((4, 3, 2)))
