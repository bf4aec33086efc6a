"""Files: what is written comes back, and what cannot be read is said by name."""

import warnings

import h5py
import numpy as np
import pytest

from indl.data import Recording, RecordingError, load_recording, save_recording
from indl.data import hdf5 as module


def example(counts=None, **arguments):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (10, 6, 4)) + 1 if counts is None else counts
    return Recording.from_arrays(counts, 0.02, heldout=1, **arguments)


def write(path, **changes):
    """A small file of the convention; None removes a key, `attr_` changes an attribute."""
    data = np.random.default_rng(0).poisson(3.0, (6, 5, 4)).astype("uint8") + 1
    content = {f"{part}_recon_data": data for part in ("train", "valid")}
    content |= {f"{part}_encod_data": data[:, :, :3] for part in ("train", "valid")}
    attrs = {"bin_width_s": 0.02} | {k[5:]: v for k, v in changes.items() if k.startswith("attr_")}
    content |= {k: v for k, v in changes.items() if not k.startswith("attr_")}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
        file.attrs.update({name: value for name, value in attrs.items() if value is not None})
    return data


def test_a_recording_comes_back_whole(tmp_path):
    rng = np.random.default_rng(1)
    recording = example(
        label=np.arange(10) % 2,
        behavior=rng.normal(size=(10, 6, 2)),
        truth=rng.random((10, 6, 4)),
        latents=rng.normal(size=(10, 6, 3)),
        channel_ids=["a", "b", "c", "d"],
        attrs={
            "species": "mouse",
            "names": ["x", "y"],
            "window_s": np.array([-0.1, 0.2]),
            "n": 3,
            "none": np.array([]),
        },
    )
    save_recording(recording, tmp_path / "r.h5")
    loaded = load_recording(tmp_path / "r.h5")
    for part in ("train", "valid"):
        for name in ("encod", "recon", "inds", "label", "behavior", "truth", "latents"):
            assert np.array_equal(getattr(getattr(loaded, part), name), getattr(getattr(recording, part), name))
    assert loaded.channel_ids.tolist() == recording.channel_ids.tolist()
    assert loaded.bin_width_s == 0.02
    assert loaded.attrs["species"] == "mouse" and loaded.attrs["names"].tolist() == ["x", "y"]
    assert loaded.attrs["source"] == "arrays" and loaded.attrs["n"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["r.h5"]


@pytest.mark.parametrize("top, dtype", [(200, "uint8"), (300, "uint16"), (70_000, "uint32")])
def test_counts_are_stored_in_the_smallest_type_that_holds_them(tmp_path, top, dtype):
    counts = np.ones((10, 6, 4))
    counts[:, 0, 0] = top
    save_recording(example(counts), tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["train_recon_data"].dtype == dtype
    assert load_recording(tmp_path / "r.h5").train.recon.max() == top


def test_signals_come_back_exactly(tmp_path):
    signals = np.random.default_rng(0).normal(size=(10, 6, 4))
    recording = example(signals, are_counts=False)
    save_recording(recording, tmp_path / "r.h5")
    assert np.array_equal(load_recording(tmp_path / "r.h5", counts=False).valid.recon, recording.valid.recon)
    with pytest.raises(RecordingError, match="counts=False"):
        load_recording(tmp_path / "r.h5")


@pytest.mark.parametrize("place", ["file attribute", "dataset", "attribute of truth", "absent"])
def test_truth_is_divided_by_the_conversion_factor(tmp_path, place):
    path = tmp_path / "r.h5"
    truth = np.full((6, 5, 4), 8.0)
    write(path, train_truth=truth, valid_truth=truth)
    with h5py.File(path, "a") as file:
        if place == "file attribute":
            file.attrs["conversion_factor"] = 4.0
        elif place == "dataset":
            file["conversion_factor"] = 4.0
        elif place == "attribute of truth":
            file["train_truth"].attrs["conversion_factor"] = 4.0
            file["valid_truth"].attrs["conversion_factor"] = 4.0
    loaded = load_recording(path)
    assert np.all(loaded.valid.truth == (8 if place == "absent" else 2))


def test_the_older_layout_is_read(tmp_path):
    data = write(
        tmp_path / "r.h5",
        attr_bin_width_s=None,
        train_encod_data=None,
        train_recon_data=None,
        valid_encod_data=None,
        valid_recon_data=None,
        train_data=np.ones((6, 5, 4)),
        valid_data=np.full((2, 5, 4), 2),
    )
    loaded = load_recording(tmp_path / "r.h5", bin_width_s=0.01)
    assert loaded.bin_width_s == 0.01 and loaded.n_heldout == 0 and loaded.n_heldin == data.shape[2]
    assert np.all(loaded.valid.encod == 2) and np.all(loaded.train.recon == 1)


NOT_HDF5 = {
    "text": (lambda path: path.write_text("spikes"), ["cannot be read as HDF5", "6 bytes", "Copy or download"]),
    "empty": (lambda path: path.touch(), ["cannot be read as HDF5", "0 bytes", "Copy or download"]),
    "truncated": (
        lambda path: (write(path), path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])),
        ["cannot be read as HDF5", "truncated", "Copy or download"],
    ),
}
NAN = np.full((6, 5, 4), np.nan)
WRONG = {
    "other convention": (
        {"train_encod_data": None, "train_recon_data": None, "spikes": np.ones(3)},
        ["no dataset train_encod_data and no train_recon_data", "Found: spikes", "Recording.from_arrays"],
    ),
    "half a pair": ({"valid_recon_data": None}, ["no dataset valid_recon_data", "Found: train_encod_data", "Rename"]),
    "trials differ": (
        {"train_encod_data": np.ones((4, 5, 3))},
        ["train_encod_data and train_recon_data must have the same trials", "4 and 6", "Select"],
    ),
    "NaN": ({"valid_recon_data": NAN}, ["valid_recon_data must be finite", "120 NaN", "(0, 0, 0)", "Drop"]),
    "negative": ({"train_recon_data": -np.ones((6, 5, 4))}, ["train_recon_data must hold counts", "120 negative"]),
    "fewer channels to reconstruct": ({"train_encod_data": np.ones((6, 5, 9))}, ["at least the channels", "swapped"]),
    "parts differ": ({"valid_recon_data": np.ones((6, 5, 7))}, ["same bins and channels", "(5, 4) and (5, 7)"]),
    "two axes": ({"train_encod_data": np.ones((6, 5))}, ["3 axes", "(6, 5)"]),
    "text as data": ({"train_encod_data": "spikes"}, ["train_encod_data", "numeric"]),
    "label of other trials": ({"train_label": np.zeros(5)}, ["label does not fit", "(5,)", "(6,)"]),
    "behaviour of other bins": ({"valid_behavior": np.zeros((6, 9, 2))}, ["behavior does not fit", "(6, 9, 2)"]),
    "NaN in truth": ({"train_truth": NAN, "valid_truth": NAN}, ["train_truth must be finite", "120"]),
    "no bin width": ({"attr_bin_width_s": None}, ["does not state its bin width", "bin_width_s=..."]),
    "milliseconds": ({"attr_bin_width_s": 20.0}, ["seconds", "Got 20", "give 0.02"]),
    "factor zero": (
        {"train_truth": np.ones((6, 5, 4)), "attr_conversion_factor": 0.0},
        ["conversion_factor must be one positive number", "0.0"],
    ),
    "ids of other channels": ({"channel_ids": np.arange(9)}, ["one id a channel", "(9,)"]),
}


