"""The model that trains what the builders assemble: objective, inference, generation, saving."""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from indl.dists import AR1Prior, Gaussian, GaussianHead, GaussianPrior, PoissonObservation, PoissonReadout
from indl.model import beta_vae
from indl.model.sequence_model import SequentialVAE
from indl.params import preset
from indl.sampling.modes import GivenLatents, PosteriorSamples, sampling
from tests.checks import (
    PLAIN,
    QUICK,
    TINY,
    assert_close,
    assert_mean,
    assert_same,
    check_model,
    counts,
    gradients,
    saved_and_loaded,
    tiny_model,
)

X = counts()
NO_DROPOUT = {"dropout_rate": 0.0, "coordinated_dropout_rate": 0.0}
# Both latents without any loop over time, for what is about the steps of training.
FLAT = {**QUICK, "gen_cell_type": "Dense", "f_to_gen": "tile"}


def quiet(**changes):
    """A tiny model without dropout and with rates that depend visibly on both latents."""
    model = tiny_model(**{**QUICK, **NO_DROPOUT, **changes})
    for head in ("q_f", "q_z"):
        if head in model._graph_outputs:
            layer = model.get_layer(head)
            layer.loc.kernel.assign(2 * layer.loc.kernel)
            # Posteriors as wide as their means are far apart, so that samples matter.
            layer.raw_scale.bias.assign(layer.raw_scale.bias + 2.0)
    return model


# Tests that only read a model share it, with the passes that it has traced.
shared = functools.cache(quiet)


@functools.cache
def compiled_model():
    """A compiled model that no test trains, for arrays that are refused."""
    model = tiny_model(**QUICK)
    model.compile()
    return model


# --- the suite --------------------------------------------------------------------------------

VARIANTS = {
    "default": preset("default", **TINY),
    "dsae_full": preset("dsae_full", **{**TINY, "n_factors": 0}),
    "dsae_factorized": preset("dsae_factorized", **{**TINY, "z2_units": 0, "n_factors": 0}),
    "beta_vae": preset(
        "beta_vae",
        **{**TINY, "z_latent_size": 0, "gen_cell_type": "LSTM", "f_rnn_type": "Dense", "f_enc_reduce": "mean"},
    ),
    "samples_free_softplus": {
        **TINY, "f_to_z": "z2", "q_f_samples": 2, "z_prior_process": "GRU", "z_prior_rollout": "free",
        "output_link": "softplus", "f_prior_kappa": 0.5, "z1_rnn_type": "Dense",
    },
    "full_covariances_and_segment": {
        **TINY, "f_latent_off_diag": True, "z_latent_off_diag": True, "f_enc_input_samps": 2, "z1_lag": 1,
        "coordinated_dropout_rate": 0.4, "coordinated_dropout_pass_rate": 0.2, "gen_cell_type": "BidirectionalGRU",
        "f_to_gen": "tile", "z_prior_process": "none",
    },
    "sampled_kl_at_test": {
        **TINY, "z_kl_mode": "sampled", "sample_at_test": True, "f_latent_size": 0, "gen_cell_type": "LSTM",
        "gen_init_trainable": True, "input_factors": 4,
    },
    "f_alone": PLAIN,
}  # fmt: skip


#: What the other variants cover most of: beta_vae has f alone, and the encoders of the factorized ones.
LONG_VARIANTS = (
    "default",
    "dsae_factorized",
    "dsae_full",
    "f_alone",
    "full_covariances_and_segment",
    "sampled_kl_at_test",
    "samples_free_softplus",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG_VARIANTS else []) for name in VARIANTS]
)
def test_suite(name):
    check_model(VARIANTS[name], X)


@pytest.mark.slow
def test_suite_of_held_out_signals_and_forward_steps():
    y = np.random.default_rng(0).normal(size=(6, 11, 7)).astype("float32")
    p = {**TINY, "output_dist": "Gaussian", "out_dim": 7, "forward_steps": 3, "coordinated_dropout_rate": 0.3}
    check_model(p, y[:, :8, :5], y)


# --- objective --------------------------------------------------------------------------------


