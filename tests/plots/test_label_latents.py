"""True and recovered latents are drawn in one space, each point in the colour of its label."""

import matplotlib
import numpy as np
import pytest

from indl import plots
from indl.metrics import recovery_r2
from tests.messages import faults

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(60, 2))
MIXED = TRUE @ [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]] + [100, -5, 7]
LABEL = np.arange(60) % 3


def points(axis):
    return np.asarray(axis.collections[0].get_offsets())


def colors(axis):
    return axis.collections[0].get_facecolors()


def test_codes_are_drawn_where_the_affine_map_takes_them():
    noisy = MIXED + RNG.normal(size=MIXED.shape)
    figure = plots.plot_recovered_latents(TRUE, {"posterior mean": MIXED, "encoder mean": noisy}, LABEL)
    true, posterior, encoder = figure.axes
    assert np.allclose(points(true), TRUE) and np.allclose(points(posterior), TRUE)
    weights, *_ = np.linalg.lstsq(np.c_[noisy, np.ones(60)], TRUE, rcond=None)
    assert np.allclose(points(encoder), np.c_[noisy, np.ones(60)] @ weights)
    assert true.get_xlim() == encoder.get_xlim() and true.get_ylim() == encoder.get_ylim()
    assert [axis.get_title() for axis in figure.axes] == [
        "true",
        "posterior mean, R² 1.00",
        f"encoder mean, R² {recovery_r2(noisy, TRUE).r2:.2f}",
    ]
    assert (true.get_xlabel(), true.get_ylabel()) == ("latent 0", "latent 1")


def test_what_is_compared_with_may_be_no_truth():
    figure = plots.plot_recovered_latents(TRUE, MIXED, LABEL, truth_name="posterior mean")
    assert figure.axes[0].get_title() == "posterior mean"
    figure = plots.plot_recovered_latents(TRUE[:, :1], MIXED, LABEL, truth_name="posterior mean")
    assert figure.axes[0].get_xlabel() == "posterior mean latent 0"


def test_discrete_labels_have_a_colour_each():
    words = np.array(["left", "right", "up"])[LABEL]
    figure = plots.plot_recovered_latents(TRUE, MIXED, words, label_name="target")
    for axis in figure.axes:
        assert len(np.unique(colors(axis), axis=0)) == 3
        assert len(np.unique(colors(axis)[LABEL == 1], axis=0)) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["left", "right", "up"]
    assert legend.get_title().get_text() == "target"


def test_continuous_labels_have_a_colour_bar():
    angle = np.linspace(-180, 180, 60)[:, None]
    for period in (None, 360):
        figure = plots.plot_recovered_latents(TRUE, MIXED, angle, label_name="angle (deg)", period=period)
        shades, bar = colors(figure.axes[1])[:, :3], figure.axes[-1]
        assert bar.get_ylabel() == "angle (deg)"
        # On a circle the first and the last are one angle.
        assert np.allclose(shades[0], shades[-1], atol=0.02) == (period is not None)
        assert bar.get_ylim() == pytest.approx((0, 360) if period else (-180, 180))
        assert np.abs(np.diff(shades, axis=0)).max() < 0.15


def test_a_single_latent_is_drawn_over_the_true_one():
    figure = plots.plot_recovered_latents(TRUE[:, :1], -3 * TRUE[:, :1], LABEL)
    (axis,) = figure.axes
    assert np.allclose(points(axis), TRUE[:, [0, 0]])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("true latent 0", "recovered latent 0")


def test_two_of_many_latents():
    truth = RNG.normal(size=(60, 5))
    figure = plots.plot_recovered_latents(truth, truth, LABEL, dims=(3, 1), names=list("abcde"))
    assert np.allclose(points(figure.axes[1]), truth[:, [3, 1]])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("d", "b")


def test_gaps_are_left_out_and_only_so_many_rows_drawn():
    truth, codes = TRUE.copy(), MIXED.copy()
    truth[3, 0], codes[7, 2], codes[8] = np.nan, np.inf, np.nan
    kept = np.delete(np.arange(60), [3, 7, 8])
    figure = plots.plot_recovered_latents(truth, codes, LABEL)
    assert all(np.allclose(points(axis), TRUE[kept]) for axis in figure.axes)
    assert np.isnan(truth[3, 0]) and np.isinf(codes[7, 2])
    figure = plots.plot_recovered_latents(truth, codes, LABEL, max_points=20)
    assert len(points(figure.axes[0])) == 20 and figure.get_suptitle() == "rows: 20 of 57"


def test_every_label_is_drawn_where_labels_come_in_turn():
    figure = plots.plot_recovered_latents(TRUE, MIXED, LABEL, max_points=20)
    shown = [int(np.flatnonzero((TRUE == point).all(axis=1))[0]) for point in points(figure.axes[0])]
    assert sorted(shown) == shown and min(np.bincount(LABEL[shown])) >= 6


CASES = {
    "one row": (TRUE[:1], MIXED[:1], LABEL[:1]),
    "one row of one latent": (TRUE[:1, :1], MIXED[:1], LABEL[:1].astype(float)),
    "constant": (np.ones((4, 2)), np.zeros((4, 2)), np.full(4, 0.3)),
    "long names": (TRUE, {f"a set of recovered latents with a long name {i}": MIXED for i in range(4)}, LABEL),
    "many": (RNG.normal(size=(9000, 30)), RNG.normal(size=(9000, 40)), np.arange(9000) % 200),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error")
def test_it_copes(case, tmp_path):
    before = dict(matplotlib.rcParams)
    figure = plots.plot_recovered_latents(*CASES[case], tmp_path / "figure.png", label_name="a label with a long name")
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height) < 0.02
    assert dict(matplotlib.rcParams) == before and figure.canvas.manager is None
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda draw: draw(TRUE, MIXED[:5], LABEL), r"\(60, 2\) and \[\(5, 3\)\]"),
        (lambda draw: draw(TRUE, {}, LABEL), r"and \[\]"),
        (lambda draw: draw(TRUE, MIXED, TRUE), r"shape \(60, 2\) for 60 rows"),
        (lambda draw: draw(TRUE, MIXED * np.nan, LABEL), "nothing to draw"),
        (lambda draw: draw(TRUE, MIXED, LABEL, dims=(0, 2)), r"\(0, 2\) of 2 latents|\[0, 2\] of 2 latents"),
        (lambda draw: draw(TRUE, MIXED, LABEL, names=["a"]), "one name for each of 2"),
        (lambda draw: draw(TRUE, MIXED, LABEL, period=-1), "Use 360 for degrees"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call(plots.plot_recovered_latents)
    assert not faults(str(raised.value))
