"""The command line: ``python -m indl demo|check|baseline|train|rerun|evaluate|tune|export|params``."""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from indl.cli.printing import console, fail, print_scores, print_search, print_table, print_warning, reported
from indl.files import check_folder, claim_folder, output_file
from indl.files.kinds import RUN, SAVED_MODEL, SEARCH
from indl.files.marks import FIGURE
from indl.params import FAMILIES, markdown_table, parse_setting, preset, table_of_preset

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

#: What the demo changes in the default preset, so that both latents carry something (docs/training.md, "Both latents in
#: use"), and training is short.
DEMO_SETTINGS = {
    "f_prior_init_std": 1.0,
    "z_prior_tau": 1.0,
    "kl_f_schedule": "linear",
    "kl_f_start": 6,
    "kl_f_ramp": 12,
    "kl_f_beta": 0.5,
    "kl_z_schedule": "linear",
    "kl_z_ramp": 6,
    "kl_z_beta": 0.5,
    "learning_rate": 6e-3,
    "lr_schedule": "cosine",
}
DEMO_EPOCHS = 30
_WITHOUT_TENSORFLOW = ("check", "baseline", "params")
_FIGURES = (".png", ".pdf", ".svg")
#: What the commands write files for, as their marks say.
CHECK, BASELINES, SCORES = "check", "baselines", "scores"

_PRESETS = [name for table in FAMILIES.values() for name in table.presets]

Data = Annotated[Path, typer.Argument(help="Recording in the HDF5 convention (see the documentation).")]
Preset = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(_PRESETS)}.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the training trials; default: the preset's.")]
Samples = Annotated[int, typer.Option(min=0, help="Posterior samples to average; 0: posterior means.")]
Lag = Annotated[float, typer.Option(help="Seconds by which behaviour is later than the rates.")]
Baselines = Annotated[bool, typer.Option(help="Fit smoothed-spikes baselines on the same data.")]


@app.callback()
def _quiet(context: typer.Context) -> None:
    """Sequential variational auto-encoders for neural population recordings."""
    warnings.showwarning = print_warning
    # TensorFlow greets on stderr while it is imported, before any log level applies.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "--help" not in sys.argv and context.invoked_subcommand not in _WITHOUT_TENSORFLOW:
        stderr = os.dup(2)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            try:
                import tensorflow  # noqa: F401
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo_out"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training trials.")] = DEMO_EPOCHS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and training.")] = 0,
) -> None:
    """Trains the default preset on a seeded Lorenz benchmark with known rates; 5 of its 29 neurons are held out."""
    from indl.runs.run import Run, check_replaced

    data = {"kind": "lorenz", "seed": seed, "heldout": 5}
    params = preset("default", **DEMO_SETTINGS, seed=seed)
    folder = reported(lambda: check_folder(out, RUN))
    reported(lambda: check_replaced(folder, _is_demo))
    _run(Run(data, params, epochs, samples=0, baselines=True), folder, fresh=True)


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="Recording in the HDF5 convention, or an NWB file with trials.")],
    out: Annotated[Path | None, typer.Option(help="Page of figures: .png, .pdf or .svg.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file of the report.")] = None,
    counts: Annotated[bool | None, typer.Option("--counts/--signal", help="What it holds, if not as it says.")] = None,
    bin_width: Annotated[float | None, typer.Option(help="Bin width in seconds, where the file does not say.")] = None,
    intervals: Annotated[str | None, typer.Option(help="NWB: table or tag of the trials.")] = None,
) -> None:
    """Lists what is wrong or suspicious about a recording; exit code 1 where it cannot be used."""
    from indl.data.examination.examine import examine, opened
    from indl.files import write_json

    if out and out.suffix not in _FIGURES:
        fail(f"The page of figures needs a known ending. Given: {out}. Choose one of {', '.join(_FIGURES)}.")
    out = _output(out, FIGURE, *_files(data))
    json_file = _output(json_file, CHECK, *_files(data))
    if out and out == json_file:
        fail(f"Two outputs cannot be in one place. Given: {out} for both. Choose another path for one of them.")

    def look() -> tuple[Any, dict[str, Any] | None]:
        with opened(data, counts, bin_width, intervals) as found:
            report = examine(found, counts=counts, bin_width_s=bin_width)
            console.print(str(report), markup=False, highlight=False, soft_wrap=True)
            return report, _overview(found, bin_width) if out else None

    report, drawn = reported(look)
    if json_file:
        reported(lambda: write_json(json_file, report.to_dict(), CHECK))
    if out:
        reported(lambda: _draw_overview(drawn, report, out))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def baseline(
    data: Data,
    lag: Annotated[str, typer.Option(help="Seconds by which behaviour is later than the counts, or auto.")] = "auto",
    sd: Annotated[str, typer.Option(help="Smoothing of the counts it is decoded from in seconds, or auto.")] = "0.1",
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and bootstrap.")] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the scores to.")] = None,
) -> None:
    """Scores what a recording yields without a model: co-smoothing, behaviour and conditions in one table."""
    from indl.files import write_json
    from indl.metrics import fit_baselines

    lag_s, sd_s, out = _seconds("--lag", lag), _seconds("--sd", sd), _output(out, BASELINES, *_files(data))
    recording = _load(data)
    with console.status("fitting baselines"):
        found = reported(lambda: fit_baselines(recording, lag_s=lag_s, sd_s=sd_s, seed=seed))
    print_table(f"validation trials: {len(recording.valid)}", ("score", "method", "value", "settings"), found.rows())
    for what, reason in found.left_out.items():
        console.print(f"left out: {what} ({reason})", highlight=False)
    if out:
        reported(lambda: write_json(out, found.as_dict(), BASELINES))


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    preset_name: Preset = "default",
    settings: Settings = None,
    epochs: Epochs = None,
    samples: Samples = 50,
    lag: Lag = 0.0,
    baselines: Baselines = False,
    skip_nonfinite: Annotated[bool, typer.Option(help="Leave out steps that are not finite, and count them.")] = False,
    fresh: Annotated[bool, typer.Option(help="Begin anew where the folder holds a run.")] = False,
) -> None:
    """Trains on a recording; writes model, SavedModel, settings, history, metrics, figures and TensorBoard logs.

    The same command on the same folder goes on with a run that was interrupted.
    """
    from indl.runs import Run

    params = reported(lambda: preset(preset_name, **_changes(preset_name, settings)))
    folder = reported(lambda: check_folder(out, RUN, _files(data)))
    source = {"kind": "file", "path": str(data.expanduser().resolve())}
    _run(Run(source, params, epochs or params["epochs"], samples, lag, baselines, skip_nonfinite), folder, fresh)


