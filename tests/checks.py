"""Check suites shared by the tests: every layer and every model variant gets its whole suite in one call."""

import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists.gaussian import Gaussian
from indl.model.assemble import build_sequential_vae
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import RNN_CELLS
from tests.conftest import parity_files

TERMS = ("loss", "nll", "kl_f", "kl_z", "penalty", "neg_elbo", "heldin_nll")

# What does not depend on the step itself is seen with one cell of one state and one of two.
CELLS = [pytest.param(cell, marks=[] if cell in ("GRUClip", "LSTM") else pytest.mark.slow) for cell in RNN_CELLS]

# The smallest sizes at which every part of a model still does something.
TINY = {
    "f_units": [4],
    "f_latent_size": 3,
    "z1_units": [5],
    "z2_units": 4,
    "z_latent_size": 2,
    "z_prior_units": 4,
    "gen_n_hidden": [6],
    "n_factors": 3,
}

# The network without a loop over time, which is traced fastest: for what does not depend on the network.
PLAIN = {
    "dropout_rate": 0.0,
    "f_rnn_type": "Dense",
    "f_enc_reduce": "mean",
    "f_units": 4,
    "f_latent_size": 2,
    "z_latent_size": 0,
    "gen_cell_type": "Dense",
    "f_to_gen": "tile",
    "gen_n_hidden": 4,
    "n_factors": 0,
}

# A loop over time in the generator alone, for what needs both latents and a recurrence.
QUICK = {
    "dropout_rate": 0.0,
    "f_rnn_type": "Dense",
    "f_enc_reduce": "mean",
    "f_units": 4,
    "f_latent_size": 3,
    "z1_rnn_type": "Dense",
    "z1_units": 4,
    "z2_units": 0,
    "gen_n_hidden": 6,
    "n_factors": 3,
}


def counts(trials=6, time=8, channels=5, rate=1.0, seed=0):
    """Poisson counts (trials, time, channels), float32, without a silent channel or trial."""
    x = np.random.default_rng(seed).poisson(rate, (trials, time, channels)).astype("float32")
    x[:, 0] += 1
    return x


def tiny_model(n_times=8, n_channels=5, seed=0, **changes):
    """A built model of the smallest sizes, the same weights for the same seed."""
    keras.utils.set_random_seed(seed)
    return build_sequential_vae({**TINY, **changes}, n_times, n_channels)


def parity_cases(stem):
    """One pytest parameter for each case of each file of reference values whose name begins with `stem`.

    A parameter is the pair (config of the case, dict of its arrays).
    """
    params = []
    for path in parity_files(stem):
        with np.load(path) as file:
            for case, config in json.loads(str(file["config"]))["cases"].items():
                arrays = {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}
                params.append(pytest.param(config, arrays, id=f"{path.stem}-{case}"))
    return params or [pytest.param(None, None, marks=pytest.mark.skip(f"no file {stem}*.npz"))]


def parity_arrays(stem):
    """As :func:`parity_cases`, one for each file, of files that hold a single case without a name."""
    params = []
    for path in parity_files(stem):
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if key != "config"}
            params.append(pytest.param(json.loads(str(file["config"])), arrays, id=path.stem))
    return params or [pytest.param(None, None, marks=pytest.mark.skip(f"no file {stem}*.npz"))]


def assert_close(actual, expected, tolerance=1e-5):
    """The tolerance of the reference files: absolute near zero, relative far from it."""
    actual, expected = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    assert actual.shape == expected.shape, f"{actual.shape} instead of {expected.shape}"
    excess = np.abs(actual - expected) - tolerance * (1 + np.abs(expected))
    assert not (excess > 0).any(), f"differs by up to {np.abs(actual - expected).max():.3g}"


