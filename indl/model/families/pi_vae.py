"""pi-VAE as a family: the rows are the bins of a recording's trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from indl.data.values.recording import Recording, Split
from indl.model.families.base import Family
from indl.model.memory import Memory, pi_vae_memory
from indl.model.pi_vae.builders import build_pi_vae, compile_pi_vae
from indl.model.pi_vae.model import PiVAE
from indl.params.pi_vae import PI_VAE


class PiVAEFamily(Family):
    """pi-VAE on the bins of the channels that the encoder sees; labels are the trials' classes, or behaviour."""

    table = PI_VAE
    model = PiVAE

    def params_for(self, params: Mapping[str, Any], recording: Recording) -> Mapping[str, Any]:
        """The complete params with channels, and classes or dimensions of behaviour, of the recording."""
        p = self.table.validate(params)
        u_dim = p["u_dim"]
        if p["discrete_labels"]:
            found = max(int(_classes(part).max()) + 1 for part in (recording.train, recording.valid))
            u_dim = found if u_dim is None else u_dim
        elif u_dim is None and recording.train.behavior is not None:
            u_dim = recording.train.behavior.shape[-1]
        return self.table.validate({**p, "x_dim": recording.n_heldin, "u_dim": u_dim})

    def memory(self, params: Mapping[str, Any], recording: Recording) -> Memory:
        return pi_vae_memory(params, len(recording.train.encod) * recording.n_times)

    def build(self, params: Mapping[str, Any], recording: Recording) -> PiVAE:
        return build_pi_vae(params, params["x_dim"], params["u_dim"])

    def compile(self, model: PiVAE, params: Mapping[str, Any], n_trials: int, epochs: int) -> None:
        compile_pi_vae(model, params)

    def batches(self, params: Mapping[str, Any], recording: Recording, first: int = 0) -> dict[str, Any]:
        train, valid = (rows_of(part, params)[:2] for part in (recording.train, recording.valid))
        size = params["batch_size"]
        return {"x": train, "batch_size": size, "initial_epoch": first, "validation_data": valid}

    def check(self, model: PiVAE, recording: Recording) -> None:
        """Nothing: ``fit`` checks every row."""

    def steps_per_epoch(self, params: Mapping[str, Any], recording: Recording) -> int:
        return math.ceil(len(rows_of(recording.train, params).x) / params["batch_size"])

    def monitor(self, params: Mapping[str, Any]) -> str:
        return params["monitor"]


class Rows(NamedTuple):
    """Bins of a part of a recording as rows.

    Attributes:
        x: observations (rows, channels).
        u: classes (rows,), or real labels (rows, U).
        kept: which of all bins of all trials, (trials, time), the rows are, in order.
    """

    x: np.ndarray
    u: np.ndarray
    kept: np.ndarray


def rows_of(part: Split, params: Mapping[str, Any]) -> Rows:
    """The bins of a part as rows, those left out of which a sample or the label was not recorded.

    Args:
        part: a part of a recording.
        params: complete params of a pi-VAE.
    """
    x = np.asarray(part.encod[:], "float32")
    trials, bins = x.shape[:2]
    kept = np.isfinite(x).all(-1)
    if params["discrete_labels"]:
        u = np.broadcast_to(_classes(part).astype("int32")[:, None], (trials, bins))
    else:
        u = _behavior(part, bins, params["u_dim"])
        kept &= np.isfinite(u).all(-1)
    return Rows(x[kept], u[kept], kept)


def _classes(part: Split) -> np.ndarray:
    label = part.label
    if label is None or label.dtype.kind not in "iuf" or (label != np.round(label)).any() or label.min() < 0:
        given = "none" if label is None else f"labels such as {np.unique(label)[:5].tolist()}"
        raise ValueError(
            f"pi-VAE learns from the class of each trial. Given: {given}. Give the recording label, whole numbers "
            "counted from 0 (np.unique(names, return_inverse=True)[1] makes them of names), or set "
            "discrete_labels=False to learn from behaviour."
        )
    return label


def _behavior(part: Split, bins: int, length: int | None) -> np.ndarray:
    shape = None if part.behavior is None else part.behavior.shape
    if shape is None or shape[1] < bins or length is None or shape[2] < length:
        given = "no behavior" if shape is None else f"behavior of shape {shape}"
        raise ValueError(
            f"pi-VAE learns from behaviour in every bin. Given: {given}, for {bins} bins and u_dim={length}. Give "
            "behaviour in all bins, or set discrete_labels=True to learn from the class of each trial."
        )
    return np.asarray(part.behavior[:, :bins], "float32")[..., :length]
