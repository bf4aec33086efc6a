"""The KL taken apart: against reference values, brute force and simulation."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

from indl.dists import Gaussian
from indl.objectives.total_correlation import (
    aggregate_posterior,
    decomposition,
    log_aggregate,
    log_densities,
    log_weights,
    mutual_information,
)
from indl.params.objectives import ESTIMATORS
from tests.checks import assert_close, parity_arrays
from tests.messages import faults

on_every_file = pytest.mark.parametrize("config, arrays", parity_arrays("tcvae"))


def posteriors(n=8, size=3, seed=0):
    """Means, standard deviations and a sample of each posterior, float32."""
    rng = np.random.default_rng(seed)
    loc, scale = rng.normal(size=(n, size)), rng.uniform(0.3, 0.9, (n, size))
    return tuple(part.astype("float32") for part in (loc, scale, loc + scale * rng.normal(size=(n, size))))


def standard_normal(z):
    return stats.norm.logpdf(np.asarray(z, "float64")).sum(-1)


@pytest.mark.parity
@on_every_file
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_equal_the_reference(config, arrays, estimator):
    mu, log_variance, noise = (
        tf.constant(arrays[f"in/{name}"], tf.float32) for name in ("mu", "log_variance", "noise")
    )
    log_w = log_weights(len(mu), int(arrays["in/dataset_size"]), estimator)
    with tf.GradientTape() as tape:
        tape.watch([mu, log_variance])
        q = Gaussian(mu, tf.exp(0.5 * log_variance))
        z = mu + q.scale * noise
        log_q, log_q_dims = log_aggregate(log_densities(z, q.loc, q.scale), log_w)
        log_p = tf.reduce_sum(-0.5 * (z**2 + math.log(2 * math.pi)), -1)
        log_product = tf.reduce_sum(log_q_dims, -1)
        parts = decomposition(q.log_prob(z), log_q, log_product, q.log_prob(z) - log_p)
        penalty = tf.reduce_mean(parts.weighted(*(config[name] for name in ("alpha", "beta", "gamma"))))
    gradients = tape.gradient(penalty, [mu, log_variance])
    found = {"log_q": log_q, "log_q_dims": log_q_dims, "log_prod_q": log_product, "penalty": penalty}
    for name, part in parts._asdict().items():
        found |= {name: tf.reduce_mean(part), f"{name}_per_sample": part}
    for name, value in found.items():
        assert_close(value, arrays[f"{estimator}/{name}"])
    if f"{estimator}/weights" in arrays:
        assert_close(np.exp(log_w), arrays[f"{estimator}/weights"])
    assert_close(z, arrays["in/z"])
    assert_close(np.einsum("iij->ij", log_densities(z, q.loc, q.scale)), arrays["common/log_q_given_x"])
    assert_close(log_p, arrays["common/log_p"].sum(-1))
    for name, gradient in zip(("mu", "log_variance"), gradients, strict=True):
        assert_close(gradient, arrays[f"{estimator}/grad/{name}"], 1e-4)
    # What disentanglement_lib leaves out of its estimate is a constant.
    if estimator == "mws":
        batch, size = mu.shape
        constant = (size - 1) * math.log(batch * int(arrays["in/dataset_size"]))
        assert_close(tf.reduce_mean(parts.tc) - constant, arrays["disentanglement_lib/tc"])


@pytest.mark.parity
@on_every_file
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_information_of_both_latents_equals_the_reference(config, arrays, estimator):
    given = {key.removeprefix("fz/"): value.astype("float32") for key, value in arrays.items() if key.startswith("fz/")}
    f = log_densities(given["f"], given["f_mu"], np.exp(0.5 * given["f_log_variance"]))
    bins = [np.moveaxis(given[name], 0, 1) for name in ("z", "z_mu", "z_log_variance")]
    z = log_densities(bins[0], bins[1], np.exp(0.5 * bins[2]))
    log_w = log_weights(len(given["f"]), int(arrays["in/dataset_size"]), estimator)
    terms = np.transpose(mutual_information(f[None], z, log_w))
    assert_close(terms, arrays[f"fz/{estimator}_terms"])
    assert_close(np.maximum(terms, 0).mean(), arrays[f"fz/{estimator}"])


@pytest.mark.parity
@on_every_file
def test_the_exact_posterior_equals_the_reference(config, arrays):
    given = {name: arrays[f"exact/{name}"] for name in ("mu", "log_variance", "z")}
    scale = np.exp(0.5 * given["log_variance"])
    found = aggregate_posterior(given["mu"], scale, given["z"], standard_normal(given["z"]))
    for name in ("log_q", "log_q_dims", "mi", "tc", "dw"):
        assert_close(getattr(found, name), arrays[f"exact/{name}"])
    assert_close(-found.log_q.mean(), arrays["exact/reference_joint_entropy"][0])
    assert_close(-found.log_q_dims.mean(0), arrays["exact/reference_marginal_entropies"])
    kl = Gaussian(given["mu"], scale).kl_divergence(Gaussian(np.zeros_like(scale), np.ones_like(scale)))
    assert_close(np.mean(kl), arrays["exact/analytic_kl"])


@pytest.mark.parametrize("batch, n", [(2, 2), (2, 9), (5, 13), (7, 7), (7, 3)])
def test_weights_of_stratified_sampling(batch, n):
    """Rows sum to one; the own posterior is one of all trials, also in a batch of more than there are."""
    own = 1 / max(n, batch)
    for estimator in ("mss", "mss_rao_blackwell"):
        weights = np.exp(log_weights(batch, n, estimator))
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(np.diag(weights), own, rtol=1e-6)
    # The mean over which of the others is the odd one.
    others = weights[~np.eye(batch, dtype=bool)]
    np.testing.assert_allclose(others, (1 - own) / (batch - 1), rtol=1e-5)


def test_one_trial_is_all_there_is():
    loc, scale, sample = posteriors(1)
    for estimator in ("mss", "mss_rao_blackwell"):
        log_q, log_q_dims = log_aggregate(log_densities(sample, loc, scale), log_weights(1, 50, estimator))
        assert_close(log_q, stats.norm.logpdf(sample, loc, scale).sum(-1))
        assert_close(log_q_dims, stats.norm.logpdf(sample, loc, scale))


@pytest.mark.parametrize("estimator", ["mss", "mss_rao_blackwell"])
def test_the_expectation_is_the_density_of_all_trials(estimator):
    """Over which trials make the batch, with the sample's own among them."""
    n, batch, draws = 9, 4, 4000
    loc, scale, sample = posteriors(n, 2)
    density = np.exp(stats.norm.logpdf(sample[0], loc, scale).sum(-1))
    rng = np.random.default_rng(1)
    others = np.stack([1 + rng.permutation(n - 1)[: batch - 1] for _ in range(draws)])
    chosen = np.concatenate([np.zeros((draws, 1), int), others], axis=1)
    weights = np.exp(log_weights(batch, n, estimator))[0]
    estimates = density[chosen] @ weights
    error = estimates.std(ddof=1) / math.sqrt(draws)
    assert abs(estimates.mean() - density.mean()) < 4 * error
    # The published stride has the small weight elsewhere, and is far off.
    wrong = np.roll(weights, 1)
    assert abs((density[chosen] @ wrong).mean() - density.mean()) > 10 * error


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_parts_add_up_to_the_kl(estimator):
    loc, scale, sample = posteriors()
    own = stats.norm.logpdf(sample, loc, scale).sum(-1)
    kl = own - standard_normal(sample)
    log_q, log_q_dims = log_aggregate(log_densities(sample, loc, scale), log_weights(8, 20, estimator))
    parts = decomposition(own, log_q, np.sum(log_q_dims, -1), kl)
    assert_close(parts.mi + parts.tc + parts.dw, kl)
    assert_close(parts.tc, log_q - np.sum(log_q_dims, -1))
    assert_close(parts.dw, np.sum(log_q_dims, -1) - standard_normal(sample), 1e-4)


