"""npz and MATLAB files: the same trials from every version and order of axes; and errors that list the file."""

import itertools
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from indl.data import RecordingError, Trials, Window, bin_spikes, read_mat, read_npz
from indl.data.readers.matlab import load_matlab

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(1.0, (6, 5, 3)) + (np.arange(3) == 0)
HAND = RNG.normal(size=(6, 5, 2)).astype(np.float32)


def cells(items, shape):
    made = np.empty(len(items), object)
    made[:] = items
    return made.reshape(shape)


class Structs(list):
    """A struct array: dicts with the same names."""


def write_v5(path, variables):
    def plain(value):
        if isinstance(value, Structs):
            array = np.zeros((1, len(value)), dtype=[(name, object) for name in value[0]])
            for i, struct in enumerate(value):
                array[0, i] = tuple(plain(item) for item in struct.values())
            return array
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        if isinstance(value, np.ndarray) and value.dtype == object:
            return cells([plain(item) for item in value.ravel()], value.shape)
        return value

    scipy.io.savemat(path, plain(variables))


def write_v73(path, variables):
    """As MATLAB's -v7.3: axes in reverse, cells and struct arrays by reference, classes in attributes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs, number = file.create_group("#refs#"), itertools.count()

        def matlab(place, kind):
            place.attrs["MATLAB_class"] = np.bytes_(kind)
            return place

        def reference(value):
            return write(refs, f"r{next(number)}", value).ref

        def write(group, name, value):
            if isinstance(value, Structs):
                place = matlab(group.create_group(name), "struct")
                for field in value[0]:
                    made = [[reference(struct[field])] for struct in value]
                    place.create_dataset(field, data=np.array(made, dtype=h5py.ref_dtype))
                return place
            if isinstance(value, dict):
                place = matlab(group.create_group(name), "struct")
                for field, item in value.items():
                    write(place, field, item)
                return place
            if isinstance(value, str):
                place = matlab(group.create_dataset(name, data=np.array([[ord(c)] for c in value], np.uint16)), "char")
                place.attrs["MATLAB_int_decode"] = 2
                return place
            value = np.atleast_2d(np.asarray(value))
            if value.size == 0:
                place = matlab(group.create_dataset(name, data=np.array(value.shape, np.uint64)), "double")
                place.attrs["MATLAB_empty"] = 1
            elif value.dtype == object:
                made = np.array([reference(item) for item in value.T.ravel()], dtype=h5py.ref_dtype)
                place = matlab(group.create_dataset(name, data=made.reshape(value.T.shape)), "cell")
            elif value.dtype == bool:
                place = matlab(group.create_dataset(name, data=value.T.astype(np.uint8)), "logical")
            else:
                place = matlab(group.create_dataset(name, data=value.T), "double")
            return place

        for name, value in variables.items():
            write(file, name, value)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


@pytest.fixture(params=["v5", "v7.3"])
def mat(request, tmp_path):
    """Writes variables to a MATLAB file of one version and returns its path."""

    def write(variables):
        path = tmp_path / "session.mat"
        {"v5": write_v5, "v7.3": write_v73}[request.param](path, variables)
        return path

    return write


def test_everything_comes_back_with_matlabs_shape(mat):
    variables = {
        "x": np.arange(24.0).reshape(2, 3, 4),
        "row": np.arange(3.0)[None],
        "flag": np.array([[True, False]]),
        "name": "hello",
        "one": {"deep": {"y": np.eye(2)}, "text": "abc"},
        "several": Structs([{"a": np.ones((i + 1, 2)), "b": f"trial {i}"} for i in range(3)]),
        "cells": cells([np.full((1, 2 * i + j), i + j, float) for i in range(2) for j in range(3)], (2, 3)),
    }
    tree = load_matlab(mat(variables))
    assert sorted(tree) == sorted(variables)
    assert np.array_equal(tree["x"], variables["x"])
    assert tree["row"].shape == (1, 3) and tree["flag"].ravel().tolist() == [1, 0]
    assert tree["name"] == "hello" and tree["one"]["text"] == "abc"
    assert np.array_equal(tree["one"]["deep"]["y"], np.eye(2))
    assert [item["a"].shape for item in tree["several"]] == [(1, 2), (2, 2), (3, 2)]
    assert [item["b"] for item in tree["several"]] == ["trial 0", "trial 1", "trial 2"]
    assert tree["cells"].shape == (2, 3) and tree["cells"][0, 0].size == 0
    assert tree["cells"][1, 2].tolist() == [[3, 3, 3, 3]] and tree["cells"][0, 2].tolist() == [[2, 2]]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("testhdf5_7.4_GLNX86", {"testdouble": np.arange(9)[None] * np.pi / 4}),
        ("teststructarr_7.4_GLNX86", {"teststructarr": [{"one": 1, "two": 2}, {"one": "number 1", "two": "number 2"}]}),
        ("teststructnest_7.4_GLNX86", {"teststructnest": {"one": 1, "two": {"three": "number 3"}}}),
        ("testfunc_7.4_GLNX86", {"testfunc": None}),
    ],
)
def test_files_that_matlab_wrote(name, expected):
    path = Path(scipy.io.matlab.__file__).parent / "tests" / "data" / f"{name}.mat"
    if not path.exists():
        pytest.skip("scipy is installed without its tests")

    def plain(node):
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items()}
        if isinstance(node, list):
            return [plain(value) for value in node]
        return node.item() if isinstance(node, np.ndarray) and node.size == 1 else node

    found = plain(load_matlab(path))
    if "testdouble" in expected:
        assert found.keys() == expected.keys() and np.allclose(found["testdouble"], expected["testdouble"])
    else:
        assert found == expected


@pytest.mark.parametrize("axes", ["trials,time,channels", "channels,time,trials", "time, trials, channels"])
def test_any_order_of_axes_makes_the_same_trials(mat, axes):
    order = [("trials", "time", "channels").index(axis.strip()) for axis in axes.split(",")]
    path = mat(
        {
            "data": {"spikes": COUNTS.transpose(order), "hand": HAND.transpose(order), "target": np.arange(6) % 2},
            "ids": np.array([11, 12, 13]),
            "dt": 0.02,
        }
    )
    mapping = {
        "counts": "data.spikes",
        "behavior": "data/hand",
        "label": "data.target",
        "channel_ids": "ids",
        "bin_width_s": "dt",
    }
    trials = read_mat(path, mapping, axes=axes, attrs={"species": "rat"})
    assert np.array_equal(trials.counts, COUNTS) and np.array_equal(trials.behavior, HAND)
    assert trials.label.tolist() == [0, 1] * 3 and trials.channel_ids.tolist() == [11, 12, 13]
    assert trials.bin_width_s == 0.02 and trials.source == str(path)
    assert trials.attrs["species"] == "rat" and "counts=data.spikes" in trials.attrs["variables"]


@pytest.mark.parametrize("kind", ["struct array", "cell array"])
def test_trials_of_different_length_are_padded(mat, kind):
    spikes = [COUNTS[i, : i + 1].astype(float) for i in range(5)]
    if kind == "struct array":
        path = mat({"trial": Structs([{"n": x.T, "side": "left" if i % 2 else "right"} for i, x in enumerate(spikes)])})
        trials = read_mat(path, {"counts": "trial.n", "label": "trial.side"}, axes="channels,time", bin_width_s=0.1)
        assert trials.label.tolist() == ["right", "left", "right", "left", "right"]
    else:
        trials = read_mat(mat({"n": cells(spikes, (1, 5))}), {"counts": "n"}, bin_width_s=0.1)
    assert np.array_equal(trials.counts, Trials.from_list(spikes, 0.1).counts, equal_nan=True)
    assert trials.lengths.tolist() == [1, 2, 3, 4, 5]


def test_an_axis_of_its_own_for_one_variable_and_axes_that_are_left_out(mat):
    path = mat({"n": COUNTS, "speed": HAND[:, :, 0].T, "one": COUNTS[:, :, :1]})
    trials = read_mat(path, {"counts": "n", "behavior": ("speed", "time,trials")}, bin_width_s=0.1)
    assert np.array_equal(trials.behavior, HAND[:, :, :1])
    single = read_mat(path, {"counts": "one"}, bin_width_s=0.1)
    assert np.array_equal(single.counts, COUNTS[:, :, :1])


def spike_times():
    """Of 3 units in 4 trials, in seconds from each trial's event."""
    return [[np.sort(RNG.uniform(-0.5, 1.0, RNG.integers(0, 9))) for _ in range(4)] for _ in range(3)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spike_times_of_trials(mat):
    times = spike_times()
    times[1][2] = np.zeros((0, 0))
    by_unit = cells([x for unit in times for x in unit], (3, 4))
    by_trial = Structs([{"st": cells([unit[i] for unit in times], (3, 1))} for i in range(4)])
    path = mat({"st": by_unit, "ts": by_unit.T, "trial": by_trial, "ids": np.array([5, 6, 7])})
    mapping = {"spike_times": "st", "channel_ids": "ids"}
    cut = Window(window_s=(-0.2, 0.8), bin_width_s=0.1)
    trials = read_mat(path, mapping, cut)
    # In one session with a second between the events.
    session = [np.concatenate([np.ravel(x) + 10 + 2 * i for i, x in enumerate(unit)]) for unit in times]
    expected = bin_spikes(session, replace(cut, events=10.0 + 2 * np.arange(4)))
    assert np.array_equal(trials.counts, expected.counts) and trials.channel_ids.tolist() == [5, 6, 7]
    swapped = read_mat(path, mapping | {"spike_times": "ts"}, cut, axes="trials,units")
    structs = read_mat(path, mapping | {"spike_times": "trial.st"}, cut)
    assert np.array_equal(swapped.counts, trials.counts) and np.array_equal(structs.counts, trials.counts)


def test_spike_times_of_a_session(mat):
    session = [np.sort(RNG.uniform(0, 20, 60)) for _ in range(3)]
    when = np.arange(0, 20, 0.05)
    path = mat(
        {
            "spikes": cells(session, (3, 1)),
            "go": np.array([3.0, 9.0, 15.0]),
            "stop": np.array([4.0, 11.0, 17.0]),
            "side": cells(["left", "right", "left"], (1, 3)),
            "t": when,
            "hand": np.stack([when, -when]),
        }
    )
    mapping = {"spike_times": "spikes", "events_s": "go", "label": "side", "behavior": "hand", "behavior_times": "t"}
    cut, hand = Window(window_s=(-0.5, 1), bin_width_s=0.1), (when, np.stack([when, -when], 1))
    trials = read_mat(path, mapping, cut)
    expected = bin_spikes(session, replace(cut, events=[3, 9, 15]), behavior=hand)
    assert np.array_equal(trials.counts, expected.counts) and np.array_equal(trials.behavior, expected.behavior)
    # What is not mapped comes with the window.
    mapping = {"spike_times": "spikes", "ext_input": "hand", "ext_input_times": "t"}
    given = read_mat(path, mapping, replace(cut, events=[3, 9, 15], label=trials.label))
    assert np.array_equal(given.counts, trials.counts) and np.array_equal(given.ext_input, trials.behavior)
    assert given.label.tolist() == trials.label.tolist()
    assert trials.label.tolist() == ["left", "right", "left"]
    spans = read_mat(path, {"spike_times": "spikes", "start_s": "go", "stop_s": "stop"}, bin_width_s=0.5)
    assert spans.lengths.tolist() == [2, 4, 4]


def test_npz_makes_the_same_trials(tmp_path):
    path = tmp_path / "session.npz"
    times, clusters = RNG.uniform(0, 20, 100), RNG.integers(3, size=100)
    np.savez(path, **{"data/y": COUNTS.T, "label": np.arange(6) % 3, "t": times, "c": clusters, "go": [2.0, 9.0]})
    trials = read_npz(path, {"counts": "data/y", "label": "label"}, axes="channels,time,trials", bin_width_s=0.02)
    assert np.array_equal(trials.counts, COUNTS) and trials.label.tolist() == [0, 1, 2] * 2
    cut = Window(window_s=(-1, 1), bin_width_s=0.5)
    spikes = read_npz(path, {"spike_times": "t", "spike_clusters": "c", "events_s": "go"}, cut)
    assert np.array_equal(spikes.counts, bin_spikes((times, clusters), replace(cut, events=[2, 9])).counts)


def test_npz_never_unpickles(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("executed",))

    np.savez(tmp_path / "trap.npz", counts=np.array([Trap()], dtype=object), good=COUNTS)
    assert read_npz(tmp_path / "trap.npz", {"counts": "good"}, bin_width_s=0.1).n_channels == 3
    with pytest.raises(
        RecordingError, match="(?s)an object without array form.*counts: not an array.*good: \\(6, 5, 3\\)"
    ):
        read_npz(tmp_path / "trap.npz", {"counts": "counts"}, bin_width_s=0.1)


WINDOW = Window(window_s=(0, 1), bin_width_s=0.1)
BAD = {
    "no mapping": ((None,), {}, r"needs a mapping.*data.spikes: \(6, 5, 3\) .*label: "),
    "neither counts nor spikes": (({"label": "label"},), {}, "counts or spike_times"),
    "no such field": (({"counts": "data.spikes", "labels": "label"},), {}, "Given: 'labels'. Did you mean 'label'"),
    "no path": (({"counts": 3},), {}, "to a path, or to a pair"),
    "no such variable": (
        ({"counts": "data.spike"},),
        {"bin_width_s": 0.1},
        "Given: 'data.spike'. Did you mean 'data.spikes'",
    ),
    "no such root": (({"counts": "Data.spikes"},), {"bin_width_s": 0.1}, r"Correct the mapping.*data.spikes: \(6"),
    "deeper than it goes": (({"counts": "data.spikes.x"},), {"bin_width_s": 0.1}, "no variable at the mapped path"),
    "a struct": (({"counts": "data"},), {"bin_width_s": 0.1}, "counts must be an array of numbers. Given: dict"),
    "text": (({"counts": "name"},), {"bin_width_s": 0.1}, "counts must be an array of numbers. Given: str"),
    "no bin width": (({"counts": "data.spikes"},), {}, "The bin width is not known"),
    "axes twice": (
        ({"counts": "data.spikes"},),
        {"bin_width_s": 0.1, "axes": "time,time,trials"},
        "name each axis once",
    ),
    "axes unknown": (({"counts": "data.spikes"},), {"bin_width_s": 0.1, "axes": "trial,time"}, "name each axis once"),
    "too few axes": (
        ({"counts": "data.spikes"},),
        {"bin_width_s": 0.1, "axes": "trials,time"},
        r"Given: shape \(6, 5, 3\)",
    ),
    "labels of others": (({"counts": "data.spikes", "label": "ids"},), {"bin_width_s": 0.1}, "label does not fit"),
    "a signal": (({"counts": "data.hand"},), {"bin_width_s": 0.1}, "must hold counts"),
    "a window for counts": (({"counts": "data.spikes"},), {"window": WINDOW}, "bins already. Given: window"),
    "spikes without events": (({"spike_times": "ids"},), {"bin_width_s": 0.1}, "cell array, units by trials"),
    "one vector without clusters": (
        ({"spike_times": "ids", "events_s": "ids"},),
        {"window": WINDOW},
        "one vector a unit, or be mapped with spike_clusters",
    ),
    "behaviour without times": (
        ({"spike_times": "st", "events_s": "ids", "behavior": "data.hand"},),
        {"window": WINDOW},
        "Map behavior with behavior_times",
    ),
    "spikes of trials with a session": (
        ({"spike_times": "st"},),
        {"window": replace(WINDOW, recording_s=(0, 9)), "obs_intervals": [(0, 1)]},
        "Given: recording_s, obs_intervals. Leave that out, or map events_s",
    ),
    "starts for other stops": (
        ({"spike_times": "st", "start_s": "ids", "stop_s": "label"},),
        {"bin_width_s": 0.1},
        "Given: 3 and 6. Map one of each",
    ),
    "spikes of trials without a window": (({"spike_times": "st"},), {"bin_width_s": 0.1}, "window_s"),
    "spikes that are NaN": (({"spike_times": "st", "events_s": "ids"},), {"window": WINDOW}, "NaN or infinite"),
    "an unknown option": (({"spike_times": "st"},), {"window": WINDOW, "windows": 1}, "windows"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_mappings_are_named_and_the_file_is_listed(mat, case):
    (mapping,), arguments, message = BAD[case]
    path = mat(
        {
            "data": {"spikes": COUNTS, "hand": HAND.astype(float)},
            "label": np.arange(6),
            "ids": np.array([1.0, 2.0, 3.0]),
            "name": "monkey",
            "st": cells([np.array([0.1, np.nan]), np.array([0.2])], (1, 2)),
        }
    )
    with pytest.raises(RecordingError, match=f"(?s){message}"):
        read_mat(path, mapping, **arguments)


def test_one_cell_array_of_units_needs_events(mat):
    path = mat({"st": cells([np.array([0.1, 0.4]), np.array([0.2])], (1, 2))})
    # Units by trials: one unit in two trials.
    trials = read_mat(path, {"spike_times": "st"}, Window(window_s=(0, 0.5), bin_width_s=0.5))
    assert trials.counts[:, 0, 0].tolist() == [2, 1]


@pytest.mark.parametrize("damage", ["truncated", "noise", "empty", "other"])
def test_damaged_files_are_named(mat, damage):
    path = mat({"several": Structs([{"a": COUNTS[i]} for i in range(6)]), "n": COUNTS})
    raw = bytearray(path.read_bytes())
    if damage == "truncated":
        raw = raw[: len(raw) // 2]
    elif damage == "noise":
        raw[200:] = RNG.bytes(len(raw) - 200)
    path.write_bytes({"empty": b"", "other": b"%PDF-1.7 " * 100}.get(damage, bytes(raw)))
    with pytest.raises(RecordingError, match=r"session.mat"):
        read_mat(path, {"counts": "n"}, bin_width_s=0.1)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no more", b"text"])
def test_damaged_npz_is_named(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(RecordingError, match="x.npz cannot be read as npz"):
        read_npz(tmp_path / "x.npz", {"counts": "n"}, bin_width_s=0.1)


def test_damaged_copies_of_npz_never_give_other_trials_silently(tmp_path):
    """A zip file carries checksums."""
    npz = tmp_path / "x.npz"
    np.savez_compressed(npz, n=COUNTS)
    raw = np.frombuffer(npz.read_bytes(), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = raw.copy()
        damaged[rng.integers(len(raw), size=3)] ^= rng.integers(1, 256, size=3).astype(np.uint8)
        npz.write_bytes(damaged.tobytes())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trials = read_npz(npz, {"counts": "n"}, bin_width_s=0.1)
        except RecordingError:
            continue
        assert np.array_equal(trials.counts, COUNTS)


def test_no_file(tmp_path):
    for read in (read_npz, read_mat):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            read(tmp_path / "nowhere", {"counts": "n"})
