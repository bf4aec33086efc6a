"""Augmentations: reference values, exact counts of moved spikes, and the distributions of what is drawn."""

import json
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.augmentation import (
    draw_moves,
    draw_sample_validation_mask,
    draw_shift,
    jitter_spikes,
    missing_loss,
    move_spikes,
    round_shift,
    sample_validation_input,
    sample_validation_losses,
    temporal_shift,
)
from indl.layers.missing import FillMissing
from tests.checks import assert_close, assert_mean
from tests.conftest import parity_files

FILES = parity_files("lfads_augmentations") or [
    pytest.param(None, marks=pytest.mark.skip("no file lfads_augmentations*.npz"))
]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recorded(request):
    """The arrays of a file, float32 where they are real, and its configuration."""
    with np.load(request.param) as file:
        arrays = {key: file[key] for key in file.files if key != "config"}
        config = json.loads(str(file["config"]))
    return {key: a.astype("float32") if a.dtype.kind == "f" else a for key, a in arrays.items()}, config


def poisson_loss(log_rates, target):
    return tf.exp(log_rates) - target * log_rates


@pytest.mark.parity
def test_missing_samples_equal_the_reference(recorded):
    arrays, _ = recorded
    assert_close(FillMissing()(arrays["missing/encod_data"]), arrays["missing/network_input"])
    target = tf.constant(arrays["missing/recon_data"])
    with tf.GradientTape() as tape:
        tape.watch(log_rates := tf.constant(arrays["missing/logrates"]))
        elements = missing_loss(poisson_loss(log_rates, FillMissing()(target)), target)
        mean = tf.reduce_mean(elements)
    assert_close(elements, arrays["missing/loss_elements"])
    assert_close(mean, arrays["missing/loss_mean"])
    assert_close(tape.gradient(mean, log_rates), arrays["missing/grad_logrates"], 1e-4)


@pytest.mark.parity
def test_sample_validation_equals_the_reference(recorded):
    arrays, config = recorded
    rate, visible = config["sv_rate"], arrays["sample_validation/keep_mask"].astype(bool)
    x = arrays["sample_validation/encod_data"]
    assert_close(sample_validation_input(tf.constant(x), visible, rate), arrays["sample_validation/network_input"])
    with tf.GradientTape() as tape:
        tape.watch(log_rates := tf.constant(arrays["sample_validation/logrates"]))
        loss = poisson_loss(log_rates, arrays["sample_validation/recon_data"])
        elements, hidden = sample_validation_losses(loss, visible, rate)
        mean = tf.reduce_mean(elements)
    assert_close(elements, arrays["sample_validation/heldin_loss_elements"])
    assert_close(mean, arrays["sample_validation/heldin_loss_mean"])
    assert_close(hidden, arrays["sample_validation/heldout_loss_mean"])
    assert_close(tape.gradient(mean, log_rates), arrays["sample_validation/grad_logrates"], 1e-4)


@pytest.mark.parity
def test_temporal_shift_equals_the_reference(recorded):
    arrays, config = recorded
    shift = round_shift(arrays["temporal_shift/raw_shift"], config["max_shift"])
    assert np.array_equal(shift, arrays["temporal_shift/shift"])
    with tf.GradientTape() as tape:
        tape.watch(x := tf.constant(arrays["temporal_shift/x"]))
        shifted = temporal_shift(x, shift)
    assert_close(shifted, arrays["temporal_shift/shifted"])
    # Every bin hands its gradient back to the one it was taken from.
    expected = np.zeros(x.shape)
    for b, t, c in np.ndindex(*x.shape):
        expected[b, np.clip(t - arrays["temporal_shift/shift"][b, c], 0, x.shape[1] - 1), c] += 1
    assert_close(tape.gradient(shifted, x), expected)


def test_missing_loss_without_rescale_and_without_data():
    target = tf.constant([[[1.0], [np.nan]], [[np.nan], [np.nan]]])
    loss = tf.constant([[[2.0], [3.0]], [[4.0], [5.0]]])
    assert np.array_equal(np.ravel(missing_loss(loss, target, rescale=False)), [2, 0, 0, 0])
    assert np.array_equal(np.ravel(missing_loss(loss, target)), [8, 0, 0, 0])
    assert not np.any(missing_loss(loss, tf.fill(target.shape, np.nan)))


def test_losses_with_a_samples_axis_are_those_of_each_sample():
    rng = np.random.default_rng(0)
    loss = rng.random((3, 4, 6, 5)).astype("float32")
    target = np.where(rng.random((3, 6, 5)) < 0.3, np.nan, 1.0).astype("float32")
    visible = rng.random((3, 5, 4)) < 0.7
    found, hidden = sample_validation_losses(loss, visible, 0.3)
    each = [sample_validation_losses(loss[:, s], visible, 0.3) for s in range(4)]
    for s in range(4):
        np.testing.assert_array_equal(missing_loss(loss, target)[:, s], missing_loss(loss[:, s], target))
        np.testing.assert_array_equal(found[:, s], each[s][0])
    assert float(hidden) == pytest.approx(np.mean([mean for _, mean in each]))


