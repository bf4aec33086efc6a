"""The Student-t prior against SciPy, quadrature and simulation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from indl.dists import Gaussian
from indl.dists.priors import StudentTPrior
from indl.model.beta_vae import create_z_prior
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import TINY, assert_close, assert_mean, assert_same, check_layer, counts, gradients, tiny_model

RNG = np.random.default_rng(0)
LOC = RNG.normal(size=(4, 6, 2)).astype("float32")
SCALE = RNG.uniform(0.2, 1.2, (4, 6, 2)).astype("float32")
Q = Gaussian(tf.constant(LOC), tf.constant(SCALE))
MEAN, STD, DF = np.array([0.5, -1.0]), np.array([0.4, 1.5]), np.array([2.5, 9.0])


def student(**kwargs):
    """A prior with another mean, scale and df in either dimension."""
    prior = StudentTPrior(2, **kwargs)
    prior.loc.assign(MEAN)
    prior.log_std.assign(np.log(STD))
    prior.log_df.assign(np.log(DF - 1))
    return prior


def quadrature_kl(loc, scale):
    """KL(N(loc, scale^2) || prior) of every entry, in numpy."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    z = loc[..., None] + scale[..., None] * nodes
    log_q = stats.norm.logpdf(z, loc[..., None], scale[..., None])
    log_p = stats.t.logpdf(z, DF[:, None], MEAN[:, None], STD[:, None])
    return ((log_q - log_p) * weights).sum(-1) / weights.sum()


# --- density and draws --------------------------------------------------------------------------


def test_log_density_equals_scipy():
    # Far into the tails, where a Gaussian would have underflowed.
    z = np.concatenate([RNG.normal(size=(50, 2)), [[0.5, -1.0], [40.0, -300.0], [-1e4, 1e5]]]).astype("float32")
    prior = student()
    expected = stats.t.logpdf(z.astype("float64"), DF, MEAN, STD)
    assert_close(prior.log_prob(z), expected.sum(-1))
    assert_close(prior.distribution().log_prob(z), expected)
    # Each dimension has the density of its own.
    with sampling(GivenNoise({prior.name: np.zeros_like(z)})):
        found = prior.kl_per_dimension(Gaussian(tf.constant(z), tf.ones_like(z)))
    assert_close(found, -0.5 * np.log(2 * np.pi) - expected)


def test_gradients_equal_finite_differences():
    prior, z, h = student(dtype="float64"), tf.constant(RNG.normal(size=(20, 2)) * 2), 1e-6
    variables = [prior.loc, prior.log_std, prior.log_df]
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_sum(prior.log_prob(z))
    found = tape.gradient(total, [z, *(v.value for v in variables)])

    def density(z, loc, log_std, log_df):
        return stats.t.logpdf(z, 1 + np.exp(log_df), loc, np.exp(log_std))

    point = [z.numpy(), *(v.numpy() for v in variables)]
    for i, gradient in enumerate(found):
        up, down = (density(*(p + s * h * (j == i) for j, p in enumerate(point))) for s in (1, -1))
        slope = (up - down) / (2 * h)
        assert_close(gradient, slope if i == 0 else slope.sum(0), 1e-7)


def test_draws_have_the_distribution():
    prior = student()
    draws = np.asarray(prior.draw(3000, 3, seed=1), "float64")
    assert draws.shape == (3000, 3, 2)
    for d in range(2):
        assert stats.kstest(draws[..., d].ravel(), stats.t(DF[d], MEAN[d], STD[d]).cdf).pvalue > 1e-3
    # Bins and dimensions are independent: their ranks are not correlated.
    ranks = stats.rankdata(draws.reshape(3000, 6), axis=0)
    assert np.abs(np.corrcoef(ranks.T) - np.eye(6)).max() < 5 / 3000**0.5
    static = np.asarray(prior.draw(3000, seed=1), "float64")
    for d in range(2):
        assert stats.kstest(static[:, d], stats.t(DF[d], MEAN[d], STD[d]).cdf).pvalue > 1e-3


