"""Trajectories keep the geometry of the factors; autocorrelations are those of the samples."""

import numpy as np
import pytest

from indl import plots
from indl.metrics import mean_autocorrelation

RNG = np.random.default_rng(0)


def test_factors_are_averaged_by_condition():
    factors = RNG.normal(size=(6, 10, 2))
    factors[2, 7:] = np.nan
    label = np.array([0, 1, 0, 1, 0, 1])
    lines = plots.factors_3d(factors, label).axes[0].lines
    assert np.allclose(lines[0].get_xydata(), np.nanmean(factors[::2], axis=0))
    assert np.allclose(lines[2].get_xydata(), factors[1::2].mean(0))
    assert np.allclose(lines[1].get_xydata(), factors[::2, :1].mean(0))


def test_more_than_three_factors_keep_their_geometry():
    latents = RNG.normal(size=(3, 10, 3))
    mixing, _ = np.linalg.qr(RNG.normal(size=(6, 3)))
    axis = plots.factors_3d(latents @ mixing.T).axes[0]
    shown = np.stack([np.array(line.get_data_3d()).T for line in axis.lines[::2]])
    distance = np.linalg.norm(shown[:, :1] - shown, axis=-1)
    assert np.allclose(distance, np.linalg.norm(latents[:, :1] - latents, axis=-1))
    assert axis.get_zlabel() == "factor PC 3"


def test_missing_bins_do_not_turn_the_principal_components():
    factors = RNG.normal(size=(3, 10, 5)) * [5, 4, 3, 0, 0]
    factors[0, 2] = np.nan
    axis = plots.factors_3d(factors).axes[0]
    shown = np.stack([np.array(line.get_data_3d()).T for line in axis.lines[::2]])
    assert np.isnan(shown[0, 2]).all()
    distance = np.linalg.norm(shown[1] - shown[2], axis=-1)
    assert np.allclose(distance, np.linalg.norm(factors[1] - factors[2], axis=-1))


def test_only_so_many_trajectories_are_drawn_and_that_is_said():
    figure = plots.factors_3d(RNG.normal(size=(40, 5, 3)), max_trajectories=7)
    assert len(figure.axes[0].lines) == 14
    assert "7 of 40" in figure.axes[0].get_title()


def test_conditions_have_their_names():
    figure = plots.factors_3d(RNG.normal(size=(4, 5, 2)), ["left", "right", "left", "up"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left", "right", "up"]


def lines_by_name(axis):
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


def test_autocorrelations_of_samples_and_in_closed_form():
    posterior, prior = RNG.normal(size=(8, 40, 3)).cumsum(axis=1), RNG.normal(size=(5, 30, 3))
    tau = np.array([0.1, 0.2, 0.4])
    figure = plots.autocorrelation(posterior, prior, 0.05, tau_s=tau)
    for dim, axis in enumerate(figure.axes):
        lines = lines_by_name(axis)
        assert np.allclose(lines["posterior"].get_ydata(), mean_autocorrelation(posterior, 20)[:, dim])
        assert np.allclose(lines["prior"].get_ydata(), mean_autocorrelation(prior, 20)[:, dim])
        assert np.allclose(lines["posterior"].get_xdata(), 0.05 * np.arange(21))
        lag, value = lines["AR(1) in closed form"].get_data()
        assert np.allclose(value, np.exp(-lag / tau[dim])) and lag[-1] == pytest.approx(1.0)
        assert axis.get_title() == f"dimension {dim}"


def test_autocorrelation_up_to_a_lag_and_of_short_priors():
    figure = plots.autocorrelation(RNG.normal(size=(8, 40, 1)), RNG.normal(size=(5, 4, 1)), 0.05, max_lag_s=0.5)
    lines = lines_by_name(figure.axes[0])
    assert len(lines["posterior"].get_xdata()) == 11
    assert len(lines["prior"].get_xdata()) == 4


def test_autocorrelation_without_prior():
    figure = plots.autocorrelation(RNG.normal(size=(8, 40, 14)), None, 0.05)
    assert set(lines_by_name(figure.axes[0])) == {"posterior"}
    assert figure.get_suptitle() == "dimensions: 12 of 14"
