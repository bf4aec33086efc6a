"""The page for a data check shows rates, lengths, drift and correlations, and names what is suspicious."""

import numpy as np
import pytest

from indl import plots

RNG = np.random.default_rng(0)
WIDTH = 0.02


def make(n_trials=60, n_times=25, n_channels=6):
    return RNG.poisson(np.linspace(0.1, 0.6, n_channels), (n_trials, n_times, n_channels)).astype(float)


def panel(figure, y, x):
    return next(axis for axis in figure.axes if axis.get_ylabel() == y and axis.get_xlabel() == x)


def text(figure):
    return figure.subfigs[1].texts[0].get_text()


def test_rates_are_sorted_and_silent_channels_marked():
    counts = make()
    counts[..., [1, 4]] = 0
    figure = plots.data_overview(counts, WIDTH, channel_ids=list("abcdef"))
    axis = panel(figure, "rate (Hz)", "rank of the channel")
    expected = np.sort(counts.mean(axis=(0, 1)) / WIDTH)[::-1]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx(expected)
    assert axis.lines[0].get_xdata().tolist() == [4, 5]
    assert axis.get_title() == "channels (2 silent)"
    assert "Silent channels (2): b, e\n" in text(figure)
    assert "Duplicated channels (0): none" in text(figure)


def test_duplicated_channels_are_marked_and_named():
    counts = make()
    counts[..., 5] = counts[..., 2]
    figure = plots.data_overview(counts, WIDTH, channel_ids=[10, 11, 12, 13, 14, 15])
    axis = panel(figure, "channel index", "channel index")
    assert sorted(axis.lines[0].get_xydata().tolist()) == [[2.0, 5.0], [5.0, 2.0]]
    assert "Duplicated channels (1): 12 = 15" in text(figure)


def test_correlations_are_over_the_bins_that_both_channels_have():
    counts = make() + RNG.poisson(0.3, (60, 25, 1))
    counts[RNG.random(counts.shape) < 0.2] = np.nan
    counts[..., 3] = 7.0
    image = panel(plots.data_overview(counts, WIDTH), "channel index", "channel index").images[0].get_array()
    flat = counts.reshape(-1, 6)
    for i in range(6):
        for j in range(6):
            both = np.isfinite(flat[:, i]) & np.isfinite(flat[:, j])
            if i == j or 3 in (i, j):
                assert image.mask[i, j]
            else:
                assert image[i, j] == pytest.approx(np.corrcoef(flat[both, i], flat[both, j])[0, 1])


@pytest.mark.parametrize("given", [True, False])
def test_padding_is_no_data(given):
    """Lengths that are given, and those found from NaN, lead to the same page."""
    counts, lengths = make(), RNG.integers(5, 26, 60)
    padded = np.arange(25) >= lengths[:, None]
    counts[padded] = 0.0 if given else np.nan
    figure = plots.data_overview(counts, WIDTH, lengths if given else None)
    histogram = panel(figure, "trials", "trial length (s)")
    assert sum(bar.get_height() for bar in histogram.patches) == 60
    assert histogram.get_title().endswith(f"median {np.median(lengths) * WIDTH:.3g} s")
    drift = panel(figure, "rate per channel (Hz)", "trial").lines[0].get_ydata()
    expected = [counts[i, :n].mean() / WIDTH for i, n in enumerate(lengths)]
    assert np.allclose(drift, expected)
    assert f"{100 * padded.mean():.2g} % of the bins missing" in figure.subfigs[0].get_suptitle()


def test_running_mean_of_the_drift():
    counts = make(n_trials=100)
    counts[50] = np.nan
    lines = panel(plots.data_overview(counts, WIDTH), "rate per channel (Hz)", "trial").lines
    rates = counts.mean(axis=(1, 2)) / WIDTH
    expected = [np.nanmean(rates[max(i - 5, 0) : i + 6]) for i in range(100)]
    assert np.allclose(lines[1].get_ydata(), expected)


def test_trials_of_each_condition():
    label = np.array(["go", "stop", "go"] * 20)
    axis = panel(plots.data_overview(make(), WIDTH, label=label), "trials", "condition")
    assert [bar.get_height() for bar in axis.patches] == [40, 20]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["go", "stop"]


def test_findings_are_listed_and_long_lists_cut():
    findings = [f"warning: number {i}" for i in range(100)]
    shown = text(plots.data_overview(make(), WIDTH, findings=findings)).splitlines()
    assert shown[2:4] == findings[:2] and len(shown) == 24
    assert shown[-1] == f"... and {100 - 21} more lines"
    assert "one line" in text(plots.data_overview(make(), WIDTH, findings="one line"))
    many = text(plots.data_overview(np.zeros((2, 3, 50)), WIDTH))
    assert "Silent channels (50): 0, 1," in many and "(26 more)" in many
