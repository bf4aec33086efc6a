"""Forms of data that users try: section D of the list of faults, and the odd NWB files of B4.

What models are given has its tests in test_model_forms.py, what cannot be read in test_unreadable_files.py.
"""

import datetime
import json
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from indl.data import (
    LazyArray,
    Recording,
    RecordingError,
    Series,
    Split,
    Trials,
    Units,
    Window,
    bin_spikes,
    describe_nwb,
    examine_file,
    from_pynapple,
    load_continuous,
    load_recording,
    load_trials,
    open_recording,
    read_mat,
    read_npz,
    read_nwb,
    read_trials,
    save_recording,
    save_trials,
)
from indl.data.spikes.signals import bin_signals
from indl.metrics import ridge_decoding
from tests.messages import faults

pynwb = pytest.importorskip("pynwb")

COUNTS = np.random.default_rng(0).poisson(1.0, (6, 8, 3)).astype("float32")
MOVED = np.random.default_rng(1).normal(size=(6, 8)).astype("float32")


# --- shapes and types ------------------------------------------------------------------------------------------------


def test_behaviour_of_one_dimension_may_lack_its_axis():
    """faults.md D: a behaviour of one dimension given as (trials, time)."""
    for name in ("behavior", "ext_input", "latents"):
        trials = Trials(COUNTS, 0.02, **{name: MOVED})
        np.testing.assert_array_equal(getattr(trials, name), MOVED[..., None])
        np.testing.assert_array_equal(getattr(Split(COUNTS, COUNTS, **{name: MOVED}), name), MOVED[..., None])
    listed = Trials.from_list([COUNTS[0], COUNTS[1, :5]], 0.02, behavior=[MOVED[0], MOVED[1, :5]])
    np.testing.assert_array_equal(listed.behavior[1, :, 0], [*MOVED[1, :5], *[np.nan] * 3])
    with pytest.raises(ValueError, match="behavior does not fit"):
        Trials(COUNTS, 0.02, behavior=MOVED[:, :7])
    features = MOVED[..., None] * [1.0, 2.0]
    found = [ridge_decoding(features, y, features, y).r2_per_dim for y in (2 * MOVED, 2 * MOVED[..., None])]
    assert found[0] == found[1] > 0.99


def test_labels_in_a_column_and_one_hot():
    """faults.md D: labels (trials, 1), and one-hot."""
    label = np.array([2, 0, 1, 1, 2, 0])
    for given in (label[:, None], np.eye(3)[label], np.eye(3, dtype=bool)[label]):
        assert Trials(COUNTS, 0.02, label=given).label.tolist() == label.tolist()
        assert Split(COUNTS, COUNTS, label=given).label.tolist() == label.tolist()
    names = np.array(["left", "right", "left", "up", "up", "left"])
    assert Trials(COUNTS, 0.02, label=names[:, None]).label.tolist() == names.tolist()
    for wrong in (np.eye(3)[label] * 2, np.ones((6, 2)), np.eye(6)[:, :2]):
        with pytest.raises(ValueError, match="label does not fit the trials"):
            Trials(COUNTS, 0.02, label=wrong)


def test_objects_that_are_numbers_are_numbers():
    """faults.md D: object arrays of ints."""
    trials = Trials(COUNTS.astype(int).astype(object), 0.02, label=np.array([1, 2, 1, 2, 1, 2], object))
    np.testing.assert_array_equal(trials.counts, COUNTS)
    assert trials.label.dtype.kind == "i"
    mixed = np.array([[1, 2.5], [np.float32(0.5), True]], object)
    assert Trials(COUNTS[:2, :2], 0.02, behavior=mixed).behavior.ravel().tolist() == [1, 2.5, 0.5, 1]
    for wrong in ("1", None, [1]):
        odd = COUNTS.astype(object)
        odd[0, 0, 0] = wrong
        with pytest.raises(ValueError, match="counts must be numeric. Given: ndarray with dtype object"):
            Trials(odd, 0.02)


