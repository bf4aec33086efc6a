"""The logged terms of the loss as one metric: a variable for each would cost more than a step of a small model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops


class TermMeans(keras.metrics.Metric):
    """Means over trials of several terms, as one variable: their sums, and the number of trials behind them.

    Args:
        terms: names of the terms, under which they are logged.
    """

    def __init__(self, terms: Sequence[str], name: str = "terms", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.terms = tuple(terms)
        self.sums = self.add_weight(shape=(len(self.terms) + 1,), initializer="zeros", name="sums")

    def update_state(self, values: Mapping[str, Any], counted: Any = True) -> None:
        """Adds the trials of a batch.

        Args:
            values: each term, of every trial (batch,) or one number for all.
            counted: whether the batch counts; nothing is added where it does not, whatever its values.
        """
        trials = max((ops.shape(values[name]) for name in self.terms), key=len)
        rows = [ops.sum(ops.broadcast_to(values[name], trials)) for name in self.terms]
        count = ops.cast(trials[0] if trials else 1, self.dtype)
        found = ops.stack([ops.cast(row, self.dtype) for row in (*rows, count)])
        self.sums.assign_add(ops.where(counted, found, ops.zeros_like(found)))

    def result(self) -> dict[str, Any]:
        """The mean of every term; 0 where nothing was counted."""
        means = ops.divide_no_nan(self.sums[:-1], self.sums[-1])
        return {name: means[i] for i, name in enumerate(self.terms)}
