"""pi-VAE: what it computes, against closed forms and simulation, and how it is used."""

import contextlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import multivariate_normal

from indl.data import pi_vae_discrete
from indl.export import export_saved_model
from indl.feed.batch_stacks import batch_stacks
from indl.metrics import recovery_r2
from indl.model.pi_vae import (
    build_pi_vae,
    compute_loss,
    create_label_prior,
    create_pi_decoder,
    create_pi_encoder,
    create_pi_posterior,
)
from indl.model.pi_vae.model import OTHER_NAMES, PiVAE, distance_probabilities
from indl.params import preset
from indl.training.guard import FiniteGuard, NonFiniteError
from indl.training.schedules import BetaSchedule, BetaSchedules, WeightSchedule
from tests.checks import assert_close, assert_mean, saved_and_loaded, untrained
from tests.restarted import Restarted

SIZES = {"encoder_hidden_layer_dim": 8, "z_prior_hidden_layer_dim": 5, "batch_size": 20}
# Every layer of a network costs the tracing of its steps: the fewest at which every coordinate is still moved.
TINY = {
    **SIZES,
    "encoder_n_hidden_layers": 1,
    "z_prior_n_hidden_layers": 1,
    "decoder_n_gin_blocks": 1,
    "decoder_affine_n_hidden_layers": 0,
    "decoder_nflow_n_hidden_layers": 0,
}
RNG = np.random.default_rng(0)
X = RNG.poisson(1.5, (60, 8)).astype("float32")
CLASSES = np.arange(60) % 3
VECTORS = RNG.normal(size=(60, 2)).astype("float32")


def tiny(u_dim=3, seed=0, compiled=False, **changes):
    """A model of the smallest sizes, a plain graph unless compiled: that takes seconds for each."""
    keras.utils.set_random_seed(seed)
    return build_pi_vae({**TINY, "jit_compile": "on" if compiled else "off", **changes}, 8, u_dim)


def randomized(model, seed=1):
    """The model with weights away from its start, where priors are all alike."""
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.4, weight.shape))
    return model


@pytest.fixture(scope="module")
def restarted():
    """A model with both divergences in its loss, whose every run begins at the same state."""
    return Restarted.of(tiny(alpha=0.5))


@pytest.fixture
def model(restarted):
    """The model of every run at its start."""
    return restarted()


@pytest.fixture(scope="module")
def counts_model():
    return randomized(tiny())


@pytest.fixture(scope="module")
def linear_model():
    """A Gaussian model whose decoder is linear: everything about it has a closed form."""
    return randomized(
        tiny(
            u_dim=2,
            discrete_labels=False,
            decoder_observation_model="gaussian",
            decoder_n_gin_blocks=0,
            decoder_nflow_n_hidden_layers=0,
        )
    )


def linear_parts(model):
    """Matrix, offset and noise variances of a linear decoder."""
    offset = model.decode(np.zeros((1, 2)))[0]
    matrix = model.decode(np.eye(2)) - offset
    return matrix.T.astype("float64"), offset, np.exp(np.asarray(model.observation_noise_model.log_variance, "float64"))


# --- layout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, u_dim, discrete, parameters",
    [
        ("pi_vae_port", 5, True, 39_415),
        ("pi_vae_port_1_1", 5, True, 42_247),
        ("pi_vae_port", 3, False, 39_979),
        ("pi_vae", 5, True, 39_415 + 8_998),
    ],
)
def test_parameter_counts(name, u_dim, discrete, parameters):
    model = build_pi_vae(preset(name, discrete_labels=discrete), 100, u_dim)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize("x_dim, z_dim, parameters", [(100, 2, 21_269), (120, 2, 30_474), (192, 4, 77_272)])
