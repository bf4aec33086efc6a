"""Observation models against scipy, and the read-outs that make them."""

import numpy as np
import pytest
from scipy import stats

from indl.dists import GaussianObservation, GaussianReadout, PoissonObservation, PoissonReadout
from tests.checks import assert_close, assert_mean, check_layer

RNG = np.random.default_rng(0)
FACTORS = RNG.normal(size=(4, 6, 3)).astype("float32")


@pytest.mark.parametrize(
    "make",
    [
        lambda: PoissonReadout(5),
        lambda: PoissonReadout(5, link="softplus", log_rate_clip=4.0, init_bias=-1.0),
        lambda: PoissonReadout(2, init_bias=[0.5, -1.0]),
        lambda: GaussianReadout(5),
        lambda: GaussianReadout(5, True),
        lambda: GaussianReadout(2, init_bias=[0.5, -1.0]),
    ],
)
def test_suite(make):
    check_layer(make, FACTORS)


def test_poisson_log_prob_is_exact():
    log_rate = RNG.uniform(-6, 4, (50, 7, 3)).astype("float32")
    counts = RNG.poisson(np.exp(np.minimum(log_rate, 3)))
    counts[0] = 0
    expected = stats.poisson.logpmf(counts, np.exp(log_rate.astype("float64")))
    for given in (counts.astype("float32"), counts.astype("int64"), counts.astype("uint8")):
        assert_close(PoissonObservation(log_rate + 0 * FACTORS[0, 0, 0]).log_prob(given), expected, 2e-5)
    assert_close(PoissonObservation(log_rate).mean(), np.exp(log_rate))


def test_gaussian_log_prob_is_exact():
    loc, scale = RNG.normal(size=(20, 7, 3)), RNG.uniform(0.2, 3, (20, 7, 3))
    signal = RNG.normal(size=(20, 7, 3))
    p_x = GaussianObservation(loc.astype("float32"), scale.astype("float32"))
    assert_close(p_x.log_prob(signal.astype("float32")), stats.norm.logpdf(signal, loc, scale), 2e-5)
    assert_close(p_x.mean(), loc)


def test_draws_follow_the_parameters_and_the_seed():
    log_rate = np.log(np.broadcast_to([0.3, 2.0, 20.0], (20_000, 1, 3))).astype("float32")
    p_x = PoissonObservation(log_rate)
    draws = np.asarray(p_x.sample(seed=4))
    assert_mean(draws, [[0.3, 2.0, 20.0]])
    assert_mean((draws - [0.3, 2.0, 20.0]) ** 2, [[0.3, 2.0, 20.0]])
    assert np.array_equal(draws, np.rint(draws))
    assert np.array_equal(draws, p_x.sample(seed=4)) and not np.array_equal(draws, p_x.sample(seed=5))
    signal = GaussianObservation(log_rate, np.full_like(log_rate, 0.7))
    assert_mean(signal.sample(seed=4), log_rate[0])
    assert_mean((np.asarray(signal.sample(seed=4)) - log_rate) ** 2, np.full((1, 3), 0.49))
    assert np.array_equal(signal.sample(seed=4), signal.sample(seed=4))


def test_links_and_clip():
    exp, softplus = PoissonReadout(5), PoissonReadout(5, link="softplus")
    exp(FACTORS), softplus(FACTORS)
    softplus.set_weights(exp.get_weights())
    u = FACTORS @ np.asarray(exp.kernel) + np.asarray(exp.bias)
    assert_close(exp(FACTORS).log_rate, u)
    assert_close(softplus(FACTORS).mean(), np.logaddexp(0, u), 2e-5)
    clipped = PoissonReadout(5, log_rate_clip=2.0)
    clipped(FACTORS)
    clipped.set_weights(exp.get_weights())
    log_rate = np.asarray(clipped(100 * FACTORS).log_rate)
    assert_close(log_rate, np.clip(100 * u, -2, 2), 1e-4)
    assert np.isfinite(softplus(1e4 * FACTORS).log_rate).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PoissonReadout(4),
        lambda: PoissonReadout(4, link="softplus"),
        lambda: GaussianReadout(4),
        lambda: GaussianReadout(4, unit_scale=True),
    ],
)
def test_the_bias_gives_the_means_where_factors_are_zero(make):
    readout, means = make(), np.array([0.01, 0.4, 1.0, 12.0])
    readout(FACTORS)
    readout.set_bias(readout.bias_for(means))
    np.testing.assert_allclose(readout(np.zeros((1, 1, 3), "float32")).mean()[0, 0], means, rtol=1e-4)


def test_the_bias_of_a_silent_channel_is_finite():
    for link in ("exp", "softplus"):
        assert np.isfinite(PoissonReadout(2, link=link).bias_for(np.array([0.0, 1.0]))).all()


def test_gaussian_scale():
    free, unit = GaussianReadout(5), GaussianReadout(5, unit_scale=True)
    assert_close(free(0 * FACTORS).scale, np.ones((4, 6, 5)), 1e-3)
    assert_close(unit(FACTORS).scale, np.ones((4, 6, 5)))
    assert free.kernel.shape == (3, 10) and unit.kernel.shape == (3, 5)
    assert not np.allclose(free(FACTORS).scale, 1.0)


def test_a_bias_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"2 values for 5 channels.*target"):
        PoissonReadout(5, init_bias=[0.0, 1.0])
