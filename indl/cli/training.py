"""Commands that train: demo, train, rerun, tune; and the parameters that they take."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from indl.cli.application import app
from indl.cli.inputs import Baselines, Data, Lag, Samples, files_among, read_data
from indl.cli.options import Output, command, repetition_of
from indl.cli.printing import console, fail, leaves, print_scores, print_search, print_table, reported
from indl.files import check_folder, claim_folder
from indl.files.kinds import RUN, SEARCH
from indl.params import FAMILIES, markdown_table, parse_setting, preset, table_of_preset

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
_ON = "The same command goes on with it."
_PRESETS = [name for table in FAMILIES.values() for name in table.presets]

Preset = Annotated[str, typer.Option("--preset", help=f"One of {', '.join(_PRESETS)}.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value, as often as needed.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the training trials; default: the preset's.")]


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
    folder = reported(lambda: check_folder(out, RUN, files_among(data)))
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
    out = out or repetition_of(run)
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
    reported(lambda: check_folder(out, SEARCH, files_among(data)))
    names = search if search in (None, "all") else [name.strip() for name in search.split(",")]
    recording = read_data(data, how)
    hypermodel = reported(lambda: SequentialHyperModel(recording, preset_name, names, fixed))
    folder = reported(lambda: claim_folder(out, SEARCH))
    leaves(f"What was searched is in {out}. {_ON}")
    with ExitStack() as held:
        reported(lambda: held.enter_context(exclusive(folder)))
        output.write(_search(hypermodel, folder, trials, seed, epochs))


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
    from indl.tuning.schema import read_result

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
    default = reported(lambda: read_result(default_file))
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


def _is_demo(there: dict[str, Any]) -> bool:
    """Whether a run is one of the demo, of any seed and length."""
    data, params = ({**there["run"][name], "seed": 0} for name in ("data", "params"))
    ours = json.loads(json.dumps(preset("default", **DEMO_SETTINGS, seed=0)))
    return data == {"kind": "lorenz", "seed": 0, "heldout": 5} and params == ours
