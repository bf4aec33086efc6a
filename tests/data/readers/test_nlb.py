"""Files in the layout of nlb_tools: what they hold and hide, targets written again, and errors. faults.md D."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from indl.data import NLBData, RecordingError, Trials, read_nlb, write_nlb_targets
from indl.files import OutputError
from tests.messages import faults
from tests.nlb_files import BINS, FORWARD, HELDIN, HELDOUT, N_EVAL, N_TRAIN, known, layout, ragged, write, written

_, COUNTS, HAND = known()


@pytest.fixture
def paths(tmp_path):
    return written(tmp_path)


def test_trials_are_those_of_the_files_in_their_order(paths):
    """faults.md D: files in the layout of nlb_tools."""
    data = read_nlb(*paths)
    np.testing.assert_array_equal(data.train.counts, COUNTS[:N_TRAIN])
    np.testing.assert_array_equal(data.evaluation.counts, COUNTS[N_TRAIN:])
    np.testing.assert_array_equal(data.seen(data.evaluation), COUNTS[N_TRAIN:, :BINS, :HELDIN])
    assert (data.n_heldin, data.n_times, data.forward_steps, data.hidden) == (HELDIN, BINS, FORWARD, ())
    assert (data.name, data.train.bin_width_s, data.group()) == ("mc_maze_small_20", 0.02, "mc_maze_small_20")
    assert data.train.label.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, -1]
    assert data.evaluation.label.tolist() == [0, 0, 1, 2, 1, 1, 2, 1, -1]
    assert data.train.attrs["heldout"].tolist() == list(range(HELDIN, HELDIN + HELDOUT))
    for part, hand in ((data.train, HAND[:N_TRAIN]), (data.evaluation, HAND[N_TRAIN:])):
        np.testing.assert_array_equal(part.behavior[:, :BINS], hand.astype(np.float32))
        assert np.isnan(part.behavior[:, BINS:]).all()


def test_what_no_file_holds_is_hidden(paths):
    """faults.md D: of test trials the held-out channels and later bins are not known."""
    data = read_nlb(*paths[:2], name="mc_maze_small", bin_width_s=0.005)
    assert data.hidden == ("heldout", "heldin_forward", "heldout_forward")
    expected = COUNTS[N_TRAIN:].astype(np.float32)
    expected[:, BINS:], expected[:, :, HELDIN:] = np.nan, np.nan
    np.testing.assert_array_equal(data.evaluation.counts, expected)
    assert data.group() == "mc_maze_small" and data.evaluation.behavior is None and data.train.label is None
    assert repr(data) == (
        "NLBData(mc_maze_small, 14 training + 9 evaluation trials, 10 + 3 forward bins of 5 ms, 5 channels held-in + "
        "2 held-out, hidden: heldout, heldin_forward, heldout_forward)"
    )
    recording = data.recording(0.25, seed=3)
    assert (len(recording.train), len(recording.valid), recording.has_missing) == (10, 4, False)
    inds = np.concatenate([recording.train.inds, recording.valid.inds])
    np.testing.assert_array_equal(np.concatenate([recording.train.recon, recording.valid.recon]), COUNTS[inds])
    assert sorted(inds) == list(range(N_TRAIN))
    assert read_nlb(paths[0], bin_width_s=0.005).evaluation is None


@pytest.mark.filterwarnings("ignore:The split is not stratified")
def test_known_evaluation_trials_are_the_validation_part(paths):
    """faults.md D: the local split, train against val."""
    data = read_nlb(*paths)
    recording = data.recording()
    np.testing.assert_array_equal(recording.train.recon, COUNTS[:N_TRAIN])
    np.testing.assert_array_equal(recording.valid.recon, COUNTS[N_TRAIN:])
    np.testing.assert_array_equal(recording.valid.encod, COUNTS[N_TRAIN:, :BINS, :HELDIN])
    np.testing.assert_array_equal(recording.valid.label, data.evaluation.label)
    assert recording.channel_ids.tolist() == list(range(HELDIN + HELDOUT))
    apart = replace(data, evaluation=None).recording()
    assert len(apart.train) + len(apart.valid) == N_TRAIN


def test_what_one_part_alone_has_is_left_out_of_a_recording(tmp_path):
    train, seen, targets = layout()
    spikes = {key: values for key, values in targets.items() if "spikes" in key}
    path = write(tmp_path / "all.h5", {**train, **seen, **spikes})
    recording = read_nlb(path, bin_width_s=0.02).recording()
    assert len(recording.valid) == N_EVAL and recording.train.behavior is None


def test_without_forward_bins_in_training_there_are_none(tmp_path):
    train, seen, targets = layout()
    kept = {key: values for key, values in train.items() if "forward" not in key}
    path = write(tmp_path / "all.h5", {**kept, **seen, **targets, "train_behavior": None})
    data = read_nlb(path, bin_width_s=0.02)
    np.testing.assert_array_equal(data.evaluation.counts, COUNTS[N_TRAIN:, :BINS])
    assert data.forward_steps == 0 and list(data.pieces(data.train.counts)) == ["heldin", "heldout"]


@pytest.mark.filterwarnings("error")
def test_targets_win_and_what_they_leave_out_is_missing(tmp_path):
    """Of dmfc_rsg, the targets leave out bins in which no rates are asked for, and behaviour has a row a trial."""
    train, seen, targets = layout()
    inputs = {"eval_spikes_heldout": targets["eval_spikes_heldout"], "train_behavior": np.ones((N_TRAIN, 5))}
    scored = targets["eval_spikes_heldout"].astype(float)
    scored[:, :4] = np.nan
    rows = {"train_behavior": np.ones((N_TRAIN, 5)), "eval_behavior": np.full((N_EVAL, 5), 2.0)}
    data = read_nlb(
        write(tmp_path / "targets.h5", {**targets, **rows, "eval_spikes_heldout": scored}, "dmfc_rsg"),
        write(tmp_path / "input.h5", {**train, **seen, **inputs}),
        bin_width_s=0.005,
    )
    np.testing.assert_array_equal(data.evaluation.counts[:, :BINS, HELDIN:], scored)
    assert data.recording().has_missing and data.train.behavior is None
    assert data.extras["eval_behavior"].tolist() == rows["eval_behavior"].tolist()


def test_targets_of_other_trials_are_questioned(paths):
    """faults.md C: silent wrong numbers."""
    write(paths[1], {"eval_spikes_heldout": COUNTS[N_TRAIN:, :BINS, HELDIN:][::-1]})
    with pytest.warns(UserWarning, match=r"hold different eval_spikes_heldout. Given: \d+ of 180 values") as warned:
        data = read_nlb(*paths)
    assert len(warned) == 1 and warned[0].filename == __file__ and not faults(str(warned[0].message))
    np.testing.assert_array_equal(data.evaluation.counts, COUNTS[N_TRAIN:])


def test_targets_are_written_as_they_were_read(paths, tmp_path):
    """faults.md D: target files, both ways."""
    write_nlb_targets(read_nlb(*paths), tmp_path / "again.h5")
    with h5py.File(tmp_path / "again.h5") as again, h5py.File(paths[2]) as first:
        assert list(again) == list(first) == ["mc_maze_small_20"]
        again, first = again["mc_maze_small_20"], first["mc_maze_small_20"]
        assert again.keys() == first.keys()
        for key in first:
            for row, other in zip(again[key][()], first[key][()], strict=True):
                np.testing.assert_array_equal(row, other, err_msg=key)


def test_targets_replace_targets_alone(paths, tmp_path):
    """faults.md A: a user's own files are overwritten."""
    data = read_nlb(*paths)
    before = paths[2].read_bytes()
    with pytest.raises(OutputError, match="not written as one of its kind"):
        write_nlb_targets(data, paths[2])
    assert paths[2].read_bytes() == before
    for _ in range(2):
        write_nlb_targets(data, tmp_path / "targets.h5", name="mc_rtt")
    with h5py.File(tmp_path / "targets.h5") as file:
        assert list(file) == ["mc_rtt_20"]
    with pytest.raises(FileNotFoundError, match="no folder to write"):
        write_nlb_targets(data, tmp_path / "none" / "targets.h5")