def test_leading_axes_are_batches_of_their_own():
    loc, scale, sample = (part.reshape(3, 5, 2) for part in posteriors(15, 2))
    log_w = log_weights(5, 20)
    whole = log_aggregate(log_densities(sample, loc, scale), log_w)
    for i in range(3):
        one = log_aggregate(log_densities(sample[i], loc[i], scale[i]), log_w)
        for a, b in zip(whole, one, strict=True):
            assert_close(a[i], b)
    # Several samples of the same posteriors.
    several = log_densities(sample, loc[0], scale[0])
    assert_close(several[2], log_densities(sample[2], loc[0], scale[0]))


@pytest.mark.parametrize("block", [1, 40, 2**22])
def test_the_exact_posterior_by_brute_force(block, monkeypatch):
    """Whatever number of rows is computed at once."""
    monkeypatch.setattr("indl.objectives.total_correlation._BLOCK", block)
    loc, scale, sample = (part.astype("float64") for part in posteriors(7, 2))
    found = aggregate_posterior(loc, scale, sample, standard_normal(sample))
    for i in range(7):
        each = stats.norm.logpdf(sample[i], loc, scale)
        assert found.log_q[i] == pytest.approx(logsumexp(each.sum(-1)) - math.log(7))
        np.testing.assert_allclose(found.log_q_dims[i], logsumexp(each, axis=0) - math.log(7))
    own = stats.norm.logpdf(sample, loc, scale).sum(-1)
    assert found.mi == pytest.approx((own - found.log_q).mean())
    assert found.tc == pytest.approx((found.log_q - found.log_q_dims.sum(-1)).mean())
    assert found.mi + found.tc + found.dw == pytest.approx((own - standard_normal(sample)).mean())


def test_exact_parts_of_known_latents():
    """Two codes that are one: the total correlation is the entropy of one of them, and all of it information."""
    n, scale = 400, 0.01
    code = np.repeat(np.linspace(-1, 1, 8), n // 8)
    loc = np.stack([code, code], 1)
    sample = loc + scale * np.random.default_rng(0).normal(size=loc.shape)
    found = aggregate_posterior(loc, np.full_like(loc, scale), sample, standard_normal(sample))
    assert found.tc == pytest.approx(math.log(8), abs=1e-6)
    assert found.mi == pytest.approx(math.log(8), abs=1e-6)


def test_arrays_of_other_trials_are_refused():
    loc, scale, sample = posteriors()
    with pytest.raises(ValueError) as error:
        aggregate_posterior(loc, scale, sample[:-1], np.zeros(8))
    assert "(7, 3)" in str(error.value) and not faults(str(error.value))
