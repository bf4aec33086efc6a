"""The complex cell against a plain loop, its gradient against automatic differentiation, and what it draws."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.cell_l2 import CellL2
from indl.model.beta_vae import create_generator_complex
from indl.params import preset
from indl.rnn import complex_cell
from indl.rnn.complex_cell import ComplexGenerator, ComplexStep
from indl.sampling.modes import GivenLatents, GivenNoise, PosteriorSamples, sampling
from tests.checks import TINY, assert_close, assert_mean, assert_same, check_layer, saved_and_loaded

# All widths differ, so that a mask is known by its shape.
BATCH, TIME, UNITS, FACTORS, CONTROLLER, SIZE, ENCODED, EXTERNAL = 3, 5, 4, 3, 5, 2, 6, 1
CLIP, RATE = 0.4, 0.3
RNG = np.random.default_rng(0)
ARRAYS = {
    "initial": RNG.normal(size=(BATCH, UNITS)),
    "encoded": RNG.normal(size=(BATCH, TIME, ENCODED)),
    "external": RNG.normal(size=(BATCH, TIME, EXTERNAL)),
}
DRIVE = RNG.normal(size=(BATCH, TIME, SIZE))
SHAPES = {
    "encoded": (TIME, BATCH, ENCODED),
    "external": (TIME, BATCH, EXTERNAL),
    "factors": (TIME, BATCH, FACTORS),
    "states": (TIME, BATCH, UNITS),
    "before": (BATCH, UNITS),
}
MASKS = {name: np.where(RNG.random(shape) < RATE, 0.0, 1 / (1 - RATE)) for name, shape in SHAPES.items()}
CASES = {
    "controller and external input": ("initial", "encoded", "external"),
    "controller": ("initial", "encoded"),
    "external input": ("initial", "external"),
    "autonomous": ("initial",),
}
EAGER, GRAPH, XLA = "eager", "graph", "XLA"


def cell(controlled=True, **settings):
    """A layer without its weights."""
    sizes = (CONTROLLER, SIZE) if controlled else (0, 0)
    return ComplexGenerator(UNITS, FACTORS, *sizes, **settings)


def built(case, **settings):
    """A float64 layer with every weight away from its start; a narrow clip, that acts."""
    layer = cell("encoded" in CASES[case], **{"clip_value": CLIP, "dtype": "float64", "name": "cell", **settings})
    call(layer, {name: tf.constant(ARRAYS[name]) for name in CASES[case]})
    rng = np.random.default_rng(1)
    for variable in layer.weights:
        if variable.dtype == "float64":
            variable.assign(rng.normal(size=variable.shape))
    return layer


def call(layer, given, **kwargs):
    return layer(given["initial"], given.get("encoded"), given.get("external"), steps=TIME, **kwargs)


# --- a plain loop -------------------------------------------------------------------------------


def gru(inputs, h, variables, clip):
    """The clipped GRU, one gate at a time; `inputs` are columns to be joined, or nothing."""
    x = tf.concat(inputs, -1) if inputs else None
    kernels, recurrent, biases = (
        tf.split(tf.convert_to_tensor(variables[name]), 3, -1) for name in ("kernel", "recurrent_kernel", "bias")
    )

    def gate(i, state):
        found = tf.matmul(state, recurrent[i]) + biases[i]
        return found if x is None else found + tf.matmul(x, kernels[i])

    z, r = tf.sigmoid(gate(0, h)), tf.sigmoid(gate(1, h))
    new = z * h + (1 - z) * tf.tanh(gate(2, r * h))
    return tf.where(tf.abs(new) > clip, clip * tf.sign(new), new)


def loop(layer, given, drive, inputs, masks=None, clip=CLIP):
    """What the layer must give, by the formulas, one step after the other."""
    kernel = tf.convert_to_tensor(layer.factors_kernel)
    kernel = kernel / tf.norm(kernel, axis=0)

    def masked(x, name, t=None):
        return x if masks is None else x * (masks[name] if t is None else masks[name][t])

    g = given["initial"]
    f = tf.matmul(masked(g, "before"), kernel)
    c = tf.convert_to_tensor(layer.controller_state)[None] + tf.zeros((g.shape[0], 1), g.dtype) if layer.size else None
    found = []
    for t in range(TIME):
        driven, out = [], {}
        if layer.size:
            read = [masked(given["encoded"][:, t], "encoded", t), masked(f, "factors", t)]
            c = gru(read, c, layer.controller, clip)
            parameters = tf.matmul(c, tf.convert_to_tensor(layer.posterior_kernel)) + layer.posterior_bias
            loc, scale = parameters[:, : layer.size], tf.exp(parameters[:, layer.size :] / 2)
            u = loc if inputs == "mean" else drive[:, t] if inputs == "given" else loc + scale * drive[:, t]
            driven, out = [u], {"con_states": c, "z_loc": loc, "z_scale": scale, "z": u}
        if "external" in given:
            driven = [*driven, masked(given["external"][:, t], "external", t)]
        g = gru(driven, g, layer.generator, clip)
        f = tf.matmul(masked(g, "states", t), kernel)
        found.append({**out, "gen_states": g, "factors": f})
    return {name: tf.stack([step[name] for step in found], 1) for name in found[0]}


def mode_of(inputs, drive):
    """The mode in which the layer does what `inputs` says."""
    return sampling({
        "mean": lambda: GivenNoise({}),
        "noise": lambda: GivenNoise({"cell": drive}),
        "given": lambda: GivenLatents({"cell": drive}),
    }[inputs]())  # fmt: skip


def values_and_gradients(run, layer, given, drive):
    """Outputs, and gradients of a random functional of theirs in all that enters."""
    sources = {**given, "drive": drive}
    with tf.GradientTape() as tape:
        tape.watch(sources)
        values = run(given, drive)
        rng = np.random.default_rng(3)
        total = sum(tf.reduce_sum(rng.normal(size=values[name].shape) * values[name]) for name in sorted(values))
    variables = {v.name: v.value for v in layer.trainable_variables}
    return values, tape.gradient(total, {**sources, **variables})


def own(layer, inputs, training=True):
    def run(given, drive):
        with mode_of(inputs, drive):
            return call(layer, given, training=training)

    return lambda given, drive: values_and_gradients(run, layer, given, drive)


def both(layer, case, inputs, mode, masks, training=True):
    """The layer's values and gradients, and those of the plain loop."""
    given = {name: tf.constant(ARRAYS[name]) for name in CASES[case]}
    drive = tf.constant(DRIVE)
    function = own(layer, inputs, training)
    run = function if mode == EAGER else tf.function(function, jit_compile=mode == XLA, autograph=False)
    found = run(given, drive)
    plain = values_and_gradients(lambda given, drive: loop(layer, given, drive, inputs, masks), layer, given, drive)
    return found, plain


