"""Families of models, each behind one set of functions: by these everything else trains, tunes, scores and loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from indl.model.families.base import Family
from indl.model.families.pi_vae import PiVAEFamily
from indl.model.families.sequence import SequenceFamily
from indl.model.latent_model import LatentModel
from indl.params import validate_params

FAMILIES: tuple[Family, ...] = (SequenceFamily(), PiVAEFamily())

__all__ = ["FAMILIES", "Family", "family_of"]


def family_of(which: Mapping[str, Any] | LatentModel) -> Family:
    """The family of params, by their ``family``, or of a model, by its class.

    Raises:
        ValueError: params that do not validate, or a model of no family.
    """
    if not isinstance(which, keras.Model):
        name = validate_params(which)["family"]
        return next(family for family in FAMILIES if family.table.family == name)
    for family in FAMILIES:
        if isinstance(which, family.model):
            return family
    known = ", ".join(family.model.__name__ for family in FAMILIES)
    raise ValueError(f"The model is of no family. Given: {type(which).__name__}. Pass a {known}.")
