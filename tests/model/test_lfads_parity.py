"""The whole LFADS model against the reference: values, loss and gradients, with weights loaded by role."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from indl.model.assemble import build_sequential_vae
from indl.model.roles.sequence import lfads_roles, load_lfads_weights
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close
from tests.conftest import parity_files

CASES = [path for path in parity_files("lfads_") if "encod_seq_len" in str(np.load(path)["config"])]
pytestmark = pytest.mark.parity
# Compilation takes most of the time: this is one of the whole model, test_complex_cell compiles
# every path of the cell, and the others run with the slow tests.
COMPILED = ("no_controller_external_inputs",)
MODES = [
    pytest.param(path, jit, id=f"{path.stem}-{'compiled' if jit else 'plain'}", marks=[pytest.mark.slow] * slow)
    for path in CASES
    for jit in (False, True)
    for slow in [jit and not path.stem.endswith(COMPILED)]
]


def params_of(c):
    """The params that ask for the reference's model and loss."""
    has_con = c["use_controller"]
    return preset(
        "lfads" if has_con else "lfads_no_controller",
        f_units=[c["ic_enc_dim"]],
        f_latent_size=c["ic_dim"],
        q_f_min_var=c["ic_post_var_min"],
        f_enc_input_samps=c["ic_enc_seq_len"],
        **({"z1_units": [c["ci_enc_dim"]], "z2_units": c["con_dim"], "z_latent_size": c["co_dim"]} if has_con else {}),
        z1_lag=c["ci_lag"],
        z_kl_mode="fresh",
        gen_n_hidden=[c["gen_dim"]],
        n_factors=c["fac_dim"],
        gru_clip_value=c["cell_clip"],
        dropout_rate=0.0,
        coordinated_dropout_rate=0.0,
        ext_input_dim=c["ext_input_dim"],
        out_dim=c["recon_data_dim"],
        forward_steps=c["recon_seq_len"] - c["encod_seq_len"],
        log_factorial="stirling",
        log_rate_clip=50.0,
        loss_scale=c["loss_scale"],
        kl_f_beta=c["kl_ic_scale"] * c["kl_ramp"],
        kl_z_beta=c["kl_co_scale"] * c["kl_ramp"],
        l2_f_enc_scale=c["l2_ic_enc_scale"],
        l2_z_enc_scale=c["l2_ci_enc_scale"] if has_con else 0.0,
        l2_gen_scale=c["l2_gen_scale"],
        l2_con_scale=c["l2_con_scale"] if has_con else 0.0,
    )


@functools.cache
def reference(path):
    with np.load(path) as file:
        data = {key: file[key] for key in file.files if key != "config"}
        c = json.loads(str(file["config"]))
    model = build_sequential_vae(params_of(c), c["encod_seq_len"], c["encod_data_dim"])
    load_lfads_weights(model, {k.removeprefix("weights/"): v for k, v in data.items() if k.startswith("weights/")})
    model.l2_weight.assign(c["l2_ramp"])
    x = data["in/encod_data"].astype("float32")
    if c["ext_input_dim"]:
        given = data["in/ext_input"].astype("float32")
        # The reference pads at the end; here the external input has the target's bins.
        external = np.pad(given, ((0, 0), (0, c["recon_seq_len"] - given.shape[1]), (0, 0)))
        x = {"x": x, "ext_input": external}
    return model, c, data, x


@functools.cache
def stepper(path, jit):
    """A traced function of the recorded noise: outputs, loss, gradients and loss terms in training."""
    model, _, data, x = reference(path)
    y = data["in/recon_data"].astype("float32")
    variables = [variable.value for variable in model.trainable_variables]

    def step(noise_ic, noise_co):
        f = model._graph_outputs["f"].name
        noise = {f: noise_ic, "complex_cell": noise_co, "z_prior": data["in/noise_kl_co"]}
        with sampling(GivenNoise(noise)), tf.GradientTape() as tape:
            out = model(x, training=True)
            loss = model.compute_loss(x, y, out, training=True)
        return out, loss, tape.gradient(loss, variables, unconnected_gradients="zero"), model.loss_terms(y, out)

    return tf.function(step, jit_compile=jit, autograph=False)


@pytest.mark.parametrize("draw", ["mean", "sample"])
@pytest.mark.parametrize("path, jit", MODES)
def test_values_loss_and_gradients(path, jit, draw):
    model, c, data, x = reference(path)
    # Without noise the sample is the mean.
    on = float(draw == "sample")
    noise = [tf.constant(on * data[f"in/noise_{name}"], tf.float32) for name in ("ic", "co")]
    out, loss, gradients, terms = stepper(path, jit)(*noise)
    expected = {key.removeprefix(f"{draw}/"): value for key, value in data.items() if key.startswith(f"{draw}/")}
    p_x = out["p_x"]
    assert_close(out["q_f"].loc, expected["ic_mean"])
    assert_close(out["q_f"].scale, expected["ic_std"])
    assert_close(out["f"], expected["ic_used"])
    assert_close(out["gen_out"], expected["gen_states"])
    assert_close(out["factors"], expected["factors"])
    assert_close(p_x.log_rate, expected["logrates"])
    assert_close(p_x.mean(), expected["rates"])
    assert_close(out["kl_f"], expected["kl_ic_per_trial"])
    y = data["in/recon_data"].astype("float32")
    assert_close(-p_x.log_prob(y), expected["nll_exact"])
    assert_close(-p_x.log_prob(y, log_factorial="stirling"), expected["nll_stirling"])
    if c["use_controller"]:
        u = c["ext_input_dim"]
        assert_close(out["con_states"], expected["con_states"])
        assert_close(out["q_z"].loc, expected["co_means"])
        assert_close(out["q_z"].scale, expected["co_stds"])
        assert_close(out["z"], expected["gen_inputs"][..., : expected["gen_inputs"].shape[-1] - u])
        assert_close(out["q_z"].drawn, out["z"])
        prior = model.get_layer("z_prior")
        q_at = out["q_z"]
        sample = expected["kl_co_sample"].astype("float32")
        assert_close(tf.reduce_sum(q_at.log_prob(sample), -1), expected["kl_co_log_q"])
        assert_close(tf.reduce_sum(prior.log_prob(sample), -1), expected["kl_co_log_p"])
        assert_close(np.mean(terms["kl_z"]), expected["kl_co"])
    assert_close(np.mean(terms["penalty"]), data["l2_penalty"])
    assert_close(loss, expected["loss"])
    found = dict(zip([v.path for v in model.trainable_variables], gradients, strict=True))
    for name, role in lfads_roles(model).items():
        key = f"{draw}/grad/{name}"
        if key in data and data[key].size:
            assert_close(role.join([found[variable.path] for variable in role.variables]), data[key], 1e-4)
    assert any(key.startswith(f"{draw}/grad/") for key in data)