@pytest.mark.parametrize(
    "given, heldout",
    [
        ([True, False, False, True, False], [0, 3]),
        (np.array([False, False, True, False, False]), [2]),
        ([-1, 0], [4, 0]),
        (np.array([-2], "int8"), [3]),
    ],
)
def test_held_out_channels_by_mask_and_from_the_end(given, heldout):
    """faults.md D: held-out channels as a bool mask, or negative indices."""
    counts = np.random.default_rng(0).poisson(1.0, (6, 8, 5))
    recording = Trials(counts, 0.02, channel_ids=list("abcde")).split(heldout=given)
    assert recording.channel_ids[recording.n_heldin :].tolist() == [list("abcde")[i] for i in heldout]
    assert recording.channel_ids[: recording.n_heldin].tolist() == [
        c for i, c in enumerate("abcde") if i not in heldout
    ]


def test_held_out_channels_as_a_fraction():
    """faults.md D: held-out channels as a fraction."""
    trials = Trials(np.random.default_rng(0).poisson(1.0, (6, 8, 10)), 0.02)
    for fraction, n in ((0.25, 2), (0.01, 1), (0.5, 5), (np.float32(0.9), 9)):
        found, number = trials.split(heldout=fraction, seed=3), trials.split(heldout=n, seed=3)
        assert found.n_heldout == n and found.channel_ids.tolist() == number.channel_ids.tolist()
    with pytest.raises(ValueError, match="A fraction of 1.0 would hold out all channels. Given: 1.0.*Give the int 1"):
        trials.split(heldout=1.0)
    for wrong in (0.99, -1, -0.5, True, [True] * 9, [True] * 10, [-11], [0, -10], [0.5]):
        with pytest.raises(ValueError, match="heldout must") as told:
            trials.split(heldout=wrong)
        assert not faults(str(told.value))


# --- trials that hold nothing ----------------------------------------------------------------------------------------


def test_an_empty_trial_is_left_out_when_asked():
    """faults.md D: an empty last trial in a list of trials."""
    listed = [COUNTS[0], COUNTS[1, :0], COUNTS[2, :4], []]
    more = {"label": ["a", "b", "c", "d"], "behavior": [MOVED[0], MOVED[1, :0], MOVED[2, :4], []]}
    with pytest.raises(ValueError, match="at least one bin.*say empty='drop'"):
        Trials.from_list(listed, 0.02, **more)
    with pytest.warns(UserWarning, match="Left out: 2 of 4 trials are empty, the first is trial 1"):
        trials = Trials.from_list(listed, 0.02, empty="drop", start_s=[0.0, 1.0, 2.0, 3.0], **more)
    assert trials.inds.tolist() == [0, 2] and trials.label.tolist() == ["a", "c"] and trials.lengths.tolist() == [8, 4]
    assert trials.start_s.tolist() == [0, 2]
    np.testing.assert_array_equal(trials.counts[1, :4], COUNTS[2, :4])
    np.testing.assert_array_equal(trials.behavior[1, :4, 0], MOVED[2, :4])
    for wrong in ([COUNTS[0], COUNTS[0, 0]], [[], []]):
        with pytest.raises(ValueError, match="at least one bin"):
            Trials.from_list(wrong, 0.02, empty="drop")
    with pytest.raises(ValueError, match="Given: 'missing'. Choose one of raise, drop"):
        Trials.from_list(listed, 0.02, empty="missing")


def test_an_empty_trial_of_a_file_is_left_out_when_asked(tmp_path):
    """faults.md D: an empty last trial, in a MATLAB struct array."""
    listed = np.empty(3, object)
    listed[:] = [COUNTS[0], COUNTS[1, :5], np.zeros((0, 3))]
    scipy.io.savemat(tmp_path / "x.mat", {"spikes": listed})
    given = {"mapping": {"counts": "spikes"}, "axes": "trials,time,channels", "bin_width_s": 0.02}
    with pytest.raises(RecordingError, match="empty='drop'"):
        read_mat(tmp_path / "x.mat", **given)
    with pytest.warns(UserWarning, match="1 of 3 trials are empty"):
        assert read_mat(tmp_path / "x.mat", empty="drop", **given).lengths.tolist() == [8, 5]


