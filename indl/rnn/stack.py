"""Recurrent layers by name, one or both directions, with the lag of the LFADS controller input."""

from __future__ import annotations

from typing import Any

import keras

from indl.layers.missing import LastBin, Unmask
from indl.layers.time import ShiftTime
from indl.rnn.gru_clip import GRUClip, GRUClipCell

_LAYERS = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "SimpleRNN": keras.layers.SimpleRNN, "GRUClip": GRUClip}
_CELLS = {
    "LSTM": keras.layers.LSTMCell,
    "GRU": keras.layers.GRUCell,
    "SimpleRNN": keras.layers.SimpleRNNCell,
    "GRUClip": GRUClipCell,
}


def make_cell(cell_type: str, units: int, clip_value: float = 5.0) -> Any:
    """A single recurrent cell: ``"LSTM"``, ``"GRU"``, ``"GRUClip"`` or ``"SimpleRNN"``."""
    return _CELLS[cell_type](units, **({"clip_value": clip_value} if cell_type == "GRUClip" else {}))


def make_layer(cell_type: str, units: int, clip_value: float = 5.0, **kwargs: Any) -> Any:
    """A recurrent layer that returns its whole sequence."""
    extra = {"clip_value": clip_value} if cell_type == "GRUClip" else {}
    return _LAYERS[cell_type](units, return_sequences=True, **extra, **kwargs)


def recurrent(
    x: Any,
    rnn_type: str,
    units: int,
    *,
    merge: str = "concat",
    lag: int = 0,
    clip_value: float = 5.0,
    name: str,
    initial_state: Any = None,
    mask: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Runs one recurrent layer over `x`.

    Args:
        x: (batch, time, features).
        rnn_type: a cell type, with the prefix ``Bidirectional`` for both directions.
        units: units of each direction.
        merge: ``"concat"`` or ``"sum"`` of both directions.
        lag: bins by which the forward states come later and the backward states earlier, so that the
            output at t has seen no bin closer than `lag` to t; zeros fill the ends.
        clip_value: bound of GRUClip states.
        name: name of the layer.
        initial_state: list of state tensors, forward layers only.
        mask: which bins belong to the trial, bool (batch, time): the first ones of each row.

    Returns:
        The sequence (batch, time, units or 2 units), and the last state of each direction, merged.
    """
    if not rnn_type.startswith("Bidirectional"):
        layer = make_layer(rnn_type, units, clip_value, name=name, **kwargs)
        states = _unmask(layer(x, initial_state=initial_state, mask=mask), mask)
        return _shift(states, lag, name), _last(states, mask)
    layer = make_layer(rnn_type.removeprefix("Bidirectional"), units, clip_value, name=f"{name}_cell", **kwargs)
    both = keras.layers.Bidirectional(layer, merge_mode=None, name=name)(x, mask=mask)
    forward, backward = (_unmask(states, mask) for states in both)
    join = keras.layers.Add if merge == "sum" else keras.layers.Concatenate
    sequence = join(name=f"{name}_{merge}")([_shift(forward, lag, name), _shift(backward, -lag, name)])
    return sequence, join(name=f"{name}_last")([_last(forward, mask), backward[:, 0]])


def _shift(states: Any, lag: int, name: str) -> Any:
    return ShiftTime(lag, name=f"{name}_{'later' if lag > 0 else 'earlier'}")(states) if lag else states


def _unmask(states: Any, mask: Any) -> Any:
    return states if mask is None else Unmask()(states)


def _last(states: Any, mask: Any) -> Any:
    return states[:, -1] if mask is None else LastBin()(states, mask)