def assert_same(actual, expected):
    """Two nested structures hold exactly the same numbers."""
    actual, expected = tf.nest.flatten(actual), tf.nest.flatten(expected)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def assert_mean(draws, expected, axis=0, sigmas=5.0, floor=1e-6):
    """The mean of independent draws along `axis` is within a few standard errors of `expected`."""
    draws = np.asarray(draws, "float64")
    error = draws.std(axis, ddof=1) / np.sqrt(draws.shape[axis])
    distance = np.abs(draws.mean(axis) - expected)
    assert (distance <= sigmas * error + floor).all(), (
        f"off by {(distance / (error + floor)).max():.1f} standard errors"
    )


def untrained(variables, gradients):
    """Paths of the variables that received no gradient, or only zeros."""
    return [
        variable.path
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is None or not np.any(np.asarray(tf.convert_to_tensor(gradient)))
    ]


def check_layer(factory, *inputs, expected=None, outputs_of=lambda y: y, dynamic_time=True, dead=()):
    """The suite of a layer: values, config, saving, gradients, unknown batch and time.

    Args:
        factory: makes a fresh layer.
        *inputs: arrays the layer is called on.
        expected: values of the call at inference, if they are known beforehand.
        outputs_of: picks the differentiable outputs.
        dynamic_time: whether the layer must work with an unknown time axis (axis 1 of rank 3).
        dead: ends of the names of trainable variables that these inputs cannot reach.
    """
    inputs = [np.asarray(x) for x in inputs]
    tensors = [tf.convert_to_tensor(x) for x in inputs]
    layer = factory()
    with tf.GradientTape() as tape:
        values = layer(*tensors)
        total = sum(tf.reduce_sum(tf.sin(y + 0.3)) for y in tf.nest.flatten(outputs_of(values)) if y.dtype.is_floating)
    assert all(np.isfinite(np.asarray(y, "float64")).all() for y in tf.nest.flatten(values))
    if expected is not None:
        for y, wanted in zip(tf.nest.flatten(values), tf.nest.flatten(expected), strict=True):
            assert_close(y, wanted)
    variables = layer.trainable_variables
    dead_paths = [v.path for v in variables if v.path.endswith(tuple(dead))] if dead else []
    # A layer of masks has nothing to differentiate.
    if variables:
        assert untrained(variables, tape.gradient(total, [v.value for v in variables])) == dead_paths

    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    twin(*tensors)
    twin.set_weights(layer.get_weights())
    assert_same(twin(*tensors), values)

    def shape(x):
        return (None, *x.shape[2:]) if dynamic_time and x.ndim == 3 else x.shape[1:]

    symbols = [keras.Input(shape(x), dtype=x.dtype.name) for x in inputs]
    outputs = layer(*symbols)
    for y, symbol in zip(tf.nest.flatten(values), tf.nest.flatten(outputs), strict=True):
        assert len(y.shape) == len(symbol.shape)
        assert all(known in (None, size) for size, known in zip(y.shape, symbol.shape, strict=True)), symbol.shape
    model = keras.Model(symbols, tf.nest.flatten(outputs))
    assert_same(model(tensors), values)
    few = [x[:2, :-1] if dynamic_time and x.ndim == 3 and x.shape[1] > 2 else x[:2] for x in inputs]
    for a, b in zip(tf.nest.flatten(model(few)), tf.nest.flatten(layer(*map(tf.convert_to_tensor, few))), strict=True):
        np.testing.assert_array_equal(a, b)
    assert_same(saved_and_loaded(model)(tensors), values)