def numpy_terms(model, x, outputs, y=None):
    """Every term per trial, recomputed outside TensorFlow."""
    target = x if y is None else y
    log_rate = np.asarray(outputs["p_x"].log_rate, "float64")
    target = target[:, None] if log_rate.ndim == 4 else target
    nll = -stats.poisson.logpmf(target, np.exp(log_rate)).sum((-2, -1))
    nll = nll.mean(1) if nll.ndim == 2 else nll
    prior = model.get_layer("f_prior").distribution()
    m, s = np.asarray(prior.mean(), "float64"), np.asarray(prior.stddev(), "float64")
    q_m, q_s = (np.asarray(part, "float64") for part in outputs["q_f"][:2])
    kl_f = (np.log(s / q_s) + (q_s**2 + (q_m - m) ** 2) / (2 * s**2) - 0.5).sum(-1)
    q_m, q_s = (np.asarray(part, "float64") for part in outputs["q_z"][:2])
    p = model.get_layer("z_prior")
    phi = np.exp(-np.exp(-np.asarray(p.log_tau, "float64")))
    noise = np.exp(np.asarray(p.log_noise_variance, "float64"))
    first = noise / (1 - phi**2)
    kl_z = 0.5 * (np.log(first / q_s[:, 0] ** 2) + (q_s[:, 0] ** 2 + q_m[:, 0] ** 2) / first - 1).sum(-1)
    error = q_s[:, 1:] ** 2 + phi**2 * q_s[:, :-1] ** 2 + (q_m[:, 1:] - phi * q_m[:, :-1]) ** 2
    kl_z += 0.5 * (np.log(noise / q_s[:, 1:] ** 2) + error / noise - 1).sum((1, 2))
    kernel = model.get_layer("gen_0").weights_of["forward"]["recurrent_kernel"]
    penalty = model.params["gen_l2_reg"] * np.square(np.asarray(kernel, "float64")).sum()
    return {"nll": nll, "kl_f": kl_f, "kl_z": kl_z, "penalty": penalty}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_loss_is_that_of_its_outputs(training, samples):
    model = tiny_model(
        **{**QUICK, "dropout_rate": 0.2}, coordinated_dropout_rate=0.3, gen_l2_reg=0.1, q_f_samples=samples
    )
    model.beta_f.assign(0.3)
    model.beta_z.assign(2.0)
    outputs = model(X, training=training)
    terms = numpy_terms(model, X, outputs)
    expected = (terms["nll"] + 0.3 * terms["kl_f"] + 2.0 * terms["kl_z"]).mean() + terms["penalty"]
    np.testing.assert_allclose(model.compute_loss(X, X, outputs, training=training), expected, rtol=1e-5)
    logged = {name: float(value) for name, value in model.term_means.result().items()}
    for name, value in terms.items():
        np.testing.assert_allclose(logged[name], np.mean(value), rtol=1e-5)
    np.testing.assert_allclose(logged["neg_elbo"], (terms["nll"] + terms["kl_f"] + terms["kl_z"]).mean(), rtol=1e-5)


def test_evaluate_logs_what_it_computes():
    model = quiet(gen_l2_reg=0.1)
    model.compile()
    model.beta_z.assign(0.5)
    logs = model.evaluate(X, verbose=0, batch_size=len(X), return_dict=True)
    assert model.evaluate(X, verbose=0, batch_size=len(X)) == [logs[name] for name in model.metrics_names]
    terms = numpy_terms(model, X, model(X))
    np.testing.assert_allclose(
        logs["loss"], (terms["nll"] + terms["kl_f"] + 0.5 * terms["kl_z"]).mean() + terms["penalty"], rtol=1e-5
    )
    assert logs["penalty"] > 0


def test_betas_change_the_loss_without_a_new_trace(monkeypatch):
    model, traces = tiny_model(**FLAT), []
    original = SequentialVAE.loss_terms
    monkeypatch.setattr(SequentialVAE, "loss_terms", lambda self, *a: traces.append(1) or original(self, *a))
    # Without a step size nothing but the betas differs between the two runs.
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(X, epochs=1, validation_data=(X, X), batch_size=len(X), verbose=0)
    before = len(traces)
    for beta_f, beta_z in ((1.0, 1.0), (0.0, 0.0), (0.25, 4.0)):
        model.beta_f.assign(beta_f)
        model.beta_z.assign(beta_z)
        history = model.fit(X, validation_data=(X, X), batch_size=len(X), verbose=0).history
        for prefix in ("", "val_"):
            log = {name: history[prefix + name][0] for name in ("loss", "nll", "kl_f", "kl_z", "penalty", "neg_elbo")}
            weighted = log["nll"] + beta_f * log["kl_f"] + beta_z * log["kl_z"] + log["penalty"]
            np.testing.assert_allclose(log["loss"], weighted, rtol=1e-5)
            # The bound itself does not move with the betas.
            np.testing.assert_allclose(log["neg_elbo"], log["nll"] + log["kl_f"] + log["kl_z"], rtol=1e-5)
    assert len(traces) == before


