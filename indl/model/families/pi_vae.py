"""pi-VAE as a family: the rows are the bins of a recording's trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.values.recording import Recording
from indl.model.families.base import Family
from indl.model.memory import Memory, pi_vae_memory
from indl.model.pi_vae.builders import build_pi_vae, compile_pi_vae
from indl.model.pi_vae.classes import classes_in
from indl.model.pi_vae.model import PiVAE
from indl.model.pi_vae.of_recording import labels_of, rows_of
from indl.params.pi_vae import PI_VAE


class PiVAEFamily(Family):
    """pi-VAE on the bins of the channels that the encoder sees; labels are the trials' classes, or behaviour."""

    table = PI_VAE
    model = PiVAE

    def params_for(self, params: Mapping[str, Any], recording: Recording) -> Mapping[str, Any]:
        """The complete params with channels, and classes or dimensions of behaviour, of the recording.

        Raises:
            ValueError: the recording has no labels, or such as are no classes.
        """
        p = self.table.validate(params)
        u_dim = p["u_dim"]
        if p["discrete_labels"]:
            labels = np.concatenate([labels_of(part) for part in (recording.train, recording.valid)])
            classes = p["classes"] or classes_in(labels, u_dim)
            u_dim = len(classes) if classes else int(labels.max()) + 1 if u_dim is None else u_dim
            p = {**p, "classes": classes}
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
