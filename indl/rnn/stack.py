"""Recurrent layers by name, one or both directions, with the lag of the LFADS controller input."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.layers.missing import LastBin
from indl.layers.time import ShiftTime
from indl.params import CellSpec
from indl.rnn.recurrent import Recurrent


def recurrent(
    x: Any,
    rnn_type: str,
    units: int,
    *,
    merge: str = "concat",
    lag: int = 0,
    name: str,
    initial_state: Any = None,
    mask: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Runs one recurrent layer over `x`.

    Args:
        x: (batch, time, features).
        rnn_type: a cell type, with the prefix ``Bidirectional`` for both directions, ``Backward`` for the other one.
        units: units of each direction.
        merge: ``"concat"`` or ``"sum"`` of both directions.
        lag: bins by which the forward states come later and the backward states earlier, so that the
            output at t has seen no bin closer than `lag` to t; zeros fill the ends.
        name: name of the layer.
        initial_state: list of state tensors, forward layers only.
        mask: which bins belong to the trial, bool (batch, time): the first ones of each row.
        **kwargs: further arguments of :class:`~indl.rnn.recurrent.Recurrent`.

    Returns:
        The sequence (batch, time, units or 2 units), and the last state of each direction, merged.
    """
    kind, directions = CellSpec.parse(rnn_type)
    layer = Recurrent(units, cell=kind, directions=directions, name=name, **kwargs)
    if directions == "forward":
        states = layer(x, initial_state=initial_state, mask=mask)
        return _shift(states, lag, name), _last(states, mask)
    if directions == "backward":
        states = layer(x, mask=mask)
        return _shift(_within(states, lag, mask), -lag, name), states[:, 0]
    forward, backward = layer(x, mask=mask)
    join = keras.layers.Add if merge == "sum" else keras.layers.Concatenate
    last = join(name=f"{name}_last")([_last(forward, mask), backward[:, 0]])
    backward = _within(backward, lag, mask)
    return join(name=f"{name}_{merge}")([_shift(forward, lag, name), _shift(backward, -lag, name)]), last


def _within(backward: Any, lag: int, mask: Any) -> Any:
    """Backward states without those after a trial's end, where trained initial ones stand: a lag would bring them in."""
    return backward * ops.expand_dims(ops.cast(mask, backward.dtype), -1) if lag and mask is not None else backward


def _shift(states: Any, lag: int, name: str) -> Any:
    return ShiftTime(lag, name=f"{name}_{'later' if lag > 0 else 'earlier'}")(states) if lag else states


def _last(states: Any, mask: Any) -> Any:
    return states[:, -1] if mask is None else LastBin()(states, mask)
