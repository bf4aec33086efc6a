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
