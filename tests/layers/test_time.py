"""Layers that shift, pad and make a time axis."""

import keras
import numpy as np
import pytest

from indl.layers.initial_state import TrainableState
from indl.layers.time import EmptySequence, PadTime, ShiftTime
from tests.checks import check_layer

X = np.arange(2 * 4 * 3, dtype="float32").reshape(2, 4, 3) + 1


def shifted(x, steps):
    out = np.zeros_like(x)
    for t in range(x.shape[1]):
        if 0 <= t - steps < x.shape[1]:
            out[:, t] = x[:, t - steps]
    return out


@pytest.mark.parametrize("steps", [-9, -4, -3, -1, 0, 1, 3, 4, 9])
def test_shift(steps):
    check_layer(lambda: ShiftTime(steps), X, expected=shifted(X, steps))
    assert ShiftTime(steps)(X).shape == X.shape


@pytest.mark.parametrize("before, after", [(0, 0), (2, 0), (0, 3), (2, 3)])
def test_pad(before, after):
    check_layer(lambda: PadTime(before, after), X, expected=np.pad(X, ((0, 0), (before, after), (0, 0))))
    assert PadTime(before, after)(keras.Input((4, 3))).shape == (None, 4 + before + after, 3)


def test_empty_sequence():
    static = X[:, 0]
    check_layer(lambda: EmptySequence(7), static, expected=np.zeros((2, 7, 0)))
    check_layer(lambda: EmptySequence(extra=2), static, X, expected=np.zeros((2, 6, 0)))
    assert EmptySequence(extra=2)(keras.Input((3,)), keras.Input((4, 3))).shape == (None, 6, 0)


def test_trainable_state():
    check_layer(lambda: TrainableState(5), X, expected=np.zeros((2, 5)))
    layer = TrainableState(3)
    layer(X)
    layer.state.assign([1.0, 2.0, 3.0])
    assert np.array_equal(layer(X), [[1, 2, 3], [1, 2, 3]])
