"""Which sequence a trial belongs to, and what is refused."""

import numpy as np
import pytest

from indl.data import Trials, chop
from indl.data.prepare.joining import join_sessions
from indl.model.inputs.sequences import sequence_rows, sequences_of
from indl.params import preset
from tests.messages import faults

P = preset("fhvae")


def trials(n=12, time=6, **fields):
    return Trials(np.random.default_rng(0).poisson(2.0, (n, time, 3)), 0.02, **fields)


def found(recording, **changes):
    """The names of sequences and the rows of both parts."""
    p = {**P, **changes}
    p |= sequences_of(recording, p)
    return p, [sequence_rows(part, p) for part in (recording.train, recording.valid)]


def test_windows_are_of_the_trial_that_they_were_cut_from():
    long = trials(5, 20)
    windows = chop(long, 6, 2)
    recording = windows.split(0.4, block=4, seed=1)
    p, rows = found(recording)
    assert p["f_prior_sequence"] == "trial" and p["f_prior_n_seqs"] == 5
    for part, row in zip((recording.train, recording.valid), rows, strict=True):
        for x, i, start_row in zip(part.recon, part.inds, row, strict=True):
            begin = (i - p["f_prior_sequences"][start_row]) * 4
            assert np.array_equal(x, long.counts[start_row, begin : begin + 6])


@pytest.mark.parametrize("kind", ["auto", "label"])
def test_labels_are_sequences(kind):
    label = np.array(["b", "a", "c"] * 4)
    recording = trials(label=label).split(valid=[0, 1])
    p, rows = found(recording, f_prior_sequence=kind)
    assert (p["f_prior_sequence"], p["f_prior_sequences"], p["f_prior_n_seqs"]) == ("label", ["a", "b", "c"], 3)
    assert rows[1].tolist() == [1, 0]
    assert [p["f_prior_sequences"][row] for row in rows[0]] == recording.train.label.tolist()
    # More rows than sequences stay; whole numbers may have come as floats.
    blocks = trials(label=np.repeat([5.0, 2.0], 6)).split(0.5)
    p, _ = found(blocks, f_prior_n_seqs=7)
    assert (p["f_prior_sequences"], p["f_prior_n_seqs"]) == ([2, 5], 7)


def test_sessions_come_before_labels():
    parts = [trials(label=np.arange(12) % 2).split(0.25) for _ in range(2)]
    joined = join_sessions(dict(zip("ab", parts, strict=True)))
    p, rows = found(joined)
    assert (p["f_prior_sequence"], p["f_prior_sequences"]) == ("session", [0, 1])
    assert np.array_equal(rows[0], joined.train.session)


def test_sequences_that_are_named_stay():
    recording = trials(label=np.repeat([3, 1], 6)).split(0.5)
    p, rows = found(recording, f_prior_sequence="label", f_prior_sequences=[3, 2, 1], f_prior_n_seqs=3)
    assert p["f_prior_sequences"] == [3, 2, 1]
    assert np.array_equal(rows[0], np.where(recording.train.label == 3, 0, 2))


@pytest.mark.parametrize(
    "fields, changes, words",
    [
        ({}, {}, ["no sequences", "'auto'", "none of trial, session and label", "indl.data.chop"]),
        ({"label": np.arange(12) % 2}, {"f_prior_sequence": "trial"}, ["'trial'", "with label", "chop"]),
        ({"label": np.arange(12)}, {}, ["something in common", "12 trials, each with a label of its own"]),
        ({"label": np.arange(12) / 2}, {}, ["whole numbers", "labels of type float64", "such as"]),
        (
            {"label": np.arange(12) % 3},
            {"f_prior_sequence": "label", "f_prior_sequences": [0, 1]},
            ["no row for", "label 2", "f_prior_n_seqs"],
        ),
        ({"label": np.arange(12) % 3}, {"f_prior_sequence": "session", "f_prior_sequences": [0]}, ["a part without"]),
    ],
)
def test_what_has_no_sequence_is_told(fields, changes, words):
    recording = trials(**fields).split(valid=[0, 1, 2])
    with pytest.raises(ValueError) as told:
        found(recording, **changes)
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)


def test_a_model_without_names_cannot_tell_rows():
    part = trials(label=np.arange(12) % 3).split(0.5).train
    with pytest.raises(ValueError, match="f_prior_sequences=None.*indl.train"):
        sequence_rows(part, P)
