"""Likelihood and bits per spike against sums written out one by one."""

import math

import numpy as np
import pytest

from indl.metrics import (
    bits_per_spike,
    bootstrap_se,
    cosmoothing,
    cosmoothing_se,
    forward_prediction,
    forward_prediction_se,
    poisson_nll,
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 0.5, (12, 7, 5))
    return rates, rng.poisson(rates).astype(float)


def one_by_one(rates, counts):
    pairs = [(r, n) for r, n in zip(rates.ravel(), counts.ravel(), strict=True) if not math.isnan(n)]
    return sum(r - n * math.log(r) + math.lgamma(n + 1) for r, n in pairs)


def test_likelihood_one_by_one(data):
    rates, counts = data
    assert poisson_nll(rates, counts) == pytest.approx(one_by_one(rates, counts))
    counts[0, 0, :] = np.nan
    assert poisson_nll(rates, counts) == pytest.approx(one_by_one(rates, counts))


def test_a_zero_rate_is_tiny_and_stays_zero():
    rates = np.zeros((1, 2, 1))
    assert poisson_nll(rates, [[[0.0], [1.0]]]) == pytest.approx(2e-9 - math.log(1e-9))
    assert not rates.any()


def test_bits_per_spike_by_hand():
    """Two bins, 0 and 2 spikes: the null costs 2 - 2 log 1, the truth 2 - 2 log 2; the gain is 1 bit a spike."""
    counts = np.array([[[0.0], [2.0]]])
    assert bits_per_spike(counts, counts) == pytest.approx(1.0)
    assert bits_per_spike(np.ones((1, 2, 1)), counts) == pytest.approx(0.0)
    assert bits_per_spike(counts, counts, null=0.5) == pytest.approx(
        (1 - 2 * np.log(0.5) - 2 + 2 * np.log(2)) / 2 / np.log(2)
    )


def test_the_null_is_the_mean_of_the_evaluated_data(data):
    rates, counts = data
    counts[3:5, 2, 1] = np.nan
    null = np.broadcast_to(np.nanmean(counts, axis=(0, 1)), counts.shape)
    expected = (one_by_one(null, counts) - one_by_one(rates, counts)) / np.nansum(counts) / math.log(2)
    assert bits_per_spike(rates, counts) == pytest.approx(expected)


def test_cosmoothing_and_forward_prediction_score_their_part_only(data):
    rates, counts = data
    rates[:, :, :3], rates[:, 4:, 3:] = 1e6, 1e6
    expected = bits_per_spike(rates[:, :4, 3:], counts[:, :4, 3:])
    assert cosmoothing(rates, counts, 3, 4) == pytest.approx(expected)
    rates = np.where(np.arange(7)[:, None] < 5, 1e6, counts + 0.1)
    assert forward_prediction(rates, counts, 5) == pytest.approx(bits_per_spike(rates[:, 5:], counts[:, 5:]))


def test_forward_prediction_one_by_one(data):
    """All channels, the bins after the encoder's, and a null of each channel's mean over those bins alone."""
    rates, counts = data
    counts[3, 6, 2], counts[0, 5, :] = np.nan, np.nan
    later = [(i, t, c) for i in range(12) for t in (5, 6) for c in range(5) if not math.isnan(counts[i, t, c])]
    null = {c: np.mean([counts[k] for k in later if k[2] == c]) for c in range(5)}
    gain = sum(null[k[2]] - counts[k] * math.log(null[k[2]]) - rates[k] + counts[k] * math.log(rates[k]) for k in later)
    spikes = sum(counts[k] for k in later)
    assert forward_prediction(rates, counts, 5) == pytest.approx(gain / spikes / math.log(2))


def test_bootstrap_equals_a_loop_over_resamples(data):
    rates, counts = data
    counts[2, 1, 4] = np.nan
    draws = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=50)
    scores = []
    for weights in draws:
        chosen = np.repeat(np.arange(12), weights)
        scores.append(cosmoothing(rates[chosen], counts[chosen], 3, 6))
    assert cosmoothing_se(rates, counts, 3, 6, n_resamples=50, seed=5) == pytest.approx(np.std(scores, ddof=1))
    assert cosmoothing_se(rates, counts, 3) == cosmoothing_se(rates, counts, 3)
    assert cosmoothing_se(rates, counts, 3) != cosmoothing_se(rates, counts, 3, seed=1)


def test_both_standard_errors_equal_the_general_bootstrap(data):
    rates, counts = data
    counts[2, 1, 4], counts[5, 6, 0] = np.nan, np.nan
    pairs = (
        (cosmoothing_se(rates, counts, 3, 6, seed=5), lambda r, n: cosmoothing(r, n, 3, 6)),
        (forward_prediction_se(rates, counts, 4, seed=5), lambda r, n: forward_prediction(r, n, 4)),
    )
    for found, score in pairs:
        assert found == pytest.approx(bootstrap_se(score, rates, counts, seed=5))


def test_a_single_trial_has_no_standard_error(data):
    rates, counts = (part[:1] for part in data)
    assert math.isnan(cosmoothing_se(rates, counts, 3))
    assert math.isnan(forward_prediction_se(rates, counts, 4))


def test_the_standard_error_is_the_spread_over_repeated_experiments():
    rng = np.random.default_rng(0)
    # Rates differ between trials: a resample that kept them would be too narrow.
    rates = rng.gamma(3.0, 0.3, (300, 40, 10, 4))
    counts = rng.poisson(rates)
    spread = np.std([cosmoothing(r, n, 2) for r, n in zip(rates, counts, strict=True)])
    estimates = [cosmoothing_se(rates[i], counts[i], 2, seed=i) for i in range(20)]
    assert np.mean(estimates) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: poisson_nll(np.ones((2, 3)), np.ones((2, 4))), r"one shape. Given: \(2, 3\) and \(2, 4\)"),
        (lambda: poisson_nll([-1.0, 1.0], [0, 0]), r"1 that are not, the first at \(0,\)"),
        (lambda: poisson_nll([1.0, np.nan], [0, 0]), "finite"),
        (lambda: bits_per_spike(np.ones((1, 2, 1)), np.zeros((1, 2, 1))), "at least one spike. Given: 2 bins"),
        (lambda: cosmoothing(np.ones((1, 2, 3)), np.ones((1, 2, 3)), 3), "3 channels, 3 of them held-in"),
        (lambda: cosmoothing(np.ones((2, 3)), np.ones((2, 3)), 1), "trials, time, channels"),
        (lambda: forward_prediction(np.ones((1, 2, 3)), np.ones((1, 2, 3)), 2), "n_times 2. Reconstruct"),
        (lambda: forward_prediction_se(np.ones((1, 2, 3)), np.ones((1, 3, 3)), 1), r"rates \(1, 2, 3\), counts"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
