"""Sequential models whose priors and posteriors depend on labels (iVAE and pi-VAE on time series)."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl import metrics
from indl.data import Trials, load_recording
from indl.evaluation import evaluate
from indl.export import export_saved_model
from indl.model import beta_vae
from indl.model.assemble import build_sequential_vae
from indl.model.inputs.of_recording import arrays_of, inputs_of
from indl.model.sequence_model import SequentialVAE
from indl.params import preset
from indl.training.fit import params_for, train
from indl.training.latent_use import kl_per_dimension
from indl.training.sessions import add_session
from indl.tuning.space import search_names
from tests.checks import (
    TINY,
    assert_close,
    assert_mean,
    assert_same,
    check_model,
    counts,
    gradients,
    saved_and_loaded,
    tiny_model,
    untrained,
)
from tests.messages import faults

N, T, CLASSES = 6, 8, 3
X = counts(N, T)
RNG = np.random.default_rng(3)
CLASS = np.array([0, 1, 2, 2, 1, 0])
VECTORS = RNG.normal(size=(N, T, 2)).astype("float32")

QUIET = {"dropout_rate": 0.0, "coordinated_dropout_rate": 0.0}
BY_CLASS = {"u_dim": CLASSES, "u_type": "discrete"}
BY_VECTOR = {"u_dim": 2, "u_type": "continuous", "u_per_step": True, "u_units": [4]}
#: Without a recurrence, which takes long to trace.
LIGHT = {"f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "Dense", "z2_units": 0} | {
    "gen_cell_type": "Dense",
    "f_to_gen": "tile",
}
FLOW = {"gen_cell_type": "GIN", "gen_n_hidden": [6], "f_to_gen": "tile", "n_factors": 0}

#: Changes to the tiny model, and its labels.
MODELS = {
    "both latents by class": (
        {**BY_CLASS, "f_prior_type": "cond", "z_prior_process": "cond", "q_cond": "product"},
        CLASS,
    ),
    "bins by vector": ({**BY_VECTOR, **FLOW, "z_prior_process": "cond", "q_cond": "product"}, VECTORS),
    "concatenated": (
        {**BY_VECTOR, "z_prior_process": "cond", "q_cond": "concat", "f_enc_input_samps": 2, "z_latent_off_diag": True},
        VECTORS,
    ),
    "samples of f in z": (
        {**BY_CLASS, "f_prior_type": "cond", "z_prior_process": "cond", "q_cond": "product", "f_to_z": "z1"}
        | {"q_f_samples": 2},
        CLASS,
    ),
    "complex": (
        {**BY_CLASS, "z_prior_process": "cond", "gen_cell_type": "Complex", "z2_type": "GRUClip", "z2_units": 4}
        | {"f_to_gen": "init"},
        CLASS,
    ),
}


@pytest.fixture(scope="module")
def models():
    """Tiny models with label priors far apart, by name, each built once."""
    built = {}

    def get(name):
        if name not in built:
            model = built[name] = tiny_model(**{**QUIET, **LIGHT, **MODELS[name][0]})
            model.compile(keras.optimizers.Adam(1e-3))
            rng = np.random.default_rng(0)
            for layer in model.layers:
                if layer.name in ("f_prior", "z_prior") and hasattr(layer, "u_type"):
                    for variable in layer.trainable_variables:
                        variable.assign(variable + rng.normal(size=variable.shape))
        return built[name], {"x": X, "u": MODELS[name][1]}

    return get


def assert_says(error, words):
    """The message holds the words, and the three parts of every message."""
    message = str(error.value)
    assert not [word for word in words if word not in message], message
    assert not faults(message, may_say_none=True), message


def prior_moments(layer, u):
    """Means and variances of p(. | u) in numpy, from the layer's weights."""
    if layer.u_type == "discrete":
        loc, raw = np.asarray(layer.mean_embedding)[u], np.asarray(layer.log_variance_embedding)[u]
    else:
        h = np.asarray(u, "float64")
        for i, dense in enumerate(layer.network.dense):
            h = h @ np.asarray(dense.kernel) + np.asarray(dense.bias)
            h = np.tanh(h) if i + 1 < len(layer.network.dense) else h
        loc, raw = np.split(h, 2, axis=-1)
    return loc.astype("float64"), np.exp(raw.astype("float64"))


def numpy_kl(m, v, m0, v0):
    return 0.5 * (np.log(v0 / v) + (v + (m - m0) ** 2) / v0 - 1).sum(-1)


