"""NWB files: real ones against their binned copies, a made one against its arrays, and what is damaged by name."""

import datetime
import warnings
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from indl.data import RecordingError, Window, bin_spikes, describe_nwb, read_nwb

pynwb = pytest.importorskip("pynwb")

RNG = np.random.default_rng(4)
SPIKES = {3: np.sort(RNG.uniform(0, 30, 200)), 8: np.array([]), 5: np.sort(RNG.uniform(0, 15, 90))}
GO = np.array([2.0, 9.0, np.nan, 20.0])
HAND = np.stack([np.arange(300) / 10, -np.arange(300) / 5], axis=1)


def write(path, **leave_out):
    """A file with units, trials, epochs, and time series in several places."""
    nwb = pynwb.NWBFile("made", "made-1", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), lab="ours")
    if "units" not in leave_out:
        for name in ("quality", "hidden"):
            nwb.add_unit_column(name, name)
        for i, (unit, times) in enumerate(SPIKES.items()):
            observed = [[0, 9.7], [9.7, 40]] if unit == 3 else [[0, 15]]
            nwb.add_unit(
                spike_times=times, obs_intervals=observed, quality="good mua good".split()[i], hidden=i == 2, id=unit
            )
    if "trials" not in leave_out:
        for name in ("go", "side"):
            nwb.add_trial_column(name, name)
        for i, go in enumerate(GO):
            nwb.add_trial(start_time=7.0 * i, stop_time=7.0 * i + 3 + i, go=go, side="left right".split()[i % 2])
    nwb.add_epoch(start_time=0.0, stop_time=10.0, tags=["rest", "dark"])
    nwb.add_epoch(start_time=12.0, stop_time=13.0, tags=["task"])
    nwb.add_epoch(start_time=20.0, stop_time=21.0, tags=["task"])
    tenths = np.arange(300) / 10
    nwb.create_processing_module("behavior", "b")
    place, turns = pynwb.behavior.Position(), pynwb.behavior.CompassDirection()
    place.create_spatial_series(
        name="hand", data=HAND, reference_frame="r", timestamps=tenths, conversion=0.5, offset=2.0
    )
    for name, data, unit in (("head", 200 * tenths % 360, "degrees"), ("turn", 3 * tenths % (2 * np.pi), "radians")):
        turns.create_spatial_series(name=name, data=data, reference_frame="r", unit=unit, rate=10.0)
    wheel = pynwb.TimeSeries(name="wheel", data=np.arange(300.0), unit="m", rate=10.0, starting_time=1.0)
    for one in (place, turns, wheel):
        nwb.processing["behavior"].add(one)
    for name, data in (("hand", np.zeros(5)), ("words", np.array(["a", "b"])), ("film", np.zeros((4, 2, 2)))):
        nwb.add_acquisition(pynwb.TimeSeries(name=name, data=data, unit="n/a", rate=1.0))
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("nwb") / "made.nwb")


