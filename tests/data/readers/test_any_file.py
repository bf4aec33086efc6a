"""Any file as a recording: each kind through its own reader, to the same numbers as by hand."""

import json

import h5py
import numpy as np
import pytest

from indl.data import (
    Reading,
    RecordingError,
    Trials,
    chop,
    load_continuous,
    load_recording,
    load_trials,
    lorenz,
    read_nlb,
    read_nwb,
    read_recording,
    read_trials,
    save_recording,
    save_trials,
)
from indl.data.readers.any_file import kind_of
from indl.data.spikes.window import Window
from indl.data.values.provenance import digest
from tests.nlb_files import written

COUNTS = np.random.default_rng(0).poisson(2.0, (30, 12, 5))


@pytest.fixture
def files(tmp_path):
    """One recording in every layout."""
    import scipy.io

    trials = Trials(COUNTS, 0.02, label=np.arange(30) % 3, channel_ids=np.arange(5) + 10)
    save_trials(trials, tmp_path / "trials.h5")
    save_recording(trials.split(heldout=2, seed=4), tmp_path / "recording.h5")
    by_channel = COUNTS.transpose(2, 1, 0)
    np.savez(tmp_path / "arrays.npz", y=by_channel, target=np.arange(30) % 3)
    scipy.io.savemat(tmp_path / "session.mat", {"data": {"spikes": by_channel, "target": np.arange(30) % 3}})
    with h5py.File(tmp_path / "uncut.h5", "w") as file:
        file["continuous_data"] = COUNTS.reshape(-1, 5)
        file.attrs["bin_width_s"] = 0.02
    return tmp_path


MAPPED = {"axes": "channels,time,trials", "bin_width_s": 0.02}


def test_every_layout_gives_the_same_trials(files):
    """faults.md, "The command line reads what users have": one entry for all readers."""
    npz = read_trials(files / "arrays.npz", variables=("counts=y", "label=target"), **MAPPED)
    mat = read_trials(files / "session.mat", variables=("counts=data.spikes", "label=data.target"), **MAPPED)
    own_axes = read_trials(
        files / "arrays.npz", variables=("counts=y:channels,time,trials", "label=target"), bin_width_s=0.02
    )
    mapping = read_trials(files / "arrays.npz", variables={"counts": "y", "label": "target"}, **MAPPED)
    for found in (read_trials(files / "trials.h5"), npz, mat, own_axes, mapping):
        np.testing.assert_array_equal(found.counts, COUNTS)
        np.testing.assert_array_equal(found.label, np.arange(30) % 3)
    # A split recording is put back into the order of the session, its channels stay held-in first.
    joined = read_trials(files / "recording.h5")
    np.testing.assert_array_equal(joined.counts, COUNTS[:, :, joined.channel_ids - 10])


def test_a_split_file_stays_as_it_is_and_others_are_split_as_asked(files):
    split = load_recording(files / "recording.h5")
    assert digest(read_recording(files / "recording.h5")) == digest(split)
    assert digest(read_recording(files / "trials.h5", heldout=2, split_seed=4)) == digest(split)
    half = read_recording(files / "trials.h5", valid=0.5, forward=3)
    assert (len(half.valid), half.forward_steps, half.n_heldout) == (15, 3, 0)


