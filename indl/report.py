"""What a run leaves on disk: model, SavedModel, params, history and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indl import plots
from indl.data.recording import Recording
from indl.export import export_saved_model
from indl.files import save_model, write_json
from indl.model.sequential_vae import SequentialVAE
from indl.training.fit import TrainingResult


def save_run(out: Path | str, result: TrainingResult, recording: Recording) -> None:
    """Writes a trained run into the folder `out`.

    ``model.keras``, ``saved_model/``, ``params.json``, ``history.json`` and ``figures/*.png``; each appears whole or
    not at all.
    """
    out = Path(out)
    save_model(result.model, out / "model.keras")
    export_saved_model(result.model, out / "saved_model", overwrite=True)
    write_json(out / "params.json", result.model.params)
    write_json(out / "history.json", result.history)
    save_figures(out / "figures", result.model, recording, result.history)


def save_figures(
    folder: Path | str, model: SequentialVAE, recording: Recording, history: Mapping[str, Any] | None = None
) -> list[Path]:
    """Draws the figures of a model on the validation trials; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    valid, width = recording.valid, recording.bin_width_s
    found = model.outputs_of(valid.encod, ("rates", "factors"))
    trial = int(np.argmax(valid.recon.sum((1, 2))))
    figures = {
        "raster": lambda path: plots.raster_with_rates(
            valid.recon, found["rates"], trial=trial, bin_width_s=width, truth=valid.truth, path=path
        ),
        "factors": lambda path: plots.factors_3d(found["factors"], label=valid.label, path=path),
    }
    if history:
        figures["training"] = lambda path: plots.training_curves(history, path=path)
    if valid.truth is not None:
        figures["rates_against_truth"] = lambda path: plots.rates_against_truth(
            found["rates"], valid.truth, bin_width_s=width, path=path
        )
    paths = []
    for name, draw in figures.items():
        paths.append(folder / f"{name}.png")
        draw(paths[-1])
    return paths
