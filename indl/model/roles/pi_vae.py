"""The weights of a pi-VAE by what they do: to read them, or to load those of another library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from indl.layers.mlp import MLP
from indl.model.roles.sequence import Role, assign_roles, values_of

#: Names of the PyTorch port's weights, and the roles that they are. The port calls the label prior z_prior in 1.0.
_END, _LAYER = r"\.(?:weight|bias)", r"(?P<layer>\d+)"
_PORT = (
    (rf"encoder\.net\.net\.{_LAYER}{_END}", "encoder/{layer}"),
    (rf"(?:label|z)_prior\.net\.net\.{_LAYER}{_END}", "label_prior/{layer}"),
    (r"(?:label|z)_prior\.embedded_mean\.weight", "label_prior/mean_embedding"),
    (r"(?:label|z)_prior\.embedded_log_variance\.weight", "label_prior/log_variance_embedding"),
    (rf"decoder\.n_flow\.net\.net\.{_LAYER}{_END}", "decoder/nflow/{layer}"),
    (r"decoder\.gin_blocks\.(?P<block>\d+)\.perm", "decoder/block{block}/permutation"),
    (
        rf"decoder\.gin_blocks\.(?P<block>\d+)\.net\.(?P<depth>\d+)\.net\.net\.{_LAYER}{_END}",
        "decoder/block{block}/coupling{depth}/{layer}",
    ),
    (r"observation_noise_model\.weight", "observation_noise/log_variance"),
)


def pi_vae_roles(model: keras.Model) -> dict[str, Role]:
    """The roles of a model that :func:`indl.model.pi_vae.build_pi_vae` has made.

    ======================================================= ==================================================
    encoder/{i}/{kernel,bias}                               the last gives means, then log variances
    label_prior/{mean_embedding,log_variance_embedding}     (classes, Z), for discrete labels
    label_prior/{i}/{kernel,bias}                           for continuous ones
    decoder/nflow/{i}/{kernel,bias}                         the lift
    decoder/block{b}/permutation                            ``h_new = h[:, permutation]``
    decoder/block{b}/coupling{l}/{i}/{kernel,bias}          the same variables for every l where they are shared
    observation_noise/log_variance                          Gaussian observations only
    ======================================================= ==================================================

    Kernels are (in, out).
    """
    layers = {layer.name: layer for layer in model.layers}
    roles = _dense("encoder", layers["encoder"])
    prior = layers["label_prior"]
    if prior.u_type == "discrete":
        names = ("mean_embedding", "log_variance_embedding")
        roles |= {f"label_prior/{name}": Role((getattr(prior, name),)) for name in names}
    else:
        roles |= _dense("label_prior", prior.network)
    flow = layers["flow"]
    if flow.lift.network is not None:
        roles |= _dense("decoder/nflow", flow.lift.network)
    for b, block in enumerate(flow.blocks):
        roles[f"decoder/block{b}/permutation"] = Role((block.permutation.order,), factor=1)
        for i, coupling in enumerate(block.couplings):
            roles |= _dense(f"decoder/block{b}/coupling{i}", coupling.network)
    if "observation_noise" in layers:
        roles["observation_noise/log_variance"] = Role((layers["observation_noise"].log_variance,))
    return roles


def pi_vae_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all roles; see :func:`pi_vae_roles`."""
    return values_of(pi_vae_roles(model))


def load_pi_vae_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Sets the roles of a model; of shared couplings the last one counts.

    Args:
        model: a model of the same sizes.
        weights: an array for every role of the model.

    Raises:
        ValueError: a role is missing, is not known, or has another shape; the model is unchanged then.
    """
    assign_roles(pi_vae_roles(model), weights)


def _dense(role: str, network: MLP) -> dict[str, Role]:
    return {
        f"{role}/{i}/{name}": Role((getattr(layer, name),))
        for i, layer in enumerate(network.dense)
        for name in ("kernel", "bias")
    }


def from_pi_vae_pytorch(state: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Roles from the ``state_dict()`` of pi-vae-pytorch 1.x, for :func:`load_pi_vae_weights`.

    Build the model with ``decoder_share_couplings=True``, as the port's are, and with its sizes.

    Args:
        state: names and tensors, on the CPU.

    Raises:
        ValueError: a name that the port does not have.
    """
    found = {}
    for name, tensor in state.items():
        value, end = np.asarray(tensor), name.rpartition(".")[2]
        if end == "invperm":
            continue
        matches = [(match, role) for pattern, role in _PORT if (match := re.fullmatch(pattern, name))]
        if not matches:
            raise ValueError(
                f"A weight is not one of pi-vae-pytorch. Given: {name!r}. Pass model.state_dict() of its PiVAE, "
                "version 1.0 or 1.1."
            )
        match, role = matches[0]
        # Layers alternate with activations, and blocks with permutations.
        halved = {key: int(text) // 2 for key, text in match.groupdict().items() if key != "depth"}
        role = role.format(**{**match.groupdict(), **halved})
        if role == "observation_noise/log_variance":
            found[role] = value[:, 0]
        elif "embedding" in role or end == "perm":
            found[role] = value
        else:
            # Kernels are (out, in) there.
            found[f"{role}/{'kernel' if end == 'weight' else 'bias'}"] = value.T
    return found
