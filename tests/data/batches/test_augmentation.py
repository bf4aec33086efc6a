"""Moved samples: reference values, loops over spikes and samples, the distributions of what is drawn, and resuming."""

import json

import numpy as np
import pytest

from indl.data import Batches
from indl.data.batches.augmentation import Augmentation, draw_shift, jitter_spikes, round_shift, temporal_shift
from indl.data.batches.sample_mask import SampleMask
from indl.feed.tf_data import dataset
from tests.checks import assert_close, assert_mean
from tests.conftest import parity_files

FILES = parity_files("lfads_augmentations") or [
    pytest.param(None, marks=pytest.mark.skip("no file lfads_augmentations*.npz"))
]


def generator(seed=0):
    return np.random.default_rng(seed)


def reflected(to, time):
    while not 0 <= to < time:
        to = -to if to < 0 else 2 * (time - 1) - to
    return to


class Recorder:
    """A source of moves that remembers them."""

    def __init__(self):
        self.rng = generator(3)

    def integers(self, low, high, size):
        self.moves = self.rng.integers(low, high, size)
        assert (low, high) == (-high + 1, -low + 1)
        return self.moves


@pytest.mark.parametrize("width, time", [(2, 9), (2, 3), (3, 4), (5, 3), (0, 5), (2, 1)])
def test_moved_spikes_end_where_a_loop_puts_them(width, time):
    counts = generator(width).poisson(1.5, (3, time, 4)).astype("float32")
    if time == 1:
        np.testing.assert_array_equal(jitter_spikes(counts, width, rng=generator()), counts)
        return
    source = Recorder()
    found = jitter_spikes(counts, width, rng=source)
    expected, k = np.zeros_like(counts), 0
    for b, t, c in np.ndindex(*counts.shape):
        for _ in range(int(counts[b, t, c])):
            expected[b, reflected(t + source.moves[k], time), c] += 1
            k += 1
    assert k == len(source.moves)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == counts.dtype


def test_expected_counts_after_jitter_are_those_before_spread_over_the_moves():
    counts = generator().poisson(1.0, (1, 7, 3)).astype("float32")
    spread = np.zeros((7, 7))
    for t in range(7):
        for move in range(-2, 3):
            spread[t, reflected(t + move, 7)] += 1 / 5
    rng = generator(1)
    assert_mean([jitter_spikes(counts, 2, rng=rng)[0] for _ in range(4000)], spread.T @ counts[0])


@pytest.mark.parametrize("bad", [0.5, -1.0, np.nan])
def test_what_is_no_count_is_not_jittered(bad):
    with pytest.raises(ValueError, match="no counts, or are missing"):
        jitter_spikes(np.array([[[1.0], [bad], [0.0]]]), 1, rng=generator())


@pytest.mark.parity
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_temporal_shift_equals_the_reference(path):
    with np.load(path) as file:
        arrays, config = {key: file[key] for key in file.files}, json.loads(str(file["config"]))
    shift = round_shift(arrays["temporal_shift/raw_shift"], config["max_shift"])
    assert np.array_equal(shift, arrays["temporal_shift/shift"])
    assert_close(temporal_shift(arrays["temporal_shift/x"], shift), arrays["temporal_shift/shifted"])


def test_shifts_stay_within_the_trial_and_take_missing_samples_along():
    rng = generator()
    x = rng.normal(size=(5, 8, 3)).astype("float32")
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:, -1] = 1.0
    ends = [8, 8, 5, 1, 0]
    for b, end in enumerate(ends):
        x[b, end:] = np.nan
        x[b, max(end - 1, 0) : end] = 1.0
    shift = rng.integers(-6, 7, (5, 3))
    found = temporal_shift(x, shift)
    for b, t, c in np.ndindex(*x.shape):
        source = np.clip(t - shift[b, c], 0, ends[b] - 1) if t < ends[b] else t
        np.testing.assert_equal(found[b, t, c], x[b, source, c])


def test_drawn_shifts_are_bounded_normal_draws():
    shift = np.ravel(draw_shift((20000, 4), 3.0, 6, rng=generator(1)))
    assert set(shift.tolist()) == set(range(-6, 7))
    assert_mean(shift, 0.0)
    # Beyond 5.5 everything falls on the bounds; a standard normal beyond 5.5 / 3 has probability .0334.
    assert_mean(np.abs(shift) == 6, 2 * 0.03338)
    assert_mean(shift == 0, 0.13237)


def batch_of(bins=9, channels=4, later=3, heldout=2, trials=6):
    """A batch with held-out channels and forward steps."""
    target = generator(2).poisson(1.0, (trials, bins + later, channels + heldout)).astype("float32")
    return {"x": target[:, :bins, :channels], "target": target, "label": np.arange(trials)}