def test_an_uncut_recording_is_cut_and_dealt_in_blocks(files):
    trials = chop(load_continuous(files / "uncut.h5"), 6, 2)
    found = read_trials(files / "uncut.h5", dataset="continuous_data", chop_s=0.12, overlap_s=0.04)
    np.testing.assert_array_equal(found.counts, trials.counts)
    recording = read_recording(files / "uncut.h5", dataset="continuous_data", chop_s=0.12, block=3)
    inds = recording.valid.inds
    assert all(set(range(3 * (i // 3), 3 * (i // 3) + 3)) <= set(inds) for i in inds), "blocks of 3 stay together"


def test_the_kind_is_seen_in_the_file_not_in_its_name(files, recordings):
    kinds = {name: kind_of(files / name) for name in ("trials.h5", "recording.h5", "arrays.npz", "session.mat")}
    assert kinds == {"trials.h5": "trials", "recording.h5": "recording", "arrays.npz": "npz", "session.mat": "mat"}
    for name, path in recordings.items():
        if name.endswith(".nwb"):
            (files / "named_otherwise.h5").symlink_to(path)
            assert kind_of(files / "named_otherwise.h5") == "nwb"
            break


def test_windows_of_spikes_equal_the_published_binning(recording_path):
    """The file that was binned elsewhere has the same counts, channel by channel."""
    how = {"align": "move_onset_time", "window_s": (-0.25, 0.45), "bin_width_s": 0.005}
    found = read_trials(recording_path("mc_maze_small_test.nwb"), **how)
    binned = load_trials(recording_path("mc_maze_small_5ms.h5"))
    place = [found.channel_ids.tolist().index(i) for i in binned.channel_ids]
    np.testing.assert_array_equal(found.counts[:, :, place], binned.counts)


def test_units_are_chosen_by_their_columns(recording_path):
    path = recording_path("head_direction_A2929.nwb")
    window = Window(intervals="position_time_support", bin_width_s=0.02)
    expected = chop(read_nwb(path, window, unit_filter={"location": "adn"}, behavior="ry", angles="ry"), 50)
    found = read_trials(
        path,
        intervals="position_time_support",
        bin_width_s=0.02,
        chop_s=1.0,
        units=("location=adn",),
        behavior=("ry",),
        angles=("ry",),
    )
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.behavior, expected.behavior)
    assert found.n_channels == 7
    with pytest.raises(RecordingError, match="location is adn, ca1"):
        read_trials(path, intervals="wake", bin_width_s=0.02, units=("location=cortex",))


def test_options_survive_json():
    how = Reading(window_s=(-0.2, 0.6), align="go", units=("quality=good",), heldout=0.25)
    assert Reading.of(json.loads(json.dumps(how.plain()))) == how
    assert Reading().plain() == {}


@pytest.mark.parametrize(
    ("name", "how", "told"),
    [
        ("recording.h5", {"heldout": 2}, "a recording that is split already"),
        ("trials.h5", {"align": "go"}, "unsplit trials in HDF5"),
        ("arrays.npz", {"label": "go"}, "an npz file"),
        ("arrays.npz", {}, "y: .*target"),
        ("arrays.npz", {"variables": ("y",)}, "name=value"),
        ("arrays.npz", {"variables": ("counts=y",), "heldout": "marks", **MAPPED}, "columns that mark channels"),
        ("trials.h5", {"chop_s": 0.05}, "nearest that fits is 0.0[46] s"),
        ("trials.h5", {"overlap_s": 0.04}, "Only windows overlap"),
        ("trials.h5", {"chop_s": "1"}, "number of seconds"),
        ("trials.h5", {"chopp_s": 0.04}, "Did you mean 'chop_s'"),
        ("absent.h5", {}, "absent.h5"),
    ],
)
def test_what_cannot_be_is_told(files, name, how, told):
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){told}") as caught:
        read_recording(files / name, **how)
    assert "Given: " in str(caught.value) or "Found " in str(caught.value)


def test_an_nwb_file_needs_bins_and_both_halves_of_an_alignment(recording_path):
    path = recording_path("mc_maze_small_test.nwb")
    with pytest.raises(RecordingError, match="--bin 0.02"):
        read_recording(path)
    for half in ({"align": "move_onset_time"}, {"window_s": (-0.1, 0.1)}):
        with pytest.raises(RecordingError, match="belong together"):
            read_recording(path, bin_width_s=0.02, **half)


def test_texts_label_trials_and_channels(tmp_path):
    """What a lab saves in an npz file: names of conditions and of units."""
    sides, units = np.array(["left", "right"] * 15), np.array([f"unit {i}" for i in range(5)])
    np.savez(tmp_path / "a.npz", y=COUNTS, side=sides, unit=units)
    mapping = {"counts": "y", "label": "side", "channel_ids": "unit"}
    found = read_trials(tmp_path / "a.npz", variables=mapping, bin_width_s=0.02)
    assert found.label.tolist() == sides.tolist() and found.channel_ids.tolist() == units.tolist()


def test_the_same_options_give_the_same_recording(tmp_path):
    recording = lorenz(n_neurons=4, n_conditions=2, n_trials=8, n_bins=6)
    save_recording(recording, tmp_path / "r.h5")
    assert digest(read_recording(tmp_path / "r.h5", bin_width_s=0.02)) == digest(recording)


def test_files_of_nlb_tools_are_read_by_their_content(tmp_path):
    """faults.md D: every user of the Neural Latents Benchmark has these."""
    paths = written(tmp_path)
    assert [kind_of(path) for path in paths] == ["nlb"] * 3
    expected = read_nlb(paths[0], bin_width_s=0.02).recording(0.3, seed=5)
    assert digest(read_recording(paths[0], bin_width_s=0.02, valid=0.3, split_seed=5)) == digest(expected)
    np.testing.assert_array_equal(
        read_trials(paths[0], bin_width_s=0.02).counts, read_nlb(paths[0], bin_width_s=0.02).train.counts
    )
    with pytest.raises(ValueError, match="nlb_tools"):
        read_recording(paths[0], bin_width_s=0.02, heldout=3)
