"""The weights of an iVAE by their roles, as its own code has them: separate networks for mean and log variance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from indl.model.roles.sequence import Role, assign_roles, values_of


def ivae_roles(model: keras.Model) -> dict[str, Role]:
    """The roles of a model with `q_z_units`, a label prior by a network, and a dense generator.

    ======================================= =====================================================
    q_z/{loc, log_variance}/{i}/{kernel,bias}   both networks of the posterior, the last one linear
    p_z/{i}/{kernel,bias}                       the network of the prior; p_z/log_variance/{i} of zero means
    decoder/{i}/{kernel,bias}                   generator, and behind it the read-out
    ======================================= =====================================================

    Kernels are (in, out).
    """
    layers = {layer.name: layer for layer in model.layers}
    posterior, prior = layers["q_z"], layers["z_prior"]
    generator = [layer for name, layer in layers.items() if name.startswith("gen_") and hasattr(layer, "kernel")]
    networks = {
        "q_z/loc": posterior.loc.dense,
        "q_z/log_variance": posterior.raw_scale.dense,
        "p_z" if prior.train_mean else "p_z/log_variance": prior.network.dense,
        "decoder": [*generator, layers["readout"]],
    }
    return {
        f"{role}/{i}/{name}": Role((getattr(layer, name),))
        for role, dense in networks.items()
        for i, layer in enumerate(dense)
        for name in ("kernel", "bias")
    }


def ivae_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all roles; see :func:`ivae_roles`."""
    return values_of(ivae_roles(model))


def load_ivae_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Sets the roles of a model.

    Args:
        model: the model.
        weights: an array for every role of the model.

    Raises:
        ValueError: a role is missing, is not known, or has another shape; the model is unchanged then.
    """
    assign_roles(ivae_roles(model), weights)