def part_of(model, layer, given):
    """The Gaussian that a layer of the model gives."""
    part = keras.Model(dict(model.reads.symbols), list(model.get_layer(layer).output[:2]))
    return [np.asarray(value, "float64") for value in part({name: tf.constant(v) for name, v in given.items()})]


# --- the parts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("both latents by class", "bins by vector"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("samples of f in z", "complex")),
    ],
)
def test_the_kl_is_the_closed_form(models, name):
    model, given = models(name)
    out = model.predict(given, verbose=0)
    for latent in [latent for latent in "fz" if hasattr(model.get_layer(f"{latent}_prior"), "u_type")]:
        m, s = (np.asarray(part, "float64") for part in out[f"q_{latent}"][:2])
        m0, v0 = prior_moments(model.get_layer(f"{latent}_prior"), given["u"])
        # Of trials for every bin, and for every sample.
        m0, v0 = (np.reshape(part, (N, *[1] * (m.ndim - part.ndim), *part.shape[1:])) for part in (m0, v0))
        kl = numpy_kl(m, s**2, m0, v0)
        assert_close(out[f"kl_{latent}"], kl.mean(1) if kl.ndim == 3 else kl, 1e-4)
    if name == "both latents by class":
        total = model.evaluate(given, X, verbose=0, return_dict=True)
        assert total["kl_z"] == pytest.approx(out["kl_z"].sum(-1).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["both latents by class", "bins by vector"])
def test_a_product_posterior_is_the_product_of_its_factors(models, name):
    model, given = models(name)
    q = model.encode(given)
    for latent in [latent for latent in "fz" if hasattr(model.get_layer(f"{latent}_prior"), "u_type")]:
        m, s = part_of(model, f"q_{latent}", given)
        m0, v0 = prior_moments(model.get_layer(f"{latent}_prior"), given["u"])
        m0, v0 = (np.reshape(part, (N, *[1] * (m.ndim - part.ndim), *part.shape[1:])) for part in (m0, v0))
        precision = 1 / s**2 + 1 / v0
        assert_close(q[f"q_{latent}"].loc, (m / s**2 + m0 / v0) / precision)
        assert_close(q[f"q_{latent}"].scale, precision**-0.5)


@pytest.mark.parametrize(
    "name", ["both latents by class", "bins by vector", pytest.param("samples of f in z", marks=pytest.mark.slow)]
)
def test_an_unknown_label_leaves_the_encoder_alone(models, name):
    model, given = models(name)
    known, alone = model.encode(given), model.encode(X)
    some = np.array(given["u"])
    some[[1, 4]] = -1 if some.dtype.kind == "i" else np.nan
    mixed = model.encode({"x": X, "u": some})
    for key in known:
        if hasattr(model.get_layer(f"{key[2:]}_prior"), "u_type"):
            assert (np.abs(known[key].loc - alone[key].loc).reshape(N, -1).max(1) > 1e-3).all()
        if name != "samples of f in z":
            assert_close(alone[key].loc, part_of(model, key, given)[0])
        for i in range(N):
            expected = alone if i in (1, 4) else known
            assert_close(mixed[key].loc[i], expected[key].loc[i])
            assert_close(mixed[key].scale[i], expected[key].scale[i])
    kl = model.predict({"x": X, "u": some}, verbose=0)["kl_z"]
    assert np.isnan(kl[[1, 4]]).all() and np.isfinite(kl[[0, 2, 3, 5]]).all()
    assert np.isnan(model.predict(X, verbose=0)["kl_z"]).all()


def test_labels_beside_the_input_move_the_posterior(models):
    model, given = models("concatenated")
    first = model.encode(given)
    changed = given["u"].copy()
    changed[0] += 1
    second = model.encode({"x": X, "u": changed})
    for key in first:
        assert np.abs(second[key].loc[0] - first[key].loc[0]).max() > 1e-3
        assert_same(second[key].loc[1:], first[key].loc[1:])
    # The f-encoder sees its segment alone, of labels too.
    late = given["u"].copy()
    late[:, 2:] += 1
    third = model.encode({"x": X, "u": late})
    assert_same(third["q_f"].loc, first["q_f"].loc)
    assert np.abs(third["q_z"].loc - first["q_z"].loc).max() > 1e-3


