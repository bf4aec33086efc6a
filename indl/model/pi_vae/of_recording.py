"""The bins of a part of a recording as the rows of a pi-VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from indl.data.values.recording import Recording, Split


class Rows(NamedTuple):
    """Bins of a part of a recording as rows.

    Attributes:
        x: observations (rows, channels).
        u: labels as the recording has them (rows,), or real labels (rows, U).
        kept: which of all bins of all trials, (trials, time), the rows are, in order.
    """

    x: np.ndarray
    u: np.ndarray
    kept: np.ndarray


def rows_of(part: Recording | Split, params: Mapping[str, Any]) -> Rows:
    """The bins of a part as rows, those left out of which a sample or the label was not recorded.

    Args:
        part: a part of a recording; of a whole one, its validation trials.
        params: complete params of a pi-VAE.
    """
    part = part.valid if isinstance(part, Recording) else part
    x, kept = _observed(part)
    if params["discrete_labels"]:
        u = np.broadcast_to(labels_of(part)[:, None], kept.shape)
    else:
        u = _behavior(part, kept.shape[1], params["u_dim"])
        kept = kept & np.isfinite(u).all(-1)
    return Rows(x[kept], u[kept], kept)


def observations_of(part: Recording | Split) -> np.ndarray:
    """The bins of a part as rows (rows, channels), those left out of which a sample was not recorded."""
    x, kept = _observed(part.valid if isinstance(part, Recording) else part)
    return x[kept]


def labels_of(part: Split) -> np.ndarray:
    """The label of each trial.

    Raises:
        ValueError: there are none.
    """
    if part.label is None:
        raise ValueError(
            "pi-VAE learns from the class of each trial. Given: none. Give the recording label, one class a trial, or "
            "set discrete_labels=False to learn from behaviour."
        )
    # A reader may have made reals of them.
    whole = part.label.dtype.kind == "f" and (part.label == np.round(part.label)).all()
    return part.label.astype(np.int64) if whole else part.label


def _observed(part: Split) -> tuple[np.ndarray, np.ndarray]:
    """Observations (trials, time, channels), and which bins were recorded, (trials, time)."""
    x = np.asarray(part.encod[:], "float32")
    return x, np.isfinite(x).all(-1)


def _behavior(part: Split, bins: int, length: int | None) -> np.ndarray:
    shape = None if part.behavior is None else part.behavior.shape
    if shape is None or shape[1] < bins or length is None or shape[2] < length:
        given = "no behavior" if shape is None else f"behavior of shape {shape}"
        raise ValueError(
            f"pi-VAE learns from behaviour in every bin. Given: {given}, for {bins} bins and u_dim={length}. Give "
            "behaviour in all bins, or set discrete_labels=True to learn from the class of each trial."
        )
    return np.asarray(part.behavior[:, :bins], "float32")[..., :length]
