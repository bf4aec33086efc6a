"""The parts of a sequential model by what they are for: the one place that knows the names of their layers."""

from __future__ import annotations

from typing import Any

import keras


def part_of(model: keras.Model, name: str) -> Any:
    """The layer that plays a part, or None where the model has none.

    Args:
        model: a model of any family.
        name: ``"read_in"``, ``"readout"``, ``"f_prior"`` or ``"z_prior"``.
    """
    return next((layer for layer in model.layers if layer.name == name), None)


#: Beginnings of the paths of what p(x, f, z) is made of; the complex cell holds parts of both sides.
_GENERATIVE = ("gen", "factors", "readout", "f_prior", "z_prior", "z_to_gen", "f_to_gen")
_GENERATIVE_OF_CELL = ("generator", "factors")


def of_posterior(path: str) -> bool:
    """Whether a variable, by its path, belongs to encoders and posteriors, and not to generator, read-out or priors."""
    layer, _, name = path.partition("/")
    if layer == "complex_cell":
        return not name.startswith(_GENERATIVE_OF_CELL)
    return not layer.startswith(_GENERATIVE)
