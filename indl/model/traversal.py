"""What one dimension of a latent does: rates as it moves and everything else stays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.text import shown


class Traversal(NamedTuple):
    """Rates of one trial as dimensions of a latent move, one at a time.

    Attributes:
        rates: expected counts a bin, or means of signals, (dimensions, steps, time, channels).
        offsets: how far each step is from the trial's own value, in standard deviations over trials, (steps,).
        dimensions: which dimensions moved, (dimensions,).
        latent: ``"f"`` or ``"z"``.
    """

    rates: np.ndarray
    offsets: np.ndarray
    dimensions: np.ndarray
    latent: str


def traverse(
    model: Any,
    x: Any,
    latent: str = "f",
    dimensions: Sequence[int] | None = None,
    trial: int = 0,
    steps: int = 7,
    span: float = 2.0,
) -> Traversal:
    """Moves the dimensions of a trial's latent one at a time, z in all bins alike, and decodes.

    The unit of a move is the standard deviation of the posterior means over trials (and bins, of z).

    Args:
        model: a :class:`~indl.model.sequence_model.SequentialVAE`.
        x: trials, as the model's methods take them; more than one, since they make the unit.
        latent: ``"f"`` or ``"z"``.
        dimensions: which. Default: all, those that tell most of the trial first (the variance of their means over the
            mean of their variances).
        trial: which of the trials.
        steps: how many values each takes.
        span: how far it goes to either side, in standard deviations.

    Raises:
        ValueError: the model has no such latent, there is no such trial or dimension, or only one trial.
    """
    q = model.encode(x)
    if f"q_{latent}" not in q:
        raise ValueError(
            f"Only a latent of the model can be moved. Given: latent={latent!r}. Choose one of {model.latent_names}."
        )
    loc, scale = (np.asarray(part) for part in q[f"q_{latent}"][:2])
    n, size = len(loc), loc.shape[-1]
    steps, trial = check_whole(steps, "steps", 2), check_whole(trial, "trial")
    if not isinstance(span, int | float) or not 0 < span < math.inf:
        raise ValueError(f"A latent moves by a finite number. Given: span={shown(span)}. Use 2, say.")
    given = range(size) if dimensions is None else np.atleast_1d(np.asarray(dimensions)).tolist()
    chosen = np.array([check_whole(i, "a dimension") for i in given], int)
    if n < 2 or not 0 <= trial < n or chosen.size == 0 or chosen.min() < 0 or chosen.max() >= size:
        raise ValueError(
            f"A dimension of one trial moves by the spread of all. Given: trial={trial}, dimensions={chosen.tolist()}, "
            f"for {n} trials and {size} dimensions. Pass two trials or more, and numbers of what is there."
        )
    rows = loc.reshape(-1, size)
    spread = rows.std(axis=0)
    if dimensions is None:
        variance = np.square(scale) if scale.ndim == loc.ndim else np.square(scale).sum(-1)
        told = np.square(spread) / variance.reshape(-1, size).mean(axis=0)
        chosen = np.argsort(-told, kind="stable")
    offsets = np.linspace(-span, span, steps)
    own = {name[-1]: np.asarray(posterior.loc)[trial] for name, posterior in q.items()}
    moves = np.eye(size)[chosen][:, None] * (offsets[None, :, None] * spread)
    moved = {name: np.repeat(value[None], moves[..., 0].size, axis=0) for name, value in own.items()}
    shape = (-1, *(1,) * (own[latent].ndim - 1), size)
    moved[latent] = moved[latent] + moves.reshape(shape)
    rates = model.decode_as(x, trial, **moved)
    return Traversal(rates.reshape(len(chosen), steps, *rates.shape[1:]), offsets, chosen, latent)
