"""Traversals and swaps as figures: what is drawn where."""

import numpy as np
import pytest

from indl import plots

RNG = np.random.default_rng(0)
RATES = RNG.gamma(2.0, 0.2, (2, 3, 10, 6))
WIDTH = 0.05


def test_a_row_is_a_dimension_and_a_line_a_step():
    figure = plots.latent_traversal(RATES, [-1, 0, 1], WIDTH, [4, 1], channels=[5, 2], latent="z")
    axes = np.reshape(figure.axes[:4], (2, 2))
    assert [axis.get_title() for axis in axes[0]] == ["channel 5", "channel 2"]
    assert [row[0].get_ylabel() for row in axes] == ["z 4: rate (Hz)", "z 1: rate (Hz)"]
    assert np.allclose(axes[1, 1].lines[2].get_ydata(), RATES[1, 2, :, 2] / WIDTH)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["-1.0 sd", "+0.0 sd", "+1.0 sd"]


def test_channels_that_move_most_come_first():
    rates = np.ones((1, 3, 10, 6))
    rates[0, :, :, 3] += np.array([-0.5, 0, 0.5])[:, None]
    # Modulated in time, but by no dimension.
    rates[..., 1] += np.linspace(0, 5, 10)
    assert plots.latent_traversal(rates, [-1, 0, 1], WIDTH).axes[0].get_title() == "channel 3"


def test_swaps_stand_in_the_place_of_their_pair():
    pairs = RNG.gamma(2.0, 0.2, (2, 2, 10, 6))
    figure = plots.latent_swaps(pairs, WIDTH, f_names=["left", "right"], z_names=["fast", "slow"])
    order = np.argsort(-pairs.mean((0, 1, 2)))
    axis = figure.axes[2]
    assert axis.get_ylabel() == "f of right" and figure.axes[1].get_title() == "z of slow"
    assert np.allclose(axis.images[0].get_array(), pairs[1, 0][:, order].T / WIDTH)


@pytest.mark.parametrize(
    "draw, words",
    [
        (lambda: plots.latent_traversal(RATES, [0.0], WIDTH), r"\(2, 3, 10, 6\), \(1,\)"),
        (lambda: plots.latent_traversal(RATES, [-1, 0, 1], WIDTH, channels=[6]), r"\[6\] for 6 channels"),
        (lambda: plots.latent_swaps(RATES, WIDTH), r"Given: rates of shape \(2, 3, 10, 6\)"),
    ],
)
def test_what_does_not_fit_is_told(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
