"""What holds for every figure: it copes with the smallest and the largest data, cuts no text, and leaves no trace."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from indl import plots

WIDTH = 0.02


def data(trials=6, time=20, channels=5, dims=2, conditions=3, epochs=4):
    """Arrays of every kind that the figures take."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 0.2, (trials, time, channels))
    return SimpleNamespace(
        rates=rates,
        counts=rng.poisson(rates).astype(float),
        truth=rates * np.exp(0.1 * rng.normal(size=rates.shape)),
        z=rng.normal(size=(trials, time, dims)),
        prior=rng.normal(size=(3, time, dims)),
        behavior=rng.normal(size=(trials, time, dims)),
        predicted=rng.normal(size=(trials, time, dims)),
        label=np.arange(trials) % conditions,
        kl={"f": rng.gamma(1.0, 1.0, (epochs, dims)), "z": rng.gamma(1.0, 1.0, (epochs, dims))},
        history={name: rng.gamma(1.0, 1.0, epochs) for name in ("loss", "val_loss", "kl_f", "beta_f")},
        names=[f"dimension {i}" for i in range(dims)],
        ids=[f"channel {i}" for i in range(channels)],
        findings=["warning: a finding"],
    )


FIGURES = {
    "training_curves": lambda d: plots.training_curves(d.history),
    "kl_per_dimension": lambda d: plots.kl_per_dimension(d.kl, {"f": d.names, "z": d.names}),
    "raster": lambda d: plots.raster_with_rates(d.counts, d.rates, bin_width_s=WIDTH, truth=d.truth),
    "rates_against_truth": lambda d: plots.rates_against_truth(d.rates, d.truth, WIDTH),
    "factors_of_conditions": lambda d: plots.factors_3d(d.rates, d.label),
    "factors_of_trials": lambda d: plots.factors_3d(d.z),
    "autocorrelation": lambda d: plots.autocorrelation(d.z, d.prior, WIDTH, tau_s=0.1, names=d.names),
    "psths": lambda d: plots.psths(d.rates, d.counts, d.label, WIDTH, names=d.ids),
    "decoding": lambda d: plots.decoding(d.behavior, d.predicted, WIDTH, d.label, names=d.names),
    "latent_traversal": lambda d: plots.latent_traversal(
        np.stack([d.rates[:1], 1.2 * d.rates[:1]], 1), [-1.0, 1.0], WIDTH, names=d.ids
    ),
    "latent_swaps": lambda d: plots.latent_swaps(np.stack([d.rates[:1]] * 1), WIDTH, f_names=d.label[:1]),
    "calibration": lambda d: plots.calibration(d.rates, d.counts),
    "data_overview": lambda d: plots.data_overview(d.counts, WIDTH, None, d.label, d.ids, d.findings),
}


def filled(value, **sizes):
    """Data that are the same everywhere."""
    d = data(**sizes)
    for name in ("rates", "counts", "truth", "z", "prior", "behavior", "predicted"):
        setattr(d, name, np.full_like(getattr(d, name), value))
    d.kl = {name: np.full_like(values, value) for name, values in d.kl.items()}
    d.history = {name: np.full_like(values, value) for name, values in d.history.items()}
    return d


def with_gaps():
    """Missing single values, an empty channel, an empty trial, padded ends."""
    d = data()
    for values in (d.counts, d.rates, d.truth, d.z, d.behavior, d.predicted):
        values[0, 3] = np.nan
        values[1, :, 0] = np.nan
        values[2] = np.nan
        values[3:, 15:] = np.nan
    d.counts[:, :, 1] = np.nan
    d.rates[0, 0, 2] = np.inf
    d.kl["f"][1] = np.nan
    d.kl["z"][-1, 0] = np.nan
    d.history["loss"][2] = np.nan
    return d


def with_long_names():
    d = data(conditions=6)
    d.label = np.array([f"a condition of the experiment with a long name, number {i}" for i in range(6)])
    d.names = [f"a dimension of behaviour or of the latent space, number {i}" for i in range(2)]
    d.ids = [f"an electrode of the second array in the left hemisphere, number {i}" for i in range(5)]
    d.counts[..., 2:4] = 0
    d.counts[..., 1] = d.counts[..., 0]
    d.findings = ["warning: a finding that is explained in very many words " * 8] * 30
    return d


CASES = {
    "one trial": lambda: data(trials=1, conditions=1),
    "one channel, dimension, condition": lambda: data(channels=1, dims=1, conditions=1),
    "one bin": lambda: data(time=1),
    "one of all": lambda: data(trials=1, time=1, channels=1, dims=1, conditions=1, epochs=1),
    "nothing but zeros": lambda: filled(0.0),
    "constant": lambda: filled(2.0),
    "gaps": with_gaps,
    "long names": with_long_names,
    "many": lambda: data(trials=130, time=5, channels=220, dims=40, conditions=110, epochs=200),
}