def test_classes_beside_the_input_are_one_hot():
    params = {**TINY, **QUIET, **BY_CLASS, "z_prior_process": "cond", "q_cond": "concat"}
    inputs, u = keras.Input((T, 5)), beta_vae.create_label_input(params, T)
    f_in, z_in, _ = beta_vae.prepare_inputs(params, inputs, u=u)
    found = keras.Model([inputs, u], [f_in, z_in])([X, CLASS])
    expected = np.concatenate([X, np.tile(np.eye(CLASSES)[CLASS][:, None], (1, T, 1))], -1)
    for values in found:
        assert_close(values, expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_learns(models, name):
    model, given = models(name)
    missing = set(untrained(model.trainable_variables, gradients(model, given)))
    # The read-in of a state that starts at zero has no gradient there.
    assert not [path for path in missing if "prior" in path or "q_" in path], missing
    assert any("prior" in variable.path for variable in model.trainable_variables)


def test_a_flow_can_be_undone(models):
    model, given = models("bins by vector")
    out = model.predict(given, verbose=0)
    latents = np.concatenate([out["z"], np.tile(out["f"][:, None], (1, T, 1))], -1)
    assert_close(model.get_layer("gen_0").inverse(out["gen_out"]), latents, 1e-4)


def test_what_the_encoders_would_pay_has_its_share_in_the_loss_and_none_in_the_bound():
    changes = {"alpha": 0.3, "kl_f_beta": 0.5, "kl_z_beta": 2.0, "q_f_init_std": 1.0, "q_z_init_std": 1.0}
    model = tiny_model(**{**QUIET, **LIGHT, **MODELS["both latents by class"][0], **changes})
    rng = np.random.default_rng(0)
    for variable in (*model.get_layer("f_prior").weights, *model.get_layer("z_prior").weights):
        variable.assign(variable + rng.normal(size=variable.shape))
    model.compile()
    out = model.predict({"x": X, "u": CLASS}, verbose=0)
    kl = {name: out[name].reshape(N, -1).sum(1).mean() for name in out if name.startswith("kl_")}
    for alpha in (0.3, 1.0, 0.0):
        model.alpha.assign(alpha)
        found = model.evaluate({"x": X, "u": CLASS}, X, batch_size=N, verbose=0, return_dict=True)
        paid = {latent: alpha * kl[f"kl_{latent}_encoder"] + (1 - alpha) * kl[f"kl_{latent}"] for latent in "fz"}
        expected = found["nll"] + 0.5 * paid["f"] + 2.0 * paid["z"] + found["penalty"]
        assert found["loss"] == pytest.approx(expected, rel=1e-5)
        assert found["neg_elbo"] == pytest.approx(found["nll"] + kl["kl_f"] + kl["kl_z"], rel=1e-5)
    # They differ by enough to be told apart.
    assert abs(kl["kl_f_encoder"] - kl["kl_f"]) > 0.1 and abs(kl["kl_z_encoder"] - kl["kl_z"]) > 0.1


# --- drawing ----------------------------------------------------------------------------------


def test_draws_have_the_moments_of_their_label(models):
    model, _ = models("both latents by class")
    n = 3000
    labels = np.arange(n) % CLASSES
    for u in (1, labels):
        drawn = model.generate(n, 2, seed=4, u=u)
        for k in np.unique(u):
            chosen = np.broadcast_to(u, n) == k
            for latent in "fz":
                m, v = prior_moments(model.get_layer(f"{latent}_prior"), k)
                z = drawn[latent][chosen]
                assert_mean(z, np.broadcast_to(m, z.shape[1:]))
                assert_mean((z - m) ** 2, np.broadcast_to(v, z.shape[1:]))
    assert_same(model.generate(5, 3, seed=1, u=2), model.generate(5, 3, seed=1, u=np.full(5, 2)))


def test_draws_of_bins_have_the_moments_of_their_label(models):
    model, given = models("bins by vector")
    path = given["u"][0]
    z = model.generate(3000, T, seed=4, u=np.tile(path, (3000, 1, 1)))["z"]
    m, v = prior_moments(model.get_layer("z_prior"), path)
    assert_mean(z, m)
    assert_mean((z - m) ** 2, v)
    assert_same(model.generate(3, T, u=path[0])["z"], model.generate(3, T, u=np.tile(path[0], (3, T, 1)))["z"])


@pytest.mark.parametrize(
    "u, words",
    [
        (None, ["u=None", "u_dim=3"]),
        (3, ["[3.0]", "classes from 0 to 2"]),
        (0.5, ["[0.5]", "classes"]),
        (-1, ["5 of 5 unknown"]),
        ([0, 1], ["(2,)", "(5,)"]),
        (np.zeros((5, T)), ["(5, 8)", "(5,)"]),
    ],
)
def test_labels_to_draw_at_must_fit(models, u, words):
    with pytest.raises(ValueError) as error:
        models("both latents by class")[0].generate(5, T, u=u)
    assert_says(error, words)


def test_a_model_without_labels_takes_none():
    model = tiny_model(**QUIET)
    with pytest.raises(ValueError, match=r"knows no labels\. Given: u\..*u_dim > 0"):
        model.generate(2, T, u=1)
    with pytest.raises(ValueError, match=r"not those that the model reads\. Given: \['u', 'x'\]"):
        model.rates({"x": X, "u": CLASS})


# --- training and inference -------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda model, given: model.fit(X, X, verbose=0),
        lambda model, given: model.fit(given, X, validation_data=(X, X), verbose=0),
        lambda model, given: model.evaluate(X, X, verbose=0),
        lambda model, given: model.fit(tf.data.Dataset.from_tensors((X, X)), verbose=0),
    ],
)
def test_learning_takes_labels(models, call):
    model, given = models("both latents by class")
    with pytest.raises(ValueError, match=r"learns from labels\. Given: .*without u\. Pass \{'x': x, 'u': u\}"):
        call(model, given)