def test_decoders_of_the_published_fits(x_dim, z_dim, parameters):
    """Simulation, rat and macaque in the original code: separate couplings, networks a quarter of the channels wide."""
    flow = build_pi_vae({"z_dim": z_dim}, x_dim, 3).get_layer("flow")
    assert sum(int(np.prod(weight.shape)) for weight in flow.trainable_weights) == parameters


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "changes",
    [
        # All hidden layers, blocks and couplings of the defaults.
        {name: preset("pi_vae")[name] for name in TINY if name not in SIZES},
        pytest.param({"z_dim": 8, "encoder_n_hidden_layers": 0}, marks=pytest.mark.slow),
        pytest.param({"decoder_affine_input_layer_slice_dim": 7, "decoder_gin_block_depth": 3}, marks=pytest.mark.slow),
        pytest.param({"decoder_observation_model": "gaussian", "alpha": 0.5}, marks=pytest.mark.slow),
        pytest.param(
            {"discrete_labels": False, "z_prior_min_variance": 0.1, "decoder_n_gin_blocks": 0}, marks=pytest.mark.slow
        ),
    ],
    ids=["default", "no lift, no hidden layer", "slice_dim and depth", "gaussian", "real labels, no block"],
)
def test_suite(changes):
    """Builds; every weight is trained; the loss falls; a file gives the same model back, which trains on."""
    discrete = changes.get("discrete_labels", True)
    model, u = tiny(3 if discrete else 2, **changes), CLASSES if discrete else VECTORS
    names = {*OTHER_NAMES, "posterior_mean", "posterior_log_variance"}
    assert set(model(X, u)) == names | ({"noise_log_variance"} if "decoder_observation_model" in changes else set())
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x={"x": X}, y_pred=model(X, u))
    variables = model.trainable_variables
    assert untrained(variables, tape.gradient(loss, [v.value for v in variables])) == []
    model.optimizer.learning_rate.assign(5e-3)
    history = model.fit((X, u), epochs=30, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.mean(history["loss"][-3:]) < np.mean(history["loss"][:3])
    loaded = saved_and_loaded(model)
    np.testing.assert_array_equal(loaded.encode(X, u), model.encode(X, u))
    np.testing.assert_array_equal(loaded.neg_elbo(X, u, 3), model.neg_elbo(X, u, 3))
    assert loaded.params == model.params
    np.testing.assert_array_equal(loaded.optimizer.iterations, model.optimizer.iterations)


def test_a_loaded_model_trains_on(model):
    with pytest.warns(UserWarning, match="Given: "):
        model.fit((X, CLASSES), epochs=1, verbose=0)
    loaded = saved_and_loaded(model)
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    before = [np.array(weight) for weight in loaded.trainable_weights]
    with pytest.warns(UserWarning, match="Given: "):
        loaded.fit((X, CLASSES), epochs=1, verbose=0)
    assert int(loaded.optimizer.iterations) == 2 * int(model.optimizer.iterations) == 6
    assert not any(np.array_equal(a, b) for a, b in zip(before, loaded.trainable_weights, strict=True))


def test_by_hand_it_is_the_same_model():
    params = {**TINY, "x_dim": 8, "u_dim": 3}
    x, u = keras.Input((8,)), keras.Input((), dtype="int32")
    q_x, p_u = create_pi_encoder(params, x), create_label_prior(params, u)
    q = create_pi_posterior(params, q_x, p_u)
    rate, noise = create_pi_decoder(params, q.loc)
    assert noise is None
    by_hand, built = keras.Model([x, u], [*q, rate]), randomized(tiny())
    by_layer = {layer.name: layer for layer in built.layers}
    for layer in by_hand.layers:
        if layer.weights:
            layer.set_weights(by_layer[layer.name].get_weights())
    loc, log_variance, rate = by_hand([X, CLASSES])
    wanted = built.posterior(X, CLASSES)
    assert_close(loc, wanted.loc)
    assert_close(log_variance, wanted.log_variance)
    assert_close(rate, built.decode(wanted.loc))


def test_a_model_from_before_a_parameter_is_read(counts_model):
    config = counts_model.get_config()
    older = {key: value for key, value in config["params"].items() if key not in ("family", "z_prior_min_variance")}
    assert PiVAE.from_config({**config, "params": older}).params == counts_model.params


def test_tensors_are_given_by_name():
    x = keras.Input((8,))
    with pytest.raises(ValueError, match=r"Given: 2 positional arguments, \[\]"):
        PiVAE({"x": x}, {"firing_rate": x})


def test_sizes_are_asked_for():
    with pytest.raises(ValueError, match=r"Given: x_dim=None"):
        create_pi_decoder(TINY, keras.Input((2,)))
    with pytest.raises(ValueError, match=r"Given: u_dim=None"):
        create_label_prior(TINY, keras.Input((), dtype="int32"))


# --- loss and training ----------------------------------------------------------------------------


def test_loss_asks_for_what_it_needs():
    z = np.zeros((2, 1))
    given = dict(x=z, firing_rate=z, lambda_mean=z, lambda_log_variance=z, posterior_mean=z, posterior_log_variance=z)
    for changes, words in [
        ({"observation_model": "binomial"}, "Given: 'binomial'"),
        ({"observation_model": "gaussian"}, "Given: observation_noise_model=None"),
        ({"observation_model": "poisson", "alpha": 0.5}, "alpha=0.5, z_mean=None"),
        ({"observation_model": "poisson", "alpha": -0.1, "z_mean": z}, "alpha=-0.1"),
    ]:
        with pytest.raises(ValueError) as error:
            compute_loss(**given, **changes)
        assert words in str(error.value)


def test_stacks_hold_every_row_once_an_epoch():
    arrays = {"x": np.arange(23 * 2).reshape(23, 2), "u": np.arange(23)}
    data, steps = batch_stacks(arrays, 4, seed=3)
    stacks = list(data.take(2 * steps).as_numpy_iterator())
    epochs = []
    for part in (stacks[:steps], stacks[steps:]):
        batches = [values["u"][:used].reshape(-1) for values, used in part]
        for (values, used), rows in zip(part, batches, strict=True):
            np.testing.assert_array_equal(values["x"][:used].reshape(-1, 2), arrays["x"][rows])
        epochs.append(np.concatenate(batches))
        assert sorted(epochs[-1]) == list(range(23))
    assert list(epochs[0]) != list(epochs[1])
    for first, at in ((0, 0), (1, steps)):
        again = next(batch_stacks(arrays, 4, seed=3, first_epoch=first)[0].as_numpy_iterator())[0]["u"]
        np.testing.assert_array_equal(again, stacks[at][0]["u"])
    ordered = batch_stacks(arrays, 4, False)[0].take(steps).as_numpy_iterator()
    plain = [values["u"][:used].reshape(-1) for values, used in ordered]
    np.testing.assert_array_equal(np.concatenate(plain), np.arange(23))


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "compiled"])
def test_a_stack_is_its_batches_one_after_the_other(compiled, restarted):
    start, runs = Restarted.of(tiny(alpha=0.5, compiled=True)) if compiled else restarted, []
    for stacked in (True, False):
        model = start()
        rows = {"x": X[:50], "u": CLASSES[:50].astype("int32")}
        with pytest.warns(UserWarning) if stacked else contextlib.nullcontext():
            if stacked:
                history = model.fit(rows, epochs=3, shuffle=False, verbose=0).history
            else:
                data = tf.data.Dataset.from_tensor_slices((rows,)).batch(20)
                history = model.fit(data, epochs=3, verbose=0).history
        runs.append((model.get_weights(), history))
    for a, b in zip(runs[0][0], runs[1][0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for name, values in runs[0][1].items():
        np.testing.assert_allclose(values, runs[1][1][name], rtol=1e-4)


def test_logged_terms_make_the_loss():
    model = randomized(tiny(alpha=0.25, kl_weight=2.0))
    found = model.evaluate((X, CLASSES), return_dict=True, verbose=0)
    np.testing.assert_allclose(found["neg_elbo"], found["nll"] + found["kl_z"], rtol=1e-5)
    wanted = found["nll"] + 2 * (0.25 * found["kl_z_encoder"] + 0.75 * found["kl_z"])
    np.testing.assert_allclose(found["loss"], wanted, rtol=1e-5)
    q, p = model.posterior(X), model.label_statistics(CLASSES)
    np.testing.assert_allclose(found["kl_z"], np.mean(q.product(p).kl_divergence(p)), rtol=1e-4)


def test_betas_follow_a_schedule(model):
    schedule = BetaSchedule("linear", 1.0, ramp=4)
    with pytest.warns(UserWarning):
        history = model.fit((X, CLASSES), epochs=5, verbose=0, callbacks=[BetaSchedules(schedule, schedule)]).history
    assert history["beta_z"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert "beta_f" not in history
    np.testing.assert_allclose(history["loss"][0], history["nll"][0], rtol=1e-6)


def test_alpha_follows_a_schedule(model):
    fall = WeightSchedule("alpha", BetaSchedule("linear", 0.0, start=1, ramp=2, begin=0.5))
    with pytest.warns(UserWarning):
        history = model.fit((X, CLASSES), epochs=4, verbose=0, callbacks=[fall]).history
    assert history["alpha"] == [0.5, 0.5, 0.25, 0.0]
    for epoch, alpha in enumerate(history["alpha"]):
        divergence = alpha * history["kl_z_encoder"][epoch] + (1 - alpha) * history["kl_z"][epoch]
        assert history["loss"][epoch] == pytest.approx(history["nll"][epoch] + divergence, rel=1e-5)
    with pytest.raises(ValueError, match="Given: 'alfa' of a PiVAE"):
        model.fit((X, CLASSES), verbose=0, callbacks=[WeightSchedule("alfa", fall.schedule)])


def test_same_seed_same_run(restarted):
    histories = []
    for seed in (0, 0, 1):
        model = restarted.like(tiny(alpha=0.5, seed=seed))
        with pytest.warns(UserWarning):
            histories.append(model.fit((X, CLASSES), epochs=2, verbose=0).history["loss"])
    assert histories[0] == histories[1] != histories[2]


def test_a_loss_that_breaks_stops_the_run(model):
    prior = model.get_layer("label_prior").mean_embedding
    prior.assign(np.full(prior.shape, np.nan))
    before = model.get_layer("flow").get_weights()
    with pytest.raises(NonFiniteError, match="nll is not finite in epoch 0, step 0"):
        model.fit((X, CLASSES), epochs=1, verbose=0, callbacks=[FiniteGuard()])
    for a, b in zip(before, model.get_layer("flow").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_latents_of_known_truth_are_recovered():
    """A small simulated set: the posterior mean is the true latent up to an affine map, and the label says more."""
    data = pi_vae_discrete(n=4000, x_dim=40)
    # One layer and one block suffice here; compiled, as models are by default.
    layers = {f"{part}_n_hidden_layers": 1 for part in ("encoder", "decoder_affine", "decoder_nflow")}
    settings = {**layers, "decoder_n_gin_blocks": 1, "encoder_hidden_layer_dim": 60, "alpha": 0.5}
    model = build_pi_vae({**settings, "batch_size": 400, "learning_rate": 8e-3}, 40, 5)
    assert model.jit_compile
    before = recovery_r2(model.encode(data.test.x, data.test.u), data.test.z).r2
    stop = keras.callbacks.EarlyStopping("val_loss", patience=100, restore_best_weights=True)
    model.fit(
        (data.train.x, data.train.u),
        validation_data=(data.valid.x, data.valid.u),
        epochs=120,
        verbose=0,
        callbacks=[stop],
    )
    test = data.test
    with_label, alone = (recovery_r2(model.encode(test.x, u), test.z).r2 for u in (test.u, None))
    assert before < 0.7
    assert with_label > 0.85
    assert alone > 0.8
    truth = np.mean((test.rates - test.x * np.log(test.rates)).sum(1))
    assert 0 < model.neg_elbo(test.x, test.u).mean() - truth < 4
    # Classes overlap: what the true latents tell is the most that can be.
    first = [np.flatnonzero(test.u == u)[0] for u in range(5)]
    mean, variance = test.label_mean[first], test.label_variance[first]
    best = -((test.z[:, None] - mean) ** 2 / variance + np.log(variance)).sum(-1)
    accuracy, possible = ((p.argmax(1) == test.u).mean() for p in (model.label_posterior(test.x), best))
    assert accuracy > possible - 0.1


# --- inference ------------------------------------------------------------------------------------


def test_one_call_draws_and_infer_has_both_names(counts_model):
    keras.utils.set_random_seed(0)
    many = counts_model(np.repeat(X[:4], 2000, 0), np.repeat(CLASSES[:4], 2000))["z_sample"]
    draws = np.asarray(many).reshape(4, 2000, 2).swapaxes(0, 1)
    q = counts_model.posterior(X[:4], CLASSES[:4])
    assert_mean(draws, q.loc)
    assert_mean((draws - q.loc) ** 2, np.exp(q.log_variance))
    found = counts_model.infer(X, CLASSES, seed=3)
    assert set(found) == {
        *OTHER_NAMES, *OTHER_NAMES.values(), "posterior_mean", "posterior_log_variance", "encoder_z_sample",
        "encoder_firing_rate",
    }  # fmt: skip
    assert_close(found["posterior_mean"], counts_model.encode(X, CLASSES))
    assert_close(found["firing_rate"], counts_model.decode(found["z_sample"]))
    assert_close(found["encoder_firing_rate"], counts_model.decode(found["encoder_z_sample"]))
    for name, other in OTHER_NAMES.items():
        np.testing.assert_array_equal(found[name], found[other])
    alone = counts_model.infer(X, seed=3)
    assert set(alone) == {
        "z_mean", "z_log_variance", "encoder_mean", "encoder_log_variance", "encoder_z_sample", "encoder_firing_rate"
    }  # fmt: skip
    np.testing.assert_array_equal(alone["encoder_z_sample"], found["encoder_z_sample"])


def test_encode_samples_by_its_seed(counts_model):
    many = counts_model.encode(np.repeat(X[:4], 2000, 0), np.repeat(CLASSES[:4], 2000), sample=True, seed=5)
    draws = many.reshape(4, 2000, 2).swapaxes(0, 1)
    q = counts_model.posterior(X[:4], CLASSES[:4])
    assert_mean(draws, q.loc)
    assert_mean((draws - q.loc) ** 2, np.exp(q.log_variance))
    for seed in (5, 6):
        again = counts_model.encode(np.repeat(X[:4], 2000, 0), np.repeat(CLASSES[:4], 2000), sample=True, seed=seed)
        assert np.array_equal(again, many) == (seed == 5)
    np.testing.assert_array_equal(counts_model.encode(X), counts_model.posterior(X).loc)


def test_labels_in_every_form(counts_model, linear_model):
    one = counts_model.label_statistics(2)
    for u in ([2], np.array([[2]]), np.array([2.0])):
        np.testing.assert_array_equal(counts_model.label_statistics(u).loc, one.loc)
    np.testing.assert_array_equal(
        counts_model(X, CLASSES[:, None])["lambda_mean"], counts_model(X, CLASSES)["lambda_mean"]
    )
    vector = linear_model.label_statistics([0.3, -1.0])
    np.testing.assert_array_equal(linear_model.label_statistics([[0.3, -1.0]]).loc, vector.loc)
    scalar = tiny(u_dim=1, discrete_labels=False)
    np.testing.assert_array_equal(scalar.label_statistics(0.5).loc, scalar.label_statistics([[0.5]]).loc)
    assert scalar.label_statistics(np.linspace(0, 1, 4)).loc.shape == (4, 2)


def test_samples_follow_the_prior_and_the_rates(counts_model, linear_model):
    found = counts_model.sample([0, 2], 4000, seed=1)
    prior = counts_model.label_statistics([0, 2])
    assert_mean(found["z"], prior.loc)
    assert_mean((found["z"] - prior.loc) ** 2, np.exp(prior.log_variance))
    assert_close(found["rates"], counts_model.decode(found["z"]))
    assert_mean(found["x"] - found["rates"], 0)
    assert (found["x"] == np.round(found["x"])).all()
    one = counts_model.sample(2, 5, seed=1)
    assert one["z"].shape == (5, 2) and one["x"].shape == (5, 8)
    matrix, offset, noise = linear_parts(linear_model)
    signals = linear_model.sample([0.5, 0.5], 20_000, seed=2)["x"]
    p = linear_model.label_statistics([0.5, 0.5])
    assert_mean(signals, matrix @ p.loc[0] + offset)
    variance = (matrix**2) @ np.exp(p.log_variance[0]) + noise
    assert_mean((signals - signals.mean(0)) ** 2, variance)


def test_rates_stay_in_their_range():
    model = randomized(tiny(decoder_fr_clamp_min=0.4, decoder_fr_clamp_max=0.9))
    rates = model.decode(RNG.normal(0, 3, (200, 2)))
    assert rates.min() == np.float32(0.4) and rates.max() == np.float32(0.9)
    assert ((rates > 0.4) & (rates < 0.9)).any()


def test_likelihood_of_a_linear_model_is_exact(linear_model):
    matrix, offset, noise = linear_parts(linear_model)
    labels = np.array([[0.5, 0.5], [-1.0, 0.3], [2.0, 0.0]])
    x = linear_model.sample(labels, 2, seed=0)["x"].reshape(-1, 8)
    prior = linear_model.label_statistics(labels)
    wanted = np.stack(
        [
            multivariate_normal(
                matrix @ loc + offset, matrix @ np.diag(np.exp(log_variance)) @ matrix.T + np.diag(noise)
            ).logpdf(x)
            for loc, log_variance in zip(*prior, strict=True)
        ],
        axis=1,
    )
    found = linear_model.label_log_likelihood(x, labels, 40_000)
    likely = wanted > wanted.max(1, keepdims=True) - 5
    np.testing.assert_allclose(found[likely], wanted[likely], atol=0.1)
    total = np.log(np.mean(np.exp(wanted), axis=1))
    np.testing.assert_allclose(linear_model.log_likelihood(x, labels, 40_000), total, atol=0.1)
    posterior = np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True)
    np.testing.assert_allclose(linear_model.label_posterior(x, labels, 40_000), posterior, atol=0.05)


def test_bound_of_a_linear_model_is_exact(linear_model):
    matrix, offset, noise = linear_parts(linear_model)
    x = linear_model.sample(VECTORS[:6], 1, seed=0)["x"][0]
    q, p = linear_model.posterior(x, VECTORS[:6]), linear_model.label_statistics(VECTORS[:6])
    residual = (x - q.loc @ matrix.T - offset) ** 2 + np.exp(q.log_variance) @ (matrix**2).T
    nll = 0.5 * (residual / noise + np.log(noise)).sum(1)
    found = linear_model.neg_elbo(x, VECTORS[:6], 10_000)
    np.testing.assert_allclose(found, nll + q.kl_divergence(p), rtol=0.02)
    # A bound: never below minus the log-likelihood, whose constant it drops.
    exact = [
        -multivariate_normal(
            matrix @ loc + offset, matrix @ np.diag(np.exp(log_variance)) @ matrix.T + np.diag(noise)
        ).logpdf(row)
        - 4 * np.log(2 * np.pi)
        for row, loc, log_variance in zip(x, *p, strict=True)
    ]
    assert (found > np.array(exact) - 0.1).all()


def test_likelihood_of_counts_by_brute_force(counts_model):
    found = counts_model.label_log_likelihood(X[:5], [0, 1], 30, seed=4)
    z = counts_model.sample([0, 1], 30, seed=4)["z"]
    rates = counts_model.decode(z).astype("float64")
    from scipy.stats import poisson

    each = poisson(rates[None]).logpmf(X[:5, None, None]).sum(-1)
    np.testing.assert_allclose(found, np.log(np.mean(np.exp(each), axis=1)), rtol=1e-5)


def test_labels_by_distance(counts_model):
    exact = counts_model.predict_labels(X)
    q, p = counts_model.posterior(X), counts_model.label_statistics(np.arange(3))
    logits = -((q.loc[:, None] - p.loc) ** 2 + np.exp(p.log_variance)).sum(-1)
    assert_close(exact, np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    draws = np.asarray(p.loc + p.stddev() * np.random.default_rng(0).normal(size=(20_000, 3, 2)))
    np.testing.assert_allclose(distance_probabilities(q.loc, draws), exact, atol=0.02)
    sampled = counts_model.predict_labels(X, n_samples=50, seed=1)
    np.testing.assert_allclose(sampled.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(sampled, counts_model.predict_labels(X, n_samples=50, seed=1))


def test_identifiability_is_checked():
    model = randomized(tiny(u_dim=3))
    found = model.identifiability_findings(CLASSES)
    assert any("Given: 3 of them for 2 latents, which need 5" in finding for finding in found)
    assert any("variance does not vary" in finding for finding in tiny(u_dim=6).identifiability_findings(np.arange(6)))
    model = randomized(tiny(u_dim=6))
    assert model.identifiability_findings(np.arange(6)) == []
    prior = model.get_layer("label_prior")
    prior.log_variance_embedding.assign(np.zeros((6, 2)))
    assert any("variance" in finding for finding in model.identifiability_findings(np.arange(6)))


def test_exported_model_equals_the_live_one(counts_model, tmp_path):
    loaded = tf.saved_model.load(export_saved_model(counts_model, tmp_path / "exported"))
    assert_close(loaded.encode(X)["z_mean"], counts_model.encode(X))
    assert_close(loaded.rates(X)["rates"], counts_model.decode(counts_model.encode(X)))
    with pytest.raises(TypeError, match="export_saved_model"):
        counts_model.export(tmp_path / "other")


BAD = {
    "no label": (lambda m: m.fit((X,)), ["1 arrays", "(x, u)"]),
    "x alone": (lambda m: m.fit(X), ["Given: ndarray.", "(x, u)"]),
    "nothing": (lambda m: m.fit(), ["Given: NoneType."]),
    "labels as y": (lambda m: m.fit(X, CLASSES), ["Given: ndarray, and y apart", "(x, u)"]),
    "labels as y of evaluate": (lambda m: m.evaluate(X, CLASSES), ["Given: ndarray, and y apart"]),
    "validation without labels": (
        lambda m: m.fit((X, CLASSES), validation_data=(X,)),
        ["validation x", "Given: ndarray."],
    ),
    "options of other data": (
        lambda m: m.fit((X, CLASSES), validation_split=0.2, class_weight={0: 1.0}),
        ["Given: class_weight, validation_split", "data set"],
    ),
    "labels of other rows": (lambda m: m.encode(X[:1], CLASSES), ["1 rows and 60 labels"]),
    "labels of other rows for the bound": (lambda m: m.neg_elbo(X, CLASSES[:1]), ["60 rows and 1 labels"]),
    "no latents": (lambda m: m.decode(np.zeros((0, 2))), ["(0, 2)"]),
    "seed": (lambda m: m.encode(X, sample=True, seed=-1), ["seed"]),
    "text": (lambda m: m.label_statistics(["left"]), ["from 0 to 2", "'left'"]),
    "other keys": (lambda m: m.fit({"x": X, "v": CLASSES}), ["keys ['v', 'x']"]),
    "channels": (lambda m: m.fit((X[:, :5], CLASSES)), ["(60, 5)", "(rows, 8)"]),
    "trials": (lambda m: m.encode(X[None]), ["(1, 60, 8)", "reshape"]),
    "nan": (lambda m: m.encode(np.where(X > 2, np.nan, X)), ["not finite"]),
    "fractions": (lambda m: m.fit((X + 0.5, CLASSES)), ["whole"]),
    "texts of fractions": (lambda m: m.fit((X + 0.5, np.array(["a", "b", "c"])[CLASSES])), ["whole"]),
    "rows": (lambda m: m.fit((X, CLASSES[:5])), ["60 rows and 5 labels"]),
    "class": (lambda m: m.evaluate((X, CLASSES + 1)), ["from 0 to 2"]),
    "negative": (lambda m: m.label_statistics(-1), ["from 0 to 2"]),
    "half a class": (lambda m: m.label_statistics(0.5), ["from 0 to 2"]),
    "vectors": (lambda m: m.label_statistics(VECTORS), ["(60, 2)"]),
    "latents": (lambda m: m.decode(np.zeros((3, 5))), ["(3, 5)", "(..., 2)"]),
    "batch": (lambda m: m.fit((X, CLASSES), batch_size=0), ["batch_size"]),
    "draws": (lambda m: m.neg_elbo(X, CLASSES, 0), ["n_samples"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(counts_model, case):
    call, words = BAD[case]
    with pytest.raises(ValueError) as error:
        call(counts_model)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_flat_labels_are_not_cut_into_vectors(linear_model):
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        linear_model.sample([0.0, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="Pass finite numbers"):
        linear_model.label_statistics([["a", "b"]])
    with pytest.raises(ValueError, match="Pass finite numbers"):
        linear_model.label_statistics([[1e300, 0.0]])


@pytest.mark.parametrize("named", [False, True])
def test_data_sets_and_keras_forms(model, named):
    pair = {"x": X, "u": CLASSES.astype("int32")}
    rows = (pair,) if named else (pair["x"], pair["u"])
    data = tf.data.Dataset.from_tensor_slices(rows).batch(20)
    history = model.fit(data, epochs=1, verbose=0, validation_data=data).history
    assert np.isfinite(history["val_loss"]).all()
    with pytest.warns(UserWarning):
        model.fit(pair if named else (X, CLASSES), epochs=1, verbose=0, validation_data=(pair, None))
    found = model.predict(data if named else (X, CLASSES), verbose=0)
    assert_close(found["posterior_mean"], model.encode(X, CLASSES))
    assert_close(found["z_mean"], model.encode(X))
    assert np.isfinite(model.evaluate(data, return_dict=True, verbose=0)["loss"])


def test_a_class_that_is_none_breaks_the_loss(model):
    outputs = model(X, CLASSES)
    terms = model.loss_terms(X, outputs, {"u": tf.constant(np.where(CLASSES == 1, 7, CLASSES))})
    np.testing.assert_array_equal(np.isnan(terms["kl_z"]), CLASSES == 1)
    np.testing.assert_array_equal(np.isnan(terms["loss"]), CLASSES == 1)
    assert np.isfinite(model.loss_terms(X, outputs, {"u": tf.constant(CLASSES)})["loss"]).all()


def test_a_run_that_broke_down_returns_its_history():
    model = tiny(decoder_n_gin_blocks=0)
    model.compile(optimizer=keras.optimizers.SGD(1e8), jit_compile=False)
    history = model.fit((X, CLASSES), epochs=3, verbose=0).history
    assert len(history["loss"]) == 3
    assert not np.isfinite(model.label_statistics(CLASSES)).all()


@pytest.mark.parametrize("log_variance", [-300.0, -100.0, 100.0, 300.0])
def test_extreme_priors_give_finite_numbers(model, log_variance):
    randomized(model)
    prior = model.get_layer("label_prior")
    prior.log_variance_embedding.assign(np.full((3, 2), log_variance) * [[1], [1], [0]])
    assert np.isfinite(model.predict_labels(X)).all()
    np.testing.assert_allclose(model.predict_labels(X).sum(1), 1)
    assert np.isfinite(model.posterior(X, CLASSES)).all()
    assert all(np.isfinite(value) for value in model.evaluate((X, CLASSES), verbose=0))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x={"x": X, "u": tf.constant(CLASSES)}, y_pred=model(X, CLASSES))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_smallest_sizes():
    for x_dim in (2, 3):
        model = build_pi_vae({"encoder_hidden_layer_dim": 4, "z_dim": 2}, x_dim, 3)
        z = RNG.normal(size=(5, 2)).astype("float32")
        flow = model.get_layer("flow")
        assert_close(flow.inverse(flow(z)), z, 1e-4)
        assert model.encode(X[:1, :x_dim], [1]).shape == (1, 2)


def test_continuous_labels_that_do_not_fit(linear_model):
    with pytest.raises(ValueError, match=r"\(60, 3\).*\(rows, 2\)"):
        linear_model.label_statistics(np.zeros((60, 3)))
    with pytest.raises(ValueError, match="labels=None.*grid"):
        linear_model.label_posterior(X)


REPLICAS = """
import sys, warnings
import numpy as np, tensorflow as tf
warnings.simplefilter("ignore")
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from indl.model.pi_vae import build_pi_vae
with tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]).scope():
    model = build_pi_vae(eval(sys.argv[1]), 8, 3)
x = np.random.default_rng(0).poisson(1.5, (60, 8))
history = model.fit((x, np.arange(60) % 3), epochs=2, verbose=0).history
assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()
assert model.distribute_strategy.num_replicas_in_sync == 2
"""


@pytest.mark.slow
def test_replicas_train_on_plain_batches():
    command = [sys.executable, "-c", REPLICAS, repr({**TINY, "decoder_n_gin_blocks": 0, "jit_compile": "off"})]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr[-2000:]
