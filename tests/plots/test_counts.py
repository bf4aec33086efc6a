"""Calibration groups bins by predicted rate and compares counts with it, in mean and spread."""

import numpy as np
import pytest

from indl import plots

RNG = np.random.default_rng(0)


def points(axis):
    """Centres and half lengths of the error bars."""
    container = axis.containers[0]
    segments = np.array(container[2][0].get_segments())
    x, y = container[0].get_data()
    return np.asarray(x), np.asarray(y), (segments[:, 1, 1] - segments[:, 0, 1]) / 2


def test_groups_against_brute_force():
    rates = RNG.gamma(1.0, 1.0, (4, 25, 3))
    counts = RNG.poisson(rates).astype(float)
    counts[0, :5] = np.nan
    figure = plots.calibration(rates, counts, n_bins=5)
    kept = np.isfinite(counts)
    order = np.argsort(rates[kept])
    groups = np.array_split(np.stack([rates[kept][order], counts[kept][order]]), 5, axis=1)
    mean = np.array([r.mean() for r, _ in groups])
    x, y, se = points(figure.axes[0])
    assert np.allclose(x, mean)
    assert np.allclose(y, [c.mean() for _, c in groups])
    assert np.allclose(se, np.sqrt([r.sum() for r, _ in groups]) / [r.size for r, _ in groups])
    x, y, se = points(figure.axes[1])
    assert np.allclose(x, mean)
    assert np.allclose(y, [((c - r) ** 2).sum() / r.sum() for r, c in groups])
    assert np.allclose(se, [np.sqrt((r + 2 * r**2).sum()) / r.sum() for r, _ in groups])


def test_poisson_counts_are_within_their_errors():
    rates = RNG.gamma(2.0, 0.5, (100, 50, 20))
    figure = plots.calibration(rates, RNG.poisson(rates))
    for axis, expected in zip(figure.axes, ("x", 1.0), strict=True):
        x, y, se = points(axis)
        z = (y - (x if expected == "x" else expected)) / se
        assert len(z) == 20 and np.abs(z).max() < 4 and 0.5 < z.std() < 1.6


def test_over_dispersed_counts_show_it():
    rates = np.full((20, 50, 20), 2.0)
    counts = RNG.negative_binomial(2, 0.5, rates.shape)
    figure = plots.calibration(rates, counts)
    assert points(figure.axes[1])[1] == pytest.approx([2.0], abs=0.15)
    assert figure.axes[1].get_title() == f"dispersion, {((counts - 2.0) ** 2).sum() / rates.sum():.3g} overall"


def test_equal_rates_stay_together():
    rates = np.repeat([0.0, 0.5, 1.0], [60, 20, 20]).reshape(1, 10, 10)
    x, _, _ = points(plots.calibration(rates, rates * 2, n_bins=10).axes[0])
    assert x.tolist() == [0.0, 0.5, 1.0]


def test_scales_are_logarithmic_where_they_can_be():
    rates = np.geomspace(0.1, 10, 400).reshape(1, 20, 20)
    assert plots.calibration(rates, rates.round(2)).axes[0].get_xscale() == "log"
    assert plots.calibration(rates, np.zeros_like(rates)).axes[0].get_xscale() == "linear"
