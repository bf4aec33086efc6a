"""FHVAE against its reference: values, the loss with and without the discriminative term, new sequences, swaps."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from indl.dists.priors.table import map_means
from indl.model.assemble import build_sequential_vae
from indl.model.parts import part_of
from indl.model.roles.fhvae import fhvae_roles, fhvae_weights, load_fhvae_weights
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close
from tests.conftest import parity_files

pytestmark = pytest.mark.parity


def cases():
    """(path, case) of every case of every file of this layout."""
    found = []
    for path in parity_files("fhvae"):
        with np.load(path) as file:
            found += [pytest.param(path, name, id=f"{path.stem}-{name}") for name in json.loads(str(file["config"]))]
    return found or [pytest.param(None, None, marks=pytest.mark.skip("no file of this layout"))]


every_case = pytest.mark.parametrize("path, case", cases())


def stack(weights, name):
    """Units of each layer of a stack."""
    return [value.shape[0] for key, value in weights.items() if key.startswith(name) and key.endswith("t_kernel")]


@functools.cache
def reference(path, case, more=0):
    """A model with the reference's weights, and `more` rows for new sequences; config, and arrays by name."""
    with np.load(path) as file:
        c = json.loads(str(file["config"]))[case]
        data = {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}
    w = {key.removeprefix("weights/"): value for key, value in data.items() if key.startswith("weights/")}
    rows, size = w["f_prior/table"].shape
    params = preset(
        "fhvae",
        output_dist="Gaussian",
        input_transform=None,
        f_units=stack(w, "f_encoder/"),
        f_latent_size=size,
        f_prior_init_std=c["f_prior_std"],
        f_prior_hyper_std=c["f_prior_hyper_std"],
        f_prior_n_seqs=rows + more,
        f_disc_alpha=c["alpha"],
        z1_units=stack(w, "z_encoder/"),
        z_latent_size=w["q_z/loc/bias"].size,
        gen_n_hidden=stack(w, "generator/"),
        gen_l2_reg=0.0,
    )
    model = build_sequential_vae(params, None, data["in/x"].shape[-1])
    load_fhvae_weights(model, {**w, "f_prior/table": np.pad(w["f_prior/table"], ((0, more), (0, 0)))})
    model.init_sequences(np.repeat(np.arange(rows), data["in/n_segments"]))
    return model, c, data


def called(model, data, group, first=0):
    """Outputs and terms of a group of windows with the file's noise, whose sequences are counted from row `first`."""
    inputs = {"x": data[f"{group}/x"].astype("float32"), "index": data[f"{group}/index"] + first}
    noise = {"f": data[f"{group}/noise_f"], "z": data[f"{group}/noise_z"][:, None]}
    names = {model._graph_outputs[key].name: value.astype("float32") for key, value in noise.items()}
    with sampling(GivenNoise(names)):
        out = model({name: tf.constant(value) for name, value in inputs.items()}, training=True)
    return out, model.loss_terms(tf.constant(inputs["x"]), out)


@functools.cache
def computed(path, case):
    """Outputs, terms, both losses, and the gradients of each by variable."""
    model, c, data = reference(path, case)
    with tf.GradientTape(persistent=True) as tape:
        out, terms = called(model, data, "in")
        bound = -tf.reduce_mean(terms["neg_elbo"])
        losses = {"": tf.reduce_mean(terms["loss"]), "_no_discriminative": -bound}
    variables = model.trainable_variables
    gradients = {
        kind: dict(zip([v.path for v in variables], tape.gradient(loss, [v.value for v in variables]), strict=True))
        for kind, loss in losses.items()
    }
    return out, terms, losses, gradients