@pytest.mark.parametrize(
    "name, u, words",
    [
        (
            "both latents by class",
            np.where(CLASS == 1, -1, CLASS),
            ["2 of 6 unknown", "(1,)", "Leave those trials out"],
        ),
        ("both latents by class", CLASS + 1, ["[3.0]", "classes from 0 to 2"]),
        ("both latents by class", np.stack([CLASS, CLASS], 1), ["(6, 2)", "(6,)"]),
        ("bins by vector", VECTORS[:, 0], ["(6, 2)", "(6, 8, 2)"]),
        ("bins by vector", np.where(VECTORS > 2, np.nan, VECTORS), ["unknown"]),
        ("bins by vector", VECTORS * np.inf, ["finite numbers"]),
    ],
)
def test_labels_to_learn_from_must_fit(models, name, u, words):
    model, _ = models(name)
    with pytest.raises(ValueError) as error:
        model.fit({"x": X, "u": u}, X, verbose=0)
    assert_says(error, words)


def test_a_concatenated_label_is_needed_everywhere(models):
    model, given = models("concatenated")
    assert model.input_names == ("x", "u")
    for call in (model.encode, model.rates, model.reconstruct):
        with pytest.raises(ValueError, match=r"reads more than one array.*\['u', 'x'\]"):
            call(X)
    with pytest.raises(ValueError, match="unknown"):
        model.rates({"x": X, "u": np.full_like(VECTORS, np.nan)})
    # Given latents need no labels.
    q = model.encode(given)
    decoded = model.decode(q["q_f"].loc, q["q_z"].loc).mean()
    assert_close(decoded, model.rates(given))
    assert_close(model.reconstruct(given), decoded)
    assert model.generate(2, 13, u=[0.5, -1.0])["rates"].shape == (2, 13, 5)


@pytest.mark.parametrize("name", ["bins by vector", pytest.param("samples of f in z", marks=pytest.mark.slow)])
def test_inference_without_labels(models, name):
    model, given = models(name)
    assert model.input_names == ("x",)
    assert_close(model.reconstruct(X), model.rates(X))
    assert_close(model.reconstruct(given), model.rates(given))
    assert np.abs(model.rates(X) - model.rates(given)).max() > 1e-4
    assert model.log_prob(X).sum() != model.log_prob(given).sum()
    assert np.isfinite(model.outputs_of(X, ("rates", "z"), samples=3)["rates"]).all()
    if name == "bins by vector":
        # Many samples scatter around the posterior of each trial.
        q, drawn = model.encode(given), model.outputs_of(given, ("rates", "z"), samples=400)["z"]
        assert (np.abs(drawn - q["q_z"].loc) < 5 * q["q_z"].scale / 20).all()


