"""Cutting into windows and merging: exact where nothing changed, the written weights where something did."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indl.data import ChopPlan, Trials, chop, load_continuous, load_trials, merge, save_trials


def brute_force(values, plan, power):
    """Every bin on its own, from the sentence that defines the weights."""
    merged = np.full((len(plan.lengths), max(plan.lengths), *values.shape[2:]), np.nan)
    o, width = plan.overlap_bins, plan.window_bins
    x = np.linspace(1 / o, 1 - 1 / o, o) if o else []
    for trial, length in enumerate(plan.lengths):
        starts, row = [], int(np.sum(plan.trial < trial))
        while True:
            start = len(starts) * (width - o)
            if start + width > length and (plan.last == "drop" or (start > 0 and start + o >= length)):
                break
            starts.append(start)
        for t in range(length):
            covering = [i for i, start in enumerate(starts) if start <= t < start + width]
            if len(covering) == 1:
                merged[trial, t] = values[row + covering[0], t - starts[covering[0]]]
            elif covering:
                first, second = covering
                weight = x[t - starts[second]] ** power
                a, b = values[row + first, t - starts[first]], values[row + second, t - starts[second]]
                merged[trial, t] = (1 - weight) * a + weight * b
    return merged


@st.composite
def plans(draw):
    window = draw(st.integers(1, 12))
    overlap = draw(st.integers(0, window // 2))
    last = draw(st.sampled_from(["drop", "pad"]))
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    if last == "drop":
        lengths[0] = max(lengths[0], window)
    return ChopPlan(tuple(lengths), window, overlap, last)


@settings(max_examples=150, deadline=None)
@given(plan=plans(), power=st.sampled_from([0.5, 1.0, 2.0, 7.0, np.inf]), seed=st.integers(0, 99))
def test_merging_is_the_written_weighting(plan, power, seed):
    values = np.random.default_rng(seed).normal(size=(len(plan), plan.window_bins, 2))
    merged = merge(values, plan, power=power)
    assert np.allclose(merged, brute_force(values, plan, power), rtol=0, atol=1e-12, equal_nan=True)


@settings(max_examples=150, deadline=None)
@given(
    plan=plans(), power=st.sampled_from([0.3, 1.0, 2.0, np.inf]), seed=st.integers(0, 99), dtype=st.sampled_from("fd")
)
def test_what_was_cut_comes_back_exactly(plan, power, seed, dtype):
    rng = np.random.default_rng(seed)
    # Of all magnitudes, so that any rounding would show.
    signals = [(rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-30, 30, (n, 3))).astype(dtype) for n in plan.lengths]
    trials = Trials.from_list(signals, 0.01, are_counts=False)
    merged = merge(chop(trials, plan.window_bins, plan.overlap_bins, last=plan.last).counts, plan, power=power)
    step = plan.window_bins - plan.overlap_bins
    for signal, found in zip(signals, merged, strict=True):
        n = len(signal)
        covered = n if plan.last == "pad" else max(0, (n - plan.overlap_bins) // step * step + plan.overlap_bins)
        covered = 0 if n < plan.window_bins and plan.last == "drop" else covered
        assert np.array_equal(found[:covered], signal[:covered].astype(np.float32))
        assert np.isnan(found[covered:]).all()


@pytest.mark.parametrize("overlap, power, expected", [(2, 2, 0.25), (2, 1, 0.5), (1, 2, 1.0), (1, np.inf, 1.0)])
def test_weights_of_short_overlaps(overlap, power, expected):
    values = np.stack([np.zeros((4, 1)), np.ones((4, 1))])
    merged = merge(values, ChopPlan(8 - overlap, 4, overlap), power=power)
    assert merged[0, 4 - overlap : 4, 0].tolist() == [expected] * overlap


def test_weights_of_a_longer_overlap():
    values = np.stack([np.zeros((8, 1)), np.ones((8, 1))])
    plan = ChopPlan(12, 8, 4)
    assert np.allclose(merge(values, plan)[0, 4:8, 0], np.array([3, 5, 7, 9]) ** 2 / 144)
    assert np.array_equal(merge(values, plan, power=np.inf)[0, :, 0], [0] * 8 + [1] * 4)


def test_the_trials_carry_everything_along():
    time = np.arange(11)
    lengths = [11, 7]
    signals = [np.stack([time[:n], time[:n] + 100 * (i + 1)], axis=1) for i, n in enumerate(lengths)]
    trials = Trials.from_list(
        signals,
        0.5,
        behavior=[-signal[:, :1] for signal in signals],
        truth=[signal / 2 for signal in signals],
        label=["a", "b"],
        start_s=[10.0, 50.0],
        channel_ids=["x", "y"],
        attrs={"area": "M1"},
    )
    windows = chop(trials, 4, 1)
    assert windows.counts[:, :, 0].tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9], [0, 1, 2, 3], [3, 4, 5, 6]]
    assert np.array_equal(windows.behavior, -windows.counts[:, :, :1])
    assert np.array_equal(windows.truth, windows.counts / 2)
    assert windows.label.tolist() == ["a", "a", "a", "b", "b"]
    assert windows.start_s.tolist() == [10, 11.5, 13, 50, 51.5]
    assert windows.inds.tolist() == [0, 1, 2, 3, 4]
    assert windows.attrs["area"] == "M1" and windows.channel_ids.tolist() == ["x", "y"] and not windows.missing
    padded = chop(trials, 4, 1, last="pad")
    assert padded.lengths.tolist() == [4, 4, 4, 2, 4, 4]
    assert padded.missing and np.isnan(padded.behavior[3, 2:]).all()
    assert np.array_equal(merge(padded.counts, padded), trials.counts, equal_nan=True)


def test_windows_without_a_sample_are_left_out_and_stay_empty():
    counts = np.random.default_rng(0).poisson(1.0, (1, 40, 3)).astype(float)
    counts[0, 8:21] = np.nan
    counts[0, 30, 1] = np.nan
    trials = Trials(counts, 0.01, missing=True)
    windows = chop(trials, 5, 1)
    assert windows.inds.tolist() == [0, 1, 5, 6, 7, 8]
    merged = merge(windows.counts, windows)
    assert np.array_equal(merged[:, :37], trials.counts[:, :37], equal_nan=True) and np.isnan(merged[:, 37:]).all()


def test_merging_takes_windows_in_any_order_and_some_of_them():
    values = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    plan = ChopPlan(40, 8, 3)
    windows = chop(values, 8, 3)
    order = np.random.default_rng(1).permutation(len(plan))
    assert np.array_equal(merge(windows[order], plan, inds=order), merge(windows, plan), equal_nan=True)
    some = merge(windows[[1, 4]], plan, inds=[1, 4])[0]
    assert np.array_equal(some[5:13], values[5:13]) and np.array_equal(some[20:28], values[20:28])
    assert np.isnan(some).all(axis=1).sum() == 40 - 16


def test_arrays_are_cut_as_they_are():
    values = np.arange(24, dtype=np.uint8).reshape(2, 6, 2)
    assert chop(values, 3).dtype == np.uint8
    assert np.array_equal(chop(values, 3), values.reshape(4, 3, 2))
    assert np.array_equal(chop(values[0], 4, last="pad")[1, :2], values[0, 4:])
    with pytest.raises(ValueError, match=r"\(trials, time, channels\) or \(time, channels\). Given: shape \(24,\)"):
        chop(values.ravel(), 3)


def continuous(n_times=400):
    counts = np.random.default_rng(0).poisson(1.0, (1, n_times, 3))
    return Trials(counts, 0.01, start_s=[0.0])


@pytest.mark.parametrize("overlap", [0, 3, 5])
@pytest.mark.parametrize("block", [1, 5])
@pytest.mark.filterwarnings("ignore:Training windows that share bins")
def test_no_bin_is_in_both_parts(overlap, block):
    windows = chop(continuous(), 10, overlap)
    recording = windows.split(0.2, block=block, seed=3)
    step = 10 - overlap
    bins = {
        part: {i * step + t for i in getattr(recording, part).inds for t in range(10)} for part in ("train", "valid")
    }
    assert not bins["train"] & bins["valid"]
    left_out = len(windows) - len(recording.train) - len(recording.valid)
    # A block has two ends; one of them may be an end of the recording.
    n_blocks = -(-len(recording.valid) // block)
    assert left_out == 0 if overlap == 0 else 0 < left_out <= 2 * n_blocks
    again = merge(windows.counts, recording)
    assert np.array_equal(
        again[0, : 10 + step * (len(windows) - 1)], continuous().counts[0, : len(windows) * step + overlap]
    )


def test_windows_of_other_trials_are_no_neighbours():
    trials = Trials(np.ones((2, 12, 1)), 0.01)
    windows = chop(trials, 4, 2)
    assert windows.inds.tolist() == list(range(10))
    recording = windows.split(valid=[5, 6, 7, 8, 9])
    assert recording.train.inds.tolist() == [0, 1, 2, 3, 4]
    recording = windows.split(valid=[6])
    assert recording.train.inds.tolist() == [0, 1, 2, 3, 4, 8, 9]


def test_small_blocks_are_answered():
    windows = chop(continuous(), 10, 5)
    with pytest.warns(UserWarning, match="Training windows that share bins.*Give a larger block") as warned:
        windows.split(0.3, seed=0)
    assert warned[0].filename == __file__
    with pytest.raises(ValueError, match="No training window is free.*larger block"):
        chop(continuous(15), 10, 5).split(0.5)


def test_the_plan_survives_a_file(tmp_path):
    windows = chop(continuous(), 10, 4)[3:30]
    save_trials(windows, tmp_path / "w.h5")
    again = load_trials(tmp_path / "w.h5")
    assert ChopPlan.of(again.attrs) == ChopPlan((400,), 10, 4)
    assert np.array_equal(merge(again.counts, again), merge(windows.counts, windows), equal_nan=True)
    assert ChopPlan.of({}) is None


def test_a_real_recording_comes_back(recording_path):
    trials = load_continuous(recording_path("adan_day0.h5"))
    for overlap, power in ((0, 2), (10, 2), (15, np.inf)):
        windows = chop(trials, 30, overlap, last="pad")
        assert np.array_equal(merge(windows.counts, windows, power=power), trials.counts)
        assert np.array_equal(merge(windows.behavior, windows, power=power), trials.behavior)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((10, 0), "window_bins must be a whole number from 1 on. Given: 0"),
        ((10, 2.5), "window_bins must be a whole number from 1 on. Given: 2.5"),
        ((10, 4, -1), "overlap_bins must be a whole number from 0 on. Given: -1"),
        ((10, 4, 3), "overlap by half at most. Given: 3 of 4"),
        ((10, 4, 2, "cut"), "fill no window. Given: 'cut'"),
        (((5, 9), 10), "No window fits. Given: windows of 10 bins for trials of 9 bins"),
    ],
)
def test_a_plan_that_cannot_be(arguments, words):
    with pytest.raises(ValueError, match=words):
        ChopPlan(*arguments)


@pytest.mark.parametrize(
    "shape, options, words",
    [
        ((3, 5, 2), {}, r"must be those of the windows. Given: shape \(3, 5, 2\) for 3 windows of 4 bins"),
        ((2, 4, 2), {}, "Given: shape .* for 3 windows"),
        ((3,), {}, "Given: shape"),
        ((2, 4, 2), {"inds": [0, 0]}, "different indices of the 3 windows"),
        ((2, 4, 2), {"inds": [0, 3]}, "different indices of the 3 windows"),
        ((2, 4, 2), {"inds": [0.0, 1.0]}, "different indices"),
        ((3, 4, 2), {"power": -1}, "power must not be negative. Given: -1"),
        ((3, 4, 2), {"power": np.nan}, "power must not be negative"),
    ],
)
def test_what_cannot_be_merged(shape, options, words):
    with pytest.raises(ValueError, match=words):
        merge(np.zeros(shape), ChopPlan(12, 4), **options)


def test_trials_that_were_not_cut_cannot_be_merged():
    with pytest.raises(ValueError, match="how the windows were cut"):
        merge(np.zeros((1, 400, 3)), continuous())