@every_case
def test_values(path, case):
    model, c, data = reference(path, case)
    out, terms, losses, _ = computed(path, case)
    x_loc, x_scale = out["p_x"][:2]
    segments = data["in/n_segments"][data["in/index"]]
    for name, mine in {
        "q_f_loc": out["q_f"].loc,
        "q_f_log_variance": 2 * np.log(out["q_f"].scale),
        "f": out["f"],
        "q_z_loc": out["q_z"].loc[:, 0],
        "q_z_log_variance": 2 * np.log(out["q_z"].scale[:, 0]),
        "z": out["z"][:, 0],
        "x_loc": x_loc,
        "x_log_variance": 2 * np.log(x_scale),
        "table_rows": np.asarray(part_of(model, "f_prior").table)[data["in/index"]],
        "log_p_mu": -segments * np.asarray(terms["mean_nll"]),
        "log_p_x": -terms["nll"],
        "kl_f": terms["kl_f"],
        "kl_z": terms["kl_z"],
        "bound": -terms["neg_elbo"],
        "log_p_index": -terms["index_nll"],
        "loss": losses[""],
        "loss_no_discriminative": losses["_no_discriminative"],
    }.items():
        assert_close(mine, data[f"out/{name}"])


@every_case
def test_gradients(path, case):
    model, _, data = reference(path, case)
    *_, gradients = computed(path, case)
    for kind, found in gradients.items():
        wanted = {key: value for key, value in data.items() if key.startswith(f"grad{kind}/")}
        roles = fhvae_roles(model)
        assert {f"grad{kind}/{name}" for name in roles} == wanted.keys()
        for name, role in roles.items():
            assert_close(role.of(found[role.variable.path]), wanted[f"grad{kind}/{name}"], 1e-4)


@every_case
def test_rows_that_are_not_used_have_no_part(path, case):
    model, _, data = reference(path, case)
    prior = part_of(model, "f_prior")
    before = np.asarray(prior.used).copy()
    prior.used.assign(data["masked/used"])
    out, _ = called(model, data, "in")
    prior.used.assign(before)
    assert_close(out["log_p_index"], data["masked/log_p_index"])


@every_case
def test_new_sequences(path, case):
    _, c, data = reference(path, case)
    new = data["unseen/map_table"]
    known = map_means(data["unseen/q_f_loc"], data["unseen/index"], len(new), c["f_prior_std"], c["f_prior_hyper_std"])
    assert_close(known, new)
    model, _, _ = reference(path, case, len(new))
    rows = len(data["weights/f_prior/table"])
    model.estimate_sequences({"x": data["unseen/x"].astype("float32"), "index": rows + data["unseen/index"]})
    table = np.asarray(part_of(model, "f_prior").table)
    assert_close(table[rows:], new)
    assert_close(table[:rows], data["weights/f_prior/table"])
    out, terms = called(model, data, "unseen", rows)
    segments = data["unseen/n_segments"][data["unseen/index"]]
    for name, mine in {
        "q_f_loc": out["q_f"].loc,
        "log_p_mu": -segments * np.asarray(terms["mean_nll"]),
        "log_p_x": -terms["nll"],
        "kl_f": terms["kl_f"],
        "kl_z": terms["kl_z"],
        "bound": -terms["neg_elbo"],
    }.items():
        assert_close(mine, data[f"unseen/{name}"])


@every_case
def test_swapped_sequences(path, case):
    model, _, data = reference(path, case)
    target, rows = data["swap/target"], data["out/table_rows"]
    assert_close(data["out/f"] + rows[target] - rows, data["swap/f"])
    x_loc, x_scale = model.decode(data["swap/f"], data["out/z"], data["in/x"].shape[1])[:2]
    assert_close(x_loc, data["swap/x_loc"])
    assert_close(2 * np.log(x_scale), data["swap/x_log_variance"])
    # The model's own swap is that of posterior means.
    given = {"x": data["in/x"].astype("float32"), "index": data["in/index"]}
    q = model.encode(given)
    wanted = model.decode(q["q_f"].loc + rows[target] - rows, q["q_z"].loc, data["in/x"].shape[1]).mean()
    assert_close(model.reconstruct(given, "sequence", target), wanted)


@every_case
def test_weights_come_back(path, case):
    model, _, data = reference(path, case)
    for name, value in fhvae_weights(model).items():
        assert_close(value, data[f"weights/{name}"])
