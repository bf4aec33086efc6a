"""The labels that a model reads: their form, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from indl.data.checks.masks import as_array
from indl.data.values.forms import one_label_each

#: What labels are, in messages.
WHAT = "the label of each trial, or with u_per_step of each bin of the target"


@dataclass(frozen=True)
class LabelForm:
    """What labels of a model look like.

    Attributes:
        n_classes: number of classes, counted from 0; 0: any; None: labels are vectors.
        length: length of a vector.
        per_step: whether each bin of the target has a label, or each trial.
    """

    n_classes: int | None
    length: int
    per_step: bool

    @classmethod
    def of(cls, symbol: Any, n_classes: int = 0) -> LabelForm:
        """The form of a symbolic input: integers are classes."""
        discrete, rank = "int" in symbol.dtype, len(symbol.shape)
        if discrete:
            return cls(n_classes, 0, rank == 2)
        return cls(None, symbol.shape[-1], rank == 3)

    @property
    def vector(self) -> tuple[int, ...]:
        """The shape of one label."""
        return () if self.n_classes is not None else (self.length,)

    def shape(self, trials: Any, bins: Any) -> tuple:
        """The shape of the labels of trials of so many bins."""
        return (trials, *((bins,) if self.per_step else ()), *self.vector)

    def unknown(self, x: Any, extra: int = 0) -> Any:
        """Unknown labels, float32, of trials (trials, time, ...) with `extra` bins; an array of an array."""
        is_array = isinstance(x, np.ndarray)
        trials, bins = (x.shape if is_array else ops.shape(x))[:2]
        bins = bins + extra if self.per_step else bins
        return (np.full if is_array else ops.full)(
            self.shape(trials, bins), float("nan") if self.n_classes is None else -1.0, dtype="float32"
        )

    def tidy(self, u: np.ndarray) -> np.ndarray:
        """Labels of trials that came as a column (trials, 1), or one-hot, as (trials,); others as they are."""
        return one_label_each(u) if self.n_classes is not None and not self.per_step else u

    def check(self, u: np.ndarray, trials: int, bins: int, name: str, known: bool) -> None:
        """Refuses labels of another shape, that cannot be, or, with `known`, that are unknown.

        Args:
            u: labels, float32.
            trials, bins: of the target.
            name: what to call them in messages.
            known: whether unknown labels, -1 or NaN, are refused.
        """
        wanted = self.shape(trials, bins)
        if u.shape != wanted:
            raise ValueError(
                f"{name} does not fit the trials and the model. Given: shape {u.shape}. It must be {wanted}: {WHAT}."
            )
        if self.n_classes is None:
            unknown, wrong, allowed = np.isnan(u), np.isinf(u), "finite numbers, NaN where it is unknown"
        else:
            unknown, wrong = u == -1, (u != np.round(u)) | (u < -1) | ((u >= self.n_classes) & (self.n_classes > 0))
            allowed = f"classes from 0 to {self.n_classes - 1}" if self.n_classes else "classes from 0 on"
            allowed += ", -1 where it is unknown"
        if wrong.any():
            shown = np.unique(u[wrong])[:5].tolist()
            raise ValueError(
                f"{name} holds labels that cannot be. Given: {wrong.sum()}, such as {shown}. Labels are {allowed}."
            )
        if known and unknown.any():
            first = tuple(int(i) for i in np.argwhere(unknown)[0])
            raise ValueError(
                f"Every label must be known here. Given: {unknown.sum()} of {u.size} unknown in {name}, the first at "
                f"{first}. Leave those trials out; in bins beyond a trial's end any label will do."
            )

    def spread(self, u: Any, trials: int, bins: int) -> np.ndarray:
        """Known labels of all trials, from one for all of them, one for each, or one for each of their bins.

        Raises:
            ValueError: labels that fit neither way, or are not known.
        """
        array = as_array(u, "float32")
        n_axes = array.ndim - len(self.vector)
        if n_axes == 0:
            array = array[None, None] if self.per_step else array[None]
        elif n_axes == 1 and self.per_step:
            array = array[:, None]
        wanted = self.shape(trials, bins)
        if len(array.shape) == len(wanted) and all(a in (1, b) for a, b in zip(array.shape, wanted, strict=True)):
            array = np.broadcast_to(array, wanted)
        self.check(array, trials, bins, "u", known=True)
        return array.astype("float32" if self.n_classes is None else "int32")

    def missing(self, name: str) -> ValueError:
        """The error that there are no labels."""
        shape = ", ".join(map(str, self.shape("trials", "bins")))
        return ValueError(
            f"This model learns from labels. Given: {name} without u. Pass {{'x': x, 'u': u}}, u ({shape}): {WHAT}."
        )
