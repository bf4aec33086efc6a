"""The sequences that trials belong to: the means of new ones, and what exchanging them does to f."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from indl.model.parts import part_of


def estimate(model: Any, x: Any, trained: bool = False) -> None:
    """Sets the means of sequences that training has not to the likeliest ones, given the trials `x`.

    They are those of :func:`indl.dists.priors.table.map_means`, of all trials of `x` in such a sequence; the rows of
    sequences in training stay as they are. ``evaluate``, and validation in training, call it by themselves.

    Args:
        model: a model with f_prior_type='lookup'.
        x: inputs by name, with ``index``; or a data set of them, alone or as the first of a tuple.
        trained: set those of sequences in training instead, all of whose trials are then in `x`.
    """
    prior = part_of(model, "f_prior")
    chosen = (np.asarray(prior.used) > 0) == trained
    if not chosen.any():
        return
    means, rows = [], []
    for batch in (x,) if isinstance(x, Mapping) else _inputs(x):
        index = np.asarray(batch["index"], int)
        of_these = chosen[index]
        if of_these.any():
            given = {name: np.asarray(values)[of_these] for name, values in batch.items()}
            means.append(model.encode(given)["q_f"].loc)
            rows.append(index[of_these])
    if rows:
        prior.estimate(np.concatenate(means), np.concatenate(rows), trained)


def shifts(model: Any, index: np.ndarray, order: np.ndarray) -> np.ndarray:
    """What takes f of each trial from its own sequence to that of trial order[i]: mu_target - mu_source, (trials, F).

    Args:
        model: a model with f_prior_type='lookup'.
        index: the row of each trial's sequence, (trials,).
        order: the trial whose sequence each takes, (trials,).
    """
    means = np.asarray(part_of(model, "f_prior").table)[np.asarray(index, int)]
    return means[order] - means


def _inputs(data: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    """The inputs in the elements of a data set."""
    return (element[0] if isinstance(element, tuple) else element for element in data)
