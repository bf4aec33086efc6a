"""Weights of several sessions: each trial meets its own session's alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists.observations import (
    GammaReadout,
    GaussianReadout,
    PoissonReadout,
    SquaredErrorReadout,
    ZeroInflatedGammaReadout,
)
from indl.layers.session_read_in import SessionReadIn, each_session, of_trials
from indl.sampling.modes import PosteriorSamples, sampling
from tests.checks import assert_same, check_layer
from tests.messages import faults

RNG = np.random.default_rng(0)
SESSION = np.array([1, 0, 2, 1], "int32")
X = RNG.normal(size=(4, 3, 5)).astype("float32")
READOUTS = {
    "Poisson": PoissonReadout,
    "softplus": lambda n, **kwargs: PoissonReadout(n, link="softplus", **kwargs),
    "Gaussian": GaussianReadout,
    "MSE": SquaredErrorReadout,
    "Gamma": GammaReadout,
    "zero-inflated": ZeroInflatedGammaReadout,
}


def refused(call, *words):
    """The call raises an error that is worded well and says all of `words`."""
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert not faults(message)


def test_slices_are_exact_and_their_gradient_is_dense():
    weights = tf.constant(RNG.normal(size=(3, 2, 2)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        found = of_trials(weights, SESSION)
        total = tf.reduce_sum(found * np.arange(1, 5, dtype="float32")[:, None, None])
    np.testing.assert_array_equal(found, weights.numpy()[SESSION])
    gradient = tape.gradient(total, weights)
    assert isinstance(gradient, tf.Tensor)
    # Session 1 has trials 1 and 4.
    np.testing.assert_array_equal(gradient[:, 0, 0], [2, 5, 3])


def test_nothing_of_another_session_enters():
    weights = np.ones((3, 2), "float32")
    weights[2] = np.nan
    np.testing.assert_array_equal(of_trials(tf.constant(weights), [0, 1, 0]), np.ones((3, 2)))


def test_read_in_is_the_dense_layer_of_its_session():
    layer = SessionReadIn(2, 3)
    layer(X, SESSION)
    layer.bias.assign(RNG.normal(size=(3, 2)))
    found = np.asarray(layer(X, SESSION))
    for s in range(3):
        dense = keras.layers.Dense(2)
        dense.build((None, 3, 5))
        dense.set_weights([layer.kernel[s], layer.bias[s]])
        np.testing.assert_allclose(found[SESSION == s], dense(X[SESSION == s]), rtol=0, atol=1e-6)
    check_layer(lambda: SessionReadIn(2, 3), X, SESSION)


def test_sessions_start_apart_and_as_a_layer_alone():
    start = each_session(keras.initializers.GlorotUniform)((3, 400, 100), dtype="float32")
    assert len(np.unique(np.asarray(start)[:, 0, 0])) == 3
    # Uniform within sqrt(6 / (rows + columns)), whatever the number of sessions.
    bound = (6 / 500) ** 0.5
    assert 0.99 * bound < np.abs(start).max() <= bound


@pytest.mark.parametrize("kind", READOUTS)
def test_read_out_is_that_of_its_session(kind):
    several = READOUTS[kind](4, n_sessions=3)
    several(X, SESSION)
    for variable in several.variables:
        variable.assign(np.asarray(variable) + 0.3 * RNG.normal(size=variable.shape))
    found = several(X, SESSION)
    # With an axis of posterior samples behind the trials.
    stacked = several(np.stack([X, X + 1], 1), SESSION)
    for s in range(3):
        alone = READOUTS[kind](4)
        alone.build((None, 3, 5))
        alone.set_weights([variable[s] for variable in several.variables])
        for whole, own, both in zip(found, alone(X[SESSION == s]), stacked, strict=True):
            np.testing.assert_allclose(whole[SESSION == s], own, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(np.asarray(both)[SESSION == s][:, 0], own, rtol=1e-5, atol=1e-6)
    mean = RNG.uniform(0.5, 2.0, (3, 4)).astype("float32")
    several.set_bias(several.bias_for(mean))
    np.testing.assert_allclose(several(0 * X, SESSION).mean()[:, 0], mean[SESSION], rtol=1e-4)


@pytest.mark.parametrize("kind", ["Poisson", "zero-inflated"])
def test_read_out_suite(kind):
    check_layer(lambda: READOUTS[kind](4, n_sessions=3), X, SESSION)


def test_rows_of_posterior_samples_keep_their_session():
    layer = PoissonReadout(4, n_sessions=3)
    rows = np.repeat(X, 2, axis=0)
    wanted = layer(rows, np.repeat(SESSION, 2))
    with sampling(PosteriorSamples(8, 0)):
        assert_same(layer(rows, SESSION), wanted)


def test_start_bias_and_its_faults():
    np.testing.assert_array_equal(_built(init_bias=[1.0, 2.0]).bias, [[1, 2], [1, 2]])
    refused(lambda: _built()(X), "session of each trial", "2 sessions", "(factors, session)")


def _built(**kwargs):
    layer = PoissonReadout(2, n_sessions=2, **kwargs)
    layer.build((None, 3, 5))
    return layer
