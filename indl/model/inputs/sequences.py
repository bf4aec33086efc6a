"""Which sequence each trial of a recording belongs to: what it was cut from, its session, or its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.values.chop_plan import ChopPlan
from indl.data.values.recording import Recording, Split
from indl.text import shown


def sequences_of(recording: Recording, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a prior of sequences that a recording determines.

    Args:
        recording: its training and validation parts together have the sequences.
        params: complete params; sequences that they name already stay as they are.

    Returns:
        ``f_prior_sequence``, ``f_prior_sequences`` and ``f_prior_n_seqs``, which is not lowered.

    Raises:
        ValueError: the recording has no sequences of the kind, or none that several trials share.
    """
    kind, names = params["f_prior_sequence"], params["f_prior_sequences"]
    if names is None:
        kind = _kind(recording, kind)
        names = _sequences(recording, kind)
    rows = max(params["f_prior_n_seqs"], len(names))
    return {"f_prior_sequence": kind, "f_prior_sequences": names, "f_prior_n_seqs": rows}


def sequence_rows(part: Split, params: Mapping[str, Any]) -> np.ndarray:
    """The row of each trial's sequence, (trials,).

    Args:
        part: a part of a recording.
        params: the params of a model, with its sequences.

    Raises:
        ValueError: the params name no sequences, or a trial belongs to none of them.
    """
    names, kind = params["f_prior_sequences"], params["f_prior_sequence"]
    if names is None:
        raise ValueError(
            "The model does not say which sequences its rows are. Given: f_prior_sequences=None. Train it with "
            "indl.train(params, recording), or pass rows of your own: {'x': x, 'index': rows}."
        )
    found = _values(part, kind)
    if kind == "trial":
        # Windows are numbered through all trials: that of the trial is the last first one not after it.
        return np.searchsorted(names, found, side="right") - 1
    place = {name: i for i, name in enumerate(names)}
    new = [value for value in found.tolist() if value not in place]
    if new:
        raise ValueError(
            f"A trial belongs to a sequence that the model has no row for. Given: {kind} {shown(new[0])}. Score it "
            "with arrays, {'x': x, 'index': rows}, in rows that f_prior_n_seqs leaves for new sequences."
        )
    return np.array([place[value] for value in found.tolist()])


def _kind(recording: Recording, kind: str) -> str:
    """What makes a sequence: what was asked for, or else the first that the recording has."""
    part = recording.train
    there = {
        "trial": ChopPlan.of(recording.attrs) is not None and part.inds is not None,
        "session": part.session is not None,
        "label": part.label is not None,
    }
    for name, has in there.items():
        if has and kind in ("auto", name):
            return name
    raise ValueError(
        f"The recording has no sequences that trials could belong to. Given: f_prior_sequence={kind!r}, a recording "
        f"with {' and '.join(name for name, has in there.items() if has) or 'none of trial, session and label'}. Cut "
        "long trials into windows with indl.data.chop, give the trials labels, such as numbers of blocks, or join "
        "sessions."
    )


def _sequences(recording: Recording, kind: str) -> list[Any]:
    """The sequences of a recording, as a parameter names them."""
    parts = [_values(part, kind) for part in (recording.train, recording.valid)]
    values, counts = np.unique(np.concatenate(parts), return_counts=True)
    if kind == "trial":
        # All first windows, so that those of a trial that is left out belong to no other one.
        return np.flatnonzero(ChopPlan.of(recording.attrs).start == 0).tolist()
    if counts.max() == 1:
        raise ValueError(
            f"Trials of a sequence must have something in common. Given: {len(values)} trials, each with a {kind} of "
            "its own. Choose another f_prior_sequence, or give the trials of a block the same label."
        )
    return values.tolist()


def _values(part: Split, kind: str) -> np.ndarray:
    """What tells the sequence of each trial: its window, session or label."""
    values = {"trial": part.inds, "session": part.session, "label": part.label}[kind]
    if values is None:
        raise ValueError(
            f"The model tells sequences by the {kind} of each trial. Given: a part without. Give the trials theirs, or "
            "build the model with another f_prior_sequence."
        )
    if values.dtype.kind == "f" and (values == np.round(values)).all():
        return values.astype(int)
    if values.dtype.kind not in "iuU":
        raise ValueError(
            f"Sequences have names or whole numbers. Given: {kind}s of type {values.dtype}, such as "
            f"{shown(values.tolist()[0])}. Number them from 0."
        )
    return values
