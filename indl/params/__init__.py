"""Parameters of every family: tables, rules, presets and validation."""

from indl.params.cell_spec import CellSpec
from indl.params.families import FAMILIES, completed, parse_setting, preset, table_of, table_of_preset, validate_params
from indl.params.param import ACTIVATIONS, Param, as_list
from indl.params.presets import (
    ALIASES,
    PRESETS,
    ROWS,
    SEQUENCE,
    default_params,
    generate_default_args,
    generate_default_params,
)
from indl.params.sequence import RNN_CELLS, RNN_TYPES, SCHEDULES, TABLE
from indl.params.table import Table, markdown_table
from indl.params.validated import Validated

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "CellSpec",
    "FAMILIES",
    "PRESETS",
    "Param",
    "RNN_CELLS",
    "RNN_TYPES",
    "ROWS",
    "SEQUENCE",
    "SCHEDULES",
    "TABLE",
    "Table",
    "Validated",
    "as_list",
    "completed",
    "default_params",
    "generate_default_args",
    "generate_default_params",
    "markdown_table",
    "parse_setting",
    "preset",
    "table_of",
    "table_of_preset",
    "validate_params",
]
