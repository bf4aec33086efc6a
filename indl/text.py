"""The names that someone who mistyped may have meant."""

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence with the most similar of some names, for the end of an error message; empty if none is similar.

    Example:
        >>> from indl.text import nearest
        >>> nearest("labell", ["label", "behavior"])
        ' Nearest: label.'
    """
    close = difflib.get_close_matches(str(name), dict.fromkeys(map(str, names)), n=3, cutoff=0.5)
    return f" Nearest: {', '.join(close)}." if close else ""
