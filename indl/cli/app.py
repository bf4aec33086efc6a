"""The command line: ``python -m indl demo|check|convert|baseline|train|rerun|evaluate|predict|tune|export|params``."""

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
from typer.core import TyperGroup

from indl import __version__
from indl.cli.options import Output, command
from indl.cli.printing import (
    console,
    fail,
    interrupted,
    leaves,
    print_scores,
    print_search,
    print_table,
    print_warning,
    reported,
)
from indl.files import check_folder, claim_folder, output_file
from indl.files.kinds import RUN, SAVED_MODEL, SEARCH
from indl.files.marks import FIGURE
from indl.params import FAMILIES, markdown_table, parse_setting, preset, table_of_preset


class _Commands(TyperGroup):
    """All commands; an interrupt ends each of them in a line."""

    def invoke(self, ctx: Any) -> Any:
        leaves()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            interrupted()


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)

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
_WITHOUT_TENSORFLOW = ("check", "convert", "baseline", "params")
_FIGURES = (".png", ".pdf", ".svg")
_ON = "The same command goes on with it."

_PRESETS = [name for table in FAMILIES.values() for name in table.presets]

Data = Annotated[Path, typer.Argument(help="Recording: HDF5, NWB, MATLAB or npz (see the documentation).")]
Model = Annotated[Path, typer.Argument(help="model.keras, or the folder of a run.")]
Preset = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(_PRESETS)}.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the training trials; default: the preset's.")]
Samples = Annotated[int, typer.Option(min=0, help="Posterior samples to average; 0: posterior means.")]
Lag = Annotated[float, typer.Option(help="Seconds by which behaviour is later than the rates.")]
Baselines = Annotated[bool, typer.Option(help="Fit smoothed-spikes baselines on the same data.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"indl {__version__}")
        raise typer.Exit()


@app.callback()
def _quiet(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
) -> None:
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


@command(app)
def demo(
    output: Output,
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
    output.write(_run(Run(data, params, epochs, samples=0, baselines=True), folder, fresh=True))


@command(app, reads=True)
def check(
    data: Data,
    how: dict[str, Any],
    output: Output,
    out: Annotated[Path | None, typer.Option(help="Page of figures: .png, .pdf or .svg.")] = None,
) -> None:
    """Lists what is wrong or suspicious about a recording; exit code 1 where it cannot be used.

    An NWB file without --bin is looked at in bins of 20 ms.
    """
    from indl.data.examination.examine import examine, opened

    if out and out.suffix not in _FIGURES:
        fail(f"The page of figures needs a known ending. Given: {out}. Choose one of {', '.join(_FIGURES)}.")
    out = _output(out, FIGURE, *_files(data))

    def look() -> tuple[Any, dict[str, Any] | None]:
        with opened(data, **how) as found:
            report = examine(found, counts=how.get("counts"), bin_width_s=how.get("bin_width_s"))
            console.print(str(report), markup=False, highlight=False, soft_wrap=True)
            return report, _overview(found, how.get("bin_width_s")) if out else None

    report, drawn = reported(look)
    output.write(report.to_dict())
    if out:
        reported(lambda: _draw_overview(drawn, report, out))
    if not report.ok:
        raise typer.Exit(1)


@command(app, reads=True, splits=True)
def convert(
    data: Data,
    out: Annotated[Path, typer.Argument(help="HDF5 file to write.")],
    how: dict[str, Any],
    output: Output,
    unsplit: Annotated[bool, typer.Option("--unsplit", help="Write the trials as they are, not split.")] = False,
) -> None:
    """Writes any recording in the HDF5 convention: split as `train` with the same options would split it."""
    from indl.data import read_recording, read_trials, save_recording, save_trials
    from indl.data.files.convention import RECORDING, TRIALS
    from indl.data.values.provenance import digest

    out = _output(out, TRIALS if unsplit else RECORDING, *_files(data))
    read, save = (read_trials, save_trials) if unsplit else (read_recording, save_recording)
    found = reported(lambda: read(data, **how))
    reported(lambda: save(found, out))
    console.print(f"{found!r} in {out}", markup=False, highlight=False, soft_wrap=True)
    output.write({"file": str(out), "is": repr(found), "sha256": digest(found)})


@command(app, "baselines", reads=True, splits=True, also="--out")
def baseline(
    data: Data,
    how: dict[str, Any],
    output: Output,
    lag: Annotated[str, typer.Option(help="Seconds by which behaviour is later than the counts, or auto.")] = "auto",
    sd: Annotated[str, typer.Option(help="Smoothing of the counts it is decoded from in seconds, or auto.")] = "0.1",
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and bootstrap.")] = 0,
) -> None:
    """Scores what a recording yields without a model: co-smoothing, behaviour and conditions in one table."""
    from indl.metrics import fit_baselines

    lag_s, sd_s = _seconds("--lag", lag), _seconds("--sd", sd)
    recording = _read(data, how)
    with console.status("fitting baselines"):
        found = reported(lambda: fit_baselines(recording, lag_s=lag_s, sd_s=sd_s, seed=seed))
    print_table(f"validation trials: {len(recording.valid)}", ("score", "method", "value", "settings"), found.rows())
    for what, reason in found.left_out.items():
        console.print(f"left out: {what} ({reason})", highlight=False)
    output.write(found.as_dict())


@command(app, reads=True, splits=True)
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    how: dict[str, Any],
    output: Output,
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
    source = {"kind": "file", "path": str(data.expanduser().resolve()), **({"reading": how} if how else {})}
    run = Run(source, params, epochs or params["epochs"], samples, lag, baselines, skip_nonfinite)
    output.write(_run(run, folder, fresh))


@command(app)
def rerun(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Output,
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
    leaves(f"A part of the repetition is in {out}; the same command begins it anew.")
    try:
        _, differences = reported(lambda: repeat(run, folder, data, [progress]))
    finally:
        progress.close()
    changes = changed_versions(run)
    for change in changes:
        console.print(f"another version: {change}", highlight=False)
    output.write(
        {"folder": str(out), "versions": changes, "differences": [difference._asdict() for difference in differences]}
    )
    if not differences:
        console.print(
            f"every number of the history and the scores is the same; the repetition is in {out}", soft_wrap=True
        )
        return
    rows = [(name, str(before), str(now)) for name, before, now in differences[:20]]
    left = f", of which {len(rows)} are shown" if len(rows) < len(differences) else ""
    print_table(f"{len(differences)} numbers differ{left}", ("", "before", "now"), rows)
    raise typer.Exit(1)


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

    loaded, recording = _load_model(model), _read(data, how, model)
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

    out = _output(out, PREDICTIONS, model, *_files(data))
    loaded, known = _load_model(model), _known(model)
    trials = reported(lambda: read_trials(data, **_as_run(data, how, known)))
    _same_bins(trials, known, model)
    with console.status("predicting"):
        found = reported(lambda: predicted(loaded, trials, known.get("heldin"), known.get("n_times"), samples, seed))
        reported(lambda: save_predictions(out, found, trials, model=str(model), samples=samples))
    shapes = {name: list(values.shape) for name, values in found.items()}
    console.print(f"{', '.join(f'{name} {tuple(shape)}' for name, shape in shapes.items())} in {out}", soft_wrap=True)
    output.write({"file": str(out), "shapes": shapes})


@command(app, reads=True, splits=True)
def tune(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the search; the same folder goes on with it.")],
    how: dict[str, Any],
    output: Output,
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
    recording = _read(data, how)
    hypermodel = reported(lambda: SequentialHyperModel(recording, preset_name, names, fixed))
    folder = reported(lambda: claim_folder(out, SEARCH))
    leaves(f"What was searched is in {out}. {_ON}")
    with ExitStack() as held:
        reported(lambda: held.enter_context(exclusive(folder)))
        output.write(_search(hypermodel, folder, trials, seed, epochs))


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
    loaded = _load_model(model)
    path = reported(lambda: export_saved_model(loaded, out, overwrite))
    console.print(f"SavedModel with endpoints rates and encode in {path}", soft_wrap=True)
    output.write({"folder": str(path), "endpoints": ["rates", "encode"]})


@command(app)
def params(output: Output) -> None:
    """Prints the parameters of every family of models as Markdown."""
    for family, table in FAMILIES.items() if not console.stderr else ():
        console.out(f"## {family}\n\n{markdown_table(table.rows)}\n", highlight=False)
    output.write({family: [row.described() for row in table.rows] for family, table in FAMILIES.items()})


def _changes(preset_name: str, settings: list[str] | None) -> dict[str, Any]:
    """What ``--set`` changes in a preset."""
    return dict(parse_setting(text, table_of_preset(preset_name)) for text in settings or [])


def _search(hypermodel: Any, out: Path, trials: int, seed: int, epochs: int | None) -> dict[str, Any]:
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
    default = json.loads(default_file.read_text())
    print_search(tuner, default)
    best = tuner.best_params()
    write_json(out / "best_params.json", best)
    found = tuner.oracle.get_best_trials(trials)
    model = Path(tuner.get_trial_dir(found[0].trial_id)) / "model.keras"
    console.print(f"best params in {out / 'best_params.json'}, model in {model}", soft_wrap=True)
    scores = [{"trial": trial.trial_id, "score": trial.score, **trial.hyperparameters.values} for trial in found]
    return {"folder": str(out), "model": str(model), "best_params": best, "default": default, "trials": scores}


def _run(run: Any, out: Path, fresh: bool = False) -> dict[str, Any]:
    from indl.runs import execute
    from indl.training.fit import monitor_of
    from indl.training.progress import TrainingProgress

    recording = reported(run.recording)
    console.print(repr(recording), markup=False, highlight=False, soft_wrap=True)
    progress = TrainingProgress(monitor_of(run.params), console)
    leaves(f"What was done is in {out}. {'The same command begins anew.' if fresh else _ON}")
    try:
        result, scores = reported(lambda: execute(run, out, recording, [progress], fresh))
    finally:
        progress.close()
    if progress.first is None:
        console.print("the run had ended before: nothing was trained, its scores were computed again")
    print_scores(recording, scores, result.model)
    console.print(f"{scores['epochs']} epochs, {scores['seconds']:.0f} s; everything is in {out}", soft_wrap=True)
    return {"folder": str(out), **scores}


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


def _read(path: Path, how: dict[str, Any], model: Path | None = None) -> Any:
    """The recording of a file; where a model is given, read as that of its run was."""
    from indl.data import read_recording

    known = {} if model is None else _known(model)
    return reported(lambda: read_recording(path, **_as_run(path, how, known, split=True)))


def _known(model: Path) -> dict[str, Any]:
    """What the folder of a run says of its recording; nothing for a model alone."""
    from indl.runs import read

    if not (model / "run.json").is_file():
        return {}
    found = reported(lambda: read(model))
    return {**found["data"], "reading": found["run"]["data"].get("reading", {})}


def _as_run(path: Path, how: dict[str, Any], known: dict[str, Any], split: bool = False) -> dict[str, Any]:
    """Options of reading: those given, and those of the run as far as a file of this kind takes them."""
    from indl.data.readers.any_file import kind_of, options_of

    if not known.get("reading"):
        return how
    kind = reported(lambda: kind_of(path, how.get("dataset", known["reading"].get("dataset"))))
    return {name: value for name, value in known["reading"].items() if name in options_of(kind, split)} | how


def _same_bins(trials: Any, known: dict[str, Any], model: Path) -> None:
    """Refuses bins of another width than those that the run was trained on."""
    width = known.get("bin_width_s", trials.bin_width_s)
    if not np.isclose(width, trials.bin_width_s):
        fail(
            f"The bins are not those of the run. Given: {trials.bin_width_s:g} s, and {width:g} s in {model}. Say "
            "--bin where the file has spike times, or use indl.data.rebin."
        )


def _load_model(path: Path) -> Any:
    from indl.loading import load_model

    return reported(lambda: load_model(path))
