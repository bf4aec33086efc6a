"""The weights of an FHVAE by what they do: to read them, or to load those of another implementation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from indl.model.roles.sequence import checked_weights

#: What the layers of a stack are called.
_STACKS = {"f_encoder": "f_rnn", "z_encoder": "z1", "generator": "gen"}


class Columns(NamedTuple):
    """Where the values of one role live: in some columns of a variable.

    Attributes:
        variable: the variable.
        columns: which of its last axis.
    """

    variable: Any
    columns: slice = slice(None)

    def of(self, values: Any) -> np.ndarray:
        """The part of the role in values of the variable, or in its gradient."""
        return np.asarray(values)[..., self.columns]


def fhvae_roles(model: keras.Model) -> dict[str, Columns]:
    """The roles of a model with a table of sequence means and recurrent stacks: all of its trained variables.

    ================================================================== ===========================================
    f_prior/table                                                      (rows, F)
    f_encoder/{i}/{kernel, recurrent_kernel, bias}                     one for each layer; z_encoder and generator alike
    q_f/{loc, log_variance}/{kernel, bias}, q_z/...                    heads
    readout/loc/{kernel, bias}, readout/log_variance/{kernel, bias}    the second of signals with a learned variance
    ================================================================== ===========================================

    Columns of LSTM kernels are in the order input, forget, candidate, output. Kernels are (in, out).

    Raises:
        ValueError: the model has no table of sequence means.
    """
    layers = {layer.name: layer for layer in model.layers}
    if not hasattr(layers.get("f_prior"), "table"):
        raise ValueError(
            f"Only a model with a table of sequence means has these roles. Given: layers {sorted(layers)}. Build one "
            "with preset('fhvae')."
        )
    roles = {"f_prior/table": Columns(layers["f_prior"].table)}
    for role, start in _STACKS.items():
        stack = itertools.takewhile(layers.__contains__, (f"{start}_{i}" for i in itertools.count()))
        for i, name in enumerate(stack):
            weights = layers[name].weights_of["forward"]
            roles |= {f"{role}/{i}/{key}": Columns(variable) for key, variable in weights.items()}
    for name in ("q_f", "q_z"):
        heads = {"loc": layers[name].loc, "log_variance": layers[name].raw_scale}
        roles |= {
            f"{name}/{head}/{key}": Columns(getattr(dense, key))
            for head, dense in heads.items()
            for key in ("kernel", "bias")
        }
    readout = layers["readout"]
    for i, name in enumerate(("loc", "log_variance")[: readout.parameters_per_channel]):
        columns = slice(i * readout.n_channels, (i + 1) * readout.n_channels)
        roles |= {f"readout/{name}/{key}": Columns(getattr(readout, key), columns) for key in ("kernel", "bias")}
    return roles


def fhvae_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The values of all roles; see :func:`fhvae_roles`."""
    return {name: role.of(role.variable) for name, role in fhvae_roles(model).items()}


def load_fhvae_weights(model: keras.Model, weights: Mapping[str, Any]) -> None:
    """Sets the roles of a model.

    Args:
        model: the model.
        weights: an array for every role of the model.

    Raises:
        ValueError: a role is missing, is not known, or has another shape; the model is unchanged then.
    """
    values = checked_weights(fhvae_weights(model), weights)
    for name, role in fhvae_roles(model).items():
        whole = np.asarray(role.variable).copy()
        whole[..., role.columns] = values[name]
        role.variable.assign(whole)