@pytest.mark.filterwarnings("ignore:The targets and the input files hold different train_behavior")
def test_one_data_set_of_several_is_chosen(paths):
    """faults.md D: target files hold a group for each data set and bin width."""
    write(paths[2], layout(seed=5)[2], "mc_maze_small")
    choices = [("mc_maze_small_20", None, 0), ("mc_maze_small", 0.02, 0), ("", 0.02, 0), ("mc_maze_small", 0.005, 5)]
    for name, width, seed in choices:
        data = read_nlb(*paths, name=name, bin_width_s=width)
        np.testing.assert_array_equal(data.evaluation.counts[:, :, HELDIN:], known(seed)[1][N_TRAIN:, :, HELDIN:])
        assert data.name == ("mc_maze_small" if seed else "mc_maze_small_20")
    with pytest.raises(RecordingError, match="holds 2 groups that may be the data set. Given: name='mc_maze_small'"):
        read_nlb(*paths, name="mc_maze_small")
    with pytest.raises(RecordingError, match="holds no groups that may be the data set"):
        read_nlb(*paths, name="mc_maze_large")


def test_a_group_elsewhere_is_not_opened(tmp_path):
    train, seen, _ = layout()
    write(tmp_path / "other.h5", {**train, **seen}, "mc_rtt")
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["mc_rtt"] = h5py.ExternalLink("other.h5", "/mc_rtt")
    with pytest.raises(RecordingError, match="holds no array in the layout of nlb_tools"):
        read_nlb(tmp_path / "links.h5", bin_width_s=0.02)


