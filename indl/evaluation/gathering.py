"""Scores that stand beside one another: where one cannot be computed, the others can."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


class Scores(dict[str, float]):
    """Numbers by name. Those that could not be computed are NaN.

    Attributes:
        left_out: why each of those is, by the name of the first of its group.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}

    def add(self, compute: Callable[[], Mapping[str, Any]], *names: str) -> None:
        """Adds what `compute` gives; where that fails for these data, NaN under `names`, and a warning that says why.

        Warns:
            UserWarning: the scores could not be computed.
        """
        try:
            found = compute()
        except (ValueError, ArithmeticError) as error:
            found = dict.fromkeys(names, np.nan)
            self.leave_out(names[0], str(error), stacklevel=4)
        self.update({name: float(value) for name, value in found.items()})

    def leave_out(self, name: str, why: str, stacklevel: int = 3) -> None:
        """Puts NaN in the place of a score that says nothing, and warns with the reason.

        Warns:
            UserWarning: always.
        """
        self[name], self.left_out[name] = np.nan, why
        warnings.warn(f"The score {name} is left out: {why}", stacklevel=stacklevel)


def left_out(scores: Mapping[str, Scores]) -> dict[str, dict[str, str]]:
    """``{"left_out": {score: reason}}`` of several sets of scores, or nothing where none is."""
    reasons = {f"{whose}.{name}": why for whose, found in scores.items() for name, why in found.left_out.items()}
    return {"left_out": reasons} if reasons else {}


def by_dimension(name: str, values: Any) -> dict[str, float]:
    """The mean over dimensions, and every dimension, counted from 1."""
    values = np.atleast_1d(values)
    return {name: float(values.mean()), **{f"{name}_{i}": float(value) for i, value in enumerate(values, 1)}}
