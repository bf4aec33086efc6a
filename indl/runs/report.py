"""What a run leaves on disk: model, SavedModel, params, history and figures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indl import plots
from indl.data.values.recording import Recording
from indl.data.values.trials import time_mask
from indl.evaluation import decode_behavior
from indl.export import export_saved_model
from indl.files import OutputError, WriteError, claim_folder, output_file, write_json
from indl.files.kinds import RUN
from indl.files.marks import FIGURE
from indl.model.inputs.of_recording import inputs_of
from indl.model.latent_model import LatentModel
from indl.model.parts import part_of
from indl.model.pi_vae.model import PiVAE
from indl.model.pi_vae.of_recording import rows_of
from indl.model.sequence_model import SequentialVAE
from indl.training.fit import TrainingResult
from indl.training.latent_use import LatentUse

#: Validation trials that the figures are drawn from.
_TRIALS = 512


def save_run(out: Path | str, result: TrainingResult) -> None:
    """Writes what was trained into the folder `out`.

    ``model.keras``, ``saved_model/``, ``params.json``, ``history.json`` and ``latent_use.json``; each appears whole or
    not at all.

    Raises:
        OutputError: the folder holds other things, and is none of a run.
    """
    out = claim_folder(out, RUN)
    result.model.save(out / "model.keras")
    export_saved_model(result.model, out / "saved_model", overwrite=True)
    write_json(out / "params.json", result.model.params)
    write_json(out / "history.json", result.history)
    use = result.latent_use
    if use is not None:
        kl = {name: [values.tolist() for values in rows] for name, rows in use.kl.items() if rows}
        write_json(out / "latent_use.json", {"epochs": use.epochs, "kl_per_dimension": kl})


def save_figures(
    folder: Path | str,
    model: LatentModel,
    recording: Recording,
    history: Mapping[str, Any] | None = None,
    latent_use: LatentUse | None = None,
    lag_s: float = 0.0,
) -> list[Path]:
    """Draws the figures of a model on the validation trials (512 at most).

    Rates with spikes, factors, calibration, and, where there is what they need, training curves, the use of each
    latent dimension, autocorrelation of z and of its prior, rates by condition, decoded behaviour, and rates against
    the true ones.

    Args:
        folder: where to write.
        model: a trained model.
        recording: decoders are fitted on its training trials.
        history: training history.
        latent_use: record of the KL of every latent dimension.
        lag_s: seconds by which behaviour is later than the rates.

    Returns:
        Paths of the figures that could be drawn.

    Warns:
        UserWarning: a figure could not be drawn of these data, or not be written, or a file of its name is there that
            is none of the library's.
    """
    folder = Path(folder)
    if isinstance(model, PiVAE):
        figures = _row_figures(model, recording, history)
    else:
        figures = _figures(model, recording, history, latent_use, lag_s)
    drawn = []
    for name, draw in figures.items():
        try:
            path = output_file(folder / f"{name}.png", FIGURE)
            draw(path)
        except (ValueError, ArithmeticError, OutputError, WriteError) as error:
            warnings.warn(f"The figure {name} is left out: {error}", stacklevel=2)
        else:
            drawn.append(path)
    return drawn


def _figures(
    model: SequentialVAE,
    recording: Recording,
    history: Mapping[str, Any] | None,
    latent_use: LatentUse | None,
    lag_s: float,
) -> dict[str, Callable[[Path], Any]]:
    """The figures that can be drawn, by name: each takes the path to write."""
    valid, width = recording.valid, recording.bin_width_s
    x, counts = inputs_of(model, valid, slice(_TRIALS)), np.asarray(valid.recon[:_TRIALS])
    label = None if valid.label is None else valid.label[:_TRIALS]
    found = model.outputs_of(x, ("rates", "factors") if "factors" in model.output_names else ("rates",))
    # Beyond a trial's end the model goes on; the figures do not.
    outside = ~time_mask(counts)
    rates = np.where(outside[..., None], np.nan, found["rates"])
    truth = None if valid.truth is None else valid.truth[:_TRIALS]
    busiest = int(np.argmax(np.nansum(counts, (1, 2))))
    figures: dict[str, Callable[[Path], Any]] = {
        "raster": lambda path: plots.raster_with_rates(
            counts, rates, trial=busiest, bin_width_s=width, truth=truth, path=path, are_counts=recording.are_counts
        )
    }
    if recording.are_counts:
        figures["calibration"] = lambda path: plots.calibration(rates, counts, path=path)
    if "factors" in found:
        factors = np.where(outside[..., None], np.nan, found["factors"])
        figures["factors"] = lambda path: plots.factors_3d(factors, label=label, path=path)
    if history:
        figures["training"] = lambda path: plots.training_curves(history, path=path)
    if latent_use is not None and latent_use.epochs:
        kl = {name: np.stack(rows) for name, rows in latent_use.kl.items() if rows}
        figures["kl_per_dimension"] = lambda path: plots.kl_per_dimension(kl, path=path, epochs=latent_use.epochs)
    prior = part_of(model, "z_prior")
    if prior is not None and model.latent_ranks["z"] == 3:
        labels = None
        if prior.labelled:
            labels = inputs_of(model, valid, slice(_TRIALS), labels=True)["u"]
        figures["autocorrelation"] = lambda path: _draw_autocorrelation(model, x, width, path, labels)
    if label is not None:
        figures["psths"] = lambda path: plots.psths(rates, counts, label, width, path=path)
    if valid.behavior is not None:
        figures["decoding"] = lambda path: _draw_decoding(model, recording, lag_s, path)
    if truth is not None:
        figures["rates_against_truth"] = lambda path: plots.rates_against_truth(
            rates, truth, bin_width_s=width, path=path
        )
    return figures


def _row_figures(
    model: PiVAE, recording: Recording, history: Mapping[str, Any] | None
) -> dict[str, Callable[[Path], Any]]:
    """Those of a model of rows: rates and latents are of the encoder's mean, which sees no label."""
    valid = recording.valid
    counts = np.asarray(valid.encod[:_TRIALS], "float32")
    kept, rows = rows_of(valid, model.params).kept[:_TRIALS], np.full(counts.shape, np.nan, "float32")
    codes = model.encode(counts[kept])
    rows[kept] = model.decode(codes)
    busiest, width = int(np.argmax(np.nansum(counts, (1, 2)))), recording.bin_width_s
    figures: dict[str, Callable[[Path], Any]] = {
        "raster": lambda path: plots.raster_with_rates(
            counts, rows, trial=busiest, bin_width_s=width, path=path, are_counts=recording.are_counts
        )
    }
    if model.decoder_observation_model == "poisson":
        figures["calibration"] = lambda path: plots.calibration(rows, counts, path=path)
    if history:
        figures["training"] = lambda path: plots.training_curves(history, path=path, per="bin")
    if valid.latents is not None:
        truth = valid.latents[:_TRIALS, : recording.n_times][kept]
        label = rows_of(valid, model.params).u[: len(codes)]
        label = label if label.ndim == 1 else label[:, 0]
        figures["latents"] = lambda path: plots.plot_recovered_latents(truth, codes, label, path=path)
    return figures


def _draw_autocorrelation(
    model: SequentialVAE, x: np.ndarray, width: float, path: Path, labels: np.ndarray | None = None
) -> None:
    """One sample of z of each trial against as many draws from the prior."""
    drawn = model.outputs_of(x, ("z",), samples=1)["z"]
    prior = part_of(model, "z_prior")
    tau = prior.time_constants()
    draws = np.asarray(prior.draw(*drawn.shape[:2], labels))
    plots.autocorrelation(drawn, draws, width, path=path, tau_s=None if tau is None else tau * width)


def _draw_decoding(model: SequentialVAE, recording: Recording, lag_s: float, path: Path) -> None:
    train, valid = recording.train, recording.valid
    decoded = decode_behavior(recording, *(model.rates(inputs_of(model, part)) for part in (train, valid)), lag_s)
    plots.decoding(
        valid.behavior,
        decoded.predicted,
        recording.bin_width_s,
        label=valid.label,
        lag_bins=decoded.lag_bins,
        path=path,
        r2=decoded.r2_per_dim,
    )
