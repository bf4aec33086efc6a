"""The loop itself: several recurrences side by side, rows shared by all trials, sizes at the edge."""

import numpy as np
import pytest
import tensorflow as tf

from indl.rnn.cells import GRUClipStep, GRUStep, LSTMStep, SimpleRNNStep
from indl.rnn.scan import Lane, scan
from tests.checks import assert_close

CELLS = {"LSTM": LSTMStep(), "GRU": GRUStep(), "GRUClip": GRUClipStep(0.4), "SimpleRNN": SimpleRNNStep()}
UNITS, BATCH = 3, 4


def lane(cell, seed=0, time=5, backwards=False, masked=False, state_rows=BATCH, x_rows=BATCH):
    rng, step = np.random.default_rng(seed), CELLS[cell]

    def normal(*shape):
        return tf.constant(rng.normal(size=shape))

    width = step.gates * UNITS
    bias = normal(*step.bias_shape(UNITS))
    mask = tf.constant(rng.random((time, BATCH, 1)) < 0.6) if masked else None
    state = tuple(normal(state_rows, UNITS) for _ in range(step.n_states))
    weights = step.shared(normal(UNITS, width), bias)
    return Lane(step, (normal(time, x_rows, width),), state, weights, backwards, mask)


def run(lanes, own, seed=5):
    """States of every lane, and gradients of a random functional in all that enters."""
    sources = [[lane.x, lane.state, lane.weights] for lane in lanes]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        states = scan(lanes, own_gradient=own)
        rng = np.random.default_rng(seed)
        total = sum(tf.reduce_sum(tf.constant(rng.normal(size=p.shape)) * p) for p in tf.nest.flatten(states))
    return states, tape.gradient(total, sources)


def assert_all_close(a, b, tolerance=1e-10):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        assert_close(x, y, tolerance)


def plain_loop(lane):
    """States of a lane, one step after the other, in numpy's order of bins."""
    time = lane.x[0].shape[0]
    state, found = lane.state, [None] * time
    for t in reversed(range(time)) if lane.backwards else range(time):
        new, _ = lane.cell.forward(state, tuple(part[t] for part in lane.x), lane.weights)
        if lane.mask is not None:
            new = tuple(np.where(lane.mask[t], a, b) for a, b in zip(new, state, strict=True))
        state = found[t] = new
    return tuple(np.stack([bin[i] for bin in found]) for i in range(len(lane.state)))


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_states_equal_a_plain_loop(cell, masked, backwards, own):
    one = lane(cell, masked=masked, backwards=backwards)
    assert_all_close(scan([one], own_gradient=own)[0], plain_loop(one), 1e-12)


@pytest.mark.parametrize("own", [True, False])
def test_lanes_side_by_side_are_those_alone(own):
    lanes = [
        lane("LSTM", 0, masked=True),
        lane("GRUClip", 1, backwards=True),
        lane("GRU", 2, backwards=True, masked=True),
        lane("SimpleRNN", 3),
    ]
    states, gradients = run(lanes, own)
    rng = np.random.default_rng(5)
    for i, one in enumerate(lanes):
        assert_all_close(states[i], scan([one], own_gradient=own)[0], 1e-12)
        with tf.GradientTape() as tape:
            sources = [one.x, one.state, one.weights]
            tape.watch(sources)
            alone = scan([one], own_gradient=False)[0]
            total = sum(tf.reduce_sum(tf.constant(rng.normal(size=part.shape)) * part) for part in alone)
        assert_all_close(gradients[i], tape.gradient(total, sources))


@pytest.mark.parametrize("rows", [{"state_rows": 1}, {"x_rows": 1}])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_for_all_trials_takes_the_sum_of_their_gradients(cell, backwards, rows):
    one = lane(cell, backwards=backwards, masked=True, **rows)
    states, (found,) = run([one], True)
    wanted_states, (wanted,) = run([one], False)
    assert_all_close(states, wanted_states, 1e-12)
    assert_all_close(found, wanted)
    assert (found[0][0].shape[1], found[1][0].shape[0]) == (rows.get("x_rows", BATCH), rows.get("state_rows", BATCH))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("backwards", [False, True])
def test_one_bin(cell, backwards):
    one = lane(cell, time=1, backwards=backwards)
    assert_all_close(run([one], True), run([one], False))


def test_a_bin_that_no_trial_has_changes_nothing():
    full = lane("LSTM", time=4)
    shut = np.ones((5, BATCH, 1), bool)
    shut[2] = False
    x = np.insert(full.x[0].numpy(), 2, 1e6, axis=0)
    longer = full._replace(x=(tf.constant(x),), mask=tf.constant(shut))
    for own in (True, False):
        states = scan([longer], own_gradient=own)[0]
        assert_all_close([np.delete(part, 2, axis=0) for part in states], scan([full])[0], 1e-12)
