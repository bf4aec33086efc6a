"""Every loss on a model small enough to enumerate: fixed draws of the reference, and expectations over all draws."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from indl.blackbox import VIMCO, Bernoulli, Generator, PWake, QWake, Recognizer, log_evidence
from indl.objectives import estimators
from tests.checks import assert_close, parity_arrays

TOY = pytest.mark.parametrize("config, arrays", parity_arrays("blackbox_toy"))
NAMES = ("Wq", "bq", "a", "Wx", "bx")


def pair(config, arrays):
    """The reference's networks with its weights, and their variables by its names."""
    x = arrays["toy/x"]
    inf = Recognizer(Bernoulli(config["M"]), config["K"], dtype="float64")
    gen = Generator(Bernoulli(config["M"]), config["Dx"], sd=config["sigma_x"], dtype="float64")
    gen([x], inf([x]).sample())
    variables = [*inf.network.weights, gen.prior, *gen.network.weights]
    for variable, name in zip(variables, NAMES, strict=True):
        variable.assign(arrays[f"toy/{name}"])
    return inf, gen, [variable.value for variable in variables]


def slopes(value, variables, tape):
    found = tape.gradient(value, variables, unconnected_gradients="zero")
    return dict(zip(NAMES, (np.asarray(slope) for slope in found), strict=True))


@pytest.mark.parity
@TOY
@pytest.mark.parametrize(
    "name, kind, reduction", [("vimco", VIMCO, "mean"), ("p_wake", PWake, "sum"), ("q_wake", QWake, "sum")]
)
def test_a_fixed_draw(config, arrays, name, kind, reduction, monkeypatch):
    inf, gen, variables = pair(config, arrays)
    monkeypatch.setattr(inf, "sample", lambda: [tf.constant(arrays["toy/z"])])
    loss = kind(inf, gen, reduction)
    with tf.GradientTape() as tape:
        value = loss([arrays["toy/x"]])
    assert_close(value, arrays[f"toy/{name}_loss"])
    found = slopes(value, variables, tape)
    for key in NAMES:
        assert_close(found[key], arrays[f"toy/{name}_grad_{key}"], 1e-4)
    assert loss.name == name and {"vimco": ("inf", "gen"), "p_wake": ("gen",), "q_wake": ("inf",)}[name] == loss.updates
    assert_close(loss.mean_log_p_[0], arrays["toy/log_p"].mean())
    assert_close(loss.mean_log_q_[0], arrays["toy/log_q"].mean())


def expected(config, arrays, estimate, k=None):
    """The gradient of an estimate, and of the exact K-sample bound, averaged over all draws of K samples.

    Every tuple of K latents is a row of a batch of its own.
    """
    inf, gen, variables = pair(config, arrays)
    k = k or config["K"]
    tuples = np.array(list(itertools.product(arrays["toy/z_all"], repeat=k)))
    total, bound = 0.0, 0.0
    with tf.GradientTape(persistent=True) as tape:
        for x in arrays["toy/x"]:
            rows = np.repeat(x[None], len(tuples), axis=0)
            log_q = inf([rows]).log_prob([tf.constant(tuples)])
            log_p = gen([rows], [tf.constant(tuples)]).log_prob([rows], [tf.constant(tuples)])
            chance = tf.exp(tf.reduce_sum(log_q, axis=1))
            total += tf.reduce_sum(tf.stop_gradient(chance) * estimate(log_p, log_q)) / len(arrays["toy/x"])
            exact = tf.reduce_logsumexp(log_p - log_q, axis=1) - np.log(k)
            bound += tf.reduce_sum(chance * exact) / len(arrays["toy/x"])
    return slopes(total, variables, tape), slopes(bound, variables, tape), float(bound)


@pytest.mark.parity
@TOY
@pytest.mark.parametrize(
    "name, estimate", [("vimco", estimators.vimco), ("p_wake", estimators.wake_theta), ("q_wake", estimators.wake_phi)]
)
def test_expectations_are_those_of_the_reference(config, arrays, name, estimate):
    found, exact, bound = expected(config, arrays, lambda p, q: estimate(p, q, reduction=None))
    assert_close(bound, arrays["toy/exact_bound"])
    for key in NAMES:
        assert_close(exact[key], arrays[f"toy/grad_exact_bound_{key}"], 1e-4)
        assert_close(found[key], arrays[f"toy/expected_grad_{name}_{key}"], 1e-4)


#: Estimates and the samples of the bound whose gradient theirs is, for p, for q, or for neither.
UNBIASED = {
    "vimco": (estimators.vimco, None, "pq"),
    "score_iwae": (estimators.score_iwae, None, "pq"),
    "wake_theta": (estimators.wake_theta, None, "p"),
    "score_elbo": (estimators.score_elbo, 1, "pq"),
    "score_elbo_loo": (lambda p, q, reduction: estimators.score_elbo(p, q, "leave_one_out", reduction), 1, "pq"),
    "wake_phi": (estimators.wake_phi, None, ""),
}


@pytest.mark.parity
@TOY
@pytest.mark.parametrize("name", UNBIASED)
def test_what_is_unbiased_and_what_is_not(config, arrays, name):
    estimate, samples, right = UNBIASED[name]
    found, _, _ = expected(config, arrays, lambda p, q: estimate(p, q, reduction=None))
    _, exact, _ = expected(config, arrays, lambda p, q: estimators.elbo(p, q, None), samples)
    off = {key: np.abs(found[key] + exact[key]).max() / np.abs(exact[key]).max() for key in NAMES}
    for part, keys in (("q", NAMES[:2]), ("p", NAMES[2:])):
        if part in right:
            assert max(off[key] for key in keys) < 1e-5
        elif part == "q":
            assert max(off[key] for key in keys) > 0.05


@pytest.mark.parity
@TOY
def test_nvil_differs_from_the_elbo_by_a_factor_alone(config, arrays):
    """Its baseline has no bias; where the running deviation is above 1, the signal of q is divided by it."""
    moments = estimators.Moments(-5.0, 9.0)

    def estimate(log_p, log_q):
        guess = tf.fill((len(log_p),), tf.constant(0.7, log_p.dtype))
        return estimators.nvil(log_p, log_q, guess, moments, 1.0, None).loss

    found, exact, _ = expected(config, arrays, estimate, 1)
    for key in NAMES:
        assert_close(found[key], -exact[key] / (3 if key in ("Wq", "bq") else 1), 1e-6)


@pytest.mark.parity
@TOY
def test_the_evidence_from_many_samples(config, arrays):
    inf, gen, _ = pair(config, arrays)
    inf.n_samples = 5000
    found = log_evidence(VIMCO(inf, gen), [arrays["toy/x"]], 10_000)
    assert_close(found, arrays["toy/exact_log_px"], 0.02)
    assert (found > arrays["toy/exact_elbo"]).all()