def test_jitter_moves_the_spikes_of_input_and_target_alike():
    batch = batch_of()
    found = Augmentation(jitter_width=2)(batch, generator(1))
    np.testing.assert_array_equal(found["x"], found["target"][:, :9, :4])
    assert found["label"] is batch["label"]
    # Neither into the bins to be predicted nor out of them, and every channel keeps its spikes.
    for bins in (slice(9), slice(9, None)):
        before, after = batch["target"][:, bins], found["target"][:, bins]
        np.testing.assert_array_equal(after.sum(1), before.sum(1))
        assert (after != before).any(axis=(0, 1)).all(), "held-out channels are jittered too"
    whole = batch["target"]
    one = Augmentation(jitter_width=2)({"x": whole, "target": whole}, generator(1))
    np.testing.assert_array_equal(one["x"], one["target"])
    assert not np.array_equal(one["x"], whole)
    other = Augmentation(jitter_width=2)({"x": whole[::-1], "target": whole}, generator(1))
    np.testing.assert_array_equal(other["x"].sum(1), whole[::-1].sum(1))
    assert not np.array_equal(other["x"], other["target"][::-1]), "another signal than the target moves on its own"


def test_input_and_target_are_shifted_apart():
    batch = batch_of()
    x, target = batch["x"].copy(), batch["target"].copy()
    found = Augmentation(shift_std=3.0, shift_max=2)(batch, generator(4))
    rng = generator(4)
    np.testing.assert_array_equal(found["x"], temporal_shift(x, draw_shift((6, 4), 3.0, 2, rng=rng)))
    np.testing.assert_array_equal(found["target"], temporal_shift(target, draw_shift((6, 6), 3.0, 2, rng=rng)))
    np.testing.assert_array_equal(batch["target"], target)
    both = Augmentation(2, 3.0)(batch, generator(4))
    jittered, rng = Augmentation(2)(batch, generator(4)), generator(4)
    Augmentation(2)(batch, rng)
    np.testing.assert_array_equal(both["x"], temporal_shift(jittered["x"], draw_shift((6, 4), 3.0, 6, rng=rng)))


def test_augmented_batches_depend_on_seed_epoch_and_step_alone():
    x = generator().poisson(1.0, (10, 8, 3)).astype("float32")

    def batches(seed=5):
        return Batches({"x": x, "target": x}, 4, seed=seed, augment=Augmentation(2, 3.0))

    def same(a, b):
        return all(np.array_equal(a[name], b[name]) for name in ("x", "target"))

    whole = [batch for epoch in range(3) for batch in batches().epoch(epoch)]
    later = batches()
    assert same(later.batch(2, 1), whole[7]) and same(later.batch(1, 0), whole[3])
    assert np.array_equal(later.batch(1, 0, ["target"])["target"], whole[3]["target"])
    assert not same(batches(6).batch(1, 0), whole[3])
    in_order = Batches({"x": x, "target": x}, 4, shuffle=False, augment=Augmentation(2))
    assert not same(in_order.batch(0, 0), in_order.batch(1, 0)), "every epoch has its own moves"
    resumed = dataset(batches(), ("x", "target"), first_epoch=1, epochs=2).as_numpy_iterator()
    assert all(
        same(dict(zip(("x", "target"), got, strict=True)), wanted)
        for got, wanted in zip(resumed, whole[3:], strict=True)
    )
    np.testing.assert_array_equal(later.arrays["x"], x)


def test_sample_mask_is_one_for_a_data_set():
    mask = SampleMask((300, 6, 5), 0.3, seed=(4, 0))
    whole = mask[:]
    assert whole.shape == mask.shape and len(mask) == 300
    assert_mean(whole.ravel(), 0.7)
    which = np.array([7, 2, 299])
    np.testing.assert_array_equal(mask[which], whole[which])
    np.testing.assert_array_equal(SampleMask((9, 6, 5), 0.3, (4, 0))[:], whole[:9])
    for other in (SampleMask(mask.shape, 0.3, (4, 1)), SampleMask(mask.shape, 0.3, (5, 0))):
        # As unlike as two draws are.
        assert_mean((other[:] == whole).ravel(), 0.7**2 + 0.3**2)
    assert_mean((whole[1:] == whole[:-1]).ravel(), 0.7**2 + 0.3**2)
    batches = Batches({"x": whole, "mask": mask}, 64, seed=1)
    for epoch in (0, 1):
        batch = batches.batch(epoch, 2)
        np.testing.assert_array_equal(batch["mask"], batch["x"])
        assert batch["mask"].dtype == np.float32


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.2])
def test_sample_mask_needs_a_rate(rate):
    with pytest.raises(ValueError, match=f"a rate of {rate}"):
        SampleMask((2, 2, 2), rate)