TRAIN, SEEN, TARGETS = layout()
WRONG = {
    "no held-out channels": ({"train_spikes_heldout": None}, "Given: no train_spikes_heldout."),
    "no held-in channels": ({"train_spikes_heldin": None}, "Given: no train_spikes_heldin."),
    "half of the forward bins": ({"train_spikes_heldin_forward": None}, "Given: no train_spikes_heldin_forward."),
    "other trials": ({"train_spikes_heldout": TRAIN["train_spikes_heldout"][1:]}, "(13, 10, 2) instead of (14, 10, 2)"),
    "other bins": ({"eval_spikes_heldin": SEEN["eval_spikes_heldin"][:, 1:]}, "(9, 9, 5) instead of (9, 10, 5)"),
    "other channels": ({"eval_spikes_heldout": np.ones((N_EVAL, BINS, 4))}, "(9, 10, 4) instead of (9, 10, 2)"),
    "two axes": ({"train_spikes_heldin": np.ones((N_TRAIN, BINS))}, "train_spikes_heldin must be (trials, time"),
    "rates for counts": ({"train_spikes_heldin": TRAIN["train_spikes_heldin"] + 0.5}, "must hold whole counts"),
    "no evaluation input": ({"eval_spikes_heldin": None}, "without eval_spikes_heldin"),
    "short behaviour": ({"train_behavior": HAND[:N_TRAIN, 1:]}, "train_behavior must be (14, 10, dimensions)"),
    "masks of other trials": (
        {"eval_decode_mask": np.ones((3, 1), bool)},
        "eval_decode_mask must have one row a trial",
    ),
    "a condition beyond the trials": ({"eval_cond_idx": ragged([[0], [1, N_EVAL]])}, "[1, 9] for condition 1 of 9"),
    "a trial of two conditions": ({"train_cond_idx": ragged([[0, 3], [3]])}, "[3] for condition 1 of 14 trials"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case, tmp_path):
    """faults.md D and B: one clear sentence that names the file, what is wrong and what to do."""
    change, words = WRONG[case]
    path = write(tmp_path / "all.h5", {**TRAIN, **SEEN, **TARGETS, **change})
    with pytest.raises(RecordingError) as raised:
        read_nlb(path, bin_width_s=0.02)
    assert words in str(raised.value) and str(path) in str(raised.value)
    assert not faults(str(raised.value), [path])


USES = {
    "no path": (lambda paths: read_nlb(), "must be something to read"),
    "no bin width": (lambda paths: read_nlb(*paths[:2]), "The bin width is not known. Given: no name"),
    "no bin width of a name": (lambda paths: read_nlb(*paths[:2], name="mc_rtt"), "Given: the data set mc_rtt"),
    "milliseconds": (lambda paths: read_nlb(*paths[:2], bin_width_s=20), "If that is milliseconds, give 0.02"),
    "another bin width": (lambda paths: read_nlb(*paths[:2], name="a_20", bin_width_s=0.005), "tells bins of 20 ms"),
    "one file twice": (lambda paths: read_nlb(*paths, paths[0], bin_width_s=0.02), "which another of the files holds"),
    "targets without input": (lambda paths: read_nlb(paths[2]), "no train_spikes_heldin and no train_spikes_heldout"),
    "targets of what is hidden": (
        lambda paths: write_nlb_targets(read_nlb(*paths[:2], name="mc_rtt", bin_width_s=0.02), paths[0].parent / "t"),
        "without a sample in heldout, heldin_forward, heldout_forward",
    ),
    "targets without evaluation": (
        lambda paths: write_nlb_targets(read_nlb(paths[0], bin_width_s=0.02), paths[0].parent / "t"),
        "Given: training trials alone",
    ),
    "targets without behaviour": (
        lambda paths: write_nlb_targets(
            replace(read_nlb(*paths), evaluation=replace(read_nlb(*paths).evaluation, behavior=None)), "t"
        ),
        "Given: no eval_behavior",
    ),
    "targets without a name": (
        lambda paths: write_nlb_targets(replace(read_nlb(*paths), name=""), paths[0].parent / "t"),
        "A data set needs a name",
    ),
    "a name of another bin width": (
        lambda paths: NLBData(Trials(COUNTS, 0.005), None, HELDIN, name="mc_rtt_20").group(),
        "tells bins of 20 ms. Given: mc_rtt_20 with bins of 5 ms",
    ),
    "parts that differ": (
        lambda paths: NLBData(Trials(COUNTS, 0.02), Trials(COUNTS[:, 1:], 0.02), HELDIN),
        "(0.02, 13, 7) and (0.02, 12, 7)",
    ),
    "too many held-in channels": (lambda paths: NLBData(Trials(COUNTS, 0.02), None, 8), "from 1 to 7. Given: 8"),
    "only forward bins": (lambda paths: NLBData(Trials(COUNTS, 0.02), None, 5, 13), "from 0 to 12. Given: 13"),
    "a misspelt extra": (
        lambda paths: NLBData(Trials(COUNTS, 0.02), None, 5, extras={"eval_jiter": COUNTS}),
        "Did you mean 'eval_jitter'?",
    ),
}


@pytest.mark.parametrize("case", USES)
def test_what_is_asked_wrongly_is_refused(case, paths):
    call, words = USES[case]
    with pytest.raises(ValueError) as raised:
        call(paths)
    assert words in str(raised.value)
    assert not faults(str(raised.value), paths)


def test_arrays_are_no_trials():
    with pytest.raises(TypeError, match=r"The parts of a data set are Trials. Given: ndarray."):
        NLBData(COUNTS, None, HELDIN)
    with pytest.raises(TypeError, match=r"written from NLBData. Given: Trials."):
        write_nlb_targets(Trials(COUNTS, 0.02), "targets.h5")


@pytest.mark.parametrize(
    "name, width, group, words",
    [("mc_maze_smal", 0.02, "mc_maze_smal_20", "Did you mean 'mc_maze_small'"), ("mc_rtt", 0.01, "mc_rtt_10", "10 ms")],
)
def test_what_the_benchmark_does_not_score_is_said(name, width, group, words):
    with pytest.warns(UserWarning, match=words):
        assert NLBData(Trials(COUNTS, width), None, HELDIN, name=name).group() == group
