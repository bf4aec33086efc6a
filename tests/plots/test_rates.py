"""Rasters and rates are drawn in Hz, on scales that can be compared."""

import numpy as np
import pytest

from indl import plots

RNG = np.random.default_rng(0)
RATES = RNG.gamma(2.0, 0.2, (5, 20, 4))
COUNTS = RNG.poisson(RATES).astype(float)


def test_the_raster_shows_spikes_and_rates_in_hz_on_one_scale():
    figure = plots.raster_with_rates(COUNTS, RATES, trial=2, bin_width_s=0.02, truth=2 * RATES)
    spikes, rates, truth = (axis.images[0] for axis in figure.axes[:3])
    assert np.array_equal(spikes.get_array(), COUNTS[2].T)
    assert np.allclose(rates.get_array(), RATES[2].T / 0.02)
    assert np.allclose(truth.get_array(), RATES[2].T / 0.01)
    assert rates.get_clim() == truth.get_clim()
    assert figure.axes[0].get_xlim() == pytest.approx((0, 0.4))
    assert figure.axes[0].get_shared_y_axes().joined(*figure.axes[:2])
    assert {axis.get_ylabel() for axis in figure.axes} >= {"channel", "rate (Hz)", "spikes per bin"}


def test_missing_bins_of_the_raster_look_like_no_count():
    counts = COUNTS.copy()
    counts[0, 3, 1] = np.nan
    image = plots.raster_with_rates(counts, RATES, bin_width_s=0.02).axes[0].images[0]
    assert np.argwhere(image.get_array().mask).tolist() == [[1, 3]]
    blue = image.get_cmap().get_bad()
    assert blue[0] != blue[2]


def test_density_counts_every_bin_with_both_rates():
    truth = RATES * np.exp(0.1 * RNG.normal(size=RATES.shape))
    truth[2, 0] = np.nan
    figure = plots.rates_against_truth(RATES, truth, 0.02, trial=1)
    density = next(axis for axis in figure.axes if axis.collections and axis.get_xlabel() == "true rate (Hz)")
    assert density.collections[0].get_array().sum() == RATES.size - 4


def test_traces_are_of_the_channels_that_change():
    truth = RATES * np.array([1.0, 0.001, 1.0, 1.0])
    truth = np.concatenate([truth, 0.001 * truth[..., :2]], axis=2)
    rates = 2 * truth
    figure = plots.rates_against_truth(rates, truth, 0.02, trial=1)
    shown = [int(axis.get_title(loc="left").split()[1]) for axis in figure.axes[:4]]
    assert set(shown) > {0, 2, 3} and shown == sorted(shown)
    for axis, channel in zip(figure.axes[:4], shown, strict=True):
        assert np.allclose(axis.lines[0].get_ydata(), truth[1, :, channel] / 0.02)
        assert np.allclose(axis.lines[1].get_ydata(), rates[1, :, channel] / 0.02)
        assert np.allclose(axis.lines[0].get_xdata(), 0.02 * (np.arange(20) + 0.5))
