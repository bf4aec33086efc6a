"""The Gaussian value against tensorflow-probability, simulation and itself in a graph."""

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp

from indl.dists import Gaussian
from indl.dists.gaussian import as_gaussian
from tests.checks import assert_close, assert_mean, saved_and_loaded

tfd = tfp.distributions
BATCHES = [(), (3,), (2, 4), (2, 3, 4)]


def make(batch, full, size=3, seed=0):
    rng = np.random.default_rng(seed)
    loc = rng.normal(size=(*batch, size)).astype("float32")
    if not full:
        return Gaussian(loc, rng.uniform(0.3, 2.0, (*batch, size)).astype("float32"))
    factor = np.tril(rng.normal(size=(*batch, size, size)), -1)
    return Gaussian(loc, (factor + np.eye(size) * rng.uniform(0.4, 1.5, (*batch, 1, size))).astype("float32"))


def reference(q):
    return tfd.MultivariateNormalTriL(q.loc, q.scale) if q.full else tfd.MultivariateNormalDiag(q.loc, q.scale)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("full", [False, True])
def test_values_equal_those_of_tfp(batch, full):
    q = make(batch, full)
    x = np.random.default_rng(9).normal(size=(*batch, 3)).astype("float32")
    other = reference(q)
    assert_close(q.log_prob(x), other.log_prob(x))
    assert_close(q.entropy(), other.entropy())
    assert_close(q.mean(), other.mean())
    assert_close(q.stddev(), other.stddev())
    assert_close(q.variance(), other.variance())
    assert_close(q.to_tfp().log_prob(x), other.log_prob(x))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("full_q", [False, True])
@pytest.mark.parametrize("full_p", [False, True])
def test_kl_equals_that_of_tfp(batch, full_q, full_p):
    q, p = make(batch, full_q), make(batch, full_p, seed=1)
    as_full = tfd.MultivariateNormalTriL
    q_tfp = as_full(q.loc, q.scale if full_q else q.scale[..., None] * np.eye(3, dtype="float32"))
    p_tfp = as_full(p.loc, p.scale if full_p else p.scale[..., None] * np.eye(3, dtype="float32"))
    assert_close(q.kl_divergence(p), q_tfp.kl_divergence(p_tfp), 2e-5)
    assert_close(q.kl_divergence(q), np.zeros(batch), 2e-5)


@pytest.mark.parametrize("full_q", [False, True])
@pytest.mark.parametrize("full_p", [False, True])
def test_kl_to_an_unbatched_prior_broadcasts(full_q, full_p):
    q, p = make((2, 4), full_q), make((), full_p, seed=1)
    one_by_one = [[float(Gaussian(q.loc[i, j], q.scale[i, j]).kl_divergence(p)) for j in range(4)] for i in range(2)]
    assert_close(q.kl_divergence(p), one_by_one, 2e-5)


@pytest.mark.parametrize("full", [False, True])
def test_samples_have_the_mean_and_covariance(full):
    q = make((2,), full)
    draws = np.asarray(q.sample(40_000, seed=3))
    assert draws.shape == (2, 40_000, 3)
    factor = q.scale if full else q.scale[..., None] * np.eye(3)
    assert_mean(draws, q.loc, axis=1)
    centred = draws - q.loc[:, None]
    assert_mean(centred[..., :, None] * centred[..., None, :], factor @ np.swapaxes(factor, -1, -2), axis=1)


def test_samples_follow_the_seed():
    q = make((2, 4), False)
    assert np.array_equal(q.sample(seed=3), q.sample(seed=3))
    assert not np.array_equal(q.sample(seed=3), q.sample(seed=4))
    assert q.sample(seed=3).shape == (2, 4, 3)
    assert q.sample(5, seed=3).shape == (2, 5, 4, 3)
    generator = keras.random.SeedGenerator(3)
    assert not np.array_equal(q.sample(seed=generator), q.sample(seed=generator))


def test_samples_of_one_gaussian_come_first():
    for full in (False, True):
        q = make((), full)
        assert q.sample(seed=1).shape == (3,)
        assert q.sample(7, seed=1).shape == (7, 3)
        assert_mean(q.sample(20_000, seed=1), q.loc)


@pytest.mark.parametrize("full", [False, True])
def test_symbolic_values_equal_eager_ones(full):
    q, p = make((4, 6), full), make((4, 6), not full, seed=2)
    symbols = [keras.Input(part.shape[1:]) for part in (*q[:2], *p[:2])]
    a, b = Gaussian(*symbols[:2]), Gaussian(*symbols[2:])
    x = b.mean()
    outputs = [a.log_prob(x), a.kl_divergence(b), a.entropy(), a.variance(), a.sample(), a.sample(2, seed=1)]
    assert a.full is full and a.event_size == 3
    model = keras.Model(symbols, outputs)
    repeated = np.repeat(q.loc[:, None], 2, axis=1)
    # At inference a symbolic sample is the mean.
    expected = [q.log_prob(p.loc), q.kl_divergence(p), q.entropy(), q.variance(), q.loc, repeated]
    for value, wanted in zip(model([*q[:2], *p[:2]]), expected, strict=True):
        assert_close(value, wanted)
    drawn = model([*q[:2], *p[:2]], training=True)[5]
    assert drawn.shape == (4, 2, 6, 3) and not np.allclose(drawn[:, 0], drawn[:, 1])


def test_symbolic_sample_at_test_draws():
    loc, scale = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([loc, scale], Gaussian(loc, scale).sample(seed=1, at_test=True))
    q = make((5,), False)
    assert np.abs(model([*q[:2]]) - q.loc).min() > 0


def test_only_a_value_that_carries_its_sample_has_a_path():
    q = make((5,), False)
    assert not q.has_path and not Gaussian(*q[:2], []).has_path and Gaussian(*q[:2], q.loc).has_path
    # In a graph, when it is called, and after it has been read from a file, whose structures are plain.
    x = keras.Input((3,))
    model = keras.Model(x, {"driven": tuple(Gaussian(x, x + 1, 2 * x)), "free": tuple(Gaussian(x, x + 1))})
    for way in (model, model.predict, saved_and_loaded(model)):
        found = {name: as_gaussian(fields) for name, fields in way(q.loc).items()}
        assert found["driven"].has_path and not found["free"].has_path
        assert found["free"].drawn == ()
        assert_close(found["driven"].drawn, 2 * q.loc)


def test_a_symbolic_value_has_no_tfp_form():
    q = Gaussian(keras.Input((3,)), keras.Input((3,)))
    with pytest.raises(TypeError, match=r"symbolic.*Keras tensors.*encode"):
        q.to_tfp()


def test_repr_and_pairs():
    text = repr(make((2, 4), True))
    assert "event size 3" in text and "full" in text and "(2, 4)" in text
    assert "diagonal" in repr(Gaussian(keras.Input((7, 3)), keras.Input((7, 3))))
    assert isinstance(as_gaussian([1, 2]), Gaussian)