@pytest.mark.parametrize("name", ["both latents by class", pytest.param("concatenated", marks=pytest.mark.slow)])
def test_a_loaded_model_is_the_same(models, name):
    model, given = models(name)
    again = saved_and_loaded(model)
    assert_same(again.predict(given, verbose=0), model.predict(given, verbose=0))
    label = given["u"][0, 0] if given["u"].ndim == 3 else 1
    assert_same(again.generate(3, T, u=label), model.generate(3, T, u=label))
    assert again.labels == model.labels and again.needs_labels == model.needs_labels


def test_what_is_exported_takes_labels_where_it_must(models):
    model, _ = models("both latents by class")
    endpoint, signature = model.inference_function("encode")
    assert [spec.name for spec in signature] == ["x"]
    assert_close(endpoint(tf.constant(X))["q_z_loc"], model.encode(X)["q_z"].loc)
    model, given = models("concatenated")
    endpoint, signature = model.inference_function("encode")
    assert [spec.name for spec in signature] == ["x", "u"]
    assert_close(endpoint(tf.constant(X), tf.constant(given["u"]))["q_z_loc"], model.encode(given)["q_z"].loc)


@pytest.mark.slow
def test_an_exported_model_runs(models, tmp_path):
    model, _ = models("both latents by class")
    loaded = tf.saved_model.load(export_saved_model(model, tmp_path / "product"))
    assert_close(loaded.rates(X)["rates"], model.rates(X))


@pytest.mark.parametrize("name", ["both latents by class", "bins by vector", "concatenated"])
def test_the_use_of_each_dimension(models, name):
    model, given = models(name)
    found = kl_per_dimension(model, given)
    out = model.predict(given, verbose=0)
    for latent in "fz":
        if name != "concatenated" or latent == "f":
            total = out[f"kl_{latent}"].reshape(N, -1).sum(1).mean()
            assert found[latent].sum() == pytest.approx(total, rel=1e-4)
    assert found["z"].shape == (2,)
    if not model.needs_labels:
        # Without labels there is no prior to differ from.
        assert set(kl_per_dimension(model, X)) == set(found) - {
            latent for latent in "fz" if hasattr(model.get_layer(f"{latent}_prior"), "u_type")
        }


def test_forward_steps_and_ragged_trials_have_labels():
    params = {**TINY, **QUIET, **LIGHT, **BY_VECTOR, "z_prior_process": "cond", "q_cond": "product"}
    model = build_sequential_vae({**params, "forward_steps": 2, "missing_data": True}, None, 5)
    x, u = X.copy(), np.random.default_rng(0).normal(size=(N, T + 2, 2)).astype("float32")
    x[0, 5:] = np.nan
    out = model.predict({"x": x, "u": u}, verbose=0)
    # What the labels are beyond a trial's end does not matter.
    u[0, 5:] += 100
    again = model.predict({"x": x, "u": u}, verbose=0)
    assert (again["kl_z"][0, 5:] == 0).all() and (again["kl_z"][1:] > 0).all()
    assert_close(again["kl_z"], out["kl_z"])
    y = np.concatenate([x, X[:, :2]], 1)
    y[0, 5:] = np.nan
    loss = model.compute_loss({"x": x, "u": u}, y, model({"x": x, "u": u}))
    assert np.isfinite(float(loss))
    assert model.rates(x).shape == (N, T + 2, 5)
    assert model.generate(2, 12, u=u[1, 0])["rates"].shape == (2, 12, 5)
    with pytest.raises(ValueError, match=re.escape("(6, 8, 2). It must be (6, 10, 2)")):
        model.rates({"x": x, "u": u[:, :T]})


def test_sessions_and_labels_together():
    model = tiny_model(**{**QUIET, **LIGHT, **MODELS["both latents by class"][0]}, n_sessions=2, input_factors=3)
    session = np.arange(N) % 2
    q = model.encode({"x": X, "session": session})
    known = model.encode({"x": X, "session": session, "u": CLASS})
    assert np.abs(q["q_z"].loc - known["q_z"].loc).max() > 1e-4
    assert model.generate(4, T, u=1, session=1)["rates"].shape == (4, T, 5)
    with pytest.raises(ValueError) as error:
        add_session(model, recording(label=np.arange(40) % 5))
    assert_says(error, ["5 for u_dim=3", "u_dim of all sessions"])


