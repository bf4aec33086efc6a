"""Variables of any layout made into arrays of trials: found by path, listed, and put in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from indl.text import nearest, shown

#: Vectors that may be texts.
_NAMES = ("label", "channel_ids")
_AXES = ("trials", "time", "channels")


def sequence(value: Any, axes: str | None, name: str) -> np.ndarray | list[np.ndarray]:
    """An array (trials, time, channels), or for ragged trials a list of arrays (time, channels)."""
    order = order_of(axes or ",".join(_AXES), _AXES)
    items = items_of(value)
    if items is None:
        return _arranged(numbers(value, name), order, name)
    order = [axis for axis in order if axis != "trials"]
    return [_arranged(numbers(item, name), order, name)[0] for item in items]


def _arranged(array: np.ndarray, order: list[str], name: str) -> np.ndarray:
    given = array.shape
    if array.ndim > len(order):
        array = array.squeeze()
    array = array.reshape(array.shape + (1,) * (len(order) - array.ndim))
    if array.ndim != len(order):
        raise ValueError(
            f"{name} must have the axes {', '.join(order)}. Given: shape {given}. Say axes=... in its order."
        )
    missing = [axis for axis in _AXES if axis not in order]
    array = array.reshape(array.shape + (1,) * len(missing))
    return array.transpose([(order + missing).index(axis) for axis in _AXES])


def order_of(axes: str, allowed: tuple[str, ...]) -> list[str]:
    """The names of axes in a string with commas, each one of those allowed."""
    order = [axis.strip() for axis in axes.split(",")] if isinstance(axes, str) else []
    least = 2 if "units" in allowed else 1
    if len(order) < least or len(set(order)) < len(order) or not set(order) <= set(allowed):
        raise ValueError(
            f"axes must name each axis once. Given: {shown(axes)}. Give {', '.join(allowed)} in the order of the "
            "shape, separated by commas."
        )
    return order


def items_of(value: Any) -> list[Any] | None:
    """The entries of a cell vector or of a struct array's field; None for anything else."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == max(value.shape, default=0):
        return list(value.ravel())
    return value if isinstance(value, list) else None


def numbers(value: Any, name: str) -> np.ndarray:
    """The array of numbers that a variable is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "buif":
        what = f"shape {value.shape} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(
            f"{name} must be an array of numbers. Given: {'an object without array form' if value is None else what}. "
            "Save numbers (no pickled objects, tables or function handles)."
        )
    return value


def vector(value: Any, name: str) -> np.ndarray:
    """One value each, (values,), from a row, a column, or a cell array or struct array of single values."""
    items = [value] if isinstance(value, str) else items_of(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "U" and name in _NAMES:
        return value.ravel()
    if items is None:
        return numbers(value, name).ravel()
    if all(isinstance(item, str) for item in items):
        return np.array(items)
    if any(np.size(item) != 1 for item in items):
        shapes = [np.shape(item) for item in items][:10]
        raise ValueError(f"{name} must have one value each. Given: shapes {shapes}. Map another variable.")
    return np.concatenate([numbers(item, name).ravel() for item in items])


def follow(tree: Any, path: str) -> Any:
    """The variable at a path; of a struct array, a list with the field of each."""
    if path in tree:
        return tree[path]
    node = tree
    for part in re.split("[./]", path):
        several = items_of(node)
        try:
            node = node[part] if several is None else [struct[part] for struct in several]
        except (KeyError, IndexError, TypeError):
            close = nearest(path, [name for name, _ in _listing(tree)])
            raise ValueError(
                f"There is no variable at the mapped path. Given: {path!r}.{close} Correct the mapping."
            ) from None
    return node


def found_in(tree: Mapping[str, Any]) -> str:
    """What a file holds, for an error message."""
    lines = [f"\n  {name}: {what}" for name, what in _listing(tree)]
    return f" The file holds{''.join(lines) or ' nothing'}\n"


def _listing(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Path and form of every variable."""
    several = items_of(node)
    if isinstance(node, Mapping):
        for part, value in node.items():
            yield from _listing(value, f"{name}.{part}" if name else part)
    elif several and isinstance(several[0], Mapping):
        yield from ((path, f"{len(several)} times {what}") for path, what in _listing(several[0], name))
    elif isinstance(node, np.ndarray) and node.dtype == object:
        yield name, f"cell array {node.shape}" + (f" of {np.shape(node.flat[0])} and others" if node.size else "")
    elif isinstance(node, np.ndarray):
        yield name, f"{node.shape} {node.dtype}"
    else:
        yield name, "text" if isinstance(node, (str, list)) else "not an array (objects are not read)"
