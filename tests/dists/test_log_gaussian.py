"""Gaussians by log variances: closed forms, and float32 at its ends."""

import numpy as np
import pytest
import tensorflow as tf

from indl.dists.log_gaussian import LogGaussian
from tests.checks import assert_close, assert_mean

RNG = np.random.default_rng(0)
Q = LogGaussian(*RNG.normal(size=(2, 4, 3)))
P = LogGaussian(*RNG.normal(size=(2, 4, 3)))


def float32(q):
    return LogGaussian(*(np.asarray(part, "float32") for part in q))


def kl(q, p):
    """By variances, in float64."""
    a, b = np.exp(q.log_variance), np.exp(p.log_variance)
    return 0.5 * (np.log(b / a) + (a + (q.loc - p.loc) ** 2) / b - 1).sum(-1)


def product(q, p):
    """By precisions, in float64."""
    a, b = np.exp(-q.log_variance), np.exp(-p.log_variance)
    return LogGaussian((q.loc * a + p.loc * b) / (a + b), -np.log(a + b))


def test_product_adds_precisions():
    for found, wanted in zip(float32(Q).product(float32(P)), product(Q, P), strict=True):
        assert_close(found, wanted)


def test_divergences():
    assert_close(float32(Q).kl_divergence(float32(P)), kl(Q, P))
    assert_close(float32(Q).product_kl(float32(P)), kl(product(Q, P), P))


def test_it_is_the_same_gaussian():
    assert_close(float32(Q).gaussian().kl_divergence(float32(P).gaussian()), kl(Q, P))
    draws = np.asarray(LogGaussian(*float32(Q)).sample(20_000, seed=0))
    assert_mean(draws, Q.loc, axis=1)
    assert_mean((draws - Q.loc[:, None]) ** 2, np.exp(Q.log_variance), axis=1)


@pytest.mark.parametrize("own", [-1e4, -200.0, -88.0, -30.0, 0.0, 88.0, 200.0, 1e4])
@pytest.mark.parametrize("prior", [-1e4, -200.0, -88.0, -30.0, 0.0, 88.0, 200.0, 1e4])
def test_nothing_overflows(own, prior):
    q, p = tf.Variable([[0.3, own]]), tf.Variable([[-0.7, prior]])
    with tf.GradientTape(persistent=True) as tape:
        a, b = LogGaussian(q[:, :1], q[:, 1:]), LogGaussian(p[:, :1], p[:, 1:])
        both, divergence, plain = a.product(b), a.product_kl(b), a.kl_divergence(b)
    for value in (both.loc, both.log_variance, divergence, plain):
        assert np.isfinite(value).all()
        assert all(np.isfinite(part).all() for part in tape.gradient(value, [q, p]))
    assert both.log_variance[0, 0] <= min(own, prior) + 1e-6
    # The posterior stands at the sharper factor.
    if own != prior:
        assert_close(both.loc[0, 0], 0.3 if own < prior else -0.7)


def test_a_sharp_prior_keeps_its_digits():
    """The mean of the product differs from the prior's by less than float32 resolves, and its KL is still right."""
    q, p = LogGaussian(np.array([[1.3]]), np.array([[0.2]])), LogGaussian(np.array([[-5.7]]), np.array([[-25.0]]))
    d = 0.2 + 25.0
    wanted = 0.5 * (np.log1p(np.exp(-d)) - 1 / (1 + np.exp(d)) + 49.0 * np.exp(25.0 - 2 * np.log1p(np.exp(d))))
    np.testing.assert_allclose(float32(q).product_kl(float32(p)), [wanted], rtol=1e-4)
