"""Trials: what goes in comes out where it belongs, whatever is selected, padded, joined or split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indl.data import Trials, load_recording, save_recording
from indl.data.values.trials import PER_TRIAL, pad_trials, time_mask


def numbered(n_trials=12, n_times=5, n_channels=4):
    """Every entry tells its trial, time and channel."""
    t, k, c = np.meshgrid(np.arange(n_trials), np.arange(n_times), np.arange(n_channels), indexing="ij")
    return 1 + c + 10 * k + 1000 * t


def full(counts=None, **changes):
    counts = numbered() if counts is None else counts
    n = len(counts)
    arrays = {
        "label": np.arange(n) % 2,
        "start_s": np.arange(n) * 2.0,
        "behavior": counts[:, :, :2] * 2.0,
        "ext_input": counts[:, :, :1] * 3.0,
        "truth": counts / 7,
        "latents": counts[:, :, :3] * 5.0,
        "channel_ids": [f"unit {i}" for i in range(counts.shape[2])],
        "attrs": {"area": "M1"},
        "source": "here",
    }
    return Trials(counts, 0.02, **(arrays | changes))


def test_arrays_are_kept_as_they_are_and_cannot_be_changed():
    counts = numbered().astype(np.float32)
    trials = full(counts)
    assert np.array_equal(trials.counts, numbered()) and trials.counts.dtype == np.float32
    assert trials.inds.tolist() == list(range(12)) and (trials.n_times, trials.n_channels, len(trials)) == (5, 4, 12)
    counts[0, 0, 0] = 77
    assert trials.counts[0, 0, 0] == 1
    for name in ("counts", "channel_ids", *PER_TRIAL):
        with pytest.raises(ValueError, match="read-only"):
            getattr(trials, name)[0] = 0
    with pytest.raises(AttributeError):
        trials.counts = counts


@pytest.mark.parametrize(
    "which",
    [[3, 1, 1], slice(2, 9, 3), np.arange(12) > 8, -1, np.array([0])],
    ids=["indices", "slice", "mask", "one", "array"],
)
def test_selected_trials_take_everything_along(which):
    trials, rows = full(), np.atleast_1d(np.arange(12)[which])
    some = trials[which]
    for name in ("counts", *PER_TRIAL):
        assert np.array_equal(getattr(some, name), getattr(trials, name)[rows]), name
    assert some.attrs == trials.attrs and some.source == "here" and some.bin_width_s == 0.02


@pytest.mark.parametrize("which", [[3, 1], slice(1, 3), np.array([True, False, False, True])])
def test_selected_channels_take_their_ids_and_truth_along(which):
    trials, some = full(), full().channels(which)
    assert np.array_equal(some.counts, trials.counts[:, :, which])
    assert np.array_equal(some.truth, trials.truth[:, :, which])
    assert some.channel_ids.tolist() == trials.channel_ids[which].tolist()
    assert np.array_equal(some.behavior, trials.behavior)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_trials_of_different_length(lengths, seed):
    rng = np.random.default_rng(seed)
    signals = [rng.poisson(1.0, (n, 3)) + 1 for n in lengths]
    moves = [rng.normal(size=(n, 2)).astype(np.float32) for n in lengths]
    trials = Trials.from_list(signals, 0.01, behavior=moves)
    assert trials.lengths.tolist() == lengths and trials.missing == (min(lengths) < max(lengths))
    assert np.array_equal(trials.mask, np.arange(max(lengths)) < np.array(lengths)[:, None])
    for i, n in enumerate(lengths):
        assert np.array_equal(trials.counts[i, :n], signals[i]) and np.isnan(trials.counts[i, n:]).all()
        assert np.array_equal(trials.behavior[i, :n], moves[i]) and np.isnan(trials.behavior[i, n:]).all()
    mean = np.concatenate(signals).mean() / 0.01
    assert trials.mean_rate_hz == pytest.approx(mean)


def test_a_gap_is_no_end():
    counts = np.ones((3, 6, 2))
    counts[0, 2:4] = np.nan  # a gap
    counts[1, 3:] = np.nan  # an end
    counts[2, 4, 0] = np.nan  # a sample
    counts[2, 5] = np.nan
    assert time_mask(counts).sum(axis=1).tolist() == [6, 3, 5]
    trials = Trials(counts, 0.01, missing=True)
    assert trials.lengths.tolist() == [6, 3, 5]
    # 4 of the gap and one more; what lies after the end is not missing.
    assert "lengths 3 to 6 bins" in repr(trials) and "5 samples missing" in repr(trials)


def test_missing_samples_must_be_meant():
    counts = np.ones((3, 6, 2))
    counts[1, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"counts must be finite. Given: 1 NaN.*\(1, 2, 1\).*missing=True"):
        Trials(counts, 0.01)
    counts[1] = np.nan
    with pytest.raises(ValueError, match="something in every trial.*trial 1"):
        Trials(counts, 0.01, missing=True)


def test_parts_of_a_session_are_joined():
    trials = full()
    joined = Trials.concatenate([trials[:5], trials[5:6], trials[6:]])
    for name in ("counts", "channel_ids", *PER_TRIAL):
        assert np.array_equal(getattr(joined, name), getattr(trials, name)), name
    assert joined.attrs == {"area": "M1"} and joined.source == "here" and not joined.missing


def test_joining_pads_and_numbers_anew():
    short = full(numbered(3, 4), attrs={"area": "M1", "day": 1}, source="a")
    long = full(numbered(2, 6), attrs={"area": "M1", "day": 2, "more": 0}, source="b")
    joined = Trials.concatenate([short, long])
    assert joined.lengths.tolist() == [4, 4, 4, 6, 6] and joined.missing
    assert np.array_equal(joined.counts[:3, :4], short.counts) and np.array_equal(joined.counts[3:], long.counts)
    assert np.isnan(joined.behavior[:3, 4:]).all()
    assert joined.inds.tolist() == [0, 1, 2, 3, 4] and joined.start_s.tolist() == [0, 2, 4, 0, 2]
    assert joined.attrs == {"area": "M1"} and joined.source == "a + b"


@pytest.mark.parametrize(
    "other, words",
    [
        ({"channel_ids": [3, 2, 1, 0]}, "same channel_ids"),
        ({"label": None}, "All parts must hold the same arrays. Given: label in 1 of 2"),
        ({"are_counts": False}, "same are_counts"),
    ],
)
def test_parts_that_do_not_fit(other, words):
    with pytest.raises(ValueError, match=words):
        Trials.concatenate([full(), full(**other)])
    with pytest.raises(ValueError, match="Given: no trials"):
        Trials.concatenate([])


def test_splitting_keeps_every_number_in_its_place():
    trials = full()
    recording = trials.split(0.25, heldout=[3, 1], forward_steps=2, seed=4)
    assert recording.channel_ids.tolist() == ["unit 0", "unit 2", "unit 3", "unit 1"]
    assert (recording.n_heldin, recording.n_heldout, recording.n_times, recording.forward_steps) == (2, 2, 3, 2)
    assert sorted([*recording.train.inds, *recording.valid.inds]) == list(range(12))
    assert len(recording.valid) == 3
    for part in (recording.train, recording.valid):
        expected = numbered()[part.inds][:, :, [0, 2, 3, 1]]
        assert np.array_equal(part.recon, expected) and np.array_equal(part.encod, expected[:, :3, :2])
        assert np.allclose(part.truth, expected / 7)
        for name in ("label", "start_s", "behavior", "ext_input", "latents"):
            assert np.array_equal(getattr(part, name), getattr(trials, name)[part.inds]), name
        assert part.recon.flags.c_contiguous
    assert recording.attrs == {"area": "M1"} and recording.source == "here"


def test_with_nothing_held_out_input_and_target_are_one_array():
    recording = full().split()
    assert recording.train.encod is recording.train.recon and recording.valid.encod is recording.valid.recon
    assert full().split(forward_steps=1).train.encod.shape[1] == 4


def test_a_split_can_be_given():
    recording = full().split(valid=[5, 2])
    assert recording.valid.inds.tolist() == [2, 5] and len(recording.train) == 10


def test_split_and_channels_are_functions_of_the_seed():
    first, again, other = (full(numbered(40, 3, 12)).split(heldout=4, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.valid.inds, again.valid.inds)
    assert first.channel_ids.tolist() == again.channel_ids.tolist() != other.channel_ids.tolist()
    assert not np.array_equal(first.valid.inds, other.valid.inds)
    assert np.bincount(first.valid.label).tolist() == [4, 4]


@pytest.mark.parametrize("options", [{"forward_steps": 2}, {"heldout": [0, 1]}])
def test_the_encoder_must_see_something_of_every_trial(options):
    counts = np.ones((6, 5, 3))
    counts[4, :3] = np.nan
    counts[4, :, :2] = np.nan if "forward_steps" in options else counts[4, :, :2]
    counts[4, :, 2] = np.nan if "heldout" in options else counts[4, :, 2]
    with pytest.raises(ValueError, match="see something of every trial. Given: 1 trials.*first is trial 4"):
        Trials(counts, 0.01, missing=True).split(**options)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"forward_steps": 5}, "at least one bin for the encoder. Given: 5 of 5"),
        ({"forward_steps": -1}, "forward_steps"),
        ({"heldout": 4}, "at least one channel for the encoder. Given: 4 of 4"),
        ({"heldout": [0, 1, 2, 3]}, "leave at least one channel"),
        ({"valid_fraction": 1.0}, "fraction between 0 and 1"),
        ({"valid": np.zeros(12, bool)}, "Given: 0 validation trials of 12"),
        ({"valid": [12]}, "Give indices from 0 to 11"),
    ],
)
def test_what_cannot_be_split(change, words):
    with pytest.raises(ValueError, match=words):
        full().split(**change)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"bin_width_s": 20.0}, "in seconds"),
        (
            {"label": np.zeros(3)},
            r"label does not fit the trials. Given: shape \(3,\).*one value a trial: shape \(12,\)",
        ),
        ({"inds": np.zeros((12, 2))}, "inds does not fit the trials"),
        ({"start_s": 1.0}, "start_s does not fit the trials"),
        ({"behavior": np.zeros((12, 4, 2))}, r"behavior does not fit.*shape \(12, 5, dimensions\)"),
        ({"ext_input": np.zeros((12, 4))}, "ext_input does not fit"),
        ({"truth": np.zeros((12, 5, 3))}, r"truth does not fit.*shape \(12, 5, 4\)"),
        ({"latents": np.zeros((3, 5, 3))}, "latents does not fit"),
        ({"channel_ids": [1, 2]}, "one id a channel"),
        ({"counts": -numbered()}, "counts must hold counts"),
        ({"counts": numbered()[0]}, "counts must have 3 axes"),
    ],
)
def test_what_cannot_be_trials(change, words):
    arguments = {"counts": numbered(), "bin_width_s": 0.02} | change
    with pytest.raises(ValueError, match=words):
        Trials(**arguments)


@pytest.mark.parametrize(
    "trials, options, words",
    [
        ([], {}, "at least one bin"),
        ([np.ones((3, 2)), np.ones((0, 2))], {}, r"Given: shapes \[\(3, 2\), \(0, 2\)\]"),
        ([np.ones(3)], {}, r"\(time, channels\)"),
        ([np.ones((3, 2)), np.ones((3, 4))], {}, "must have the same channels"),
        ([np.ones((3, 2))], {"behavior": [np.ones((2, 1))]}, "behavior must have the bins of every trial.*trial 0"),
        ([np.ones((3, 2))], {"truth": []}, "truth must have the bins of every trial. Given: 0 trials for 1"),
    ],
)
def test_lists_that_do_not_fit(trials, options, words):
    with pytest.raises(ValueError, match=words):
        Trials.from_list(trials, 0.01, **options)


def test_padding_fills_with_nan():
    padded = pad_trials([[[1, 2]], [[3, 4], [5, 6]]])
    assert np.array_equal(padded, [[[1, 2], [np.nan, np.nan]], [[3, 4], [5, 6]]], equal_nan=True)


def test_repr_says_what_one_wants_to_know():
    assert repr(full(numbered() * 0 + 2)) == (
        "Trials(here, 12 trials, 5 bins of 20 ms, 4 channels, mean 100.0 Hz, 2 conditions, behavior (2 dims), "
        "ext_input (1 dims), truth, latents)"
    )
    assert "a signal" in repr(Trials(np.full((2, 3, 1), 0.5), 0.01, are_counts=False))


def test_trials_that_go_on_in_held_out_channels_alone_are_refused():
    counts = np.random.default_rng(0).poisson(1.0, (10, 8, 4)).astype(float)
    counts[3, 6:, :3] = np.nan
    trials = Trials(counts, 0.02, missing=True)
    with pytest.raises(ValueError, match="1 trials that go on in held-out channels alone, the first is trial 3"):
        trials.split(heldout=[3])
    assert trials.split(heldout=[0]).n_heldout == 1


def test_split_signal_stays_a_signal(tmp_path):
    recording = Trials(np.random.default_rng(0).normal(size=(10, 6, 3)), 0.02, are_counts=False).split()
    assert not recording.are_counts and "a signal" in repr(recording)
    save_recording(recording, tmp_path / "signal.h5")
    again = load_recording(tmp_path / "signal.h5")
    assert not again.are_counts
    np.testing.assert_array_equal(again.valid.recon, recording.valid.recon)
