"""Every cell against the layer of Keras and a plain loop, and its backward step against automatic differentiation."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.params import RNN_CELLS
from indl.rnn import Recurrent
from indl.rnn.cells import CELLS
from tests.checks import assert_close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 2))
# Bins are missing inside, and at the end of one trial; the ends of time are there for both directions.
HOLES = np.array([[1, 0, 0, 1, 1], [1, 1, 1, 1, 1], [1, 0, 1, 0, 1]], bool)
DIRECTIONS = ("forward", "backward", "both")


def layer_of(cell, **kwargs):
    """A float64 layer of 4 units, with every weight away from its start; a narrow clip, that acts."""
    layer = Recurrent(4, cell, clip_value=0.4, dtype="float64", **kwargs)
    layer.build((None, None, 2))
    rng = np.random.default_rng(1)
    for variable in layer.weights:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def states_for(layer, rows=3, seed=2):
    """Random initial states of every direction."""
    n = len(layer.ways) * layer.cell.n_states
    return [tf.constant(part) for part in np.random.default_rng(seed).normal(size=(n, rows, 4))]


def keras_twin(layer):
    """Keras's layer with the weights of `layer`, as a function of inputs, states and mask."""
    kinds = {
        "LSTM": keras.layers.LSTM,
        "GRU": keras.layers.GRU,
        "SimpleRNN": keras.layers.SimpleRNN,
        "ReLURNN": functools.partial(keras.layers.SimpleRNN, activation="relu"),
        "GRUClip": lambda *args, **kwargs: keras.layers.GRU(*args, reset_after=False, **kwargs),
    }
    single = kinds[layer.cell_type](
        4, return_sequences=True, go_backwards=layer.directions == "backward", dtype="float64"
    )
    twin = keras.layers.Bidirectional(single, merge_mode=None, dtype="float64") if len(layer.ways) == 2 else single
    twin(X)
    twin.set_weights(layer.get_weights())

    def run(x, initial_state=None, mask=None):
        found = twin(x, initial_state=initial_state, mask=mask)
        # Alone, Keras's backward layer returns its states in the order it met the bins.
        return found[:, ::-1] if layer.directions == "backward" else found

    return run


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("cell", RNN_CELLS)
def test_values_equal_those_of_keras(cell, directions):
    layer = layer_of(cell, directions=directions)
    layer.cell.clip_value = 1e9
    twin, start = keras_twin(layer), states_for(layer)
    for kwargs in ({}, {"initial_state": start}, {"mask": tf.constant(HOLES)}):
        for a, b in zip(tf.nest.flatten(layer(X, **kwargs)), tf.nest.flatten(twin(X, **kwargs)), strict=True):
            # Where a bin is missing, Keras gives zeros in both directions, and the last state in one.
            inside = HOLES if "mask" in kwargs else np.ones_like(HOLES)
            assert_close(np.asarray(a)[inside], np.asarray(b)[inside], 1e-12)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_variables_are_those_of_keras(cell):
    """Shapes and how they start: the same seed gives the same bias, and kernels of the same distribution."""
    keras.utils.set_random_seed(0)
    ours, theirs = Recurrent(60, cell), getattr(keras.layers, cell)(60)
    ours.build((None, None, 40)), theirs.build((None, None, 40))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert a.shape == b.shape
    (kernel, recurrent_kernel, bias), width = ours.get_weights(), 60 * CELLS[cell].gates
    assert np.array_equal(bias, theirs.get_weights()[2])
    limit = np.sqrt(6 / (40 + width))
    assert limit * 0.98 < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(kernel.std(), limit / np.sqrt(3), rtol=0.05)
    np.testing.assert_allclose(recurrent_kernel @ recurrent_kernel.T, np.eye(60), atol=1e-5)


def test_weights_of_the_clipped_gru_at_the_start():
    keras.utils.set_random_seed(0)
    layer = Recurrent(100, directions="both")
    layer.build((None, None, 400))
    for way in layer.ways:
        weights = layer.weights_of[way]
        assert np.array_equal(weights["bias"], np.repeat([1.0, 1.0, 0.0], 100))
        np.testing.assert_allclose(np.std(weights["kernel"]), 400**-0.5, rtol=0.03)
        np.testing.assert_allclose(np.std(weights["recurrent_kernel"]), 100**-0.5, rtol=0.03)
    square = Recurrent(5, directions="both")
    square.build((None, None, 5))
    kernels = [v.numpy() for v in square.weights if "kernel" in v.name]
    assert len({kernel.tobytes() for kernel in kernels}) == 4


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_joint_start(cell):
    """Both kernels of an LFADS encoder have the fan-in of input and state together."""
    keras.utils.set_random_seed(0)
    layer = Recurrent(100, cell, joint_init=True)
    layer.build((None, None, 300))
    for kernel in layer.get_weights()[:2]:
        np.testing.assert_allclose(kernel.std(), 400**-0.5, rtol=0.03)


# --- the clipped GRU ----------------------------------------------------------------------------


def loop(x, h, kernel, recurrent_kernel, bias, clip):
    """The formulas, one step and one gate at a time."""

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    kz, kr, kn = np.split(kernel, 3, axis=1)
    uz, ur, un = np.split(recurrent_kernel, 3, axis=1)
    bz, br, bn = np.split(bias, 3)
    states = []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ kz + bz + h @ uz)
        r = sigmoid(x[:, t] @ kr + br + h @ ur)
        n = np.tanh(x[:, t] @ kn + bn + (r * h) @ un)
        h = np.clip(z * h + (1 - z) * n, -clip, clip)
        states.append(h)
    return np.stack(states, 1)