def test_betas_start_at_their_params_and_survive_saving():
    model = tiny_model(**FLAT, kl_f_beta=0.3, kl_z_beta=2.5)
    assert (float(model.beta_f), float(model.beta_z)) == (pytest.approx(0.3), 2.5)
    model.beta_f.assign(0.7)
    loaded = saved_and_loaded(model)
    assert (float(loaded.beta_f), float(loaded.beta_z)) == (pytest.approx(0.7), 2.5)
    assert not [v for v in model.trainable_variables if "beta" in v.path]


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("rescale", [False, True])
def test_hidden_entries_and_held_out_ones_train(samples, rescale):
    model = tiny_model(
        **QUICK, out_dim=7, forward_steps=2, f_enc_input_samps=2, coordinated_dropout_rate=0.4, q_f_samples=samples,
        coordinated_dropout_rescale=rescale,
    )  # fmt: skip
    y = counts(time=10, channels=7, seed=1)
    outputs = model(X, training=True)
    mask = np.asarray(outputs["cd_mask"])
    with tf.GradientTape() as tape:
        tape.watch(log_rate := outputs["p_x"].log_rate)
        terms = model.loss_terms(tf.constant(y), {**outputs, "p_x": PoissonObservation(log_rate)})
        total = tf.reduce_sum(terms["nll"])
    gradient = np.asarray(tape.gradient(total, log_rate))
    gradient = gradient.sum(1) if samples > 1 else gradient
    rates = np.asarray(outputs["p_x"].mean())
    full = (rates - y[:, None]).mean(1) if samples > 1 else rates - y
    weight = np.ones((6, 10, 7))
    weight[:, 2:8, :5] = mask[:, 2:] * (1 / 0.4 if rescale else 1)
    assert 0 < mask[:, 2:].mean() < 1
    assert_close(gradient, weight * full, 1e-4)


