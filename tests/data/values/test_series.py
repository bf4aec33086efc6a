"""Signals at other times: linear between samples, nothing where there are none, and angles round the circle."""

import numpy as np
import pytest

from indl.data import Series
from indl.data.values.series import as_series


def test_a_line_stays_a_line_and_ends_where_its_samples_end():
    times = np.sort(np.random.default_rng(0).uniform(1, 2, 200))
    series = Series(times, np.stack([3 * times, -times], axis=1), max_gap_s=np.inf)
    when = np.array([[0.9, times[0], 1.5], [1.7, times[-1], 2.1]])
    found = series.at(when)
    inside = (when >= times[0]) & (when <= times[-1])
    assert np.allclose(found[inside], np.stack([3 * when, -when], axis=2)[inside])
    assert np.isnan(found[~inside]).all()


@pytest.mark.parametrize("longest, gap", [(None, [0, 1, 1, 1, 0]), (0.51, [0, 1, 1, 1, 0]), (0.9, [0, 0, 0, 0, 0])])
def test_long_gaps_are_not_bridged(longest, gap):
    times = np.concatenate([np.arange(0, 1.05, 0.1), np.arange(1.9, 3.0, 0.1)])
    found = Series(times, times, max_gap_s=longest).at([1.0, 1.1, 1.5, 1.89, 1.9])
    assert np.isnan(found[:, 0]).tolist() == [bool(x) for x in gap]


def test_a_gap_as_long_as_allowed_is_bridged_whatever_its_rounding():
    times = np.arange(100) * 0.1
    assert not np.isnan(Series(times, times, max_gap_s=0.1).at(np.linspace(0, 9.9, 77))).any()


def test_nothing_comes_of_nan():
    found = Series(np.arange(5.0), [0, 1, np.nan, 3, 4]).at([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])[:, 0]
    assert np.array_equal(found, [0.5, 1, np.nan, np.nan, np.nan, 3, 3.5], equal_nan=True)


def test_angles_go_the_short_way_round():
    times = np.arange(0, 10, 0.1)
    series = Series(times, np.mod(2 * times, 2 * np.pi), "heading", angle=True)
    when = np.arange(0.05, 9.8, 0.07)
    assert np.allclose(series.at(when), np.stack([np.cos(2 * when), np.sin(2 * when)], axis=1), atol=2e-3)
    assert np.allclose(np.hypot(*series.at(when).T), 1)
    assert series.columns == ["cos_heading", "sin_heading"]


def test_opposite_angles_have_no_middle():
    assert np.isnan(Series([0, 1], [0, np.pi], angle=True).at([0.5])).all()


def test_names():
    values = np.zeros((4, 2))
    assert Series(range(4), values, "hand").columns == ["hand_0", "hand_1"]
    assert Series(range(4), values, ["x", "y"]).columns == ["x", "y"]
    assert Series(range(4), values, ["x", "y"], angle=True).columns == ["cos_x", "cos_y", "sin_x", "sin_y"]
    pairs = as_series({"a": (range(4), range(4)), "b": Series(range(4), values, "own")}, "behavior")
    assert [name for series in pairs for name in series.columns] == ["a", "own_0", "own_1"]


@pytest.mark.parametrize(
    "times, values, message",
    [
        ([0, 2, 1], [0, 0, 0], "finite and ascend. Given: 1 of 3 that do not, the first at index 2"),
        ([0, np.nan, 1], [0, 0, 0], "first at index 1"),
        ([0, 1], [0, np.inf], "1 infinite"),
        ([0, 1, 2], [0, 1], "one time a sample"),
        ([], [], "one time a sample"),
        ([0, 1], np.zeros((2, 2, 2)), "one or two axes"),
        ([0, 1], ["a", "b"], "must be numeric"),
    ],
)
def test_bad_series_are_named(times, values, message):
    with pytest.raises(ValueError, match=f"'value' .*{message}|{message}"):
        Series(times, values)


def test_bad_names_and_kinds_are_named():
    with pytest.raises(ValueError, match="Given: 3 names for 2 dimensions"):
        Series([0, 1], np.zeros((2, 2)), ["x", "y", "z"])
    with pytest.raises(ValueError, match="behavior must be times with values. Given: list"):
        as_series([1, 2], "behavior")