def test_aligned_trials_are_those_of_their_arrays(made):
    missing = r"outside the obs_intervals.*Given: 30 samples of 2 of 3 units, the first is unit 8"
    with (
        pytest.warns(UserWarning, match="1 of 4 events are NaN, the first is number 2"),
        pytest.warns(UserWarning, match=missing),
    ):
        trials = read_nwb(made, Window("go", (-0.5, 1), 0.1, label="side", edges="missing"))
    assert trials.channel_ids.tolist() == [3, 8, 5] and trials.inds.tolist() == [0, 1, 3]
    assert trials.label.tolist() == ["left", "right", "right"]
    events = np.array([2.0, 9.0, 20.0])
    expected = bin_spikes([SPIKES[3], [], SPIKES[5]], Window(events, (-0.5, 1), 0.1)).counts.copy()
    # Units 8 and 5 were recorded until 15 s; two touching intervals of unit 3 leave no gap.
    expected[2, :, 1:] = np.nan
    assert np.array_equal(trials.counts, expected, equal_nan=True)
    assert trials.source == str(made) and trials.attrs["align_event"] == "go" and trials.attrs["lab"] == "ours"
    assert trials.attrs["window_s"].tolist() == [-0.5, 1.0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trials_of_their_own_length(made):
    trials = read_nwb(made, Window(bin_width_s=0.5))
    assert trials.lengths.tolist() == [6, 8, 10, 12] and trials.start_s.tolist() == [0, 7, 14, 21]
    starts = read_nwb(made, Window(window_s=(0, 3), bin_width_s=0.5))
    assert np.array_equal(starts.counts, trials.counts[:, :6], equal_nan=True)
    given = read_nwb(made, Window([0.0, 7.0, 14.0, 21.0], (0, 3), 0.5))
    assert np.array_equal(given.counts, starts.counts, equal_nan=True)
    assert (given.attrs["align_event"], starts.attrs["align_event"]) == ("given times", "start_time")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_other_intervals(made):
    assert read_nwb(made, Window(intervals="epochs", bin_width_s=0.5)).lengths.tolist() == [20, 2, 2]
    task = read_nwb(made, Window(intervals="task", bin_width_s=0.5))
    assert task.start_s.tolist() == [12, 20]
    for same in ([(12, 13), (20, 21)], np.array([[12.0, 13.0], [20.0, 21.0]])):
        assert np.array_equal(
            read_nwb(made, Window(intervals=same, bin_width_s=0.5)).counts, task.counts, equal_nan=True
        )
    assert read_nwb(made, Window(intervals=(0, 9), bin_width_s=0.5)).counts.shape == (1, 18, 3)


def behaviour(made, **kwargs):
    window = Window(intervals=(2, 4), bin_width_s=0.1)
    return read_nwb(made, window, unit_filter={"quality": "good"}, **kwargs)


def test_series_are_found_and_scaled(made):
    centers = 2.05 + np.arange(20) / 10
    trials = behaviour(made, behavior=["Position/hand", "wheel"], ext_input="processing/behavior/wheel")
    hand = np.stack([centers, -2 * centers], axis=1) * 0.5 + 2
    assert np.allclose(trials.behavior[0, :, :2], hand) and np.allclose(trials.behavior[0, :, 2], 10 * (centers - 1))
    assert np.array_equal(trials.ext_input[0, :, 0], trials.behavior[0, :, 2])
    assert trials.attrs["behavior_names"].tolist() == ["hand_0", "hand_1", "wheel"]


def test_angles(made):
    centers = 2.05 + np.arange(20) / 10
    trials = behaviour(made, behavior=["head", "turn"], angles=["head", "turn"])
    expected = [f(a * centers) for a in (np.deg2rad(200), 3.0) for f in (np.cos, np.sin)]
    assert np.allclose(trials.behavior[0].T, expected, atol=1e-6)
    with pytest.warns(UserWarning, match=r"radians and jumps.*angles=\['turn'\]"):
        behaviour(made, behavior="turn")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_units_are_chosen_and_marked(made):
    def chosen(unit_filter, **kwargs):
        return read_nwb(made, Window(intervals=(0, 9), bin_width_s=1.0), unit_filter=unit_filter, **kwargs)

    good = chosen({"quality": "good"}, heldout="hidden")
    assert good.channel_ids.tolist() == [3, 5] and good.attrs["heldout"].tolist() == [1]
    assert chosen(lambda units: units.index < 6).channel_ids.tolist() == [3, 5]
    assert chosen({"quality": ["mua", "good"], "hidden": False}).channel_ids.tolist() == [3, 8]
    recording = good[[0, 0, 0, 0, 0]].split(heldout=good.attrs["heldout"])
    assert recording.channel_ids.tolist() == [3, 5] and recording.n_heldout == 1


def test_an_error_in_a_filter_is_its_own(made):
    with pytest.raises(ZeroDivisionError):
        read_nwb(made, Window(bin_width_s=0.1), unit_filter=lambda units: 1 / 0)


BAD = {
    "unknown align": (
        {"events": "goo", "window_s": (0, 1)},
        "Given: 'goo'; found start_time, stop_time, go, side. Did you mean 'go'",
    ),
    "unknown label": ({"label": "sid"}, "Did you mean 'side'"),
    "align without a window": ({"events": "go"}, "Say window_s"),
    "unknown intervals": (
        {"intervals": "tsk"},
        "found the tables .*epochs tagged rest, dark, task. Did you mean 'task'",
    ),
    "intervals of three": ({"intervals": (1, 2, 3)}, r"Given: shape \(1, 3\)"),
    "unknown series": ({"behavior": "whel"}, "Did you mean 'wheel'"),
    "a series of two places": (
        {"behavior": "hand"},
        "has 2 time series.*acquisition/hand, processing/behavior/Position/hand",
    ),
    "a series of text": ({"behavior": "words"}, "damaged or unusual in words"),
    "a series of images": ({"behavior": "film"}, r"damaged or unusual in film. Given: shape \(4, 2, 2\)"),
    "angles that are not read": ({"behavior": "wheel", "angles": ["head"]}, r"Given: \['head'\]. Name them"),
    "unknown column of units": ({"unit_filter": {"qualiti": "good"}}, "Did you mean 'quality'"),
    "no unit left": ({"unit_filter": {"quality": "bad"}}, r"no unit that passes.*quality: good \(2\), mua \(1\)"),
    "a filter of the wrong length": ({"unit_filter": lambda units: np.array([True])}, "must return a bool a unit"),
    "unknown heldout": ({"heldout": "held"}, "no such column in the units"),
    "window of no whole bins": ({"events": "go", "window_s": (0, 0.25)}, "nearest that fits"),
    "bins of milliseconds": ({"bin_width_s": 20}, "milliseconds"),
    "a trial shorter than a bin": ({"bin_width_s": 5.0}, "at least one bin"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_not_there_is_named(made, case):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        given = {"bin_width_s": 0.1} | changes
        window = {field.name: given.pop(field.name) for field in fields(Window) if field.name in given}
        read_nwb(made, Window(**window), **given)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_without_trials_or_units(tmp_path):
    write(tmp_path / "bare.nwb", trials=None)
    with pytest.raises(RecordingError, match="no table of trials. Found the tables epochs and epochs tagged rest"):
        read_nwb(tmp_path / "bare.nwb", Window(bin_width_s=0.1))
    write(tmp_path / "empty.nwb", units=None)
    with pytest.raises(RecordingError, match="no spike times. Found no table of units"):
        read_nwb(tmp_path / "empty.nwb", Window(bin_width_s=0.1))
    assert describe_nwb(tmp_path / "empty.nwb").n_units == 0


def test_description_tells_what_to_ask_for(made):
    found = describe_nwb(made)
    assert found.n_units == 3 and found.n_spikes == 290 and found.epochs == ("rest", "dark", "task")
    assert found.unit_columns["quality"] == "good (2), mua (1)"
    assert found.intervals["trials"]["side"] == "left (2), right (2)"
    assert "processing/behavior/Position/hand" in found.series and "acquisition/hand" in found.series
    text = str(found)
    assert "units: 3 with 290 spikes" in text and "epochs tagged rest, dark, task" in text
    assert "wheel: TimeSeries (300,), in m, at 10 Hz from 1 s" in text


def change(made, tmp_path, name, value):
    path = tmp_path / "changed.nwb"
    path.write_bytes(made.read_bytes())
    with h5py.File(path, "r+") as file:
        file[name][...] = value
    return path


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("units/spike_times", np.nan, "290 NaN or infinite of 290, the first in unit 3"),
        ("units/spike_times", -1.0, "290 earlier"),
        ("units/spike_times", 1e30, "290 later"),
        ("units/spike_times_index", [250, 200, 290], "1 rows that end before they start"),
        ("units/spike_times_index", [100, 200, 250], "an end of 250 for 290 values"),
        ("units/spike_times_index", [100, 200, 255], "unusual in spike_times_index"),
        ("units/obs_intervals_index", [2, 3, 9], "unusual in obs_intervals_index"),
        ("units/obs_intervals", np.nan, "obs_intervals must be starts with stops"),
        ("intervals/trials/start_time", np.inf, "intervals must be finite"),
        ("intervals/trials/start_time", -1e12, "must fit in memory"),
        ("processing/behavior/Position/hand/timestamps", 7 - np.arange(300), "finite and ascend. Given: 299 of 300"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_values_that_cannot_be_are_named(made, tmp_path, name, value, message):
    path = change(made, tmp_path, name, value)
    with pytest.raises(RecordingError, match=f"changed.nwb.*{message}"):
        read_nwb(path, Window(bin_width_s=0.1), behavior="Position/hand")


def test_values_that_are_odd_are_told(made, tmp_path):
    path = change(made, tmp_path, "units/spike_times", np.arange(290)[::-1] / 29)
    with pytest.warns(UserWarning, match="changed.nwb holds spike times that descend. Given: 288 in 2 of 3 units"):
        read_nwb(path, Window(intervals=(0, 9), bin_width_s=0.1))
    path = change(made, tmp_path, "units/obs_intervals", [[0, 40], [0, 40], [0, 1], [0, 1]])
    outside = np.count_nonzero(SPIKES[5] > 1)
    with pytest.warns(
        UserWarning, match=f"lie outside obs_intervals. Given: {outside} in 1 of 3 units, the first in unit 5"
    ):
        read_nwb(path, Window(intervals=(0, 9), bin_width_s=0.1))


def test_what_is_no_nwb_file(tmp_path, made):
    with pytest.raises(FileNotFoundError, match="nowhere.nwb. Found nothing"):
        read_nwb(tmp_path / "nowhere.nwb", Window(bin_width_s=0.1))
    with h5py.File(tmp_path / "plain.nwb", "w") as file:
        file["x"] = [1, 2]
    (tmp_path / "text.nwb").write_text("no")
    (tmp_path / "half.nwb").write_bytes(made.read_bytes()[: made.stat().st_size // 2])
    for name in ("plain", "text", "half"):
        with pytest.raises(RecordingError, match=f"{name}.nwb (cannot be read as NWB|is damaged)"):
            read_nwb(tmp_path / f"{name}.nwb", Window(bin_width_s=0.1))
        with pytest.raises(RecordingError):
            describe_nwb(tmp_path / f"{name}.nwb")


def test_damage_is_an_error_or_told(made, tmp_path):
    """Bytes of the file's structure, which takes up most of a small file."""
    raw = np.frombuffer(made.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.nwb"
    failed = 0
    for _ in range(25):
        damaged = raw.copy()
        damaged[rng.integers(len(raw), size=40)] = rng.integers(256, size=40)
        path.write_bytes(damaged.tobytes())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_nwb(path, Window(bin_width_s=0.1, label="side"), behavior="wheel")
        except RecordingError as error:
            failed += 1
            assert "damaged.nwb" in str(error)
    assert failed > 10


def test_motor_cortex_is_its_binned_copy(recording_path):
    trials = read_nwb(
        recording_path("mc_maze_small_test.nwb"), Window("move_onset_time", (-0.25, 0.45), bin_width_s=0.005)
    )
    assert trials.counts.shape == (100, 140, 107) and not trials.missing
    with h5py.File(recording_path("mc_maze_small_5ms.h5")) as file:
        order = [trials.channel_ids.tolist().index(unit) for unit in file["channel_ids"]]
        for part in ("train", "valid"):
            expected = trials.counts[file[f"{part}_inds"][()]][:, :, order]
            assert np.array_equal(file[f"{part}_recon_data"][()], expected)
            assert np.array_equal(file[f"{part}_encod_data"][()], expected[:, :, :80])
    # Trials of 0.7 s begin 0.25 s before the movement.
    whole = read_nwb(recording_path("mc_maze_small_test.nwb"), Window(bin_width_s=0.005))
    assert np.array_equal(whole.counts, trials.counts)


def test_head_direction_is_its_binned_copy(recording_path):
    path = recording_path("head_direction_A2929.nwb")
    # The copy was made with edges start + k * 0.02 as they are in double precision.
    window = Window(intervals="position_time_support", bin_width_s=0.02, tolerance=0)
    wake = read_nwb(path, window, behavior=["ry", "x", "z"], angles=["ry"])
    sleep = read_nwb(path, replace(window, intervals="sleep"))
    with h5py.File(recording_path("head_direction_20ms.h5")) as file:
        assert np.array_equal(file["continuous_data"][()], wake.counts[0])
        assert np.array_equal(file["continuous_sleep_data"][()], sleep.counts[0])
        assert np.allclose(file["continuous_behavior"][()], wake.behavior[0], atol=1e-6)
        windows = wake.counts[0, : 529 * 50].reshape(529, 50, 15)
        order = [wake.channel_ids.tolist().index(unit) for unit in file["channel_ids"]]
        for part in ("train", "valid"):
            assert np.array_equal(file[f"{part}_recon_data"][()], windows[file[f"{part}_inds"][()]][:, :, order])
    assert wake.attrs["behavior_names"].tolist() == ["cos_ry", "sin_ry", "x", "z"]


def test_head_direction_in_windows_is_the_continuous_recording_cut(recording_path):
    path = recording_path("head_direction_A2929.nwb")
    wake = read_nwb(path, Window(intervals="position_time_support", bin_width_s=0.02))
    starts = wake.start_s[0] + np.arange(529)
    windows = read_nwb(path, Window(intervals=np.stack([starts, starts + 1], axis=1), bin_width_s=0.02))
    assert np.array_equal(windows.counts, wake.counts[0, : 529 * 50].reshape(529, 50, 15))
    # Double precision alone puts spikes on an edge one bin early, never further, and no others.
    exact = read_nwb(path, Window(intervals="position_time_support", bin_width_s=0.02, tolerance=0))
    moved = np.cumsum(exact.counts[0] - wake.counts[0], axis=0)
    assert set(np.unique(moved)) == {0, 1} and moved.sum() == 33


def test_units_are_chosen_by_their_columns_or_those_of_their_electrodes(recording_path):
    path = recording_path("head_direction_A2929.nwb")
    cells = read_nwb(path, Window(intervals="sleep", bin_width_s=0.1), unit_filter={"location": "adn"})
    assert cells.channel_ids.tolist() == list(range(7))
    path = recording_path("mc_maze_small_test.nwb")
    window = Window(bin_width_s=0.1)
    assert read_nwb(path, window, unit_filter={"location": ["PMd"]}, heldout="heldout").n_channels == 107
    with pytest.raises(RecordingError, match=r"(?s)no unit that passes the filter.*location: PMd \(107\)"):
        read_nwb(path, window, unit_filter={"group_name": "electrode_group_M1"})
