"""Every observation model of LFADS: from the output of its read-out to means, losses and gradients."""

import json

import numpy as np
import pytest
import tensorflow as tf

from indl.dists import (
    GammaReadout,
    GaussianReadout,
    PoissonReadout,
    SquaredErrorReadout,
    ZeroInflatedGammaReadout,
    negative_bits_per_spike,
)
from tests.checks import assert_close
from tests.conftest import parity_files

FILES = parity_files("lfads_reconstruction") or [
    pytest.param(None, marks=pytest.mark.skip("no file lfads_reconstruction*.npz"))
]


def minus_log_prob(p_x, target, **options):
    return -p_x.log_prob(target, **options)


# The read-out of each case from channels and config, and the loss of each element.
CASES = {
    "poisson": (lambda n, c: PoissonReadout(n), lambda p_x, y: minus_log_prob(p_x, y, log_factorial="stirling")),
    "poisson_bps": (lambda n, c: PoissonReadout(n), negative_bits_per_spike),
    "mse": (lambda n, c: SquaredErrorReadout(n), minus_log_prob),
    "gaussian": (
        lambda n, c: GaussianReadout(n, scale_link="log_variance"),
        # The reference leaves out the constant of the density.
        lambda p_x, y: minus_log_prob(p_x, y) - 0.5 * np.log(2 * np.pi),
    ),
    "gamma": (lambda n, c: GammaReadout(n), minus_log_prob),
    "zero_inflated_gamma": (
        lambda n, c: ZeroInflatedGammaReadout(
            n, c["gamma_loc"], scale_prior=c["scale_prior"], scale_penalty=c["scale_penalty"]
        ),
        minus_log_prob,
    ),
}


@pytest.mark.parity
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", CASES)
def test_observation_parity(path, name):
    with np.load(path) as file:
        config = json.loads(str(file["config"]))
        case = {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}
    make, loss = CASES[name]
    readout = make(config["neurons"], config)
    u = tf.constant(case["readout_output"], tf.float32)
    # Factors that are the read-out's output themselves.
    readout.build((None, None, readout.width))
    readout.kernel.assign(np.eye(readout.width))
    if "scale" in case:
        readout.scale.assign(case["scale"])
        assert_close(sum(readout.losses), case["scale_penalty_value"])
    with tf.GradientTape() as tape:
        tape.watch(u)
        p_x = readout.observe(u)
        losses = loss(p_x, tf.constant(case["target"], tf.float32))
        mean_loss = tf.reduce_mean(losses)
    assert_close(p_x.mean(), case["means"])
    assert_close(losses, case["loss_elements"])
    assert_close(tape.gradient(mean_loss, u), case["grad_readout_output"], 1e-4)
    assert_close(readout(u).mean(), case["means"])


def test_bits_per_spike_of_silence_are_finite():
    p_x = PoissonReadout(2).observe(tf.zeros((1, 3, 2)))
    assert np.isfinite(negative_bits_per_spike(p_x, tf.zeros((1, 3, 2)))).all()