def test_a_model_of_the_users_own_tensors(models):
    params = {**TINY, **QUIET, **LIGHT, **BY_CLASS, "f_latent_size": 0, "z_prior_process": "cond", "q_cond": "product"}
    x, u = keras.Input((T, 5), name="x"), beta_vae.create_label_input(params, T)
    _, z_in, _ = beta_vae.prepare_inputs(params, x)
    p_u = beta_vae.create_z_prior(params)(u)
    enc_z = beta_vae.create_z_encoder(params, z_in)
    q_z = beta_vae.make_z_variational(params, enc_z, u, p_u)
    z = q_z.sample()
    _, factors = beta_vae.create_generator(params, None, z)
    outputs = {"p_x": beta_vae.output_dist({**params, "out_dim": 5}, factors), "q_z": q_z, "z": z}
    model = SequentialVAE(inputs={"x": x, "u": u}, outputs={**outputs, "kl_z": beta_vae.label_kl(params, q_z, p_u, u)})
    terms = model.loss_terms(X, model({"x": X, "u": CLASS}))
    assert_close(terms["kl_z"], model.predict({"x": X, "u": CLASS}, verbose=0)["kl_z"].sum(-1), 1e-4)
    assert model.needs_labels and model.generate(2, T, u=1)["x"].shape == (2, T, 5)
    with pytest.raises(ValueError, match=r"needs the prior at the labels\. Given: p_u=None"):
        beta_vae.make_z_variational(params, enc_z, u)
    with pytest.raises(ValueError, match=r"q_cond='product' reads labels\. Given: u=None.*create_label_input"):
        beta_vae.make_z_variational(params, enc_z, None, p_u)


# --- recordings -------------------------------------------------------------------------------


def recording(**changes):
    rng = np.random.default_rng(0)
    given = {"label": np.arange(40) % CLASSES, "behavior": rng.normal(size=(40, T, 3)), **changes}
    return Trials(rng.poisson(1.0, (40, T, 5)) + 1.0, 0.02, **given).split()


def test_labels_come_from_the_recording():
    data = recording()
    by_class, by_vector = preset("ivae"), preset("ivae", **BY_VECTOR)
    assert_same(arrays_of(data.train, ("x", "u"), by_class)["u"], data.train.label)
    assert_same(arrays_of(data.train, ("x", "u"), by_vector)["u"], data.train.behavior[..., :2])
    assert params_for(by_class, data)["u_dim"] == CLASSES
    assert params_for(preset("ivae", u_dim=7), data)["u_dim"] == 7
    assert params_for(by_vector, data)["u_dim"] == 2
    with pytest.raises(ValueError, match="'u_dim'.*'many'"):
        params_for({**by_class, "u_dim": "many"}, data)
    product, concat = (
        build_sequential_vae({**params_for(preset(name), data)}, T, 5) for name in ("pi_vae_sequence", "ivae")
    )
    assert_same(inputs_of(product, data.train), data.train.encod)
    assert set(inputs_of(product, data.train, labels=True)) == set(inputs_of(concat, data.train)) == {"x", "u"}


@pytest.mark.parametrize(
    "changes, params, words",
    [
        ({"label": None}, BY_CLASS, ["Given: none", "np.unique"]),
        ({"label": np.array(["a", "b"] * 20)}, BY_CLASS, ["['a', 'b']", "np.unique"]),
        ({"behavior": None}, BY_VECTOR, ["no behavior", "u_dim=2"]),
        ({}, {**BY_VECTOR, "u_dim": 4}, ["3)", "u_dim=4"]),
        ({}, {**BY_CLASS, "u_per_step": True}, ["u_per_step=True", "Set u_per_step=False", "model.fit("]),
        ({}, {**BY_VECTOR, "u_per_step": False}, ["u_type='continuous'", "Set u_per_step=True", "model.fit("]),
    ],
)
def test_a_recording_without_such_labels(changes, params, words):
    data = recording(**changes)
    with pytest.raises(ValueError) as error:
        arrays_of(data.train, ("x", "u"), params_for(preset("ivae", **params), data))
    assert_says(error, words)


def test_a_search_keeps_what_labels_need():
    names = search_names("all", preset("pi_vae_sequence"))
    assert "gen_n_hidden" in names and not {"z_prior_process", "gen_l2_reg"} & set(names)
    assert "z_prior_process" in search_names("all", preset("default"))


SMALL = {"z1_units": [8], "gen_n_hidden": [12], "z_latent_size": 2}