def assert_equal(found, wanted, unused=()):
    (values, gradients), (plain_values, plain_gradients) = found, wanted
    assert values.keys() == plain_values.keys()
    for name, value in plain_values.items():
        assert_close(values[name], value, 1e-12)
    for name, wanted in plain_gradients.items():
        if name in unused:
            # Drawn noise is no input of the model.
            assert gradients[name] is None
            continue
        assert gradients[name].dtype == "float64" and np.any(wanted), name
        assert_close(gradients[name], wanted, 1e-10)


@pytest.fixture
def given_masks(monkeypatch):
    """Every mask that the layer draws is the one of its shape in MASKS."""
    masks = {value.shape: value for value in MASKS.values()}
    monkeypatch.setattr(
        complex_cell,
        "dropout_mask",
        lambda shape, rate, seeds, dtype: tf.constant(masks[tuple(map(int, shape))], dtype),
    )
    return MASKS


DRIVES = [(case, inputs) for case in CASES for inputs in ("noise", "mean", "given") if "controller" in case]
DRIVES += [("external input", "mean"), ("autonomous", "mean")]


@pytest.mark.parametrize("case, inputs", DRIVES)
@pytest.mark.parametrize("training", [True, False], ids=["own gradient", "plain loop"])
def test_values_and_gradients_equal_those_of_a_plain_loop(case, inputs, training):
    layer = built(case)
    found, wanted = both(layer, case, inputs, EAGER, None, training)
    unused = () if inputs == "given" or (inputs == "noise" and not training) else ("drive",)
    assert_equal(found, wanted, unused)
    for name in ("gen_states", "con_states"):
        if name in found[0]:
            # The clip acts on some entries, and on the new states alone.
            at_bound = np.abs(found[0][name]) == CLIP
            assert 0.1 < at_bound.mean() < 0.9
    assert np.abs(ARRAYS["initial"]).max() > CLIP
    assert ("drive" in unused) or found[1]["drive"] is not None


