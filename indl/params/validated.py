"""Params that have been checked, so that nothing needs to check them again."""

from __future__ import annotations

from typing import Any, NoReturn

from indl.text import shown


class Validated(dict):
    """A complete params dict that a table has checked; its entries cannot be set or removed.

    It equals the plain dict of the same entries. ``{**params, key: value}`` and ``params.copy()`` are plain dicts.

    Raises:
        TypeError: an entry is to be set or removed.
    """

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        given = [*map(shown, args), *(f"{key}={shown(value)}" for key, value in kwargs.items())]
        key = args[0] if args and isinstance(args[0], str) else "key"
        raise TypeError(
            f"Validated params are not changed. Given: {', '.join(given) or 'all of them'}. Make others with "
            f"{{**params, {key!r}: value}}."
        )

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is filled when it is made, not entry by entry.
        return Validated, (dict(self),)
