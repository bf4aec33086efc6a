"""Disentangling and deep Markov models against their references: values, bounds, gradients, swaps and draws."""

import functools
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from indl.model.assemble import build_sequential_vae
from indl.model.roles.dsae import dsae_roles, load_dsae_weights
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close
from tests.conftest import parity_files

pytestmark = pytest.mark.parity

# A standard deviation at which a head has no offset, by the name of its link in the files.
LINKS = {
    "log_variance": ("log_variance", 1.0, 0.0),
    "softplus_std_1e-5": ("softplus", math.log(2) + 1e-5, 1e-5),
    "softplus_std": ("softplus", math.log(2), 0.0),
    "softplus_variance": ("softplus_variance", 1.0, 0.0),
}
OBSERVATIONS = {"gaussian_unit": "GaussianUnit", "poisson": "Poisson", "bernoulli": "Bernoulli"}


def cases():
    """(path, case) of every case of every file of these layouts."""
    found = []
    for stem in ("dsae_", "dkf", "dmm_gated", "fdmm"):
        for path in parity_files(stem):
            with np.load(path) as file:
                names = json.loads(str(file["config"]))
            found += [pytest.param(path, name, id=f"{path.stem}-{name}") for name in names]
    return found or [pytest.param(None, None, marks=pytest.mark.skip("no file of these layouts"))]


