"""Neural speed against produced intervals, one trial and one condition at a time."""

import numpy as np
import pytest

from indl.metrics import speed_interval_correlation


@pytest.fixture
def session():
    """24 trials of 4 conditions that end at different bins."""
    rng = np.random.default_rng(0)
    condition = np.stack([np.arange(24) % 2, np.arange(24) // 12], axis=1).astype(float)
    lengths = rng.integers(5, 15, 24)
    rates = rng.gamma(2.0, 1.0, (24, 16, 6))
    inside = (np.arange(16) >= 1) & (np.arange(16) < 1 + lengths[:, None])
    return rates, inside, condition, lengths + rng.normal(size=24)


def test_equals_a_loop(session):
    rates, inside, condition, interval = session
    rates = np.where(inside[..., None], rates, 1e6)
    scores = []
    for group in ([0, 0], [0, 1], [1, 0], [1, 1]):
        speeds, intervals = [], []
        for trial in range(24):
            if condition[trial].tolist() == group:
                bins = np.flatnonzero(inside[trial])
                steps = [np.sqrt(((rates[trial, t + 1] - rates[trial, t]) ** 2).sum()) for t in bins[:-1]]
                speeds.append(sum(steps) / len(steps))
                intervals.append(interval[trial])
        x, y = np.subtract(speeds, np.mean(speeds)), np.subtract(intervals, np.mean(intervals))
        scores.append((x @ y) / np.sqrt((x @ x) * (y @ y)))
    assert speed_interval_correlation(rates, inside, condition, interval) == pytest.approx(np.mean(scores))


def test_a_population_that_slows_with_the_interval(session):
    _, _, condition, interval = session
    inside, speed = np.ones((24, 16), bool), 1 / (interval - interval.min() + 1.0)
    rates = np.arange(16)[:, None] * np.ones(6) * speed[:, None, None]
    assert speed_interval_correlation(rates, inside, condition, speed) == pytest.approx(1.0)
    assert speed_interval_correlation(rates, inside, condition, interval) < -0.5


def test_trials_without_interval_or_condition_are_left_out(session):
    rates, inside, condition, interval = session
    expected = speed_interval_correlation(rates[2:], inside[2:], condition[2:], interval[2:])
    interval[0], condition[1, 1], rates[:2] = np.nan, np.nan, np.nan
    assert speed_interval_correlation(rates, inside, condition, interval) == pytest.approx(expected)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda r, i, c, t: (r, i[:, :3], c, t), "inside"),
        (lambda r, i, c, t: (r, i, c[:3], t), "same trials and bins"),
        (
            lambda r, i, c, t: (r, i & (np.arange(16) < 2), c, t),
            "Given: 1 bins, 0 rates that are not finite, in trial 0",
        ),
        (lambda r, i, c, t: (r * np.nan, i, c, t), "finite rates in two bins"),
        (lambda r, i, c, t: (r, i, np.arange(24), t), "24 of them with a single one"),
        (lambda r, i, c, t: (r, i, c, t * np.nan), "Given: 0 trials in 0 conditions"),
    ],
)
def test_bad_arguments(session, change, words):
    with pytest.raises(ValueError, match=words):
        speed_interval_correlation(*change(*session))
