"""Batches: an order that seed and epoch determine, from memory, from disk and through tf.data."""

import h5py
import keras
import numpy as np
import pytest

from indl.data import Batches, LazyArray
from indl.data.values import lazy as lazy_module
from indl.feed.tf_data import dataset


def numbered(n_trials=11, n_times=3, n_channels=2):
    return np.arange(n_trials * n_times * n_channels, dtype=np.float32).reshape(n_trials, n_times, n_channels)


@pytest.fixture
def on_disk(tmp_path):
    """Makes a LazyArray of an array."""

    def make(values, name="x", **storage):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset(name, data=values, **storage)
        return LazyArray(tmp_path / f"{name}.h5", name)

    return make


def same(found, expected):
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in expected)


def test_an_epoch_takes_every_trial_once_in_an_order_of_its_own():
    x = numbered()
    batches = Batches({"encod": x, "recon": 2 * x}, 4, seed=3)
    assert len(batches) == 3
    orders = [batches.order(epoch).tolist() for epoch in range(5)]
    assert all(sorted(order) == list(range(11)) for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    for epoch in (4, 0, 2):
        found = list(batches.epoch(epoch))
        assert [len(batch["encod"]) for batch in found] == [4, 4, 3]
        joined = np.concatenate([batch["encod"] for batch in found])
        assert np.array_equal(joined, x[orders[epoch]])
        assert all(np.array_equal(batch["recon"], 2 * batch["encod"]) for batch in found)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    first = Batches({"x": numbered()}, 4, seed=3)
    again = Batches({"x": numbered(11, 9, 9)}, 7, seed=3)
    assert np.array_equal(again.order(6), first.order(6))
    assert not np.array_equal(Batches({"x": numbered()}, 4, seed=4).order(6), first.order(6))
    # Epoch and seed do not stand in for each other.
    assert not np.array_equal(Batches({"x": numbered()}, 4, seed=6).order(3), first.order(6))
    expected = np.random.default_rng(np.random.SeedSequence([3, 6])).permutation(11)
    assert np.array_equal(first.order(6), expected)


def test_without_shuffling_trials_stay_in_order():
    x = numbered()
    batches = Batches({"x": x}, 4, shuffle=False)
    assert np.array_equal(np.concatenate([batch["x"] for batch in batches.epoch(5)]), x)


def test_batches_are_float32_and_one_array_is_gathered_once():
    counts = numbered().astype(np.uint8)
    batch = Batches({"encod": counts, "recon": counts, "label": np.arange(11)}, 4).batch(0, 0)
    assert all(values.dtype == np.float32 for values in batch.values())
    assert batch["encod"] is batch["recon"]
    assert np.array_equal(batch["encod"][:, 0, 0], batch["label"] * 6)
    assert Batches({"encod": counts, "label": np.arange(11)}, 4).batch(0, 0, ["label"]).keys() == {"label"}


def test_a_recording_on_disk_that_fits_a_window_is_shuffled_as_in_memory(on_disk):
    x = numbered(50)
    stored = on_disk(x, chunks=(7, 2, 1), compression="gzip")
    memory, disk = (Batches({"x": values}, 8, seed=1) for values in (x, stored))
    for epoch in range(2):
        assert all(same(a, b) for a, b in zip(disk.epoch(epoch), memory.epoch(epoch), strict=True))


@pytest.mark.parametrize("n_trials", [120, 119, 113])
def test_a_large_recording_is_shuffled_in_windows_of_blocks(on_disk, monkeypatch, n_trials):
    # Trials of 6 bytes in blocks of 5 trials, of which 4 are mixed.
    monkeypatch.setattr(lazy_module, "_BLOCK_BYTES", 30)
    monkeypatch.setattr(lazy_module, "_WINDOW_BYTES", 120)
    x = (numbered(n_trials) % 251).astype(np.uint8)
    batches = Batches({"x": on_disk(x), "index": np.arange(n_trials)}, 8, seed=2)
    orders = [batches.order(epoch) for epoch in range(3)]
    for epoch, order in enumerate(orders):
        assert sorted(order) == list(range(n_trials))
        blocks = [order // 5 for order in np.split(order, np.arange(20, n_trials, 20))]
        # At most one window is shorter: that with the last block.
        if n_trials == 120:
            assert all(len(np.unique(window)) == 4 for window in blocks)
        assert not any(np.array_equal(np.sort(window), window) for window in blocks)
        for batch in batches.epoch(epoch):
            assert np.array_equal(batch["x"], x[batch["index"].astype(int)])
    assert len({tuple(order[:20] // 5) for order in orders}) == 3
    again = Batches({"x": on_disk(x, "again")}, 3, seed=2)
    assert np.array_equal(again.order(1), orders[1])


def test_blocks_are_whole_chunks(on_disk):
    # 4 MiB a block, 64 MiB a window.
    plain = on_disk(np.zeros((4, 1024, 1024), np.uint8), "plain")
    assert plain.shuffle_blocks == (4, 16)
    chunked = on_disk(np.zeros((4, 1024, 1024), np.uint8), "chunked", chunks=(3, 512, 1024), compression="gzip")
    assert chunked.shuffle_blocks == (3, 21)


@pytest.mark.parametrize("first, shuffle", [(0, True), (3, True), (3, False)])
def test_tf_data_gives_the_same_batches(first, shuffle):
    """Also unshuffled ones, which are slices of the arrays."""
    x = numbered()
    batches = Batches({"encod": x, "recon": x + 1}, 4, seed=5, shuffle=shuffle)
    assert batches.fixed is not shuffle
    expected = [batch for epoch in range(first, first + 3) for batch in batches.epoch(epoch)]
    finite = dataset(batches, first_epoch=first, epochs=3)
    assert int(finite.cardinality()) == 9
    found = list(finite.as_numpy_iterator())
    assert len(found) == len(expected) == 9
    for (encod, recon), batch in zip(found, expected, strict=True):
        assert np.array_equal(encod, batch["encod"]) and np.array_equal(recon, batch["recon"])
    endless = dataset(batches, ("recon",), first_epoch=first).take(9).as_numpy_iterator()
    assert all(np.array_equal(recon, batch["recon"]) for (recon,), batch in zip(endless, expected, strict=True))


def test_tf_data_has_the_shapes_of_the_arrays():
    x = numbered()
    arrays = {"encod": x, "ext_input": x[:, :, :1], "recon": np.zeros((11, 4, 5))}
    (encod, ext_input), recon = dataset(Batches(arrays, 4), (("encod", "ext_input"), "recon")).element_spec
    assert [tuple(spec.shape) for spec in (encod, ext_input, recon)] == [(None, 3, 2), (None, 3, 1), (None, 4, 5)]
    assert len(dataset(Batches({"encod": x, "recon": x}, 4)).element_spec) == 1
    with pytest.raises(ValueError, match="no array 'recon'. Given: encod. Give"):
        dataset(Batches({"encod": x}, 4))


class Recorder(keras.Model):
    """Keeps the batches that `fit` hands to it."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        self.seen.append([np.asarray(part) for part in data])
        return {"loss": 0.0}


@pytest.mark.parametrize("first", [0, 2])
def test_fit_sees_the_batches_in_order(first):
    x = numbered()
    batches = Batches({"encod": x, "recon": x + 1}, 4, seed=5)
    model = Recorder()
    model.compile(run_eagerly=True)
    model.fit(
        dataset(batches, first_epoch=first),
        steps_per_epoch=len(batches),
        initial_epoch=first,
        epochs=4,
        shuffle=False,
        verbose=0,
    )
    expected = [batch for epoch in range(first, 4) for batch in batches.epoch(epoch)]
    assert len(model.seen) == len(expected)
    for (encod, recon), batch in zip(model.seen, expected, strict=True):
        assert np.array_equal(encod, batch["encod"]) and np.array_equal(recon, batch["recon"])


@pytest.mark.parametrize(
    "arrays, options, words",
    [
        ({}, {}, "same trials, at least one. Given: no array"),
        ({"x": np.zeros((0, 2))}, {}, "at least one. Given: {'x': 0}"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, {}, "same trials.*'x': 3, 'y': 4"),
        ({"x": np.array(["a", "b"])}, {}, "hold numbers. Given: x with dtype"),
        ({"x": np.float32(3)}, {}, "hold numbers. Given: x .* shape"),
        ({"x": np.zeros(3)}, {"batch_size": 0}, "batch_size must be a whole number from 1 on. Given: 0"),
        ({"x": np.zeros(3)}, {"batch_size": 2.5}, "batch_size must be a whole number from 1 on. Given: 2.5"),
        ({"x": np.zeros(3)}, {"seed": -1}, "seed must be a whole number from 0 on. Given: -1"),
        ({"x": np.zeros(3)}, {"seed": True}, "seed must be a whole number .* Given: True"),
    ],
)
def test_what_cannot_be_dealt_is_refused(arrays, options, words):
    with pytest.raises(ValueError, match=words):
        Batches(arrays, **{"batch_size": 2, **options})


def test_a_batch_that_is_not_there():
    with pytest.raises(IndexError, match="no batch 3. Given: 3 batches"):
        Batches({"x": numbered()}, 4).batch(0, 3)