# Compilation takes most of the time: these cover every path, and whole models run compiled in test_lfads_parity.
MODES = [(case, EAGER) for case in CASES]
LARGE, SMALL = "controller and external input", "autonomous"
MODES += [(LARGE, GRAPH), (SMALL, GRAPH), *(pytest.param(case, XLA, marks=pytest.mark.slow) for case in (LARGE, SMALL))]


@pytest.mark.parametrize("case, mode", MODES)
def test_masks_of_dropout_are_where_they_belong(case, mode, given_masks):
    """On what the controller reads, on external inputs and before the factors; never on a state."""
    inputs = "noise" if "controller" in case else "mean"
    layer = built(case, dropout_rate=RATE)
    found, wanted = both(layer, case, inputs, mode, {k: tf.constant(v) for k, v in given_masks.items()})
    assert_equal(found, wanted, ("drive",))
    without, _ = both(layer, case, inputs, EAGER, None, training=False)
    assert np.abs(found[0]["factors"] - without[0]["factors"]).max() > 0.01


@pytest.mark.parametrize("mode", [GRAPH, pytest.param(XLA, marks=pytest.mark.slow)])
def test_means_in_a_graph(mode):
    assert_equal(*both(built("controller"), "controller", "mean", mode, None), ("drive",))


@pytest.mark.parametrize("training", [True, False])
def test_gradient_is_the_cells_own_in_training_alone(training, monkeypatch):
    calls, back = [], ComplexStep.backward
    monkeypatch.setattr(ComplexStep, "backward", lambda *args: calls.append(1) or back(*args))
    both(built("controller"), "controller", "noise", EAGER, None, training)
    assert bool(calls) is training


@pytest.mark.parametrize("mode", [GRAPH, pytest.param(XLA, marks=pytest.mark.slow)])
def test_unknown_batch_and_any_number_of_bins(mode):
    """One trace serves every shape; a single trial and a single bin are the edges."""
    layer = built("controller and external input")
    traces = []

    def run(initial, encoded, external, noise):
        traces.append(1)
        with sampling(GivenNoise({"cell": noise})), tf.GradientTape() as tape:
            tape.watch([initial, encoded, external])
            out = layer(initial, encoded, external, training=True)
            total = sum(tf.reduce_sum(tf.sin(value + 0.3)) for value in out.values())
        variables = [v.value for v in layer.trainable_variables]
        return out, tape.gradient(total, [initial, encoded, external, *variables])

    widths = (ENCODED, EXTERNAL, SIZE)
    specs = [tf.TensorSpec((None, UNITS), tf.float64), *(tf.TensorSpec((None, None, w), tf.float64) for w in widths)]
    function = tf.function(run, input_signature=specs, jit_compile=mode == XLA, autograph=False)
    # A compilation is for one shape.
    for trials, bins in ((BATCH, TIME), (1, 1)) if mode == GRAPH else ((BATCH, TIME),):
        cut = [tf.constant(ARRAYS["initial"][:trials])]
        cut += [tf.constant(part[:trials, :bins]) for part in (ARRAYS["encoded"], ARRAYS["external"], DRIVE)]
        found = function(*cut)
        assert len(traces) == 1
        for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(run(*cut)), strict=True):
            assert_close(a, b, 1e-10)
        traces.pop()


