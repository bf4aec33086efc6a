"""Arrays on disk: the same numbers as in memory, and no more of them than asked for."""

import pickle
import tracemalloc
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indl.data import (
    LazyArray,
    RecordingError,
    Split,
    Trials,
    check_trials,
    load_recording,
    open_recording,
    save_recording,
)
from indl.data.checks import arrays as checks_module
from indl.data.values import lazy as lazy_module

VALUES = np.random.default_rng(0).poisson(2.0, (23, 4, 3)).astype(np.uint8)
SEQUENCES = ("encod", "recon", "behavior", "ext_input", "truth", "latents")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The values in one piece, and in compressed chunks."""
    path = tmp_path_factory.mktemp("lazy") / "x.h5"
    with h5py.File(path, "w") as file:
        file["plain"] = VALUES
        file.create_dataset("chunked", data=VALUES, chunks=(5, 3, 2), compression="gzip", shuffle=True)
    return path


trial = st.integers(-len(VALUES), len(VALUES) - 1)
bound = st.none() | st.integers(-30, 30)
rows = st.one_of(
    trial,
    st.builds(slice, bound, bound, st.none() | st.integers(-4, 4).filter(bool)),
    st.lists(trial, max_size=30).map(lambda found: np.array(found, int)),
    st.lists(st.booleans(), min_size=23, max_size=23).map(np.array),
    st.just(Ellipsis),
)
time = st.one_of(st.builds(slice, bound, bound), st.integers(-3, 2), st.just(Ellipsis))


@settings(max_examples=200, deadline=None)
@given(rows=rows, rest=st.none() | time, name=st.sampled_from(["plain", "chunked"]))
def test_any_index_gives_what_numpy_gives(stored, rows, rest, name):
    which = rows if rest is None or (rows is Ellipsis and rest is Ellipsis) else (rows, rest)
    found, expected = LazyArray(stored, name)[which], VALUES.astype(np.float32)[which]
    assert found.dtype == np.float32 and found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_it_looks_like_an_array(stored):
    lazy = LazyArray(stored, "chunked", divide_by=4)
    assert (lazy.shape, lazy.ndim, len(lazy), lazy.size, lazy.nbytes) == ((23, 4, 3), 3, 23, 276, 1104)
    assert np.array_equal(np.asarray(lazy), VALUES / np.float32(4))
    assert np.mean(lazy) == np.mean(VALUES / np.float32(4))
    assert np.array_equal(lazy == 0.25, VALUES == 1) and np.array_equal(1 - lazy, 1 - VALUES / np.float32(4))
    assert repr(lazy) == "LazyArray((23, 4, 3) in chunked of x.h5)"
    again = pickle.loads(pickle.dumps(lazy))
    assert np.array_equal(again[3:7], lazy[3:7])
    with pytest.raises(IndexError, match="indexed along its trials"):
        lazy[None]
    with pytest.raises(IndexError):
        lazy[23]


def test_too_much_at_once_is_refused(stored):
    lazy = LazyArray(stored, "plain", max_bytes=5 * 4 * 3 * 4)
    assert lazy[10:15].shape == (5, 4, 3)
    for read in (lambda: np.asarray(lazy), lambda: lazy[:6], lambda: lazy[..., 0], lambda: lazy + 1):
        with pytest.raises(ValueError, match="too large to be read at once. Given: (23|6) trials.*Take fewer"):
            read()


def test_blocks_are_read_once_while_they_are_kept(stored, monkeypatch):
    # Trials of 12 bytes in blocks of 5, of which 2 are mixed and 4 kept.
    monkeypatch.setattr(lazy_module, "_BLOCK_BYTES", 60)
    monkeypatch.setattr(lazy_module, "_WINDOW_BYTES", 120)
    lazy, read = LazyArray(stored, "chunked"), []
    dataset = type("Counting", (), {"__getitem__": lambda self, which: (read.append(which.start), opened[which])[1]})()
    opened = lazy._open()
    monkeypatch.setattr(lazy, "_open", lambda: dataset)
    for rows in ([0, 9, 3], [8, 1], [22, 0, 14], [16], [7]):
        assert np.array_equal(lazy[rows], VALUES[rows])
    # The block at 5 had to make room for the fifth one, at 15; that at 0 was used since.
    assert read == [0, 5, 10, 20, 15, 5]


def test_a_file_that_changes_is_refused(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = VALUES
    lazy = LazyArray(path, "x")
    with h5py.File(path, "w") as file:
        file["x"] = VALUES[1:]
    with pytest.raises(ValueError, match="has changed since it was opened.*Open the recording again"):
        lazy[0]


def full_recording(n=40, missing=False):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (n, 6, 5)).astype(float)
    if missing:
        counts[3, 4:] = np.nan
    return Trials(
        counts,
        0.02,
        label=np.arange(n) % 2,
        behavior=rng.normal(size=(n, 6, 2)),
        ext_input=rng.normal(size=(n, 6, 1)),
        truth=rng.random((n, 6, 5)),
        latents=rng.normal(size=(n, 6, 3)),
        missing=missing,
    ).split(heldout=2, forward_steps=1)


@pytest.mark.parametrize("missing", [False, True])
def test_an_opened_recording_is_the_loaded_one(tmp_path, missing):
    path = tmp_path / "r.h5"
    save_recording(full_recording(missing=missing), path)
    with h5py.File(path, "a") as file:
        file["conversion_factor"][()] = 2.0
        # Changed on purpose.
        del file.attrs["sha256"]
    opened, loaded = open_recording(path), load_recording(path)
    for part in ("train", "valid"):
        for name in SEQUENCES:
            lazy = getattr(getattr(opened, part), name)
            assert isinstance(lazy, LazyArray)
            assert np.array_equal(lazy, getattr(getattr(loaded, part), name), equal_nan=True)
        for name in ("inds", "label"):
            assert np.array_equal(getattr(getattr(opened, part), name), getattr(getattr(loaded, part), name))
    assert opened.has_missing == loaded.has_missing == missing
    assert opened.mean_rate_hz == pytest.approx(loaded.mean_rate_hz, rel=1e-12)
    assert opened.mean_rate_hz == pytest.approx(np.nanmean(loaded.train.recon) / 0.02, rel=1e-5)
    assert repr(opened) == repr(loaded)
    assert opened.as_full().train.encod is opened.train.recon
    assert np.array_equal(pickle.loads(pickle.dumps(opened)).valid.encod[:2], loaded.valid.encod[:2])


def test_an_opened_recording_can_be_saved(tmp_path):
    save_recording(full_recording(missing=True), tmp_path / "a.h5")
    save_recording(open_recording(tmp_path / "a.h5"), tmp_path / "b.h5")
    first, second = (load_recording(tmp_path / name) for name in ("a.h5", "b.h5"))
    for name in SEQUENCES:
        assert np.array_equal(getattr(first.train, name), getattr(second.train, name), equal_nan=True)


def test_one_dataset_under_both_names_is_one_array(tmp_path):
    recording = Trials(VALUES + 1, 0.02).split()
    assert recording.train.encod is recording.train.recon
    save_recording(recording, tmp_path / "r.h5")
    for read in (open_recording, load_recording):
        part = read(tmp_path / "r.h5").valid
        assert part.encod is part.recon


def test_a_split_leaves_what_is_on_disk_there(stored):
    lazy = LazyArray(stored, "plain")
    split = Split(encod=lazy, recon=lazy, label=np.zeros(23))
    assert split.encod is lazy and len(split) == 23
    with pytest.raises(ValueError, match="truth does not fit"):
        Split(encod=lazy, recon=lazy, truth=LazyArray(stored, "chunked")[:5])


BAD = {
    "NaN": lambda x: x.__setitem__((17, 2, 1), np.nan),
    "several NaN": lambda x: x.__setitem__((slice(9, 20, 5), 2), np.nan),
    "infinite": lambda x: x.__setitem__((20, 0, 0), np.inf),
    "negative": lambda x: x.__setitem__((slice(11, None), 0, 0), -1),
    "fractional": lambda x: x.__setitem__((slice(8, None), 1, 1), 0.25),
    "silent channel": lambda x: x.__setitem__((slice(None), slice(None), 2), 0),
    "silent trials": lambda x: x.__setitem__(slice(4, 16, 3), 0),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("missing", [False, True])
def test_checks_on_disk_say_what_they_say_in_memory(tmp_path, monkeypatch, what, missing):
    # A few trials a piece, so that findings are gathered over several.
    monkeypatch.setattr(checks_module, "_PIECE", 40)
    values = VALUES.astype(np.float32) + 1
    BAD[what](values)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(2, 4, 3), compression="gzip")

    def said(array):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                check_trials(array, missing=missing)
                found = []
            except ValueError as error:
                found = [str(error)]
        return found + [str(warning.message) for warning in warned]

    assert said(LazyArray(tmp_path / "x.h5", "x")) == said(values)


@pytest.mark.slow
def test_opening_reads_little_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_module, "_BLOCK_BYTES", 2**17)
    monkeypatch.setattr(lazy_module, "_WINDOW_BYTES", 2**19)
    monkeypatch.setattr(checks_module, "_PIECE", 2**18)
    path = tmp_path / "r.h5"
    n_trials, shape = 600, (128, 64)  # 5 MiB, as float32 19 MiB
    with h5py.File(path, "w") as file:
        file.attrs["bin_width_s"] = 0.01
        for part, n in (("train", n_trials), ("valid", 100)):
            for name in ("encod", "recon"):
                file.create_dataset(f"{part}_{name}_data", (n, *shape), "uint8")
                for start in range(0, n, 100):
                    file[f"{part}_{name}_data"][start : start + 100] = 1
    tracemalloc.start()
    recording = open_recording(path)
    assert recording.mean_rate_hz == 100 and not recording.has_missing
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_chunks_that_are_too_large_are_refused(tmp_path):
    path = tmp_path / "r.h5"
    values = np.ones((1100, 64, 64), np.uint8)
    with h5py.File(path, "w") as file:
        file.attrs["bin_width_s"] = 0.01
        for name in ("train_data", "valid_data"):
            file.create_dataset(name, data=values, chunks=(1100, 64, 8), compression="gzip", shuffle=True)
    with pytest.raises(RecordingError, match="train_data has 1100 trials in a chunk, 17 MiB.*smaller chunks"):
        open_recording(path, max_bytes=2**24)
    assert open_recording(path, max_bytes=2**25).train.recon[5:7].sum() == 2 * 64 * 64
    with pytest.raises(ValueError, match="room for a few trials. Given: 1000"):
        open_recording(path, max_bytes=1000)
