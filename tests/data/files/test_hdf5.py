"""Files: what is written comes back, and what cannot be read is said by name."""

import dataclasses
import warnings

import h5py
import numpy as np
import pytest

from indl.data import (
    RecordingError,
    Trials,
    load_continuous,
    load_recording,
    load_trials,
    open_recording,
    save_recording,
    save_trials,
)
from indl.data.files import hdf5 as module


def example(counts=None, **arguments):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (10, 6, 4)) + 1 if counts is None else counts
    return Trials(counts, 0.02, **arguments).split(heldout=1)


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
    loaded = load_recording(tmp_path / "r.h5")
    assert not loaded.are_counts and np.array_equal(loaded.valid.recon, recording.valid.recon)
    with pytest.raises(RecordingError, match="counts=False"):
        load_recording(tmp_path / "r.h5", counts=True)


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
        ["no dataset train_encod_data and no train_recon_data", "Found: spikes", "use Trials.split"],
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
    "milliseconds": ({"attr_bin_width_s": 20.0}, ["seconds", "Given: 20", "give 0.02"]),
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
        raise RuntimeError("flush failed (errno = 28,\nerror message = 'No space left on device')")

    monkeypatch.setattr(module, "write_recording", write_and_fail)
    with pytest.raises(
        OSError, match="r.h5 could not be written. Given: .*r.h5 .No space left on device.. .*what was there before is"
    ):
        save_recording(example(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.h5"]


def test_an_attribute_that_cannot_be_stored_is_named(tmp_path):
    with pytest.raises(RecordingError, match="'nested' of attrs.*remove the entry"):
        save_recording(example(attrs={"nested": {"a": 1j}}), tmp_path / "r.h5")
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


@pytest.mark.parametrize("read", [load_trials, load_continuous])
def test_warnings_about_trials_point_at_the_caller(tmp_path, read):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs["bin_width_s"] = 0.01
        file["trials_data"] = np.ones((3, 4, 2)) * [1, 0]
        file["continuous_data"] = np.ones((4, 2)) * [1, 0]
    with pytest.warns(UserWarning, match="counts has channels.*1 of 2: 1") as warned:
        read(tmp_path / "r.h5")
    assert warned[0].filename == __file__ and len(warned) == 1


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


def test_the_whole_older_convention_is_read(tmp_path):
    rng = np.random.default_rng(0)
    content = {}
    for part, n, inds in (("train", 6, [0, 1, 3, 4, 6, 7]), ("valid", 2, [2, 5])):
        content[f"{part}_data"] = rng.poisson(3.0, (n, 5, 4)) + 1
        content[f"{part}_truth"] = rng.random((n, 5, 4)) * 50
        content[f"{part}_ext_input"] = rng.normal(size=(n, 5, 2))
        # As MATLAB writes indices.
        content[f"{part}_inds"] = np.array(inds, float)
    content |= {
        "conversion_factor": 50.0,
        "alignment_matrix_cxf": rng.normal(size=(4, 3)),
        "alignment_bias_c": np.ones(4),
    }
    with h5py.File(tmp_path / "r.h5", "w") as file:
        for name, value in content.items():
            file[name] = value
    recording = load_recording(tmp_path / "r.h5", bin_width_s=0.01)
    for part in ("train", "valid"):
        split = getattr(recording, part)
        assert np.array_equal(split.recon, content[f"{part}_data"]) and split.encod is split.recon
        assert np.allclose(split.truth, content[f"{part}_truth"] / 50)
        assert np.allclose(split.ext_input, content[f"{part}_ext_input"])
        assert np.array_equal(split.inds, content[f"{part}_inds"]) and split.inds.dtype.kind == "i"
    for name in ("alignment_matrix_cxf", "alignment_bias_c"):
        assert np.array_equal(recording.attrs[name], content[name])
    trials = load_trials(tmp_path / "r.h5", bin_width_s=0.01)
    assert trials.inds.tolist() == list(range(8))
    assert np.array_equal(trials.counts[[2, 5]], content["valid_data"])
    save_recording(recording, tmp_path / "again.h5")
    again = load_recording(tmp_path / "again.h5").attrs
    assert np.array_equal(again["alignment_matrix_cxf"], content["alignment_matrix_cxf"])


def test_what_initialises_models_and_feeds_metrics_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    kept = {
        "readin_weight": rng.normal(size=(4, 3)),
        "readout_bias": rng.normal(size=4),
        "psth": rng.normal(size=(2, 5, 4)),
        "train_decode_mask": rng.random((6, 5)) > 0.5,
        "valid_jitter": np.arange(6),
        # One value a trial is no behaviour in bins.
        "train_behavior": rng.normal(size=(6, 2)),
        "valid_behavior": rng.normal(size=(6, 2)),
    }
    ragged = np.empty(2, object)
    ragged[:] = [np.array([0, 2, 4]), np.array([1, 3])]
    write(tmp_path / "r.h5", **kept, test_encod_data=np.ones((3, 5, 3)))
    with h5py.File(tmp_path / "r.h5", "a") as file:
        file["train_cond_idx"] = ragged.astype(h5py.vlen_dtype(np.int64))
    first = load_recording(tmp_path / "r.h5")
    save_recording(first, tmp_path / "again.h5")
    for recording in (first, load_recording(tmp_path / "again.h5")):
        for name, value in kept.items():
            assert np.array_equal(recording.attrs[name], value) and recording.attrs[name].dtype == value.dtype
        assert [found.tolist() for found in recording.attrs["train_cond_idx"]] == [[0, 2, 4], [1, 3]]
        assert recording.train.behavior is None


def test_external_input_may_lack_the_first_segment(tmp_path):
    write(tmp_path / "r.h5", train_ext_input=np.ones((6, 3, 2)), valid_ext_input=np.ones((6, 3, 2)))
    assert load_recording(tmp_path / "r.h5").train.ext_input.shape == (6, 3, 2)
    with pytest.raises(RecordingError, match="ext_input does not fit the trials"):
        load_trials(tmp_path / "r.h5")


@pytest.mark.parametrize("read", [load_recording, open_recording, load_trials])
def test_missing_samples_must_be_stated(tmp_path, read):
    path = tmp_path / "r.h5"
    data = write(path).astype(float)
    data[2, 3:, :] = np.nan
    write(
        path,
        train_recon_data=data,
        train_encod_data=data[:, :, :3],
        train_latents=data[:, :, :2],
        valid_latents=data[:, :, :2],
    )
    with pytest.raises(RecordingError, match="must be finite.*(missing=True|NaN)"):
        read(path)
    assert read(path, missing=True) is not None
    with h5py.File(path, "a") as file:
        file.attrs["missing"] = True
    found = read(path)
    recon = found.counts[:6] if read is load_trials else np.asarray(found.train.recon)
    assert np.array_equal(np.sort(recon, axis=None), np.sort(data, axis=None), equal_nan=True)
    with pytest.raises(RecordingError, match="must be finite"):
        read(path, missing=False)


def test_missing_samples_come_back(tmp_path):
    counts = np.random.default_rng(0).poisson(3.0, (10, 6, 4)) + 1.0
    counts[::3, 4:] = np.nan
    recording = Trials(counts, 0.02, missing=True).split(heldout=1)
    save_recording(recording, tmp_path / "r.h5")
    loaded = load_recording(tmp_path / "r.h5")
    assert loaded.has_missing and "missing" not in loaded.attrs
    assert np.array_equal(loaded.train.recon, recording.train.recon, equal_nan=True)


def example_trials(**changes):
    rng = np.random.default_rng(2)
    arguments = {
        "label": np.array(list("abcabcabca")),
        "start_s": rng.random(10),
        "behavior": np.where(rng.random((10, 6, 2)) < 0.2, np.nan, 1.5),
        "ext_input": rng.normal(size=(10, 6, 1)),
        "truth": rng.random((10, 6, 4)),
        "latents": rng.normal(size=(10, 6, 3)),
        "channel_ids": ["ä", "b", "c", "d"],
        "inds": np.arange(10) * 3,
        "attrs": {"species": "mouse", "window_s": np.array([-0.1, 0.2]), "n": 3, "names": ["x", "yy"], "empty": ""},
        "source": "a session",
    }
    return Trials(rng.poisson(3.0, (10, 6, 4)) + 1, 0.02, **(arguments | changes))


def same_trials(found, expected, but=("source", "attrs")):
    for field in dataclasses.fields(Trials):
        if field.name not in but:
            a, b = getattr(found, field.name), getattr(expected, field.name)
            assert (a is None) == (b is None), field.name
            equal_nan = field.name in ("counts", "behavior")
            assert a is None or np.array_equal(a, b, equal_nan=equal_nan), field.name
            assert np.asarray(a).dtype == np.asarray(b).dtype, field.name


def test_trials_come_back_whole(tmp_path):
    trials = example_trials()
    save_trials(trials, tmp_path / "t.h5")
    loaded = load_trials(tmp_path / "t.h5")
    same_trials(loaded, trials)
    assert loaded.source == str(tmp_path / "t.h5") and loaded.attrs["source"] == "a session"
    assert loaded.attrs["empty"] == "" and loaded.attrs["names"].tolist() == ["x", "yy"]
    save_trials(loaded, tmp_path / "again.h5")
    again = load_trials(tmp_path / "again.h5")
    same_trials(again, trials)
    # What the numbers once came from is not overwritten by where they last lay.
    assert again.attrs.keys() == loaded.attrs.keys() and again.attrs["source"] == "a session"
    with pytest.raises(RecordingError, match="unsplit trials: use load_trials and Trials.split"):
        load_recording(tmp_path / "t.h5")


def test_bare_trials_and_signals_and_padding_come_back(tmp_path):
    bare = Trials(np.ones((3, 4, 2)), 0.01)
    signal = Trials(np.random.default_rng(0).normal(size=(3, 4, 2)), 0.01, are_counts=False)
    padded = Trials.from_list([np.ones((n, 2)) for n in (3, 1, 4)], 0.01)
    for trials in (bare, signal, padded):
        save_trials(trials, tmp_path / "t.h5")
        same_trials(load_trials(tmp_path / "t.h5"), trials)
    with pytest.raises(RecordingError, match="must be finite"):
        load_trials(tmp_path / "t.h5", missing=False)


def test_a_split_recording_is_joined_in_the_order_of_the_session(tmp_path):
    trials = example_trials()
    save_recording(trials.split(0.3, heldout=1, forward_steps=2, seed=1), tmp_path / "r.h5")
    joined = load_trials(tmp_path / "r.h5")
    order = [joined.channel_ids.tolist().index(name) for name in trials.channel_ids]
    same_trials(joined.channels(order), trials)


def test_parts_are_joined_or_refused_in_words(tmp_path):
    path = tmp_path / "r.h5"
    inds = {"train_inds": [0, 2, 4, 6, 8, 10], "valid_inds": [1, 3, 5, 7, 9, 11]}
    data = write(path, **inds, train_behavior=np.ones((6, 3, 2)), valid_behavior=np.ones((6, 3, 2)))
    with pytest.raises(RecordingError, match="behavior does not fit the trials of this part"):
        load_trials(path)
    write(path, **inds, train_encod_data=data[:, :3, :3], valid_encod_data=data[:, :3, :3])
    with h5py.File(path, "a") as file:
        file["train_behavior"] = file["valid_behavior"] = np.ones((6, 3, 2))
        file["test_recon_data"], file["test_encod_data"] = data[:1], data[:1, :3, :3]
        file["test_inds"] = [12]
        file["test_behavior"] = np.ones((1, 3, 2))
    trials = load_trials(path)
    assert len(trials) == 13 and trials.inds.tolist() == list(range(13))
    # No behaviour was recorded in the forward steps.
    assert np.all(trials.behavior[:, :3] == 1) and np.isnan(trials.behavior[:, 3:]).all()
    for changes, words in (
        (
            {"train_inds": [0, 1, 2, 3, 4, 5], "valid_inds": [5, 6, 7, 8, 9, 0]},
            r"same trial twice: 2 .*Given: \[0, 5\]",
        ),
        ({"train_label": np.zeros(6)}, r"not all have label. Given: only \['train'\]"),
        ({"train_inds": [-1, 1, 2, 3, 4, 5], "valid_inds": None}, "train_inds must hold the index of each trial"),
        ({"train_behavior": np.ones((6, 5, 2)), "valid_behavior": np.ones((6, 5, 1))}, "their behavior differs"),
        ({"train_inds": [0.5, 1, 2, 3, 4, 5]}, "train_inds must hold the index of each trial"),
    ):
        write(path, **changes)
        with pytest.raises(RecordingError, match=words):
            load_trials(path)
    write(path, valid_recon_data=data[:, :, :3], valid_encod_data=data[:, :, :3])
    with pytest.raises(RecordingError, match="cannot be joined: their bins and channels differ"):
        load_trials(path)


CONTINUOUS = {
    "adan_day0.h5": ("continuous_data", {}, (24000, 96), 2, 45.4),
    "head_direction_20ms.h5": ("continuous_data", {}, (26467, 15), 4, None),
    "head_direction_20ms.h5 sleep": ("continuous_sleep_data", {}, (30000, 15), None, None),
    "songbird_calcium.h5": ("continuous_data", {"counts": False}, (666, 75), None, None),
}


@pytest.mark.filterwarnings("ignore:counts has channels that are zero")
@pytest.mark.parametrize("case", CONTINUOUS)
def test_continuous_recordings_are_one_long_trial(recording_path, case):
    name, options, shape, n_behavior, rate = CONTINUOUS[case]
    path = recording_path(case.split()[0])
    trials = load_continuous(path, name, **options)
    with h5py.File(path) as file:
        assert np.array_equal(trials.counts[0], file[name][()].astype(np.float32))
        assert trials.bin_width_s == file.attrs["bin_width_s"]
        if n_behavior:
            assert np.array_equal(trials.behavior[0], file["continuous_behavior"][()])
    assert trials.counts.shape == (1, *shape) and trials.start_s.tolist() == [0]
    assert (trials.behavior is None) == (n_behavior is None)
    assert trials.are_counts == options.get("counts", True)
    assert rate is None or abs(trials.mean_rate_hz / rate - 1) < 0.2


def test_cut_trials_lie_where_the_file_says(recording_path):
    """The channel ids of the continuous recording are its own: those of the cut trials are in another order."""
    path = recording_path("adan_day0.h5")
    trials, cut = load_continuous(path), load_recording(path)
    with h5py.File(path) as file:
        start = file["valid_go_bin"][3] - file.attrs["align_bin"]
    order = [trials.channel_ids.tolist().index(channel) for channel in cut.channel_ids]
    assert np.array_equal(trials.channels(order).counts[0, start : start + 30], cut.valid.recon[3])


def test_continuous_recordings_that_do_not_fit(tmp_path):
    path = tmp_path / "c.h5"
    with h5py.File(path, "w") as file:
        file.attrs["bin_width_s"] = 0.01
        file["continuous_data"] = np.ones((20, 3))
        file["trials"] = np.ones((2, 10, 3))
        file["speed"] = np.arange(20.0)
        file["short"] = np.ones((19, 2))
    assert load_continuous(path, behavior="speed").behavior[0, :, 0].tolist() == list(range(20))
    assert load_continuous(path, channel_ids=["a", "b", "c"]).channel_ids.tolist() == ["a", "b", "c"]
    for options, words in (
        ({"name": "absent"}, "has no values at absent. Found nothing"),
        ({"name": "trials"}, r"no continuous recording in trials. Given: shape \(2, 10, 3\)"),
        ({"behavior": "short"}, r"no behaviour for continuous_data in short. Given: shape \(19, 2\) for 20 bins"),
        ({"channel_ids": [1]}, "one id a channel"),
        ({"bin_width_s": 0.02}, "states another bin width"),
    ):
        with pytest.raises(RecordingError, match=words):
            load_continuous(path, **options)