@pytest.mark.parametrize("training", [True, False])
def test_inputs_of_width_zero_are_as_none(training):
    layer = built("controller")
    out = layer(ARRAYS["initial"], ARRAYS["encoded"], ARRAYS["encoded"][..., :0])
    assert_same(out, layer(ARRAYS["initial"], ARRAYS["encoded"]))
    alone = built("autonomous")
    assert alone.generator["kernel"].shape == (0, 3 * UNITS) and not alone.generator["kernel"].trainable
    empty = tf.constant(ARRAYS["encoded"][..., :0])
    assert_same(alone(ARRAYS["initial"], None, empty), alone(ARRAYS["initial"], steps=TIME))
    # A controller that reads its factors alone is that of an encoding of zeros.
    blind = cell(dtype="float64", clip_value=CLIP, name="cell")
    blind(ARRAYS["initial"], empty)
    weights = {v.name: v for v in layer.weights}
    for variable in blind.weights:
        if variable.dtype == "float64":
            value = weights[variable.name].numpy()
            variable.assign(value[ENCODED:] if variable.name == "controller_kernel" else value)
    with sampling(GivenNoise({"cell": tf.constant(DRIVE)})):
        found = blind(ARRAYS["initial"], empty, training=training)
        wanted = layer(ARRAYS["initial"], 0 * ARRAYS["encoded"], training=training)
    for name, value in wanted.items():
        assert_close(found[name], value, 1e-12)


def test_many_samples_equal_runs_one_by_one():
    layer = built("controller and external input")
    initial = RNG.normal(size=(BATCH, 2, UNITS))
    encoded = RNG.normal(size=(BATCH, 2, TIME, ENCODED))
    for read in (encoded, encoded[:, 0]):
        with sampling(GivenNoise({"cell": DRIVE.repeat(2, 0)})):
            many = layer(initial, read, ARRAYS["external"], training=True)
        for s in range(2):
            own_encoding = read[:, s] if read.ndim == 4 else read
            with sampling(GivenNoise({"cell": DRIVE})):
                one = layer(initial[:, s], own_encoding, ARRAYS["external"], training=True)
            for name, value in one.items():
                assert_close(many[name][:, s], value, 1e-12)


# --- factors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_columns_of_the_factors_have_unit_norm(case):
    layer = built(case)
    given = {name: tf.constant(ARRAYS[name]) for name in CASES[case]}
    norms = np.linalg.norm(layer.factors_kernel, axis=0)
    assert np.abs(norms - 1).min() > 0.05
    assert_close(np.linalg.norm(layer.normalized_factors(), axis=0), np.ones(FACTORS), 1e-12)
    with tf.GradientTape() as tape:
        out = call(layer, given)
        total = tf.reduce_sum(tf.sin(out["factors"] + 0.3))
    assert_close(out["factors"], out["gen_states"] @ (layer.factors_kernel.numpy() / norms), 1e-12)
    # The length of a column has no effect, so that the gradient has no part along it.
    gradient = np.asarray(tape.gradient(total, layer.factors_kernel.value))
    assert np.abs(gradient).max() > 1e-3
    assert_close((gradient * layer.factors_kernel.numpy()).sum(0), np.zeros(FACTORS), 1e-12)
    layer.factors_kernel.assign(layer.factors_kernel * np.array([0.1, 3.0, 50.0]))
    for name, value in call(layer, given).items():
        assert_close(value, out[name], 1e-12)


def test_an_empty_column_of_the_factors_stays_finite():
    layer = built("controller")
    kernel = layer.factors_kernel.numpy()
    kernel[:, 1] = 0
    layer.factors_kernel.assign(kernel)
    with tf.GradientTape() as tape:
        factors = layer(ARRAYS["initial"], ARRAYS["encoded"])["factors"]
    assert np.isfinite(factors).all() and not np.any(factors[..., 1]) and np.any(factors[..., 0])
    assert np.isfinite(tape.gradient(factors, layer.factors_kernel)).all()


# --- samples ------------------------------------------------------------------------------------


