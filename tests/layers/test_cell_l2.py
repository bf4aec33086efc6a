"""The L2 penalty of LFADS against NumPy, alone and in whole models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.cell_l2 import CellL2
from indl.params import preset
from indl.rnn import Recurrent
from tests.checks import assert_close, saved_and_loaded, tiny_model

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale, total", [(0.5, 12), (1e-2, 1000), (0.0, 12), (2.0, 1)])
def test_value_and_gradient(scale, total):
    kernel = RNG.normal(size=(4, 12))
    tensor = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        penalty = CellL2(scale, total)(tensor)
    np.testing.assert_allclose(penalty, 0.5 * scale * (kernel**2).sum() / total, rtol=1e-7)
    np.testing.assert_allclose(tape.gradient(penalty, tensor), scale * kernel / total, rtol=1e-7)


def test_it_is_half_the_mean_square_of_cells_that_have_all_weights():
    """Two cells of one scale have the penalty of one that holds the weights of both."""
    one, two = RNG.normal(size=(4, 12)), RNG.normal(size=(5, 15))
    total = one.size + two.size
    both = CellL2(0.3, total)(one) + CellL2(0.3, total)(two)
    np.testing.assert_allclose(both, 0.15 * np.mean(np.concatenate([one.ravel(), two.ravel()]) ** 2), rtol=1e-7)


def test_nothing_to_penalize_is_zero():
    assert float(CellL2(0.0, 0)(np.ones((2, 6)))) == 0.0


def test_config_and_a_saved_model():
    penalty = CellL2(0.2, 48)
    assert CellL2.from_config(penalty.get_config()).get_config() == {"scale": 0.2, "total": 48}
    x = keras.Input((None, 3))
    model = keras.Model(x, Recurrent(4, recurrent_regularizer=penalty)(x))
    kernel = next(v for v in model.weights if v.name == "forward_recurrent_kernel").numpy()
    assert_close(sum(model.losses), 0.1 * (kernel**2).sum() / 48)
    loaded = saved_and_loaded(model)
    assert_close(sum(loaded.losses), sum(model.losses))


SIZES = {"f_units": [4], "f_latent_size": 3, "z1_units": [5], "gen_n_hidden": [6], "n_factors": 3}
CONTROLLED = {**SIZES, "z2_units": 3, "z_latent_size": 2}
SCALES = ("l2_f_enc_scale", "l2_z_enc_scale", "l2_con_scale", "l2_gen_scale")


def kernels(model):
    """The recurrent kernels under the name of their scale."""
    layers, found = {layer.name: layer for layer in model.layers}, {}
    for scale, name in zip(SCALES, ("f_rnn_0", "z1_0"), strict=False):
        if name in layers:
            found[scale] = [weights["recurrent_kernel"] for weights in layers[name].weights_of.values()]
    cell = layers["complex_cell"]
    found |= {"l2_con_scale": [cell.controller["recurrent_kernel"]]} if cell.size else {}
    return {**found, "l2_gen_scale": [cell.generator["recurrent_kernel"]]}


@pytest.mark.parametrize(
    "name, sizes, scales",
    [
        ("lfads", CONTROLLED, (0.1, 0.2, 0.3, 0.4)),
        ("lfads", CONTROLLED, (0.0, 0.0, 0.3, 0.4)),
        ("lfads", CONTROLLED, (0.0, 0.0, 0.0, 0.0)),
        ("lfads_no_controller", SIZES, (0.1, 0.0, 0.0, 0.4)),
    ],
    ids=["all cells", "controller and generator", "none", "no controller"],
)
def test_the_whole_model(name, sizes, scales):
    """``sum over cells of scale / 2 * sum(U^2) / entries``, the entries of all cells with a positive scale."""
    scales = dict(zip(SCALES, scales, strict=True))
    model = tiny_model(7, 4, **preset(name, **sizes, **scales))
    found = kernels(model)
    values = {scale: np.concatenate([v.numpy().ravel() for v in found[scale]]) for scale in found if scales[scale] > 0}
    total = sum(value.size for value in values.values())
    expected = sum(0.5 * scales[scale] * (value**2).sum() / total for scale, value in values.items())
    assert_close(sum(model.losses) if model.losses else 0.0, expected)
    # The schedule's weight multiplies the penalty of the loss.
    x = np.ones((2, 7, 4), "float32")
    model.l2_weight.assign(0.25)
    terms = model.loss_terms(x, model(x))
    model.l2_weight.assign(0.0)
    without = model.loss_terms(x, model(x))["loss"]
    scale = model.params["loss_scale"]
    assert_close(terms["penalty"], expected)
    assert_close((terms["loss"] - without) / scale, np.full(2, 0.25 * expected), 1e-4)
