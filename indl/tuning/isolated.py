"""Trials in processes of their own: memory that training leaks goes with the process, a crash costs one trial."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import keras_tuner as kt

from indl.data.files.hdf5 import load_recording, save_recording
from indl.data.values.provenance import digest
from indl.files import WriteError, claim_folder, clear_folder, mark_folder, write_json
from indl.files.kinds import RUN, TRIALS
from indl.loading import load_model
from indl.text import shown
from indl.tuning.hypermodel import SequentialHyperModel
from indl.tuning.schema import SearchError, cannot_go_on, check_files, read_job, read_result, read_search

_SEED_OF_ZERO = 2**31 - 1


class IsolatedTrials:
    """Mix-in for a keras-tuner tuner over a :class:`~indl.tuning.hypermodel.SequentialHyperModel`.

    Each trial runs as ``python -m indl.tuning.worker``; its folder holds `job.json` (params, epochs),
    `model.keras` (best epoch), `history.json`, `result.json` and `log.txt`. A search that was killed goes on
    where it was when it is started again on the same directory: finished trials are kept, the interrupted one
    goes on from its last epoch. `overwrite` begins anew, and removes only what the search before it wrote.

    Raises:
        OutputError: the folder holds other things, and is none of such a search.
        SearchError: the folder holds a search with files that cannot be read.
    """

    hypermodel: SequentialHyperModel
    # What the tuner has that this is mixed into.
    project_dir: str
    tuner_id: str
    oracle: Any
    get_trial_dir: Callable[[str], str]
    get_best_hyperparameters: Callable[[int], list[Any]]

    def __init__(self, *args: Any, overwrite: bool = False, **kwargs: Any):
        folder = Path(kwargs.get("directory") or ".") / (kwargs.get("project_name") or "untitled_project")
        if glob.has_magic(str(folder)):
            raise ValueError(
                f"keras-tuner cannot reload a search from a folder with *, ? or [ in its name. Given: {folder}. Choose "
                "another one."
            )
        folder = claim_folder(folder, TRIALS)
        if overwrite:
            clear_folder(folder, TRIALS)
            claim_folder(folder, TRIALS)
        # keras-tuner takes 0 for no seed.
        seed = {"seed": kwargs["seed"] or _SEED_OF_ZERO} if kwargs.get("seed") is not None else {}
        super().__init__(*args, **{**kwargs, **seed, "directory": folder.parent, "project_name": folder.name})

    def reload(self) -> None:
        """Takes the search on from its folder, as keras-tuner does, once its files have been looked at."""
        folder = Path(self.project_dir)
        check_files(folder, self.tuner_id)
        try:
            super().reload()  # type: ignore[misc]
        # keras-tuner answers to what cannot be with errors of many kinds.
        except Exception as error:
            raise cannot_go_on(folder, "whose entries are none of keras-tuner's") from error

    def _check_trials(self) -> None:
        """Looks at what keras-tuner has reloaded: spaces, and of every trial its values and its score."""
        declared, objective = kt.HyperParameters(), self.oracle.objective.name
        self.hypermodel.params(declared)
        if _space(declared).items() - _space(self.oracle.hyperparameters).items():
            raise cannot_go_on(Path(self.project_dir) / "oracle.json", "which has another search space")
        for name, trial in self.oracle.trials.items():
            path, values = Path(self.get_trial_dir(name)) / "trial.json", trial.hyperparameters.copy()
            if _space(declared).items() - _space(values).items():
                raise cannot_go_on(path, "which has another search space")
            try:
                self.hypermodel.params(values)
            except (KeyError, ValueError) as error:
                raise cannot_go_on(path, f"with values {shown(trial.hyperparameters.values)}") from error
            best = trial.metrics.get_best_value(objective) if trial.metrics.exists(objective) else None
            if trial.status == "COMPLETED" and (best is None or trial.score != best):
                raise cannot_go_on(path, f"with score {shown(trial.score)}, which is not that of its metrics")

    def run_trial(self, trial: Any, *args: Any, epochs: int | None = None, hidden_every: int = 1, **kwargs: Any) -> Any:
        """Trains one trial in a process of its own and returns the metrics of its best epoch."""
        folder = Path(self.get_trial_dir(trial.trial_id))
        params = self.hypermodel.params(trial.hyperparameters)
        try:
            found = run_job(folder, params, self.recording_file(), epochs, hidden_every)
        except RuntimeError as error:
            raise kt.errors.FailedTrialError(str(error)) from error
        monitor = self.hypermodel.base["monitor"]
        if monitor not in found:
            raise SearchError(
                f"The result of a trial lacks what trials are compared by. Given: {folder / 'result.json'}, without "
                f"{monitor}. Remove it to train the trial anew."
            )
        return found

    def recording_file(self) -> Path:
        """The recording as a file that the trials read, written once.

        Raises:
            SearchError: the file is there and does not hold the recording.
        """
        return self._recording_file

    @cached_property
    def _recording_file(self) -> Path:
        path = Path(self.project_dir) / "recording.h5"
        if not path.exists():
            save_recording(self.hypermodel.recording, path)
            return path
        try:
            with warnings.catch_warnings():
                # Whoever has the recording has been told of what is odd about it.
                warnings.simplefilter("ignore")
                found = digest(load_recording(path))
        except (OSError, ValueError) as error:
            raise _not_the_recording(path, "which is damaged") from error
        if found != digest(self.hypermodel.recording):
            raise _not_the_recording(path, "which holds other data")
        return path

    def search(self, *args: Any, epochs: int | None = None, **kwargs: Any) -> Any:
        """Searches, as keras-tuner does.

        Raises:
            ValueError: the folder belongs to a search of other data, params, search space or epochs.
            SearchError: a file in the folder cannot be read; or trials failed one after the other.
        """
        self.claim(epochs)
        self._check_trials()
        try:
            return super().search(*args, epochs=epochs, **kwargs)  # type: ignore[misc]
        except RuntimeError as error:
            raise SearchError(
                f"The search has ended: too many trials failed one after the other. Given: {self.project_dir}, with "
                f"{len(self.oracle.trials)} trials. Read the log.txt in the folders of the last ones."
            ) from error

    def claim(self, epochs: int | None) -> bool:
        """Makes the folder that of one search, so that going on never mixes scores that cannot be compared.

        Returns:
            Whether the search begins here.
        """
        given = self.hypermodel
        ours = {"data": digest(given.recording), "params": given.base, "search": given.names, "epochs": epochs}
        path = Path(self.project_dir) / "search.json"
        if path.exists():
            theirs = read_search(path)
        elif (path.parent / "recording.h5").exists():
            # A search from before its folder said what it was.
            theirs = {**ours, "data": digest(load_recording(path.parent / "recording.h5"))}
        else:
            theirs = ours
        begins = not path.exists()
        changed = [name for name in ours if ours[name] != theirs.get(name)]
        if changed:
            raise ValueError(
                f"The folder belongs to another search. Given: {path.parent}, where other {', '.join(changed)} were "
                "used. Choose a new folder, or repeat the first call."
            )
        write_json(path, ours)
        return begins

    def load_model(self, trial: Any) -> Any:
        """The model of a finished trial, at its best epoch."""
        return load_model(self.get_trial_dir(trial.trial_id))

    def best_params(self) -> dict[str, Any]:
        """The complete params of the best trial."""
        return self.hypermodel.params(self.get_best_hyperparameters(1)[0])


class IsolatedRandomSearch(IsolatedTrials, kt.RandomSearch):
    """keras-tuner's random search with isolated trials.

    Args:
        hypermodel: a :class:`~indl.tuning.hypermodel.SequentialHyperModel`.
        max_trials, seed, directory, project_name, overwrite: as in ``keras_tuner.RandomSearch``.
    """

    def __init__(self, hypermodel: SequentialHyperModel, **kwargs: Any):
        super().__init__(hypermodel, objective=hypermodel.objective, **kwargs)


def _space(hyperparameters: kt.HyperParameters) -> dict[str, str]:
    """The entries of a search space in comparable form; what they begin with does not matter."""
    configs = [{**entry.get_config(), "class": type(entry).__name__} for entry in hyperparameters.space]
    return {repr((config["name"], config["conditions"])): repr({**config, "default": None}) for config in configs}


def _not_the_recording(path: Path, why: str) -> SearchError:
    return SearchError(
        f"The file of the search does not hold its recording. Given: {path}, {why}. Remove it: the same call writes it "
        "anew."
    )


def _log(path: Path) -> IO[str]:
    """A new log, open to write."""
    try:
        return path.open("w")
    except OSError as error:
        raise WriteError(path, error) from error


def run_job(
    folder: Path, params: dict[str, Any], recording: Path, epochs: int | None, hidden_every: int
) -> dict[str, Any]:
    """Runs one training job in a process of its own, if its result is not there yet, and returns its metrics.

    Raises:
        WriteError: the system refuses to write to `folder`.
        RuntimeError: the job ended without a result; the message ends with the last lines of its log.
        SearchError: what an earlier job has left cannot be read.
    """
    # Within the folder of a search, which is claimed.
    mark_folder(folder, RUN)
    job = {"params": params, "recording": str(recording.resolve()), "epochs": epochs, "hidden_every": hidden_every}
    result, asked = folder / "result.json", folder / "job.json"
    if result.exists() and asked.exists() and read_job(asked) == job:
        # The search was killed before it took notice of the result.
        return read_result(result)
    result.unlink(missing_ok=True)
    write_json(asked, job)
    with _log(folder / "log.txt") as log:
        command = [sys.executable, "-m", "indl.tuning.worker", str(folder), str(os.getpid())]
        code = subprocess.call(command, stdout=log, stderr=log)
    if code != 0 or not result.exists():
        tail = "\n".join((folder / "log.txt").read_text().splitlines()[-5:])
        raise RuntimeError(
            f"A trial ended without a result. Given: exit code {code} in {folder}. Its log ends:\n{tail}"
        )
    return read_result(result)
