"""The weights of disentangling and deep Markov models by what they do: to read them, or to load those of another library."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from indl.model.roles.sequence import Role, assign_roles, values_of
from indl.rnn.transition import MAPS

#: What the raw scale of a link is called.
_SCALES = {"softplus": "raw_scale", "log_variance": "log_variance", "softplus_variance": "raw_variance"}


def dsae_roles(model: keras.Model) -> dict[str, Role]:
    """The roles of a model with per-bin or recurrent encoders, prior and generator: all of its trained variables.

    ========================================================= =====================================================
    embedding/0/{kernel,bias}                                 read-in of both encoders
    f_encoder/{forward,backward}/{kernel, recurrent_kernel, bias}   the first layer; f_encoder_1 the second, and so on
    q_f/{loc, SCALE}/{kernel,bias}                            heads; SCALE is raw_scale, log_variance or raw_variance
    z1/{forward,backward}/..., or z1/0/{kernel,bias} (Dense)  as f_encoder
    z2/{kernel, recurrent_kernel, bias}                       forward
    q_z/{loc, SCALE}/..., q_z_backward/...                    heads, of the second direction in a product of directions
    combiner/{kernel,bias}                                    from z; with a static latent combiner/z and combiner/f
    data_embedding/{kernel,bias}                              of a product with the transition
    z_prior/rnn/{kernel, recurrent_kernel, bias}, z_prior/{loc, SCALE}/...
    transition/{gate,proposal}/{0,1}/..., transition/{linear, variance}/...    variance: raw_scale of a softplus
    generator/{i}/{kernel,bias}                               a Dense generator; a recurrent one as z2
    readout/{kernel,bias}
    f_prior/..., z_prior/...                                  others: as the layer names its variables
    ========================================================= =====================================================

    Columns of LSTM kernels are in the order input, forget, candidate, output. Kernels are (in, out).
    """
    layers = {layer.name: layer for layer in model.layers}
    roles: dict[str, Role] = {}
    for role, name in (("embedding/0", "read_in"), ("readout", "readout")):
        roles |= _maps(role, layers[name]) if name in layers else {}
    for role, start in (("f_encoder", "f_rnn"), ("z1", "z1"), ("generator", "gen")):
        stack = itertools.takewhile(layers.__contains__, (f"{start}_{i}" for i in itertools.count()))
        for i, name in enumerate(stack):
            roles |= _layer(role, i, layers[name], directed=role != "generator")
    if "z2" in layers:
        roles |= _layer("z2", 0, layers["z2"], directed=False)
    for name in ("q_f", "q_z", "q_z_backward"):
        if name in layers:
            roles |= _posterior(name, layers[name])
    for name in ("f_prior", "z_prior"):
        if name in layers:
            roles |= _prior(name, layers[name])
    return roles


def dsae_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all roles; see :func:`dsae_roles`."""
    return values_of(dsae_roles(model))


def load_dsae_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Sets the roles of a model.

    Args:
        model: the model.
        weights: an array for every role of the model.

    Raises:
        ValueError: a role is missing, is not known, or has another shape; the model is unchanged then.
    """
    assign_roles(dsae_roles(model), weights)


def _maps(role: str, layer: Any) -> dict[str, Role]:
    return {f"{role}/{name}": Role((getattr(layer, name),)) for name in ("kernel", "bias")}


def _pair(role: str, pair: tuple[Any, Any]) -> dict[str, Role]:
    return {f"{role}/{name}": Role((variable,)) for name, variable in zip(("kernel", "bias"), pair, strict=True)}


def _layer(role: str, i: int, layer: keras.Layer, directed: bool) -> dict[str, Role]:
    """One layer of a stack: a Dense one by its number, a recurrent one by its directions, or without where it has one."""
    if not hasattr(layer, "weights_of"):
        return _maps(f"{role}/{i}", layer)
    role = f"{role}_{i}" if i else role
    return {
        f"{role}/{f'{way}/' if directed else ''}{name}": Role((variable,))
        for way, weights in layer.weights_of.items()
        for name, variable in weights.items()
    }


def _heads(role: str, head: Any) -> dict[str, Role]:
    return _maps(f"{role}/loc", head.loc) | _maps(f"{role}/{_SCALES[head.scale_link]}", head.raw_scale)


def _posterior(role: str, layer: Any) -> dict[str, Role]:
    if not hasattr(layer, "maps"):
        return _heads(role, layer)
    found = _pair(f"{role}/loc", layer.heads[0]) | _pair(f"{role}/{_SCALES[layer.link]}", layer.heads[1])
    if "h" in layer.maps:
        found |= _pair("data_embedding", layer.maps["h"])
    elif "f" in layer.maps:
        found |= _pair("combiner/z", layer.maps["z"]) | _pair("combiner/f", layer.maps["f"])
    else:
        found |= _pair("combiner", layer.maps["z"])
    return found | ({f"{role}/z_start": Role((layer.z_start,))} if layer.train_start else {})


def _prior(role: str, layer: Any) -> dict[str, Role]:
    if hasattr(layer, "rnn"):
        return _layer(f"{role}/rnn", 0, layer.rnn, directed=False) | _heads(role, layer.head)
    if hasattr(layer, "maps"):
        scale = "raw_scale" if layer.link == "softplus" else "variance"
        names = {"gate_0": "gate/0", "gate_1": "gate/1", "proposal_0": "proposal/0", "proposal_1": "proposal/1"}
        names |= {"linear": "linear", "scale": scale}
        pairs = zip(layer.maps[::2], layer.maps[1::2], strict=True)
        found: dict[str, Role] = {}
        for name, pair in zip(MAPS, pairs, strict=True):
            found |= _pair(f"transition/{names[name]}", pair)
        return found
    return {f"{role}/{variable.path.partition('/')[2]}": Role((variable,)) for variable in layer.trainable_weights}
