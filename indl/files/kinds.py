"""The folders that the library writes, and the files of each: what it may replace there, and what it removes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from indl.files.plain import read_plain


@dataclass(frozen=True)
class FolderKind:
    """What the library writes into a folder of a kind.

    Args:
        name: as its mark says.
        what: the same in a sentence.
        files: patterns of the files, in the order in which they are removed; ``#`` stands for a number.
        empty: patterns of folders that may stay empty.
        figures: folder and names of the figures, which have marks of their own, too.
        key: a pattern and what a JSON file there holds, by which a folder from before the marks is known.
    """

    name: str
    what: str
    files: tuple[str, ...]
    empty: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    key: tuple[str, frozenset[str]] | None = None

    def files_in(self, folder: Path) -> list[Path]:
        """The files of the kind that a folder holds, but for figures."""
        found = []
        for pattern in self.files:
            known = re.compile(re.escape(pattern).replace("\\*", ".*").replace("\\#", "[0-9]+"))
            places = sorted(folder.glob(pattern.replace("#", "*")))
            found += [path for path in places if known.fullmatch(path.relative_to(folder).as_posix())]
        return found

    def began(self, folder: Path) -> bool:
        """Whether a folder without a mark is known by what is in it."""
        if self.key is None:
            return False
        pattern, names = self.key
        return any(_holds(path, names) for path in folder.glob(pattern))


def _holds(path: Path, names: frozenset[str]) -> bool:
    try:
        found = json.loads(read_plain(path))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and names <= found.keys()


def _within(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


_SAVED = ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data-*-of-*")
_EVENTS = "events.out.tfevents.#.*.#.#.v2"
_FIGURES = (
    *("autocorrelation", "calibration", "decoding", "factors", "kl_per_dimension", "latents", "psths", "raster"),
    *("rates_against_truth", "training"),
)
_TRIAL = ("result.json", "history.json", "job.json", "state.npz", "model.keras", "last_good.keras", "log.txt")

SAVED_MODEL = FolderKind("saved model", "a SavedModel", _SAVED, ("assets",))
#: What tells that a run has finished goes first.
RUN = FolderKind(
    "run",
    "a run",
    (
        *("metrics.json", "history.json", "run.json", "state.npz", "model.keras", "last_good.keras"),
        *("params.json", "latent_use.json"),
        *_within("logs", (_EVENTS, f"train/{_EVENTS}", f"validation/{_EVENTS}")),
        *_within("saved_model", _SAVED),
    ),
    ("saved_model/assets",),
    _within("figures", tuple(f"{name}.png" for name in _FIGURES)),
    ("run.json", frozenset({"run", "data", "monitor", "starts"})),
)
#: The trials of a search, as keras-tuner lays them out.
TRIALS = FolderKind(
    "trials",
    "the trials of a search",
    (
        # What tells whose the trials are goes last.
        *_within("trial_#", (*_TRIAL, "trial.json", ".indl.json")),
        *("oracle.json", "tuner#.json", "recording.h5", "search.json"),
    ),
    key=("trial_*/job.json", frozenset({"params", "recording", "epochs", "hidden_every"})),
)
SEARCH = FolderKind("search", "a search", ("best_params.json", *_within("default", (*_TRIAL, ".indl.json"))))
