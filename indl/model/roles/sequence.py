"""The weights of an LFADS model by what they do: to read them, or to load those of another library."""

from __future__ import annotations

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


def lfads_roles(model: keras.Model) -> dict[str, Role]:
    """The roles of a model whose generator is the complex cell.

    ===================================================== =============================================
    ic_encoder/{forward,backward}/{kernel, recurrent_kernel, bias}, ic_encoder/initial_state (2, units)
    ic_posterior/{kernel,bias}                            columns: means, log variances
    ci_encoder/...                                        as ic_encoder; with a controller only
    controller/{kernel, recurrent_kernel, bias, initial_state}, co_posterior/{kernel,bias}
    generator_initial_state/{kernel,bias}, generator/{kernel, recurrent_kernel, bias}
    factors/kernel, readout/{kernel,bias}
    ic_prior/{mean, log_variance}, co_prior/{log_tau, log_noise_variance}
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
    for name in ("kernel", "bias"):
        roles[f"readout/{name}"] = Role((getattr(layers["readout"], name),))
    encoders = {"ic_encoder": "f_rnn_0", "ci_encoder": "z1_0"}
    for role, layer in encoders.items():
        if layer not in layers:
            continue
        directions = layers[layer].weights_of
        states = []
        for way, weights in directions.items():
            roles |= {f"{role}/{way}/{name}": Role((weights[name],)) for name in ("kernel", "recurrent_kernel", "bias")}
            states += [weights["initial_state"]] if "initial_state" in weights else []
        if states:
            roles[f"{role}/initial_state"] = Role(tuple(states))
    if "q_f" in layers:
        for name, axis in (("kernel", 1), ("bias", 0)):
            parts = (layers["q_f"].loc, layers["q_f"].raw_scale)
            roles[f"ic_posterior/{name}"] = Role(tuple(getattr(part, name) for part in parts), axis)
            roles[f"generator_initial_state/{name}"] = Role((getattr(layers["gen_0_h0"], name),))
    if cell.size:
        roles |= {f"controller/{name}": Role((variable,)) for name, variable in cell.controller.items()}
        roles["controller/initial_state"] = Role((cell.controller_state,))
        roles |= {f"co_posterior/{name}": Role((getattr(cell, f"posterior_{name}"),)) for name in ("kernel", "bias")}
    if "f_prior" in layers:
        roles["ic_prior/mean"] = Role((layers["f_prior"].loc,))
        roles["ic_prior/log_variance"] = Role((layers["f_prior"].log_std,), factor=2.0)
    if hasattr(layers.get("z_prior"), "log_tau"):
        for name in ("log_tau", "log_noise_variance"):
            roles[f"co_prior/{name}"] = Role((getattr(layers["z_prior"], name),))
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
    values = {name: np.asarray(value) for name, value in weights.items()}
    current = values_of(roles)
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
    for name, role in roles.items():
        start = 0
        for variable in role.variables:
            stop = start + variable.shape[role.axis]
            part = np.take(values[name], np.arange(start, stop), role.axis)
            variable.assign(np.asarray(part / role.factor, part.dtype))
            start = stop
