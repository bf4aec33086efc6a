"""Commands about trained models: evaluate, predict, submit, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from indl.cli.application import app
from indl.cli.inputs import (
    Baselines,
    Data,
    Lag,
    Model,
    Samples,
    check_same_bins,
    files_among,
    known_of,
    model_at,
    output_place,
    read_as_run,
    read_data,
)
from indl.cli.options import Output, command
from indl.cli.printing import console, print_scores, reported
from indl.files import check_folder
from indl.files.kinds import SAVED_MODEL


@command(app, "scores", reads=True, splits=True, also="--out")
def evaluate(
    model: Model,
    data: Data,
    how: dict[str, Any],
    output: Output,
    samples: Samples = 50,
    lag: Lag = 0.0,
    baselines: Baselines = True,
) -> None:
    """Scores a trained model on the validation trials of a recording, beside baselines.

    The recording is read as that of the run was, but for the options that are given.
    """
    from indl.evaluation import evaluate as scores_of
    from indl.evaluation import left_out

    loaded, recording = model_at(model), read_data(data, how, model)
    with console.status("scoring"):
        scores: dict[str, Any] = {"model": reported(lambda: scores_of(loaded, recording, samples, lag_s=lag))}
    if baselines:
        scores["baseline"] = _baseline(recording, lag)
    print_scores(recording, scores, loaded)
    scores |= left_out(scores)
    output.write(scores)


@command(app, reads=True)
def predict(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")],
    how: dict[str, Any],
    output: Output,
    samples: Samples = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
) -> None:
    """Writes rates and latents of every trial of a recording, in the order of the trials.

    The recording is read as that of the run was, but for the options that are given.
    """
    from indl.data import read_trials
    from indl.evaluation.predictions import PREDICTIONS, save_predictions
    from indl.evaluation.predictions import predict as predicted

    out = output_place(out, PREDICTIONS, model, *files_among(data))
    loaded, known = model_at(model), known_of(model)
    trials = reported(lambda: read_trials(data, **read_as_run(data, how, known)))
    check_same_bins(trials, known, model)
    ids = known.get("channel_ids")
    heldin = None if ids is None else ids[: known["n_heldin"]]
    with console.status("predicting"):
        found = reported(lambda: predicted(loaded, trials, heldin, known.get("n_times"), samples, seed))
        reported(lambda: save_predictions(out, found, trials, ids, model=str(model), samples=samples))
    shapes = {name: list(values.shape) for name, values in found.items()}
    console.print(f"{', '.join(f'{name} {tuple(shape)}' for name, shape in shapes.items())} in {out}", soft_wrap=True)
    output.write({"file": str(out), "shapes": shapes})


@command(app)
def submit(
    model: Model,
    data: Annotated[list[Path], typer.Argument(help="Input files of nlb_tools: training and evaluation trials.")],
    out: Annotated[Path, typer.Option(help="HDF5 file to write.")],
    output: Output,
    name: Annotated[str, typer.Option(help="The data set, e.g. mc_maze_small.")] = "",
    samples: Samples = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    bin_width: Annotated[
        float | None, typer.Option("--bin", "--bin-width", help="In seconds; default: the run's.")
    ] = None,
) -> None:
    """Writes a submission to the Neural Latents Benchmark: rates of the trials in files of nlb_tools' layout."""
    from indl.data import read_nlb
    from indl.export import write_nlb_submission
    from indl.export.nlb_submission import SUBMISSION

    out = output_place(out, SUBMISSION, model, *files_among(*data))
    loaded, known = model_at(model), known_of(model)
    width = known.get("bin_width_s") if bin_width is None else bin_width
    found = reported(lambda: read_nlb(*data, name=name, bin_width_s=width))
    check_same_bins(found.train, known, model)
    with console.status("predicting"):
        reported(lambda: write_nlb_submission(loaded, found, out, name=name, samples=samples, seed=seed))
    console.print(f"submission of {found!r} in {out}", markup=False, highlight=False, soft_wrap=True)
    output.write({"file": str(out), "is": repr(found)})


@command(app)
def export(
    model: Model,
    out: Annotated[Path, typer.Argument(help="Folder of the SavedModel.")],
    output: Output,
    overwrite: Annotated[bool, typer.Option(help="Replace an export that is there.")] = False,
) -> None:
    """Writes a SavedModel that runs where indl is not installed."""
    from indl.export import export_saved_model

    reported(lambda: check_folder(out, SAVED_MODEL, [model]))
    loaded = model_at(model)
    path = reported(lambda: export_saved_model(loaded, out, overwrite))
    console.print(f"SavedModel with endpoints rates and encode in {path}", soft_wrap=True)
    output.write({"folder": str(path), "endpoints": ["rates", "encode"]})


def _baseline(recording: Any, lag: float) -> dict[str, float]:
    from indl.evaluation import evaluate_baseline

    with console.status("fitting baselines"):
        return reported(lambda: evaluate_baseline(recording, lag_s=lag))
