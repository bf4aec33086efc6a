"""The clipped GRU against reference values and a plain loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.rnn import GRUClip, GRUClipCell
from tests.checks import assert_close, check_layer, parity_cases, untrained

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")


def loop(x, h, kernel, recurrent_kernel, bias, clip):
    """The formulas, one step and one gate at a time, in float64."""

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    kz, kr, kn = np.split(np.asarray(kernel, "float64"), 3, axis=1)
    uz, ur, un = np.split(np.asarray(recurrent_kernel, "float64"), 3, axis=1)
    bz, br, bn = np.split(np.asarray(bias, "float64"), 3)
    states = []
    for t in range(x.shape[1]):
        z = sigmoid(x[:, t] @ kz + bz + h @ uz)
        r = sigmoid(x[:, t] @ kr + br + h @ ur)
        n = np.tanh(x[:, t] @ kn + bn + (r * h) @ un)
        h = np.clip(z * h + (1 - z) * n, -clip, clip)
        states.append(h)
    return np.stack(states, 1)


def weights_of(layer):
    return [np.asarray(getattr(layer.cell, name)) for name in ("kernel", "recurrent_kernel", "bias")]


@pytest.mark.parametrize(
    "make",
    [
        lambda: GRUClip(4),
        lambda: GRUClip(4, clip_value=0.2, return_sequences=True),
        lambda: GRUClip(4, return_sequences=True, return_state=True, recurrent_regularizer=keras.regularizers.L2(0.1)),
        lambda: keras.layers.Bidirectional(GRUClip(4, return_sequences=True)),
        lambda: keras.layers.RNN(GRUClipCell(4), return_sequences=True),
    ],
)
def test_suite(make):
    check_layer(make, X)


@pytest.mark.parity
@pytest.mark.parametrize("config, case", parity_cases("lfads_clipped_gru"))
def test_parity(config, case):
    layer = GRUClip(config["units"], config["clip"], return_sequences=True, return_state=True)
    names, directions = ("kernel", "recurrent_kernel", "bias"), [""]
    if config["bidirectional"]:
        layer, directions = keras.layers.Bidirectional(layer), ["forward/", "backward/"]
    layer.build((None, None, case["x"].shape[-1]))
    cells = [layer.forward_layer.cell, layer.backward_layer.cell] if config["bidirectional"] else [layer.cell]
    paths = {
        f"{direction}{name}": getattr(cell, name)
        for direction, cell in zip(directions, cells, strict=True)
        for name in names
    }
    for path, variable in paths.items():
        variable.assign(case[f"weights/{path}"])
    x, initial = (tf.constant(case[name], tf.float32) for name in ("x", "initial_state"))
    with tf.GradientTape() as tape:
        tape.watch([x, initial])
        outputs, *states = layer(x, initial_state=tf.unstack(initial) if config["bidirectional"] else [initial])
        final = tf.stack(states) if config["bidirectional"] else states[0]
        functional = sum(
            tf.reduce_sum(value * tf.cast(case[f"cotangent_{name}"], tf.float32))
            for value, name in ((outputs, "outputs"), (final, "final_state"))
        )
    variables = [v.value for v in paths.values()]
    found = tape.gradient(functional, [x, initial, *variables], unconnected_gradients="zero")
    assert_close(outputs, case["outputs"])
    assert_close(final, case["final_state"])
    for gradient, name in zip(found, ["x", "initial_state", *paths], strict=True):
        assert_close(gradient, case[f"grad/{name}"], 1e-4)


@pytest.mark.parametrize("clip", [5.0, 0.25])
@pytest.mark.parametrize("width", [3, 0])
def test_values_equal_a_plain_loop(clip, width):
    layer = GRUClip(4, clip, return_sequences=True)
    x = X[..., :width]
    start = np.random.default_rng(1).normal(size=(4, 4)).astype("float32")
    states = np.asarray(layer(x, initial_state=[tf.constant(start)]))
    assert_close(states, loop(x, start.astype("float64"), *weights_of(layer), clip))
    assert np.abs(states).max() <= clip
    # The initial state itself is not clipped: a state beyond the bound still enters the first step as it is.
    assert np.abs(start).max() > 0.25


def test_an_autonomous_layer_trains_and_saves():
    # From a zero state it stays at zero, where the recurrent kernel has no gradient.
    check_layer(lambda: GRUClip(4, return_sequences=True), X[..., :0], dead=("recurrent_kernel",))
    layer = GRUClip(4, return_sequences=True)
    with tf.GradientTape() as tape:
        states = layer(X[..., :0], initial_state=[tf.ones((4, 4))])
    variables = layer.trainable_variables
    assert len(variables) == 2
    assert untrained(variables, tape.gradient(states, [v.value for v in variables])) == []


def test_go_backwards():
    forward, backward = (GRUClip(4, return_sequences=True, go_backwards=value) for value in (False, True))
    forward(X), backward(X)
    backward.set_weights(forward.get_weights())
    assert_close(backward(X), forward(X[:, ::-1].copy()))


def test_it_is_the_reset_before_gru():
    """With kernels copied over, Keras's GRU agrees where the reset comes first, and only there."""
    layer = GRUClip(4, return_sequences=True)
    layer(X)
    layer.cell.recurrent_kernel.assign(3 * layer.cell.recurrent_kernel)
    before = keras.layers.GRU(4, return_sequences=True, reset_after=False)
    after = keras.layers.GRU(4, return_sequences=True, reset_after=True)
    before(X), after(X)
    kernel, recurrent_kernel, bias = weights_of(layer)
    before.set_weights([kernel, recurrent_kernel, bias])
    after.set_weights([kernel, recurrent_kernel, np.stack([bias, np.zeros_like(bias)])])
    assert_close(layer(X), before(X))
    assert np.abs(layer(X) - after(X)).max() > 0.01


def test_the_gradient_stops_at_the_bound():
    layer = GRUClip(4, clip_value=0.05, return_sequences=True)
    x = tf.constant(X[:, :1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        states = layer(x)
    clipped = np.all(np.abs(states) >= 0.05, axis=(1, 2))
    gradient = np.abs(tape.gradient(states, x)).sum((1, 2))
    layer.cell.clip_value = 1e-6
    with tf.GradientTape() as tape:
        tape.watch(x)
        states = layer(x)
    assert np.all(np.abs(tape.gradient(states, x)) == 0) and np.all(gradient[~clipped] > 0)


def test_weights_at_the_start():
    keras.utils.set_random_seed(0)
    cell = GRUClip(100).cell
    cell.build((None, 400))
    assert np.array_equal(cell.bias, np.repeat([1.0, 1.0, 0.0], 100))
    np.testing.assert_allclose(np.std(cell.kernel), 400**-0.5, rtol=0.03)
    np.testing.assert_allclose(np.std(cell.recurrent_kernel), 100**-0.5, rtol=0.03)
    square = GRUClip(5).cell
    square.build((None, 5))
    assert not np.allclose(square.kernel, square.recurrent_kernel)


def test_the_penalty_is_on_the_recurrent_kernel():
    layer = GRUClip(4, recurrent_regularizer=keras.regularizers.L2(0.1))
    layer(X)
    assert_close(layer.losses[0], 0.1 * np.sum(np.square(layer.cell.recurrent_kernel)))
    assert len(layer.losses) == 1


@pytest.mark.parametrize("units, clip", [(0, 5.0), (4, 0.0)])
def test_impossible_sizes_are_refused(units, clip):
    with pytest.raises(ValueError, match=f"units={units}, clip_value={clip}.*clip_value=5"):
        GRUClip(units, clip)
