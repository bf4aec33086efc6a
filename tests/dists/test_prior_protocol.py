"""What every prior can do, for all of them alike: draws, log densities and the KL, each against the others."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from indl.dists import (
    AffinePrior,
    AR1Prior,
    GatedPrior,
    Gaussian,
    GaussianPrior,
    LabelPrior,
    Prior,
    RecurrentPrior,
    StudentTPrior,
)
from indl.dists.labelled import LabelKL
from tests.checks import assert_close, assert_mean, assert_same
from tests.messages import faults

RNG = np.random.default_rng(0)
LOC = RNG.normal(size=(3, 5, 2)).astype("float32")
SCALE = RNG.uniform(0.2, 1.2, (3, 5, 2)).astype("float32")
CLASSES = np.array([2, 0, 1])
VECTORS = RNG.normal(size=(3, 5, 2)).astype("float32")


def moved(prior):
    """The prior with every weight away from its start."""
    rng = np.random.default_rng(1)
    for variable in prior.trainable_variables:
        variable.assign(variable + 0.5 * rng.normal(size=variable.shape))
    return prior


def recurrent():
    keras.utils.set_random_seed(3)
    return RecurrentPrior(2, "GRU", 4, init_std=0.5, seed=1)


#: How to make each, and the labels of its three trials.
PRIORS = {
    "Gaussian": (lambda: GaussianPrior(2, 0.5), None),
    "AR(1)": (lambda: AR1Prior(2, tau=4.0, seed=1), None),
    "recurrent": (recurrent, None),
    "gated": (lambda: GatedPrior(2, 3, init_std=0.6, seed=1), None),
    "linear": (lambda: AffinePrior(2, init_std=0.6, seed=1), None),
    "linear with a network": (lambda: AffinePrior(2, 3, init_std=0.6, seed=1), None),
    "Student-t": (lambda: StudentTPrior(2, 4.0, 0.6, seed=1), None),
    "classes": (lambda: LabelPrior(2, 3), CLASSES),
    "variances of classes": (lambda: LabelPrior(2, 3, train_mean=False), CLASSES),
    "vectors of bins": (lambda: LabelPrior(2, 2, "continuous", (4,)), VECTORS),
}


@pytest.fixture(params=PRIORS)
def case(request):
    make, u = PRIORS[request.param]
    return moved(make()), u


def test_all_are_priors_by_the_protocol(case):
    prior, u = case
    assert isinstance(prior, Prior)
    assert prior.labelled == (u is not None)
    tau = prior.time_constants()
    if isinstance(prior, AR1Prior):
        assert_close(tau, np.exp(np.asarray(prior.log_tau)))
    else:
        assert tau is None


def test_a_part_that_is_missing_is_missed_at_once():
    class Half(Prior):
        def draw(self, n, time=None, u=None, seed=0):
            return tf.zeros((n, self.size))

    with pytest.raises(TypeError, match="abstract.*call, kl_per_dimension, log_prob"):
        Half(2)


def test_draws_are_those_of_their_seed(case):
    prior, u = case
    draws = prior.draw(3, 5, u, seed=4)
    assert draws.shape == (3, 5, 2)
    assert_same(prior.draw(3, 5, u, seed=4), draws)
    assert not np.array_equal(prior.draw(3, 5, u, seed=5), draws)
    assert_same(prior.draw(3, 5, u), prior.draw(3, 5, u, seed=0))


def test_the_kl_is_the_mean_of_the_log_densities(case):
    prior, u = case
    q, n = Gaussian(LOC, SCALE), 8000
    z = np.asarray(q.sample(n, seed=2))
    log_p = np.asarray(prior.log_prob(z, u))
    assert log_p.shape == (3, n, 5)
    log_q = np.asarray(Gaussian(LOC[:, None], SCALE[:, None]).log_prob(z))
    if prior.labelled:
        kl = LabelKL(prior.u_dim if prior.u_type == "discrete" else None)(q, prior(u), u)
    else:
        # The estimate of a prior without a closed form is the mean over as many paths.
        kl = prior(q, z)
    assert_mean((log_q - log_p).sum(-1), np.sum(kl, -1), axis=1, floor=1e-3)
    # The path of one sample is that of a trial.
    assert_close(prior.log_prob(z[:, 7], u), log_p[:, 7])


def test_dimensions_add_up(case):
    prior, u = case
    q = Gaussian(LOC, SCALE)
    found = np.asarray(prior.kl_per_dimension(q, u))
    assert found.shape == (3, 5, 2)
    if prior.labelled:
        kl = LabelKL(prior.u_dim if prior.u_type == "discrete" else None)(q, prior(u), u)
    else:
        kl = prior(q)
    assert_close(found.sum(-1), kl)


@pytest.mark.parametrize("name", ["Gaussian", "Student-t", "classes"])
def test_a_static_latent_has_no_bins(name):
    make, u = PRIORS[name]
    prior = moved(make())
    z = prior.draw(3, u=u, seed=1)
    assert z.shape == (3, 2)
    log_p = prior.log_prob(z, u)
    assert log_p.shape == (3,)
    assert_close(log_p, np.asarray(prior.log_prob(z[:, None], u))[:, 0])
    assert prior.kl_per_dimension(Gaussian(LOC[:, 0], SCALE[:, 0]), u).shape == (3, 2)


# --- each against closed forms ------------------------------------------------------------------


def test_the_gaussian_has_the_density_of_tfp():
    prior = moved(GaussianPrior(2, 0.5))
    assert_close(prior.log_prob(LOC), prior.distribution().log_prob(LOC))


def test_the_sum_over_bins_is_the_density_of_the_sequence():
    """A stationary AR(1) process is one Gaussian over all bins."""
    prior = moved(AR1Prior(2, tau=4.0))
    phi = np.exp(-np.exp(-np.asarray(prior.log_tau, "float64")))
    variance = np.exp(np.asarray(prior.log_noise_variance, "float64")) / (1 - phi**2)
    lags = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    expected = sum(
        stats.multivariate_normal.logpdf(LOC[..., d], np.full(5, prior.loc[d]), variance[d] * phi[d] ** lags)
        for d in range(2)
    )
    assert_close(np.sum(prior.log_prob(LOC), -1), expected)


def test_recurrent_draws_are_normal_given_their_past():
    prior = moved(recurrent())
    z = prior.draw(4000, 4, seed=2)
    step = prior.conditional(z)
    noise = np.asarray((z - step.loc) / step.scale)
    assert_mean(noise, np.zeros((4, 2)))
    assert_mean(noise[..., None] * noise[..., None, :], np.tile(np.eye(2), (4, 1, 1)))
    # And the past matters.
    assert np.ptp(step.loc[:, 3], axis=0).min() > 0.01


@pytest.mark.parametrize("name", ["classes", "vectors of bins"])
def test_label_priors_are_those_of_their_labels(name):
    make, u = PRIORS[name]
    prior = moved(make())
    loc, log_variance = (np.asarray(part, "float64") for part in prior(u))
    loc, std = (part if part.ndim == 3 else part[:, None] for part in (loc, np.exp(0.5 * log_variance)))
    assert_close(prior.log_prob(LOC, u), stats.norm.logpdf(LOC, loc, std).sum(-1))
    many = np.asarray(prior.draw(6000, 5, np.repeat(u, 2000, 0), seed=3)).reshape(3, 2000, 5, 2)
    assert_mean(many, np.broadcast_to(loc, (3, 5, 2)), axis=1)
    assert_mean((many - loc[:, None]) ** 2, np.broadcast_to(std**2, (3, 5, 2)), axis=1)
    # Arrays that were read with other labels are float.
    assert_same(prior.log_prob(LOC, u.astype("float32")), prior.log_prob(LOC, u))


@pytest.mark.parametrize(
    "name, unknown", [("classes", [2, -1, 1]), ("classes", [2, 3, 1]), ("vectors of bins", [np.nan, np.inf])]
)
def test_nothing_is_known_where_a_label_is_not(name, unknown):
    make, u = PRIORS[name]
    prior, given = moved(make()), np.array(u)
    if name == "classes":
        given, bad = np.array(unknown), np.tile(np.array([[False], [True], [False]]), (1, 5))
    else:
        given[1, 2], bad = unknown, np.zeros((3, 5), bool)
        bad[1, 2] = True
    for found in (
        prior.log_prob(LOC, given),
        np.sum(prior.kl_per_dimension(Gaussian(LOC, SCALE), given), -1),
        np.sum(prior.draw(3, 5, given), -1),
    ):
        assert np.array_equal(np.isnan(found), bad)


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda p: p["classes"].draw(3), ["u=None", "u_dim=3"]),
        (lambda p: p["classes"].log_prob(LOC), ["u=None"]),
        (lambda p: p["classes"].kl_per_dimension(Gaussian(LOC, SCALE)), ["u=None"]),
        (lambda p: p["classes"].draw(4, u=CLASSES), ["(3,)", "n=4"]),
        (lambda p: p["classes"].draw(3, u=np.zeros((3, 5), int)), ["(3, 5)", "time=None"]),
        (lambda p: p["vectors of bins"].draw(3, 4, VECTORS), ["(3, 5, 2)", "time=4"]),
        (lambda p: p["vectors of bins"].draw(3, u=VECTORS), ["(3, 5, 2)", "time=None"]),
        (lambda p: p["vectors of bins"].log_prob(LOC[:, 0], VECTORS), ["(3, 5, 2)", "(3, 2)", "one label a trial"]),
        (lambda p: p["AR(1)"].draw(3), ["time=None", "number of bins"]),
        (lambda p: p["recurrent"].log_prob(LOC[:, 0]), ["(3, 2)", "(batch, time, 2)"]),
    ],
)
def test_what_cannot_be_drawn_or_weighed(ask, words):
    with pytest.raises(ValueError) as error:
        ask({name: make() for name, (make, _) in PRIORS.items()})
    message = str(error.value)
    assert not [word for word in words if word not in message], message
    assert not faults(message, may_say_none=True), message