@pytest.mark.slow
def test_known_latents_are_recovered():
    """Bins have labels that move the latents: prior means, and posteriors that see no label, follow the truth."""
    rng = np.random.default_rng(1)
    angle = 2 * np.pi * np.arange(8) / 8
    means = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    u = rng.integers(0, 8, (60, 20))
    z = means[u] + np.where(u % 2, 0.3, 0.6)[..., None] * rng.normal(size=(60, 20, 2))
    x = rng.poisson(np.exp(0.5 + 0.5 * z @ rng.normal(size=(2, 15)))).astype("float32")
    changes = {"u_dim": 8, "u_per_step": True, "z1_rnn_type": "Dense", "z1_units": [32]}
    keras.utils.set_random_seed(0)
    model = build_sequential_vae(preset("pi_vae_sequence", **changes, z_latent_size=2, gen_n_hidden=[15]), 20, 15)
    model.init_readout(x)
    model.compile(keras.optimizers.Adam(1e-2, global_clipnorm=200.0))
    model.fit({"x": x[:50], "u": u[:50]}, x[:50], epochs=25, batch_size=10, verbose=0)

    def fraction(features, truth):
        design = np.c_[features, np.ones(len(features))]
        rest = truth - design @ np.linalg.lstsq(design, truth, rcond=None)[0]
        return 1 - rest.var(0).sum() / truth.var(0).sum()

    learnt = np.asarray(model.get_layer("z_prior").mean_embedding)
    chance = [fraction(learnt[rng.permutation(8)], means) for _ in range(200)]
    assert fraction(learnt, means) > max(0.9, *chance)
    # Fitted on trials, scored on others, all without labels.
    seen, new = (model.encode(part)["q_z"].loc for part in (x[:50], x[50:]))
    assert (metrics.latent_r2(seen, z[:50], new, z[50:]) > 0.8).all()


def test_training_withholds_labels_from_scores():
    data = recording()
    result = train(preset("pi_vae_sequence", **SMALL, z1_rnn_type="Dense", gen_cell_type="Dense"), data, epochs=2)
    assert result.model.params["u_dim"] == CLASSES and np.isfinite(result.history["val_neg_elbo"]).all()
    assert len(result.latent_use.kl["z"]) == 1 and result.latent_use.kl["z"][0].shape == (2,)
    scores = evaluate(result.model, data, samples=0)
    assert scores["labels_seen"] == 0
    # Of these few trials averages are noise.
    assert [name for name, value in scores.items() if not np.isfinite(value)] == ["psth_r2"]
    # The bound is that of log p(x | u); what is decoded has seen no label.
    given = {"x": data.valid.encod, "u": data.valid.label}
    assert scores["kl_z"] == pytest.approx(result.model.predict(given, verbose=0)["kl_z"].sum(-1).mean(), rel=1e-4)
    rates = [result.model.rates(part.encod) for part in (data.train, data.valid)]
    decoded = metrics.ridge_decoding(rates[0], data.train.behavior, rates[1], data.valid.behavior)
    assert scores["behavior_r2"] == pytest.approx(decoded.r2_per_dim.mean(), abs=1e-5)


@pytest.mark.slow
def test_training_says_that_labels_were_seen():
    data = recording()
    result = train(preset("ivae", **SMALL, batch_size=16), data, epochs=1)
    assert evaluate(result.model, data, samples=2)["labels_seen"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ivae", "pi_vae_sequence"])
def test_suite(name):
    # So few ReLU may be dead from the start.
    check_model(preset(name, **SMALL, u_dim=CLASSES, gen_activation="tanh"), X, u=CLASS)


@pytest.mark.slow
def test_real_targets_are_learnt_from(recording_path):
    data = load_recording(recording_path("adan_day0.h5"))
    params = preset("pi_vae_sequence", **SMALL, z1_rnn_type="Dense", learning_rate=1e-2)
    result = train(params, data, epochs=2)
    assert result.model.params["u_dim"] == 8
    assert result.history["val_neg_elbo"][-1] < result.history["val_neg_elbo"][0]


@pytest.mark.slow
def test_a_real_heading_is_learnt_from(recording_path):
    data = load_recording(recording_path("head_direction_20ms.h5"))
    result = train(preset("pi_vae_sequence", **{**BY_VECTOR, **SMALL}), data, epochs=20)
    scores = evaluate(result.model, data, samples=0)
    assert scores["labels_seen"] == 0 and scores["behavior_r2_1"] > 0.4 and scores["behavior_r2_2"] > 0.4
