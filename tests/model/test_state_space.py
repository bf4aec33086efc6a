"""State-space models against exact inference: a linear Gaussian one has its evidence and posterior in closed form."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from indl.data import Trials
from indl.dists import AffinePrior, Gaussian
from indl.metrics.r2 import r2_per_column
from indl.model.parts import part_of
from indl.params import preset
from indl.training import train
from tests.checks import assert_close, check_model, counts
from tests.messages import faults

TIME, SIZE, CHANNELS, NOISE = 20, 2, 10, 0.6


def kalman(transition, bias, step, emission, offset, first_loc, first_scale, n_times=TIME, noise=NOISE):
    """The exact model, in float64: z_t = transition z + bias, x_t = emission z + offset."""

    def tensor(values):
        return tf.constant(np.asarray(values, "float64"))

    diagonal, matrix = tfp.distributions.MultivariateNormalDiag, tf.linalg.LinearOperatorFullMatrix
    n = len(np.asarray(offset))
    return tfp.distributions.LinearGaussianStateSpaceModel(
        n_times,
        matrix(tensor(transition)),
        diagonal(tensor(bias), tensor(step)),
        matrix(tensor(emission)),
        diagonal(tensor(offset), tensor(np.full(n, noise))),
        diagonal(tensor(first_loc), tensor(first_scale)),
    )


class Fitted(NamedTuple):
    """A trained model, its validation trials, and the exact models that they came from and that its weights make."""

    model: object
    x: np.ndarray
    true: object
    own: object


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    turn = 0.95 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    emission = rng.normal(size=(CHANNELS, SIZE))
    z = rng.normal(size=(900, TIME, SIZE))
    for t in range(1, TIME):
        z[:, t] = z[:, t - 1] @ turn.T + 0.4 * z[:, t]
    x = (z @ emission.T + NOISE * rng.normal(size=(900, TIME, CHANNELS))).astype("float32")
    recording = Trials(x, 0.02, are_counts=False).split(valid=np.arange(100))
    sizes = {"z_latent_size": SIZE, "gen_n_hidden": [2], "z1_units": [32], "batch_size": 50}
    signals = {"output_dist": "GaussianUnit", "output_std": NOISE, "input_transform": None, "sample_at_test": True}
    schedule = {"learning_rate": 0.02, "kl_z_ramp": 80, "kl_unit": "step", "epochs": 25, "patience": 0}
    model = train(preset("ssm", **sizes, **signals, **schedule, jit_compile="off"), recording).model
    true = kalman(turn, np.zeros(SIZE), np.full(SIZE, 0.4), emission, np.zeros(CHANNELS), np.zeros(SIZE), np.ones(SIZE))

    def decoded(z):
        return np.asarray(model.decode(z=np.tile(np.float32(z), (1, TIME, 1))).mean(), "float64")[0, 0]

    prior, offset = part_of(model, "z_prior"), decoded(np.zeros(SIZE))
    kernel, bias, _ = (np.asarray(part) for part in prior.transition_weights())
    step = np.asarray(prior.transition(tf.zeros((1, SIZE))).scale)[0]
    own_emission = np.stack([decoded(row) - offset for row in np.eye(SIZE)], 1)
    own = kalman(kernel.T, bias, step, own_emission, offset, *prior.first())
    return Fitted(model, recording.valid.recon[:], true, own)


def test_the_bound_comes_within_a_hundredth_of_the_evidence(fitted):
    exact = {
        name: getattr(fitted, name).log_prob(fitted.x.astype("float64")).numpy().mean() for name in ("true", "own")
    }
    bound = -fitted.model.evaluate(fitted.x, verbose=0, return_dict=True)["neg_elbo"]
    many = fitted.model.log_evidence(fitted.x, n_samples=100).mean()
    assert abs(bound - exact["own"]) < 0.01 * abs(exact["own"])
    assert abs(bound - exact["true"]) < 0.01 * abs(exact["true"])
    # The more samples the nearer, from below; a hundred are within a part in a thousand.
    assert bound < many < exact["own"] + 0.1 and abs(many - exact["own"]) < 0.002 * abs(exact["own"])


def test_posterior_means_are_those_of_the_smoother(fitted):
    exact = fitted.own.posterior_marginals(fitted.x.astype("float64"))[0].numpy()
    found = np.asarray(fitted.model.encode(fitted.x)["q_z"].loc, "float64")
    assert (r2_per_column(exact.reshape(-1, SIZE), found.reshape(-1, SIZE)) > 0.98).all()


def test_drawn_trials_have_the_moments_of_the_model(fitted):
    drawn = fitted.model.generate(4000, TIME)
    z = drawn["z"][:, -1]
    exact = fitted.own.sample(4000, seed=1).numpy()[:, -1]
    assert_close(drawn["x"][:, -1].mean(0), exact.mean(0), 0.1)
    assert_close(np.cov(drawn["x"][:, -1].T), np.cov(exact.T), 0.15)
    assert z.shape == (4000, SIZE)


def test_the_kl_by_bins_is_that_of_the_paths():
    """Sum over bins of E KL(q_t || p(. | z_{t-1})) against the KL of two Gaussians over all bins together."""
    prior = AffinePrior(2, init_std=0.5, seed=1)
    rng = np.random.default_rng(0)
    for variable in prior.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    loc, scale = rng.normal(size=(3, 2)).astype("float32"), rng.uniform(0.3, 1, (3, 2)).astype("float32")
    many = 40_000
    q = Gaussian(np.tile(loc, (many, 1, 1)), np.tile(scale, (many, 1, 1)))
    by_bins = np.asarray(prior(q, training=True)).sum(1).mean()
    kernel, bias, _ = (np.asarray(part, "float64") for part in prior.transition_weights())
    step = np.asarray(prior.transition(tf.zeros((1, 2))).scale, "float64")[0]
    first_loc, first_scale = (np.asarray(part, "float64") for part in prior.first())
    # The precision of the whole path, block by block.
    precision, shift = np.zeros((6, 6)), np.zeros(6)
    precision[:2, :2], shift[:2] = np.diag(first_scale**-2.0), first_loc / first_scale**2
    for t in (1, 2):
        rows = np.zeros((2, 6))
        rows[:, 2 * t : 2 * t + 2], rows[:, 2 * t - 2 : 2 * t] = np.eye(2), -kernel.T
        precision += rows.T @ np.diag(step**-2.0) @ rows
        shift += rows.T @ (bias / step**2)
    covariance = np.linalg.inv(precision)
    off = loc.ravel() - covariance @ shift
    trace = (np.diag(precision) * scale.ravel() ** 2).sum()
    logs = np.linalg.slogdet(covariance)[1] - 2 * np.log(scale).sum()
    assert_close(by_bins, 0.5 * (trace + off @ precision @ off - 6 + logs), 0.01)


def test_log_densities_and_draws_with_a_network():
    prior = AffinePrior(2, 5, init_std=0.4, seed=1)
    rng = np.random.default_rng(0)
    for variable in prior.trainable_variables:
        variable.assign(variable + 0.4 * rng.normal(size=variable.shape))
    z = rng.normal(size=(4, 6, 2)).astype("float32")
    kernel, bias, hidden, hidden_bias, out, _ = (np.asarray(part, "float64") for part in prior.transition_weights())
    loc = z[:, :-1] @ kernel + bias + np.tanh(z[:, :-1] @ hidden + hidden_bias) @ out
    step = np.asarray(prior.transition(tf.zeros((1, 2))).scale)[0]
    found = np.asarray(prior.log_prob(z))
    assert_close(found[:, 1:], stats.norm.logpdf(z[:, 1:], loc, step).sum(-1), 1e-4)
    first = stats.norm.logpdf(z[:, 0], *(np.asarray(part) for part in prior.first())).sum(-1)
    assert_close(found[:, 0], first, 1e-4)
    noise = rng.normal(size=(4, 6, 2)).astype("float32")
    path = np.asarray(prior.rollout(noise))
    again = prior.conditional(path)
    assert_close((path - again.loc) / again.scale, noise, 1e-4)


@pytest.mark.parametrize("changes", [{}, pytest.param({"z_prior_process": "mlp"}, marks=pytest.mark.slow)])
def test_suite(changes):
    small = {"z_latent_size": 2, "z1_units": [4], "gen_n_hidden": [5], "z_prior_units": 3}
    model = check_model({**preset("ssm", **small), **changes}, counts())
    assert [layer for layer in model.layers if layer.name == "z_prior"][0].units == (3 if changes else 0)


def test_what_cannot_multiply_is_told():
    with pytest.raises(ValueError) as told:
        preset("ssm", z_prior_process="AR1")
    assert not faults(str(told.value)) and "'linear'" in str(told.value)
