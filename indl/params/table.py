"""What a table of parameters is: its rows, the validation of params against it, and its form as text."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "elu", "gelu", "softplus", "swish")


@dataclass(frozen=True)
class Param:
    """One row of the table.

    Attributes:
        name: the key in the params dict.
        default: value in the `default` preset.
        kind: ``"int"``, ``"float"``, ``"bool"``, ``"choice"``, ``"units"`` (an int, or a list of ints
            with one entry a layer) or ``"vector"`` (a float or a list of floats, one a channel).
        meaning: one line, with the unit.
        group: heading under which the generated tables list the row.
        choices: allowed values of a choice.
        low, high: closed range of a number (of every entry of a list).
        none: whether ``None`` is allowed.
        search: what a tuner may try by default: ``("float", low, high)``, ``("log", low, high)`` or
            ``("choice", values)``. A row with a search space is *tunable*.
        aliases: spellings of earlier versions of the library.
        value_aliases: such spellings of values of a choice.
        planned: values of a choice, or ``"key"`` for a whole row, whose feature is not built yet, with
            the feature's plain name. They are refused.
    """

    name: str
    default: Any
    kind: str
    meaning: str
    group: str
    choices: tuple = ()
    low: float = -math.inf
    high: float = math.inf
    none: bool = False
    search: tuple = ()
    aliases: tuple[str, ...] = ()
    value_aliases: Mapping[str, str] | None = None
    planned: Mapping[str, str] | None = None

    @property
    def tunable(self) -> bool:
        return bool(self.search)

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and tables."""
        if self.kind == "choice":
            text = ", ".join(repr(choice) for choice in self.choices)
        elif self.kind == "bool":
            text = "True or False"
        else:
            noun = {
                "int": "an integer",
                "float": "a number",
                "units": "an integer or a list of integers",
                "vector": "a number or a list of numbers",
            }[self.kind]
            bounds = [f">= {self.low:g}"] if self.low > -math.inf else []
            bounds += [f"<= {self.high:g}"] if self.high < math.inf else []
            text = " ".join([noun, " and ".join(bounds)]).strip()
        return f"{text}, or None" if self.none else text


def changed_preset(
    name: str, presets: Mapping[str, dict[str, Any]], aliases: Mapping[str, str], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """What a preset and changes to it give, of any family of models."""
    if name not in presets:
        raise ValueError(
            f"Unknown preset. Given: {shown(name)}.{did_you_mean(name, presets)} Choose one of "
            f"{', '.join(sorted(presets))}."
        )
    changed = {aliases.get(key, key) for key in changes}
    return {**{key: value for key, value in presets[name].items() if key not in changed}, **changes}


def resolve(
    params: Mapping[str, Any], rows: Mapping[str, Param], aliases: Mapping[str, str], where: str
) -> dict[str, Any]:
    """A complete dict of one table's parameters: aliases renamed, every value checked, defaults filled in.

    Args:
        params: some of the parameters.
        rows: the table, by name.
        aliases: other spellings.
        where: where the table is listed, for messages.
    """
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params must be a dict of parameter names. Given: {type(params).__name__}. "
            "Start from a preset, for example indl.params.preset('default')."
        )
    complete = {name: copied(row.default) for name, row in rows.items()}
    given: dict[str, str] = {}
    for key, value in params.items():
        name = aliases.get(key, key)
        if name not in rows:
            raise ValueError(
                f"Unknown parameter. Given: {shown(key)} = {shown(value)}.{did_you_mean(key, [*rows, *aliases])} "
                f"Every parameter is listed in {where}."
            )
        if name in given:
            raise ValueError(
                f"One parameter was given under two names. Given: {given[name]!r} and {key!r}. Keep {name!r} alone."
            )
        given[name] = key
        complete[name] = checked(rows[name], key, value)
    return complete


def markdown_table(table: Sequence[Param], group: str | None = None) -> str:
    """A table as Markdown; `group` limits it to one heading."""
    lines = ["| parameter | default | allowed | tunable | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in table:
        if group in (None, row.group):
            default = f"{row.default:.4g}" if isinstance(row.default, float) else repr(row.default)
            meaning = row.meaning
            if row.planned and "key" in row.planned:
                meaning += f" (not built yet: {row.planned['key']})"
            if row.aliases:
                meaning += f" (alias {', '.join(f'`{alias}`' for alias in row.aliases)})"
            cells = (f"`{row.name}`", f"`{default}`", row.allowed, "yes" if row.tunable else "", meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def as_list(units: int | Sequence[int]) -> list[int]:
    """Layer sizes as a list: ``16`` and ``[16]`` mean the same."""
    return [units] if isinstance(units, int) else list(units)


def copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def did_you_mean(key: Any, names: Any) -> str:
    close = difflib.get_close_matches(str(key), list(names), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def shown(value: Any) -> str:
    """A value in a message: in one line, cut where it is long."""
    text = " ".join(repr(value.tolist() if hasattr(value, "tolist") else value).split())
    return text if len(text) <= 80 else f"{text[:76].rstrip(' ,')} ..."


def bad_value(row: Param, key: str, value: Any) -> ValueError:
    hint = did_you_mean(value, [c for c in row.choices if c]) if isinstance(value, str) else ""
    return ValueError(
        f"Parameter {key!r} ({row.meaning}) has a value that is not allowed. Given: {shown(value)}. "
        f"Allowed: {row.allowed}.{hint}"
    )


def checked(row: Param, key: str, value: Any) -> Any:
    """The value, normalised (numpy scalars and tuples become plain numbers and lists), or the error."""
    if row.planned and value != row.default:
        feature = row.planned.get("key") or (row.planned.get(value) if isinstance(value, str | bool) else None)
        if feature:
            raise ValueError(
                f"Parameter {key!r} asks for a feature that is not built yet: {feature}. "
                f"Given: {shown(value)}. Leave it at {row.default!r}."
            )
    if value is None:
        if row.none:
            return None
        raise bad_value(row, key, value)
    if row.kind == "choice":
        value = (row.value_aliases or {}).get(value, value) if isinstance(value, str) else value
        if not isinstance(value, str) or value not in row.choices:
            raise bad_value(row, key, value)
        return value
    if row.kind == "bool":
        if type(value).__name__ not in ("bool", "bool_"):
            raise bad_value(row, key, value)
        return bool(value)
    if row.kind in ("units", "vector") and not isinstance(value, numbers.Real | str):
        values = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(values, list | tuple) or not values:
            raise bad_value(row, key, value)
        return [_number(row, key, entry, value) for entry in values]
    return _number(row, key, value, value)


def _number(row: Param, key: str, entry: Any, given: Any) -> int | float:
    real = isinstance(entry, numbers.Real) and not isinstance(entry, bool)
    whole = row.kind in ("int", "units")
    if not real or not math.isfinite(entry) or not row.low <= entry <= row.high or (whole and entry != int(entry)):
        raise bad_value(row, key, given)
    return int(entry) if whole else float(entry)
