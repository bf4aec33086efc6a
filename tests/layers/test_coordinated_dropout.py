"""Coordinated dropout: reference values, and what the random masks must do on average."""

import numpy as np
import pytest
import tensorflow as tf

from indl.layers import CoordinatedDropout, block_gradient
from tests.checks import assert_close, assert_mean, assert_same, check_layer, parity_cases

X = np.random.default_rng(0).poisson(2.0, (4, 6, 3)).astype("float32")


def test_suite():
    check_layer(lambda: CoordinatedDropout(0.3, 0.2, seed=1), X, expected=(X, np.ones_like(X)))
    check_layer(lambda: CoordinatedDropout(0.3, skip_steps=2, seed=1), X, expected=(X, np.ones_like(X)))


@pytest.mark.parity
@pytest.mark.parametrize("config, case", parity_cases("lfads_coordinated_dropout"))
def test_parity(config, case):
    segment = config["ic_enc_seq_len"]
    layer = CoordinatedDropout(config["rate"], config["pass_rate"], skip_steps=segment)
    # The file has no masks for the segment, which the layer spares whatever it is handed there.
    front = ((0, 0), (segment, 0), (0, 0))
    keep, passed = (np.pad(case[name].astype(bool), front) for name in ("keep_mask", "pass_mask"))
    x = tf.constant(case["x"], tf.float32)
    hidden, mask = layer.apply_masks(x, keep, passed) if config["rate"] else layer(x, training=True)
    assert_close(hidden, case["network_input"])
    assert np.array_equal(mask[:, segment:], case["gradient_mask"].astype(bool))
    assert np.all(mask[:, :segment])

    log_rates, target = (tf.constant(case[name], tf.float32) for name in ("logrates", "target"))
    with tf.GradientTape() as tape:
        tape.watch(log_rates)
        elements = tf.exp(log_rates) - target * log_rates
        blocked = block_gradient(elements, mask[:, segment:])
        mean = tf.reduce_mean(blocked)
    assert_close(blocked, case["loss_elements"])
    assert_close(mean, case["loss_mean"])
    assert_close(tape.gradient(mean, log_rates), case["grad_logrates"], 1e-4)


@pytest.mark.parametrize("rate, training", [(0.0, True), (0.3, False), (0.3, None), (0.0, False)])
def test_nothing_is_hidden_at_rate_zero_and_at_inference(rate, training):
    x, mask = CoordinatedDropout(rate, 0.5, seed=1)(X, training=training)
    assert np.array_equal(x, X) and np.all(mask)


@pytest.mark.parametrize("rate, pass_rate", [(0.1, 0.0), (0.4, 0.3), (0.4, 1.0)])
def test_masks_have_their_rates_and_the_input_its_mean(rate, pass_rate):
    ones = np.ones((400, 30, 5), "float32")
    hidden, mask = CoordinatedDropout(rate, pass_rate, seed=1)(ones, training=True)
    hidden, mask = np.asarray(hidden), np.asarray(mask)
    kept = hidden != 0
    np.testing.assert_allclose(hidden[kept], 1 / (1 - rate), rtol=1e-6)
    assert_mean(~kept.ravel(), rate)
    assert_mean(hidden.ravel(), 1.0)
    assert mask[~kept].all()
    assert_mean(mask[kept], pass_rate)
    # Masks differ between trials, bins and channels.
    assert all(kept.std(axis).max() > 0 for axis in range(3))


def test_the_segment_is_spared():
    hidden, mask = CoordinatedDropout(0.5, skip_steps=2, seed=1)(X, training=True)
    assert np.array_equal(hidden[:, :2], X[:, :2]) and np.all(mask[:, :2])
    assert not np.all(mask[:, 2:])


def test_seeds():
    def draws(seed):
        layer = CoordinatedDropout(0.5, seed=seed)
        return [layer(X, training=True) for _ in range(2)]

    assert_same(draws(1), draws(1))
    assert not np.array_equal(draws(1)[0][1], draws(2)[0][1])
    assert not np.array_equal(draws(1)[0][1], draws(1)[1][1])


@pytest.mark.parametrize("rate, pass_rate", [(0.2, 0.0), (0.5, 0.4)])
def test_rescale_keeps_the_expected_gradient(rate, pass_rate):
    layer, repeats = CoordinatedDropout(rate, pass_rate, seed=2), 4000
    x = tf.ones((repeats, 2, 2))
    _, mask = layer(x, training=True)
    weights = tf.constant([[1.0, -2.0, 3.0]] * 3)
    with tf.GradientTape() as tape:
        tape.watch(rates := tf.ones((repeats, 3, 3)))
        loss = block_gradient(rates * weights, mask, 1 / (rate + (1 - rate) * pass_rate))
    gradient = np.asarray(tape.gradient(loss, rates))
    assert_close(loss, np.broadcast_to(weights, loss.shape))
    assert_mean(gradient, weights)
    # What the encoder never saw has its gradient whole in every draw.
    assert np.ptp(gradient[:, 2], axis=0).max() == 0 and np.ptp(gradient[:, :, 2], axis=0).max() == 0


def test_rescale_spares_the_segment():
    """The segment always trains, so a factor for hidden samples would count it several times."""
    _, mask = CoordinatedDropout(0.2, skip_steps=2, seed=2)(tf.ones((50, 5, 2)), training=True)
    with tf.GradientTape() as tape:
        tape.watch(rates := tf.ones((50, 5, 2)))
        loss = block_gradient(rates, mask, 1 / 0.2, skip_steps=2)
    gradient = np.asarray(tape.gradient(loss, rates))
    assert np.all(gradient[:, :2] == 1) and set(np.unique(gradient[:, 2:])) == {0.0, 5.0}


def test_a_samples_axis_shares_the_mask():
    _, mask = CoordinatedDropout(0.5, seed=1)(X, training=True)
    with tf.GradientTape() as tape:
        tape.watch(rates := tf.ones((4, 3, 7, 4)))
        loss = block_gradient(rates, mask)
    gradient = np.asarray(tape.gradient(loss, rates))
    assert np.array_equal(gradient[:, 0, :6, :3], mask) and np.all(gradient == gradient[:, :1])
    assert np.all(gradient[:, :, 6:] == 1) and np.all(gradient[..., 3:] == 1)


@pytest.mark.parametrize("rate, passed", [(1.0, 0.0), (-0.1, 0.0), (0.5, 1.1)])
def test_impossible_rates_are_refused(rate, passed):
    with pytest.raises(ValueError, match=f"rate={rate}, pass_rate={passed}.*0.1 to 0.5"):
        CoordinatedDropout(rate, passed)
