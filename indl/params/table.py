"""The table of a family of models: its parameters, its presets, and the validation of params against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from indl.params.param import Param, bad_value, checked, copied, family_row
from indl.params.validated import Validated
from indl.text import nearest, shown


@dataclass(frozen=True, eq=False)
class Table:
    """All parameters of one family of models.

    Attributes:
        family: name of the family, and the one value of the parameter `family`.
        rows: the parameters in the order in which they are listed.
        presets: by name, the parameters that differ from the defaults.
        rule: raises a ValueError where complete params cannot be combined.
        listed: where `rows` can be found, for messages.
    """

    family: str
    rows: tuple[Param, ...]
    presets: Mapping[str, Mapping[str, Any]]
    rule: Callable[[Mapping[str, Any]], None]
    listed: str

    @cached_property
    def by_name(self) -> dict[str, Param]:
        """The rows by the name of the parameter."""
        return {row.name: row for row in self.rows}

    @cached_property
    def aliases(self) -> dict[str, str]:
        """The name of the parameter by other spelling."""
        return {alias: row.name for row in self.rows for alias in row.aliases}

    def defaults(self) -> dict[str, Any]:
        """All defaults in one dict."""
        return {row.name: copied(row.default) for row in self.rows}

    def extended(self, family: str, rows: Iterable[Param], presets: Mapping[str, Mapping[str, Any]]) -> Table:
        """The table of a family of one's own: these parameters, and more; see :func:`indl.model.families.add_family`.

        Args:
            family: name of the family.
            rows: its further parameters.
            presets: its presets.
        """
        own = (family_row(family), *(row for row in self.rows if row.name != "family"), *rows)
        return replace(self, family=family, rows=own, presets=presets)

    def preset(self, name: str, **changes: Any) -> dict[str, Any]:
        """A complete, validated params dict.

        Args:
            name: a key of `presets`.
            **changes: parameters that differ from the preset.

        Raises:
            ValueError: unknown preset, or a change that does not validate.
        """
        if name not in self.presets:
            raise no_preset(name, self.presets)
        changed = {self.aliases.get(key, key) for key in changes}
        kept = {key: value for key, value in self.presets[name].items() if key not in changed}
        return dict(self.validate({**kept, **changes}))

    def validate(self, params: Mapping[str, Any]) -> Validated:
        """Checks every key and value and completes the params: aliases renamed, defaults filled in.

        The given dict is not changed. Params that this table has validated are returned as they are.

        Raises:
            ValueError: an unknown key, a value of the wrong type or out of range, or a combination that cannot
                work. The message names the key, the value, what is allowed and the nearest valid spelling.
        """
        if isinstance(params, Validated) and params["family"] == self.family:
            return params
        if not isinstance(params, Mapping):
            raise ValueError(
                f"params must be a dict of parameter names. Given: {type(params).__name__}. "
                f"Start from a preset, for example indl.params.preset({next(iter(self.presets))!r})."
            )
        complete = self.defaults()
        given: dict[str, str] = {}
        for key, value in params.items():
            row = self._row(key, f" = {shown(value)}", f"Every parameter is listed in {self.listed}.")
            if row.name in given:
                raise ValueError(
                    f"One parameter was given under two names. Given: {given[row.name]!r} and {key!r}. Keep "
                    f"{row.name!r} alone."
                )
            given[row.name] = key
            complete[row.name] = checked(row, key, value)
        self.rule(complete)
        return Validated(complete)

    def parse_setting(self, text: str) -> tuple[str, Any]:
        """Reads one ``key=value`` of a command line into a name and a typed value.

        Raises:
            ValueError: no ``=``, an unknown key, or a value that its kind cannot hold.
        """
        key, sign, raw = text.partition("=")
        if not sign:
            raise ValueError(
                f"A setting must have the form key=value. Given: {shown(text)}. For example: learning_rate=0.001."
            )
        key, raw = key.strip(), raw.strip()
        row = self._row(key, "", "`python -m indl params` lists every parameter.")
        if raw.lower() == "none" and "none" not in row.choices:
            return row.name, checked(row, key, None)
        if row.kind == "choice":
            value: Any = raw
        elif row.kind == "bool":
            value = {"true": True, "1": True, "false": False, "0": False}.get(raw.lower(), raw)
        else:
            convert = int if row.kind in ("int", "units") else float
            try:
                parts = [convert(part) for part in raw.strip("[]()").split(",")]
            except ValueError:
                raise bad_value(row, key, raw) from None
            is_list = len(parts) > 1 or raw[:1] in ("[", "(")
            value = parts if is_list and row.kind in ("units", "vector") else parts[0] if len(parts) == 1 else raw
        return row.name, checked(row, key, value)

    def _row(self, key: Any, value: str, remedy: str) -> Param:
        """The row of a name or an alias."""
        name = self.aliases.get(key, key)
        if name not in self.by_name:
            near = nearest(key, [*self.by_name, *self.aliases])
            raise ValueError(f"Unknown parameter. Given: {shown(key)}{value}.{near} {remedy}")
        return self.by_name[name]


def no_preset(name: Any, names: Iterable[str]) -> ValueError:
    """The error of a preset that is not among `names`."""
    names = sorted(names)
    return ValueError(f"Unknown preset. Given: {shown(name)}.{nearest(name, names)} Choose one of {', '.join(names)}.")


def markdown_table(rows: Sequence[Param], group: str | None = None) -> str:
    """Rows as Markdown; `group` limits it to one heading."""
    lines = ["| parameter | default | allowed | tunable | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        if group in (None, row.group):
            default = f"{row.default:.4g}" if isinstance(row.default, float) else repr(row.default)
            meaning = row.meaning
            if row.aliases:
                meaning += f" (alias {', '.join(f'`{alias}`' for alias in row.aliases)})"
            cells = (f"`{row.name}`", f"`{default}`", row.allowed, "yes" if row.tunable else "", meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
