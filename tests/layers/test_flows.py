"""Flows: inverse, volume, gradients and the layers' own suite."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.flows import AffineCoupling, GINBlock, InjectiveFlow, Lift, Permutation
from indl.layers.mlp import MLP
from tests.checks import assert_close, check_layer

X = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")


def trained_like(layer, shape, seed=0, spread=1.5):
    """The layer with weights several times those of its start."""
    if not layer.built:
        layer.build(shape)
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        scale = spread / np.sqrt(max(weight.shape[0], 1)) if len(weight.shape) == 2 else 0.3
        weight.assign(rng.normal(0, scale, weight.shape))
    return layer


@pytest.mark.parametrize(
    "factory",
    [
        lambda: MLP(3, [4, 6], "tanh"),
        lambda: MLP(2),
        lambda: Permutation(3),
        lambda: AffineCoupling(3, [4]),
        lambda: GINBlock(3, [4], depth=3),
        lambda: GINBlock(3, [4], depth=2, share=True),
        lambda: Lift(9, [4], "tanh"),
        lambda: InjectiveFlow(9, slice_size=4, hidden=[5], lift_hidden=[4]),
    ],
    ids=["mlp", "linear", "permutation", "coupling", "block", "shared", "lift", "flow"],
)
def test_suite(factory):
    check_layer(factory, X)


def test_mlp_is_dense_layers_in_a_row():
    layer = trained_like(MLP(3, [4], "tanh"), (None, 7))
    first, second = layer.dense
    hidden = np.tanh(X @ np.asarray(first.kernel) + np.asarray(first.bias))
    assert_close(layer(X), hidden @ np.asarray(second.kernel) + np.asarray(second.bias))


def test_permutation_is_that_of_the_original():
    order = [18, 1, 19, 8, 10, 17, 6, 13, 4, 2, 5, 14, 9, 7, 16, 11, 3, 0, 15, 12]
    h = np.arange(20, dtype="float32")[None]
    np.testing.assert_array_equal(Permutation(0)(h)[0], order)


def test_permutation_hands_the_gradient_back_in_order():
    layer, h = Permutation(1), tf.constant(X)
    weights = tf.constant(np.random.default_rng(1).normal(size=X.shape).astype("float32"))
    with tf.GradientTape() as outer:
        outer.watch(h)
        with tf.GradientTape() as tape:
            tape.watch(h)
            total = tf.reduce_sum(weights * layer(h) ** 2)
        gradient = tape.gradient(total, h)
    assert_close(layer(gradient), 2 * weights * layer(h))
    assert_close(layer(outer.gradient(gradient, h)), 2 * weights)


def test_coupling_by_hand():
    layer = trained_like(AffineCoupling(3, [4]), (None, 7))
    found = np.asarray(layer.network(X[:, :3]))
    log_scale = 0.1 * np.tanh(found[:, :3])
    log_scale = np.concatenate([log_scale, -log_scale.sum(1, keepdims=True)], 1)
    wanted = np.concatenate([X[:, 3:] * np.exp(log_scale) + found[:, 3:], X[:, :3]], 1)
    assert_close(layer(X), wanted)


@pytest.mark.parametrize("share", [False, True])
def test_shared_couplings_are_one_coupling_applied_again(share):
    block = GINBlock(3, [4], depth=2, share=share)
    block.build((None, 7))
    assert len({id(coupling) for coupling in block.couplings}) == (1 if share else 2)
    assert len(block.trainable_weights) == (4 if share else 8)
    h = block.permutation(X)
    for coupling in block.couplings:
        h = coupling(h)
    assert_close(block(X), h)


@pytest.mark.parametrize("size", [100, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("spread", [None, pytest.param(1.5, marks=pytest.mark.slow)])
def test_inverse_of_ten_thousand_points(size, spread):
    keras.utils.set_random_seed(0)
    flow = InjectiveFlow(size, hidden=[size // 4] * 2, lift_hidden=[size // 4] * 2)
    flow.build((None, 2))
    if spread:
        trained_like(flow, (None, 2), spread=spread)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(10_000, 2)).astype("float32")
    assert np.abs(flow.inverse(flow(z)) - z).max() <= 1e-4
    h = rng.normal(size=(10_000, size)).astype("float32")
    for block in flow.blocks:
        assert np.abs(block.inverse(block(h)) - h).max() <= 1e-4
        assert np.abs(block.log_det(h)).max() <= 1e-4
        # The bound on the scales is used: the last one is far from 1.
        scale = block.couplings[0].scale_and_shift(block.permutation(h)[:, : size // 2])[0]
        assert np.abs(scale[:, -1]).max() > (0.5 if spread else 0.05)


def test_volume_by_the_jacobian():
    block = trained_like(GINBlock(3, [4], depth=3), (None, 7))
    h = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(h)
        y = block(h)
    jacobian = np.asarray(tape.batch_jacobian(y, h), "float64")
    np.testing.assert_allclose(np.abs(np.linalg.det(jacobian)), 1, atol=1e-5)
    assert np.abs(jacobian - np.eye(7)).max() > 0.5
    assert_close(block.log_det(X), np.zeros(5))


def test_lift_keeps_the_latent():
    layer = Lift(9, [4])
    np.testing.assert_array_equal(layer(X)[:, :7], X)
    np.testing.assert_array_equal(layer.inverse(layer(X)), X)
    np.testing.assert_array_equal(Lift(7, [4])(X), X)


@pytest.mark.parametrize(
    "factory, words",
    [
        (lambda: AffineCoupling(7), ["slice_size=7 of 7", "from 1 to 6"]),
        (lambda: AffineCoupling(0), ["slice_size=0 of 7"]),
        (lambda: Lift(5), ["5 for 7 latents", "smaller latent"]),
    ],
)
def test_sizes_that_cannot_be(factory, words):
    with pytest.raises(ValueError) as error:
        factory()(X)
    assert all(word in str(error.value) for word in ["Given: ", *words])