def params_of(c, w):
    """The params that ask for the reference's model, from its config and the shapes of its weights."""
    sizes, shape = c["sizes"], {name: value.shape for name, value in w.items()}
    generator = [shape[f"generator/{i}/kernel"][1] for i in range(sum(n.startswith("generator/") for n in w) // 2)]
    common = {
        "output_dist": OBSERVATIONS[c["observation"]],
        "input_transform": c["input_transform"],
        "q_f_samples": sizes.get("S", 1),
        "z_latent_size": sizes["Z"],
        "gen_n_hidden": generator,
        "gen_activation": c["gen_activation"],
        "log_rate_clip": 50.0,
        "kl_f_beta": c.get("beta_f", 1.0),
        "kl_z_beta": c["beta_z"],
    }
    return (dmm_params if "combiner_divisor" in c else dsae_params)(c, w, shape) | common


def dsae_params(c, w, shape):
    link, std, floor = LINKS[c["scale_link"]]
    factorized = c["posterior"] == "factorized"
    learned = c["f_prior"] == "learned"
    z2 = {} if factorized else {"z2_units": shape["z2/kernel"][1]}
    return preset(
        "dsae_factorized" if factorized else "dsae_full",
        f_latent_size=c["sizes"]["F"],
        f_units=[shape["f_encoder/forward/recurrent_kernel"][0]],
        f_rnn_merge=c["f_merge"],
        q_f_init_std=std,
        q_f_scale=link,
        f_prior_type="mvn" if learned else "standard",
        z1_units=[shape["z1/0/kernel"][1] if factorized else shape["z1/forward/recurrent_kernel"][0]],
        z1_merge=c["z1_merge"],
        q_z_init_std=std,
        q_z_scale=link,
        scale_floor=floor,
        z_prior_units=shape["z_prior/rnn/recurrent_kernel"][0],
        z_prior_init_std=std,
        z_prior_scale=link,
        **z2,
    )


def dmm_params(c, w, shape):
    link, std, floor = LINKS[c["q_scale_link"]]
    transition, transition_std, _ = LINKS[c["transition_scale_link"]]
    static = "q_f/loc/kernel" in w
    relu = c.get("rnn") == "SimpleRNN relu"
    way = "Bidirectional" if c["bidirectional"] else "Backward" if "z1/backward/kernel" in w else ""
    read_in = shape.get("embedding/0/kernel")
    kind = "meanfield" if c["mean_field"] else "combiner"
    changes = {"f_latent_size": 0}
    if static:
        changes = {
            "f_latent_size": c["sizes"]["F"],
            "f_units": [shape["f_encoder/forward/recurrent_kernel"][0]],
            "q_f_scale": link,
        }
    return preset(
        "fdmm" if static else "dmm",
        z1_rnn_type=f"{way}{'ReLURNN' if relu else 'LSTM'}",
        z1_units=[shape["q_z/loc/kernel"][0]],
        q_z_type="directions" if "q_z_backward/loc/kernel" in w else kind,
        q_z_scale=link,
        q_z_init_std=std,
        scale_floor=floor,
        use_generative_prior=c.get("use_generative_prior", False),
        z_prior_units=shape["transition/gate/0/kernel"][1],
        z_prior_scale=transition,
        z_prior_init_std=transition_std,
        input_factors=read_in[1] if read_in else 0,
        read_in_activation=c["embedding_activation"] if read_in else "linear",
        **changes,
    )


@functools.cache
def reference(path, case):
    """The model with the reference's weights, the case's config and its arrays by name."""
    with np.load(path) as file:
        c = json.loads(str(file["config"]))[case]
        data = {key.removeprefix(f"{case}/"): file[key] for key in file.files if key.startswith(f"{case}/")}
    w = {key.removeprefix("weights/"): value for key, value in data.items() if key.startswith("weights/")}
    # Any number of bins, since free draws have others.
    model = build_sequential_vae(params_of(c, w), None, data["in/x"].shape[-1])
    if "f_prior/raw_scale" in w:
        del w["f_prior/raw_scale"]
        w["f_prior/log_std"] = np.log(data["out/p_f_scale"])
    load_dsae_weights(model, w)
    return model, c, data


def given_noise(model, data):
    names = {key: model._graph_outputs[key].name for key in ("f", "z") if key in model._graph_outputs}
    # A model of one sample has no axis of samples.
    noise = {key: data[f"in/noise_{key}"].astype("float32") for key in names}
    return {name: noise[key] if model.params["q_f_samples"] > 1 else noise[key][:, 0] for key, name in names.items()}


@functools.cache
def computed(path, case):
    """Outputs, terms, and the gradients of the loss with all weights 1 and with those of the file, by role."""
    model, _, data = reference(path, case)
    x = tf.constant(data["in/x"], tf.float32)
    with sampling(GivenNoise(given_noise(model, data))), tf.GradientTape(persistent=True) as tape:
        out = model(x, training=True)
        terms = model.loss_terms(x, out)
        losses = {"loss_beta": tf.reduce_mean(terms["loss"]), "loss": tf.reduce_mean(terms["neg_elbo"])}
    variables = model.trainable_variables
    found = {}
    for name, loss in losses.items():
        values = tape.gradient(loss, [variable.value for variable in variables], unconnected_gradients="zero")
        found[name] = dict(zip([variable.path for variable in variables], values, strict=True))
    return out, terms, losses, found


def samples_axis(value, like):
    """`value` with the file's samples axis, of one sample or of equal ones, where the model has none."""
    value = np.asarray(value)
    if value.ndim == like.ndim:
        return value
    return np.repeat(value[:, None], like.shape[1], 1)


@pytest.mark.parametrize("path, case", cases())
def test_values(path, case):
    model, c, data = reference(path, case)
    out, terms, losses, _ = computed(path, case)
    expected = {key.removeprefix("out/"): value for key, value in data.items() if key.startswith("out/")}
    for name, mine in {
        "q_f_loc": lambda: out["q_f"].loc,
        "q_f_scale": lambda: out["q_f"].scale,
        "f": lambda: out["f"],
        "q_z_loc": lambda: out["q_z"].loc,
        "q_z_scale": lambda: out["q_z"].scale,
        "z": lambda: out["z"],
        "gen_out": lambda: out["p_x"][0],
        "nll": lambda: -np.asarray(out["p_x"].log_prob(target(out, data))),
    }.items():
        if name in expected:
            assert_close(samples_axis(mine(), expected[name]), expected[name])
    for name, term in (("nll", "nll"), ("kl_f", "kl_f"), ("kl_z", "kl_z")):
        if f"{name}_per_trial" in expected:
            assert_close(terms[term], expected[f"{name}_per_trial"])
    assert_close(-terms["neg_elbo"], expected["elbo"])
    for name in ("loss", "loss_beta"):
        assert_close(losses[name], expected[name])


def target(out, data):
    x = data["in/x"].astype("float32")
    return x[:, None] if len(out["p_x"][0].shape) == 4 else x


@pytest.mark.parametrize("path, case", cases())
def test_prior_along_the_samples(path, case):
    model, _, data = reference(path, case)
    prior = model.get_layer("z_prior")
    z = data["out/z"].astype("float32")
    p = prior.conditional(z)
    assert_close(p.loc, data["out/p_z_loc"])
    assert_close(p.scale, data["out/p_z_scale"])
    for name, value in (("gate", 2), ("proposal", 3)):
        if f"out/{name}" in data:
            assert_close(prior.transition(z[..., :-1, :])[value], data[f"out/{name}"])
    if "out/next_loc" in data:
        step = prior.transition(z)
        assert_close(step.loc, data["out/next_loc"])
        assert_close(step.scale, data["out/next_scale"])


@pytest.mark.parametrize("path, case", cases())
def test_divergences_by_dimension_and_sampled(path, case):
    model, _, data = reference(path, case)
    out, *_ = computed(path, case)
    prior, z = model.get_layer("z_prior"), data["out/z"].astype("float32")
    q, p = out["q_z"], prior.conditional(z)
    rank = len(q.loc.shape)
    q = q if rank == 4 else type(q)(*(part[:, None] for part in q[:2]))
    assert_close(q.kl_per_dimension(p), data["out/kl_z"])
    assert_close(q.log_prob(z) - p.log_prob(z), data["out/kl_z_sampled"], 3e-5)
    if "out/kl_f" in data:
        assert_close(model.get_layer("f_prior").kl_per_dimension(out["q_f"]), data["out/kl_f"])


@pytest.mark.parametrize("path, case", cases())
def test_gradients(path, case):
    model, _, data = reference(path, case)
    *_, gradients = computed(path, case)
    roles = dsae_roles(model)
    for kind, found in (("grad", gradients["loss"]), ("grad_beta", gradients["loss_beta"])):
        wanted = {key.removeprefix(f"{kind}/"): v for key, v in data.items() if key.startswith(f"{kind}/")}
        if "f_prior/raw_scale" in wanted:
            # Theirs is the gradient by what softplus makes a scale of; ours is by its logarithm.
            std = data["out/p_f_scale"]
            slope = -np.expm1(1e-5 - std) / std
            wanted["f_prior/log_std"] = wanted.pop("f_prior/raw_scale") / slope
        assert wanted.keys() <= roles.keys()
        for name, value in wanted.items():
            assert_close(roles[name].join([found[v.path] for v in roles[name].variables]), value, 1e-4)


@pytest.mark.parametrize("path, case", cases())
def test_swaps_and_free_draws(path, case):
    model, _, data = reference(path, case)
    f, z = data.get("out/f"), data["out/z"]
    for name, latents in (("f", (None if f is None else f[::-1], z)), ("z", (f, z[::-1]))):
        if f"out/swap_{name}_gen_out" in data:
            for s in range(z.shape[1]):
                decoded = model.decode(latents[0][:, s], latents[1][:, s])
                assert_close(decoded[0], data[f"out/swap_{name}_gen_out"][:, s])
    if "generate/z" in data:
        noise = data["generate/noise_z"].astype("float32")
        drawn = model.get_layer("z_prior").rollout(noise)
        assert_close(drawn, data["generate/z"])
        p = model.get_layer("z_prior").conditional(drawn)
        if "generate/prior_loc" in data:
            assert_close(p.loc, data["generate/prior_loc"])
            assert_close(p.scale, data["generate/prior_scale"])
        f = data.get("generate/f")
        if f is not None and "out/p_f_scale" in data:
            prior = model.get_layer("f_prior").gaussian()
            assert_close(prior.loc + prior.scale * data["generate/noise_f"], f)
        f = data["generate/noise_f"] if f is None and "generate/noise_f" in data else f
        assert_close(model.decode(f, drawn)[0], data["generate/gen_out"])


def having(key):
    """The cases whose file holds a value."""
    found = []
    for parameter in cases():
        path, case = parameter.values
        if path is not None:
            with np.load(path) as file:
                found += [parameter] if f"{case}/{key}" in file.files else []
    return found or [pytest.param(None, None, marks=pytest.mark.skip(f"no case with {key}"))]


@pytest.mark.parametrize("path, case", having("reference/free/path"))
def test_the_free_running_prior_of_the_reference(path, case):
    """Its prior runs on its own samples, and the posterior is compared with it there."""
    model, _, data = reference(path, case)
    out, *_ = computed(path, case)
    path_ = data["reference/free/path"]
    prior = model.get_layer("z_prior")
    assert_close(prior.rollout(data["reference/free/noise"].astype("float32")), path_)
    p = prior.conditional(path_.astype("float32"))
    assert_close(p.loc, data["reference/free/p_z_loc"])
    assert_close(p.scale, data["reference/free/p_z_scale"])
    like = data["reference/free/kl_z"]
    q = type(p)(*(samples_axis(part, like) for part in out["q_z"][:2]))
    assert_close(q.kl_per_dimension(p), like)


@pytest.mark.parametrize("path, case", having("reference/p_z_loc_1"))
def test_the_first_bin_of_the_reference(path, case):
    """Theirs begins with the transition from zero; ours with N(0, I)."""
    model, _, data = reference(path, case)
    prior, first = model.get_layer("z_prior"), data["reference/p_z_loc_1"]
    p = prior.transition(np.zeros_like(first, "float32"))
    assert_close(p.loc, first)
    assert_close(p.scale, data["reference/p_z_scale_1"])
    started = prior.conditional(np.ones((1, 2, first.shape[-1]), "float32"))
    assert_close(started.loc[:, 0], np.zeros((1, first.shape[-1])))
    assert_close(started.scale[:, 0], np.ones((1, first.shape[-1])))


@pytest.mark.parametrize("path, case", having("reference/recon_loss"))
def test_the_means_of_the_reference_are_other_betas(path, case):
    """Means over bins, channels and dimensions by themselves weight the KL of z by N / Z and that of f by T N / F."""
    _, c, data = reference(path, case)
    _, terms, *_ = computed(path, case)
    n_times, n_channels = data["in/x"].shape[1:]
    nll, kl_f, kl_z = (np.mean(terms[name]) for name in ("nll", "kl_f", "kl_z"))
    per_element = 1 / (n_times * n_channels)
    beta_f, beta_z = n_times * n_channels / c["sizes"]["F"], n_channels / c["sizes"]["Z"]
    assert_close(per_element * (nll + beta_f * kl_f + beta_z * kl_z), data["reference/loss"])
    assert_close(per_element * nll, data["reference/recon_loss"])
    assert_close(np.mean(terms["neg_elbo"]) / n_times, data["reference/bound"])
