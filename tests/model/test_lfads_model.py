"""The whole LFADS model: presets, external inputs, the auto-encoder without sampling, weights by role."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.data.values.recording import Split
from indl.data.values.trials import Trials
from indl.model.inputs.of_recording import arrays_of, inputs_of
from indl.model.roles.sequence import lfads_roles, lfads_weights, load_lfads_weights
from indl.model.sequence_model import SequentialVAE
from indl.params import PRESETS, preset
from indl.sampling.modes import GivenLatents, GivenNoise, PosteriorSamples, sampling
from tests.checks import (
    TINY,
    assert_close,
    assert_same,
    check_model,
    counts,
    gradients,
    saved_and_loaded,
    tiny_model,
    untrained,
)
from tests.messages import faults

X = counts()
SIZES = {"lfads": TINY, "lfads_no_controller": {**TINY, "z_latent_size": 0, "z2_units": 0}}
QUIET = {"dropout_rate": 0.0, "coordinated_dropout_rate": 0.0}
# Encoders without a loop over time, for what is about the generator, the latents or the loss.
NO_LOOP_F = {"f_rnn_type": "Dense", "f_enc_reduce": "mean"}
NO_LOOPS = {**NO_LOOP_F, "z1_rnn_type": "Dense"}


def lfads(name="lfads", n_times=8, seed=0, **changes):
    return tiny_model(n_times, 5, **{**preset(name, **{**SIZES[name], **QUIET, **changes}), "seed": seed})


def mean_rates(model, x=X):
    """What `rates` gives, without a trace."""
    rates = np.asarray(model(x)["p_x"].mean())
    return rates.mean(1) if rates.ndim == 4 else rates


def refused(call, *words, wrapped=False):
    """The call raises a well-made message that holds all words."""
    with pytest.raises(ValueError) as error:
        call()
    message = str(error.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    assert wrapped or faults(message) == []


# --- the suite ----------------------------------------------------------------------------------


@pytest.fixture
def controller_states(monkeypatch):
    """Takes the controller's states, which other models have not, out of what is predicted."""
    found, predict = [], SequentialVAE.predict

    def rest(self, *args, **kwargs):
        outputs = predict(self, *args, **kwargs)
        if "con_states" in outputs:
            found.append(outputs.pop("con_states"))
        return outputs

    monkeypatch.setattr(SequentialVAE, "predict", rest)
    return found


# Values are those of test_lfads_parity, training is that of external inputs and of the auto-encoder.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lfads", "lfads_no_controller"])
def test_suite(name, controller_states):
    # Of six trials its dropout leaves too little for the loss to fall in a few steps.
    model = check_model(preset(name, **{**SIZES[name], "dropout_rate": 0.0}), X)
    if name == "lfads":
        (found,) = controller_states
        assert found.shape == (6, 8, 4)
        assert_close(found, model(X)["con_states"])
    else:
        assert not controller_states and "con_states" not in model(X)


def test_the_small_presets_differ_in_sizes_and_strengths_alone():
    """So that the suites of the large ones are also theirs."""
    numbers = {"f_latent_size", "gen_n_hidden", "n_factors", "batch_size", "epochs", "dropout_rate"}
    numbers |= {"coordinated_dropout_rate", "kl_f_beta", "kl_z_beta"}
    for large, small in (("lfads", "lfads_small"), ("lfads_no_controller", "lfads_small_no_controller")):
        changed = {key for key, value in PRESETS[small].items() if value != PRESETS[large][key]}
        assert changed <= numbers and all(PRESETS[large][key] and PRESETS[small][key] for key in changed)


def test_several_samples_of_f_average_as_one():
    """Each of K posterior samples is then a run of as many samples as the model itself has."""
    model = lfads(q_f_samples=2, **NO_LOOPS)
    sampled = model.rates(X, samples=4, seed=1)
    with sampling(PosteriorSamples(24, 1, 0, model._sample_layers())):
        out = model(X)
    assert out["z"].shape == (24, 2, 8, 2) and len(np.unique(out["z"])) == 24 * 2 * 8 * 2
    assert_close(sampled, np.asarray(out["p_x"].mean()).reshape(6, 8, 8, 5).mean(1))
    assert np.abs(sampled - mean_rates(model)).max() > 1e-4


# --- external inputs ----------------------------------------------------------------------------

EXTERNAL = np.random.default_rng(1).normal(size=(6, 8, 2)).astype("float32")
BOTH = {"x": X, "ext_input": EXTERNAL}


@pytest.fixture(scope="module")
def driven():
    return lfads(ext_input_dim=2)


