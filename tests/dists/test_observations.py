"""Observation models against scipy, and the read-outs that make them."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from indl.dists import (
    GammaObservation,
    GammaReadout,
    GaussianObservation,
    GaussianReadout,
    PoissonObservation,
    PoissonReadout,
    SquaredErrorObservation,
    SquaredErrorReadout,
    ZeroInflatedGammaObservation,
    ZeroInflatedGammaReadout,
)
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
        lambda: GaussianReadout(5, scale_link="log_variance"),
        lambda: SquaredErrorReadout(2, init_bias=[0.5, -1.0]),
        lambda: GammaReadout(5, log_clip=4.0, init_bias=-1.0),
        lambda: ZeroInflatedGammaReadout(2, 0.3, 5.0, 4.0, 0.1, init_bias=[0.5, -1.0]),
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


def test_the_constant_is_stirling_where_asked():
    counts = np.arange(30.0, dtype="float32").reshape(1, 1, -1)
    p_x = PoissonObservation(np.full_like(counts, 0.4))
    gap = np.asarray(p_x.log_prob(counts, "stirling")) - np.asarray(p_x.log_prob(counts))
    # The remainder of Stirling's series is between 1/(12 n + 1) and 1/(12 n).
    assert_close(gap[0, 0, :2], np.zeros(2), 1e-6)
    n = counts[0, 0, 2:]
    assert (gap[0, 0, 2:] > 1 / (12 * n + 1) - 2e-5).all() and (gap[0, 0, 2:] < 1 / (12 * n) + 2e-5).all()
    expected = tf.nn.log_poisson_loss(counts, p_x.log_rate, compute_full_loss=True)
    assert_close(-np.asarray(p_x.log_prob(counts, "stirling")), expected)


def test_squared_error_is_a_gaussian_less_its_constant():
    loc, signal = RNG.normal(size=(2, 20, 7, 3)).astype("float32")
    p_x = SquaredErrorObservation(loc)
    assert_close(p_x.log_prob(signal), -((signal - loc) ** 2))
    assert_close(p_x.log_prob(signal) - 0.5 * np.log(np.pi), stats.norm.logpdf(signal, loc, np.sqrt(0.5)))


def test_gamma_log_prob_is_exact():
    log_shape, log_rate = RNG.uniform(-3, 3, (2, 20, 7, 3)).astype("float32")
    shape, rate = np.exp(log_shape.astype("float64")), np.exp(log_rate.astype("float64"))
    signal = np.maximum(RNG.gamma(shape) / rate, 1e-20).astype("float32")
    p_x = GammaObservation(log_shape, log_rate)
    assert_close(p_x.log_prob(signal), stats.gamma.logpdf(signal, shape, scale=1 / rate), 2e-5)
    assert_close(p_x.mean(), shape / rate)


def zero_inflated(size=(20, 7, 3)):
    """A value and its parameters a, b, q, floor in float64."""
    shape, rate, log_odds = RNG.uniform(0.3, 12, (3, *size)).astype("float32")
    floor, log_odds = np.full(size, 0.2, "float32"), log_odds - 6
    p_x = ZeroInflatedGammaObservation(shape, rate, log_odds, floor)
    return p_x, shape.astype("float64"), rate.astype("float64"), special.expit(log_odds.astype("float64")), floor


def test_zero_inflated_gamma_log_prob_is_exact():
    p_x, shape, rate, q, floor = zero_inflated()
    signal = np.where(RNG.uniform(size=q.shape) < q, floor + RNG.gamma(shape) / rate, 0).astype("float32")
    density = stats.gamma.logpdf(signal.astype("float64"), shape, floor.astype("float64"), 1 / rate)
    expected = np.where(signal > 0, np.log(q) + density, np.log1p(-q))
    assert_close(p_x.log_prob(signal), expected, 3e-5)
    assert_close(p_x.event_probability(), q)
    assert_close(p_x.mean(), q * (shape / rate + floor))


def test_the_mass_of_zero_inflated_gamma_is_one():
    p_x, *_, floor = zero_inflated((1, 1, 8))
    # In powers of the amplitude, whose density near the floor is steep.
    grid = np.linspace(-30, 4.5, 20_001)
    amplitude = np.exp(grid)[:, None, None].astype("float32") * np.ones((1, 1, 8), "float32")
    shifted = p_x._replace(floor=np.zeros_like(floor))
    density = np.exp(np.asarray(shifted.log_prob(amplitude), "float64")) * amplitude
    zero = np.exp(np.asarray(p_x.log_prob(np.zeros((1, 1, 8), "float32")), "float64"))
    np.testing.assert_allclose(np.trapezoid(density, grid, axis=0) + zero[0], 1, rtol=1e-4)


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
    squared = np.asarray(SquaredErrorObservation(log_rate).sample(seed=4))
    assert_mean(squared, log_rate[0])
    assert_mean((squared - log_rate) ** 2, np.full((1, 3), 0.5))


def test_gamma_draws_follow_the_parameters_and_the_seed():
    size = (20_000, 1, 3)
    shape, rate, q, floor = (np.broadcast_to(v, size) for v in ([0.4, 1.0, 9.0], [2.0, 1.0, 0.5], [0.1, 0.5, 0.9], 0.3))
    mean, variance = shape / rate, shape / rate**2
    p_x = GammaObservation(np.log(shape).astype("float32"), np.log(rate).astype("float32"))
    draws = np.asarray(p_x.sample(seed=4))
    assert_mean(draws, mean[0])
    assert_mean((draws - mean) ** 2, variance[0])
    assert draws.min() > 0
    assert np.array_equal(draws, p_x.sample(seed=4)) and not np.array_equal(draws, p_x.sample(seed=5))
    tiny = GammaObservation(np.full((99, 1, 1), -10, "float32"), np.zeros((99, 1, 1), "float32"))
    assert np.isfinite(tiny.log_prob(tiny.sample(seed=0))).all()

    p_x = ZeroInflatedGammaObservation(*(v.astype("float32") for v in (shape, rate, special.logit(q), floor)))
    draws = np.asarray(p_x.sample(seed=4))
    assert_mean(draws, (q * (mean + floor))[0])
    assert_mean(draws > 0, q[0])
    second = q * (variance + (mean + floor) ** 2)
    assert_mean(draws**2, second[0])
    # The amplitude is drawn apart from the gate.
    assert_mean(draws[draws[..., 2] > 0, 2], mean[0, 0, 2] + 0.3)
    assert ((draws == 0) | (draws >= np.float32(0.3))).all()
    assert np.array_equal(draws, p_x.sample(seed=4)) and not np.array_equal(draws, p_x.sample(seed=5))


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
        lambda: GaussianReadout(4, scale_link="log_variance"),
        lambda: SquaredErrorReadout(4),
        lambda: GammaReadout(4),
        lambda: ZeroInflatedGammaReadout(4),
        lambda: ZeroInflatedGammaReadout(4, gamma_loc=0.0, scale_init=3.0),
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
    for readout in (GammaReadout(2), ZeroInflatedGammaReadout(2), ZeroInflatedGammaReadout(2, gamma_loc=0.0)):
        readout.build((None, None, 3))
        assert np.isfinite(readout.bias_for(np.array([0.0, 1.0]))).all()


def test_gaussian_scale():
    free, unit = GaussianReadout(5), GaussianReadout(5, unit_scale=True)
    assert_close(free(0 * FACTORS).scale, np.ones((4, 6, 5)), 1e-3)
    assert_close(unit(FACTORS).scale, np.ones((4, 6, 5)))
    assert free.kernel.shape == (3, 10) and unit.kernel.shape == (3, 5)
    assert not np.allclose(free(FACTORS).scale, 1.0)
    log_variance = GaussianReadout(5, scale_link="log_variance")
    log_variance(FACTORS)
    log_variance.set_weights(free.get_weights())
    raw = (FACTORS @ np.asarray(free.kernel) + np.asarray(free.bias))[..., 5:]
    assert_close(np.log(np.square(log_variance(FACTORS).scale)), raw)


EXTREMES = np.array([-1e4, -90, -15, -1, 0, 1, 15, 90, 1e4], "float32")


@pytest.mark.parametrize(
    "make, targets",
    [
        (lambda: PoissonReadout(1), (0, 1, 1000)),
        (lambda: PoissonReadout(1, link="softplus"), (0, 1, 1000)),
        (lambda: GaussianReadout(1), (-1e4, 0, 1e4)),
        (lambda: GaussianReadout(1, scale_link="log_variance"), (-1e4, 0, 1e4)),
        (lambda: SquaredErrorReadout(1), (-1e4, 0, 1e4)),
        # The zero stands where a sample is missing, and its likelihood is left out afterwards.
        (lambda: GammaReadout(1), (0, 1e-30, 1, 1e4)),
        (lambda: GammaReadout(1, log_clip=40.0), (0, 1e-30, 1, 1e4)),
        (lambda: ZeroInflatedGammaReadout(1), (0, 0.05, 0.1, 0.11, 1, 1e4)),
    ],
)
def test_extremes_are_finite(make, targets):
    readout = make()
    readout.build((None, None, 1))
    u = np.stack(np.meshgrid(*[EXTREMES] * readout.parameters_per_channel, indexing="ij"), -1)
    u = tf.constant(u.reshape(1, -1, readout.parameters_per_channel))
    for target in targets:
        with tf.GradientTape() as tape:
            tape.watch(u)
            p_x = readout.observe(u)
            log_prob = p_x.log_prob(tf.fill((1, u.shape[1], 1), float(target)))
        assert np.isfinite(log_prob).all() and np.isfinite(p_x.mean()).all()
        assert np.isfinite(tape.gradient(log_prob, u)).all()


def test_a_scale_that_fell_below_zero_comes_back():
    readout = ZeroInflatedGammaReadout(2, scale_prior=4.0, scale_penalty=0.5)
    readout.build((None, None, 1))
    readout.scale.assign([[-1.0, 2.0], [3.0, 0.0]])
    with tf.GradientTape() as tape:
        log_prob = readout.observe(tf.zeros((1, 1, 6))).log_prob([[[0.5, 2.0]]])
        (penalty,) = readout.losses
    assert np.isfinite(log_prob).all()
    np.testing.assert_allclose(penalty, 0.25 * (25 + 4 + 1 + 16))
    np.testing.assert_allclose(tape.gradient(penalty, readout.scale.value), 0.5 * (readout.scale.numpy() - 4))


def test_an_output_of_another_width_is_refused():
    for readout, width in ((PoissonReadout(4), 4), (GammaReadout(4), 8), (ZeroInflatedGammaReadout(4), 12)):
        assert readout.width == width
        with pytest.raises(ValueError, match=f"Given: 5 values for 4 channels.*{width} in all"):
            readout.observe(tf.zeros((1, 1, 5)))


def test_a_bias_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"2 values for 5 channels.*target"):
        PoissonReadout(5, init_bias=[0.0, 1.0])


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="log_factorial='sterling'.*'stirling'"):
        PoissonObservation(FACTORS).log_prob(FACTORS, "sterling")
    with pytest.raises(ValueError, match="scale_link='exp'.*'log_variance'"):
        GaussianReadout(4, scale_link="exp")
    with pytest.raises(ValueError, match="log_clip=50.*40 or less"):
        GammaReadout(4, log_clip=50.0)


@pytest.mark.parametrize("rate", [np.nan, np.inf])
def test_counts_of_a_model_that_has_diverged_are_refused(rate):
    """TensorFlow's own sampler would not come back."""
    log_rate = np.zeros((2, 3, 4), "float32")
    log_rate[1, 2, 3] = rate
    with pytest.raises(ValueError, match="Given: 1 rates that are NaN or infinite"):
        PoissonObservation(tf.constant(log_rate)).sample(seed=0)
