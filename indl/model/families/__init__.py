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
from indl.params.families import FAMILIES as TABLES

FAMILIES: dict[str, Family] = {family.table.family: family for family in (SequenceFamily(), PiVAEFamily())}
_OWN = tuple(FAMILIES)

__all__ = ["FAMILIES", "Family", "PiVAEFamily", "SequenceFamily", "add_family", "family_of"]


def add_family(family: Family) -> None:
    """Makes a family known: its presets, training, search, runs and scores are then those of any other.

    A family of the same name that was added before is replaced, as when a cell of a notebook runs again. A process of
    its own, such as the trial of an isolated search, knows the family only if it imports what adds it.

    Raises:
        ValueError: its name, or one of its presets, belongs to another family.
    """
    table = family.table
    if table.family in _OWN:
        raise ValueError(
            f"The library has a family of that name. Given: {table.family!r}. Choose a name other than "
            f"{', '.join(_OWN)}."
        )
    others = {name for key, other in TABLES.items() if key != table.family for name in other.presets}
    if taken := sorted(others & set(table.presets)):
        raise ValueError(f"Another family has a preset of that name. Given: {', '.join(taken)}. Rename the preset.")
    TABLES[table.family], FAMILIES[table.family] = table, family


def family_of(which: Mapping[str, Any] | LatentModel) -> Family:
    """The family of params, by their ``family``, or of a model, by its params or else by its class.

    Raises:
        ValueError: params that do not validate, or a model of no family.
    """
    if not isinstance(which, keras.Model):
        return FAMILIES[validate_params(which)["family"]]
    named = (getattr(which, "params", None) or {}).get("family")
    for name, family in FAMILIES.items():
        if name == named or (named is None and isinstance(which, family.model)):
            return family
    known = ", ".join(dict.fromkeys(family.model.__name__ for family in FAMILIES.values()))
    raise ValueError(f"The model is of no family. Given: {type(which).__name__}. Pass a {known}.")