BAD = [
    (X, ["more than one array", "['ext_input', 'x']", "(trials, time, dimensions)"]),
    ({"x": X}, ["not those that the model reads", "['x']", "['ext_input', 'x']"]),
    ({"x": X, "external": EXTERNAL}, ["['external', 'x']", "['ext_input', 'x']"]),
    ({**BOTH, "session": np.zeros(6)}, ["['ext_input', 'session', 'x']", "Pass ['ext_input', 'x']"]),
    ({"x": X, "ext_input": EXTERNAL[..., :1]}, ["ext_input", "(6, 8, 1)", "(6, 8, 2)", "not the inferred inputs"]),
    ({"x": X, "ext_input": EXTERNAL[:, :7]}, ["ext_input", "(6, 7, 2)", "(6, 8, 2)", "every bin of the target"]),
    ({"x": X, "ext_input": EXTERNAL[:5]}, ["ext_input", "(5, 8, 2)", "(6, 8, 2)"]),
    ({"x": X, "ext_input": EXTERNAL[0]}, ["ext_input", "(8, 2)", "(6, 8, 2)"]),
    (
        {"x": X, "ext_input": np.where(EXTERNAL == EXTERNAL.max(), np.nan, EXTERNAL)},
        ["ext_input", "1 values that are not finite"],
    ),
    ({"x": X[:, :7], "ext_input": EXTERNAL}, ["x['x']", "7 bins for an input of 8"]),
    ({"x": X[..., :4], "ext_input": EXTERNAL}, ["x['x']", "(6, 8, 4)", "(trials, time, 5)"]),
]


@pytest.mark.parametrize("given, words", BAD, ids=range(len(BAD)))
def test_arrays_that_do_not_fit_are_refused(driven, given, words):
    refused(lambda: driven.rates(given), *words)
    if isinstance(given, dict):
        refused(lambda: driven.check_arrays(given), *words[1:])


def test_a_model_without_external_input_refuses_one():
    refused(lambda: lfads("lfads_no_controller").rates(BOTH), "['ext_input', 'x']", "Pass ['x']")


def test_forward_steps_need_the_external_input_of_the_target():
    model = lfads("lfads_no_controller", ext_input_dim=2, forward_steps=2)
    refused(lambda: model.rates(BOTH), "(6, 8, 2)", "(6, 10, 2)", "every bin of the target")
    longer = np.concatenate([EXTERNAL, EXTERNAL[:, :2]], 1)
    moved = longer.copy()
    moved[:, 8] += 1
    before, after = (model({"x": X, "ext_input": part})["factors"] for part in (longer, moved))
    changed = np.any(np.asarray(before) != np.asarray(after), axis=(0, 2))
    assert np.array_equal(changed, np.arange(10) >= 8)


def test_what_is_applied_acts_from_its_bin_on(driven):
    moved = EXTERNAL.copy()
    moved[:, 4, 0] += 1
    before, after = (driven({"x": X, "ext_input": part}) for part in (EXTERNAL, moved))
    changed = np.any(np.asarray(before["factors"]) != np.asarray(after["factors"]), axis=(0, 2))
    assert np.array_equal(changed, np.arange(8) >= 4)
    # It is no evidence on the initial condition.
    assert_same(before["q_f"], after["q_f"])


@pytest.mark.slow
def test_latents_decode_under_their_external_input(driven):
    out = driven(BOTH)
    f, z, rates = np.asarray(out["f"]), np.asarray(out["z"]), np.asarray(out["p_x"].mean())
    assert_close(driven.decode(f, z, ext_input=EXTERNAL).mean(), rates)
    assert_close(driven.decode(f, z).mean(), driven.decode(f, z, ext_input=0 * EXTERNAL).mean())
    assert np.abs(driven.decode(f, z).mean() - rates).max() > 1e-3
    assert_close(driven.generate(6, 8, seed=1, f=f, z=z, ext_input=EXTERNAL)["rates"], rates)
    assert_close(driven.reconstruct(BOTH), rates)
    refused(lambda: driven.decode(f, z, ext_input=EXTERNAL[..., :1]), "(6, 8, 1)", "(6, 8, 2)")
    refused(lambda: driven.generate(6, 8, ext_input=EXTERNAL[:4]), "(4, 8, 2)", "(6, 8, 2)")


