"""What a parameter is, and the check of a value against it."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indl.text import nearest, shown

# The largest values: far above any use, so that what lies beyond is a slip, told before it takes memory or time. What a
# model of smaller sizes takes in all is estimated before it is built, in indl.model.memory.
MOST_UNITS = 16_384  # Of a layer or a latent: a square kernel of so many takes 1 GiB.
MOST_LAYERS = 100  # In a row, or blocks of a flow: each is traced by itself.
MOST_CHANNELS = 1_000_000  # Or classes, or dimensions of what is recorded beside them.
MOST_BINS = 1_000_000  # Three hours in bins of 10 ms.
MOST_SESSIONS = 10_000  # Each has weights of its own.
MOST_SAMPLES = 10_000  # The error of a mean over so many is a hundredth of their spread.
MOST_TRIALS = 1_000_000  # In a batch.
MOST_PARTS = 1_024  # Of a batch, one a core.
MOST_EPOCHS = 10_000_000  # Or steps: at ten a second they take eleven days.
LARGEST = 1e9  # A scale, a weight or a time constant: float32 holds sums of its square.
LARGEST_SEED = 2**31 - 1

ACTIVATIONS = ("linear", "relu", "leaky_relu", "leaky_relu_0.1", "tanh", "elu", "gelu", "softplus", "swish")


@dataclass(frozen=True)
class Param:
    """One row of the table.

    Attributes:
        name: the key in the params dict.
        default: value in the `default` preset.
        kind: ``"int"``, ``"float"``, ``"bool"``, ``"choice"``, ``"units"`` (an int, or a list of ints
            with one entry a layer), ``"vector"`` (a float or a list of floats, one a channel) or ``"names"`` (a list
            of different texts or integers).
        meaning: one line, with the unit.
        group: heading under which the generated tables list the row.
        choices: allowed values of a choice.
        low, high: closed range of a number (of every entry of a list). A list of units has :data:`MOST_LAYERS` at most.
        none: whether ``None`` is allowed.
        search: what a tuner may try by default: ``("float", low, high)``, ``("log", low, high)`` or
            ``("choice", values)``. A row with a search space is *tunable*.
        aliases: spellings of earlier versions of the library.
        value_aliases: such spellings of values of a choice.
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

    @property
    def tunable(self) -> bool:
        return bool(self.search)

    def described(self) -> dict[str, Any]:
        """What a user is told of the row, as JSON holds it."""
        told = ("name", "default", "allowed", "tunable", "meaning", "group", "aliases")
        return {name: getattr(self, name) for name in told}

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and tables."""
        if self.kind == "choice":
            text = ", ".join(repr(choice) for choice in self.choices)
        elif self.kind == "bool":
            text = "True or False"
        elif self.kind == "names":
            text = "a list of different texts or integers"
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
            text += f", {MOST_LAYERS} at most" if self.kind == "units" else ""
        return f"{text}, or None" if self.none else text


def family_row(family: str) -> Param:
    """The row that tells of which family of models the params are."""
    return Param("family", family, "choice", "family of models that the params are of", "Family", choices=(family,))


def as_list(units: int | Sequence[int]) -> list[int]:
    """Layer sizes as a list: ``16`` and ``[16]`` mean the same."""
    return [units] if isinstance(units, int) else list(units)


def copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def bad_value(row: Param, key: str, value: Any) -> ValueError:
    hint = nearest(value, [c for c in row.choices if c]) if isinstance(value, str) else ""
    return ValueError(
        f"Parameter {key!r} ({row.meaning}) has a value that is not allowed. Given: {shown(value)}. "
        f"Allowed: {row.allowed}.{hint}"
    )


def checked(row: Param, key: str, value: Any) -> Any:
    """The value, normalised (numpy scalars and tuples become plain numbers and lists), or the error."""
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
    if row.kind == "names":
        return _names(row, key, value)
    if row.kind in ("units", "vector") and not isinstance(value, numbers.Real | str):
        values = value.tolist() if hasattr(value, "tolist") else value
        most = MOST_LAYERS if row.kind == "units" else MOST_CHANNELS
        if not isinstance(values, list | tuple) or not 0 < len(values) <= most:
            raise bad_value(row, key, value)
        return [_number(row, key, entry, value) for entry in values]
    return _number(row, key, value, value)


def _number(row: Param, key: str, entry: Any, given: Any) -> int | float:
    real = isinstance(entry, numbers.Real) and not isinstance(entry, bool)
    whole = row.kind in ("int", "units")
    entry = entry.item() if hasattr(entry, "item") else entry
    # A whole number may be larger than any float.
    finite = real and abs(entry) <= sys.float_info.max
    if not finite or not row.low <= entry <= row.high or (whole and entry != int(entry)):
        raise bad_value(row, key, given)
    return int(entry) if whole else float(entry)


def _names(row: Param, key: str, value: Any) -> list[str | int]:
    names = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(names, list | tuple) or not names:
        raise bad_value(row, key, value)
    names = [name.item() if hasattr(name, "item") else name for name in names]
    plain = all(isinstance(name, str | int) and not isinstance(name, bool) for name in names)
    if not plain or len(set(names)) < len(names) or len({isinstance(name, str) for name in names}) > 1:
        raise bad_value(row, key, value)
    return names
