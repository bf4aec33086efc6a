"""A recording keeps what it was given, in the right order, and cannot be changed."""

import numpy as np
import pytest

from indl.data import Recording, Split, Trials


def numbered(n_trials=20, n_times=3, n_channels=5):
    """Every entry tells its trial, time and channel."""
    t, k, c = np.meshgrid(np.arange(n_trials), np.arange(n_times), np.arange(n_channels), indexing="ij")
    return 1 + c + 10 * k + 1000 * t


def test_a_split_takes_every_array_along():
    counts = numbered()
    trials = np.arange(20)
    recording = Trials(
        counts,
        0.01,
        label=trials % 2,
        behavior=counts[:, :, :2] * 2.0,
        truth=counts / 7,
        latents=counts[:, :, :1] * 3.0,
    ).split(0.25, heldout=[3, 1])
    assert recording.channel_ids.tolist() == [0, 2, 4, 3, 1]
    assert (recording.n_heldin, recording.n_heldout, recording.n_times, recording.forward_steps) == (3, 2, 3, 0)
    assert sorted([*recording.train.inds, *recording.valid.inds]) == list(trials)
    assert len(recording.valid) == 5
    for part in (recording.train, recording.valid):
        expected = counts[part.inds][:, :, [0, 2, 4, 3, 1]]
        assert np.array_equal(part.recon, expected) and part.recon.dtype == np.float32
        assert np.array_equal(part.encod, expected[:, :, :3])
        assert np.allclose(part.truth, expected / 7)
        assert np.array_equal(part.label, part.inds % 2)
        assert np.array_equal(part.behavior, counts[part.inds][:, :, :2] * 2)
        assert np.array_equal(part.latents, counts[part.inds][:, :, :1] * 3)


def test_the_split_is_stratified_and_seeded():
    label = np.repeat([0, 1, 2], [40, 40, 20])
    counts = np.ones((100, 2, 8), int)
    first, again, other = (Trials(counts, 0.01, label=label).split(heldout=2, seed=s) for s in (0, 0, 1))
    assert np.bincount(first.valid.label).tolist() == [8, 8, 4]
    assert np.array_equal(first.valid.inds, again.valid.inds)
    assert np.array_equal(first.channel_ids, again.channel_ids)
    assert not np.array_equal(first.valid.inds, other.valid.inds)


def test_a_label_that_cannot_be_stratified_is_said():
    with pytest.warns(UserWarning, match="not stratified.*20 conditions"):
        Trials(numbered(), 0.01, label=np.arange(20)).split()


def test_a_recording_cannot_be_changed_and_leaves_its_source_alone():
    counts = numbered().astype(np.float32)
    recording = Split(encod=counts, recon=counts)
    with pytest.raises(ValueError, match="read-only"):
        recording.encod[0, 0, 0] = 5
    counts[0, 0, 0] = 77
    assert recording.encod[0, 0, 0] == 1
    with pytest.raises(AttributeError):
        recording.encod = counts


def test_as_full_shows_the_encoder_everything():
    counts = np.ones((4, 6, 3))
    parts = [Split(encod=counts[:, :4, :2], recon=counts * k) for k in (2, 3)]
    recording = Recording(*parts, 0.01, np.arange(3))
    assert (recording.n_heldout, recording.forward_steps) == (1, 2)
    full = recording.as_full()
    assert (full.n_heldout, full.forward_steps, full.n_times) == (0, 0, 6)
    assert np.array_equal(full.valid.encod, counts * 3)


def test_an_external_input_may_begin_after_the_segment_of_the_initial_condition():
    counts = np.ones((4, 6, 3))
    for n_times, fits in ((6, True), (5, True), (2, True), (1, True), (0, False), (7, False)):
        ext_input = np.zeros((4, n_times, 2))
        if fits:
            assert Split(encod=counts[:, :5], recon=counts, ext_input=ext_input).ext_input.shape == (4, n_times, 2)
        else:
            with pytest.raises(ValueError, match="ext_input does not fit"):
                Split(encod=counts[:, :5], recon=counts, ext_input=ext_input)


def test_missing_samples_have_no_part_in_the_mean_rate():
    counts = np.ones((10, 4, 3))
    counts[:, 2:, 1] = np.nan
    recording = Trials(counts, 0.02, missing=True).split()
    assert recording.has_missing and recording.mean_rate_hz == 50
    assert "missing samples" in repr(recording)
    assert not Trials(np.ones((10, 4, 3)), 0.02).split().has_missing


def test_repr_says_what_one_wants_to_know():
    counts = np.ones((10, 4, 3))
    text = repr(Trials(counts, 0.02, label=np.arange(10) % 2, source="here").split(heldout=1))
    for word in ("here", "8 train + 2 valid", "4 bins of 20 ms", "2 channels", "1 held-out", "50.0 Hz", "2 conditions"):
        assert word in text


@pytest.mark.parametrize(
    "change, words",
    [
        ({"counts": np.ones((1, 4, 3))}, "at least one trial"),
        ({"valid_fraction": 0.0}, "between 0 and 1"),
        ({"valid_fraction": 1.5}, "between 0 and 1"),
        ({"heldout": 3}, "leave at least one channel"),
        ({"heldout": [0, 0]}, "different channel indices"),
        ({"heldout": [5]}, "indices from 0 to 2"),
        ({"heldout": [0.5]}, "different channel indices"),
        ({"label": np.zeros(4)}, "label does not fit the trials"),
        ({"behavior": np.zeros((10, 7, 2))}, "behavior does not fit"),
        ({"behavior": 3.0}, "behavior does not fit the trials"),
        ({"truth": np.zeros((10, 4, 2))}, "truth does not fit the trials"),
        ({"latents": np.zeros((10, 3))}, "latents does not fit"),
        ({"bin_width_s": 20.0}, "in milliseconds|seconds"),
        ({"channel_ids": [1, 2]}, "one id a channel"),
        ({"counts": np.full((10, 4, 3), np.nan)}, "must be finite"),
    ],
)
def test_what_cannot_be_a_recording_is_refused(change, words):
    arguments = {"counts": np.ones((10, 4, 3)), "bin_width_s": 0.02} | change
    with pytest.raises(ValueError, match=words):
        how = {name: arguments.pop(name) for name in ("valid_fraction", "heldout") if name in arguments}
        Trials(**arguments).split(**how)


def test_parts_with_different_channels_are_refused():
    train, valid = (Split(encod=np.ones((2, 3, n)), recon=np.ones((2, 3, n))) for n in (4, 5))
    with pytest.raises(ValueError, match=r"same bins and channels. Given: \(3, 4\) and \(3, 5\)"):
        Recording(train, valid, 0.01, np.arange(4))
