"""What a model reads of one part of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from indl.data.checks.masks import as_array
from indl.data.values.lazy import LazyArray
from indl.data.values.recording import Recording, Split
from indl.data.values.trials import Trials, time_mask
from indl.model.inputs.sequences import sequence_rows


def arrays_of(part: Split, names: tuple[str, ...], params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arrays of a part that a model reads, and its target, by name.

    Args:
        part: a part of a recording.
        names: the model's ``input_names``, ``"u"`` for labels, and ``"index"`` for rows of sequences.
        params: the model's params, for labels: classes are the part's `label`; vectors, with u_per_step, the first
            u_dim dimensions of its `behavior`; and for sequences.

    Returns:
        ``x``, whatever else `names` holds, and ``target``. Where input and target are equal they are one array, which
        is then gathered once. External inputs have the bins of the target: zeros stand for a segment at the start
        and for forward steps that the recording has no external input for.

    Raises:
        ValueError: the part has no external input, session or labels of the kind, and the model reads them.
    """
    same = part.encod is part.recon or (
        isinstance(part.recon, np.ndarray) and np.array_equal(part.encod, part.recon, equal_nan=True)
    )
    found = {"x": part.encod, "target": part.encod if same else part.recon}
    if "ext_input" in names:
        found["ext_input"] = _external(part)
    if "session" in names:
        if part.session is None:
            raise ValueError(
                "This model reads the session of each trial. Given: a recording of one session. Join several with "
                "join_sessions, or make it one of theirs with pad_session."
            )
        found["session"] = part.session
    if "u" in names:
        found["u"] = _labels(part, params or {})
    if "index" in names:
        found["index"] = sequence_rows(part, params)
    return found


def inputs_of(model: Any, part: Split, trials: slice = slice(None), labels: bool = False) -> Any:
    """What `model` is called with for the trials of a part: an array, or a dict of arrays.

    Args:
        model: the model.
        part: a part of a recording.
        trials: which of its trials.
        labels: give the labels, and rows of sequences, to every model that learns from them, as training does; else
            only to one that cannot infer anything without.
    """
    names = (*model.input_names, *(model.reads.learned if labels else ()))
    arrays = arrays_of(part, names, model.params)
    chosen = {name: arrays[name][trials] for name in names}
    return chosen if len(names) > 1 else chosen["x"]


def part_in(x: Any) -> Split | None:
    """The part of a recording that a model's method was given: the validation part of a whole one; None: other things.

    Raises:
        ValueError: trials that were not split, of which a model cannot tell what its encoder sees.
    """
    if isinstance(x, Trials):
        raise ValueError(
            f"A model takes parts of a recording. Given: {x!r}. Split them, trials.split(...), or pass the array "
            "trials.counts with the channels that the encoder sees."
        )
    return x.valid if isinstance(x, Recording) else x if isinstance(x, Split) else None


def session_inputs(model: Any, x: Any, session: int) -> dict[str, np.ndarray]:
    """What a model of several sessions is called with for trials of one of them.

    Args:
        model: the model.
        x: (trials, time, channels of that session that the encoder sees).
        session: number of the session.
    """
    x = as_array(x, "float32")
    room = model.x.shape[-1] - x.shape[-1]
    if room < 0:
        raise ValueError(
            f"The session has more channels than the model reads. Given: {x.shape[-1]} for {model.x.shape[-1]}. Pass "
            "the held-in channels alone."
        )
    return {"x": np.pad(x, ((0, 0), (0, 0), (0, room)), constant_values=np.nan), "session": np.full(len(x), session)}


def _labels(part: Split, params: Mapping[str, Any]) -> Any:
    """Classes from the trials' conditions, or vectors from the behaviour in the bins of the target."""
    discrete, per_step = params.get("u_type", "discrete") == "discrete", params.get("u_per_step", False)
    if discrete == per_step:
        raise ValueError(
            "A recording holds one class a trial (label) and vectors a bin (behavior). Given: "
            f"u_type={params['u_type']!r}, u_per_step={per_step}. Set u_per_step={not discrete}, or pass labels "
            "of your own: model.fit({'x': x, 'u': u})."
        )
    if discrete:
        return _classes(part)
    length, bins = params["u_dim"], part.recon.shape[1]
    shape = None if part.behavior is None else part.behavior.shape
    if shape is None or shape[1] != bins or shape[2] < length:
        given = "no behavior" if shape is None else f"behavior of shape {shape}"
        raise ValueError(
            f"This model learns from behaviour. Given: {given}, for {bins} bins and "
            f"u_dim={length}. Give behaviour in all bins of the target with at least u_dim dimensions."
        )
    if shape[2] == length and isinstance(part.behavior, LazyArray):
        return part.behavior
    values = np.asarray(part.behavior[:])[..., :length]
    if np.isnan(values).any():
        # Beyond a trial's end there is no behaviour, and nothing that depends on it.
        ended = ~time_mask(np.asarray(part.recon[:]))
        values = np.where(ended[..., None] & np.isnan(values), 0, values)
    return values


def _classes(part: Split) -> np.ndarray:
    if part.label is None or part.label.dtype.kind not in "iuf" or (part.label != np.round(part.label)).any():
        given = "none" if part.label is None else f"labels such as {np.unique(part.label)[:5].tolist()}"
        raise ValueError(
            f"This model learns from the class of each trial. Given: {given}. Give the recording label, whole numbers "
            "counted from 0; np.unique(names, return_inverse=True)[1] makes them of names."
        )
    return part.label


def _external(part: Split) -> Any:
    if part.ext_input is None:
        raise ValueError(
            "This model reads an external input. Given: a recording without one. Pass ext_input where the recording is "
            "made, or set ext_input_dim=0."
        )
    bins, wanted = part.ext_input.shape[1], part.recon.shape[1]
    if bins == wanted:
        return part.ext_input
    values = np.asarray(part.ext_input) if not isinstance(part.ext_input, LazyArray) else part.ext_input[:]
    before = max(part.encod.shape[1] - bins, 0)
    return np.pad(values, ((0, 0), (before, wanted - bins - before), (0, 0)))
