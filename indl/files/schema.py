"""JSON of a file as a given type: what is not of it is told in a sentence that names the file and the place in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from indl.files.plain import read_plain
from indl.text import shown

_MOST = 10**9
_LONGEST_PLACE = 100
#: What a value must be, by pydantic's kind of error.
_MUST_BE = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "literal_error": "{expected}",
    "string_type": "a text",
    "too_short": "a list of {min_length} or more",
}


def rule(must_be: str) -> PydanticCustomError:
    """The error of a validator: what the value must be, in words."""
    return PydanticCustomError("rule", "{must_be}", {"must_be": must_be})


def _hash(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise rule("64 hexadecimal digits")
    return value


def _score(value: float) -> float:
    if value != value:
        raise rule("a number")
    return value


#: A number of something.
Count = Annotated[int, Field(ge=0, le=_MOST)]
#: A number of something that is there.
Positive = Annotated[int, Field(ge=1, le=_MOST)]
#: A finite number.
Finite = Annotated[float, Field(allow_inf_nan=False)]
#: A number or infinity.
Score = Annotated[float, AfterValidator(_score)]
#: What :func:`indl.data.values.provenance.digest` gives.
Sha256 = Annotated[str, AfterValidator(_hash)]


def read_json(path: Path, kind: TypeAdapter[Any], error: type[Exception], what: str, todo: str) -> Any:
    """The content of a JSON file.

    Numbers may be NaN or infinite where `kind` has nothing against it; keys that `kind` does not have are left out.

    Args:
        path: the file, a plain one.
        kind: what it must hold.
        error: what to raise where it does not.
        what: what is wrong then, a sentence without its end.
        todo: what to do about it, likewise.
    """
    try:
        content = read_plain(path)
    except (OSError, ValueError) as reason:
        told = getattr(reason, "strerror", None) or "no file can have that name"
        raise error(f"{what}. Given: {path} ({told}). {todo}.") from reason
    try:
        return parsed(content, kind)
    except ValueError as reason:
        raise error(f"{what}. Given: {path}, {reason}. {todo}.") from reason


def parsed(content: bytes | str, kind: TypeAdapter[Any]) -> Any:
    """JSON as a given type; see :func:`read_json`.

    Raises:
        ValueError: its message goes on a sentence: "where settings.epochs is -1 and must be 1 or more".
    """
    try:
        return kind.validate_json(content, strict=True)
    except ValidationError as error:
        raise ValueError(_told(error.errors()[0])) from error
    except ValueError as error:
        raise ValueError("which is no JSON") from error


def conforming(value: Any, kind: TypeAdapter[Any], place: str) -> Any:
    """A part of JSON that was parsed before, as a given type; `place` is where it was.

    Raises:
        ValueError: as :func:`parsed`.
    """
    try:
        return kind.validate_python(value, strict=True)
    except ValidationError as error:
        raise ValueError(_told(error.errors()[0], place)) from error


def _told(error: ErrorDetails, within: str = "") -> str:
    """The first thing that is wrong, to go on a sentence that named the file."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "json_invalid":
        deep = "recursion" in context["error"]
        return "which is nested too deep" if deep else "which is no JSON: it is empty, cut off or damaged"
    place = ".".join(part for part in (within, *map(str, error["loc"])) if part)
    if len(place) > _LONGEST_PLACE:
        place = f"{place[:_LONGEST_PLACE]} ..."
    where = f"where {place}" if place else "which"
    if kind == "missing":
        return f"{where} is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where} is not known to this version"
    if kind == "value_error":
        # A check of the library's own, which has said it all.
        return f"{where} cannot be used: {str(context['error']).rstrip('.')}"
    must_be = error["msg"] if kind == "rule" else _MUST_BE.get(kind, "of another kind").format(**context)
    return f"{where} is {shown(error['input'])} and must be {must_be}"
