"""Objectives of several samples in a sequential model: bounds by hand, gradients that must agree, the evidence."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from indl.data import static_dynamic
from indl.dists import Gaussian
from indl.model.densities import latent_densities, of_many_samples
from indl.model.parts import part_of
from indl.objectives import ManySamples
from indl.params import preset, validate_params
from indl.training import train
from tests.checks import PLAIN, QUICK, TINY, assert_close, assert_same, counts, saved_and_loaded, tiny_model
from tests.messages import faults

ESTIMATES = ("iwae", "dreg", "vimco", "rws")
X = counts(6)
#: f in the z-encoder, so that q(z) depends on the sample of f; no loop over time.
BOTH = {
    **QUICK,
    "z_latent_size": 2,
    "gen_cell_type": "Dense",
    "f_to_gen": "tile",
    "f_to_z": "z1",
    "z2_type": None,
    "z_prior_process": "AR1",
    "coordinated_dropout_rate": 0.0,
    "q_f_samples": 3,
}
COMPLEX = {
    **TINY,
    "gen_cell_type": "Complex",
    "z2_type": "GRUClip",
    "f_to_gen": "init",
    "q_f_samples": 3,
    "coordinated_dropout_rate": 0.0,
    "dropout_rate": 0.2,
}
MODELS = {"both": BOTH, "complex": COMPLEX}


@pytest.fixture(scope="module")
def models():
    made = {}

    def make(kind, objective):
        if (kind, objective) not in made:
            made[kind, objective] = tiny_model(**{**MODELS[kind], "objective": objective})
            made[kind, objective].compile("adam")
        return made[kind, objective]

    return make


def sampled(model, x=X, training=True):
    """The outputs that the terms are made of, and the terms."""
    given = {"x": tf.constant(x)}
    outputs = of_many_samples(model, given, model(given, training=training), training)
    return outputs, model.loss_terms(given["x"], outputs, given)


def normal(x, q):
    return stats.norm.logpdf(x, np.asarray(q.loc), np.asarray(q.scale))


@pytest.mark.parametrize("training", [True, False])
def test_the_bound_by_hand(models, training):
    """From the samples and scipy's densities, of three samples a trial."""
    model = models("both", "dreg")
    out, terms = sampled(model, training=training)
    f, z, rates = (np.asarray(part, "float64") for part in (out["f"], out["z"], out["p_x"].mean()))
    assert f.shape == (6, 3, 3) and z.shape == (6, 3, 8, 2) and np.ptp(f, axis=1).min() > 0
    prior_f, prior_z = part_of(model, "f_prior"), part_of(model, "z_prior")
    log_f = stats.poisson.logpmf(X[:, None], rates).sum((-2, -1))
    q_f = Gaussian(out["q_f"].loc[:, None], out["q_f"].scale[:, None])
    ratio_f = normal(f, prior_f.gaussian()).sum(-1) - normal(f, q_f).sum(-1)
    log_f += ratio_f + normal(z, prior_z.conditional(tf.constant(z, tf.float32))).sum((-2, -1))
    log_f -= normal(z, out["q_z"]).sum((-2, -1))
    assert_close(terms["neg_bound"], -(logsumexp(log_f, axis=1) - np.log(3)), 1e-4)
    assert_close(terms["loss"], terms["neg_bound"] + terms["penalty"], 1e-4)
    model.beta_f.assign(0.25)
    loss = model.loss_terms(tf.constant(X), out, {"x": X})["loss"]
    model.beta_f.assign(1.0)
    assert_close(loss, -(logsumexp(log_f - 0.75 * ratio_f, axis=1) - np.log(3)) + terms["penalty"], 1e-4)


def test_scores_are_repeatable_and_bounds(models):
    """Drawn with one seed at inference, and above the bound of one sample."""
    model = models("both", "iwae")
    first, again = (model.evaluate(X, verbose=0, return_dict=True) for _ in range(2))
    assert_same(first, again)
    assert first["neg_bound"] < first["neg_elbo"]


@pytest.mark.parametrize("kind", MODELS)
def test_held_samples_have_the_densities_of_those_that_drove(models, kind):
    """The second run has the same dropout, and leaves the random states where the first one did."""
    model = models(kind, "dreg")
    out, terms = sampled(model)
    for name, value in out["densities"].items():
        assert_close(out["held"]["densities"][name], value, 1e-4)
    assert_close(terms["held_x"], terms["sampled_x"], 1e-4)
    model(tf.constant(X), training=True)
    first = [state.numpy() for state in model.random_states]
    sampled(model)
    second = [state.numpy() for state in model.random_states]
    model(tf.constant(X), training=True)
    steps = [(b - a).tolist() for a, b in zip(first, second, strict=True)]
    assert any(any(step) for step in steps)


