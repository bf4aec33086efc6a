"""Mistakes that LFADS implementations have made, each by number, where no other file has the test.

1 to 4 (gates, time order, concatenation, lag) are in tests/rnn; 6 (coordinated dropout) is with the augmentations.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from indl import metrics
from indl.dists import AR1Prior, Gaussian, PoissonObservation
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from indl.training import BetaSchedule
from indl.training.fit import make_optimizer
from indl.training.selection import BestWeights
from tests.checks import PLAIN, counts, gradients, tiny_model

X = counts(trials=6, time=7, channels=4)
LFADS = {
    "f_units": [4], "f_latent_size": 3, "z1_units": [4], "z2_units": 4, "z_latent_size": 2, "gen_n_hidden": [6],
    "n_factors": 3, "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0,
}  # fmt: skip


def lfads(**changes):
    return tiny_model(7, 4, **preset("lfads", **{**LFADS, **changes}))


def test_trap_05_the_ar1_prior_has_the_process_variance_first_and_the_innovations_after():
    prior = AR1Prior(1, tau=5.0, init_std=0.4)
    alpha, innovation = math.exp(-1 / 5), 0.4**2
    draws = np.asarray(prior.draw(4000, 12, seed=0))[..., 0]
    # Stationary: every step has the same variance, which is not the innovations'.
    np.testing.assert_allclose(draws.var(0), innovation / (1 - alpha**2), rtol=0.1)
    np.testing.assert_allclose((draws[:, 1:] - alpha * draws[:, :-1]).var(0), innovation, rtol=0.1)
    z = np.array([[[0.3], [-0.2], [0.5]]], "float32")
    variances = [innovation / (1 - alpha**2), innovation, innovation]
    means = [0.0, 0.3 * alpha, -0.2 * alpha]
    expected = sum(-0.5 * (v - m) ** 2 / s - 0.5 * math.log(2 * math.pi * s)
                   for v, m, s in zip(z[0, :, 0], means, variances, strict=True))  # fmt: skip
    assert float(np.sum(prior.log_prob(z))) == pytest.approx(expected, rel=1e-5)


def test_trap_07_the_kl_is_taken_at_the_posteriors_sample_not_at_the_priors():
    prior = AR1Prior(1, init_std=0.4, train_mean=False, kl_mode="conditional", seed=3)
    far = Gaussian(tf.fill((2, 6, 1), 4.0), tf.fill((2, 6, 1), 0.1), tf.fill((2, 6, 1), 4.0))
    near = Gaussian(tf.zeros((2, 6, 1)), tf.fill((2, 6, 1), 0.1), tf.zeros((2, 6, 1)))
    # Along its own sample a posterior that stays at 4 pays (4 - 4 alpha)^2 / (2 s^2) a step, and 4^2 / (2 v) once.
    alpha = math.exp(-0.1)
    extra = 0.5 * 16 * ((1 - alpha**2) + 5 * (1 - alpha) ** 2) / 0.16
    found = np.sum(prior(far, training=True) - prior(near, training=True), axis=1)
    np.testing.assert_allclose(found, extra, rtol=1e-4)


def test_trap_08_stirling_and_exact_differ_by_a_constant_of_the_data():
    y, logs = np.array([0.0, 1, 2, 5], "float32"), np.array([[-1.0, 0, 1, 2], [0.5, 0.5, 0.5, 0.5]], "float32")
    exact, stirling = (
        np.asarray(PoissonObservation(logs).log_prob(y, log_factorial=kind)) for kind in ("exact", "stirling")
    )
    constant = [0.0, 0.0, *(v * math.log(v) - v + 0.5 * math.log(2 * math.pi * v) for v in (2, 5))]
    lgamma = [math.lgamma(v + 1) for v in (0, 1, 2, 5)]
    np.testing.assert_allclose(stirling - exact, np.tile(np.subtract(lgamma, constant), (2, 1)), atol=1e-5)


def test_trap_09_a_mean_over_bins_and_channels_needs_its_kl_scale():
    """With the mean, a scale of 1 / (bins * channels) is the bound; with the sum, 1 is."""
    summed = lfads(
        loss_reduction="sum", loss_scale=1.0, kl_f_beta=1.0, kl_z_beta=1.0, l2_gen_scale=0.0, l2_con_scale=0.0
    )
    mean = lfads(loss_scale=1.0, kl_f_beta=1 / 28, kl_z_beta=1 / 28, l2_gen_scale=0.0, l2_con_scale=0.0)
    mean.set_weights([np.asarray(v) if "beta" not in v.path else np.asarray(w)
                      for v, w in zip(summed.weights, mean.weights, strict=True)])  # fmt: skip
    losses, terms = [], []
    for model in (summed, mean):
        out = model(X)
        losses.append(float(model.compute_loss(X, X, out, training=False)))
        found, logged = model.loss_terms(X, out), set(model.objective.logged) - {"loss"}
        terms.append({k: float(np.mean(found[k])) for k in logged})
    assert losses[0] == pytest.approx(28 * losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(terms[0]["nll"] + terms[0]["kl_f"] + terms[0]["kl_z"], rel=1e-5)
    # What is logged is in nats a trial in both.
    assert terms[0] == pytest.approx(terms[1], rel=1e-5)


def test_trap_10_the_gradient_is_clipped_after_the_loss_is_scaled():
    model = lfads()
    params = {**model.params, "learning_rate": 1.0}
    found = [np.asarray(g) for g in gradients(model, X)]
    norm = math.sqrt(sum(float((g**2).sum()) for g in found))
    assert model.params["loss_scale"] == 1e4 and norm > 200
    optimizer = make_optimizer(params, 6)
    optimizer.build(model.trainable_variables)
    optimizer.apply([tf.constant(g) for g in found], model.trainable_variables)
    # Adam's first moment after one step is a tenth of the clipped gradient.
    moments = [np.asarray(v) for v in optimizer.variables if "momentum" in v.path]
    clipped = math.sqrt(sum(float(((10 * m) ** 2).sum()) for m in moments))
    assert clipped == pytest.approx(200, rel=1e-3)


def test_trap_11_the_null_of_bits_per_spike_is_the_mean_of_what_is_scored():
    rng = np.random.default_rng(0)
    y = rng.poisson(2.0, (5, 6, 3)).astype(float)
    rates = np.broadcast_to(y.mean((0, 1)), y.shape)
    assert metrics.bits_per_spike(rates, y) == pytest.approx(0, abs=1e-12)
    # Means of other trials score below zero: they are not the null.
    assert metrics.bits_per_spike(np.full_like(y, 1.0), y) < -0.05


def test_trap_12_r2_by_channel_is_not_r2_of_all_elements():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(10, 8, 2)) * (1.0, 0.1) + (5.0, 1.0)
    rates = truth + rng.normal(size=truth.shape) * 0.1
    error, total = ((truth - rates) ** 2).sum((0, 1)), ((truth - truth.mean((0, 1))) ** 2).sum((0, 1))
    assert metrics.rate_r2_per_channel(rates, truth) == pytest.approx((1 - error / total).mean())
    flat = 1 - error.sum() / ((truth - truth.mean()) ** 2).sum()
    assert metrics.rate_r2_flat(rates, truth) == pytest.approx(flat)
    assert flat - (1 - error / total).mean() > 0.3


def test_trap_13_arrays_of_the_user_are_not_written_to():
    x, model = X.copy(), tiny_model(7, 4, **PLAIN, coordinated_dropout_rate=0.3)
    rates = model.rates(x)
    zeros = rates.copy()
    zeros[0] = 0.0
    given = [zeros.copy(), x.copy()]
    metrics.poisson_nll(*given)
    metrics.bits_per_spike(*given)
    model.compile(make_optimizer(model.params, 6))
    model.fit(x, epochs=1, verbose=0)
    assert np.array_equal(x, X) and np.array_equal(given[0], zeros) and np.array_equal(given[1], X)


def test_trap_14_a_score_that_is_nan_never_wins():
    model = lfads()
    chosen = BestWeights("val_nll", 0, patience=0)
    chosen.set_model(model)
    chosen.set_params({"epochs": 4})
    chosen.on_train_begin()
    for epoch, value in enumerate([float("nan"), 3.0, float("nan"), 5.0]):
        chosen.on_epoch_end(epoch, {"val_nll": value})
    assert chosen.epoch == 1


def test_trap_15_the_ramp_is_above_zero_in_epoch_0_and_whole_at_its_end():
    ramp = BetaSchedule("ramp", beta=2.0, start=0, ramp=4)
    assert [ramp(epoch) for epoch in range(6)] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0, 2.0])
    late = BetaSchedule("ramp", start=2, ramp=1)
    assert [late(epoch) for epoch in range(5)] == pytest.approx([0, 0, 0.5, 1, 1])


@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["plain", "compiled"])
def test_trap_16_weights_and_rates_that_change_take_effect_in_a_traced_step(jit):
    # Encoders without a loop over time: what has a weight or a rate is the generator and both latents.
    model = lfads(loss_scale=1.0, f_rnn_type="Dense", f_enc_reduce="mean", z1_rnn_type="Dense")
    model.compile(make_optimizer(model.params, 6), jit_compile=jit)
    model.optimizer.build(model.trainable_variables)
    traces = []

    def run(x):
        traces.append(1)
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, x, model(x, training=True), training=True)
        model.optimizer.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]))
        return loss

    step = tf.function(run, jit_compile=jit, autograph=False)
    x, start = tf.constant(X), model.get_weights()

    def loss_after(change):
        model.set_weights(start)
        model.optimizer.learning_rate.assign(0.0)
        change()
        before = model.get_weights()
        loss = float(step(x))
        moved = max(np.abs(a - b).max() for a, b in zip(before, model.get_weights(), strict=True) if a.ndim)
        return loss, moved

    with sampling(GivenNoise({})):
        base, still = loss_after(lambda: None)
        assert still == 0.0
        for name in ("beta_f", "beta_z", "l2_weight"):
            changed, _ = loss_after(lambda name=name: getattr(model, name).assign(100.0))
            assert changed > base + 1e-3, name
        _, slow = loss_after(lambda: model.optimizer.learning_rate.assign(1e-3))
        assert slow > 0
    assert len(traces) == 1