def overhang(figure):
    """How far what is drawn reaches beyond the figure, in inches."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)


# The layout takes most of the time; it depends on sizes and names, not on values.
LAID_OUT = ("one of all", "long names", "many")


#: Sizes of one axis alone are between those of all at once, and a constant is nearly nothing but zeros.
BETWEEN = ("one trial", "one channel, dimension, condition", "one bin", "constant")
#: What takes longest.
LARGE = ("many",)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in BETWEEN + LARGE else []) for case in CASES]
)
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.filterwarnings("error")
def test_every_figure_copes(name, case):
    figure = FIGURES[name](CASES[case]())
    assert isinstance(figure, Figure)
    if case in LAID_OUT:
        assert overhang(figure) < 0.02
    else:
        figure.set_layout_engine("none")
        figure.draw_without_rendering()


@pytest.mark.parametrize("name", FIGURES)
def test_arrays_are_left_as_they_were(name):
    given, kept = with_gaps(), with_gaps()
    FIGURES[name](given)
    for key, value in vars(kept).items():
        assert str(getattr(given, key)) == str(value)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert np.array_equal(getattr(given, key), value, equal_nan=True)


def test_path_writes_the_figure(tmp_path):
    d = data()
    plots.calibration(d.rates, d.counts, tmp_path / "figure.png")
    plots.training_curves(d.history, tmp_path / "figure.pdf")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_global_changes():
    before = dict(matplotlib.rcParams)
    for draw in FIGURES.values():
        assert draw(data()).canvas.manager is None
    assert dict(matplotlib.rcParams) == before


def test_sizes_do_not_follow_the_settings_of_the_user():
    """Ticks are made when a figure is drawn, under whatever settings are then in force."""
    d = data()
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30}):
        figure = plots.calibration(d.rates, d.counts)
        figure.draw_without_rendering()
    assert {text.get_fontsize() for text in figure.axes[0].findobj(Text) if text.get_text()} == {8, 9}


W = WIDTH
D = data()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plots.training_curves({"lr": [1.0]}), r"Given: \['lr'\]"),
        (lambda: plots.kl_per_dimension(np.ones(3)), r"\(epochs, dimensions\).*Given: shapes \[\(3,\)\].*Stack"),
        (lambda: plots.kl_per_dimension({}), r"Given: shapes \[\]"),
        (lambda: plots.kl_per_dimension(D.kl, ["a"]), r"names of shape \(1,\)"),
        (lambda: plots.raster_with_rates(D.counts, D.rates[:, :3], bin_width_s=W), "one shape"),
        (lambda: plots.raster_with_rates(D.counts[0], D.rates[0], bin_width_s=W), r"array\[None\]"),
        (lambda: plots.raster_with_rates(D.counts, D.rates, bin_width_s=20), "If that is milliseconds, give 0.02"),
        (lambda: plots.raster_with_rates(D.counts * np.nan, D.rates, bin_width_s=W), "counts has nothing to draw"),
        (lambda: plots.rates_against_truth(D.rates, D.truth, W, trial=6), "trial 6 of 6"),
        (lambda: plots.factors_3d(D.rates, [0, 1]), r"Given: shape \(2,\) for 6 trials"),
        (
            lambda: plots.factors_3d(np.where(np.arange(5) == 2, np.nan, D.rates)),
            r"Given: none in an array of shape \(6, 20, 5\)",
        ),
        (lambda: plots.autocorrelation(D.z, D.prior[..., :1], W), "Given: 2 and 1"),
        (lambda: plots.autocorrelation(D.z, None, W, tau_s=-1), "tau_s must be positive.*Given: -1.0 for 2"),
        (lambda: plots.autocorrelation(D.z, None, W, names=["a"]), "one name for each of 2"),
        (lambda: plots.psths(D.rates, D.counts, D.label, W, [5]), r"Given: \[5\] for 5 channels.*0 to 4"),
        (lambda: plots.psths(D.rates, D.counts, D.label, W, []), "indices of channels"),
        (lambda: plots.psths(D.rates, D.counts, D.label, W, sd_s=-1), "smoothing width"),
        (lambda: plots.decoding(D.behavior, D.predicted[:, 1:], W), "one shape"),
        (lambda: plots.decoding(D.behavior, D.predicted, W, lag_bins=20), "Given: 20 bins and trials of 20"),
        (lambda: plots.decoding(D.behavior, D.predicted, W, r2=[0.5]), r"Given: shape \(1,\) for 2"),
        (lambda: plots.calibration(np.log(D.rates), D.counts), "smallest rate -.*not log rates"),
        (lambda: plots.data_overview(D.counts, W, lengths=[0.4] * 6), "Give bins, not seconds"),
        (lambda: plots.data_overview(D.counts, W, lengths=[21] * 6), "from 0 to 20"),
        (lambda: plots.data_overview(D.counts, W, channel_ids=[1]), "one name for each of 5"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
