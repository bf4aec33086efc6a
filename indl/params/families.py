"""Every family of models by name, and the functions that ask the table of the family that params are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indl.params.pi_vae import PI_VAE
from indl.params.presets import SEQUENCE
from indl.params.table import Table, no_preset
from indl.params.validated import Validated
from indl.text import nearest, shown

FAMILIES: dict[str, Table] = {table.family: table for table in (SEQUENCE, PI_VAE)}


def table_of(params: Mapping[str, Any]) -> Table:
    """The table of the family that params are of; that of the sequential models where they do not say.

    Raises:
        ValueError: there is no such family.
    """
    family = params.get("family", SEQUENCE.family) if isinstance(params, Mapping) else SEQUENCE.family
    if not isinstance(family, str) or family not in FAMILIES:
        raise ValueError(
            f"There is no such family of models. Given: family={shown(family)}.{nearest(family, FAMILIES)} "
            f"Choose one of {', '.join(FAMILIES)}."
        )
    return FAMILIES[family]


def table_of_preset(name: str) -> Table:
    """The table of the family that a preset is of.

    Raises:
        ValueError: unknown preset.
    """
    for table in FAMILIES.values():
        if name in table.presets:
            return table
    raise no_preset(name, (known for table in FAMILIES.values() for known in table.presets))


def preset(name: str, **changes: Any) -> dict[str, Any]:
    """A complete, validated params dict of a published model, of any family.

    Args:
        name: a key of :data:`indl.params.PRESETS`, or of :data:`indl.params.pi_vae.PRESETS`.
        **changes: parameters that differ from the preset.

    Raises:
        ValueError: unknown preset, or a change that does not validate.
    """
    return table_of_preset(name).preset(name, **changes)


def validate_params(params: Mapping[str, Any]) -> Validated:
    """Checks every key and value and returns complete params, by the table of their ``family``.

    Params without that key are those of a sequential model. See :meth:`indl.params.table.Table.validate`.

    Raises:
        ValueError: something in them is not allowed.
    """
    return params if isinstance(params, Validated) else table_of(params).validate(params)


def completed(params: Mapping[str, Any]) -> dict[str, Any]:
    """Params of a file, with today's default of every parameter that they do not hold; nothing else is checked.

    What an earlier version of the library wrote is compared with today's params in this form.

    Raises:
        ValueError: there is no such family.
    """
    return {**table_of(params).defaults(), **params}


def parse_setting(text: str, table: Table = SEQUENCE) -> tuple[str, Any]:
    """Reads one ``key=value`` of a command line. See :meth:`indl.params.table.Table.parse_setting`."""
    return table.parse_setting(text)
