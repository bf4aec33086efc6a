"""Recurrent layers by name: directions, merges and the lag."""

import keras
import numpy as np
import pytest

from indl.params import RNN_CELLS, RNN_TYPES
from indl.rnn.stack import make_cell, make_layer, recurrent

X = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")


def build(rnn_type, **kwargs):
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 4))
    return keras.Model(x, recurrent(x, rnn_type, 5, name="rnn", **kwargs))


def halves(model, x):
    sequence, last = model(x)
    return np.split(np.asarray(sequence), 2, axis=-1), np.split(np.asarray(last), 2, axis=-1)


@pytest.mark.parametrize("rnn_type", RNN_TYPES)
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_shapes(rnn_type, merge):
    width = 10 if rnn_type.startswith("Bidirectional") and merge == "concat" else 5
    sequence, last = build(rnn_type, merge=merge)(X)
    assert sequence.shape == (3, 9, width) and last.shape == (3, width)
    assert np.isfinite(sequence).all() and np.ptp(np.asarray(sequence)) > 0


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_a_forward_layer_returns_its_last_state(cell):
    sequence, last = build(cell)(X)
    assert np.array_equal(sequence[:, -1], last)
    assert make_cell(cell, 5).units == 5
    assert make_layer(cell, 5).return_sequences


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_both_directions_in_normal_time_order(cell):
    """The forward half at t depends on bins up to t, the backward half on bins from t on; so do the last states."""
    model = build(f"Bidirectional{cell}")
    (forward, backward), last = halves(model, X)
    moved = X.copy()
    moved[:, 4] += 1.0
    (forward_2, backward_2), _ = halves(model, moved)
    changed = [np.any(a != b, axis=(0, 2)) for a, b in ((forward, forward_2), (backward, backward_2))]
    assert np.array_equal(changed[0], np.arange(9) >= 4)
    assert np.array_equal(changed[1], np.arange(9) <= 4)
    assert np.array_equal(last[0], forward[:, -1]) and np.array_equal(last[1], backward[:, 0])


def test_sum_is_the_sum_of_both_halves():
    concat, total = build("BidirectionalGRU"), build("BidirectionalGRU", merge="sum")
    total.set_weights(concat.get_weights())
    (forward, backward), last = halves(concat, X)
    sequence, joined = total(X)
    np.testing.assert_allclose(sequence, forward + backward, atol=1e-6)
    np.testing.assert_allclose(joined, last[0] + last[1], atol=1e-6)


@pytest.mark.parametrize("rnn_type", ["GRUClip", "BidirectionalGRUClip", "BidirectionalLSTM"])
@pytest.mark.parametrize("lag", [1, 3])
def test_lag_moves_the_halves_apart(rnn_type, lag):
    plain, lagged = build(rnn_type), build(rnn_type, lag=lag)
    lagged.set_weights(plain.get_weights())
    before, after = np.asarray(plain(X)[0]), np.asarray(lagged(X)[0])
    assert np.array_equal(after[:, lag:, :5], before[:, :-lag, :5]) and not after[:, :lag, :5].any()
    if rnn_type.startswith("Bidirectional"):
        assert np.array_equal(after[:, :-lag, 5:], before[:, lag:, 5:]) and not after[:, -lag:, 5:].any()
    # The summary of the trial has no lag.
    assert np.array_equal(lagged(X)[1], plain(X)[1])


@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("lag", [0, 1, 2, 20])
def test_an_output_sees_no_bin_closer_than_the_lag(merge, lag):
    model = build("BidirectionalGRUClip", merge=merge, lag=lag)
    before = np.asarray(model(X)[0])
    moved = X.copy()
    moved[:, 4] += 1.0
    changed = np.any(np.asarray(model(moved)[0]) != before, axis=(0, 2))
    assert np.array_equal(changed, np.abs(np.arange(9) - 4) >= lag)


def test_an_initial_state_enters_the_first_step():
    x, h = keras.Input((None, 4)), keras.Input((5,))
    sequence, _ = recurrent(x, "GRUClip", 5, name="rnn", initial_state=[h])
    model = keras.Model([x, h], sequence)
    zero, one = np.zeros((3, 5), "float32"), np.ones((3, 5), "float32")
    assert np.array_equal(model([X, zero]), model.get_layer("rnn")(X))
    assert not np.allclose(model([X, one])[:, 0], model([X, zero])[:, 0])
