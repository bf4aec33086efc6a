"""Gaussian smoothing against the sum it stands for."""

import numpy as np
import pytest

from indl.data import gaussian_smooth


@pytest.mark.parametrize("sd", [0.5, 1.0, 3.0, 20.0])
def test_smoothing_is_a_normalised_sum(sd):
    counts = np.random.default_rng(0).poisson(1.0, (3, 25, 2)).astype(float)
    distance = np.arange(25)[:, None] - np.arange(25)
    # The kernel is cut at 4 standard deviations.
    kernel = np.exp(-0.5 * (distance / sd) ** 2) * (np.abs(distance) <= int(4 * sd + 0.5))
    kernel /= kernel.sum(axis=1, keepdims=True)
    assert np.allclose(gaussian_smooth(counts, sd), np.einsum("ts,nsc->ntc", kernel, counts), atol=1e-12)


@pytest.mark.parametrize("sd", [0.5, 2.0, 20.0])
def test_missing_samples_have_no_weight(sd):
    counts = np.random.default_rng(0).poisson(1.0, (3, 25, 2)).astype(float)
    counts[0, 7, 1] = counts[1, 20:] = counts[2, 3:15, 0] = np.nan
    distance = np.arange(25)[:, None] - np.arange(25)
    kernel = np.exp(-0.5 * (distance / sd) ** 2) * (np.abs(distance) <= int(4 * sd + 0.5))
    seen = ~np.isnan(counts)
    mass = np.einsum("ts,nsc->ntc", kernel, seen)
    with np.errstate(invalid="ignore"):
        expected = np.einsum("ts,nsc->ntc", kernel, np.where(seen, counts, 0)) / mass
    smoothed = gaussian_smooth(counts, sd)
    assert np.allclose(smoothed[seen], expected[seen], atol=1e-12)
    assert np.array_equal(np.isnan(smoothed), ~seen)
    constant = np.where(seen, 3.0, np.nan)
    assert np.allclose(gaussian_smooth(constant, sd)[seen], 3, atol=1e-12)


def test_a_shorter_trial_is_smoothed_as_if_alone():
    counts = np.random.default_rng(0).poisson(1.0, (1, 25, 2)).astype(float)
    padded = np.full((1, 40, 2), np.nan)
    padded[:, :25] = counts
    assert np.allclose(gaussian_smooth(padded, 3.0)[:, :25], gaussian_smooth(counts, 3.0), atol=1e-12)


def test_kind_and_copy():
    counts = np.ones((1, 4, 2), np.float32)
    for sd in (0, 2):
        smoothed = gaussian_smooth(counts, sd)
        assert smoothed.dtype == np.float32 and not np.shares_memory(smoothed, counts)
        assert np.allclose(smoothed, 1)
    assert gaussian_smooth(np.ones((1, 4, 2), np.uint8), 1).dtype.kind == "f"


@pytest.mark.parametrize(
    "counts, sd, words",
    [(np.ones((4, 2)), 1, "3 axes"), (np.ones((1, 4, 2)), -1, "not negative"), (np.ones((1, 4, 2)), np.nan, "finite")],
)
def test_bad_arguments(counts, sd, words):
    with pytest.raises(ValueError, match=words):
        gaussian_smooth(counts, sd)
