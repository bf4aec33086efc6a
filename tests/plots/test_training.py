"""Figures of a training run show the numbers of its history."""

import numpy as np
import pytest

from indl import plots

GREY = (0xBD / 255,) * 3 + (1.0,)


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_visible() and axis.get_title()]


def test_each_term_beside_its_validation():
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
    assert kl.get_ylabel() == "nats per trial"


def test_terms_of_rows_are_of_bins():
    figure = plots.training_curves({"kl_z": [2.0, 1.0]}, per="bin")
    assert titles(figure) == ["KL of z"] and figure.axes[0].get_ylabel() == "nats per bin"


def test_what_fit_returns():
    class History:
        history = {"nll": [2.0, 1.0], "val_nll": [], "learning_rate": [0.1, 0.1], "names": ["a", "b"]}

    assert titles(plots.training_curves(History())) == ["reconstruction"]


def test_kl_is_sorted_by_the_last_epoch():
    kl = np.array([[9.0, 1.0, 2.0, 0.5], [3.0, 0.05, 6.0, 1.0]])
    figure = plots.kl_per_dimension(kl, ["a", "b", "c", "d"])
    image, bars = figure.axes[:2]
    assert np.allclose(image.images[0].get_array(), kl.T[[2, 0, 3, 1]])
    assert [text.get_text() for text in image.get_yticklabels()] == ["c", "a", "d", "b"]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(100 * np.array([6, 3, 1, 0.05]) / 10.05)
    assert [bar.get_facecolor() == GREY for bar in bars.patches] == [False, False, False, True]
    assert titles(figure) == ["3 of 4 dimensions ≥ 0.1 nats", "last epoch, 10.1 nats"]
    assert image.get_ylim() == bars.get_ylim() == (3.5, -0.5)


def test_kl_of_both_latents():
    kl = {"f": np.array([[0.2, 0.3]]), "z": np.array([[5.0], [4.0]])}
    figure = plots.kl_per_dimension(kl, {"z": ["first"]}, threshold=0.25)
    assert titles(figure)[::2] == [
        "f (static latent): 1 of 2 dimensions ≥ 0.25 nats",
        "z (dynamic latent): 1 of 1 dimension ≥ 0.25 nats",
    ]
    images = [axis for axis in figure.axes if axis.images and axis.get_xlabel() == "epoch"]
    assert [[text.get_text() for text in axis.get_yticklabels()] for axis in images] == [["1", "0"], ["first"]]


def test_kl_that_is_not_finite_or_negative():
    kl = np.array([[1.0, 1.0, 1.0], [np.inf, 3.0, -0.5]])
    figure = plots.kl_per_dimension(kl)
    assert kl[1, 0] == np.inf
    image, bars = figure.axes[:2]
    assert [text.get_text() for text in image.get_yticklabels()] == ["1", "2", "0"]
    assert image.images[0].get_array().mask.tolist() == [[False, False], [False, False], [False, True]]
    assert np.nan_to_num([bar.get_width() for bar in bars.patches]).tolist() == [100.0, 0.0, 0.0]


def test_rows_of_the_kl_are_labelled_with_their_epochs():
    figure = plots.kl_per_dimension(np.ones((3, 2)), epochs=[4, 9, 11])
    image = figure.axes[0] if figure.axes else figure.subfigs[0].axes[0]
    assert [text.get_text() for text in image.get_xticklabels()] == ["5", "10", "12"]
    with pytest.raises(ValueError, match=r"shapes \[\(3, 2\)\] for 2 epochs"):
        plots.kl_per_dimension(np.ones((3, 2)), epochs=[4, 9])