class Signal:
    """What the reader asks of a pynapple TsdFrame."""

    def __init__(self, t, values, support):
        self.t, self.values, self.time_support = np.asarray(t), np.asarray(values), support
        self.columns = range(self.values.shape[1])


def test_trials_outside_the_epochs_are_left_out_when_asked():
    """faults.md D: trials wholly outside pynapple's epochs, or shorter than a bin."""
    times = np.r_[np.arange(0, 2, 0.1), np.arange(10, 12, 0.1)]
    signal = Signal(times, np.stack([times, -times], 1), np.array([[0.0, 2.0], [10.0, 12.0]]))
    window = Window(intervals=[(0.5, 1.0), (4.0, 6.0), (10.0, 11.0), (11.0, 11.05)], bin_width_s=0.1, edges="drop")
    with (
        pytest.warns(UserWarning, match="1 of 4 intervals are not finite or shorter than a bin.*number 3"),
        pytest.warns(UserWarning, match="1 of 3 trials hold no sample; the first is trial 1, which starts at 4 s"),
    ):
        trials = from_pynapple(signal, window)
    assert trials.inds.tolist() == [0, 2] and trials.lengths.tolist() == [5, 10] and trials.n_times == 10
    np.testing.assert_allclose(trials.counts[1, :, 0], np.arange(10, 11, 0.1), rtol=1e-6)
    with pytest.raises(ValueError, match="Every trial needs something recorded. Given: 1 of 2.*edges='drop'"):
        from_pynapple(signal, Window(intervals=[(0.5, 1.0), (4.0, 5.0)], bin_width_s=0.1))


def test_the_longest_trial_may_be_the_one_that_is_left_out():
    """faults.md D: trials left out when asked; what is left has the bins of its longest."""
    window = Window(intervals=[(0, 1), (5, 8)], bin_width_s=0.5, edges="drop", recording_s=(0, 9))
    units = Units([[0.1, 6.0]], obs_intervals=[(0, 2)])
    with pytest.warns(UserWarning, match="Left out: 1 of 2 trials have no recorded bin"):
        found = bin_spikes(units, window, behavior=([0.0, 1.0], [0.0, 1.0]))
    assert found.counts.tolist() == [[[1.0], [0.0]]] and found.behavior.ravel().tolist() == [0.25, 0.75]


# --- NWB -------------------------------------------------------------------------------------------------------------


