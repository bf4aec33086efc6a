"""The whole state of a training run in one file, so that a run that was killed goes on to the same numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from indl.files import DISK_FULL, WriteError, atomic
from indl.files.schema import conforming
from indl.text import shown
from indl.training.state import FORMAT, CheckpointError, Meta, Stored, read_state, unreadable

__all__ = ["Checkpoint", "CheckpointError", "not_longer"]


def not_longer(params: Mapping[str, Any], before: float, now: float) -> str | None:
    """Why a run of `before` epochs is not the beginning of one of `now`; None: it is, nothing in it knows of its end.

    Args:
        params: those of the run.
        before, now: numbers of epochs.
    """
    if now <= before:
        return "which are not more"
    if params.get("lr_schedule") == "cosine":
        return "over which the step size falls (lr_schedule='cosine')"
    return None


class Checkpoint(keras.callbacks.Callback):
    """Records the history and, where there is a path, writes everything that the rest of the run depends on.

    That is: all variables of the model, among them the states of its random generators, which a `.keras` file does
    not hold; those of the optimiser; the state of the callbacks; the history. The order of the trials follows from
    the seed and the number of the epoch. The file is written after every epoch, whole or not at all.

    Args:
        path: the file, ``.npz``; None: only the history is recorded.
        settings: what must be the same for the run to go on from the file, JSON values. `params` that the file does
            not hold had their default.
        parts: callbacks whose state is kept, by name; see :class:`~indl.training.state.Stateful`.

    Attributes:
        history: value of every logged term by epoch; NaN in epochs that did not log it.
        epochs_done: how many epochs have ended.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any], parts: Mapping[str, Any]):
        super().__init__()
        self.path = path
        self.settings = dict(settings)
        self.parts = dict(parts)
        self.history: dict[str, list[float]] = {}
        self.epochs_done = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name in {**self.history, **(logs or {})}:
            self.history.setdefault(name, [math.nan] * epoch).append(float((logs or {}).get(name, math.nan)))
        self.epochs_done = epoch + 1
        if self.path is not None:
            self._write()

    def resume(self, model: Any) -> int:
        """Puts model and callbacks into the state of the file, if there is one; returns the epoch to go on with.

        Nothing is changed before all of the file has been looked at.

        Raises:
            CheckpointError: the file is damaged, or belongs to a run of other settings or another model.
        """
        if self.path is None or not self.path.exists():
            return 0
        variables = _variables(model)

        def check(meta: Meta, stored: dict[str, Stored]) -> None:
            self._check_settings(meta["settings"])
            self._check_numbers(meta)
            self._check_arrays(meta, stored, variables)

        meta, arrays = read_state(self.path, check)
        states = {}
        for name, part in self.parts.items():
            lists = {key: [arrays[f"{name}/{key}/{i}"] for i in range(n)] for key, n in meta["lists"][name].items()}
            states[name] = {**meta["parts"][name], **lists}
            if not part.fits(states[name], model, meta["history"]):
                raise unreadable(self.path, f"(parts.{name} is not of this history and model)")
        values = {(kind, i): arrays[f"{kind}/{i}"] for kind, found in variables.items() for i in range(len(found))}
        for (kind, i), value in values.items():
            if not np.isfinite(value).all():
                raise unreadable(self.path, f"({variables[kind][i].path} of the {kind} is not finite)")
        for (kind, i), value in values.items():
            variables[kind][i].assign(value)
        for name, part in self.parts.items():
            part.restore(states[name])
        self.history, self.epochs_done = meta["history"], meta["epochs_done"]
        return self.epochs_done

    def _check_settings(self, theirs: Mapping[str, Any]) -> None:
        """Refuses the state of another run, but takes that of a shorter one where the longer one begins as it does."""
        theirs, ours = _without_length(theirs), _without_length(self.settings)
        changed = [name for name in ours if theirs.get(name) != ours[name]]
        problem = None
        if changed == ["epochs"]:
            problem = not_longer(ours.get("params", {}), theirs.get("epochs", math.inf), ours["epochs"])
        if changed and (changed != ["epochs"] or problem):
            why = f", {problem}" if problem else ""
            raise CheckpointError(
                f"The folder belongs to another run. Given: {self.path.parent}, which differs in "
                f"{_difference(theirs, ours, changed)}{why}. Repeat the first call, or choose a new folder."
            )

    def _check_numbers(self, meta: Meta) -> None:
        """Looks at what the description says of epochs and parts."""
        done, asked = meta["epochs_done"], meta["settings"].get("epochs", math.inf)
        if done > asked:
            raise unreadable(self.path, f"(it is of {done} epochs of {asked})")
        if "loss" not in meta["history"]:
            raise unreadable(self.path, "(its history has no loss)")
        for name, values in meta["history"].items():
            if len(values) != done:
                raise unreadable(
                    self.path, f"(its history has {len(values)} values of {shown(name)}, for {done} epochs)"
                )
        if not self.parts.keys() == meta["parts"].keys() == meta["lists"].keys():
            raise unreadable(self.path, f"(it has {shown([*meta['parts']])}, for {shown([*self.parts])})")
        for name, part in self.parts.items():
            if meta["lists"][name].keys() != set(_lists(part.state())):
                raise unreadable(self.path, f"(the arrays of {name} are {shown([*meta['lists'][name]])})")
            try:
                meta["parts"][name] = conforming(meta["parts"][name], part.numbers, f"parts.{name}")
            except ValueError as error:
                raise unreadable(self.path, f"(meta), {error}") from error

    def _check_arrays(self, meta: Meta, stored: Mapping[str, Stored], variables: Mapping[str, list[Any]]) -> None:
        """Holds the headers of the arrays against the model, and against the lists that are described."""
        for kind, found in variables.items():
            wanted = [Stored(tuple(v.shape), np.dtype(keras.backend.standardize_dtype(v.dtype))) for v in found]
            there = [stored.get(f"{kind}/{i}") for i in range(len(wanted))]
            n_there = sum(name.startswith(f"{kind}/") for name in stored)
            if there != wanted or n_there != len(wanted):
                raise CheckpointError(
                    f"The state does not fit the {kind}. Given: {n_there} variables in {self.path} for {len(wanted)}"
                    f"{_first_difference(found, there, wanted)}. Go on with the version of indl that began the run, or "
                    "choose a new folder."
                )
        lists = [(f"{name}/{key}", n) for name, part in meta["lists"].items() for key, n in part.items()]
        n_listed = len(stored) - sum(map(len, variables.values()))
        # Before they are named: there may be said to be many.
        named = sum(n for _, n in lists) == n_listed and all(
            f"{key}/{i}" in stored for key, n in lists for i in range(n)
        )
        if not named:
            raise unreadable(self.path, "(it has not the arrays that it describes)")

    def _write(self) -> None:
        variables = _variables(self.model)
        arrays = {f"{kind}/{i}": np.asarray(v) for kind, found in variables.items() for i, v in enumerate(found)}
        plain: dict[str, dict[str, Any]] = {}
        lists: dict[str, dict[str, int]] = {}
        for name, part in self.parts.items():
            state = part.state()
            # Lists of arrays go beside the variables, numbers into the description.
            lists[name] = {key: len(state[key]) for key in _lists(state)}
            plain[name] = {key: value for key, value in state.items() if key not in lists[name]}
            arrays |= {f"{name}/{key}/{i}": value for key in lists[name] for i, value in enumerate(state[key])}
        meta = {
            "format": FORMAT,
            "settings": self.settings,
            "epochs_done": self.epochs_done,
            "history": self.history,
            "parts": plain,
            "lists": lists,
            "shapes": {kind: [list(v.shape) for v in found] for kind, found in variables.items()},
        }
        try:
            with atomic(self.path) as temporary, temporary.open("wb") as file:
                np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
        except WriteError as error:
            why = ": the disk is full" if error.errno in DISK_FULL else ""
            kept = (
                "make room and start the same call again"
                if self.epochs_done == 1
                else "make room and start the same call again: it goes on from the state of the epoch before, which is "
                "still there"
            )
            raise CheckpointError(
                f"The state of epoch {self.epochs_done - 1} could not be written{why}. "
                f"Given: {self.path} ({error.reason}). To mend it, {kept}."
            ) from error