@pytest.mark.parametrize("clip", [5.0, 0.25])
@pytest.mark.parametrize("width", [2, 0])
def test_trap_01_gates_of_the_clipped_gru_equal_a_plain_loop(clip, width):
    layer = Recurrent(4, clip_value=clip, dtype="float64")
    start = RNG.normal(size=(3, 4))
    states = np.asarray(layer(X[..., :width], initial_state=[start]))
    weights = [v.numpy() for v in layer.weights_of["forward"].values()]
    assert_close(states, loop(X[..., :width], start, *weights, clip), 1e-12)
    assert np.abs(states).max() <= clip
    # The initial state itself is not clipped: one beyond the bound still enters the first step as it is.
    assert np.abs(start).max() > 0.25


def test_trap_01_each_gate_has_its_sign_place_and_bias():
    """Bias alone opens and closes the gates: what they do can be read off."""
    layer, h = Recurrent(4, dtype="float64"), RNG.uniform(-0.9, 0.9, (3, 4))
    layer.build((None, None, 2))
    kernel, recurrent_kernel, bias = layer.weights
    kernel.assign(np.zeros((2, 12)))
    recurrent_kernel.assign(np.concatenate([np.zeros((4, 8)), 2 * np.eye(4)], 1))

    def after(z, r, n=0.3):
        bias.assign(np.repeat([z, r, n], 4))
        return layer(X[:, :1], initial_state=[h])[:, 0]

    assert_close(after(40, 40), h, 1e-12)  # an open update gate keeps the state
    assert_close(after(-40, 40), np.tanh(0.3 + 2 * h), 1e-12)  # a closed one takes the candidate
    assert_close(after(-40, -40), np.full((3, 4), np.tanh(0.3)), 1e-12)  # without the state, if the reset gate is shut
    assert_close(after(0, 40), 0.5 * h + 0.5 * np.tanh(0.3 + 2 * h), 1e-12)


def test_trap_01_the_reset_comes_before_the_product_in_the_clipped_gru_and_after_it_in_the_gru():
    clipped, plain = layer_of("GRUClip"), layer_of("GRU")
    clipped.cell.clip_value = 1e9
    kernel, recurrent_kernel, bias = clipped.get_weights()
    plain.set_weights([kernel, recurrent_kernel, np.stack([bias, np.zeros_like(bias)])])
    assert_close(clipped(X), keras_twin(clipped)(X), 1e-12)
    assert_close(plain(X), keras_twin(plain)(X), 1e-12)
    assert np.abs(clipped(X) - plain(X)).max() > 0.01


def test_trap_01_the_gru_has_a_bias_on_either_side_of_the_reset_gate():
    layer = layer_of("GRU")
    before = np.asarray(layer(X))
    kernel, recurrent_kernel, bias = layer.get_weights()
    layer.set_weights([kernel, recurrent_kernel, bias[::-1]])
    changed = np.abs(layer(X) - before).max()
    # On z and r both rows act alike, so that only the candidate tells them apart.
    bias[:, 8:] = 0.0
    layer.set_weights([kernel, recurrent_kernel, bias])
    same = np.asarray(layer(X))
    layer.set_weights([kernel, recurrent_kernel, bias[::-1]])
    assert changed > 0.01
    assert_close(layer(X), same, 1e-12)


@pytest.mark.parametrize("training", [False, True])
def test_the_gradient_stops_at_the_bound(training):
    layer, x = Recurrent(4), tf.constant(X[:, :1], "float32")
    layer.build(x.shape)
    for clip, passes in ((5.0, True), (1e-6, False)):
        layer.cell.clip_value = clip
        with tf.GradientTape() as tape:
            tape.watch(x)
            states = layer(x, training=training)
        assert np.all(np.asarray(tape.gradient(states, x) != 0) == passes)


# --- gradients ----------------------------------------------------------------------------------


def values_and_gradients(layer, x, start, mask, own):
    """States, and gradients of a random functional of theirs in x, initial states and variables."""
    x, start = tf.constant(x), [tf.constant(part) for part in start]
    with tf.GradientTape() as tape:
        tape.watch([x, start])
        states = tf.nest.flatten(layer(x, initial_state=start or None, mask=mask, training=own))
        rng = np.random.default_rng(3)
        total = sum(tf.reduce_sum(tf.constant(rng.normal(size=part.shape)) * part) for part in states)
    sources = [x, *start, *(v.value for v in layer.trainable_variables)]
    return states, tape.gradient(total, sources)


@pytest.mark.parametrize(
    "start, masked",
    [
        ("given", True),
        ("trained", True),
        pytest.param("zeros", False, marks=pytest.mark.slow),
        pytest.param("one row", False, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("cell", RNN_CELLS)
def test_own_gradient_equals_automatic_differentiation(cell, directions, start, masked):
    layer = layer_of(cell, directions=directions, train_state=start == "trained")
    given = {"given": 3, "one row": 1}.get(start)
    given = states_for(layer, given) if given else []
    mask = tf.constant(HOLES) if masked else None
    states, found = values_and_gradients(layer, X, given, mask, own=True)
    wanted_states, wanted = values_and_gradients(layer, X, given, mask, own=False)
    for a, b in zip([*states, *found], [*wanted_states, *wanted], strict=True):
        assert_close(a, b, 1e-10)
        assert np.any(b)


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_own_gradient_of_an_autonomous_cell(cell):
    layer = Recurrent(4, cell, dtype="float64", directions="both", train_state=True)
    empty = X[..., :0]
    layer(empty)
    for variable in layer.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    assert len(layer.trainable_variables) == 6 and len(layer.weights) == 8
    found, wanted = (values_and_gradients(layer, empty, [], None, own)[1] for own in (True, False))
    for a, b in zip(found[1:], wanted[1:], strict=True):
        assert_close(a, b, 1e-10)
        assert np.any(b)