def test_sample_validation_is_unbiased():
    loss = np.random.default_rng(0).random((4000, 3, 2)).astype("float32")
    visible = draw_sample_validation_mask((4000, 2, 2), 0.3, seed=5)
    assert_mean(np.ravel(visible), 0.7)
    assert np.array_equal(visible, draw_sample_validation_mask((4000, 2, 2), 0.3, seed=5))
    assert not np.array_equal(visible, draw_sample_validation_mask((4000, 2, 2), 0.3, seed=6))
    trained, hidden = sample_validation_losses(loss, visible, 0.3)
    assert_mean(np.ravel(trained - loss), 0.0)
    assert float(hidden) == pytest.approx(loss[:, :2].mean(), rel=0.05)
    assert np.array_equal(np.asarray(trained)[:, 2], loss[:, 2]), "bins that the encoder never sees always train"


def test_drawn_shifts_are_bounded_normal_draws():
    shift = np.ravel(draw_shift((20000, 4), std=3.0, max_shift=6, seed=1))
    assert set(shift.tolist()) == set(range(-6, 7))
    assert_mean(shift, 0.0)
    # Beyond 5.5 everything falls on the bounds; a standard normal beyond 5.5 / 3 has probability .0334.
    assert_mean(np.abs(shift) == 6, 2 * 0.03338)
    assert_mean(shift == 0, 0.13237)
    generator = keras.random.SeedGenerator(1)
    first, second = draw_shift((50, 4), seed=generator), draw_shift((50, 4), seed=generator)
    assert not np.array_equal(first, second), "input and target are shifted independently"


def spike_by_spike(moves):
    """Every spike put into its place one by one."""
    width, time = len(moves) // 2, moves.shape[2]
    moved = np.zeros(moves.shape[1:])
    for m, b, t, c in np.ndindex(*moves.shape):
        to = t + m - width
        to = -to if to < 0 else 2 * (time - 1) - to if to > time - 1 else to
        moved[b, to, c] += moves[m, b, t, c]
    return moved


@pytest.mark.parametrize("width, time", [(2, 9), (2, 3), (3, 4), (0, 5)])
def test_moved_spikes_end_where_a_loop_puts_them(width, time):
    moves = np.random.default_rng(width).poisson(0.7, (2 * width + 1, 3, time, 2)).astype("float32")
    np.testing.assert_array_equal(move_spikes(moves), spike_by_spike(moves))


@pytest.mark.parametrize("seed", [3, keras.random.SeedGenerator(3)])
def test_spikes_move_on_their_own_and_none_is_lost(seed):
    counts = np.random.default_rng(0).poisson(1.5, (5, 12, 3)).astype("float32")
    moves = np.asarray(draw_moves(counts, 2, seed=seed))
    np.testing.assert_array_equal(moves.sum(0), counts)
    assert moves.min() >= 0
    jittered = np.asarray(jitter_spikes(counts, 2, seed=seed))
    np.testing.assert_array_equal(jittered.sum(1), counts.sum(1))
    assert not np.array_equal(jittered, counts)
    # Two spikes of one bin: each of the 25 pairs of moves is alike likely.
    pairs = np.asarray(draw_moves(np.full((20000, 1, 1), 2.0, "float32"), 2, seed=seed))[:, :, 0, 0].T
    found = Counter(map(tuple, pairs.astype(int).tolist()))
    assert len(found) == 15
    for pattern, number in found.items():
        chance = 1 / 25 if max(pattern) == 2 else 2 / 25
        assert abs(number - 20000 * chance) < 5 * np.sqrt(20000 * chance * (1 - chance))


def test_jitter_has_seeds_and_works_in_a_graph():
    counts = np.random.default_rng(0).poisson(1.5, (5, 12, 3)).astype("float32")
    same = [jitter_spikes(counts, seed=7) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], jitter_spikes(counts, seed=8))
    traced = tf.function(lambda x: jitter_spikes(x, seed=7), input_signature=[tf.TensorSpec((None, None, 3))])
    np.testing.assert_array_equal(traced(counts), same[0])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: draw_sample_validation_mask((2, 2, 2), 0.0, seed=1), "a rate of 0.0"),
        (lambda: sample_validation_losses(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), 1.0), "a rate of 1.0"),
        (lambda: jitter_spikes(np.ones((1, 2, 1), "float32"), 2, seed=1), "up to 2 bins in trials of 2 bins"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