def _variables(model: Any) -> dict[str, list[Any]]:
    return {"model": model.variables, "optimizer": model.optimizer_variables}


def _lists(state: Mapping[str, Any]) -> list[str]:
    """The entries of a state that are lists of arrays."""
    return [key for key, value in state.items() if isinstance(value, list)]


def _without_length(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the epochs among the params, which say nothing beside those that are asked for."""
    params = settings.get("params")
    if params is None:
        return dict(settings)
    return {**settings, "params": {name: value for name, value in params.items() if name != "epochs"}}


def _first_difference(variables: list[Any], there: list[Stored | None], wanted: list[Stored]) -> str:
    """The first variable that is not in a file as it is in the model."""
    for variable, a, b in zip(variables, there, wanted, strict=True):
        if a is not None and a != b:
            return f", and {variable.path} with shape {a.shape}, {a.dtype}, for {b.shape}, {b.dtype}"
    return ""


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any], changed: list[str]) -> str:
    """The settings that differ, and within a dict its keys."""
    named = []
    for name in changed:
        a, b = theirs.get(name), ours[name]
        if isinstance(a, dict) and isinstance(b, dict):
            keys = sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
            named.append(", ".join(f"{key} ({a.get(key)!r}, now {b.get(key)!r})" for key in keys[:5]))
        else:
            named.append(name if len(str(a)) + len(str(b)) > 60 else f"{name} ({a!r}, now {b!r})")
    return "; ".join(named)