def test_of_many_degrees_of_freedom_it_is_a_gaussian():
    prior = StudentTPrior(2, df=1e6, init_std=0.7)
    z = RNG.normal(size=(30, 2)).astype("float32")
    assert_close(prior.log_prob(z), stats.norm.logpdf(z, 0, 0.7).sum(-1), 1e-3)
    exact = Q.kl_divergence(Gaussian(tf.zeros(2), tf.fill((2,), 0.7)))
    many = Gaussian(*(tf.repeat(part[None], 2000, 0) for part in (LOC, SCALE)))
    found = prior(Gaussian(*(tf.reshape(part, (-1, 6, 2)) for part in many[:2])))
    assert_mean(np.reshape(found, (2000, 4, 6)), exact, floor=1e-3)


# --- KL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_the_estimate_has_the_exact_kl_as_its_mean(training):
    prior = student(seed=1)
    rows = Gaussian(*(tf.constant(np.repeat(part[:1], 20_000, axis=0)) for part in (LOC, SCALE)))
    draws = np.asarray(prior(rows, training=training))
    assert draws.shape == (20_000, 6) and draws.std(0).min() > 0
    exact = quadrature_kl(LOC[:1].astype("float64"), SCALE[:1].astype("float64"))[0]
    assert_mean(draws, exact.sum(-1), floor=1e-4)
    if not training:
        per_dimension = np.asarray(prior.kl_per_dimension(rows))
        assert_mean(per_dimension, exact, floor=1e-4)


def test_the_kl_is_taken_at_the_sample():
    prior, z = student(), np.asarray(Q.sample(seed=1))
    expected = stats.norm.logpdf(z, LOC, SCALE).sum(-1) - stats.t.logpdf(z, DF, MEAN, STD).sum(-1)
    assert_close(prior(Q, z), expected)
    # What has driven the generator is that sample in training, where the posterior carries it.
    driven = Gaussian(*Q[:2], tf.constant(z))
    assert_close(prior(driven, training=True), expected)
    assert_same(prior(driven, training=False), prior(Q, training=False))
    assert not np.allclose(prior(driven, training=False), expected)
    with sampling(GivenNoise({prior.name: (z - LOC) / SCALE})):
        assert_close(prior(Q, training=True), expected, 1e-4)


@pytest.mark.parametrize("mode", ["auto", "sampled", "fresh"])
def test_a_fresh_sample_is_not_the_one_that_has_driven_the_generator(mode):
    prior, z = student(kl_mode=mode, seed=2), np.asarray(Q.sample(seed=1))
    driven = Gaussian(*Q[:2], tf.constant(z))
    at_path = np.asarray(prior(Q, z))
    found = [np.asarray(prior(driven, training=True)) for _ in range(2)]
    if mode == "fresh":
        assert (found[0] != at_path).all() and (found[0] != found[1]).all()
        assert_same(student(kl_mode="fresh", seed=2)(Q, training=True), found[0])
    else:
        assert_same(found, [at_path] * 2)


@pytest.mark.parametrize("mode", ["conditional", "analytic"])
def test_a_kl_that_does_not_exist_is_refused(mode):
    with pytest.raises(ValueError, match=rf"is sampled\. Given: kl_mode='{mode}'\. Use 'sampled' or 'fresh'"):
        StudentTPrior(2, kl_mode=mode)


def test_inference_is_repeatable_and_training_is_not():
    prior = student(seed=2)
    assert_same(prior(Q), prior(Q, training=False))
    assert not np.array_equal(prior(Q), student(seed=3)(Q))
    assert not np.array_equal(prior(Q, training=True), prior(Q, training=True))
    assert_close(np.sum(prior.kl_per_dimension(Q), -1), prior(Q))


def test_a_full_covariance():
    rng = np.random.default_rng(5)
    factor = (np.tril(rng.normal(size=(4, 6, 2, 2)), -1) + 0.5 * np.eye(2)).astype("float32")
    z = (LOC + np.einsum("btij,btj->bti", factor, rng.normal(size=LOC.shape))).astype("float32")
    log_q = [
        [stats.multivariate_normal.logpdf(z[i, t], LOC[i, t], factor[i, t] @ factor[i, t].T) for t in range(6)]
        for i in range(4)
    ]
    expected = np.array(log_q) - stats.t.logpdf(z, DF, MEAN, STD).sum(-1)
    assert_close(student()(Gaussian(LOC, factor), z), expected, 1e-4)


