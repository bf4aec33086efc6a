"""Callbacks in the forms that users give them, and in the direction of what they monitor."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import keras


def listed(callbacks: Any) -> list[Any]:
    """Callbacks as a list, of one by itself, several, or a ``keras.callbacks.CallbackList``.

    Raises:
        TypeError: something else is among them.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    found = [callbacks] if not isinstance(callbacks, Iterable) else list(callbacks)
    wrong = [type(callback).__name__ for callback in found if not isinstance(callback, keras.callbacks.Callback)]
    if wrong:
        raise TypeError(
            f"callbacks must be Keras callbacks. Given: {', '.join(wrong)}. Pass one, or a list of them; a class is "
            "called first, EarlyStopping(...)."
        )
    return found


def direct(callbacks: Iterable[Any], lower: Collection[str]) -> None:
    """Tells callbacks of Keras that the less the better, where they are to find it out (``mode="auto"``).

    Keras knows the direction of metrics that it was compiled with, and these are not among them.

    Args:
        callbacks: callbacks; those that monitor nothing are left alone.
        lower: metrics that are the better the less, without ``val_``.
    """
    for callback in callbacks:
        monitored = str(getattr(callback, "monitor", "")).removeprefix("val_")
        if getattr(callback, "mode", None) == "auto" and monitored in lower:
            callback.mode = "min"
