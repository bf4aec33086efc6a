"""The autocorrelation of processes whose autocorrelation is known, and against brute force."""

import numpy as np
import pytest
from scipy.signal import lfilter

from indl.metrics import mean_autocorrelation


def ar1(phi, n_trials, n_times, seed=0):
    """Stationary AR(1) with unit innovations, (trials, time, dimensions)."""
    phi = np.atleast_1d(phi)
    noise = np.random.default_rng(seed).normal(size=(n_trials, n_times, len(phi)))
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return np.stack([lfilter([1.0], [1.0, -p], noise[..., i], axis=1) for i, p in enumerate(phi)], axis=-1)


def brute_force(values, max_lag):
    """The definition, pair by pair."""
    n_trials, n_times, n_dims = values.shape
    out = np.full((max_lag + 1, n_dims), np.nan)
    for d in range(n_dims):
        x = values[..., d] - np.nanmean(values[..., d])
        for lag in range(max_lag + 1):
            pairs = [x[i, t] * x[i, t + lag] for i in range(n_trials) for t in range(n_times - lag)]
            pairs = [pair for pair in pairs if not np.isnan(pair)]
            out[lag, d] = np.mean(pairs) / np.nanvar(values[..., d]) if pairs else np.nan
    return out


def test_ar1_forgets_exponentially():
    phi = np.array([0.95, 0.5, -0.7])
    found = mean_autocorrelation(ar1(phi, 4000, 60), max_lag=20)
    assert found == pytest.approx(phi ** np.arange(21)[:, None], abs=0.02)


def test_short_trials_are_not_biased():
    """The biased estimator would give 2/3 of the value at lag 2 of trials of 6 bins."""
    found = mean_autocorrelation(ar1(0.9, 40000, 6), max_lag=5)
    assert found[:, 0] == pytest.approx(0.9 ** np.arange(6), abs=0.015)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_definition(missing):
    rng = np.random.default_rng(1)
    values = ar1([0.8, 0.2], 5, 12) + 3.0
    values[rng.random(values.shape) < missing] = np.nan
    kept = values.copy()
    assert np.allclose(mean_autocorrelation(values, 11), brute_force(values, 11), equal_nan=True)
    assert np.array_equal(values, kept, equal_nan=True)


def test_the_mean_is_that_of_all_trials():
    """Trials that differ by a constant alone are correlated at every lag."""
    values = np.repeat([1.0, -1.0], 8).reshape(2, 8, 1)
    assert mean_autocorrelation(values) == pytest.approx(np.ones((5, 1)))


def test_a_large_offset_costs_no_digits():
    values = ar1(0.9, 20, 30)
    assert mean_autocorrelation(values + 1e6) == pytest.approx(mean_autocorrelation(values), abs=1e-6)


def test_what_is_undefined_is_nan():
    values = np.random.default_rng(0).normal(size=(4, 6, 3))
    values[..., 1] = 0.1
    values[..., 2] = np.nan
    values[:, 4:, 0] = np.inf
    found = mean_autocorrelation(values, max_lag=5)
    assert np.isnan(found[:, 1:]).all()
    assert np.isfinite(found[:4, 0]).all() and np.isnan(found[4:, 0]).all()


def test_one_bin():
    assert mean_autocorrelation(np.array([1.0, 2.0]).reshape(2, 1, 1)).tolist() == [[1.0]]


@pytest.mark.parametrize(
    "values, lag, words",
    [
        (np.ones((3, 4)), None, r"Given: shape \(3, 4\).*array\[None\]"),
        (np.ones((0, 4, 1)), None, "not empty"),
        (np.ones((1, 4, 1)), 4, "Given: 4 bins and trials of 4 bins"),
        (np.ones((1, 4, 1)), -1, "Given: -1 bins"),
    ],
)
def test_bad_arguments(values, lag, words):
    with pytest.raises(ValueError, match=words):
        mean_autocorrelation(values, lag)
