"""Parts of error messages: a value as it was given, and the name that someone who mistyped may have meant."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

_MAX_SHOWN = 80


def shown(value: Any) -> str:
    """A value in a message: in one line, cut where it is long.

    Example:
        >>> from indl.text import shown
        >>> shown([1, 2]), shown("x" * 100)[-8:]
        ('[1, 2]', 'xxxx ...')
    """
    if hasattr(value, "tolist"):
        if math.prod(value.shape) > _MAX_SHOWN:
            return f"an array of shape {tuple(value.shape)}"
        value = value.tolist()
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 4].rstrip(' ,')} ..."


def nearest(name: object, names: Iterable[object]) -> str:
    """A sentence with the most similar of some names, for the end of an error message; empty if none is similar.

    Example:
        >>> from indl.text import nearest
        >>> nearest("labell", ["label", "behavior"])
        " Did you mean 'label'?"
    """
    close = difflib.get_close_matches(str(name), dict.fromkeys(map(str, names)), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
