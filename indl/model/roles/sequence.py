"""The weights of an LFADS model by what they do: to read them, or to load those of another library."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np


class Role(NamedTuple):
    """Where the values of one role live.

    Attributes:
        variables: the variables that hold them, in order.
        axis: the axis along which they are joined.
        factor: what the variables are multiplied by to give the values.
    """

    variables: tuple[Any, ...]
    axis: int = 0
    factor: float = 1.0

    def join(self, parts: Any) -> np.ndarray:
        """The values of the role from those of its variables (or from their gradients, with factor 1)."""
        return np.concatenate([np.asarray(part) for part in parts], self.axis)


#: Names of priors' variables that are not those of their roles, and what the values are multiplied by.
_OF_PRIORS = {"loc": ("mean", 1.0), "log_std": ("log_variance", 2.0)}


def lfads_roles(model: keras.Model) -> dict[str, Role]:
    """The roles of a model whose generator is the complex cell: all of its trained variables, and what LFADS fixes.

    ===================================================== =============================================
    read_in/{kernel,bias}                                 with input_factors; sessions on a first axis
    ic_encoder/{forward,backward}/{kernel, recurrent_kernel, bias}, ic_encoder/initial_state (2, units)
    ic_encoder/{kernel,bias}                              of a Dense encoder
    ic_encoder_1/...                                      its second layer, and so on
    ic_posterior/{kernel,bias}                            columns: means, log variances
    ci_encoder/..., ci_encoder_1/...                      as ic_encoder; with a controller only
    controller/{kernel, recurrent_kernel, bias, initial_state}, co_posterior/{kernel,bias}
    generator_initial_state/{kernel,bias}                 from f
    generator_initial_state/state                         (units,), without f
    generator/{kernel, recurrent_kernel, bias}, factors/kernel
    readout/{kernel,bias}                                 sessions on a first axis
    readout/scale                                         of a zero-inflated Gamma
    ic_prior/{mean, log_variance}
    co_prior/{log_tau, log_noise_variance, mean}          AR(1); the mean where it is trained
    co_prior/{mean, log_variance}                         Gaussian
    co_prior/{mean, log_variance, log_df}                 Student-t: of the squared scale, and log(df - 1)
    ic_prior/..., co_prior/...                            others: as the layer names its variables
    ===================================================== =============================================

    Columns of GRU kernels are in the order update, reset, candidate. Kernels are (in, out).

    Raises:
        ValueError: the model has no complex cell.
    """
    layers = {layer.name: layer for layer in model.layers}
    if "complex_cell" not in layers:
        raise ValueError(
            f"Only a model with LFADS's complex cell has these roles. Given: layers {sorted(layers)}. "
            "Build one with preset('lfads')."
        )
    cell = layers["complex_cell"]
    roles = {f"generator/{name}": Role((variable,)) for name, variable in cell.generator.items()}
    roles["factors/kernel"] = Role((cell.factors_kernel,))
    for role, name in (("read_in",) * 2, ("readout",) * 2, ("generator_initial_state", "gen_0_h0")):
        if name in layers:
            roles |= _plain(role, layers[name])
    for role, start in (("ic_encoder", "f_rnn"), ("ci_encoder", "z1")):
        stack = itertools.takewhile(layers.__contains__, (f"{start}_{i}" for i in itertools.count()))
        for i, name in enumerate(stack):
            roles |= _encoder(f"{role}_{i}" if i else role, layers[name])
    if "q_f" in layers:
        for name, axis in (("kernel", 1), ("bias", 0)):
            parts = (layers["q_f"].loc, layers["q_f"].raw_scale)
            roles[f"ic_posterior/{name}"] = Role(tuple(getattr(part, name) for part in parts), axis)
    if cell.size:
        roles |= {f"controller/{name}": Role((variable,)) for name, variable in cell.controller.items()}
        roles["controller/initial_state"] = Role((cell.controller_state,))
        roles |= {f"co_posterior/{name}": Role((getattr(cell, f"posterior_{name}"),)) for name in ("kernel", "bias")}
    for role, name in (("ic_prior", "f_prior"), ("co_prior", "z_prior")):
        if name in layers:
            roles |= _prior(role, layers[name])
    return roles


def _plain(role: str, layer: keras.Layer) -> dict[str, Role]:
    """The variables of a layer under their own names."""
    return {f"{role}/{variable.name}": Role((variable,)) for variable in layer.weights}


def _encoder(role: str, layer: keras.Layer) -> dict[str, Role]:
    """One layer of an encoder: directions with an initial state, which both share as one role, or a Dense layer."""
    if not hasattr(layer, "weights_of"):
        return _plain(role, layer)
    roles: dict[str, Role] = {}
    states: list[Any] = []
    for way, weights in layer.weights_of.items():
        roles |= {f"{role}/{way}/{name}": Role((weights[name],)) for name in ("kernel", "recurrent_kernel", "bias")}
        states += [weights["initial_state"]] if "initial_state" in weights else []
    return {**roles, f"{role}/initial_state": Role(tuple(states))} if states else roles


def _prior(role: str, layer: keras.Layer) -> dict[str, Role]:
    roles = {}
    for variable in layer.weights:
        own = variable.path.partition("/")[2]
        name, factor = _OF_PRIORS.get(own, (own, 1.0))
        roles[f"{role}/{name}"] = Role((variable,), factor=factor)
    if layer.time_constants() is not None and not layer.train_mean:
        # LFADS's own process has none.
        del roles[f"{role}/mean"]
    return roles


def lfads_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all roles; see :func:`lfads_roles`."""
    return values_of(lfads_roles(model))


def load_lfads_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Sets the roles of a model.

    Args:
        model: a model with the complex cell.
        weights: an array for every role of the model.

    Raises:
        ValueError: a role is missing, is not known, or has another shape; the model is unchanged then.
    """
    assign_roles(lfads_roles(model), weights)


def values_of(roles: Mapping[str, Role]) -> dict[str, np.ndarray]:
    """The values of roles by name."""
    return {name: role.factor * role.join(role.variables) for name, role in roles.items()}


def assign_roles(roles: Mapping[str, Role], weights: Mapping[str, Any]) -> None:
    """Sets roles; see :func:`load_lfads_weights`."""
    values = checked_weights(values_of(roles), weights)
    for name, role in roles.items():
        start = 0
        for variable in role.variables:
            stop = start + variable.shape[role.axis]
            part = np.take(values[name], np.arange(start, stop), role.axis)
            variable.assign(np.asarray(part / role.factor, part.dtype))
            start = stop


def checked_weights(current: Mapping[str, np.ndarray], weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights by role as arrays.

    Args:
        current: the values of all roles of a model.
        weights: those to set.

    Raises:
        ValueError: a role is missing, is not known, or has another shape.
    """
    values = {name: np.asarray(value) for name, value in weights.items()}
    wrong = [
        f"{name}: {'none' if name not in values else values[name].shape} instead of {value.shape}"
        for name, value in current.items()
        if name not in values or values[name].shape != value.shape
    ]
    wrong += [f"{name}: not a role of this model" for name in values if name not in current]
    if wrong:
        raise ValueError(
            f"The weights do not fit the model. Given: {'; '.join(wrong[:5])}. Build the model with the sizes, and the "
            "parts, of the one that the weights come from."
        )
    return values
