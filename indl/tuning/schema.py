"""What the files of a search hold, those of keras-tuner included, looked at before anything is made of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import keras_tuner as kt
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict

from indl.files.schema import Count, Positive, Sha256, read_json, rule
from indl.params.schema import Params
from indl.text import shown


class SearchError(kt.errors.FatalValueError):
    """The folder of a search with a file that cannot be read, or that belongs elsewhere; it ends the search."""


class Job(TypedDict):
    """``job.json``: what a trial trains."""

    params: Params
    recording: str
    epochs: Positive | None
    hidden_every: Positive


class Search(TypedDict):
    """``search.json``: what all trials of a folder have in common."""

    data: Sha256
    params: Params
    search: list[str]
    epochs: Positive | None


def _plain(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise rule("a number, a text, or true or false")
    return value


def _not_infinite(value: float) -> float:
    # A whole number that is larger than any float is read as infinite here, and as it is by keras-tuner.
    if math.isinf(value):
        raise rule("a number")
    return value


_Value = Annotated[float, AfterValidator(_not_infinite)]


class _ParentConfig(TypedDict):
    name: str
    values: Annotated[list[Annotated[Any, AfterValidator(_plain)]], Field(min_length=1)]


class _Condition(TypedDict):
    class_name: Literal["Parent"]
    config: _ParentConfig


class _EntryConfig(TypedDict):
    name: str
    conditions: list[_Condition]
    step: NotRequired[Annotated[float, Field(gt=0)] | None]


class _Entry(TypedDict):
    class_name: Literal["Fixed", "Float", "Int", "Choice", "Boolean"]
    config: _EntryConfig


class _HyperParameters(TypedDict):
    space: list[_Entry]
    values: dict[str, Annotated[Any, AfterValidator(_plain)]]


class _Observation(TypedDict):
    value: Annotated[list[_Value], Field(min_length=1)]
    step: Count


class _Metric(TypedDict):
    direction: Literal["min", "max"]
    observations: list[_Observation]


class _Metrics(TypedDict):
    metrics: dict[str, _Metric]


class _Trial(TypedDict):
    trial_id: str
    hyperparameters: _HyperParameters
    metrics: _Metrics
    score: _Value | None
    best_step: Count | None
    status: Literal["RUNNING", "IDLE", "INVALID", "STOPPED", "COMPLETED", "FAILED"]
    message: str | None


class _Display(TypedDict):
    search_start: str | None
    trial_start: dict[str, str]
    trial_number: dict[str, Count]


class _Oracle(TypedDict):
    ongoing_trials: dict[str, str]
    hyperparameters: _HyperParameters
    start_order: list[str]
    end_order: list[str]
    run_times: dict[str, Count]
    retry_queue: list[str]
    seed: Annotated[int, Field(ge=0)] | None
    seed_state: Annotated[int, Field(ge=0)]
    tried_so_far: list[str]
    id_to_hash: dict[str, str | None]
    display: _Display


JOB = TypeAdapter(Job)
SEARCH = TypeAdapter(Search)
RESULT = TypeAdapter(dict[str, float])
_TRIAL = TypeAdapter(_Trial)
_ORACLE = TypeAdapter(_Oracle)
_TUNER = TypeAdapter(dict[str, Any])

_CANNOT = "The search cannot go on from what is in its folder"
_BEGIN_ANEW = "Use another copy of the folder, or begin the search anew with overwrite=True or in a new folder"


def read_job(path: Path) -> dict[str, Any]:
    """What a trial was asked to train, with today's default of every parameter that it does not hold.

    Raises:
        SearchError: the file cannot be read.
    """
    return read_json(path, JOB, SearchError, "The job of a trial cannot be read", "Remove it to train the trial anew")


def read_search(path: Path) -> dict[str, Any]:
    """What a search was, with today's default of every parameter that it does not hold.

    Raises:
        SearchError: the file cannot be read.
    """
    return read_json(path, SEARCH, SearchError, "The description of the search cannot be read", _BEGIN_ANEW)


def read_result(path: Path) -> dict[str, float]:
    """The metrics of a trial that has ended, from its ``result.json``.

    Raises:
        SearchError: the file cannot be read.
    """
    todo = "Remove it to train the trial anew"
    return read_json(path, RESULT, SearchError, "The result of a trial cannot be read", todo)


def check_files(folder: Path, tuner: str) -> None:
    """Looks at what keras-tuner is about to reload.

    Args:
        folder: that of the search.
        tuner: name of the tuner, as its file has it.

    Raises:
        SearchError: a file cannot be read, or files do not belong together.
    """
    trials: set[str] = set()
    for path in sorted(folder.glob("trial_*/trial.json")):
        trial = read_json(path, _TRIAL, SearchError, _CANNOT, _BEGIN_ANEW)["trial_id"]
        if path.parent.name != f"trial_{trial}":
            raise cannot_go_on(path, f"which is of trial {shown(trial)}")
        trials.add(trial)
    read_json(folder / f"{tuner}.json", _TUNER, SearchError, _CANNOT, _BEGIN_ANEW)
    path = folder / "oracle.json"
    oracle = read_json(path, _ORACLE, SearchError, _CANNOT, _BEGIN_ANEW)
    named = {*oracle["start_order"], *oracle["end_order"], *oracle["retry_queue"], *oracle["ongoing_trials"].values()}
    if named - trials:
        raise cannot_go_on(path, f"which names trial {shown(min(named - trials))} without a trial.json")


def cannot_go_on(path: Path, why: str) -> SearchError:
    """The error of a file, or a folder, whose entries are of the right kinds, but hold what cannot be."""
    return SearchError(f"{_CANNOT}. Given: {path}, {why}. {_BEGIN_ANEW}.")
