"""Losses of densities alone: values and gradients of reference implementations, and what has no density."""

import numpy as np
import pytest
import tensorflow as tf

from indl.objectives import estimators
from indl.objectives.importance import (
    bounds_without,
    diagnostics,
    effective_samples,
    learning_signals,
    log_bound,
    mean_of_others,
    weights,
)
from tests.checks import assert_close, parity_arrays, parity_cases
from tests.messages import faults


def gradients(loss, *given):
    """The value of a loss and its gradients, in float64 as the files."""
    given = [tf.constant(part, tf.float64) for part in given]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(*given)
    return value, tape.gradient(value, given, unconnected_gradients="zero")


@pytest.mark.parity
@pytest.mark.parametrize("config, of", parity_cases("vimco"))
def test_vimco_equals_the_reference(config, of):
    log_p, log_q = of["log_p"], of["log_q"]
    value, slopes = gradients(estimators.vimco, log_p, log_q)
    assert_close(value, of["loss"])
    for slope, key in zip(slopes, ("grad_log_p", "grad_log_q"), strict=True):
        assert_close(slope, of[key], 1e-4)
        assert_close(slope / log_p.shape[1], of[f"functional_{key}"], 1e-4)
    assert_close(value / log_p.shape[1], of["functional_loss"])
    log_f = tf.constant(log_p - log_q)
    assert_close(mean_of_others(log_f), of["log_f_hat"])
    assert_close(log_bound(log_f), of["bound"])
    assert_close(bounds_without(log_f), of["bound_without"])
    assert_close(learning_signals(log_f), of["signal"])
    assert_close(weights(log_f), of["weights"])


@pytest.mark.parity
@pytest.mark.parametrize("config, of", parity_cases("rws"))
def test_reweighted_wake_sleep_equals_the_reference(config, of):
    given = of["log_p"], of["log_q"]
    for key, loss in (("p_wake", estimators.wake_theta), ("q_wake", estimators.wake_phi)):
        value, slopes = gradients(lambda p, q, loss=loss: loss(p, q, reduction="sum"), *given)
        assert_close(value, of[f"{key}_loss"])
        for slope, part in zip(slopes, ("log_p", "log_q"), strict=True):
            assert_close(slope, of[f"{key}_grad_{part}"], 1e-4)
    value, slopes = gradients(lambda q: estimators.sleep_phi(q, "sum"), of["dream_log_q"])
    assert_close(value, of["q_sleep_loss"])
    assert_close(slopes[0], of["q_sleep_grad_dream_log_q"], 1e-4)


EXTRA = parity_arrays("blackbox_extra")
PLAIN = {
    "elbo": estimators.elbo,
    "iwae": estimators.iwae,
    "score_elbo": estimators.score_elbo,
    "score_elbo_loo": lambda p, q: estimators.score_elbo(p, q, "leave_one_out"),
    "score_iwae": estimators.score_iwae,
    "wake_theta": estimators.wake_theta,
    "wake_phi": estimators.wake_phi,
}


@pytest.mark.parity
@pytest.mark.parametrize("config, arrays", EXTRA)
@pytest.mark.parametrize("name", PLAIN)
def test_published_estimators(config, arrays, name):
    value, slopes = gradients(PLAIN[name], arrays["arr/log_p"], arrays["arr/log_q"])
    assert_close(value, arrays[f"arr/{name}_loss"])
    for slope, part in zip(slopes, ("log_p", "log_q"), strict=True):
        assert_close(slope, arrays[f"arr/{name}_grad_{part}"], 1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("config, arrays", EXTRA)
def test_nvil(config, arrays):
    moments = estimators.Moments(arrays["arr/nvil_c0"], arrays["arr/nvil_v0"])
    decay = float(arrays["arr/nvil_alpha"])
    given = [arrays[f"arr/{key}"] for key in ("log_p", "log_q", "baseline")]
    value, slopes = gradients(lambda p, q, c: estimators.nvil(p, q, c, moments, decay).loss, *given)
    found = estimators.nvil(*map(tf.constant, given), moments, decay)
    assert_close(value, arrays["arr/nvil_loss"])
    assert_close(found.moments, [arrays["arr/nvil_c1"], arrays["arr/nvil_v1"]])
    assert_close(found.signal, arrays["arr/nvil_signal"])
    for slope, part in zip(slopes, ("log_p", "log_q", "baseline"), strict=True):
        assert_close(slope, arrays[f"arr/nvil_grad_{part}"], 1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("config, arrays", EXTRA)
def test_effective_samples(config, arrays):
    found = diagnostics(arrays["arr/log_p"], arrays["arr/log_q"])
    assert_close(found.ess, arrays["arr/ess"])
    assert_close(-found.elbo.numpy().mean(), arrays["arr/elbo_loss"])
    assert_close(found.gap, found.bound - found.elbo)


# --- what the formulas say, of numbers of our own ---------------------------------------------------


@pytest.fixture
def densities():
    rng = np.random.default_rng(3)
    return rng.normal(-5, 2, (3, 4)), rng.normal(-4, 1, (3, 4))


def test_several_uses_of_one_formula(densities):
    log_p, log_q = densities
    log_f = log_p - log_q
    share = np.exp(log_f) / np.exp(log_f).sum(1, keepdims=True)
    none = {"reduction": None}
    assert_close(estimators.dreg_iwae(log_p, log_q, **none), -(share**2 * log_f).sum(1))
    assert_close(estimators.dreg_wake_phi(log_p, log_q, **none), -((share - share**2) * log_f).sum(1))
    assert_close(estimators.stl_iwae(log_p, log_q, **none), -(share * log_f).sum(1))
    # Weights come from what the samples were drawn from.
    drawn_from = np.asarray(estimators.defensive(log_q, np.full_like(log_q, -2.0), 0.3))
    assert_close(np.exp(drawn_from), 0.7 * np.exp(log_q) + 0.3 * np.exp(-2.0))
    other = np.exp(log_p - drawn_from)
    wanted = -(other / other.sum(1, keepdims=True) * log_q).sum(1)
    assert_close(estimators.wake_phi(log_p, log_q, drawn_from, **none), wanted)


def test_a_step_pays_for_what_comes_after_it():
    rng = np.random.default_rng(0)
    log_p, log_q = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 5))
    value, (slope_p, slope_q) = gradients(estimators.reward_to_go, log_p, log_q)
    f = log_p - log_q
    to_go = f[..., ::-1].cumsum(-1)[..., ::-1]
    signal = to_go - (to_go.sum(1, keepdims=True) - to_go) / 2
    assert_close(slope_p, np.full((2, 3, 5), -1 / 6))
    assert_close(slope_q, -signal / 6)
    assert_close(value, -(log_p + signal * log_q).sum(-1).mean())
    # Of one step it is the estimator of a whole trial.
    whole = estimators.score_elbo(log_p[..., 0], log_q[..., 0], "leave_one_out")
    assert_close(estimators.reward_to_go(log_p[..., :1], log_q[..., :1]), whole)