def test_a_model_with_external_input_trains_and_survives_saving():
    model = lfads("lfads_no_controller", ext_input_dim=2, loss_scale=1.0, **NO_LOOP_F)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = model.fit(BOTH, X, epochs=8, batch_size=6, verbose=0).history["loss"]
    assert history[-1] < history[0]
    refused(lambda: model.fit(BOTH, X, validation_data=({"x": X}, X), verbose=0), "['x']", "['ext_input', 'x']")
    loaded = saved_and_loaded(model)
    assert set(loaded.input_names) == {"x", "ext_input"}
    assert_same(loaded(BOTH)["p_x"], model(BOTH)["p_x"])
    refused(lambda: loaded.rates(X), "more than one array")


# --- what a model reads of a recording ----------------------------------------------------------


def part(**changes):
    y = counts(time=10, channels=7, seed=2)
    return Split(**{"encod": y[:, :8, :5].copy(), "recon": y, **changes})


def test_arrays_of_a_part_and_its_padded_external_input():
    """Zeros stand for the segment at the start and for forward steps that were not recorded."""
    u = np.random.default_rng(3).normal(size=(6, 10, 2)).astype("float32")
    for given, bins in ((u, slice(0, 10)), (u[:, :8], slice(0, 8)), (u[:, :5], slice(3, 8))):
        split = part(ext_input=given)
        found = arrays_of(split, ("x", "ext_input"))
        assert set(found) == {"x", "ext_input", "target"}
        assert found["x"] is split.encod and found["target"] is split.recon
        expected = np.zeros((6, 10, 2), "float32")
        expected[:, bins] = given
        assert np.array_equal(found["ext_input"], expected)
    # What the model does not read is left out.
    assert set(arrays_of(part(ext_input=u, session=np.zeros(6, int)), ("x",))) == {"x", "target"}


def test_equal_input_and_target_are_one_array():
    whole = Split(encod=X, recon=X.copy())
    found = arrays_of(whole, ("x",))
    assert found["target"] is found["x"]
    holes = X.copy()
    holes[0, 1, 2] = np.nan
    found = arrays_of(Split(encod=holes, recon=holes.copy()), ("x",))
    assert found["target"] is found["x"]
    other = X.copy()
    other[0, 0, 0] += 1
    found = arrays_of(Split(encod=X, recon=other), ("x",))
    assert np.array_equal(found["target"], other) and np.array_equal(found["x"], X)


def test_a_part_without_what_the_model_reads_is_refused(driven):
    refused(lambda: arrays_of(part(), ("x", "ext_input")), "external input", "without one", "ext_input_dim=0")
    refused(lambda: arrays_of(part(), ("x", "session")), "session of each trial", "join_sessions", "pad_session")
    refused(lambda: inputs_of(driven, Split(encod=X, recon=X)), "external input", "ext_input_dim=0")


def test_inputs_of_some_trials(driven):
    recording = Trials(X, 0.01, ext_input=EXTERNAL).split(0.5)
    for chosen in (slice(None), slice(1, 3)):
        given = inputs_of(driven, recording.valid, chosen)
        assert set(given) == {"x", "ext_input"}
        inds = recording.valid.inds[chosen]
        assert np.array_equal(given["x"], X[inds]) and np.array_equal(given["ext_input"], EXTERNAL[inds])
        assert_close(mean_rates(driven, given), mean_rates(driven, BOTH)[inds])
    # A model that reads x alone is called with the array itself.
    assert np.array_equal(inputs_of(lfads("lfads_no_controller"), recording.valid), X[recording.valid.inds])


# --- without sampling ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def autoencoder():
    return lfads(variational=False, loss_scale=1.0)


def test_an_autoencoder_draws_nothing_and_pays_nothing(autoencoder):
    first, second = (autoencoder(X, training=True) for _ in range(2))
    assert_same(first, second)
    for name, value in autoencoder(X).items():
        for a, b in zip(tf.nest.flatten(value), tf.nest.flatten(first[name]), strict=True):
            assert_close(a, b)
    assert_same([first["f"], first["z"]], [first["q_f"].loc, first["q_z"].loc])
    assert not {"kl_f", "kl_z"} & set(first)
    assert not {"f_prior", "z_prior"} & {layer.name for layer in autoencoder.layers}
    terms = autoencoder.loss_terms(X, first)
    assert not np.any(terms["kl_f"]) and not np.any(terms["kl_z"])
    loss = autoencoder.compute_loss(X, X, first)
    assert_close(loss, np.mean(terms["nll"]) / X[0].size + terms["penalty"])
    # Nothing depends on the width of a posterior; all else is trained.
    dead = untrained(autoencoder.trainable_variables, gradients(autoencoder, X))
    assert [path.split("/")[-2] for path in dead] == ["raw_scale", "raw_scale"]
    kernel = autoencoder.get_layer("complex_cell").posterior_kernel
    found = dict(zip([v.path for v in autoencoder.trainable_variables], gradients(autoencoder, X), strict=True))
    assert not np.any(found[kernel.path][:, 2:]) and np.all(np.any(found[kernel.path][:, :2], axis=0))