def slopes(model, x=X):
    """The gradient of the mean loss, by variable."""
    given = {"x": tf.constant(x)}
    if not model.objective.holds_samples:
        # The others draw anew in the loss.
        model(given, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.compute_loss(given, given["x"], model(given, training=True)))
    values = [v.value for v in model.trainable_variables]
    found = tape.gradient(loss, values, unconnected_gradients="zero")
    return {v.path: np.asarray(g) for v, g in zip(model.trainable_variables, found, strict=True)}


def test_the_model_is_trained_alike_by_every_estimate(models):
    """What only p has is weighted by the samples' shares, whatever is done for q: the same draws, the same gradient."""
    found = []
    for estimate in ESTIMATES:
        model = models("both", estimate)
        model.set_weights(models("both", "iwae").get_weights())
        for state, value in zip(model.random_states, models("both", "iwae").random_states, strict=True):
            state.assign(tf.zeros_like(value.value) + 7)
        found.append(slopes(model))
    of_p = [path for path in found[0] if path.startswith(("gen_", "factors", "readout", "f_prior", "z_prior"))]
    assert len(of_p) > 5
    for other in found[1:]:
        for path in of_p:
            assert_close(other[path], found[0][path], 1e-4)
    of_q = [path for path in found[0] if path.startswith("q_")]
    assert all(np.abs(found[0][path] - found[1][path]).max() > 1e-4 for path in of_q)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_estimates_of_one_bound_have_one_expectation(models, kind):
    """Of the posterior's own parameters, over many draws: all agree but reweighted wake-sleep."""
    many = np.repeat(X[:2], 300, axis=0)
    means, errors = {}, {}
    for estimate in ESTIMATES:
        model = models(kind, estimate)
        model.set_weights(models(kind, "iwae").get_weights())
        one = tf.function(lambda x, model=model: list(_flat(model, x)))
        draws = np.stack([np.concatenate([np.ravel(part) for part in one(tf.constant(many))]) for _ in range(24)])
        means[estimate], errors[estimate] = draws.mean(0), draws.std(0, ddof=1) / np.sqrt(24)
    size = np.linalg.norm(means["iwae"])
    for estimate in ("dreg", "vimco"):
        error = np.sqrt((errors[estimate] ** 2 + errors["iwae"] ** 2).sum())
        assert np.linalg.norm(means[estimate] - means["iwae"]) < 2 * error + 1e-3 * size, estimate
    assert np.sqrt((errors["dreg"] ** 2).sum()) < np.sqrt((errors["vimco"] ** 2).sum())
    off = np.linalg.norm(means["rws"] - means["iwae"])
    assert off > 5 * np.sqrt((errors["rws"] ** 2 + errors["iwae"] ** 2).sum())


def _flat(model, x):
    given = {"x": x}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.compute_loss(given, x, model(given, training=True)))
    of_q = [
        v.value for v in model.trainable_variables if v.path.startswith(("q_", "f_rnn", "z1_", "complex_cell/post"))
    ]
    return tape.gradient(loss, of_q, unconnected_gradients="zero")


def test_hidden_elements_alone_choose_among_samples():
    """With coordinated dropout, the likelihood of a step is that of what the encoder did not see, scaled to all."""
    model = tiny_model(**{**BOTH, "objective": "iwae", "coordinated_dropout_rate": 0.4})
    out, terms = sampled(model)
    mask = np.asarray(out["cd_mask"])[:, None]
    assert 0.2 < mask.mean() < 0.6
    likelihood = stats.poisson.logpmf(X[:, None], np.asarray(out["p_x"].mean(), "float64"))
    assert_close(terms["sampled_x"], (likelihood * mask).sum((-2, -1)) * model.context.gradient_rescale, 1e-4)
    # What is logged beside it is of all elements.
    assert_close(terms["nll"], -likelihood.sum((-2, -1)).mean(1), 1e-4)


