"""A run and its folder: what it was, what came of it, and how to repeat it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from indl.data.readers.any_file import read_recording
from indl.data.simulate.lorenz import lorenz
from indl.data.values.channel_attrs import texts_of
from indl.data.values.provenance import digest
from indl.data.values.recording import Recording
from indl.evaluation import evaluate, evaluate_baseline, left_out
from indl.files import (
    DISK_FULL,
    OutputError,
    WriteError,
    check_folder,
    claim_folder,
    clear_folder,
    exclusive,
    expanded,
    refusal,
    write_json,
    written,
)
from indl.files.kinds import RUN
from indl.files.schema import read_json
from indl.model.steps.callbacks import listed
from indl.params import validate_params
from indl.runs import schema
from indl.runs.logs import Logs
from indl.runs.report import save_figures, save_run
from indl.training.checkpoint import not_longer
from indl.training.fit import TrainingResult, heaviest_settings, monitor_of, params_for, train

#: Packages that decide about the numbers of a run.
_PACKAGES = ("indl", "keras", "tensorflow", "numpy", "scipy", "scikit-learn")
#: What a finished run has, without its ending.
_FINISHED = {"metrics": schema.METRICS, "history": schema.HISTORY}
#: Scores that tell of the machine and not of the model.
_OF_THE_MACHINE = ("seconds",)


class RunError(ValueError):
    """A folder that does not hold a run, or a run that cannot be repeated."""


@dataclass(frozen=True)
class Run:
    """All that decides about the numbers of a run.

    Args:
        data: where the recording comes from: ``{"kind": "file", "path": ..., "reading": ...}``, with the options of
            :func:`indl.data.read_recording` where the file needs some, or ``{"kind": "lorenz", ...}`` with the
            arguments of :func:`indl.data.lorenz`.
        params: the params dict.
        epochs: passes over the training trials.
        samples: posterior samples for the scores; 0: posterior means.
        lag_s: seconds by which behaviour is later than the rates.
        baselines: whether smoothed-spikes baselines are scored too.
        skip_nonfinite: see :func:`indl.training.train`.
    """

    data: dict[str, Any]
    params: dict[str, Any]
    epochs: int
    samples: int = 50
    lag_s: float = 0.0
    baselines: bool = False
    skip_nonfinite: bool = False

    def recording(self) -> Recording:
        """The recording that the run is about."""
        if self.data["kind"] == "file":
            return read_recording(self.data["path"], **self.data.get("reading", {}))
        return lorenz(**{name: value for name, value in self.data.items() if name != "kind"})


class Difference(NamedTuple):
    """A number that a repeated run did not reproduce.

    Attributes:
        name: which one.
        before: value in the run that was repeated.
        now: value in the repetition.
    """

    name: str
    before: float
    now: float


def execute(
    run: Run, folder: Path | str, recording: Recording | None = None, callbacks: Any = (), fresh: bool = False
) -> tuple[TrainingResult, dict[str, Any]]:
    """Trains, scores and draws; everything goes to `folder`.

    ``run.json`` (settings, data with their hash, and for every start versions and machine), ``state.npz`` (for going
    on after a crash), ``model.keras``, ``saved_model/``, ``params.json``, ``history.json``, ``latent_use.json``,
    ``metrics.json``, ``figures/`` and ``logs/`` (TensorBoard). The same call on the same folder goes on where a killed
    one was, and one of more epochs where a run of fewer has ended (see :func:`indl.training.train`).

    Args:
        run: what to do.
        folder: where to write.
        recording: the recording of `run`, if it is loaded already.
        callbacks: further Keras callbacks, one or several.
        fresh: begin anew where the folder holds a run, whose files are removed; what else it holds stays.

    Returns:
        The trained model with its history, and the scores: ``{"model": ..., "baseline": ..., ...}``.

    Raises:
        BlockingIOError: another process is training in the folder.
        OutputError: the folder holds other things, and is none of a run.
        RunError: the folder holds another run, or one that cannot be read; or the disk is full, or the memory is not
            enough.
    """
    folder = claim_folder(folder, RUN, [run.data.get("path")])
    try:
        with exclusive(folder):
            if fresh:
                clear_folder(folder, RUN)
            recording = run.recording() if recording is None else recording
            return _execute(run, folder, recording, callbacks)
    # TensorFlow tells of memory and of disks by one error.
    except (OSError, MemoryError, tf.errors.ResourceExhaustedError) as error:
        number = refusal(error)
        if number in DISK_FULL:
            where = error.path if isinstance(error, WriteError) else folder
            raise RunError(
                f"The disk is full. Given: {where} ({os.strerror(number)}). What was written before is whole: make "
                "room and start the same call again, which goes on from it."
            ) from error
        if isinstance(error, OSError):
            raise
        loaded = recording is not None
        sizes = heaviest_settings(run.params, recording) if loaded else ["a recording that is too large"]
        raise RunError(
            f"The memory of the machine, or of its graphics card, is not enough. Given: {folder}, with "
            f"{', '.join(sizes)}. Make the first of them smaller, in a new folder or with --fresh (fresh=True)."
        ) from error


def _execute(run: Run, folder: Path, recording: Recording, callbacks: Any) -> tuple[TrainingResult, dict[str, Any]]:
    begin = time.monotonic()
    described = describe(run, recording)
    if (folder / "run.json").exists():
        there = read(folder)
        changed = _differing(there, described)
        problem = not_longer(run.params, there["run"]["epochs"], run.epochs)
        if changed and (changed != ["epochs"] or problem):
            why = f", {problem}" if changed == ["epochs"] else ""
            raise RunError(
                f"The folder belongs to another run. Given: {folder}, which differs in {', '.join(changed)}{why}. "
                "Repeat the first call, choose a new folder, or say --fresh (fresh=True) to replace that run."
            )
        described["starts"] = [*there["starts"], *described["starts"]]
    write_json(folder / "run.json", described)
    result = train(
        run.params,
        recording,
        epochs=run.epochs,
        callbacks=[_unfinished(folder), Logs(folder / "logs", run.params), *listed(callbacks)],
        folder=folder,
        skip_nonfinite=run.skip_nonfinite,
    )
    # The model is safe on disk before anything else can fail.
    save_run(folder, result)
    found = {"model": evaluate(result.model, recording, run.samples, lag_s=run.lag_s)}
    if run.baselines:
        found["baseline"] = evaluate_baseline(recording, lag_s=run.lag_s)
    scores: dict[str, Any] = {**found, **left_out(found)}
    scores |= {"epochs": len(result.history["loss"]), "best_epoch": result.best_epoch}
    scores["seconds"] = time.monotonic() - begin
    write_json(folder / "metrics.json", scores)
    save_figures(folder / "figures", result.model, recording, result.history, result.latent_use, run.lag_s)
    return result, scores


def _unfinished(folder: Path) -> keras.callbacks.Callback:
    """While a run trains it has not finished, even if it had before."""

    def begin(logs: Any = None) -> None:
        for name in _FINISHED:
            (folder / f"{name}.json").unlink(missing_ok=True)

    return keras.callbacks.LambdaCallback(on_train_begin=begin)


def describe(run: Run, recording: Recording) -> dict[str, Any]:
    """What is written down of a run: its settings, what the data were, and what it was started on."""
    start = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }
    return {
        "run": asdict(run),
        "data": {
            "sha256": digest(recording),
            "is": repr(recording),
            "bin_width_s": recording.bin_width_s,
            "n_times": recording.n_times,
            "channel_ids": texts_of(recording.channel_ids),
            "n_heldin": recording.n_heldin,
        },
        "monitor": monitor_of(params_for(run.params, recording)),
        "starts": [start],
    }


def read(folder: Path | str) -> dict[str, Any]:
    """The content of ``run.json`` of a run's folder, with today's default of every parameter that it does not hold.

    Raises:
        RunError: there is none, or it cannot be read as that of a run.
    """
    path = expanded(folder) / "run.json"
    todo = "Name a folder that `indl train` or `indl demo` wrote, or use another copy of the file"
    return read_json(path, schema.RUN, RunError, "The folder does not hold a run", todo)


def repeat(
    folder: Path | str, out: Path | str, data: Path | str | None = None, callbacks: Any = ()
) -> tuple[dict[str, Any], list[Difference]]:
    """Repeats a run in a new folder and compares every number of its history and its scores.

    Args:
        folder: the finished run.
        out: folder of the repetition, which is cleared of an earlier one.
        data: the recording, where it has moved.
        callbacks: further Keras callbacks, one or several.

    Returns:
        The scores of the repetition, and the numbers that differ (none on the same machine and versions).

    Raises:
        OutputError: `out` is the folder of the run, or holds other things or another run.
        RunError: the folder holds no finished run that can be read, or the recording is another one by its hash.
    """
    before, folder, out = read(folder), expanded(folder), expanded(out)
    out = check_folder(out, RUN, [folder])
    check_replaced(out, lambda there: _differing(there, before) == [])
    missing = [f"{name}.json" for name in _FINISHED if not (folder / f"{name}.json").exists()]
    if missing:
        raise RunError(
            f"The run has not finished. Given: {folder}, without {' and '.join(missing)}. Start it again with its own "
            "command, which goes on with it."
        )
    numbers = _numbers(folder)
    # The mode that was measured to be faster then: another one draws other numbers.
    chosen = _part(folder, "params", schema.PARAMS)
    mode = {name: chosen[name] for name in ("jit_compile", "batch_parts") if name in chosen}
    settings = {**before["run"], "params": {**before["run"]["params"], **mode}}
    if data is not None:
        settings["data"] = {**before["run"]["data"], "kind": "file", "path": str(expanded(data).resolve())}
    run = Run(**settings)
    recording = run.recording()
    found = digest(recording)
    if found != before["data"]["sha256"]:
        raise RunError(
            f"The recording is not the one of the run. Given: {run.data}, hash {found[:12]}; the run had "
            f"{before['data']['sha256'][:12]} ({before['data']['is']}). Name the right file with --data."
        )
    _, scores = execute(run, out, recording, callbacks, fresh=True)
    return scores, list(_differences(numbers, _numbers(out)))


def check_replaced(folder: Path, replaces: Callable[[dict[str, Any]], bool]) -> None:
    """Refuses to replace a run that nobody asked to replace.

    Args:
        folder: where a run may be.
        replaces: whether one of this description (:func:`read`) may be.

    Raises:
        OutputError: there is one that may not, or one that does not say what it was.
    """
    described = (folder / "run.json").exists()
    if written(folder, RUN) and not (described and replaces(read(folder))):
        what = f"of {read(folder)['data']['is']}" if described else "which does not say of what"
        raise OutputError(f"The folder holds another run. Given: {folder}, {what}. Choose another folder.")


def _differing(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What decides about the model and is not the same in two descriptions; where the data lie does not."""
    settings = [{**validate_params(found["run"]["params"]), "epochs": found["run"]["epochs"]} for found in (there, now)]
    names = sorted({*settings[0], *settings[1]} - {"jit_compile", "batch_parts"})
    changed = [name for name in names if settings[0].get(name) != settings[1].get(name)]
    return [*(["data"] if there["data"]["sha256"] != now["data"]["sha256"] else []), *changed]


