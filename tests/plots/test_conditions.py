"""PSTHs are averages over the trials of a condition, in Hz, smoothed where they are of spikes."""

import numpy as np
import pytest

from indl import plots
from indl.data import gaussian_smooth

RNG = np.random.default_rng(0)
LABEL = np.array(["b", "a", "b", "a", "a", "b"])
RATES = RNG.gamma(2.0, 0.5, (6, 15, 6))
COUNTS = RNG.poisson(RATES).astype(float)
COUNTS[LABEL == "a", :8, 2] += 6
WIDTH = 0.05


def drawn(figure, column):
    """Lines of spikes and of the model of a column."""
    n_columns = len(figure.axes) // 2
    return [np.stack([line.get_ydata() for line in figure.axes[i].lines]) for i in (column, n_columns + column)]


def test_averages_by_condition():
    figure = plots.psths(RATES, COUNTS, LABEL, WIDTH, [4], sd_s=0.1)
    spikes, model = drawn(figure, 0)
    for i, name in enumerate("ab"):
        smoothed = gaussian_smooth(COUNTS[LABEL == name], 2.0)[..., 4].mean(axis=0)
        assert np.allclose(spikes[i], smoothed / WIDTH)
        assert np.allclose(model[i], RATES[LABEL == name, :, 4].mean(axis=0) / WIDTH)
    assert np.allclose(figure.axes[0].lines[0].get_xdata(), WIDTH * (np.arange(15) + 0.5))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_missing_bins_are_left_out_of_both():
    counts = COUNTS.copy()
    counts[0, 5] = np.nan
    counts[LABEL == "a", 10:] = np.nan
    spikes, model = drawn(plots.psths(RATES, counts, LABEL, WIDTH, [1], sd_s=0.0), 0)
    others = np.flatnonzero(LABEL == "b")[1:]
    assert spikes[1, 5] == pytest.approx(COUNTS[others, 5, 1].mean() / WIDTH)
    assert model[1, 5] == pytest.approx(RATES[others, 5, 1].mean() / WIDTH)
    assert np.isnan(spikes[0, 10:]).all() and np.isnan(model[0, 10:]).all()
    smoothed, _ = drawn(plots.psths(RATES, counts, LABEL, WIDTH, [1], sd_s=0.05), 0)
    padded = gaussian_smooth(COUNTS[LABEL == "a"][:, :10], 1.0)[..., 1].mean(axis=0)
    assert np.allclose(smoothed[0, :10], padded / WIDTH)


def test_the_most_modulated_channels_come_first():
    figure = plots.psths(RATES, COUNTS, LABEL, WIDTH, names=[f"unit {i}" for i in range(6)])
    titles = [axis.get_title() for axis in figure.axes[:4]]
    assert titles[0] == "unit 2" and len(set(titles)) == 4


def test_channels_fill_rows_of_four():
    figure = plots.psths(RATES, COUNTS, LABEL, WIDTH, [5, 4, 3, 2, 1])
    shown = [axis.get_title() for axis in figure.axes if axis.get_visible() and axis.get_title()]
    assert shown == [f"channel {i}" for i in (5, 4, 3, 2, 1)]
    assert sum(axis.get_visible() for axis in figure.axes) == 10


def test_without_labels_all_trials_are_one():
    spikes, model = drawn(plots.psths(RATES, COUNTS, None, WIDTH, 0, sd_s=0), 0)
    assert np.allclose(spikes, COUNTS[..., 0].mean(axis=0) / WIDTH)
    assert np.allclose(model, RATES[..., 0].mean(axis=0) / WIDTH)


def test_only_so_many_conditions_are_drawn_and_that_is_said():
    figure = plots.psths(RATES, COUNTS, np.arange(6), WIDTH, max_conditions=3)
    assert len(figure.axes[0].lines) == 3
    assert figure.get_suptitle() == "conditions: 3 of 6"
