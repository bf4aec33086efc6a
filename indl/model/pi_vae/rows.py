"""Observations and labels of pi-VAE: their form, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from indl.data.checks.arrays import check_trials
from indl.data.checks.masks import as_array
from indl.data.values.forms import is_one_hot
from indl.data.values.recording import Recording, Split
from indl.model.pi_vae.classes import classes_in, numbered
from indl.model.pi_vae.of_recording import Rows, observations_of, rows_of


@dataclass(frozen=True)
class RowInputs:
    """What the rows of a model look like.

    Attributes:
        x_dim: channels.
        u_dim: number of classes, or length of a real label.
        discrete: whether labels are classes.
        counts: whether observations are counts.
        classes: what the classes are called, in the order of their numbers; None: by their numbers.
    """

    x_dim: int
    u_dim: int
    discrete: bool
    counts: bool
    classes: Sequence[Any] | None = None

    def observations(self, x: Any, name: str = "x") -> np.ndarray:
        """Observations as float32 (rows, X), also of a recording's validation trials, or of a part of one."""
        x = np.asarray(observations_of(x) if isinstance(x, Recording | Split) else as_array(x), "float32")
        if x.shape == (self.x_dim,):
            raise ValueError(
                f"{name} is one row and lacks the axis of rows. Given: shape {x.shape}. Pass {name}[None]."
            )
        if x.ndim != 2 or x.shape[1] != self.x_dim or not len(x) or not np.isfinite(x).all():
            raise ValueError(
                f"{name} does not fit the model. Given: shape {x.shape}, {(~np.isfinite(x)).sum()} values that are not "
                f"finite. Pass finite observations (rows, {self.x_dim}): bins of trials are rows, "
                "x.reshape(-1, x.shape[-1])."
            )
        return x

    def labels(self, u: Any) -> np.ndarray:
        """Numbers of classes, int32 (labels,), or real labels, float32 (labels, U), of labels as users have them.

        Args:
            u: one label, or several; of classes also (labels, 1), or one-hot.
        """
        if self.discrete:
            return numbered(u, self.classes, self.u_dim)
        n, given = self.u_dim, as_array(u)
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
        return np.arange(self.u_dim) if self.classes is None else np.asarray(self.classes)

    def with_labels(self, x: Any, u: Any) -> tuple[Any, Any]:
        """Observations and their labels, which a recording brings with it.

        Raises:
            ValueError: there are none.
        """
        if u is None and isinstance(x, Recording | Split):
            return self._rows(x)[:2]
        if u is None:
            raise ValueError("Every row needs a label. Given: u=None. Pass u, or a recording, which has its own.")
        return x, u

    def named(self, given: Any) -> RowInputs:
        """The same with the names of classes, where there are none yet and labels are not numbered from 0.

        Args:
            given: what a model is trained on.
        """
        pair = isinstance(given, tuple | list) and len(given) == 2
        u = given.get("u") if isinstance(given, Mapping) else given[1] if pair else getattr(given, "label", None)
        if not self.discrete or self.classes is not None or u is None or is_one_hot(np.asarray(u)):
            return self
        return replace(self, classes=classes_in(u, self.u_dim))

    def pair(self, given: Any, name: str = "x") -> dict[str, np.ndarray]:
        """Observations and their labels by name, from a pair or a dict, checked as training needs them."""
        if isinstance(given, Recording | Split):
            given = self._rows(given)[:2]
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
        if y is not None or not isinstance(x, tuple | list | Mapping | Recording | Split):
            raise ValueError(
                f"{name} must be observations and labels together. Given: "
                f"{type(x).__name__}{'' if y is None else ', and y apart'}. Pass a pair, (x, u)."
            )
        return self.pair(x, name)

    def _rows(self, part: Recording | Split) -> Rows:
        return rows_of(part, {"discrete_labels": self.discrete, "u_dim": self.u_dim})


def check_rows(n_rows: int, n_labels: int, name: str = "x") -> None:
    """Refuses labels that are not one a row."""
    if n_rows != n_labels:
        raise ValueError(
            f"Every row of {name} needs a label. Given: {n_rows} rows and {n_labels} labels. Select the same rows."
        )