def test_the_sample_that_is_returned_has_driven_the_generator():
    layer = built("controller", clip_value=5.0)
    given = {name: tf.constant(ARRAYS[name]) for name in CASES["controller"]}
    one, two = (call(layer, given, training=True) for _ in range(2))
    assert np.abs(one["z"] - one["z_loc"]).min() > 0
    for name in one:
        # Only what does not depend on a sample is the same in a second call.
        assert not np.array_equal(one[name], two[name])
    assert_same(
        [one[name][:, 0] for name in ("con_states", "z_loc")], [two[name][:, 0] for name in ("con_states", "z_loc")]
    )
    for out in (one, two):
        again = loop(layer, given, out["z"], "given", clip=5.0)
        for name, value in again.items():
            assert_close(out[name], value, 1e-12)


def test_the_samples_are_those_of_their_posterior():
    layer = built("controller", seed=7)
    rows = {name: tf.constant(np.repeat(ARRAYS[name][:1], 4000, 0)) for name in CASES["controller"]}
    out = {name: np.asarray(value) for name, value in call(layer, rows, training=True).items()}
    noise = (out["z"] - out["z_loc"]) / out["z_scale"]
    assert_mean(noise, np.zeros((TIME, SIZE)))
    assert_mean(noise**2, np.ones((TIME, SIZE)))
    flat = noise.reshape(4000, -1)
    assert_mean(np.einsum("ni,nj->nij", flat, flat), np.eye(TIME * SIZE))


def test_means_are_the_same_in_every_call():
    given = {name: tf.constant(ARRAYS[name]) for name in CASES["controller"]}
    layer = built("controller", dropout_rate=RATE)
    out = call(layer, given)
    assert_same(out["z"], out["z_loc"])
    assert_same(call(layer, given), out)
    assert_same(call(layer, given, training=False), out)
    without = built("controller", draws=False)
    assert_same(call(without, given, training=True), out)
    for name, value in loop(layer, given, None, "mean").items():
        assert_close(out[name], value, 1e-12)


@pytest.mark.parametrize("at_test", [False, True], ids=["means", "draws"])
@pytest.mark.parametrize("case", CASES)
def test_bin_by_bin_it_gives_what_the_call_gives(case, at_test):
    layer = built(case, at_test=at_test)
    given = {name: tf.constant(ARRAYS[name]) for name in CASES[case]}
    whole = call(layer, given)
    noise = (whole["z"] - whole["z_loc"]) / whole["z_scale"] if "z" in whole else None
    state = layer.start(ARRAYS["initial"])
    for t in range(whole["factors"].shape[1]):
        # Bins are arrays, as they come from a recording.
        bins = {name: ARRAYS[name][:, t] for name in ("encoded", "external") if name in given}
        state = layer.step(state, **bins, noise=noise[:, t] if at_test and noise is not None else None)
        assert state.keys() == whole.keys()
        for name, value in state.items():
            assert_close(value, whole[name][:, t], 1e-9)


def test_bin_by_bin_in_half_precision():
    layer = cell(dtype="mixed_bfloat16")
    whole = call(layer, {name: tf.constant(ARRAYS[name], tf.float32) for name in CASES["controller"]})
    state = layer.start(ARRAYS["initial"])
    for t in range(TIME):
        state = layer.step(state, ARRAYS["encoded"][:, t])
        assert state["factors"].dtype == "bfloat16"
        for name, value in state.items():
            assert_close(tf.cast(value, "float64"), tf.cast(whole[name][:, t], "float64"), 0.05)


@pytest.mark.parametrize(
    "case, given, widths",
    [
        ("controller", {}, (0, 0, 0)),
        ("controller", {"encoded": ARRAYS["encoded"][:, 0, :-1]}, (ENCODED - 1, 0, 0)),
        ("external input", {"external": ARRAYS["external"][:, 0], "noise": DRIVE[:, 0]}, (0, EXTERNAL, SIZE)),
    ],
)
def test_a_bin_that_does_not_fit_is_refused(case, given, widths):
    layer = built(case)
    with pytest.raises(ValueError, match=re.escape(f"of the widths {widths}, for ")):
        layer.step(layer.start(ARRAYS["initial"]), **given)
    with pytest.raises(ValueError, match="a layer that is not built"):
        cell().step({}, **given)