@app.command()
def rerun(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the repetition; default: RUN_rerun.")] = None,
    data: Annotated[Path | None, typer.Option(help="The recording, where it has moved.")] = None,
) -> None:
    """Repeats a run from its folder and compares every number; exit code 1 where one differs."""
    from indl.runs import changed_versions, read, repeat
    from indl.training.progress import TrainingProgress

    monitor = reported(lambda: read(run))["monitor"]
    out = out or run.resolve().parent / f"{run.resolve().name}_rerun"
    folder = reported(lambda: check_folder(out, RUN, [run]))
    progress = TrainingProgress(monitor, console)
    try:
        _, differences = reported(lambda: repeat(run, folder, data, [progress]))
    finally:
        progress.close()
    for change in changed_versions(run):
        console.print(f"another version: {change}", highlight=False)
    if not differences:
        console.print(
            f"every number of the history and the scores is the same; the repetition is in {out}", soft_wrap=True
        )
        return
    rows = [(name, str(before), str(now)) for name, before, now in differences[:20]]
    left = f", of which {len(rows)} are shown" if len(rows) < len(differences) else ""
    print_table(f"{len(differences)} numbers differ{left}", ("", "before", "now"), rows)
    raise typer.Exit(1)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="model.keras, or the folder of a run.")],
    data: Data,
    samples: Samples = 50,
    lag: Lag = 0.0,
    baselines: Baselines = True,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the scores to.")] = None,
) -> None:
    """Scores a trained model on the validation trials of a recording, beside baselines."""
    from indl.evaluation import evaluate as scores_of
    from indl.evaluation import left_out
    from indl.files import write_json

    out = _output(out, SCORES, model, *_files(data))
    loaded, recording = _load_model(model), _load(data)
    with console.status("scoring"):
        scores: dict[str, Any] = {"model": reported(lambda: scores_of(loaded, recording, samples, lag_s=lag))}
    if baselines:
        scores["baseline"] = _baseline(recording, lag)
    print_scores(recording, scores, loaded)
    scores |= left_out(scores)
    if out:
        reported(lambda: write_json(out, scores, SCORES))


@app.command()
def tune(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the search; the same folder goes on with it.")],
    preset_name: Preset = "default",
    settings: Settings = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of an interrupted search included.")] = 10,
    search: Annotated[str | None, typer.Option(help="Parameters to vary, comma-separated, or 'all'.")] = None,
    epochs: Epochs = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
) -> None:
    """Searches hyper-parameters and both beta schedules at random; goes on after an interruption."""
    from indl.files import exclusive
    from indl.tuning import SequentialHyperModel

    fixed = reported(lambda: _changes(preset_name, settings))
    reported(lambda: check_folder(out, SEARCH, _files(data)))
    names = search if search in (None, "all") else [name.strip() for name in search.split(",")]
    recording = _load(data)
    hypermodel = reported(lambda: SequentialHyperModel(recording, preset_name, names, fixed))
    folder = reported(lambda: claim_folder(out, SEARCH))
    with ExitStack() as held:
        reported(lambda: held.enter_context(exclusive(folder)))
        _search(hypermodel, folder, trials, seed, epochs)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="model.keras, or the folder of a run.")],
    out: Annotated[Path, typer.Argument(help="Folder of the SavedModel.")],
    overwrite: Annotated[bool, typer.Option(help="Replace an export that is there.")] = False,
) -> None:
    """Writes a SavedModel that runs where indl is not installed."""
    from indl.export import export_saved_model

    reported(lambda: check_folder(out, SAVED_MODEL, [model]))
    loaded = _load_model(model)
    path = reported(lambda: export_saved_model(loaded, out, overwrite))
    console.print(f"SavedModel with endpoints rates and encode in {path}")


