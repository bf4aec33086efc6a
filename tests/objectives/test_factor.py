"""FactorVAE's discriminator: against reference values, and what it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists import Gaussian
from indl.model.steps.opponent import Opponent
from indl.objectives.factor import Discriminator, FactorVAE, discriminator_loss, log_odds, permuted
from tests.checks import assert_close, assert_same, parity_arrays


def of_file(arrays):
    """The discriminator with the weights of a file, its variables in order and their names there."""
    names = [f"discriminator/{i}/{part}" for i in range(100) for part in ("kernel", "bias") if _key(i, part) in arrays]
    weights = [arrays[f"weights/{name}"] for name in names]
    network = Discriminator(len(weights[0]), [len(bias) for bias in weights[1:-2:2]])
    network.set_weights([*weights, *network.get_weights()[len(weights) :]])
    return network, network.trainable_variables, names


def _key(i, part):
    return f"weights/discriminator/{i}/{part}"


@pytest.mark.parity
@pytest.mark.parametrize("config, arrays", parity_arrays("factorvae"))
def test_values_and_gradients_equal_the_reference(config, arrays):
    network, variables, names = of_file(arrays)
    second, order = arrays["in/z_second_batch"].astype("float32"), arrays["in/permutations"].T
    mu, log_variance, z = (tf.constant(arrays[f"in/{name}"], tf.float32) for name in ("mu", "log_variance", "z"))
    noise = (z - mu) / tf.exp(0.5 * log_variance)
    mixed = permuted(second, order)
    with tf.GradientTape() as tape:
        real_logits, mixed_logits = network(z), network(mixed)
        loss = discriminator_loss(real_logits, mixed_logits)
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    with tf.GradientTape() as tape:
        tape.watch([mu, log_variance])
        q = Gaussian(mu, tf.exp(0.5 * log_variance))
        tc = tf.reduce_mean(log_odds(network(q.loc + q.scale * noise)))
        kl = tf.reduce_mean(q.kl_divergence(Gaussian(tf.zeros_like(mu[0]), tf.ones_like(mu[0]))))
        terms = kl + config["gamma"] * tc
    of_vae = tape.gradient(terms, [mu, log_variance])
    found = {"logits_real": real_logits, "logits_perm": mixed_logits, "z_perm": mixed}
    found |= {"discriminator_loss": loss, "tc": tc, "kl": kl, "vae_terms": terms}
    right = np.concatenate([log_odds(real_logits) > 0, log_odds(mixed_logits) < 0])
    for name, value in {**found, "accuracy": right.mean()}.items():
        assert_close(value, arrays[f"out/{name}"])
    for name, gradient in zip(names, gradients, strict=True):
        assert_close(gradient, arrays[f"grad_discriminator_loss/{name}"], 1e-4)
    for name, gradient in zip(("mu", "log_variance"), of_vae, strict=True):
        assert_close(gradient, arrays[f"grad_vae_terms/{name}"], 1e-4)


def test_every_dimension_is_permuted_by_itself():
    network = Discriminator(3, [4], seed=1)
    rows = np.arange(40.0, dtype="float32")
    latent = np.stack([rows, rows + 100, rows + 200], 1)
    seen = []
    network.call = lambda given: seen.append(np.asarray(given)) or tf.zeros((len(given), 2))
    for training in (True, True, False, False):
        network.loss(latent, training=training)
    for real, mixed in zip(seen[::2], seen[1::2], strict=True):
        np.testing.assert_array_equal(real, latent[:20])
        # Each dimension has what it had in the second half, and no two the same order.
        np.testing.assert_array_equal(np.sort(mixed, 0), latent[20:])
        trials = mixed - [0, 100, 200]
        assert all((trials[:, i] != trials[:, j]).any() for i, j in ((0, 1), (0, 2), (1, 2)))
        assert (trials[:, 0] != rows[20:]).any()
    assert (seen[1] != seen[3]).any(), "new permutations in every step"
    np.testing.assert_array_equal(seen[5], seen[7])


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_few_trials_are_no_matter(trials):
    network = Discriminator(2, [4])
    assert np.isfinite(network.loss(np.ones((trials, 2), "float32"), training=True))


def test_samples_are_latents_like_others():
    network = Discriminator(2, [4])
    latent = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
    assert_close(network.loss(latent, False), network.loss(latent.reshape(12, 2), False))


def test_it_learns_what_depends_on_each_other_and_nothing_else():
    """The latents learn nothing from its loss; on independent dimensions it stays at log 2."""
    keras.utils.set_random_seed(0)
    code = np.random.default_rng(0).normal(size=(200, 1)).astype("float32")
    other = np.random.default_rng(1).normal(size=(200, 1)).astype("float32")
    losses = {}
    for name, latent in {"same": np.hstack([code, code]), "apart": np.hstack([code, other])}.items():
        opponent = Opponent(Discriminator(2, [32, 32], learning_rate=3e-3))
        latent, step = tf.constant(latent), tf.function(opponent.train_step, autograph=False)
        for _ in range(80):
            step(latent)
        opponent.mean_loss.reset_state()
        opponent.test_step(latent)
        losses[name] = float(opponent.mean_loss.result())
        with tf.GradientTape() as tape:
            tape.watch(latent)
            loss = opponent.network.loss(latent, training=True)
        assert tape.gradient(loss, latent) is None
        estimate = float(tf.reduce_mean(log_odds(opponent(latent))))
        assert estimate > 1 if name == "same" else abs(estimate) < 0.5
    assert losses["same"] < 0.45 and losses["apart"] > 0.6


def test_steps_that_are_not_finite_are_left_out():
    opponent = Opponent(Discriminator(2, [4]))
    before = opponent.get_weights()
    opponent.train_step(tf.constant([[1.0, np.nan], [0.0, 1.0]]))
    assert_same(opponent.get_weights(), before)
    opponent.test_step(tf.constant([[1.0, 2.0], [0.0, 1.0]]))
    assert 0 < float(opponent.mean_loss.result()) < np.inf


def test_the_opponent_of_the_objective():
    network = FactorVAE(size=4, units=(5, 6), learning_rate=1e-3).opponent()
    assert [tuple(v.shape) for v in network.trainable_variables if "kernel" in v.path] == [(4, 5), (5, 6), (6, 2)]
    optimizer = Opponent(network).optimizer
    assert (float(optimizer.learning_rate), optimizer.beta_1, optimizer.beta_2) == (pytest.approx(1e-3), 0.5, 0.9)
