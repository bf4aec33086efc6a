"""Beside pi-vae-pytorch itself, where it is installed: the same weights and noise give the same numbers."""

import numpy as np
import pytest
import tensorflow as tf

from indl.model.pi_vae import build_pi_vae, compute_loss
from indl.model.pi_vae.model import OTHER_NAMES
from indl.model.roles.pi_vae import from_pi_vae_pytorch, load_pi_vae_weights, pi_vae_weights
from indl.params import preset
from indl.sampling.modes import GivenNoise, sampling
from tests.checks import assert_close

pytestmark = pytest.mark.parity
CASES = [
    *[(True, "poisson"), (False, "gaussian")],
    *(pytest.param(*case, marks=pytest.mark.slow) for case in [(True, "gaussian"), (False, "poisson")]),
]


def state_like(model):
    """Names and arrays as the port's `state_dict` gives them, from a model of ours."""
    found = {}
    for role, value in pi_vae_weights(model).items():
        parts = role.split("/")
        end = {"kernel": "weight", "bias": "bias"}.get(parts[-1])
        value = value.T if end == "weight" else value
        if parts[0] in ("encoder", "label_prior") and end:
            found[f"{parts[0]}.net.net.{2 * int(parts[1])}.{end}"] = value
        elif parts[0] == "label_prior":
            found[f"label_prior.embedded_{parts[1].removesuffix('_embedding')}.weight"] = value
        elif parts[0] == "observation_noise":
            found["observation_noise_model.weight"] = value[:, None]
        elif parts[1] == "nflow":
            found[f"decoder.n_flow.net.net.{2 * int(parts[2])}.{end}"] = value
        elif parts[2] == "permutation":
            found[f"decoder.gin_blocks.{2 * int(parts[1][5:])}.perm"] = value
            found[f"decoder.gin_blocks.{2 * int(parts[1][5:])}.invperm"] = np.argsort(value)
        else:
            block, depth = 2 * int(parts[1][5:]) + 1, parts[2][8:]
            found[f"decoder.gin_blocks.{block}.net.{depth}.net.net.{2 * int(parts[3])}.{end}"] = value
    return found


@pytest.mark.parametrize("discrete, kind", CASES)
def test_names_of_the_port_are_roles(discrete, kind):
    params = preset("pi_vae_port", discrete_labels=discrete, decoder_observation_model=kind)
    source, other = (build_pi_vae(params, 20, 3) for _ in range(2))
    load_pi_vae_weights(other, from_pi_vae_pytorch(state_like(source)))
    for name, value in pi_vae_weights(source).items():
        np.testing.assert_array_equal(pi_vae_weights(other)[name], value)
    with pytest.raises(ValueError, match=r"Given: 'decoder.scale'"):
        from_pi_vae_pytorch({"decoder.scale": np.zeros(3)})


@pytest.mark.parametrize("discrete, kind", CASES)
def test_outputs_losses_and_gradients(discrete, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    port = pytest.importorskip("pi_vae_pytorch", reason="pi-vae-pytorch is not installed")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.poisson(2.0, (9, 20)).astype("float32")
    u = rng.integers(0, 3, 9) if discrete else rng.normal(size=(9, 3)).astype("float32")
    theirs = port.PiVAE(x_dim=20, u_dim=3, z_dim=2, discrete_labels=discrete, decoder_observation_model=kind)
    params = preset("pi_vae_port_1_1", discrete_labels=discrete, decoder_observation_model=kind)
    ours = build_pi_vae(params, 20, 3)
    load_pi_vae_weights(ours, from_pi_vae_pytorch(theirs.state_dict()))

    wanted = theirs(torch.from_numpy(x), torch.from_numpy(u))
    deviation = np.exp(0.5 * wanted["posterior_log_variance"].detach().numpy())
    noise = ((wanted["posterior_z_sample"] - wanted["posterior_mean"]).detach().numpy()) / deviation
    with sampling(GivenNoise({"z_sample": noise})), tf.GradientTape() as tape:
        found = ours(x, u)
        terms = ours.loss_terms(x, found)
        total = tf.reduce_mean(terms["loss"])
    for name, other in OTHER_NAMES.items():
        assert_close(found[name], wanted[other].detach().numpy(), 2e-5)

    extra = {} if kind == "poisson" else {"observation_noise_model": theirs.observation_noise_model}
    names = ("posterior_firing_rate", "posterior_mean", "posterior_log_variance", "label_mean", "label_log_variance",
             "encoder_mean", "encoder_log_variance")  # fmt: skip
    loss_of = port.ELBOLoss(alpha=0.5, observation_model=kind)
    loss = loss_of(x=torch.from_numpy(x), **{name: wanted[name] for name in names}, **extra)
    assert_close(total, loss.detach().numpy())
    keys = ("firing_rate", "lambda_mean", "lambda_log_variance", "posterior_mean", "posterior_log_variance")
    function = compute_loss(
        x,
        *(found[key] for key in keys),
        kind,
        ours.observation_noise_model,
        found["z_mean"],
        found["z_log_variance"],
        alpha=0.5,
    )
    assert_close(function, loss.detach().numpy())
    loss.backward()
    layer = ours.get_layer("encoder").dense[0].kernel
    weight = dict(theirs.named_parameters())["encoder.net.net.0.weight"]
    assert_close(tape.gradient(total, layer.value), weight.grad.numpy().T, 1e-4)