def test_drawing_at_test():
    given = {name: tf.constant(ARRAYS[name]) for name in CASES["controller"]}
    layer = built("controller", at_test=True)
    assert not np.array_equal(call(layer, given)["z"], call(layer, given)["z"])
    twins = [call(built("controller", at_test=True, seed=5), given)["z"] for _ in range(2)]
    assert_same(*twins)


@pytest.mark.parametrize("samples_axis", [None, 2])
def test_posterior_samples_fill_their_rows(samples_axis):
    """Each trial is repeated; rows of a trial differ by their noise, which the seed determines alone."""
    layer = built("controller and external input", dropout_rate=RATE)
    initial = ARRAYS["initial"] if samples_axis is None else np.repeat(ARRAYS["initial"][:, None], samples_axis, 1)

    def run(seed):
        with sampling(PosteriorSamples(4 * BATCH, seed)):
            return layer(initial, ARRAYS["encoded"], ARRAYS["external"], training=False)

    out = run(3)
    z = np.asarray(out["z"])
    assert z.shape == (4 * BATCH, *([] if samples_axis is None else [samples_axis]), TIME, SIZE)
    assert len(np.unique(z)) == z.size
    assert_same(run(3), out)
    assert not np.array_equal(run(4)["z"], z)
    rows = {name: tf.constant(np.repeat(ARRAYS[name], 4 * (samples_axis or 1), 0)) for name in ARRAYS}
    for name, value in loop(layer, rows, z.reshape(-1, TIME, SIZE), "given").items():
        assert_close(np.reshape(out[name], value.shape), value, 1e-12)


# --- the layer ----------------------------------------------------------------------------------

FLOATS = {name: value.astype("float32") for name, value in ARRAYS.items()}


@keras.saving.register_keras_serializable("checks")
class _Uncontrolled(keras.layers.Layer):
    """A generator without controller called on what the suite hands over."""

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell if isinstance(cell, keras.Layer) else keras.saving.deserialize_keras_object(cell)

    def call(self, initial, external=None):
        return self.cell(initial, None, external, steps=None if external is not None else TIME)

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}


PENALIZED = {
    "clip_value": 0.4, "dropout_rate": 0.2, "init_std": 0.3, "seed": 3, "at_test": False,
    "generator_regularizer": CellL2(0.1, 48), "controller_regularizer": keras.regularizers.L2(0.2),
}  # fmt: skip


@pytest.mark.parametrize("settings", [{}, PENALIZED], ids=["plain", "all settings"])
def test_suite(settings):
    check_layer(lambda: cell(**settings), *(FLOATS[name] for name in CASES["controller and external input"]))


def test_suite_without_controller():
    check_layer(lambda: _Uncontrolled(cell(False)), FLOATS["initial"], FLOATS["external"])
    check_layer(lambda: _Uncontrolled(cell(False)), FLOATS["initial"])


def test_penalties_are_on_the_recurrent_kernels():
    layer = built(
        "controller", generator_regularizer=CellL2(0.1, 48), controller_regularizer=keras.regularizers.L2(0.2)
    )
    generator, controller = (part["recurrent_kernel"].numpy() for part in (layer.generator, layer.controller))
    assert_close(np.sort(layer.losses), np.sort([0.05 * (generator**2).sum() / 48, 0.2 * (controller**2).sum()]))


