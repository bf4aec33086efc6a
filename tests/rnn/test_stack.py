"""Recurrent layers by name: directions, merges and the lag."""

import keras
import numpy as np
import pytest

from indl.layers.samples import fold, unfold
from indl.params import RNN_CELLS, RNN_TYPES
from indl.rnn import Recurrent
from indl.rnn.stack import recurrent
from tests.checks import assert_same, saved_and_loaded

X = np.random.default_rng(0).normal(size=(3, 9, 4)).astype("float32")


def build(rnn_type, **kwargs):
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 4))
    return keras.Model(x, recurrent(x, rnn_type, 5, name="rnn", **kwargs))


def halves(model, x):
    sequence, last = model(x)
    return np.split(np.asarray(sequence), 2, axis=-1), np.split(np.asarray(last), 2, axis=-1)


def alone(model, way):
    """One direction of a model's layer as a layer of its own."""
    layer = model.get_layer("rnn")
    single = Recurrent(5, layer.cell_type, way)
    single.build((None, None, 4))
    single.set_weights([v.numpy() for v in layer.weights_of[way].values()])
    return single


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


@pytest.mark.parametrize("cell", RNN_CELLS)
def test_trap_02_backward_states_are_in_time_order_before_the_lag(cell):
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
    # A backward recurrence is a forward one over reversed time.
    reversed_layer = Recurrent(5, cell)
    reversed_layer.build((None, None, 4))
    reversed_layer.set_weights(alone(model, "backward").get_weights())
    np.testing.assert_allclose(backward, reversed_layer(X[:, ::-1].copy())[:, ::-1], atol=1e-6)


def test_trap_03_directions_are_concatenated_unless_the_sum_is_asked_for():
    concat, total = build("BidirectionalGRU"), build("BidirectionalGRU", merge="sum")
    total.set_weights(concat.get_weights())
    (forward, backward), last = halves(concat, X)
    assert forward.shape == backward.shape == (3, 9, 5)
    np.testing.assert_allclose(forward, alone(concat, "forward")(X), atol=1e-6)
    np.testing.assert_allclose(backward, alone(concat, "backward")(X), atol=1e-6)
    sequence, joined = total(X)
    np.testing.assert_allclose(sequence, forward + backward, atol=1e-6)
    np.testing.assert_allclose(joined, last[0] + last[1], atol=1e-6)


@pytest.mark.parametrize("rnn_type", ["GRUClip", "BidirectionalGRUClip", "BidirectionalLSTM"])
@pytest.mark.parametrize("lag", [1, 3])
def test_trap_02_lag_moves_the_halves_apart(rnn_type, lag):
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
def test_trap_04_an_output_sees_no_bin_closer_than_the_lag(merge, lag):
    model = build("BidirectionalGRUClip", merge=merge, lag=lag)
    before = np.asarray(model(X)[0])
    assert before.shape == (3, 9, 10 if merge == "concat" else 5)
    moved = X.copy()
    moved[:, 4] += 1.0
    changed = np.any(np.asarray(model(moved)[0]) != before, axis=(0, 2))
    assert np.array_equal(changed, np.abs(np.arange(9) - 4) >= lag)


@pytest.mark.parametrize("lag", [0, 2])
def test_trap_04_lag_acts_on_time_where_samples_are_in_front(lag):
    samples = np.random.default_rng(1).normal(size=(3, 2, 9, 4)).astype("float32")
    model = build("BidirectionalGRUClip", lag=lag)
    x = keras.Input((2, None, 4))
    together = keras.Model(x, unfold(model(fold(x))[0], 2))(samples)
    assert together.shape == (3, 2, 9, 10)
    for s in range(2):
        np.testing.assert_allclose(together[:, s], model(samples[:, s])[0], atol=1e-6)


def test_an_initial_state_enters_the_first_step():
    x, h = keras.Input((None, 4)), keras.Input((5,))
    sequence, _ = recurrent(x, "GRUClip", 5, name="rnn", initial_state=[h])
    model = keras.Model([x, h], sequence)
    zero, one = np.zeros((3, 5), "float32"), np.ones((3, 5), "float32")
    assert np.array_equal(model([X, zero]), model.get_layer("rnn")(X))
    assert not np.allclose(model([X, one])[:, 0], model([X, zero])[:, 0])


@pytest.mark.parametrize("rnn_type", ["GRU", "BidirectionalGRU"])
def test_padded_trials_end_where_they_end(rnn_type):
    """Sequence and last states of a shorter trial are those it has alone; a saved model keeps that."""
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    model = keras.Model([x, mask], recurrent(x, rnn_type, 5, name="rnn", mask=mask))
    inside = np.arange(9) < np.array([[9], [5], [1]])
    found = model([X, inside])
    for trial, length in enumerate((9, 5, 1)):
        one = X[trial : trial + 1, :length]
        sequence, last = model([one, np.ones((1, length), bool)])
        np.testing.assert_allclose(found[0][trial, :length], sequence[0], atol=1e-6)
        np.testing.assert_allclose(found[1][trial], last[0], atol=1e-6)
    assert_same(saved_and_loaded(model)([X, inside]), found)
