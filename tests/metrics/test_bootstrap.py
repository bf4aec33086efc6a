"""Standard errors of any score against closed forms and loops."""

import numpy as np
import pytest

from indl.metrics import bootstrap_se


def test_a_mean_has_a_closed_form():
    x = np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 10.0, 100.0]
    exact = x.std(axis=0) / np.sqrt(40)
    found = bootstrap_se(lambda a: a.mean(axis=0), x, n_resamples=20000)
    # The spread of a standard deviation of 20000 values is 0.5 % of it.
    assert found == pytest.approx(exact, rel=0.025)


def test_arrays_are_resampled_together():
    x = np.random.default_rng(0).normal(size=12)
    y = x + np.random.default_rng(1).normal(size=12)
    scores = []
    for weights in np.random.default_rng(9).multinomial(12, np.full(12, 1 / 12), size=60):
        chosen = np.repeat(np.arange(12), weights)
        scores.append(np.corrcoef(x[chosen], y[chosen])[0, 1])
    found = bootstrap_se(lambda a, b: np.corrcoef(a, b)[0, 1], x, y, n_resamples=60, seed=9)
    assert found == pytest.approx(np.std(scores, ddof=1))


def test_seeds_and_the_global_state():
    x = np.arange(10.0)
    before = np.random.get_state()[1].copy()
    assert bootstrap_se(np.median, x) == bootstrap_se(np.median, x) != bootstrap_se(np.median, x, seed=1)
    assert np.array_equal(before, np.random.get_state()[1])


def test_scores_that_cannot_be_computed_are_left_out():
    # With five trials most resamples lack one, and nothing else is scored.
    x, seen = np.arange(5.0), []

    def score(a):
        seen.append(a.mean() if len(set(a)) < 5 else np.nan)
        return seen[-1]

    found = bootstrap_se(score, x, n_resamples=300)
    assert np.isnan(seen).any()
    assert found == pytest.approx(np.nanstd(seen, ddof=1))


def test_a_single_trial_tells_nothing():
    assert np.isnan(bootstrap_se(np.mean, np.ones(1)))
    assert np.isnan(bootstrap_se(lambda a: a.mean(axis=0), np.ones((1, 2)))).tolist() == [True, True]


@pytest.mark.parametrize(
    "arrays, settings, words",
    [
        ((), {}, r"Given: shapes \[\]"),
        ((np.ones(3), np.ones(4)), {}, r"Given: shapes \[\(3,\), \(4,\)\]"),
        ((np.float64(1.0),), {}, r"Given: shapes \[\(\)\]"),
        ((np.ones(0),), {}, "Given: 0 trials"),
        ((np.ones(3),), {"n_resamples": 1}, "n_resamples 1"),
    ],
)
def test_bad_arguments(arrays, settings, words):
    with pytest.raises(ValueError, match=words):
        bootstrap_se(np.mean, *arrays, **settings)
