"""The whole state of a training run in one file, so that a run that was killed goes on to the same numbers."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from indl.files import DISK_FULL, WriteError, atomic
from indl.params import completed

_FORMAT = 2


class CheckpointError(RuntimeError):
    """The state of a run that cannot be written, read, or continued."""


class Checkpoint(keras.callbacks.Callback):
    """Records the history and, where there is a path, writes everything that the rest of the run depends on.

    That is: all variables of the model, among them the states of its random generators, which a `.keras` file does
    not hold; those of the optimiser; the state of the callbacks; the history. The order of the trials follows from
    the seed and the number of the epoch. The file is written after every epoch, whole or not at all.

    Args:
        path: the file, ``.npz``; None: only the history is recorded.
        settings: what must be the same for the run to go on from the file, JSON values. `params` that the file does
            not hold had their default.
        parts: callbacks with ``state()`` and ``restore(state)``, by name.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any], parts: Mapping[str, Any]):
        super().__init__()
        self.path = path
        self.settings = dict(settings)
        self.parts = dict(parts)
        self.history: dict[str, list[float]] = {}
        self.epochs_done = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        self.epochs_done = epoch + 1
        if self.path is not None:
            self._write()

    def resume(self, model: Any) -> int:
        """Puts model and callbacks into the state of the file, if there is one; returns the epoch to go on with.

        Raises:
            CheckpointError: the file is damaged, or belongs to a run of other settings or another model.
        """
        if self.path is None or not self.path.exists():
            return 0
        meta, arrays = _read(self.path)
        theirs = meta["settings"]
        if "params" in theirs:
            theirs["params"] = completed(theirs["params"])
        changed = [name for name in self.settings if theirs.get(name) != self.settings[name]]
        if changed:
            raise CheckpointError(
                f"The folder belongs to another run. Given: {self.path.parent}, which differs in "
                f"{_difference(theirs, self.settings, changed)}. Repeat the first call, or choose a new folder."
            )
        for kind, variables in _variables(model).items():
            shapes = [list(v.shape) for v in variables]
            if meta["shapes"][kind] != shapes:
                raise CheckpointError(
                    f"The state does not fit the {kind}. Given: {len(meta['shapes'][kind])} variables in {self.path} "
                    f"for {len(shapes)}. Go on with the version of indl that began the run, or choose a new folder."
                )
            for i, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}/{i}"])
        for name, part in self.parts.items():
            lists = {key: [arrays[f"{name}/{key}/{i}"] for i in range(n)] for key, n in meta["lists"][name].items()}
            part.restore({**meta["parts"][name], **lists})
        self.history, self.epochs_done = meta["history"], meta["epochs_done"]
        return self.epochs_done

    def _write(self) -> None:
        variables = _variables(self.model)
        arrays = {f"{kind}/{i}": np.asarray(v) for kind, found in variables.items() for i, v in enumerate(found)}
        plain: dict[str, dict[str, Any]] = {}
        lists: dict[str, dict[str, int]] = {}
        for name, part in self.parts.items():
            state = part.state()
            # Lists of arrays go beside the variables, numbers into the description.
            lists[name] = {key: len(value) for key, value in state.items() if isinstance(value, list)}
            plain[name] = {key: value for key, value in state.items() if key not in lists[name]}
            arrays |= {f"{name}/{key}/{i}": value for key in lists[name] for i, value in enumerate(state[key])}
        meta = {
            "format": _FORMAT,
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
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"The state of the run cannot be read. Given: {path} ({error}). Remove it to begin the run anew."
        ) from error
    if meta.get("format") != _FORMAT:
        raise CheckpointError(
            f"The state was written by another version of indl. Given: format {meta.get('format')} in {path}; this "
            f"version reads {_FORMAT}. Remove it to begin the run anew."
        )
    return meta, arrays


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
