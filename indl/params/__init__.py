"""Parameters of every family: tables, rules, presets and validation."""

from indl.params.presets import (
    PRESETS,
    default_params,
    generate_default_args,
    generate_default_params,
    parse_setting,
    preset,
    validate_params,
)
from indl.params.sequence import ALIASES, RNN_CELLS, RNN_TYPES, ROWS, SCHEDULES, TABLE
from indl.params.table import ACTIVATIONS, Param, as_list, markdown_table

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "PRESETS",
    "Param",
    "RNN_CELLS",
    "RNN_TYPES",
    "ROWS",
    "SCHEDULES",
    "TABLE",
    "as_list",
    "default_params",
    "generate_default_args",
    "generate_default_params",
    "markdown_table",
    "parse_setting",
    "preset",
    "validate_params",
]
