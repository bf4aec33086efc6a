"""The recurrent layer: reference values in every mode of running it, states, masks, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.params import RNN_CELLS
from indl.rnn import Recurrent
from tests.checks import CELLS, assert_close, assert_same, check_layer, parity_cases, saved_and_loaded, untrained

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6, 3)).astype("float32")
HOLES = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
EAGER, GRAPH, XLA = "eager", "graph", "XLA"
# Whole models run compiled in test_lfads_parity; the layer alone does with the slow tests.
MODES = [
    pytest.param(
        own,
        mode,
        id=f"{'own gradient' if own else 'plain loop'}-{mode}",
        marks=[pytest.mark.slow] if mode == XLA else [],
    )
    for own in (True, False)
    for mode in (EAGER, GRAPH, XLA)
]


def run_as(mode, function):
    """The function as Keras would run it: at once, in a graph, or compiled."""
    return function if mode == EAGER else tf.function(function, jit_compile=mode == XLA)


# --- reference values ---------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize("own, mode", MODES)
@pytest.mark.parametrize("config, case", parity_cases("lfads_clipped_gru"))
def test_parity(config, case, own, mode):
    both = config["bidirectional"]
    layer = Recurrent(config["units"], clip_value=config["clip"], directions="both" if both else "forward")
    layer.build((None, None, config["inputs"]))
    paths = {
        f"{way}/{name}" if both else name: variable
        for way, variables in layer.weights_of.items()
        for name, variable in variables.items()
    }
    for path, variable in paths.items():
        variable.assign(case[f"weights/{path}"])
    float32 = {name: tf.constant(case[name], tf.float32) for name in case}
    variables = [v.value for v in paths.values()]

    def values_and_gradients(x, initial):
        with tf.GradientTape() as tape:
            tape.watch([x, initial])
            start = tf.unstack(initial) if both else [initial]
            states = layer(x, initial_state=start, training=own)
            forward, backward = states if both else (states, None)
            outputs = tf.concat([forward, backward], -1) if both else forward
            final = tf.stack([forward[:, -1], backward[:, 0]]) if both else forward[:, -1]
            total = tf.reduce_sum(outputs * float32["cotangent_outputs"])
            total += tf.reduce_sum(final * float32["cotangent_final_state"])
        return outputs, final, tape.gradient(total, [x, initial, *variables])

    outputs, final, found = run_as(mode, values_and_gradients)(float32["x"], float32["initial_state"])
    assert_close(outputs, case["outputs"])
    assert_close(final, case["final_state"])
    for gradient, name in zip(found, ["x", "initial_state", *paths], strict=True):
        assert_close(gradient, case[f"grad/{name}"], 1e-4)


@pytest.mark.parametrize("own, mode", [case for case in MODES if case.values[1] != EAGER])
def test_unknown_batch_and_any_number_of_bins(own, mode):
    """One trace serves every shape; the numbers are those of eager execution."""
    layer = Recurrent(4, "SimpleRNN", directions="both", train_state=True)
    layer.build((None, None, 3))
    variables = [v.value for v in layer.trainable_variables]
    traces = []

    def loss_and_gradients(x, mask):
        traces.append(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = sum(tf.reduce_sum(tf.sin(part + 0.3)) for part in layer(x, mask=mask, training=own))
        return total, tape.gradient(total, [x, *variables])

    signature = [tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, None), "bool")]
    compiled = tf.function(loss_and_gradients, input_signature=signature, jit_compile=mode == XLA)
    shapes = [(4, 6), (1, 2)]
    found = [compiled(X[:b, :t], HOLES[:b, :t]) for b, t in shapes]
    assert traces == [(None, None, 3)]
    for (b, t), parts in zip(shapes, found, strict=True):
        wanted = loss_and_gradients(tf.constant(X[:b, :t]), tf.constant(HOLES[:b, :t]))
        for a, b in zip(tf.nest.flatten(parts), tf.nest.flatten(wanted), strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_gradient_is_the_cells_own_in_training_alone(cell, monkeypatch):
    layer, calls = Recurrent(4, cell), []
    back = layer.cell.backward
    monkeypatch.setattr(layer.cell, "backward", lambda *args: calls.append(1) or back(*args))
    x = keras.Input((None, 3))
    model = keras.Model(x, layer(x))
    for training in (False, True):
        with tf.GradientTape() as tape:
            states = model(X, training=training)
        tape.gradient(states, [v.value for v in model.trainable_variables])
        assert bool(calls) is training


@pytest.mark.slow
def test_it_trains_compiled():
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 3))
    model = keras.Model(x, Recurrent(3, train_state=True)(x))
    model.compile(keras.optimizers.Adam(3e-2), "mse", jit_compile=True)
    history = model.fit(X, 0.2 * np.cumsum(X, 1), epochs=20, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]


# --- the suite ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("directions", ["forward", "backward", "both"])
def test_suite(cell, directions):
    check_layer(lambda: Recurrent(4, cell, directions), X)


@pytest.mark.parametrize(
    "settings",
    [
        {"train_state": True, "joint_init": True, "clip_value": 0.2},
        {
            "train_state": True,
            "cell": "LSTM",
            "directions": "both",
            "recurrent_regularizer": keras.regularizers.L2(0.1),
        },
    ],
)
def test_suite_of_settings(settings):
    check_layer(lambda: Recurrent(4, **settings), X)


@pytest.mark.parametrize("cell", CELLS)
def test_autonomous_layer_trains_and_saves(cell):
    # From a zero state it stays at zero, where the recurrent kernel has no gradient.
    check_layer(lambda: Recurrent(4, cell), X[..., :0], dead=("recurrent_kernel",))
    layer = Recurrent(4, cell)
    start = [tf.ones((4, 4))] * layer.cell.n_states
    with tf.GradientTape() as tape:
        states = layer(X[..., :0], initial_state=start, training=True)
    variables = layer.trainable_variables
    assert len(variables) == 2
    assert untrained(variables, tape.gradient(states, [v.value for v in variables])) == []


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_initial_states_are_given_one_for_each_direction_and_component(cell):
    layer = Recurrent(4, cell, "both", dtype="float64")
    layer(X)
    n = layer.cell.n_states
    start = [tf.constant(RNG.normal(size=(4, 4))) for _ in range(2 * n)]
    both = layer(X, initial_state=start)
    for i, way in enumerate(("forward", "backward")):
        single = Recurrent(4, cell, way, dtype="float64")
        single.build((None, None, 3))
        single.set_weights([v.numpy() for v in layer.weights_of[way].values()])
        assert_close(both[i], single(X, initial_state=start[i * n : (i + 1) * n]), 1e-12)
    for component in range(n):
        moved = list(start)
        moved[n + component] = moved[n + component] + 1.0
        forward, backward = layer(X, initial_state=moved)
        assert_close(forward, both[0], 1e-12)
        assert np.abs(backward - both[1]).max() > 1e-3


@pytest.mark.parametrize("directions", ["forward", "both"])
@pytest.mark.parametrize("cell", CELLS)
def test_trained_state_starts_at_zero_and_is_that_of_every_trial(cell, directions):
    layer, plain = Recurrent(4, cell, directions, train_state=True), Recurrent(4, cell, directions)
    layer(X), plain(X)
    for way in layer.ways:
        for name in ("kernel", "recurrent_kernel", "bias"):
            plain.weights_of[way][name].assign(layer.weights_of[way][name])
    assert_same(layer(X), plain(X))
    start = []
    for way in layer.ways:
        state = RNG.normal(size=(layer.cell.n_states, 4)).astype("float32")
        layer.weights_of[way]["initial_state"].assign(state)
        start += [tf.constant(np.tile(part, (4, 1))) for part in state]
    rows = [part[:1] for part in start]
    assert_same(layer(X), plain(X, initial_state=start))
    assert_same(layer(X), plain(X, initial_state=rows))
    # A state that is given goes before the trained one.
    assert_same(layer(X, initial_state=[0 * part for part in start]), plain(X))


# --- masks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("cell", RNN_CELLS)
def test_missing_bins_pass_the_state_on(cell, training):
    """In both directions a trial with holes has the states of one without these bins."""
    layer = Recurrent(4, cell, "both", train_state=True)
    layer(X)
    for way in layer.ways:
        variable = layer.weights_of[way]["initial_state"]
        variable.assign(RNG.normal(size=variable.shape))
    forward, backward = (part.numpy() for part in layer(X, mask=tf.constant(HOLES), training=training))
    start = [layer.weights_of[way]["initial_state"][0].numpy() for way in layer.ways]
    for trial, inside in enumerate(HOLES):
        if inside.any():
            alone = layer(X[trial : trial + 1, inside])
            assert_close(forward[trial, inside], alone[0][0])
            assert_close(backward[trial, inside], alone[1][0])
        for t in np.flatnonzero(~inside):
            assert np.array_equal(forward[trial, t], forward[trial, t - 1] if t else start[0])
            assert np.array_equal(backward[trial, t], backward[trial, t + 1] if t < 5 else start[1])


@pytest.mark.parametrize("training", [False, True])
def test_missing_bins_get_no_gradient(training):
    layer, x = Recurrent(4, "GRU", "both"), tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = sum(tf.reduce_sum(tf.sin(part)) for part in layer(x, mask=tf.constant(HOLES), training=training))
    assert np.array_equal(np.any(tape.gradient(total, x) != 0, axis=-1), HOLES)


def test_no_mask_is_attached_to_the_states():
    masked = keras.layers.Masking(2.0)(X)
    assert getattr(masked, "_keras_mask", None) is not None
    states = Recurrent(4, directions="both")(masked)
    assert all(getattr(part, "_keras_mask", None) is None for part in states)


def test_states_and_masks_in_a_saved_model():
    x, h, c = keras.Input((None, 3)), keras.Input((4,)), keras.Input((4,))
    mask = keras.Input((None,), dtype="bool")
    model = keras.Model([x, h, c, mask], Recurrent(4, "LSTM")(x, initial_state=[h, c], mask=mask))
    inputs = [X, X[:, 0, :1] * np.ones((4, 4), "float32"), X[:, 1, :1] * np.ones((4, 4), "float32"), HOLES]
    states = model(inputs)
    assert_same(saved_and_loaded(model)(inputs), states)
    assert_close(states[3], np.repeat(inputs[1][3:], 6, 0), 0)  # a trial without any bin stays where it began


@pytest.mark.parametrize("jit", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("training", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("directions", [pytest.param("forward", marks=pytest.mark.slow), "both"])
def test_an_input_of_no_features_has_a_gradient_of_its_shape(directions, training, jit):
    layer = Recurrent(4, directions=directions)
    layer.build((None, None, 0))

    @tf.function(jit_compile=jit)
    def found(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            states = tf.concat(tf.nest.flatten(layer(x, training=training)), -1)
            total = tf.reduce_sum(tf.square(states + 1.0))
        bias = layer.weights_of["forward"]["bias"].value
        return states, *tape.gradient(total, [x, bias])

    states, d_x, d_bias = found(tf.zeros((3, 5, 0)))
    assert d_x.shape == (3, 5, 0)
    # The states run on the bias alone, which learns.
    assert np.all(np.isfinite(states)) and np.abs(d_bias).max() > 0


# --- settings -----------------------------------------------------------------------------------


def test_penalty_is_on_the_recurrent_kernels():
    layer = Recurrent(4, directions="both", recurrent_regularizer=keras.regularizers.L2(0.1))
    layer(X)
    kernels = [layer.weights_of[way]["recurrent_kernel"].numpy() for way in layer.ways]
    assert_close(np.sort(layer.losses), np.sort([0.1 * np.sum(kernel**2) for kernel in kernels]))


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"units": 0}, "units=0"),
        ({"clip_value": 0.0}, "clip_value=0.0"),
        ({"cell": "gru"}, "cell='gru'.*LSTM, GRU, GRUClip, SimpleRNN"),
        ({"directions": "bidirectional"}, "directions='bidirectional'.*forward, backward and both"),
    ],
)
def test_impossible_settings_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        Recurrent(**{"units": 4, **settings})


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
@pytest.mark.parametrize("cell", RNN_CELLS)
def test_bin_by_bin_it_gives_what_the_call_gives(cell, dtype):
    layer = Recurrent(4, cell, train_state=dtype == "float64", dtype=dtype)
    layer.build(X.shape)
    for variable in layer.weights:
        variable.assign(RNG.normal(size=variable.shape))
    whole, state = layer(X), layer.start(len(X))
    for t in range(X.shape[1]):
        # Bins are arrays, as they come from a recording.
        state = layer.step(state, X[:, t])
        assert state[0].dtype == layer.compute_dtype
        assert_close(
            tf.cast(state[0], "float64"), tf.cast(whole[:, t], "float64"), 1e-12 if dtype == "float64" else 0.05
        )


@pytest.mark.parametrize("directions, built", [("both", True), ("backward", True), ("forward", False)])
def test_only_a_built_layer_that_runs_forward_goes_on_bin_by_bin(directions, built):
    layer = Recurrent(4, directions=directions)
    if built:
        layer.build(X.shape)
    with pytest.raises(
        ValueError, match=f"Given: directions='{directions}', {'built' if built else 'not built'}. Call"
    ):
        layer.step(layer.start(4, "backward"), X[:, 0])