def test_a_samples_axis_equals_a_loop():
    # As many samples as trials: axes that were not aligned would broadcast all the same.
    prior, samples = student(), np.asarray(Q.sample(4, seed=1))
    one_by_one = [np.asarray(prior(Q, samples[:, s])) for s in range(4)]
    assert_close(prior(Q, samples), np.mean(one_by_one, axis=0))
    loc = samples + 0.1
    many = Gaussian(loc, np.broadcast_to(SCALE[:, None], loc.shape).copy())
    one_by_one = [np.asarray(prior(Gaussian(loc[:, s], SCALE), samples[:, s])) for s in range(4)]
    assert_close(prior(many, samples), np.mean(one_by_one, axis=0))


def test_a_heavy_tail_forgives_a_large_input():
    """One large inferred input costs the logarithm of its size, and under a Gaussian its square."""
    prior = StudentTPrior(1, df=2.0, init_std=0.3)
    costs = [float(prior(Gaussian(tf.fill((1, 1, 1), x), tf.fill((1, 1, 1), 0.1)))[0, 0]) for x in (10.0, 100.0)]
    assert costs[1] - costs[0] == pytest.approx(3 * np.log(10), rel=0.02)


# --- the layer ----------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("checks")
class _StudentKl(keras.layers.Layer):
    """The prior called on loc and scale as two tensors, as the suite hands them over."""

    def __init__(self, prior, **kwargs):
        super().__init__(**kwargs)
        self.prior = prior if isinstance(prior, keras.Layer) else keras.saving.deserialize_keras_object(prior)

    def call(self, loc, scale):
        return self.prior(Gaussian(loc, scale))

    def get_config(self):
        return {**super().get_config(), "prior": keras.saving.serialize_keras_object(self.prior)}


def test_suite():
    # The noise of the KL depends on the shape, so that time must be known here.
    fresh = {"kl_mode": "fresh", "seed": 3}
    check_layer(lambda: _StudentKl(StudentTPrior(2, 4.0, 0.5, **fresh)), LOC[:2], SCALE[:2], dynamic_time=False)
    fixed = StudentTPrior(2, 4.0, 0.5, train_mean=False, train_var=False)
    check_layer(lambda: _StudentKl(fixed), LOC[:2], SCALE[:2], dynamic_time=False)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("var", [False, True])
def test_fixed_parts_stay_fixed(mean, var):
    prior = StudentTPrior(2, train_mean=mean, train_var=var)
    wanted = {*(["loc"] if mean else []), *(["log_std", "log_df"] if var else [])}
    assert {v.name for v in prior.trainable_variables} == wanted


def test_it_starts_where_its_settings_say():
    prior = StudentTPrior(3, df=7.0, init_std=0.2)
    distribution = prior.distribution()
    assert_close(distribution.loc, np.zeros(3))
    assert_close(distribution.scale, np.full(3, 0.2))
    assert_close(distribution.df, np.full(3, 7.0))
    assert repr(student()) == "StudentTPrior(event size 2, degrees of freedom [2.5, 9.0])"
    assert prior.event_size == 3


@pytest.mark.parametrize("df", [1.0, 0.5, -3.0])
def test_a_prior_without_a_mean_is_refused(df):
    with pytest.raises(ValueError, match=rf"df > 1. Given: df={df}. Start with 5"):
        StudentTPrior(2, df=df)


def test_the_builder_and_a_model_with_it():
    p = preset("lfads", **{**TINY, "z_prior_process": "student_t", "z_prior_df": 3.0, "z_prior_init_std": 0.2})
    assert create_z_prior({**p, "z_kl_mode": "fresh"}).kl_mode == "fresh"
    prior = create_z_prior(p)
    assert isinstance(prior, StudentTPrior) and prior.name == "z_prior"
    assert (prior.df, prior.init_std, prior.train_mean) == (3.0, 0.2, False)
    x = counts()
    model = tiny_model(**p)
    names = {v.path: np.any(g) for v, g in zip(model.trainable_variables, gradients(model, x), strict=True)}
    assert names["z_prior/log_df"] and names["z_prior/log_std"]
    out = model(x, training=True)
    q, z = out["q_z"], np.asarray(out["z"])
    df, std = (np.exp(np.asarray(v)) for v in (model.get_layer("z_prior").log_df, model.get_layer("z_prior").log_std))
    expected = stats.norm.logpdf(z, q.loc, q.scale).sum(-1) - stats.t.logpdf(z, 1 + df, 0, std).sum(-1)
    assert_close(out["kl_z"], expected, 1e-4)
    assert model.generate(2, 8, seed=1)["z"].shape == (2, 8, 2)