def test_weights_at_the_start():
    keras.utils.set_random_seed(0)
    layer = ComplexGenerator(100, 80, 90, 3, init_std=0.3)
    layer.build((None, 100), (None, 5, 120), (None, 5, 7))
    for part, rows, units in ((layer.generator, 3 + 7, 100), (layer.controller, 120 + 80, 90)):
        assert np.array_equal(part["bias"], np.repeat([1.0, 1.0, 0.0], units))
        assert part["kernel"].shape == (rows, 3 * units)
        np.testing.assert_allclose(np.std(part["kernel"]), rows**-0.5, rtol=0.05)
        np.testing.assert_allclose(np.std(part["recurrent_kernel"]), units**-0.5, rtol=0.05)
    np.testing.assert_allclose(np.std(layer.factors_kernel), 0.1, rtol=0.05)
    np.testing.assert_allclose(np.std(layer.posterior_kernel), 90**-0.5, rtol=0.1)
    assert not np.any(layer.controller_state)
    # A controller at rest has the posterior N(0, init_std^2).
    layer.posterior_kernel.assign(np.zeros((90, 6)))
    out = layer(np.zeros((2, 100), "float32"), np.zeros((2, 5, 120), "float32"), np.zeros((2, 5, 7), "float32"))
    assert not np.any(out["z_loc"])
    assert_close(out["z_scale"], np.full((2, 5, 3), 0.3))


# --- the builder --------------------------------------------------------------------------------


def functional(**changes):
    """The builder's tensors as a model of all inputs."""
    keras.utils.set_random_seed(0)
    p = preset("lfads", **{**TINY, "dropout_rate": 0.0, **changes})
    f, encoded, external = keras.Input((3,)), keras.Input((None, 5)), keras.Input((None, 2))
    gen_states, factors, con_states, q_z = create_generator_complex(p, f, encoded, external)
    outputs = {"gen_states": gen_states, "factors": factors, "con_states": con_states, "q": tuple(q_z)}
    return keras.Model([f, encoded, external], outputs), q_z


def test_the_builder_returns_the_posterior_with_its_sample():
    model, q_z = functional()
    assert q_z.has_path and q_z.drawn.name == "complex_cell" and q_z.drawn.shape == (None, None, 2)
    arrays = [RNG.normal(size=shape).astype("float32") for shape in ((3, 3), (3, 6, 5), (3, 6, 2))]
    drawn = model(arrays, training=True)
    loc, _, z = drawn["q"][:3]
    assert np.abs(z - loc).min() > 0
    # Handed back, the sample gives the same states.
    with sampling(GivenLatents({"complex_cell": z})):
        again = model(arrays)
    for name in ("gen_states", "factors", "con_states"):
        assert_close(again[name], drawn[name])
    means = model(arrays)
    assert_same(means["q"][2], means["q"][0])
    assert_same(model(arrays), means)
    assert_same(saved_and_loaded(model)(arrays), means)
    shapes = {"gen_states": (3, 6, 6), "factors": (3, 6, 3), "con_states": (3, 6, 4)}
    assert {name: tuple(means[name].shape) for name in shapes} == shapes


def test_no_later_bin_reaches_an_earlier_one():
    model, _ = functional()
    arrays = [RNG.normal(size=shape).astype("float32") for shape in ((3, 3), (3, 6, 5), (3, 6, 2))]
    before = model(arrays)
    for which in (1, 2):
        moved = [part.copy() for part in arrays]
        moved[which][:, 3] += 1
        after = model(moved)
        for name in ("gen_states", "factors", "con_states"):
            changed = np.any(np.asarray(before[name]) != np.asarray(after[name]), axis=(0, 2))
            # What was applied in a bin reaches the controller through the factors, one bin later.
            first = 4 if (which, name) == (2, "con_states") else 3
            assert np.array_equal(changed, np.arange(6) >= first), (which, name)


def test_without_an_encoding_the_builder_has_no_controller():
    p = preset("lfads_no_controller", **{**TINY, "z_latent_size": 0, "z2_units": 0})
    f, x = keras.Input((3,)), keras.Input((None, 5))
    start, data = RNG.normal(size=(2, 3)).astype("float32"), np.zeros((2, 7, 5), "float32")
    for steps, inputs, arrays in ((7, f, start), (x, [f, x], [start, data])):
        gen_states, factors, con_states, q_z = create_generator_complex(p, f, steps=steps)
        assert con_states is None and q_z is None
        model = keras.Model(inputs, [gen_states, factors])
        found = model(arrays)
        assert [tuple(part.shape) for part in found] == [(2, 7, 6), (2, 7, 3)]
        assert_same(saved_and_loaded(model)(arrays), found)
    with_forward = create_generator_complex({**p, "forward_steps": 2}, f, steps=x)[1]
    assert keras.Model([f, x], with_forward)([start, data]).shape == (2, 9, 3)


