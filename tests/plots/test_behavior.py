"""Decoded behaviour is drawn with the bins it belongs to, and scored on the bins that both have."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from indl import plots

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(8, 20, 2)).cumsum(axis=1)
LABEL = np.array([3, 2, 1, 0, 3, 2, 1, 0])
WIDTH = 0.05


def traces(figure, n_trials=4):
    """Trial and the lines (true, decoded) of each panel of the first dimension."""
    axes = figure.axes[:n_trials]
    trials = [int(axis.get_title().split()[1]) for axis in axes]
    return {trial: [line.get_ydata() for line in axis.lines] for trial, axis in zip(trials, axes, strict=True)}


def test_traces_are_of_trials_of_different_conditions():
    figure = plots.decoding(TRUE, TRUE + 1, WIDTH, LABEL)
    shown = traces(figure)
    assert sorted(LABEL[list(shown)]) == [0, 1, 2, 3]
    for trial, (true, decoded) in shown.items():
        assert np.allclose(true, TRUE[trial, :, 0]) and np.allclose(decoded, TRUE[trial, :, 0] + 1)
    assert figure.axes[1].get_title().splitlines()[1] == f"condition {LABEL[list(shown)[1]]}"
    assert np.allclose(figure.axes[0].lines[0].get_xdata(), WIDTH * (np.arange(20) + 0.5))


@pytest.mark.parametrize("lag", [3, -3, 0])
def test_a_lag_moves_what_was_decoded(lag):
    """Decoded at bin t is behaviour at bin t + lag: a perfect decoder is perfect in the figure."""
    predicted = np.full_like(TRUE, 99.0)
    for t in range(20):
        if 0 <= t + lag < 20:
            predicted[:, t] = TRUE[:, t + lag]
    figure = plots.decoding(TRUE, predicted, WIDTH, lag_bins=lag)
    true, decoded = next(iter(traces(figure).values()))
    there = np.isfinite(decoded)
    assert there.sum() == 20 - abs(lag)
    assert np.allclose(true[there], decoded[there])
    assert "R² 1.00" in figure.axes[0].get_ylabel()


def test_r2_is_over_bins_that_both_have():
    true, predicted = TRUE.copy(), TRUE + RNG.normal(size=TRUE.shape)
    true[2, 5:] = np.nan
    predicted[3, :4, 0] = np.nan
    figure = plots.decoding(true, predicted, WIDTH, names=["x (cm)", "y (cm)"])
    for dim, axis in enumerate((figure.axes[0], figure.axes[4])):
        both = np.isfinite(true[..., dim]) & np.isfinite(predicted[..., dim])
        r2 = r2_score(true[..., dim][both], predicted[..., dim][both])
        assert axis.get_ylabel() == f"{'xy'[dim]} (cm)\nR² {r2:.2f}"


def test_r2_may_be_given():
    figure = plots.decoding(TRUE[..., :1], TRUE[..., :1], WIDTH, r2=[-0.251])
    assert figure.axes[0].get_ylabel() == "dimension 0\nR² −0.25"


def test_two_dimensions_have_mean_trajectories():
    predicted = TRUE + 1.0
    predicted[0, :5] = np.nan
    plane = plots.decoding(TRUE, predicted, WIDTH, LABEL).axes[-1]
    assert plane.get_title() == "condition means (4); dots: first bin"
    true, decoded = (line for line in plane.lines[12:16:2])
    both = np.where(np.isfinite(predicted), TRUE, np.nan)[[0, 4]]
    assert np.allclose(true.get_xydata(), np.nanmean(both, axis=0))
    assert np.allclose(decoded.get_xydata(), np.nanmean(both, axis=0) + 1.0)
    assert true.get_color() is not None and np.array_equal(true.get_color(), decoded.get_color())


def test_other_numbers_of_dimensions_have_none():
    three = np.concatenate([TRUE, TRUE[..., :1]], axis=2)
    assert len(plots.decoding(three, three, WIDTH).axes) == 12
    figure = plots.decoding(np.repeat(TRUE, 7, axis=2), np.repeat(TRUE, 7, axis=2), WIDTH, n_trials=2)
    assert len(figure.axes) == 12
    assert figure.get_suptitle() == "dimensions: 6 of 14"
