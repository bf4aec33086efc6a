"""What a model reads of one part of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from indl.data.lazy import LazyArray
from indl.data.recording import Split


def arrays_of(part: Split, names: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of a part that a model reads, and its target, by name.

    Args:
        part: a part of a recording.
        names: the model's ``input_names``.

    Returns:
        ``x``, whatever else `names` holds, and ``target``. Where input and target are equal they are one array, which
        is then gathered once. External inputs have the bins of the target: zeros stand for a segment at the start
        and for forward steps that the recording has no external input for.

    Raises:
        ValueError: the part has no external input or session, and the model reads one.
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
    return found


def inputs_of(model: Any, part: Split, trials: slice = slice(None)) -> Any:
    """What `model` is called with for the trials of a part: an array, or a dict of arrays."""
    names = model.input_names
    arrays = arrays_of(part, names)
    chosen = {name: arrays[name][trials] for name in names}
    return chosen if len(names) > 1 else chosen["x"]


def session_inputs(model: Any, x: Any, session: int) -> dict[str, np.ndarray]:
    """What a model of several sessions is called with for trials of one of them.

    Args:
        model: the model.
        x: (trials, time, channels of that session that the encoder sees).
        session: number of the session.
    """
    x = np.asarray(x, "float32")
    room = model.x.shape[-1] - x.shape[-1]
    if room < 0:
        raise ValueError(
            f"The session has more channels than the model reads. Given: {x.shape[-1]} for {model.x.shape[-1]}. Pass "
            "the held-in channels alone."
        )
    return {"x": np.pad(x, ((0, 0), (0, 0), (0, room)), constant_values=np.nan), "session": np.full(len(x), session)}


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