@app.command()
def params() -> None:
    """Prints the parameters of every family of models as Markdown."""
    for family, table in FAMILIES.items():
        print(f"## {family}\n\n{markdown_table(table.rows)}\n")


def _changes(preset_name: str, settings: list[str] | None) -> dict[str, Any]:
    """What ``--set`` changes in a preset."""
    return dict(parse_setting(text, table_of_preset(preset_name)) for text in settings or [])


def _search(hypermodel: Any, out: Path, trials: int, seed: int, epochs: int | None) -> None:
    from indl.files import write_json
    from indl.tuning import IsolatedRandomSearch
    from indl.tuning.isolated import run_job

    tuner = reported(
        lambda: IsolatedRandomSearch(hypermodel, max_trials=trials, seed=seed, directory=out, project_name="search")
    )
    default_file = out / "default" / "result.json"
    if reported(lambda: tuner.claim(epochs)):
        # That of a search before, whose trials are gone.
        default_file.unlink(missing_ok=True)
    if not default_file.exists():
        console.print("the preset itself, for comparison ...")
        reported(lambda: run_job(out / "default", hypermodel.base, tuner.recording_file(), epochs, 1))
    reported(lambda: tuner.search(epochs=epochs, verbose=0))
    if not tuner.oracle.get_best_trials(1):
        fail(f"No trial of the search completed. Given: {trials} trials. Read the log.txt of each in {out / 'search'}.")
    print_search(tuner, json.loads(default_file.read_text()))
    best = tuner.best_params()
    write_json(out / "best_params.json", best)
    console.print(
        f"best params in {out / 'best_params.json'}, model in "
        f"{Path(tuner.get_trial_dir(tuner.oracle.get_best_trials(1)[0].trial_id)) / 'model.keras'}"
    )


def _run(run: Any, out: Path, fresh: bool = False) -> None:
    from indl.runs import execute
    from indl.training.fit import monitor_of
    from indl.training.progress import TrainingProgress

    recording = reported(run.recording)
    console.print(repr(recording), markup=False, highlight=False, soft_wrap=True)
    progress = TrainingProgress(monitor_of(run.params), console)
    try:
        result, scores = reported(lambda: execute(run, out, recording, [progress], fresh))
    finally:
        progress.close()
    print_scores(recording, scores, result.model)
    console.print(f"{scores['epochs']} epochs, {scores['seconds']:.0f} s; everything is in {out}")


def _output(path: Path | None, purpose: str, *inputs: Path | None) -> Path | None:
    """Where to write a file that was asked for, if it was."""
    return reported(lambda: output_file(path, purpose, inputs)) if path else None


def _files(*paths: Path) -> list[Path]:
    """Inputs that are files: where one is to be, a folder is told by who reads it."""
    return [path for path in paths if not path.expanduser().is_dir()]


def _is_demo(there: dict[str, Any]) -> bool:
    """Whether a run is one of the demo, of any seed and length."""
    data, params = ({**there["run"][name], "seed": 0} for name in ("data", "params"))
    ours = json.loads(json.dumps(preset("default", **DEMO_SETTINGS, seed=0)))
    return data == {"kind": "lorenz", "seed": 0, "heldout": 5} and params == ours


def _overview(data: Any, bin_width: float | None) -> dict[str, Any]:
    """What the page of figures shows of a file's content."""
    from indl.data.checks.arrays import bin_width_finding

    counts, label = data.trials() if hasattr(data, "trials") else (data.counts, data.label)
    # Without a bin width that can be, rates are drawn as counts per bin.
    width = next((w for w in (data.bin_width_s, bin_width) if w is not None and bin_width_finding(w) is None), 1.0)
    ids = data.channel_ids if np.shape(data.channel_ids) == counts.shape[2:] else None
    return {"counts": counts, "bin_width_s": width, "label": label, "channel_ids": ids}


def _draw_overview(drawn: Any, report: Any, out: Path) -> None:
    from indl.plots import data_overview

    data_overview(**drawn, findings=report.lines(), path=out)


def _baseline(recording: Any, lag: float) -> dict[str, float]:
    from indl.evaluation import evaluate_baseline

    with console.status("fitting baselines"):
        return reported(lambda: evaluate_baseline(recording, lag_s=lag))


def _seconds(option: str, text: str) -> float | None:
    """A number of seconds; None for auto."""
    try:
        value = None if text == "auto" else float(text)
    except ValueError:
        value = np.nan
    if value is not None and not np.isfinite(value):
        fail(f"{option} takes a number of seconds or auto. Given: {text}. For example {option} 0.1 for 100 ms.")
    return value


def _load(path: Path) -> Any:
    from indl.data.files.hdf5 import load_recording

    return reported(lambda: load_recording(path))


def _load_model(path: Path) -> Any:
    from indl.loading import load_model

    return reported(lambda: load_model(path))
