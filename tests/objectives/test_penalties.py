"""DIP-VAE's covariances, annealed capacity and free bits."""

import numpy as np
import pytest
import tensorflow as tf

from indl.objectives import DIPVAE, SEQUENCE_OBJECTIVES, BetaTCVAE, Capacity, Elbo
from indl.objectives.capacity import excess
from indl.objectives.dip import covariance, identity_distance
from indl.objectives.elbo import floored
from indl.params import ROWS, preset
from indl.training.schedules import BetaSchedule, objective_schedules
from tests.checks import assert_close, parity_arrays
from tests.messages import faults

on_every_file = pytest.mark.parametrize("config, arrays", parity_arrays("dip_vae"))


@pytest.mark.parity
@on_every_file
@pytest.mark.parametrize("kind", ["i", "ii"])
def test_covariances_equal_the_reference(config, arrays, kind):
    mu, log_variance = (tf.constant(arrays[f"in/{name}"], tf.float32) for name in ("mu", "log_variance"))
    with tf.GradientTape() as tape:
        tape.watch([mu, log_variance])
        found = covariance(mu, tf.exp(0.5 * log_variance) if kind == "ii" else None)
        beside, diagonal = identity_distance(found)
        penalty = config["lambda_off_diagonal"] * beside + config[f"lambda_diagonal_{kind}"] * diagonal
    gradients = tape.gradient(penalty, [mu, log_variance])
    assert_close(found, arrays[f"{kind}/covariance"])
    assert_close(penalty, arrays[f"{kind}/penalty"])
    assert_close(gradients[0], arrays[f"{kind}/grad/mu"], 1e-4)
    if kind == "ii":
        assert_close(gradients[1], arrays["ii/grad/log_variance"], 1e-4)
    else:
        assert gradients[1] is None


@pytest.mark.parity
@on_every_file
def test_capacity_equals_the_reference(config, arrays):
    schedule = BetaSchedule("linear", config["capacity_max"], 0, config["capacity_steps"])
    kl = np.array([0.5, 1.5]) * arrays["capacity/kl"]
    for i, step in enumerate(arrays["capacity/step"]):
        assert_close(schedule(step), arrays["capacity/c"][i])
        penalty = config["capacity_gamma"] * excess(tf.constant(kl, tf.float32), schedule(step))
        assert_close(penalty, arrays["capacity/penalty"][i])


def test_the_capacity_holds_the_mean_and_not_each_trial():
    kl = tf.constant([1.0, 5.0])
    assert float(excess(kl, 3.0)) == 0
    assert float(excess(kl, 4.5)) == 1.5 == float(excess(kl, 1.5))


def test_the_schedule_of_the_capacity():
    p = preset("default", objective="capacity", capacity_max=40.0, capacity_steps=200)
    schedule = objective_schedules(p)["capacity"]
    assert schedule.unit == "step" and [schedule.schedule(step) for step in (0, 50, 200, 900)] == [0, 10, 40, 40]
    assert schedule.end_epoch(30) == 7
    assert objective_schedules(preset("default")) == {} == objective_schedules({})


def test_free_bits_of_f():
    """What lies below on the mean over trials costs the floor, and trains nothing; the rest is as it was."""
    kl = tf.Variable([[0.1, 0.9], [0.5, 0.2]])
    with tf.GradientTape() as tape:
        paid = floored(kl, 0.4)
        total = tf.reduce_mean(paid)
    assert_close(paid, [0.4 + 0.9, 0.4 + 0.2])
    assert_close(total, 0.4 + 0.55)
    assert_close(tape.gradient(total, kl), [[0, 0.5], [0, 0.5]])


def test_free_bits_of_z_are_by_bin():
    kl = np.array([[[0.1, 1.0], [0.2, 0.0]], [[0.3, 0.5], [0.1, 0.7]], [[0.0, 0.1], [0.2, 0.1]]], "float32")
    mean = kl.mean((0, 1))
    assert mean[0] < 0.2 < mean[1]
    assert_close(np.mean(floored(kl, 0.2)), 2 * (0.2 + mean[1]))
    assert_close(floored(kl, 0.0), kl.sum((1, 2)))


def test_one_line_for_each_objective():
    assert tuple(SEQUENCE_OBJECTIVES) == ROWS["objective"].choices


def test_what_compares_trials_is_not_dealt_into_parts():
    assert Elbo().separable and not DIPVAE().separable and not Capacity().separable
    assert not BetaTCVAE(n_data=9).separable and not Elbo(f_free_bits=0.1).separable
    assert not Elbo(fz_mi_weight=1.0, n_data=9).separable and not Elbo(separable=False).separable


@pytest.mark.parametrize("make", [BetaTCVAE, lambda: Elbo(fz_mi_weight=1.0)])
def test_an_estimate_needs_the_number_of_trials(make):
    with pytest.raises(ValueError, match="without their number") as error:
        make()
    assert not faults(str(error.value), may_say_none=True)


def test_weights_of_dip_vae_by_default():
    p = preset("default", objective="dip_vae_i", dip_off_diagonal=3.0)
    assert DIPVAE.settings(p) == {"kind": "i", "dip_off_diagonal": 3.0, "dip_diagonal": 30.0}
    p = preset("default", objective="dip_vae_ii", dip_off_diagonal=3.0)
    assert DIPVAE.settings(p) == {"kind": "ii", "dip_off_diagonal": 3.0, "dip_diagonal": 3.0}
    assert DIPVAE.settings(preset("default", objective="dip_vae_ii", dip_diagonal=0.0))["dip_diagonal"] == 0
