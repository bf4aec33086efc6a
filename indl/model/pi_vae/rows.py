"""Observations and labels of pi-VAE: their form, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from indl.data.checks.arrays import check_trials


@dataclass(frozen=True)
class RowInputs:
    """What the rows of a model look like.

    Attributes:
        x_dim: channels.
        u_dim: number of classes, or length of a real label.
        discrete: whether labels are classes.
        counts: whether observations are counts.
    """

    x_dim: int
    u_dim: int
    discrete: bool
    counts: bool

    def observations(self, x: Any, name: str = "x") -> np.ndarray:
        """Observations as float32 (rows, X)."""
        x = np.asarray(x, "float32")
        if x.ndim != 2 or x.shape[1] != self.x_dim or not len(x) or not np.isfinite(x).all():
            raise ValueError(
                f"{name} does not fit the model. Given: shape {x.shape}, {(~np.isfinite(x)).sum()} values that are not "
                f"finite. Pass finite observations (rows, {self.x_dim}): bins of trials are rows, "
                "x.reshape(-1, x.shape[-1])."
            )
        return x

    def labels(self, u: Any) -> np.ndarray:
        """Labels as int32 (labels,) or float32 (labels, U), from those or a single one; classes also (labels, 1)."""
        n, given = self.u_dim, np.asarray(u)
        if self.discrete:
            found = given.reshape(-1)
            good = given.ndim <= 2 and given.size == (len(given) if given.ndim else 1) and given.dtype.kind in "iuf"
            if good and len(found) and (found == np.round(found)).all() and found.min() >= 0 and found.max() < n:
                return found.astype("int32")
            raise ValueError(
                f"Labels are not classes of the model. Given: shape {given.shape}, values such as "
                f"{found[:3].tolist()}. Pass whole numbers from 0 to {n - 1}, (rows,) or (rows, 1)."
            )
        if given.dtype.kind in "biuf":
            with np.errstate(over="ignore"):
                found = given.astype("float32")
            found = found.reshape(-1, n) if found.ndim <= 1 and (n == 1 or found.size == n) else found
            if found.ndim == 2 and found.shape[1] == n and len(found) and np.isfinite(found).all():
                return found
        raise ValueError(f"Labels do not fit the model. Given: shape {given.shape}. Pass finite numbers (rows, {n}).")

    def is_one_label(self, u: Any) -> bool:
        """Whether `u` is a label by itself, not an array of some."""
        return np.ndim(u) == (0 if self.discrete or self.u_dim == 1 else 1)

    def candidates(self, labels: Any) -> Any:
        """The labels to choose from: those given, or all classes."""
        if labels is not None:
            return labels
        if not self.discrete:
            raise ValueError(
                "Continuous labels have no list of candidates. Given: labels=None. Pass some, (labels, "
                f"{self.u_dim}), for example a grid over their range."
            )
        return np.arange(self.u_dim)

    def pair(self, given: Any, name: str = "x") -> dict[str, np.ndarray]:
        """Observations and their labels by name, from a pair or a dict, checked as training needs them."""
        keys = sorted(given) if isinstance(given, Mapping) else ["u", "x"] if len(given) == 2 else []
        if keys != ["u", "x"]:
            what = f"keys {keys}" if isinstance(given, Mapping) else f"{len(given)} arrays"
            raise ValueError(f"{name} must be observations and labels. Given: {what}. Pass (x, u).")
        x, u = (given["x"], given["u"]) if isinstance(given, Mapping) else given
        x, u = self.observations(x, name), self.labels(u)
        check_trials(x[None], counts=self.counts, names=(name, name), stacklevel=5)
        check_rows(len(x), len(u), name)
        return {"x": x, "u": u}

    def for_keras(self, x: Any, y: Any = None, name: str = "x") -> Any:
        """Arrays by name, checked; or a data set whose elements have those names."""
        if isinstance(x, tf.data.Dataset) and y is None:
            spec = x.element_spec
            pairs = isinstance(spec, tuple) and len(spec) == 2 and not isinstance(spec[0], Mapping)
            return x.map(lambda x, u: ({"x": x, "u": u},)) if pairs else x
        if y is not None or not isinstance(x, tuple | list | Mapping):
            raise ValueError(
                f"{name} must be observations and labels together. Given: "
                f"{type(x).__name__}{'' if y is None else ', and y apart'}. Pass a pair, (x, u)."
            )
        return self.pair(x, name)


def check_rows(n_rows: int, n_labels: int, name: str = "x") -> None:
    """Refuses labels that are not one a row."""
    if n_rows != n_labels:
        raise ValueError(
            f"Every row of {name} needs a label. Given: {n_rows} rows and {n_labels} labels. Select the same rows."
        )
