"""Attributes of recordings in HDF5 files, which hold numbers and texts: dicts go through JSON, dates are texts."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.files.storage import RecordingError, Source
from indl.text import shown

#: The attribute that lists those which are JSON.
JSON_NAMES = "json_attrs"


def stored_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as a file holds them; :func:`read_attrs` reads them back.

    Args:
        attrs: Attributes of a recording. None is left out. Dates, times and paths become texts. Dicts, and lists that
            are no arrays, become JSON, in which keys are texts and arrays are lists.

    Raises:
        RecordingError: If a value within a dict or a list has no such form.

    Example:
        >>> import datetime
        >>> from indl.data.files.attributes import stored_attrs
        >>> stored_attrs({"subject": {"age": 3}, "day": datetime.date(2020, 1, 2), "area": None})
        {'subject': '{"age": 3}', 'day': '2020-01-02', 'json_attrs': ['subject']}
    """
    found = {name: _as_text(value) for name, value in attrs.items() if value is not None and name != JSON_NAMES}
    nested = [name for name, value in found.items() if _is_nested(value)]
    for name in nested:
        try:
            found[name] = json.dumps(found[name], default=_plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordingError(
                f"The entry {name!r} of attrs cannot be written as JSON. Given: {shown(found[name])}. Use texts, "
                "numbers, arrays, dates and dicts or lists of them, or remove the entry."
            ) from error
    return {**found, JSON_NAMES: nested} if nested else found


def read_attrs(stored: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """The attributes of a file with those that are JSON as dicts and lists.

    Raises:
        RecordingError: If one of them is no JSON.
    """
    found = {name: value for name, value in stored.items() if name != JSON_NAMES}
    for name in map(str, np.atleast_1d(stored.get(JSON_NAMES, []))):
        if name in found:
            try:
                found[name] = json.loads(found[name])
            except (TypeError, ValueError, RecursionError) as error:
                raise source.error(
                    f"lists {name} among its attributes that are JSON, and it is none",
                    f"Given: {shown(found[name])}",
                    f"Correct it, or remove its name from {JSON_NAMES}",
                ) from error
    return found


def _as_text(value: Any) -> Any:
    """Dates, times and paths as texts; anything else as it is."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value.astype(str) if getattr(getattr(value, "dtype", None), "kind", "") == "M" else value


def _is_nested(value: Any) -> bool:
    """Whether a value is a dict, or a list of what makes no array."""
    if not isinstance(value, list | tuple):
        return isinstance(value, Mapping)
    try:
        return np.asarray(value).dtype == object
    except ValueError:
        # Lists of different length.
        return True


def _plain(value: Any) -> Any:
    """What JSON holds in place of a value that it does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    text = _as_text(value)
    if isinstance(text, np.ndarray | np.generic):
        return text.tolist()
    if text is value:
        raise TypeError(f"JSON does not hold {type(value).__name__}")
    return text