def write_nwb(path, fill):
    nwb = pynwb.NWBFile("made", "made-1", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    fill(nwb)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def test_a_trial_without_length_in_nwb_is_left_out_when_asked(tmp_path):
    """faults.md D: zero-length trials in NWB with edges="drop"."""

    def fill(nwb):
        nwb.add_unit(spike_times=[0.5, 4.2])
        for start, stop in ((0.0, 1.0), (2.0, 2.0), (4.0, 5.5)):
            nwb.add_trial(start_time=start, stop_time=stop)

    path = write_nwb(tmp_path / "a.nwb", fill)
    with pytest.warns(UserWarning, match="Left out: 1 of 3 intervals.*shorter than a bin.*number 1"):
        trials = read_nwb(path, Window(bin_width_s=0.5, edges="drop"))
    assert trials.inds.tolist() == [0, 2] and trials.lengths.tolist() == [2, 3]
    assert np.argwhere(trials.counts > 0).tolist() == [[0, 1, 0], [1, 0, 0]]
    with pytest.raises(RecordingError, match="edges='drop'"):
        read_nwb(path, Window(bin_width_s=0.5))


def test_units_that_share_an_id_are_numbered_anew(tmp_path):
    """faults.md D: unit tables with repeated ids."""

    def fill(nwb):
        nwb.add_unit_column("probe", "probe")
        for i, (unit, probe) in enumerate(((7, "a"), (8, "a"), (7, "b"))):
            nwb.add_unit(spike_times=[0.1 + i], id=unit, probe=probe)
        nwb.add_trial(start_time=0.0, stop_time=3.0)

    path = write_nwb(tmp_path / "a.nwb", fill)
    with pytest.warns(UserWarning, match=r"share an id. Given: \[7\] more than once among 3 units. They are numbered"):
        trials = read_nwb(path, Window(bin_width_s=1.0))
    assert trials.channel_ids.tolist() == [0, 1, 2] and np.array_equal(trials.counts[0], np.eye(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = read_nwb(path, Window(intervals=(0.0, 2.0), bin_width_s=1.0), unit_filter={"probe": "a"})
    assert chosen.channel_ids.tolist() == [7, 8]


FLUORESCENCE = np.random.default_rng(2).normal(size=(100, 3))


@pytest.fixture(scope="module")
def calcium(tmp_path_factory):
    """A file of calcium imaging: no units, three regions at 10 Hz from 1 s on, and the speed of a wheel."""

    def fill(nwb):
        device = nwb.create_device("microscope")
        channel = pynwb.ophys.OpticalChannel(name="green", description="green", emission_lambda=500.0)
        plane = nwb.create_imaging_plane(
            name="plane", optical_channel=channel, description="p", device=device, excitation_lambda=900.0,
            indicator="GCaMP", location="V1",
        )  # fmt: skip
        ophys = nwb.create_processing_module("ophys", "ophys")
        segmentation = pynwb.ophys.ImageSegmentation()
        ophys.add(segmentation)
        regions = segmentation.create_plane_segmentation(name="rois", description="rois", imaging_plane=plane)
        for i in range(3):
            mask = np.zeros((4, 4))
            mask[i, i] = 1
            regions.add_roi(image_mask=mask)
        fluorescence = pynwb.ophys.Fluorescence()
        ophys.add(fluorescence)
        fluorescence.create_roi_response_series(
            name="RoiResponseSeries", data=FLUORESCENCE, unit="n.a.", rate=10.0, starting_time=1.0,
            rois=regions.create_roi_table_region(region=[0, 1, 2], description="all"), conversion=2.0,
        )  # fmt: skip
        nwb.add_acquisition(pynwb.TimeSeries(name="speed", data=np.arange(200.0), unit="m/s", rate=10.0))
        nwb.add_trial_column("side", "side")
        for start, side in ((2.0, "left"), (6.0, "right"), (20.0, "left")):
            nwb.add_trial(start_time=start, stop_time=start + 1, side=side)

    return write_nwb(tmp_path_factory.mktemp("nwb") / "calcium.nwb", fill)


def test_a_calcium_file_says_how_its_series_are_read(calcium):
    """faults.md D: a calcium file without units."""
    with pytest.raises(RecordingError, match="no spike times. Found no table of units.*signals=") as told:
        read_nwb(calcium, Window(bin_width_s=0.1))
    assert "RoiResponseSeries" in str(told.value) and not faults(str(told.value), [calcium])
    assert "ophys/Fluorescence/RoiResponseSeries" in str(describe_nwb(calcium))


def test_series_are_channels(calcium):
    """faults.md D: the series of a calcium file as signals; their values are those of the samples."""
    window = Window("start_time", (-0.05, 0.45), label="side", edges="drop")
    with pytest.warns(UserWarning, match="Left out: 1 of 3 trials hold no sample of any signal; the first is trial 2"):
        trials = read_nwb(calcium, window, signals="RoiResponseSeries", behavior="speed")
    assert not trials.are_counts and trials.bin_width_s == pytest.approx(0.1) and trials.inds.tolist() == [0, 1]
    # A bin from half a sample before on has its centre on the sample; the series begins at 1 s.
    np.testing.assert_allclose(trials.counts[0], 2 * FLUORESCENCE[10:15], rtol=1e-5)
    np.testing.assert_allclose(trials.counts[1], 2 * FLUORESCENCE[50:55], rtol=1e-5)
    assert trials.channel_ids.tolist() == [f"RoiResponseSeries_{i}" for i in range(3)]
    assert trials.label.tolist() == ["left", "right"]
    np.testing.assert_allclose(trials.behavior[1, :, 0], np.arange(60, 65), rtol=1e-5)
    both = read_nwb(calcium, Window([2.0], (0, 1), 0.05), signals=["RoiResponseSeries", "speed"])
    assert both.counts.shape == (1, 20, 4) and both.channel_ids[-1] == "speed"
    np.testing.assert_allclose(both.counts[0, 0, 3], 20.25, rtol=1e-5)
    with pytest.raises(ValueError, match="choose among units. Given: one of them, and signals"):
        read_nwb(calcium, window, signals="speed", unit_filter={"quality": "good"})
    with pytest.raises(RecordingError, match="no time series of that name. Given: 'sped'.*Did you mean 'speed'"):
        read_nwb(calcium, window, signals="sped")


def test_an_option_of_any_file_makes_signals_the_channels(calcium):
    """faults.md D: a calcium file without units says how to read its series; here that is an option."""
    how = {"signals": ("RoiResponseSeries",), "align": "start_time", "window_s": (0.0, 1.0), "edges": "drop"}
    with pytest.warns(UserWarning, match="Left out"):
        expected = read_nwb(calcium, Window("start_time", (0.0, 1.0), edges="drop"), signals="RoiResponseSeries")
        found = read_trials(calcium, **how)
    np.testing.assert_array_equal(found.counts, expected.counts)
    assert not found.are_counts and found.bin_width_s == expected.bin_width_s


def test_signals_are_missing_where_nothing_was_recorded():
    series = Series(np.arange(0, 4, 0.1), np.arange(40.0), "s")
    window = Window(intervals=[(0, 2), (2, 4)], bin_width_s=0.5, recording_s=(0, 3.5), edges="missing")
    trials = bin_signals([series], window, observed=np.array([[0.0, 1.0], [2.0, 9.0]]))
    wanted = [[2.5, 7.5, np.nan, np.nan], [22.5, 27.5, 32.5, np.nan]]
    np.testing.assert_allclose(trials.counts[..., 0], wanted, rtol=1e-5)


# --- B4: damaged files -----------------------------------------------------------------------------------------------


def no_version(file):
    del file.attrs["nwb_version"]


def odd_version(file):
    file.attrs["nwb_version"] = np.array([1, 2, 3])


def odd_location(file):
    file.attrs[".specloc"] = "nowhere"


def odd_specification(file):
    group = file["specifications/core"]
    version = group[next(iter(group))]
    del version["namespace"]
    version["namespace"] = json.dumps({"namespaces": [{"name": 3}]})


@pytest.mark.parametrize("damage", [no_version, odd_version, odd_location, odd_specification])
def test_b4_odd_nwb_files_are_told_in_words(damage, tmp_path):
    """faults.md B4: NWB files with odd namespaces, spec locations or versions."""
    path = write_nwb(tmp_path / "a.nwb", lambda nwb: nwb.add_unit(spike_times=[0.5]))
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(RecordingError, match="cannot be read as NWB: it is HDF5, but not NWB") as told:
        read_nwb(path, Window(intervals=(0.0, 1.0), bin_width_s=0.5))
    assert "Error" not in str(told.value) and not faults(str(told.value), [path]) and told.value.__cause__ is not None


# --- paths and attributes --------------------------------------------------------------------------------------------


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    """faults.md D: a path that begins with ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    trials = Trials(COUNTS, 0.02)
    save_trials(trials, "~/t.h5")
    save_recording(trials.split(), Path("~/r.h5"))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["continuous_data"] = COUNTS[0]
    np.savez(tmp_path / "x.npz", y=COUNTS)
    scipy.io.savemat(tmp_path / "x.mat", {"y": COUNTS})
    write_nwb(tmp_path / "a.nwb", lambda nwb: nwb.add_unit(spike_times=[0.6]))
    np.testing.assert_array_equal(load_trials("~/t.h5").counts, COUNTS)
    assert isinstance(load_recording("~/r.h5"), Recording) and len(open_recording("~/r.h5").train.recon) == 4
    assert load_continuous("~/c.h5", bin_width_s=0.02).n_times == 8
    np.testing.assert_array_equal(LazyArray("~/t.h5", "trials_data")[:], COUNTS)
    for read in (read_npz, read_mat):
        np.testing.assert_array_equal(
            read(f"~/x.{read.__name__[5:]}", {"counts": "y"}, bin_width_s=0.02).counts, COUNTS
        )
    assert examine_file("~/t.h5").ok and describe_nwb("~/a.nwb").n_spikes == 1
    assert read_nwb("~/a.nwb", Window(intervals=(0.0, 1.0), bin_width_s=0.5)).counts.ravel().tolist() == [0, 1]
    with pytest.raises(FileNotFoundError, match="There is no recording at ~nobody-of-that-name/r.h5"):
        load_recording("~nobody-of-that-name/r.h5")


def test_attributes_of_every_form_are_stored(tmp_path):
    """faults.md D: attrs that are a dict, None, a date or a path."""
    subject = {"age": 3, "weights": np.array([1.5, 2.0]), "born": datetime.date(2020, 1, 2), "sex": None}
    attrs = {
        "subject": subject,
        "nothing": None,
        "day": datetime.date(2021, 2, 3),
        "start": datetime.datetime(2021, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "stamp": np.datetime64("2021-02-03"),
        "raw": Path("data") / "raw.nwb",
        "probes": [{"id": 1}, {"id": 2}],
        "days": [datetime.date(2021, 2, 3)],
        "window_s": (0.0, 1.5),
        "area": "M1",
        "empty": {},
    }
    trials = Trials(COUNTS, 0.02, attrs=attrs)
    save_trials(trials, tmp_path / "t.h5")
    save_recording(trials.split(), tmp_path / "r.h5")
    for found in (load_trials(tmp_path / "t.h5").attrs, load_recording(tmp_path / "r.h5").attrs):
        assert found.pop("window_s").tolist() == [0.0, 1.5] and found.pop("source") == "arrays"
        assert found == {
            "subject": {"age": 3, "weights": [1.5, 2.0], "born": "2020-01-02", "sex": None},
            "day": "2021-02-03",
            "start": "2021-02-03T04:05:00+00:00",
            "stamp": "2021-02-03",
            "raw": str(Path("data") / "raw.nwb"),
            "probes": [{"id": 1}, {"id": 2}],
            "days": ["2021-02-03"],
            "area": "M1",
            "empty": {},
        }
    again = load_trials(tmp_path / "t.h5")
    save_trials(again, tmp_path / "t2.h5")
    assert load_trials(tmp_path / "t2.h5").attrs["subject"] == again.attrs["subject"]
    assert Trials.concatenate([trials, trials]).attrs["subject"] is subject
    for odd in ({1j}, {"a": {1j}}, object()):
        with pytest.raises(RecordingError, match="The entry 'odd' of attrs cannot be"):
            save_trials(Trials(COUNTS, 0.02, attrs={"odd": odd}), tmp_path / "odd.h5")


def test_attributes_that_are_no_json_are_told(tmp_path):
    save_trials(Trials(COUNTS, 0.02, attrs={"subject": {"age": 3}}), tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file.attrs["subject"] = "{"
    with pytest.raises(RecordingError, match="lists subject among its attributes that are JSON.*Given: '{'"):
        load_trials(tmp_path / "t.h5")