def test_an_autoencoder_at_inference(autoencoder):
    out = autoencoder(X)
    rates = np.asarray(out["p_x"].mean())
    assert_close(autoencoder.rates(X, samples=3, seed=1), rates)
    refused(lambda: autoencoder.generate(2, 8), "variational=False", "['f', 'z']", "from encode")
    assert_close(autoencoder.generate(6, 8, f=out["f"], z=out["z"])["rates"], rates)


@pytest.mark.slow
def test_an_autoencoder_trains():
    model = lfads("lfads_no_controller", variational=False, loss_scale=1.0, **NO_LOOP_F)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = model.fit(X, epochs=8, batch_size=6, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert not np.any(history["kl_f"]) and not np.any(history["kl_z"])
    assert history["neg_elbo"] == history["nll"]
    assert_same(saved_and_loaded(model)(X)["p_x"], model(X)["p_x"])


# --- mean and sum -------------------------------------------------------------------------------


@pytest.mark.parametrize("forward", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_mean_and_sum_have_gradients_of_one_direction(forward):
    """A mean over n bins and channels with weights w is the sum with weights n w, times loss_scale / n."""
    n = (8 + forward) * 5
    weights = {"kl_f_beta": 0.02, "kl_z_beta": 0.03, "l2_gen_scale": 0.5, "l2_con_scale": 0.25}
    settings = {"forward_steps": forward, "z_kl_mode": "fresh", **NO_LOOPS}
    mean = lfads(**settings, **weights, loss_scale=1e4)
    summed = lfads(**settings, **{k: n * v for k, v in weights.items()}, loss_scale=1.0, loss_reduction="sum")
    y = counts(time=8 + forward, seed=4)
    rng, names = np.random.default_rng(5), ("complex_cell", "z_prior")
    noise = {name: tf.constant(rng.normal(size=(6, 8 + forward, 2)), tf.float32) for name in names}
    noise[mean._graph_outputs["f"].name] = tf.constant(rng.normal(size=(6, 3)), tf.float32)
    noise[summed._graph_outputs["f"].name] = noise[mean._graph_outputs["f"].name]
    by_path, losses = [], []
    for model in (mean, summed):
        with sampling(GivenNoise(noise)), tf.GradientTape() as tape:
            losses.append(model.compute_loss(X, y, model(X, training=True), training=True))
        variables = model.trainable_variables
        found = tape.gradient(losses[-1], [v.value for v in variables])
        by_path.append({v.path: np.asarray(g, "float64") for v, g in zip(variables, found, strict=True)})
    assert float(losses[1]) == pytest.approx(n * float(losses[0]) / 1e4, rel=1e-5)
    assert by_path[0].keys() == by_path[1].keys()
    for path, gradient in by_path[0].items():
        assert np.any(gradient)
        wanted = by_path[1][path]
        np.testing.assert_allclose(n * gradient / 1e4, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


# --- roles --------------------------------------------------------------------------------------

COMMON = {
    "ic_encoder/initial_state": (2, 4),
    "ic_posterior/kernel": (8, 6),
    "ic_posterior/bias": (6,),
    "ic_prior/mean": (3,),
    "ic_prior/log_variance": (3,),
    "generator_initial_state/kernel": (3, 6),
    "generator_initial_state/bias": (6,),
    "generator/recurrent_kernel": (6, 18),
    "generator/bias": (18,),
    "factors/kernel": (6, 3),
    "readout/kernel": (3, 5),
    "readout/bias": (5,),
    **{f"ic_encoder/{way}/kernel": (5, 12) for way in ("forward", "backward")},
    **{f"ic_encoder/{way}/recurrent_kernel": (4, 12) for way in ("forward", "backward")},
    **{f"ic_encoder/{way}/bias": (12,) for way in ("forward", "backward")},
}
ROLES = {
    "lfads_no_controller": {**COMMON, "generator/kernel": (0, 18)},
    "lfads": {
        **COMMON,
        "generator/kernel": (2, 18),
        "controller/kernel": (10 + 3, 12),
        "controller/recurrent_kernel": (4, 12),
        "controller/bias": (12,),
        "controller/initial_state": (4,),
        "co_posterior/kernel": (4, 4),
        "co_posterior/bias": (4,),
        "co_prior/log_tau": (2,),
        "co_prior/log_noise_variance": (2,),
        "ci_encoder/initial_state": (2, 5),
        **{f"ci_encoder/{way}/kernel": (5, 15) for way in ("forward", "backward")},
        **{f"ci_encoder/{way}/recurrent_kernel": (5, 15) for way in ("forward", "backward")},
        **{f"ci_encoder/{way}/bias": (15,) for way in ("forward", "backward")},
    },
}


@pytest.fixture(scope="module", params=SIZES)
def named(request):
    """The preset's name, and a model of it with every weight away from its start."""
    model, rng = lfads(request.param), np.random.default_rng(6)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + 0.3 * rng.normal(size=variable.shape))
    return request.param, model


def test_the_roles_are_all_weights_of_the_model(named):
    name, model = named
    weights = lfads_weights(model)
    assert {role: value.shape for role, value in weights.items()} == ROLES[name]
    held = [id(variable) for role in lfads_roles(model).values() for variable in role.variables]
    assert len(set(held)) == len(held)
    assert {id(variable) for variable in model.trainable_variables} <= set(held)
    # Where the values differ from the variables.
    prior = model.get_layer("f_prior")
    assert_close(weights["ic_prior/log_variance"], np.log(np.square(prior.distribution().stddev())))
    head = model.get_layer("q_f")
    assert_same(weights["ic_posterior/kernel"], np.concatenate([head.loc.kernel, head.raw_scale.kernel], 1))


def test_weights_by_role_make_another_model_the_same(named):
    name, model = named
    other = lfads(name, seed=7)
    assert np.abs(mean_rates(other) - mean_rates(model)).max() > 1e-3
    weights = lfads_weights(model)
    load_lfads_weights(other, weights)
    for role, value in lfads_weights(other).items():
        assert_close(value, weights[role], 1e-7)
    out, wanted = other(X), model(X)
    for key in {"p_x", "kl_f", "kl_z"} & set(wanted):
        for a, b in zip(tf.nest.flatten(out[key]), tf.nest.flatten(wanted[key]), strict=True):
            assert_close(a, b)
    # Halved variances arrive as such.
    load_lfads_weights(other, {**weights, "ic_prior/log_variance": np.log(np.array([0.1, 0.2, 0.3]))})
    assert_close(np.square(other.get_layer("f_prior").distribution().stddev()), [0.1, 0.2, 0.3])


def test_a_saved_model_has_its_roles(named):
    _, model = named
    loaded = saved_and_loaded(model)
    wanted = lfads_weights(model)
    assert lfads_weights(loaded).keys() == wanted.keys()
    assert_same(list(lfads_weights(loaded).values()), list(wanted.values()))


def test_a_model_without_priors_has_no_roles_for_them():
    roles = lfads_roles(lfads("lfads_no_controller", variational=False))
    assert set(ROLES["lfads_no_controller"]) - set(roles) == {"ic_prior/mean", "ic_prior/log_variance"}


def test_weights_that_do_not_fit_are_refused_and_change_nothing(named):
    _, model = named
    weights, before = lfads_weights(model), model.get_weights()
    rest = {role: value for role, value in weights.items() if role != "factors/kernel"}
    changed = {role: value + 1 for role, value in weights.items()}
    for given, words in (
        (rest, ["factors/kernel: none instead of (6, 3)"]),
        ({**changed, "factors/kernel": np.ones((3, 6))}, ["factors/kernel: (3, 6) instead of (6, 3)"]),
        ({**changed, "factors/bias": np.ones(3)}, ["factors/bias: not a role of this model"]),
        ({}, ["generator/kernel: none", "Build the model with the sizes"]),
    ):
        refused(lambda given=given: load_lfads_weights(model, given), "do not fit the model", *words)
    assert_same(model.get_weights(), before)


def test_models_without_the_complex_cell_have_no_roles():
    refused(lambda: lfads_roles(tiny_model()), "complex cell", "'gen_0'", "preset('lfads')")


# --- inferred inputs ----------------------------------------------------------------------------


def test_the_posteriors_sample_is_the_models_z():
    model = lfads()
    out = model(X, training=True)
    assert_same(out["q_z"].drawn, out["z"])
    assert np.abs(out["z"] - out["q_z"].loc).min() > 0
    # Both latents handed back give what they gave.
    latents = {model._graph_outputs[name].name: out[name] for name in ("f", "z")}
    with sampling(GivenLatents(latents)):
        again = model(X)
    for name in ("gen_out", "factors", "con_states"):
        assert_close(again[name], out[name])
    assert_close(again["p_x"].mean(), out["p_x"].mean())