def changed_versions(folder: Path | str) -> list[str]:
    """Packages whose version is not that of the run in `folder` (its last start), in words."""
    before = read(folder)["starts"][-1]["versions"]
    now = _versions()
    return [f"{name} {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]]


def _numbers(folder: Path) -> dict[str, Any]:
    return {name: _part(folder, name, kind) for name, kind in _FINISHED.items()}


def _part(folder: Path, name: str, kind: Any) -> Any:
    """What a file of a finished run holds."""
    todo = "Use another copy of the run, or start it anew in another folder"
    return read_json(folder / f"{name}.json", kind, RunError, "The folder does not hold a finished run", todo)


def _differences(before: Any, now: Any, name: str = "") -> Iterator[Difference]:
    """Every number in one of the two that is not the same in the other, or not there."""
    if isinstance(before, dict | list) and type(before) is type(now):
        keys = range(max(len(before), len(now))) if isinstance(before, list) else sorted({*before, *now})
        for key in keys:
            if key not in _OF_THE_MACHINE:
                yield from _differences(_item(before, key), _item(now, key), f"{name}.{key}" if name else str(key))
    elif before != now and not (_is_nan(before) and _is_nan(now)):
        yield Difference(name, before, now)


def _item(values: Any, key: Any) -> Any:
    try:
        return values[key]
    except (KeyError, IndexError):
        return None


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
