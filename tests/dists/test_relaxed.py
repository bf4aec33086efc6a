"""Concrete variables: values of the reference, and what relaxations become without a temperature."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate

from indl.dists.relaxed import BinaryConcrete, Concrete, straight_through
from tests.checks import assert_close, parity_arrays
from tests.messages import faults

FILES = pytest.mark.parametrize("config, arrays", parity_arrays("blackbox_extra"))


@pytest.mark.parity
@FILES
def test_values_equal_the_reference(config, arrays):
    of = {key: tf.constant(value) for key, value in arrays.items() if key.startswith("relax/")}
    tau = float(arrays["relax/tau"])
    q = Concrete(of["relax/logits"], tau)
    log_y = q.sample(noise=of["relax/uniform"])
    assert_close(log_y, arrays["relax/log_y"])
    assert_close(tf.exp(log_y), arrays["relax/y"])
    assert_close(q.log_prob(log_y), arrays["relax/log_prob_log_simplex"])
    assert_close(q.log_prob(log_y, simplex=True), arrays["relax/log_prob_simplex"])
    binary = BinaryConcrete(of["relax/binary_logits"], tau)
    odds = binary.sample(noise=of["relax/binary_uniform"])
    assert_close(tf.sigmoid(odds), arrays["relax/binary_y"])
    assert_close(binary.log_prob(odds, unit=True), arrays["relax/binary_log_prob"])


def test_densities_integrate_to_one():
    binary = BinaryConcrete(tf.constant(0.7, tf.float64), 0.6)
    odds = tf.linspace(tf.constant(-80.0, tf.float64), 80.0, 20_001)
    assert_close(integrate.trapezoid(np.exp(binary.log_prob(odds)), odds), 1.0, 1e-6)
    two = Concrete(tf.constant([0.3, -0.4], tf.float64), 0.8)
    # On the logarithm of the odds, whose slope is y (1 - y).
    log_y = tf.stack([tf.math.log_sigmoid(odds), tf.math.log_sigmoid(-odds)], axis=-1)
    density = np.exp(two.log_prob(log_y, simplex=True) + tf.reduce_sum(log_y, axis=-1))
    assert_close(integrate.trapezoid(density, odds), 1.0, 1e-6)


def test_of_low_temperature_the_corners_are_left():
    logits = tf.constant([0.5, 0.0, -1.0])
    y = tf.exp(Concrete(tf.broadcast_to(logits, (20000, 3)), 0.02).sample(seed=1))
    assert_close(np.mean(np.asarray(y), axis=0), tf.nn.softmax(logits), 0.01)
    ends = tf.sigmoid(BinaryConcrete(tf.fill((20000,), 0.5), 0.02).sample(seed=1)).numpy()
    assert_close(ends.mean(), 1 / (1 + np.exp(-0.5)), 0.01)


def test_the_hard_value_has_the_gradient_of_the_soft_one():
    soft = tf.constant([[0.2, 0.5, 0.3]])
    with tf.GradientTape() as tape:
        tape.watch(soft)
        hard = straight_through(soft)
        value = tf.reduce_sum(hard * [[1.0, 2.0, 3.0]])
    assert_close(hard, [[0, 1, 0]])
    assert_close(tape.gradient(value, soft), [[1, 2, 3]])


@pytest.mark.parametrize("kind", [Concrete, BinaryConcrete])
def test_no_temperature_is_told(kind):
    with pytest.raises(ValueError) as told:
        kind(tf.zeros((2, 3)), 0.0).sample(seed=0)
    assert not faults(str(told.value)) and "above 0" in str(told.value)