@pytest.mark.parametrize("changes, trained", [({}, False), ({"gen_init_trainable": True}, True)])
def test_without_f_the_initial_state_is_trained_or_zero(changes, trained):
    p = preset("lfads", **{**TINY, "f_latent_size": 0, "dropout_rate": 0.0, **changes})
    encoded = keras.Input((None, 5))
    gen_states = create_generator_complex(p, None, encoded)[0]
    model = keras.Model(encoded, gen_states)
    state = model.get_layer("gen_0_h0")
    assert bool(state.trainable_variables) is trained
    x = RNG.normal(size=(3, 6, 5)).astype("float32")
    start = RNG.normal(size=6).astype("float32") if trained else np.zeros(6, "float32")
    if trained:
        state.trainable_variables[0].assign(start.reshape(state.trainable_variables[0].shape))
    layer = model.get_layer("complex_cell")
    assert_close(model(x), layer(np.tile(start, (3, 1)), x)["gen_states"])


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes, named",
    [
        ((0, 3, 5, 2), "units=0"),
        ((4, 0, 5, 2), "n_factors=0"),
        ((4, 3, 0, 2), "controller_units=0, size=2"),
        ((4, 3, 5, 0), "controller_units=5, size=0"),
        ((4, 3, -5, -2), "controller_units=-5, size=-2"),
    ],
)
def test_impossible_sizes_are_refused(sizes, named):
    with pytest.raises(ValueError, match=f"generator and factors.*{named}.*0 for an autonomous"):
        ComplexGenerator(*sizes)


@pytest.mark.parametrize("clip_value", [0.0, -0.5])
def test_a_clip_that_holds_no_state_is_refused(clip_value):
    with pytest.raises(ValueError, match=rf"clips.*above zero.*Given: clip_value={clip_value}.*5"):
        ComplexGenerator(4, 3, 5, 2, clip_value=clip_value)


def test_an_encoding_belongs_to_a_controller():
    with pytest.raises(ValueError, match=r"size=2 with an encoding of shape None.*size=0"):
        cell()(FLOATS["initial"], None, FLOATS["external"])
    with pytest.raises(ValueError, match=r"size=0 with an encoding of shape \(3, 5, 6\).*size=0"):
        cell(False)(FLOATS["initial"], FLOATS["encoded"])


def test_external_inputs_are_those_that_the_generator_was_built_for():
    layer = built("controller and external input")
    for bad, words in [
        (None, rf"0 dimensions for {EXTERNAL}, bins \[{TIME}\]"),
        (ARRAYS["external"][..., :0], rf"0 dimensions for {EXTERNAL}"),
        (ARRAYS["external"][:, :3], rf"bins \[{TIME}, 3\]"),
    ]:
        with pytest.raises(ValueError, match=rf"external input does not fit.*{words}.*Pass \(batch"):
            layer(ARRAYS["initial"], ARRAYS["encoded"], bad)


def test_the_builder_asks_for_the_number_of_bins():
    p = preset("lfads_no_controller", **{**TINY, "z_latent_size": 0, "z2_units": 0})
    with pytest.raises(ValueError, match=r"number of bins.*Given: f_sample alone.*steps=n_times"):
        create_generator_complex(p, keras.Input((3,)))
    # Without a sample of f nothing gives the number of trials either.
    with pytest.raises(ValueError, match=r"number of bins.*steps=inputs"):
        create_generator_complex({**p, "f_latent_size": 3}, None, steps=7)
    with pytest.raises(ValueError, match="'f_latent_sise'.*Did you mean 'f_latent_size'"):
        create_generator_complex({"f_latent_sise": 3}, keras.Input((3,)), steps=7)
