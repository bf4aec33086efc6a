"""pi-VAE against the weights, noise and outputs of the reference implementation."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists.log_gaussian import LogGaussian
from indl.model.pi_vae import build_pi_vae, compute_loss
from indl.model.pi_vae.model import OTHER_NAMES, distance_probabilities
from indl.model.roles.pi_vae import load_pi_vae_weights, pi_vae_roles, pi_vae_weights
from indl.params.pi_vae import PI_VAE
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close
from tests.conftest import parity_files

pytestmark = pytest.mark.parity
FILES = parity_files("pivae_") or [pytest.param(None, marks=pytest.mark.skip("no file pivae_*.npz"))]


class Case:
    """One file: its arrays, the model with its weights, and one call on its input and noise."""

    def __init__(self, path):
        with np.load(path) as file:
            self.arrays = {name: file[name] for name in file.files}
        config = json.loads(str(self.arrays["config"]))
        self.shared = config["coupling_weights_shared"]
        known = {key: value for key, value in config.items() if PI_VAE.aliases.get(key, key) in PI_VAE.by_name}
        sizes = known.pop("x_dim"), known.pop("u_dim")
        self.model = build_pi_vae({**known, "decoder_share_couplings": self.shared}, *sizes)
        self.roles = pi_vae_roles(self.model)
        load_pi_vae_weights(self.model, {name: self.arrays[name] for name in self.roles})
        self.outputs = self.call()

    def call(self):
        with sampling(GivenNoise({"z_sample": self.arrays["noise_posterior"]})):
            return self.model(self.arrays["x"], self.arrays["u"])

    def compute_loss(self, **settings):
        names = ("firing_rate", "lambda_mean", "lambda_log_variance", "posterior_mean", "posterior_log_variance")
        return compute_loss(
            x=self.arrays["x"],
            **{name: self.outputs[name] for name in names},
            observation_model=self.model.decoder_observation_model,
            observation_noise_model=self.model.observation_noise_model,
            z_mean=self.outputs["z_mean"],
            z_log_variance=self.outputs["z_log_variance"],
            **settings,
        )


def weights_of(name):
    """The weights of a loss that the name of its array tells."""
    return {key: float(value) for key, value in re.findall(r"(alpha|kl_weight)_(\d+\.?\d*)", name)}


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def case(request):
    return Case(request.param)


def test_outputs(case):
    for name, other in OTHER_NAMES.items():
        assert_close(case.outputs[name], case.arrays[f"out/{other}"])
    for name in ("posterior_mean", "posterior_log_variance"):
        assert_close(case.outputs[name], case.arrays[f"out/{name}"])


def test_the_encoder_alone(case):
    a, q = case.arrays, case.model.posterior(case.arrays["x"])
    z = q.loc + q.stddev() * a["noise_encoder"]
    assert_close(z, a["out/encoder_z_sample"])
    assert_close(z, a["encode/z_sample"])
    assert_close(case.model.decode(z), a["out/encoder_firing_rate"])


def test_decoder_and_its_insides(case):
    a, flow = case.arrays, case.model.get_layer("flow")
    h = flow.lift(a["out/posterior_z_sample"])
    assert_close(h, a["mid/nflow"])
    for i, block in enumerate(flow.blocks):
        h = block(h)
        assert_close(h, a[f"mid/block{i}"])
    assert_close(flow.inverse(h), a["out/posterior_z_sample"])
    assert_close(case.model.decode(a["decode/z"]), a["decode/rate"])


def test_label_statistics(case):
    prior = case.model.label_statistics(case.arrays["label_statistics/u"])
    assert_close(prior.loc, case.arrays["label_statistics/mean"])
    assert_close(prior.log_variance, case.arrays["label_statistics/log_variance"])


def test_losses_of_the_function(case):
    a = case.arrays
    assert_close(case.compute_loss(), a["loss/elbo"])
    assert_close(case.compute_loss(kl_weight=0.5), a["loss/half_kl"])
    mixed = [name for name in a if name.startswith("loss/mixed_alpha_")]
    assert mixed and any("kl_weight" in name for name in mixed)
    for name in mixed:
        assert_close(case.compute_loss(**weights_of(name)), a[name])


def test_losses_of_the_model(case):
    a, terms = case.arrays, case.model.loss_terms(case.arrays["x"], case.outputs)
    assert_close(terms["kl_z"], a["loss/kl_posterior"])
    assert_close(terms["kl_z_encoder"], a["loss/kl_encoder"])
    assert_close(np.mean(terms["neg_elbo"]), a["loss/elbo"])
    q = LogGaussian(case.outputs["posterior_mean"], case.outputs["posterior_log_variance"])
    prior = LogGaussian(case.outputs["lambda_mean"], case.outputs["lambda_log_variance"])
    assert_close(q.kl_divergence(prior), a["loss/kl_posterior"])


def test_gradients(case):
    names = {name.split("/")[1] for name in case.arrays if name.startswith("grad/")}
    assert "elbo" in names and any("alpha" in name for name in names)
    trained = {role: entry.variables[0] for role, entry in case.roles.items() if "permutation" not in role}
    for name in sorted(names):
        weights = {"alpha": 0.0, "kl_weight": 1.0, **weights_of(name)}
        case.model.alpha.assign(weights["alpha"])
        case.model.beta_z.assign(weights["kl_weight"])
        with tf.GradientTape() as tape:
            loss = case.model.compute_loss(x={"x": case.arrays["x"]}, y_pred=case.call())
        found = tape.gradient(loss, [variable.value for variable in trained.values()])
        for variable, gradient in zip(trained.values(), found, strict=True):
            # A shared variable is reached through each of its layers: its gradient is their sum.
            wanted = sum(case.arrays[f"grad/{name}/{other}"] for other, twin in trained.items() if twin is variable)
            assert wanted.shape == tuple(variable.shape)
            assert_close(gradient, wanted, 1e-4)
    case.model.alpha.assign(case.model.params["alpha"])
    case.model.beta_z.assign(case.model.params["kl_weight"])


def test_labels_by_distance(case):
    a, model = case.arrays, case.model
    if not model.discrete:
        with pytest.raises(ValueError, match=r"Only classes .* Given: .* label_posterior"):
            model.predict_labels(a["x"])
        return
    prior = model.label_statistics(np.arange(model.params["u_dim"]))
    draws = prior.loc + prior.stddev() * a["predict_labels/noise"]
    assert_close(distance_probabilities(a["encode/z_sample"], draws), a["predict_labels/probabilities"])


def test_weights_read_back(case):
    for name, value in pi_vae_weights(case.model).items():
        np.testing.assert_array_equal(value, case.arrays[name])


def test_a_saved_model_gives_the_same_outputs(case, tmp_path):
    case.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    a = case.arrays
    with sampling(GivenNoise({"z_sample": a["noise_posterior"]})):
        outputs = loaded(a["x"], a["u"])
    for name, value in case.outputs.items():
        np.testing.assert_array_equal(outputs[name], value)
    np.testing.assert_array_equal(loaded.posterior(a["x"], a["u"]).loc, case.model.posterior(a["x"], a["u"]).loc)