def saved_and_loaded(model):
    """The model after a round trip through a .keras file, in safe mode."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return keras.saving.load_model(path, safe_mode=True)


def gradients(model, x, y=None, training=True):
    """The gradient of the training objective by variable."""
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        outputs = model(x, training=training)
        target = (x["x"] if isinstance(x, dict) else x) if y is None else y
        loss = model.compute_loss(x, target, outputs, training=training)
    return tape.gradient(loss, [v.value for v in variables])


def check_model(params, x, y=None, dead=(), steps=15, u=None):
    """The suite of a model variant: builds, trains, reaches every variable, predicts, survives saving.

    Args:
        params: parameters.
        x: trials (trials, time, channels).
        y: target, if it is not x.
        dead: ends of the names of trainable variables that this variant cannot reach.
        steps: full-batch steps after which the validation loss must be lower than after the first.
        u: labels of the trials, for a model that learns from them.

    Returns:
        The trained model.
    """
    keras.utils.set_random_seed(1)
    model = build_sequential_vae(params, x.shape[1], x.shape[2])
    p = model.params
    has_f, has_z = p["f_latent_size"] > 0, p["z_latent_size"] > 0

    missing = {v.path for v in model.trainable_variables}
    given, target = (x if u is None else {"x": x, "u": u}), (x if y is None else y)
    for trial in range(3):
        batch = slice(trial, trial + len(x) - 2)
        found = gradients(model, tf.nest.map_structure(lambda part, b=batch: part[b], given), target[batch])
        missing &= set(untrained(model.trainable_variables, found))
        # Another batch can only reach more.
        if all(path.endswith(tuple(dead)) for path in missing):
            break
    assert all(path.endswith(tuple(dead)) for path in missing), f"no gradient: {sorted(missing)}"
    priors = {v.path.split("/")[-2] for v in model.trainable_variables if "prior" in v.path}
    assert not has_f or p["f_prior_type"] == "standard" or p["f_prior_kappa"] or "f_prior" in priors

    model.compile(GuardedAdam(1e-2))
    y = target if u is not None else y
    history = model.fit(given, y, epochs=steps, batch_size=len(x), validation_data=(given, y), verbose=0).history
    assert set(history) == {*TERMS, *(f"val_{name}" for name in TERMS)}
    assert np.isfinite(list(history.values())).all()
    assert history["val_loss"][-1] < history["val_loss"][0]

    # Batches of one size are one trace.
    predicted = model.predict(given, batch_size=max(1, len(x) // 2), verbose=0)
    latents = {*(("q_f", "f", "kl_f") if has_f else ()), *(("q_z", "z", "kl_z") if has_z else ())}
    assert set(predicted) == {"p_x", "factors", "gen_out", "cd_mask"} | latents
    assert all(len(part) == len(x) for part in tf.nest.flatten(predicted))
    rates = model.rates(given)
    assert rates.shape == target.shape
    sampled = model.rates(given, samples=3, seed=5)
    assert sampled.shape == target.shape and not np.array_equal(sampled, rates)

    loaded = saved_and_loaded(model)
    assert type(loaded) is type(model) and loaded.params == model.params
    # The file keeps the random states too: what draws, draws the same.
    again, live = loaded(given, training=False), model(given, training=False)
    assert_same(again, live)
    drawn = {"f", "z", "kl_z", "gen_out", "factors", "p_x"} if p["sample_at_test"] else set()
    along = p["z_prior_process"] in ("GRU", "LSTM", "gated") or p["q_z_type"] == "combiner"
    drawn |= {"kl_z"} if along or p["z_prior_rollout"] == "free" else set()
    drawn |= {"q_z"} if p["q_z_type"] == "combiner" and p["sample_at_test"] else set()
    for name in set(predicted) - drawn:
        # The path of a posterior with memory is drawn, and depends on how many trials there are.
        found, wanted = (value[name][:3] if name == "q_z" else value[name] for value in (predicted, live))
        for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True):
            assert_close(a, b)
    assert all(isinstance(again[name], Gaussian) for name in ("q_f", "q_z") if name in again)
    assert type(again["p_x"]) is type(predicted["p_x"])
    assert_same(loaded.rates(given, samples=3, seed=5), sampled)
    labels = {} if u is None else {"u": u[:3]}
    assert_same(loaded.generate(3, x.shape[1], seed=2, **labels), model.generate(3, x.shape[1], seed=2, **labels))
    return model