@pytest.mark.parametrize("case", [*NOT_HDF5, *WRONG])
def test_a_file_that_cannot_be_read_is_named(tmp_path, case):
    path = tmp_path / "bad.h5"
    if case in NOT_HDF5:
        make, words = NOT_HDF5[case]
        make(path)
    else:
        changes, words = WRONG[case]
        write(path, **changes)
    with pytest.raises(RecordingError) as raised:
        load_recording(path)
    for word in [str(path), *words]:
        assert word in str(raised.value)


def test_a_bin_width_that_contradicts_the_file_is_refused(tmp_path):
    write(tmp_path / "r.h5")
    assert load_recording(tmp_path / "r.h5", bin_width_s=0.02).bin_width_s == 0.02
    with pytest.raises(RecordingError, match="states another bin width"):
        load_recording(tmp_path / "r.h5", bin_width_s=0.01)


@pytest.mark.parametrize("name, word", [("absent.h5", "Found nothing"), ("", "Found a folder")])
def test_a_missing_file_is_named(tmp_path, name, word):
    with pytest.raises(FileNotFoundError, match=word):
        load_recording(tmp_path / name)


def test_nothing_half_written_stays_behind(tmp_path, monkeypatch):
    path = tmp_path / "r.h5"
    save_recording(example(), path)
    before = path.read_bytes()

    def write_and_fail(recording, file):
        file["train_recon_data"] = np.ones(10)
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "write_recording", write_and_fail)
    with pytest.raises(OSError, match="no space"):
        save_recording(example(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.h5"]


def test_an_attribute_that_cannot_be_stored_is_named(tmp_path):
    with pytest.raises(RecordingError, match="'nested' of attrs.*remove the entry"):
        save_recording(example(attrs={"nested": {"a": 1}}), tmp_path / "r.h5")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="Make the folder first"):
        save_recording(example(), tmp_path / "absent" / "r.h5")


def test_the_warning_points_at_the_caller(tmp_path):
    silent = np.ones((6, 5, 4))
    silent[:, :, 3] = 0
    write(tmp_path / "r.h5", train_recon_data=silent)
    with pytest.warns(UserWarning, match="train_recon_data has channels.*1 of 4: 3") as warned:
        load_recording(tmp_path / "r.h5")
    assert warned[0].filename == __file__


def test_a_real_recording(recording_path):
    recording = load_recording(recording_path("adan_day0.h5"))
    assert (len(recording.train), len(recording.valid)) == (238, 58)
    assert (recording.n_times, recording.n_heldin, recording.n_heldout) == (30, 72, 24)
    assert recording.bin_width_s == 0.05
    everything = np.concatenate([recording.train.recon, recording.valid.recon])
    assert everything.mean() / 0.05 == pytest.approx(45.4, abs=0.05)
    assert everything.max() == 20
    assert np.array_equal(recording.train.encod, recording.train.recon[:, :, :72])
    assert recording.channel_ids.shape == (96,)


@pytest.mark.parametrize("name", ["reach_day31.h5", "mc_maze_small_5ms.h5", "head_direction_20ms.h5"])
def test_every_recording_survives_a_round_trip(recording_path, tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        recording = load_recording(recording_path(name))
        save_recording(recording, tmp_path / "r.h5")
        loaded = load_recording(tmp_path / "r.h5")
    assert np.array_equal(loaded.valid.recon, recording.valid.recon)
    assert loaded.attrs.keys() == recording.attrs.keys()
    assert all(np.array_equal(loaded.attrs[key], recording.attrs[key]) for key in recording.attrs)
