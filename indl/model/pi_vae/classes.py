"""Labels that are classes, whatever they are called, and the numbers from 0 on that a model counts them by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from indl.data.checks.masks import as_array
from indl.data.values.forms import is_one_hot
from indl.text import shown


def classes_in(labels: Any, n_classes: int | None = None) -> list[Any] | None:
    """The classes that labels stand for, ascending; None where they are numbered from 0 on already.

    Args:
        labels: labels of any shape: texts, or whole numbers.
        n_classes: how many there are. None: as many as the labels have.

    Raises:
        ValueError: labels that are neither texts nor whole numbers, or of another number of classes.

    Example:
        >>> from indl.model.pi_vae.classes import classes_in
        >>> classes_in([1, 2, 2, 3]), classes_in(["right", "left"]), classes_in([0, 1, 1])
        ([1, 2, 3], ['left', 'right'], None)
    """
    found = np.unique(_plain(labels))
    if not found.size:
        return None
    if found.dtype.kind not in "iufU" or (found.dtype.kind == "f" and not (found == np.round(found)).all()):
        raise ValueError(
            f"Classes are texts or whole numbers. Given: labels such as {shown(found[:5])}. Give each trial a class, "
            "or set discrete_labels=False to learn from behaviour."
        )
    if found.dtype.kind != "U":
        found = found.astype(np.int64)
        most = len(found) if n_classes is None else n_classes
        if found[0] >= 0 and found[-1] < most:
            return None
    if n_classes not in (None, len(found)):
        raise ValueError(
            f"The labels have another number of classes than the model. Given: {len(found)} for u_dim={n_classes}, "
            f"{shown(found[:10])}. Leave u_dim out, or name them all with the param classes=[...]."
        )
    return found.tolist()


def numbered(labels: Any, classes: Sequence[Any] | None, n_classes: int) -> np.ndarray:
    """The number of each label's class, int32 (labels,).

    Args:
        labels: one label, or several, (labels,) or (labels, 1); or one-hot rows (labels, n_classes).
        classes: what the classes are called, in order; None: by their numbers.
        n_classes: number of classes.

    Raises:
        ValueError: labels that are of no class.
    """
    given = _plain(labels)
    if is_one_hot(given) and given.shape[1] == n_classes:
        return given.argmax(axis=1).astype("int32")
    found, names = given.reshape(-1), np.arange(n_classes) if classes is None else np.asarray(classes)
    comparable = (found.dtype.kind == "U") == (names.dtype.kind == "U") and found.dtype.kind in "iufU"
    if comparable and len(found) and given.ndim <= 2 and given.size == (len(given) if given.ndim else 1):
        order = np.argsort(names)
        place = order[np.searchsorted(names, found, sorter=order).clip(max=n_classes - 1)]
        if (names[place] == found).all():
            return place.astype("int32")
    wanted = f"whole numbers from 0 to {n_classes - 1}" if classes is None else f"some of {shown(list(classes))}"
    raise ValueError(
        f"Labels are not classes of the model. Given: shape {given.shape}, values such as {found[:3].tolist()}. Pass "
        f"{wanted}, (rows,) or (rows, 1)."
    )


def _plain(labels: Any) -> np.ndarray:
    """Labels as numbers or texts of numpy."""
    array = as_array(labels)
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        return array.astype(np.str_)
    if array.dtype.kind == "S":
        return np.char.decode(array)
    return array.astype(np.int64) if array.dtype.kind == "b" else array
