"""iVAE against its reference: rows are trials of one bin; values, the bound in closed form and sampled, gradients."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from indl.dists import Gaussian
from indl.model.assemble import build_sequential_vae
from indl.model.roles.ivae import ivae_roles, load_ivae_weights
from indl.objectives.total_correlation import log_aggregate, log_densities, log_weights
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close
from tests.conftest import parity_files

pytestmark = pytest.mark.parity


def cases():
    """(path, case) of every model of every file."""
    found = []
    for path in parity_files("ivae"):
        with np.load(path) as file:
            config = json.loads(str(file["config"]))
        models = [name for name, c in config.items() if isinstance(c, dict) and "decoder_variance" in c]
        found += [pytest.param(path, name, id=f"{path.stem}-{name}") for name in models]
    return found or [pytest.param(None, None, marks=pytest.mark.skip("no file ivae*.npz"))]


@functools.cache
def reference(path, case):
    """The model with the reference's weights, the case's config and its arrays by name."""
    with np.load(path) as file:
        c = json.loads(str(file["config"]))[case]
        data = {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}
    hidden = [c["hidden"]] * (c["layers"] - 1)
    activation = {0.1: "leaky_relu_0.1", 0.2: "leaky_relu"}[c["slope"]]
    params = preset(
        "ivae",
        z_latent_size=c["z_dim"],
        z1_rnn_type=None,
        z1_activation=activation,
        q_z_units=hidden,
        q_z_scale="log_variance",
        z_prior_train_mean=False,
        # A class as a one-hot vector is a label like any other.
        u_type="continuous",
        u_dim=c["u_dim"],
        u_units=hidden,
        u_activation=activation,
        q_z_init_std=1.0,
        gen_n_hidden=hidden,
        gen_activation=activation,
        output_dist="GaussianUnit",
        output_std=c["decoder_variance"] ** 0.5,
    )
    model = build_sequential_vae(params, 1, c["x_dim"])
    load_ivae_weights(model, {k.removeprefix("weights/"): v for k, v in data.items() if k.startswith("weights/")})
    return model, c, data


@functools.cache
def computed(path, case):
    """Outputs, both losses, and their gradients by role."""
    model, c, data = reference(path, case)
    x, u, noise = (data[f"in/{name}"].astype("float32") for name in ("x", "u", "noise"))
    given = {"x": x[:, None], "u": u}
    with (
        sampling(GivenNoise({model._graph_outputs["z"].name: noise[:, None]})),
        tf.GradientTape(persistent=True) as tape,
    ):
        out = model(given, training=True)
        terms = model.loss_terms(given["x"], out, given)
        q, z = Gaussian(out["q_z"].loc[:, 0], out["q_z"].scale[:, 0]), out["z"][:, 0]
        log_q, log_p = q.log_prob(z), model.get_layer("z_prior").gaussian(u).log_prob(z)
        sampled = -tf.reduce_mean(-terms["nll"] + log_p - log_q)
        if c["anneal"]:
            a, b, share, d, n = c["anneal"]
            densities = log_densities(z, q.loc, q.scale)
            aggregate, product = log_aggregate(densities, log_weights(len(x), int(n), "mws"))
            product = tf.reduce_sum(product, axis=-1)
            parts = b * (log_q - aggregate) + share * (aggregate - product) + d * (product - log_p)
            sampled = -tf.reduce_mean(-a * terms["nll"] - parts)
        losses = {"grad": sampled, "grad_analytic": tf.reduce_mean(terms["neg_elbo"])}
    variables = model.trainable_variables
    found = {
        name: dict(
            zip(
                [v.path for v in variables],
                tape.gradient(loss, [v.value for v in variables], unconnected_gradients="zero"),
                strict=True,
            )
        )
        for name, loss in losses.items()
    }
    return out, terms, {"log_q_z": log_q, "log_p_z": log_p}, losses, found


@pytest.mark.parametrize("path, case", cases())
def test_values(path, case):
    model, _, data = reference(path, case)
    out, terms, densities, losses, _ = computed(path, case)
    q, u = out["q_z"], data["in/u"].astype("float32")
    p = model.get_layer("z_prior").gaussian(u)
    for name, value in {
        "q_z_loc": q.loc[:, 0],
        "q_z_variance": np.square(q.scale[:, 0]),
        "p_z_variance": np.square(p.scale),
        "z": out["z"][:, 0],
        "x_loc": out["p_x"].loc[:, 0],
        "log_p_x": -terms["nll"],
        **densities,
        "kl_z": Gaussian(q.loc[:, 0], q.scale[:, 0]).kl_per_dimension(p),
        "loss": losses["grad"],
        "loss_analytic": losses["grad_analytic"],
    }.items():
        assert_close(value, data[f"out/{name}"])
    assert_close(p.loc, np.zeros(p.loc.shape), 0)
    if "out/p_z_log_variance_table" in data:
        every = model.get_layer("z_prior").gaussian(np.eye(u.shape[1], dtype="float32"))
        assert_close(2 * np.log(every.scale), data["out/p_z_log_variance_table"])


@pytest.mark.parametrize("path, case", cases())
def test_gradients(path, case):
    model, _, data = reference(path, case)
    *_, gradients = computed(path, case)
    roles = ivae_roles(model)
    for kind, found in gradients.items():
        wanted = {key.removeprefix(f"{kind}/"): v for key, v in data.items() if key.startswith(f"{kind}/")}
        assert wanted.keys() == roles.keys()
        for name, value in wanted.items():
            assert_close(roles[name].join([found[v.path] for v in roles[name].variables]), value, 1e-4)
