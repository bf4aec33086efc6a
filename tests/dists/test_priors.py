"""Priors against closed forms, simulation and reference values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from indl.dists import AR1Prior, Gaussian, GaussianPrior, RecurrentPrior
from indl.params import RNN_CELLS
from tests.checks import (
    CELLS,
    assert_close,
    assert_mean,
    assert_same,
    check_layer,
    parity_cases,
    saved_and_loaded,
    untrained,
)

RNG = np.random.default_rng(0)
LOC = RNG.normal(size=(4, 6, 2)).astype("float32")
SCALE = RNG.uniform(0.2, 1.2, (4, 6, 2)).astype("float32")
Q = Gaussian(LOC, SCALE)


def cholesky(batch, size=2, seed=5):
    rng = np.random.default_rng(seed)
    return (np.tril(rng.normal(size=(*batch, size, size)), -1) + np.eye(size) * 0.5).astype("float32")


def ar1(size=2, **kwargs):
    """An AR(1) prior with another mean, tau and noise in every dimension."""
    prior = AR1Prior(size, **kwargs)
    prior.loc.assign(np.linspace(-0.5, 0.8, size))
    prior.log_tau.assign(np.log(np.linspace(2.0, 12.0, size)))
    prior.log_noise_variance.assign(np.log(np.linspace(0.3, 0.1, size)))
    return prior


def ar1_covariance(prior, time):
    """Covariance of a whole path, (D, time, time), in numpy."""
    phi = np.exp(-np.exp(-np.asarray(prior.log_tau, "float64")))
    variance = np.exp(np.asarray(prior.log_noise_variance, "float64")) / (1 - phi**2)
    lags = np.abs(np.subtract.outer(np.arange(time), np.arange(time)))
    return variance[:, None, None] * phi[:, None, None] ** lags


def dense_kl(m, cov, m_p, cov_p):
    solved = np.linalg.solve(cov_p, cov)
    distance = (m - m_p) @ np.linalg.solve(cov_p, m - m_p)
    return 0.5 * (np.trace(solved) + distance - len(m) - np.linalg.slogdet(solved)[1])


# --- AR(1) ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "analytic"])
def test_ar1_suite(mode):
    check_layer(lambda: _Kl(ar1(kl_mode=mode)), LOC, SCALE)


@pytest.mark.parametrize("time", [1, 2, 6])
@pytest.mark.parametrize("full", [False, True])
def test_ar1_kl_equals_the_dense_gaussian_kl(time, full):
    prior = ar1()
    scale = cholesky((4, time)) if full else SCALE[:, :time]
    got = prior(Gaussian(LOC[:, :time], scale))
    assert got.shape == (4, time)
    size = 2 * time
    joint = np.zeros((size, size))  # ordered as (time, dimension)
    for d, block in enumerate(ar1_covariance(prior, time)):
        joint[d::2, d::2] = block
    for i in range(4):
        cov = np.zeros((size, size))
        for t in range(time):
            factor = scale[i, t].astype("float64") if full else np.diag(scale[i, t]).astype("float64")
            cov[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] = factor @ factor.T
        mean = LOC[i, :time].astype("float64").ravel()
        expected = dense_kl(mean, cov, np.tile(np.asarray(prior.loc, "float64"), time), joint)
        np.testing.assert_allclose(np.sum(got[i]), expected, rtol=2e-5)


@pytest.mark.parametrize("mode", ["conditional", "sampled"])
def test_ar1_estimates_have_the_exact_kl_as_their_mean(mode):
    exact, estimate = ar1(), ar1(kl_mode=mode, seed=1)
    rows = np.repeat(LOC[:1], 30_000, axis=0), np.repeat(SCALE[:1], 30_000, axis=0)
    draws = np.asarray(estimate(Gaussian(*rows)))
    assert draws.std(0)[1:].min() > 0
    # Each step's mean is exact, not only that of the sum.
    assert_mean(draws, np.asarray(exact(Gaussian(LOC[:1], SCALE[:1])))[0], floor=1e-4)


def test_ar1_exact_kl_equals_monte_carlo_of_log_densities():
    prior = ar1()
    paths = np.asarray(Gaussian(LOC[:1], SCALE[:1]).sample(50_000, seed=2))[0]
    log_q = np.sum(np.asarray(Gaussian(LOC[0], SCALE[0]).log_prob(paths)), -1)
    log_p = np.sum(prior.log_prob(paths), -1)
    assert_mean(log_q - log_p, np.sum(prior(Gaussian(LOC[:1], SCALE[:1]))))


def test_ar1_free_rollout_punishes_autocorrelation():
    """A posterior that is the prior itself costs nothing on its own path, and phi^2 / (1 - phi^2) a step on another."""
    path = AR1Prior(1, tau=10.0, init_std=0.3).draw(20_000, 6, seed=3)
    teacher = AR1Prior(1, tau=10.0, init_std=0.3, kl_mode="conditional")
    free = AR1Prior(1, tau=10.0, init_std=0.3, rollout="free", seed=4)
    conditional = teacher.conditional(path)
    q = Gaussian(conditional.loc, conditional.scale + tf.zeros_like(conditional.loc))
    np.testing.assert_allclose(teacher(q, path), 0.0, atol=1e-4)
    squared = np.exp(-0.2)
    excess = 0.5 * ((1 + squared) / (1 - squared) - 1)
    assert 4.51 < excess < 4.53
    assert_mean(free(q, path), [0.0] + [excess] * 5, floor=1e-4)


def test_ar1_is_stationary_from_the_first_step():
    prior = ar1()
    paths = np.asarray(prior.draw(60_000, 5, seed=6))
    assert paths.shape == (60_000, 5, 2)
    assert_mean(paths, np.broadcast_to(np.asarray(prior.loc), (5, 2)))
    centred = paths - np.asarray(prior.loc)
    products = np.einsum("nid,njd->ndij", centred, centred)
    assert_mean(products, ar1_covariance(prior, 5))


@pytest.mark.parametrize("tau", [1e-3, 0.5, 10.0, 1e4])
def test_ar1_rollout_follows_the_conditional(tau):
    prior = AR1Prior(2, tau=tau, init_std=0.4)
    prior.loc.assign([0.5, -2.0])
    noise = RNG.normal(size=(3, 9, 2)).astype("float32")
    z = prior.rollout(noise)
    step = prior.conditional(z)
    np.testing.assert_allclose(z, step.loc + step.scale * noise, rtol=1e-4, atol=1e-4)
    assert np.isfinite(prior(Q)).all()


@pytest.mark.parity
@pytest.mark.parametrize("config, case", parity_cases("lfads_ar1_prior"))
def test_ar1_parity(config, case):
    prior = AR1Prior(config["dim"], tau=config["tau"], init_std=config["noise_variance"] ** 0.5)
    assert_close(prior.log_tau, np.full(config["dim"], np.log(config["tau"])))
    prior.log_tau.assign(case["log_tau"])
    prior.log_noise_variance.assign(case["log_noise_variance"])
    z = tf.constant(case["sequence"], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        log_prob = tf.reduce_sum(prior.log_prob(z), -1)
        total = tf.reduce_sum(tf.cast(case["cotangent"], tf.float32) * log_prob)
    found = tape.gradient(total, [z, prior.log_tau.value, prior.log_noise_variance.value])
    assert_close(log_prob, case["log_prob"])
    for gradient, name in zip(found, ("sequence", "log_tau", "log_noise_variance"), strict=True):
        assert_close(gradient, case[f"grad/{name}"], 1e-4)
    phi, first, _ = prior._phi_and_scales()
    assert_close(phi, case["alpha"])
    assert_close(first**2, case["process_variance"])


# --- recurrent --------------------------------------------------------------------------------


def recurrent(cell, **kwargs):
    keras.utils.set_random_seed(3)
    return RecurrentPrior(2, cell, units=4, init_std=0.5, **kwargs)


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_suite(cell):
    check_layer(lambda: _Conditional(recurrent(cell)), LOC)


@keras.saving.register_keras_serializable("checks")
class _Conditional(keras.layers.Layer):
    """A prior's conditional as the layer's value, so that the suite sees a deterministic call."""

    def __init__(self, prior, **kwargs):
        super().__init__(**kwargs)
        self.prior = prior if isinstance(prior, keras.Layer) else keras.saving.deserialize_keras_object(prior)

    def call(self, z):
        return tuple(self.prior.conditional(z))

    def get_config(self):
        return {**super().get_config(), "prior": keras.saving.serialize_keras_object(self.prior)}


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_recurrent_conditional_sees_the_past_alone(cell):
    prior = recurrent(cell)
    before = prior.conditional(tf.constant(LOC))
    moved = LOC.copy()
    moved[:, 3] += 1.0
    after = prior.conditional(tf.constant(moved))
    for a, b in zip(before[:2], after[:2], strict=True):
        changed = np.any(np.asarray(a) != np.asarray(b), axis=(0, 2))
        assert not changed[:4].any() and changed[4:].all()
    # z_0 = 0, so the first step is the same for every trial.
    assert np.ptp(before.loc[:, 0], axis=0).max() == 0


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_recurrent_rollout_follows_the_conditional(cell):
    prior = recurrent(cell)
    noise = RNG.normal(size=(3, 7, 2)).astype("float32")
    z = prior.rollout(tf.constant(noise))
    step = prior.conditional(z)
    assert_close(z, step.loc + step.scale * noise)


@pytest.mark.parametrize("rollout", ["teacher", "free"])
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_variables_all_train(cell, rollout):
    prior = recurrent(cell, rollout=rollout, seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(prior(Q))
    variables = prior.trainable_variables
    assert len({id(v) for v in variables}) == len(variables) == len(prior.get_weights())
    assert len(variables) == 7
    assert untrained(variables, tape.gradient(loss, [v.value for v in variables])) == []


def test_recurrent_variables_have_plain_names():
    names = {v.path.removeprefix("z_prior/") for v in recurrent("LSTM", name="z_prior").weights}
    kernels = {f"rnn/forward_{name}" for name in ("kernel", "recurrent_kernel", "bias")}
    assert names == kernels | {f"head/{part}/{name}" for part in ("loc", "raw_scale") for name in ("kernel", "bias")}


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_recurrent_gradient_in_training_is_that_of_automatic_differentiation(cell):
    prior = recurrent(cell, dtype="float64")
    q = Gaussian(*(tf.constant(part, "float64") for part in (LOC, SCALE)))
    sample = tf.constant(RNG.normal(size=(4, 3, 6, 2)))
    variables, found = [v.value for v in prior.trainable_variables], []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(sample)
            kl = prior(q, sample, training=training)
        found.append([kl, *tape.gradient(kl, [sample, *variables])])
    for a, b in zip(*found, strict=True):
        assert a.dtype == "float64" and np.any(b)
        assert_close(a, b, 1e-10)


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_recurrent_rollout_equals_a_loop_over_the_keras_cell(cell):
    """Values and gradients, eagerly and compiled for any number of bins."""
    prior = recurrent(cell)
    twin = {"LSTM": keras.layers.LSTMCell, "GRU": keras.layers.GRUCell}[cell](4)
    twin.build((None, 2))
    twin.set_weights(prior.rnn.get_weights())
    variables = [v.value for v in (*prior.rnn.weights, *prior.head.weights)]
    noise = tf.constant(RNG.normal(size=(3, 5, 2)), "float32")

    def loop(noise):
        z, state, path = tf.zeros((3, 2)), [tf.zeros((3, 4))] * prior.rnn.cell.n_states, []
        for t in range(noise.shape[1]):
            out, state = twin(z, state)
            step = prior.head(out)
            z = step.loc + step.scale * noise[:, t]
            path.append(z)
        return tf.stack(path, 1)

    def values_and_gradients(run, variables, noise):
        with tf.GradientTape() as tape:
            tape.watch(noise)
            path = run(noise)
            total = tf.reduce_sum(tf.sin(path))
        return [path, *tape.gradient(total, [noise, *variables])]

    def rolled_out(noise):
        return values_and_gradients(prior.rollout, variables, noise)

    own = [v.value for v in (*twin.weights, *prior.head.weights)]
    compiled = tf.function(rolled_out, input_signature=[tf.TensorSpec((None, None, 2))], jit_compile=True)
    runs = [(5, rolled_out)] + ([(5, compiled), (1, compiled)] if cell == "GRU" else [])
    for time, run in runs:
        wanted = values_and_gradients(loop, own, noise[:, :time])
        for a, b in zip(run(noise[:, :time]), wanted, strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("make", [recurrent, None], ids=["recurrent", "ar1"])
@pytest.mark.parametrize("mode", ["conditional", "sampled"])
def test_a_samples_axis_equals_a_loop(make, mode):
    prior = make("GRU", kl_mode=mode) if make else ar1(kl_mode=mode)
    samples = np.asarray(Q.sample(3, seed=1))
    together = np.asarray(prior(Q, samples))
    one_by_one = [np.asarray(prior(Q, samples[:, s])) for s in range(3)]
    assert together.shape == (4, 6)
    assert_close(together, np.mean(one_by_one, axis=0))
    # Where q itself depends on the sample, each sample meets its own q.
    loc = samples + 0.1
    many = Gaussian(loc, np.broadcast_to(SCALE[:, None], loc.shape).copy())
    one_by_one = [np.asarray(prior(Gaussian(loc[:, s], SCALE), samples[:, s])) for s in range(3)]
    assert_close(prior(many, samples), np.mean(one_by_one, axis=0))


def test_ar1_analytic_with_a_samples_axis_is_the_mean():
    prior, loc = ar1(), np.asarray(Q.sample(3, seed=1))
    one_by_one = [np.asarray(prior(Gaussian(loc[:, s], SCALE))) for s in range(3)]
    assert_close(prior(Gaussian(loc, np.repeat(SCALE[:, None], 3, 1))), np.mean(one_by_one, axis=0))


def test_recurrent_kl_is_computed_along_the_given_sample():
    prior = recurrent("LSTM")
    sample = np.asarray(Q.sample(seed=1))
    assert_close(prior(Q, sample), Q.kl_divergence(prior.conditional(tf.constant(sample))))
    assert not np.allclose(prior(Q, sample), prior(Q, sample + 1.0))


def test_recurrent_log_prob_and_distribution():
    prior, z = recurrent("GRU"), np.asarray(Q.sample(seed=1))
    by_tfp = prior.distribution(z).log_prob(z)
    assert by_tfp.shape == (4, 6)
    assert_close(prior.log_prob(z), by_tfp)


def test_recurrent_starts_at_its_std():
    scale = np.asarray(recurrent("GRUClip").conditional(tf.zeros((1, 1, 2))).scale)
    assert np.all((scale > 0.2) & (scale < 1.0))


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=[] if cell == "LSTM" else pytest.mark.slow) for cell in RNN_CELLS]
)
@pytest.mark.parametrize("rollout", ["teacher", "free"])
def test_priors_inside_a_graph_keep_their_values_after_loading(cell, rollout):
    loc, scale = keras.Input((None, 2)), keras.Input((None, 2))
    q = Gaussian(loc, scale)
    prior = recurrent(cell, rollout=rollout, seed=2)
    model = keras.Model([loc, scale], prior(q, q.mean()))
    assert len(model.trainable_variables) == len(prior.trainable_variables)
    loaded = saved_and_loaded(model)
    twin = loaded.get_layer(prior.name)
    assert twin.get_config() == prior.get_config()
    assert_same(twin.get_weights(), prior.get_weights())
    assert_same(twin.draw(3, 5, seed=1), prior.draw(3, 5, seed=1))
    if rollout == "teacher":
        assert_same(loaded([LOC, SCALE]), model([LOC, SCALE]))


# --- memory-less ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2), (4, 6, 2)])
@pytest.mark.parametrize("full", [False, True])
def test_gaussian_prior_equals_tfp(shape, full):
    prior = GaussianPrior(2, init_std=0.4)
    prior.loc.assign([0.3, -1.0])
    prior.log_std.assign([0.2, -0.5])
    loc, scale = (LOC, SCALE) if len(shape) == 3 else (LOC[:, 0], SCALE[:, 0])
    q = Gaussian(loc, cholesky(shape[:-1]) if full else scale)
    factor = q.scale if full else q.scale[..., None] * np.eye(2, dtype="float32")
    tril = tfp.distributions.MultivariateNormalTriL
    other = tril(np.asarray(prior.loc), np.diag(np.exp([0.2, -0.5])).astype("float32"))
    got = prior(q)
    assert got.shape == shape[:-1]
    assert_close(got, tril(q.loc, factor).kl_divergence(other), 2e-5)
    assert_close(prior.distribution().mean(), prior.loc)


def test_gaussian_prior_suite():
    check_layer(lambda: _Kl(GaussianPrior(2, 0.5)), LOC, SCALE)
    check_layer(lambda: _Kl(GaussianPrior(2, 0.5, train_mean=False, train_var=False)), LOC[:, 0], SCALE[:, 0])


@keras.saving.register_keras_serializable("checks")
class _Kl(keras.layers.Layer):
    """A prior called on loc and scale as two tensors, as the suite hands them over."""

    def __init__(self, prior, **kwargs):
        super().__init__(**kwargs)
        self.prior = prior if isinstance(prior, keras.Layer) else keras.saving.deserialize_keras_object(prior)

    def call(self, loc, scale):
        return self.prior(Gaussian(loc, scale))

    def get_config(self):
        return {**super().get_config(), "prior": keras.saving.serialize_keras_object(self.prior)}


@pytest.mark.parametrize("make", [GaussianPrior, AR1Prior])
@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("var", [False, True])
def test_fixed_parts_stay_fixed(make, mean, var):
    prior = make(2, init_std=0.4, train_mean=mean, train_var=var)
    names = {v.name for v in prior.trainable_variables}
    assert ("loc" in names) == mean
    assert bool(names & {"log_std", "log_noise_variance"}) == var


def test_ar1_time_constant_can_be_fixed():
    assert "log_tau" not in {v.name for v in AR1Prior(2, train_tau=False).trainable_variables}


def test_gaussian_prior_draws():
    prior = GaussianPrior(2, init_std=0.4)
    prior.loc.assign([0.3, -1.0])
    for draws in (prior.draw(40_000, seed=1), np.reshape(prior.draw(8000, 5, seed=1), (-1, 2))):
        assert_mean(draws, [0.3, -1.0])
        assert_mean((draws - np.array([0.3, -1.0])) ** 2, [0.16, 0.16])


@pytest.mark.parametrize(
    "make", [lambda: AR1Prior(2, kl_mode="analytic", rollout="free"), lambda: RecurrentPrior(2, kl_mode="analytic")]
)
def test_an_impossible_closed_form_is_refused(make):
    with pytest.raises(ValueError, match=r"no closed-form KL.*kl_mode='analytic'.*conditional"):
        make()


@pytest.mark.parametrize("prior", [GaussianPrior(2), AR1Prior(2), RecurrentPrior(2)], ids=lambda p: type(p).__name__)
def test_repr_names_the_event_size(prior):
    assert "event size 2" in repr(prior) and prior.event_size == 2


@pytest.mark.parametrize("mode", ["conditional", "sampled"])
def test_kl_at_inference_is_repeatable_and_estimates_the_bound(mode):
    """Along the posterior means the conditional KL would be several nats too small."""
    rng = np.random.default_rng(0)
    q = Gaussian(*(tf.constant(part, "float32") for part in (rng.normal(size=(1, 30, 2)), np.full((1, 30, 2), 0.5))))
    many = Gaussian(*(tf.repeat(part, 4000, axis=0) for part in q[:2]))
    prior = AR1Prior(2, kl_mode=mode, seed=0)
    exact = float(tf.reduce_sum(prior.analytic_kl(q)))
    drawn = np.asarray(prior(many, training=False)).sum(1)
    np.testing.assert_array_equal(drawn, np.asarray(prior(many, training=False)).sum(1))
    assert abs(drawn.mean() - exact) < 4 * drawn.std() / np.sqrt(len(drawn))
    assert not np.array_equal(prior(many, training=True), prior(many, training=True))
    along_means = float(tf.reduce_sum(AR1Prior(2, kl_mode="conditional")(q, q.loc)))
    assert along_means < exact - 5


# --- one dimension at a time --------------------------------------------------------------------


@pytest.mark.parametrize(
    "prior",
    [ar1(), ar1(rollout="free", seed=3), RecurrentPrior(2, "GRU", 4, seed=3), GaussianPrior(2, 0.7)],
    ids=["AR1", "AR1 free", "recurrent", "Gaussian"],
)
def test_kl_per_dimension_sums_to_the_kl(prior):
    per_dimension = np.asarray(prior.kl_per_dimension(Q))
    assert per_dimension.shape == (4, 6, 2)
    assert_close(per_dimension.sum(-1), prior(Q))


def test_kl_per_dimension_is_that_of_the_marginals():
    # A dimension whose posterior is the prior's costs nothing, whatever the other does.
    prior = ar1()
    alone = AR1Prior(1)
    for name in ("loc", "log_tau", "log_noise_variance"):
        getattr(alone, name).assign(getattr(prior, name)[1:])
    assert_close(prior.kl_per_dimension(Q)[..., 1:], alone(Gaussian(LOC[..., 1:], SCALE[..., 1:]))[..., None])
    factors = cholesky((4, 6))
    marginal = np.sqrt((factors**2).sum(-1))
    assert_close(prior.kl_per_dimension(Gaussian(LOC, factors)), prior.kl_per_dimension(Gaussian(LOC, marginal)))
    full, other = Gaussian(LOC, factors), Gaussian(0.3 * LOC, cholesky((4, 6), seed=6))
    expected = tfp.distributions.kl_divergence(
        tfp.distributions.Normal(full.loc, full.stddev()), tfp.distributions.Normal(other.loc, other.stddev())
    )
    assert_close(full.kl_per_dimension(other), expected)