def test_sample_weights():
    model = quiet()
    model.compile()
    weight = np.array([0.0, 1.0, 2.0, 0.0, 0.5, 1.0], "float32")
    terms = numpy_terms(model, X, model(X))
    trial = terms["nll"] + terms["kl_f"] + terms["kl_z"]
    logs = model.evaluate(X, X, sample_weight=weight, batch_size=6, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], (trial * weight).mean() + terms["penalty"], rtol=1e-5)
    # Trials of weight zero leave the gradient untouched.
    other = X.copy()
    other[[0, 3]] += 5
    found = []
    for x in (X, other):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, x, model(x), weight)
        found.append(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_inference_draws_nothing():
    model = tiny_model(**{**FLAT, "dropout_rate": 0.5}, coordinated_dropout_rate=0.5)
    model.compile()
    assert_same(model.predict(X, verbose=0), model.predict(X, verbose=0))
    assert model.evaluate(X, verbose=0) == model.evaluate(X, verbose=0)
    outputs = model(X)
    assert np.array_equal(outputs["f"], outputs["q_f"].loc) and np.array_equal(outputs["z"], outputs["q_z"].loc)
    assert np.all(outputs["cd_mask"])
    assert np.any(model(X, training=True)["f"] != model(X, training=True)["f"])


def test_sample_at_test():
    model = tiny_model(**{**FLAT, **NO_DROPOUT}, sample_at_test=True)
    first, second = (model.predict(X, verbose=0) for _ in range(2))
    assert_same(first["q_f"], second["q_f"])
    assert not np.array_equal(first["f"], second["f"]) and not np.array_equal(first["z"], second["z"])
    # Rates of zero samples are those of posterior means all the same.
    plain = tiny_model(**{**FLAT, **NO_DROPOUT})
    assert_same(model.rates(X), plain.rates(X))
    assert_same(model.rates(X), model.rates(X))


def test_parts_draw_from_streams_of_their_own():
    model = tiny_model(dropout_rate=0.5, coordinated_dropout_rate=0.5)
    seeds = [layer.seed for layer in model.layers if getattr(layer, "seed", None) is not None]
    assert len(seeds) >= 7 and len(set(seeds)) == len(seeds)


def test_data_sets_and_integers_train_as_float_arrays_do():
    losses = []
    model = tiny_model(**PLAIN, seed=3)
    model.compile(keras.optimizers.SGD(1e-3))
    start = [variable.numpy() for variable in model.variables]
    for data in (X, tf.data.Dataset.from_tensor_slices(X).batch(6), X.astype("uint8")):
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        batch_size = 6 if isinstance(data, np.ndarray) else None
        losses.append(model.fit(data, batch_size=batch_size, shuffle=False, verbose=0).history["loss"][0])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


def test_training_goes_on_after_loading():
    model = quiet(**PLAIN)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(X, epochs=3, verbose=0)
    loaded = saved_and_loaded(model)
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 3
    assert_same(
        [v.numpy() for v in loaded.optimizer.variables if v.dtype == "float32"],
        [v.numpy() for v in model.optimizer.variables if v.dtype == "float32"],
    )


# --- posterior averaging ----------------------------------------------------------------------


@pytest.mark.parametrize("changes", [
    pytest.param({}, marks=pytest.mark.slow), {"q_f_samples": 2, "f_to_z": "z1"},
    pytest.param({"f_to_z": "z2", "z2_units": 4}, marks=pytest.mark.slow),
    pytest.param({"f_to_gen": "both"}, marks=pytest.mark.slow), {"f_latent_size": 0},
    pytest.param({"z_latent_size": 0}, marks=pytest.mark.slow),
])  # fmt: skip
def test_sampled_rates_are_the_average_over_samples(changes):
    model = shared(**changes)
    with sampling(PosteriorSamples(len(X) * 4, 7, 0, model._sample_layers())):
        outputs = model(X, training=False)
    drawn = {name: np.asarray(outputs[name]) for name in model.latent_names}
    rows = {name: len(value) for name, value in drawn.items()}
    assert set(rows.values()) == {24}
    if changes.get("q_f_samples"):
        drawn = {name: value.reshape(48, *value.shape[2:]) for name, value in drawn.items()}
    each = np.asarray(model.decode(drawn.get("f"), drawn.get("z"), n_times=8).mean())
    explicit = each.reshape(6, -1, 8, 5).mean(1)
    assert_close(model.rates(X, samples=4, seed=7), explicit)
    assert np.abs(explicit - model.rates(X)).max() > 1e-3


@pytest.mark.parametrize("stage", ["z1", "z2"])
def test_each_sample_of_f_has_its_own_z(stage):
    model = shared(f_to_z=stage, z2_units=4)
    with sampling(PosteriorSamples(12, 7, 0, model._sample_layers())):
        outputs = model(X, training=False)
    f, z_loc = np.asarray(outputs["f"]), np.asarray(outputs["q_z"].loc)
    with sampling(GivenLatents({model._graph_outputs["f"].name: tf.constant(f)})):
        expected = model(np.repeat(X, 2, axis=0))["q_z"].loc
    assert_close(z_loc, expected)
    assert np.abs(z_loc[0] - z_loc[1]).max() > 1e-4


def test_many_samples_converge_to_the_posterior_mean_rate():
    model = shared()
    x = X[:2]
    q = model.encode(x)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(4000 // 500):
        f, z = (
            np.asarray(q[name].loc)[:, None] + np.asarray(q[name].scale)[:, None]
            * rng.normal(size=(2, 500, *q[name].loc.shape[1:])) for name in ("q_f", "q_z")
        )  # fmt: skip
        rates = model.decode(f.reshape(1000, 3), z.reshape(1000, 8, 2)).mean()
        draws.append(np.asarray(rates).reshape(2, 500, 8, 5))
    draws = np.concatenate(draws, axis=1)
    found = model.rates(x, samples=4000, seed=1, batch_size=8000)
    # Both sides are noisy, so the bound has the error of a difference.
    assert_mean(draws, found, axis=1, sigmas=5 * 2**0.5)
    error = draws.std(1) / 4000**0.5
    assert (np.abs(draws.mean(1) - model.rates(x)) / error).max() > 10


def test_dropout_is_off_while_sampling():
    loud, still = (tiny_model(**{**QUICK, "dropout_rate": rate}, coordinated_dropout_rate=rate) for rate in (0.9, 0.0))
    sources = {v.path: v for v in still.trainable_variables}
    for variable in loud.trainable_variables:
        variable.assign(sources[variable.path])
    assert_same(loud.rates(X, samples=3, seed=2), still.rates(X, samples=3, seed=2))
    assert_same(loud.rates(X, samples=3, seed=2), loud.rates(X, samples=3, seed=2))
    assert not np.array_equal(loud.rates(X, samples=3, seed=2), loud.rates(X, samples=3, seed=3))


def test_each_trial_is_encoded_once(monkeypatch):
    model = quiet(**TINY, f_to_z="z2")
    rows = {}
    for name in ("f_rnn_0", "z1_0", "z2", "gen_0", "readout"):
        layer = model.get_layer(name)

        def call(x, *args, _original=layer.call, _name=name, **kwargs):
            rows[_name] = x.shape[0]
            return _original(x, *args, **kwargs)

        monkeypatch.setattr(layer, "call", call)
    tf.config.run_functions_eagerly(True)
    try:
        model.rates(X, samples=4)
    finally:
        tf.config.run_functions_eagerly(False)
    assert rows == {"f_rnn_0": 6, "z1_0": 6, "z2": 24, "gen_0": 24, "readout": 24}


def test_batches_do_not_change_means_and_seed_is_all_that_changes_samples():
    model = shared()
    assert_close(model.rates(X, batch_size=4), model.rates(X))
    assert_same(model.rates(X, samples=2, batch_size=4), model.rates(X, samples=2, batch_size=4))
    # One trial a batch: no trial may meet the noise of another trial or of another seed.
    same = np.repeat(X[:1], 4, axis=0)
    rows = [model.rates(same, samples=1, seed=seed, batch_size=1) for seed in range(3)]
    assert len(np.unique(np.concatenate(rows).reshape(12, -1), axis=0)) == 12


@pytest.mark.slow
def test_outputs_of_several():
    model = shared(f_to_gen="both")
    # One seed means one set of samples, whichever outputs are asked for.
    sampled = model.outputs_of(X, ("factors", "rates"), samples=3, seed=1)
    assert_close(sampled["factors"], model.factors(X, samples=3, seed=1))
    assert_close(sampled["rates"], model.rates(X, samples=3, seed=1))
    found = model.outputs_of(X, ("rates", "factors", "gen_out"))
    assert_close(found["rates"], model.rates(X))
    assert_close(found["factors"], model.factors(X))
    predicted = model.predict(X, verbose=0)
    assert_close(found["gen_out"], predicted["gen_out"])
    assert_close(found["rates"], np.exp(predicted["p_x"].log_rate))
    with pytest.raises(ValueError, match=r"\['facters'\].*'factors', 'gen_out', 'f', 'z'"):
        model.outputs_of(X, ("facters",))
    with pytest.raises(ValueError, match="samples=-1.*0 for posterior means"):
        model.rates(X, samples=-1)


@pytest.mark.parametrize("changes", [{"q_f_samples": 2}, {"q_f_samples": 2, "f_to_z": "z1"}])
@pytest.mark.parametrize("samples", [0, 3])
def test_latents_come_without_a_samples_axis(changes, samples):
    model = shared(**changes)
    found = model.outputs_of(X, ("f", "z"), samples=samples)
    assert found["f"].shape == (6, 3) and found["z"].shape == (6, 8, 2)
    q = model.encode(X)
    assert q["q_f"].loc.shape == (6, 3) and q["q_z"].loc.shape == q["q_z"].scale.shape == (6, 8, 2)
    if not samples:
        assert_close(found["f"], q["q_f"].loc)
        assert_close(found["z"], q["q_z"].loc)


def test_log_prob_is_that_of_the_mean_rates():
    model = shared()
    assert_close(model.log_prob(X), stats.poisson.logpmf(X, model.rates(X).astype("float64")), 1e-4)
    other = counts(seed=3)
    assert_close(model.log_prob(X, other), stats.poisson.logpmf(other, model.rates(X).astype("float64")), 1e-4)


# --- generation and swaps ---------------------------------------------------------------------


def test_generated_trials_follow_the_priors():
    model = quiet()
    model.get_layer("f_prior").loc.assign([1.0, -1.0, 0.5])
    model.get_layer("f_prior").log_std.assign(np.log([0.5, 1.0, 2.0]))
    model.get_layer("z_prior").loc.assign([0.4, -0.4])
    made = model.generate(8000, 5, seed=1)
    assert {name: value.shape for name, value in made.items()} == {
        "rates": (8000, 5, 5), "x": (8000, 5, 5), "f": (8000, 3), "z": (8000, 5, 2),
    }  # fmt: skip
    assert_mean(made["f"], [1.0, -1.0, 0.5])
    assert_mean((made["f"] - [1.0, -1.0, 0.5]) ** 2, np.square([0.5, 1.0, 2.0]))
    assert_mean(made["z"], np.broadcast_to([0.4, -0.4], (5, 2)))
    variance = 0.1 / (1 - np.exp(-0.2))
    assert_mean((made["z"] - [0.4, -0.4]) ** 2, np.full((5, 2), variance))
    assert_close(made["rates"][:50], model.decode(made["f"][:50], made["z"][:50]).mean())
    assert_mean((made["x"] - made["rates"]).reshape(-1, 5), np.zeros(5))
    assert np.array_equal(made["x"], np.rint(made["x"]))
    # f, z and the counts come from streams of their own.
    correlation = np.corrcoef(made["f"][:, 0], made["z"][:, 0, 0])[0, 1]
    assert abs(correlation) < 5 / 8000**0.5


def test_generation_follows_its_seed():
    model = quiet(**FLAT, z_prior_process="GRU")
    assert_same(model.generate(4, 8, seed=1), model.generate(4, 8, seed=1))
    one, two = model.generate(4, 8, seed=1), model.generate(4, 8, seed=2)
    assert all(not np.array_equal(one[name], two[name]) for name in one)


def test_seeds_of_generation_share_no_numbers():
    """The noise of one latent under one seed must not be that of another latent under the next."""
    model = quiet(**{**FLAT, "f_latent_size": 2}, z_latent_size=2, z_prior_process="standard", f_prior_type="standard")
    draws = [model.generate(6, 1, seed=seed) for seed in range(4)]
    numbers = np.concatenate([np.concatenate([d["f"].ravel(), d["z"].ravel()]) for d in draws])
    assert len(np.unique(numbers)) == len(numbers)


def test_latents_can_be_held_fixed():
    model = shared()
    f, z = np.ones((4, 3), "float32"), np.full((4, 8, 2), 0.5, "float32")
    made = model.generate(4, 8, seed=1, f=f)
    assert np.array_equal(made["f"], f) and np.ptp(made["z"]) > 0
    made = model.generate(4, 8, seed=1, f=f, z=z)
    assert np.ptp(made["rates"], axis=0).max() < 1e-6


@pytest.mark.parametrize("n_times", [pytest.param(8, marks=pytest.mark.slow), None])
def test_any_length_can_be_generated(n_times):
    model = tiny_model(n_times)
    assert model.generate(3, 13)["rates"].shape == (3, 13, 5)
    alone = tiny_model(n_times, **{**QUICK, "z_latent_size": 0})
    if n_times is None:
        assert alone.generate(3, 13)["rates"].shape == (3, 13, 5)
    else:
        # Without z only the input gives the number of bins.
        with pytest.raises(ValueError, match="13 bins for a model of 8.*n_times=None"):
            alone.generate(3, 13)


def test_forward_steps_have_external_input_in_generation():
    model = tiny_model(n_times=None, **FLAT, ext_input_dim=2, forward_steps=2)
    ext_input = np.random.default_rng(0).normal(size=(3, 10, 2))
    made, silent = (model.generate(3, 10, ext_input=values) for values in (ext_input, None))
    assert made["rates"].shape == (3, 10, 5) and np.abs(made["rates"] - silent["rates"])[:, -1].max() > 1e-5


@pytest.mark.parametrize("changes", [
    {}, {"f_latent_size": 0}, {"z_latent_size": 0},
    pytest.param({"forward_steps": 2, "f_enc_input_samps": 2}, marks=pytest.mark.slow),
    pytest.param({"sample_at_test": True, "q_f_samples": 2}, marks=pytest.mark.slow),
    {"q_f_samples": 2, "f_to_z": "z1"},
])  # fmt: skip
def test_reconstruction_without_a_swap_is_the_mean_rate(changes):
    model = shared(**changes)
    assert_close(model.reconstruct(X), model.rates(X), 2e-5)


def test_swaps():
    model = shared()
    q = model.encode(X)
    f, z = np.asarray(q["q_f"].loc), np.asarray(q["q_z"].loc)
    assert_close(model.reconstruct(X, "f"), model.decode(f[::-1], z).mean())
    assert_close(model.reconstruct(X, "z"), model.decode(f, z[::-1]).mean())
    order = [1, 2, 3, 4, 5, 0]
    assert_close(model.reconstruct(X, "f", order), model.decode(f[order], z).mean())
    # Swapping one latent and reordering the trials is swapping the other.
    assert_close(model.reconstruct(X, "f")[::-1], model.reconstruct(X, "z"))
    for name in ("g", "fz", ""):
        with pytest.raises(ValueError, match=rf"swap='{name}'.*\['f', 'z'\]"):
            model.reconstruct(X, name)
    for order in ([0, 1], [0, 1, 2, 3, 4, 9], [0, 1, 2, 3, 4, -1]):
        with pytest.raises(ValueError, match=r"one trial for each.*for 6 trials"):
            model.reconstruct(X, "f", order)
    with pytest.raises(ValueError, match=r"swap='z'.*\['f'\]"):
        shared(z_latent_size=0).reconstruct(X, "z")


def test_decode_asks_for_what_it_needs():
    model = shared()
    with pytest.raises(ValueError, match="needs z. Given: None"):
        model.decode(f=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="needs f. Given: None"):
        model.decode(z=np.zeros((2, 8, 2)))
    for f, z in (((2, 4), (2, 8, 2)), ((2, 3), (3, 8, 2)), ((2, 3), (2, 8, 1)), ((3,), (2, 8, 2))):
        with pytest.raises(ValueError, match="same trials and have the model's sizes.*'f': 3, 'z': 2"):
            model.decode(np.zeros(f), np.zeros(z))
    with pytest.raises(ValueError, match="Pass n_times"):
        shared(z_latent_size=0).decode(f=np.zeros((2, 3)))


@pytest.mark.parametrize("changes", [{"q_f_samples": 2}, {"q_f_samples": 2, "f_to_z": "z1"}])
def test_given_latents_decode_alike_under_many_samples(changes):
    many, one = shared(**changes), quiet(**{**changes, "q_f_samples": 1})
    f, z = np.ones((4, 3), "float32"), np.full((4, 8, 2), 0.5, "float32")
    assert_close(many.decode(f, z).mean(), one.decode(f, z).mean())


# --- read-out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["exp", "softplus"])
def test_the_read_out_starts_at_the_mean_counts(link):
    model = tiny_model(**QUICK, output_link=link)
    x = X.astype("int64")
    model.init_readout(x)
    readout = model.get_layer("readout")
    np.testing.assert_allclose(readout(np.zeros((1, 1, 3), "float32")).mean()[0, 0], x.mean((0, 1)), rtol=1e-4)
    with pytest.raises(ValueError, match="3 channels for a read-out of 5"):
        model.init_readout(X[..., :3])


# --- bad arrays -------------------------------------------------------------------------------


def spoiled(value):
    x = X.copy()
    x[2, 3, 1] = value
    return x


BAD = [
    (spoiled(np.nan), None, ["x ", "1 NaN", "(2, 3, 1)", "Drop"]),
    (spoiled(np.inf), None, ["x ", "inf", "(2, 3, 1)"]),
    (spoiled(-1), None, ["x ", "1 negative", "(2, 3, 1)", "Gaussian"]),
    (spoiled(0.5), None, ["x ", "1 fractional", "(2, 3, 1)", "Gaussian"]),
    (X[0], None, ["x ", "3 axes", "(8, 5)"]),
    (X[None], None, ["x ", "3 axes", "(1, 6, 8, 5)"]),
    (X[:0], None, ["x ", "no trials"]),
    (X[..., :3], None, ["x ", "(6, 8, 3)", "(trials, time, 5)"]),
    (X[:, :5], None, ["x ", "5 bins for an input of 8", "n_times=None"]),
    (X, X[:5], ["x and y", "6 and 5"]),
    (X, X[:, :7], ["y ", "7 in y"]),
    (X, X[..., :4], ["y ", "4 in y"]),
    (X, spoiled(np.nan), ["y ", "1 NaN", "(2, 3, 1)"]),
    (X, spoiled(0.5), ["y ", "1 fractional"]),
    (X, np.concatenate([X, X], 2), ["target", "10 channels", "reconstructs 5", "out_dim"]),
    (X, np.concatenate([X, X], 1), ["target", "16 bins", "reconstructs 8", "forward_steps"]),
]


@pytest.mark.parametrize("x, y, words", BAD, ids=range(len(BAD)))
def test_bad_arrays_are_refused(x, y, words):
    model = compiled_model()
    with pytest.raises(ValueError) as error:
        model.fit(x, y, verbose=0)
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


@pytest.mark.parametrize("x, y, words", BAD[:4], ids=range(4))
def test_bad_validation_arrays_are_refused(x, y, words):
    model = compiled_model()
    for validation in ((x, x), (x,), (X, x)):
        with pytest.raises(ValueError, match="validation"):
            model.fit(X, validation_data=validation, verbose=0)


@pytest.mark.parametrize("method", ["rates", "encode", "reconstruct", "factors", "log_prob"])
@pytest.mark.parametrize("x", [spoiled(np.nan), X[0], X[:0], X[..., :3]], ids=["nan", "rank", "empty", "width"])
def test_inference_refuses_bad_arrays(method, x):
    with pytest.raises(ValueError, match=re.escape("(trials, time, 5)")):
        getattr(compiled_model(), method)(x)


@pytest.mark.parametrize("method", ["rates", "encode", "reconstruct", "factors", "log_prob"])
def test_inference_refuses_trials_of_another_length(method):
    with pytest.raises(ValueError, match="5 bins for an input of 8.*n_times=None"):
        getattr(compiled_model(), method)(X[:, :5])


def test_gaussian_models_take_signals():
    model = tiny_model(**FLAT, output_dist="Gaussian")
    model.compile()
    model.check_arrays(spoiled(-0.5), spoiled(-0.5))
    with pytest.raises(ValueError, match="1 NaN"):
        model.fit(spoiled(np.nan), verbose=0)


# --- models assembled by hand -----------------------------------------------------------------


def by_hand(f_sample=True, z_sample=True):
    """A user's own encoder and generator around the library's posteriors and priors."""
    keras.utils.set_random_seed(0)
    x = keras.Input((None, 5), name="x")
    hidden = keras.layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    q_f = GaussianHead(3, name="q_f")(keras.layers.GlobalAveragePooling1D()(hidden))
    q_z = GaussianHead(2, name="q_z")(hidden)
    f = q_f.sample(seed=1) if f_sample else q_f.mean()
    z = q_z.sample(seed=2) if z_sample else q_z.mean()
    p = preset("default", **{**FLAT, **NO_DROPOUT})
    _, factors = beta_vae.create_generator(p, f, z)
    outputs = {
        "p_x": PoissonReadout(5, name="readout")(factors), "q_f": q_f, "f": f, "q_z": q_z, "z": z,
        "kl_f": GaussianPrior(3, name="f_prior")(q_f), "kl_z": AR1Prior(2, name="z_prior")(q_z, z),
    }  # fmt: skip
    return SequentialVAE(inputs=x, outputs=outputs)


@pytest.mark.slow
def test_a_model_by_hand_trains_and_survives_saving():
    model = by_hand()
    found = gradients(model, X)
    assert all(g is not None and np.any(g) for g in found)
    model.compile(keras.optimizers.Adam(1e-2))
    before = model.evaluate(X, verbose=0)
    model.fit(X, epochs=6, verbose=0)
    assert model.evaluate(X, verbose=0)["loss" if isinstance(before, dict) else 0] < before[0]
    loaded = saved_and_loaded(model)
    assert_same(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert isinstance(loaded.predict(X, verbose=0)["q_f"], Gaussian)
    assert_same(loaded.rates(X, samples=3, seed=1), model.rates(X, samples=3, seed=1))
    assert_same(loaded.generate(3, 9, seed=1), model.generate(3, 9, seed=1))
    assert_close(loaded.reconstruct(X), model.rates(X))


@pytest.mark.parametrize("f_sample, z_sample", [(True, False), (False, True)])
def test_a_latent_may_enter_by_its_mean(f_sample, z_sample):
    model = by_hand(f_sample, z_sample)
    assert model.rates(X).shape == X.shape
    # A latent that no sample layer made cannot be drawn or replaced, which must not pass in silence.
    name = "z" if f_sample else "f"
    with pytest.raises(ValueError, match=rf"output '{name}'.*q_{name}\.sample\(\)"):
        model.rates(X, samples=4)
    with pytest.raises(ValueError, match=rf"output '{name}'.*q_{name}\.sample\(\)"):
        model.decode(np.zeros((2, 3)), np.zeros((2, 8, 2)))


def test_a_model_needs_an_observation():
    x = keras.Input((8, 5))
    with pytest.raises(ValueError, match="'p_x'.*output_dist"):
        SequentialVAE(inputs=x, outputs={"factors": keras.layers.Dense(3)(x)})
    with pytest.raises(ValueError, match="2 positional.*inputs=..., outputs="):
        SequentialVAE(x, {"factors": keras.layers.Dense(3)(x)})


def test_parameters_travel_with_the_model():
    model = tiny_model(**{**QUICK, "f_units": [3, 4]}, init_rate_bias=[0.0, 1.0, 2.0, 3.0, 4.0])
    assert model.params["f_units"] == [3, 4] and model.params["out_dim"] == 5
    loaded = saved_and_loaded(model)
    assert loaded.params == model.params and loaded.context == model.context
    assert loaded.observation == model.observation


def test_the_seed_sets_the_draws_of_training():
    outputs = [tiny_model(**QUICK, seed=0)(X, training=True) for _ in range(2)]
    assert_same(outputs[0], outputs[1])
    model = tiny_model(**QUICK, seed=0)
    assert not np.array_equal(model(X, training=True)["f"], model(X, training=True)["f"])
