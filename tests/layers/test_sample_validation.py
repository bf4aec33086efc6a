"""Sample validation: reference values, and what masks do to inputs and losses; how gaps are filled."""

import json

import numpy as np
import pytest
import tensorflow as tf

from indl.data.batches.sample_mask import SampleMask
from indl.layers.missing import FillMissing
from indl.layers.sample_validation import SampleValidation, sample_validation_losses, sample_weights
from tests.checks import assert_close, assert_mean, check_layer
from tests.conftest import parity_files

FILES = parity_files("lfads_augmentations") or [
    pytest.param(None, marks=pytest.mark.skip("no file lfads_augmentations*.npz"))
]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recorded(request):
    """The arrays of a file, float32 where they are real, and its configuration."""
    with np.load(request.param) as file:
        arrays = {key: file[key] for key in file.files if key != "config"}
        config = json.loads(str(file["config"]))
    return {key: a.astype("float32") if a.dtype.kind == "f" else a for key, a in arrays.items()}, config


def poisson_loss(log_rates, target):
    return tf.exp(log_rates) - target * log_rates


@pytest.mark.parity
def test_filled_gaps_equal_the_reference(recorded):
    arrays, _ = recorded
    assert_close(FillMissing()(arrays["missing/encod_data"]), arrays["missing/network_input"])


@pytest.mark.parity
def test_sample_validation_equals_the_reference(recorded):
    arrays, config = recorded
    rate, visible = config["sv_rate"], arrays["sample_validation/keep_mask"].astype(bool)
    x = arrays["sample_validation/encod_data"]
    assert_close(SampleValidation(rate)(tf.constant(x), visible), arrays["sample_validation/network_input"])
    with tf.GradientTape() as tape:
        tape.watch(log_rates := tf.constant(arrays["sample_validation/logrates"]))
        loss = poisson_loss(log_rates, arrays["sample_validation/recon_data"])
        elements, hidden = sample_validation_losses(loss, visible, rate)
        mean = tf.reduce_mean(elements)
    assert_close(elements, arrays["sample_validation/heldin_loss_elements"])
    assert_close(mean, arrays["sample_validation/heldin_loss_mean"])
    assert_close(tf.reduce_mean(hidden), arrays["sample_validation/heldout_loss_mean"])
    assert_close(tape.gradient(mean, log_rates), arrays["sample_validation/grad_logrates"], 1e-4)


def test_losses_with_a_samples_axis_are_those_of_each_sample():
    rng = np.random.default_rng(0)
    loss = rng.random((3, 4, 6, 5)).astype("float32")
    visible = rng.random((3, 5, 4)) < 0.7
    found, hidden = sample_validation_losses(loss, visible, 0.3)
    each = [sample_validation_losses(loss[:, s], visible, 0.3) for s in range(4)]
    for s in range(4):
        np.testing.assert_array_equal(found[:, s], each[s][0])
        np.testing.assert_array_equal(hidden[:, s], each[s][1])


def test_sample_validation_is_unbiased():
    loss = np.random.default_rng(0).random((4000, 3, 2)).astype("float32")
    visible = SampleMask((4000, 2, 2), 0.3, seed=5)[:]
    # A trial of which nothing is hidden is one of inference.
    visible = visible[~visible.all((1, 2))]
    loss = loss[: len(visible)]
    trained, hidden = map(np.asarray, sample_validation_losses(loss, visible, 0.3))
    assert np.array_equal(trained[:, 2], loss[:, 2]), "bins that the encoder never sees always train"
    chance = 0.7 * (1 - 0.7**3) / (1 - 0.7**4)  # of being visible in a trial of which something is hidden
    assert_mean(np.ravel(trained[:, :2] - loss[:, :2] * chance / 0.7), 0.0)
    assert_mean(np.ravel(hidden - loss[:, :2] * (1 - chance) / 0.3), 0.0)


def test_weights_by_hand():
    visible = np.array([[[1, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [1, 1]], [[1, 1], [1, 1], [1, 1]]])
    expected = [[[1, 1], [1.25, 0], [1.25, 1.25]], np.ones((3, 2)), np.ones((3, 2))]
    for given in (visible.astype(bool), visible.astype("float32")):
        np.testing.assert_array_equal(sample_weights(given, 0.2, skip_steps=1), np.float32(expected))
    assert np.array_equal(sample_weights(visible, 0.2)[1], np.float32([[0, 0], [1.25, 1.25], [1.25, 1.25]]))
    losses, hidden = sample_validation_losses(np.ones((3, 4, 3), "float32"), visible, 0.2, skip_steps=1)
    np.testing.assert_array_equal(
        losses, np.pad(expected, ((0, 0), (0, 1), (0, 1)), constant_values=1).astype("float32")
    )
    assert float(tf.reduce_sum(hidden)) == 5 and hidden[0, 1, 1] == 5


def test_layer():
    x = np.random.default_rng(0).random((4, 5, 3)).astype("float32")
    visible = np.random.default_rng(1).random(x.shape).astype("float32").round()
    expected = x * np.where(np.arange(5)[:, None] < 2, 1, visible / 0.6)
    check_layer(lambda: SampleValidation(0.4, skip_steps=2), x, visible, expected=expected.astype("float32"))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: SampleValidation(0.0), "a rate of 0.0"),
        (lambda: sample_validation_losses(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), 1.0), "a rate of 1.0"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