ALL = {
    **PLAIN,
    "vimco": estimators.vimco,
    "dreg_iwae": estimators.dreg_iwae,
    "dreg_wake_phi": estimators.dreg_wake_phi,
    "stl_iwae": estimators.stl_iwae,
}


@pytest.mark.parametrize("name", sorted(set(ALL) - {"elbo", "score_elbo", "score_elbo_loo"}))
def test_a_sample_of_no_density_has_no_part(densities, name):
    """Its weight is 0, and its gradient; the loss of the others is finite."""
    log_p, log_q = densities
    log_p[0, 1] = -np.inf
    value, (slope_p, slope_q) = gradients(ALL[name], log_p, log_q)
    assert np.isfinite(value) and np.isfinite(slope_p).all() and np.isfinite(slope_q).all()
    assert slope_p[0, 1] == 0
    share = weights(tf.constant(log_p - log_q)).numpy()
    rest = np.delete(log_p[0] - log_q[0], 1)
    assert_close(np.delete(share[0], 1), np.exp(rest) / np.exp(rest).sum())
    assert_close(log_bound(tf.constant(log_p - log_q))[0], np.log(np.exp(rest).sum() / 4))


def test_what_has_no_density_at_all_says_so_in_the_bound():
    log_f = tf.constant([[-np.inf] * 3, [-np.inf, 2.0, -np.inf], [0.0, 1.0, 2.0]])
    assert_close(log_bound(log_f)[1:], [2 - np.log(3), np.log((1 + np.e + np.e**2) / 3)])
    assert log_bound(log_f)[0] == -np.inf
    assert weights(log_f)[:2].numpy().tolist() == [[0, 0, 0], [0, 1, 0]]
    assert effective_samples(log_f)[:2].numpy().tolist() == [0, 1]
    signal = learning_signals(log_f)
    # Of the one that is alone there is no comparison; the others would have made the bound larger by log 3.
    assert_close(signal[:2], [[0, 0, 0], [-np.log(2), 0, -np.log(2)]])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_extreme_weights_overflow_nowhere(densities, name, offset):
    log_p, log_q = (part.astype("float32") for part in densities)
    log_p = log_p + np.float32(offset) * np.array([1, 0, 0.5, 1], "float32")
    slopes = gradients32(ALL[name], log_p, log_q)
    assert all(np.isfinite(slope).all() for slope in slopes)


def gradients32(loss, *given):
    given = [tf.constant(part) for part in given]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(*given)
    return [value, *tape.gradient(value, given, unconnected_gradients="zero")]


def test_a_nan_is_not_hidden(densities):
    log_p, log_q = densities
    log_p[1, 2] = np.nan
    for name, loss in ALL.items():
        found = (
            np.asarray(loss(log_p, log_q, reduction=None))
            if name != "score_elbo_loo"
            else np.asarray(estimators.score_elbo(log_p, log_q, "leave_one_out", None))
        )
        assert np.isnan(found).tolist() == [False, True, False], name


ONE = np.zeros((3, 1))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: estimators.vimco(ONE, ONE), ["needs 2", "(3, 1)", "nvil"]),
        (lambda: estimators.score_elbo(ONE, ONE, "leave_one_out"), ["needs 2", "(3, 1)"]),
        (lambda: estimators.score_elbo(ONE, ONE, "mean"), ["no such baseline", "'mean'", "leave_one_out"]),
        (lambda: estimators.reward_to_go(ONE, ONE), ["axis of time", "(3, 1)"]),
        (lambda: estimators.reward_to_go(ONE[..., None], ONE[..., None]), ["needs 2"]),
        (lambda: estimators.iwae(ONE[:, 0], ONE[:, 0]), ["(3,)", "(batch, samples)"]),
        (lambda: estimators.iwae(ONE, ONE[:2]), ["(3, 1) and (2, 1)"]),
        (lambda: estimators.iwae(ONE, ONE, "max"), ["'max'", "'mean', 'sum' or None"]),
        (lambda: estimators.defensive(ONE, ONE, 1.0), ["between 0 and 1", "delta=1.0"]),
    ],
)
def test_what_does_not_fit_is_told(call, words):
    with pytest.raises(ValueError) as told:
        call()
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)