def test_the_end_of_a_trial_pays_for_nothing():
    model = tiny_model(None, **{**BOTH, "objective": "vimco", "missing_data": True})
    padded = np.pad(X, ((0, 0), (0, 3), (0, 0)), constant_values=np.nan)
    short, long = (latent_densities(model, model({"x": x}), {"x": tf.constant(x)}) for x in (X, padded))
    for name in short:
        assert_close(long[name], short[name], 1e-4)
    assert_close(model.log_evidence(padded, n_samples=3).shape, (6,))


@pytest.mark.parametrize("estimate", ["dreg", "vimco"])
def test_a_saved_model_has_the_objective(estimate):
    model = tiny_model(**{**PLAIN, "objective": estimate, "q_f_samples": 4, "coordinated_dropout_rate": 0.0})
    model.compile("adam")
    model.fit(X, epochs=1, verbose=0)
    again = saved_and_loaded(model)
    assert again.objective == model.objective == ManySamples.of(model.params, [])
    assert_same(again.evaluate(X, verbose=0), model.evaluate(X, verbose=0))


@pytest.mark.slow
@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_run_goes_on_compiled_or_not(estimate, tmp_path):
    """A compiled run in parts is resumed to the numbers of an uninterrupted one, and lowers its bound."""
    recording = static_dynamic("gain", 96, 32)
    small = {**BOTH, "objective": estimate, "epochs": 3, "batch_size": 32, "learning_rate": 0.01, "dropout_rate": 0.1}
    p = validate_params({**small, "jit_compile": "on", "batch_parts": 2})
    whole = train(p, recording, hidden_every=1)
    train(p, recording, hidden_every=1, epochs=2, folder=tmp_path)
    again = train(p, recording, hidden_every=1, folder=tmp_path)
    assert_same(again.history, whole.history)
    assert whole.history["val_neg_bound"][-1] < whole.history["val_neg_bound"][0]


# --- the evidence -----------------------------------------------------------------------------------


def test_the_evidence_of_a_linear_model_is_exact():
    """x_t = W f + b + noise with f ~ N(m, s^2): a Gaussian, whose log density scipy has."""
    linear = {**PLAIN, "gen_activation": "linear", "output_dist": "GaussianUnit", "input_transform": None}
    model = tiny_model(4, 3, **{**linear, "f_prior_init_std": 0.7, "q_f_init_std": 1.0})
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype("float32")
    found = model.log_evidence(x, n_samples=40_000, batch_size=20_000)
    base = model.decode(f=np.zeros((1, 2), "float32"), n_times=4)
    sd = np.asarray(base.scale)[0].ravel()
    loc = np.asarray(base.mean(), "float64")[0].ravel()
    w = np.asarray(model.decode(f=np.eye(2, dtype="float32"), n_times=4).mean()).reshape(2, -1).T - loc[:, None]
    prior = part_of(model, "f_prior").gaussian()
    m, s = np.asarray(prior.loc, "float64"), np.asarray(prior.scale, "float64")
    exact = stats.multivariate_normal(loc + w @ m, (w * s**2) @ w.T + np.diag(sd**2)).logpdf(x.reshape(5, -1))
    assert_close(found, exact, 2e-3)
    few = [model.log_evidence(x, n_samples=n, seed=1).mean() for n in (1, 20)]
    assert few[0] < few[1] < exact.mean() + 0.05


def test_the_evidence_of_any_number_at_once(models):
    model = tiny_model(**{**PLAIN, "q_f_init_std": 1.0, "f_prior_init_std": 0.7})
    one = model.log_evidence(X, n_samples=4000, batch_size=1000)
    many = model.log_evidence(X, n_samples=4000, batch_size=24_000)
    assert one.shape == many.shape == (6,) and (one != many).any()
    assert_close(one, many, 2e-3)
    model = models("both", "iwae")
    assert_same(model.log_evidence(X, n_samples=50, seed=3), model.log_evidence(X, n_samples=50, seed=3))


# --- what does not go together ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, ["weighted against each other", "q_f_samples=1"]),
        ({"q_f_samples": 5, "loss_reduction": "mean"}, ["whole trials", "loss_reduction='mean'"]),
        ({"q_f_samples": 5, "z_free_bits": 0.1}, ["no place", "z_free_bits=0.1"]),
        ({"q_f_samples": 5, "kl_balance": 0.5}, ["no place", "kl_balance=0.5"]),
        ({"q_f_samples": 5, "variational": False}, ["variational=False"]),
    ],
)
def test_what_does_not_go_together_is_told(changes, words):
    with pytest.raises(ValueError) as told:
        preset("dsae_full", objective="vimco", **changes)
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)
