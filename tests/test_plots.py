"""Figures show the numbers they are given, also for one trial, one channel, one latent."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from indl import plots

RNG = np.random.default_rng(0)
RATES = RNG.gamma(2.0, 0.2, (5, 20, 4))
COUNTS = RNG.poisson(RATES)


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_visible() and axis.get_title()]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


def test_training_curves_show_each_term_beside_its_validation():
    history = {
        "loss": [9.0, 5.0, 4.0],
        "val_loss": [9.5, 6.0, 5.0],
        "kl_z": [100.0, 10.0, 1.0],
        "beta_f": [0.0, 0.5, 1.0],
    }
    figure = plots.training_curves(history)
    assert titles(figure) == ["loss", "KL of z (dynamic latent)", "weight of the KL of f"]
    loss, kl, beta = figure.axes[:3]
    assert [line.get_ydata().tolist() for line in loss.lines] == [history["loss"], history["val_loss"]]
    assert loss.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert (loss.get_yscale(), kl.get_yscale(), beta.get_yscale()) == ("linear", "log", "linear")


def test_training_curves_take_what_fit_returns():
    class History:
        history = {"nll": [2.0, 1.0], "learning_rate": [0.1, 0.1]}

    assert titles(plots.training_curves(History())) == ["reconstruction"]
    with pytest.raises(ValueError, match="Got \\['lr'\\]"):
        plots.training_curves({"lr": [1.0]})


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


def test_rates_against_truth_counts_every_bin():
    truth = RATES * np.exp(RNG.normal(size=RATES.shape) * 0.1)
    figure = plots.rates_against_truth(RATES, truth, 0.02, trial=1)
    density = next(axis for axis in figure.axes if axis.collections and axis.get_xlabel() == "true rate (Hz)")
    assert density.collections[0].get_array().sum() == RATES.size
    trace = figure.axes[0]
    shown = int(trace.get_title(loc="left").split()[1])
    assert np.allclose(trace.lines[0].get_ydata(), truth[1, :, shown] / 0.02)
    assert np.allclose(trace.lines[1].get_ydata(), RATES[1, :, shown] / 0.02)


def test_factors_are_averaged_by_condition():
    factors = RNG.normal(size=(6, 10, 2))
    label = np.array([0, 1, 0, 1, 0, 1])
    lines = plots.factors_3d(factors, label).axes[0].lines
    assert np.allclose(lines[0].get_xydata(), factors[::2].mean(0))
    assert np.allclose(lines[2].get_xydata(), factors[1::2].mean(0))


def test_more_than_three_factors_keep_their_geometry():
    latents = RNG.normal(size=(3, 10, 3))
    mixing, _ = np.linalg.qr(RNG.normal(size=(6, 3)))
    axis = plots.factors_3d(latents @ mixing.T).axes[0]
    shown = np.stack([np.array(line.get_data_3d()).T for line in axis.lines[::2]])
    distance = np.linalg.norm(shown[:, :1] - shown, axis=-1)
    assert np.allclose(distance, np.linalg.norm(latents[:, :1] - latents, axis=-1))
    assert axis.get_zlabel() == "factor PC 3"


def test_only_so_many_trajectories_are_drawn_and_that_is_said():
    figure = plots.factors_3d(RNG.normal(size=(40, 5, 3)), max_trajectories=7)
    assert len(figure.axes[0].lines) == 14
    assert "7 of 40" in titles(figure)[0]


SMALL = {
    "one epoch": lambda path: plots.training_curves({"loss": [3.0]}, path),
    "loss with NaN": lambda path: plots.training_curves({"loss": [3.0, np.nan], "val_loss": []}, path),
    "one trial": lambda path: plots.raster_with_rates(COUNTS[:1], RATES[:1], bin_width_s=0.02, path=path),
    "one channel": lambda path: plots.raster_with_rates(
        COUNTS[..., :1], RATES[..., :1], bin_width_s=0.02, truth=RATES[..., :1], path=path
    ),
    "one bin": lambda path: plots.raster_with_rates(COUNTS[:, :1], RATES[:, :1], bin_width_s=0.02, path=path),
    "no spike": lambda path: plots.raster_with_rates(0 * COUNTS, 0 * RATES, bin_width_s=0.02, path=path),
    "one rate": lambda path: plots.rates_against_truth(RATES[:1, :1, :1], RATES[:1, :1, :1], 0.02, path),
    "zero rates": lambda path: plots.rates_against_truth(0 * RATES, 0 * RATES, 0.02, path),
    "one factor": lambda path: plots.factors_3d(RATES[..., :1], np.arange(5) % 2, path),
    "two factors": lambda path: plots.factors_3d(RATES[..., :2], None, path),
    "one trial of factors": lambda path: plots.factors_3d(RATES[:1], [3], path),
    "one bin of factors": lambda path: plots.factors_3d(RATES[:1, :1], None, path),
    "conditions with names": lambda path: plots.factors_3d(RATES[..., :3], list("abcab"), path),
}


@pytest.mark.parametrize("case", SMALL)
@pytest.mark.filterwarnings("error")
def test_small_data_are_drawn_and_written(case, tmp_path):
    figure = SMALL[case](tmp_path / "figure.png")
    assert isinstance(figure, Figure)
    assert is_png(tmp_path / "figure.png")


def test_no_global_state():
    if "matplotlib.pyplot" in sys.modules:
        open_before = sys.modules["matplotlib.pyplot"].get_fignums()
        plots.training_curves({"loss": [1.0]})
        assert sys.modules["matplotlib.pyplot"].get_fignums() == open_before
    assert plots.training_curves({"loss": [1.0]}).canvas.manager is None


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plots.raster_with_rates(COUNTS, RATES[:, :3], bin_width_s=0.02), "one shape"),
        (lambda: plots.raster_with_rates(COUNTS[0], RATES[0], bin_width_s=0.02), r"array\[None\]"),
        (lambda: plots.rates_against_truth(RATES, RATES, 0.02, trial=5), "trial 5 of 5"),
        (lambda: plots.factors_3d(RATES, [0, 1]), "5 trials"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
