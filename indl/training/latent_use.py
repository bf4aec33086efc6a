"""How much each latent dimension is used as training goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.data.values.recording import Split
from indl.data.values.trials import time_mask
from indl.dists.priors import Prior
from indl.model.inputs.of_recording import inputs_of


class _Numbers(TypedDict):
    """All of the state are arrays."""


class LatentUse(keras.callbacks.Callback):
    """Records the KL of every latent dimension on some trials, in nats per trial.

    Args:
        part: a part of a recording.
        every: epochs between two records; the last epoch is recorded too.
        trials: how many trials, the first ones, are recorded on. None: all.

    Attributes:
        epochs: the recorded epochs.
        kl: by latent, ``"f"`` and ``"z"``, one array (dimensions,) for each recorded epoch.
    """

    numbers = TypeAdapter(_Numbers)

    def __init__(self, part: Split, every: int = 5, trials: int | None = None):
        super().__init__()
        self.part = part
        self.trials = slice(trials)
        self.every = every
        self.epochs: list[int] = []
        self.kl: dict[str, list[np.ndarray]] = {"f": [], "z": []}

    def state(self) -> dict[str, Any]:
        return {"epochs": [np.asarray(epoch) for epoch in self.epochs], **self.kl}

    def restore(self, state: dict[str, Any]) -> None:
        self.epochs = [int(epoch) for epoch in state["epochs"]]
        self.kl = {name: state[name] for name in ("f", "z")}

    def fits(self, state: dict[str, Any], model: Any, history: Mapping[str, list[float]]) -> bool:
        """Whether a state records epochs in their order, and for each of them every dimension."""
        epochs = state["epochs"]
        if not all(epoch.shape == () and epoch.dtype.kind in "iu" for epoch in epochs):
            return False
        in_order = [-1, *map(int, epochs), len(history["loss"])]
        if not all(a < b for a, b in zip(in_order, in_order[1:], strict=False)):
            return False
        records = [rows for rows in (state["f"], state["z"]) if rows]
        return all(
            len(rows) == len(epochs)
            and all(row.ndim == 1 and row.shape == rows[0].shape and row.dtype.kind == "f" for row in rows)
            for rows in records
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params.get("epochs"):
            self.epochs.append(epoch)
            for name, values in kl_per_dimension(self.model, self._inputs()).items():
                self.kl[name].append(values)

    def _inputs(self) -> Any:
        return inputs_of(self.model, self.part, self.trials, labels=True)


def kl_per_dimension(model: Any, x: Any) -> dict[str, np.ndarray]:
    """KL of every latent dimension, mean over the trials `x`, as the model reads them, summed over bins, in nats.

    Of a prior that depends on labels, only where `x` holds them; of one of sequences, of new ones where it does not.

    Returns:
        ``"f"`` and ``"z"``, as far as the model has them and their priors tell: arrays (dimensions,).
    """
    given = x if isinstance(x, dict) else {"x": x}
    found, counts = {}, given["x"]
    for name, q in model.encode(x, paths=True).items():
        prior = {layer.name: layer for layer in model.layers}.get(f"{name[-1]}_prior")
        if isinstance(prior, Prior) and (prior.reads in given or not prior.labelled):
            kl = np.asarray(prior.kl_per_dimension(q, given.get(prior.reads)))
            if kl.ndim == 3:
                # The padding of a shorter trial is no part of it.
                belongs = np.pad(time_mask(counts), ((0, 0), (0, kl.shape[1] - counts.shape[1])), mode="edge")
                kl = (kl * belongs[..., None]).sum(axis=1)
            found[name[-1]] = kl.mean(axis=0)
    return found
