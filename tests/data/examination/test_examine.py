"""The report names what is wrong, where it begins, and stays silent about what is right."""

import json
import re
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import (
    CheckReport,
    Finding,
    LazyArray,
    Recording,
    Split,
    Trials,
    examine,
    examine_file,
    load_recording,
    open_recording,
    save_recording,
)
from indl.data.checks.arrays import pieces
from indl.data.examination.file import read_raw
from indl.data.examination.statistics import Statistics
from indl.data.files.storage import reading

BIN = 0.02
SHAPE = (60, 40, 12)
PARTS_OF = (("train", slice(40)), ("valid", slice(40, None)))


def rates(shape=SHAPE, seed=0):
    """Expected counts that are smooth over time and differ between channels, with a trial-by-trial gain."""
    rng = np.random.default_rng(seed)
    n_trials, n_times, n_channels = shape
    phase, level = rng.uniform(0, 2 * np.pi, n_channels), rng.uniform(0.2, 0.8, n_channels)
    course = 1 + 0.5 * np.sin(np.linspace(0, 2 * np.pi, n_times)[:, None] + phase)
    return rng.uniform(0.8, 1.2, n_trials)[:, None, None] * level * course


def good(seed=0):
    return np.random.default_rng(seed + 1).poisson(rates(seed=seed)).astype("float64")


def changed(change):
    counts = good()
    result = change(counts)
    return counts if result is None else result


def put(index, value):
    def change(counts):
        counts[index] = value

    return change


def codes(report, severity=None):
    return [f.code for f in report.findings if severity in (None, f.severity)]


def the(report, code):
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, f"{code}: {codes(report)}"
    return found[0]


def artefact(counts):
    sparse = np.random.default_rng(0).poisson(0.1, SHAPE).astype("float64")
    sparse[7, 30] = 1
    return sparse


def drifting(counts):
    return np.random.default_rng(0).poisson(0.5 * np.linspace(1.5, 0.5, len(counts))[:, None, None], SHAPE)


def lost_unit(counts):
    counts[:25, :, 5] = 0


def crosstalk(counts):
    shared = np.random.default_rng(3).poisson(0.5, SHAPE[:2])
    counts[:, :, 2] += shared
    counts[:, :, 9] += shared


# What is done to good counts, and the finding: severity, code, count, first, words.
ARRAYS = {
    "silent channel": (put((..., 3), 0), "warning", "silent-channels", 1, (3,), ["1 of 12: 3", "remove"]),
    "zero trial": (put(11, 0), "warning", "silent-trials", 1, (11,), ["1 of 60: 11", "gap"]),
    "hot channel": (put((..., 4), 7), "warning", "hot-channels", 1, (4,), ["300 Hz", "350 Hz", "bin width"]),
    "hot bin": (put((2, 3, 1), 40), "warning", "hot-bins", 1, (1,), ["up to 40 in a bin of 20 ms", "artefacts"]),
    "constant channel": (put((..., 6), 2), "warning", "constant-channels", 1, (6,), ["one and the same value"]),
    "overflow": (put(([0, 5], 0, 8), 255), "warning", "overflow", 1, (8,), ["exactly 255", "uint16"]),
    "few spikes": (
        lambda c: put((..., 5), 0)(c) or put((slice(4), 0, 5), 1)(c),
        "note",
        "few-spikes",
        1,
        (5,),
        ["fewer than 10"],
    ),
    "clipped": (lambda c: np.minimum(c * 3, 3), "warning", "saturated-channels", 12, (0,), ["look clipped"]),
    "in Hz": (lambda c: c * 50, "warning", "multiples", 0, (), ["multiples of 50", "rates in Hz: multiply"]),
    "doubled": (lambda c: c * 2, "warning", "multiples", 0, (), ["multiples of 2", "neither scaled nor in Hz"]),
    "artefact": (artefact, "warning", "all-at-once", 1, (7, 30), ["(7, 30)", "artefacts"]),
    "copied channel": (
        lambda c: put((..., 10), c[..., 2])(c),
        "warning",
        "duplicated-channels",
        1,
        (2, 10),
        ["2 and 10 (correlation 1.000)", "Keep one"],
    ),
    "crosstalk": (crosstalk, "warning", "crosstalk", 1, (2, 9), ["2 and 9 (excess", "crosstalk"]),
    "copied trial": (lambda c: put(50, c[3])(c), "warning", "duplicated-trials", 1, (3, 50), ["3 = 50", "keep one"]),
    "few trials": (lambda c: c[:8], "warning", "few-trials", 8, (), ["Given: 8"]),
    "one bin": (lambda c: c[:, :1], "warning", "few-bins", 0, (), ["Given: 1 bin."]),
    "swapped axes": (
        lambda c: c.transpose(0, 2, 1),
        "warning",
        "swapped-axes",
        0,
        (),
        ["(60, 12, 40)", "transpose(0, 2, 1)"],
    ),
    "drift": (drifting, "warning", "drift", 0, (), ["first fifth", "last"]),
    "lost unit": (lost_unit, "warning", "unstable-channels", 1, (5,), ["1 of 12 channels: 5", "lost or found"]),
}


def test_good_counts_give_an_empty_report():
    for seed in range(5):
        report = examine(Trials(good(seed), BIN))
        assert report.findings == () and report.ok
        assert "nothing found" in str(report) and "60 trials" in str(report)


@pytest.mark.parametrize("case", ARRAYS)
def test_what_is_wrong_with_counts_is_found(case):
    change, severity, code, count, first, words = ARRAYS[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        trials = Trials(changed(change), BIN)
    report = examine(trials)
    finding = the(report, code)
    assert (finding.severity, finding.count, finding.first) == (severity, count, first)
    for word in words:
        assert word in finding.message
    assert finding.got.startswith("Given: ") and finding.where == "counts"


def test_a_plain_change_gives_no_other_finding():
    for case in ("copied channel", "copied trial", "crosstalk", "lost unit", "swapped axes", "drift"):
        change, _, code, *_ = ARRAYS[case]
        assert codes(examine(Trials(changed(change), BIN))) == [code]


def test_a_bin_width_that_contradicts_the_counts():
    finding = the(examine(Trials(good(), 0.0005)), "implausible-rate")
    assert f"{good().mean() / 0.0005:.4g} Hz" in finding.message and "0.5 ms" in finding.message
    assert "hot-channels" in codes(examine(Trials(good(), 0.0005)))
    assert "implausible-rate" not in codes(examine(Trials(good(), BIN)))


def test_missing_samples_are_no_error():
    counts = good()
    counts[3, 5:9, 2] = np.nan
    counts[:, :30, 7] = np.nan
    counts[9, 5:] = np.nan
    counts[20, :30, :] = np.nan
    report = examine(Trials(counts, BIN, missing=True))
    assert report.ok
    note = the(report, "missing-samples")
    # Trial 9 ends at bin 5, of which channel 7 misses all; trial 20 misses 30 bins of all channels.
    assert note.count == 4 + 58 * 30 + 5 + 30 * 12 and note.total == (59 * 40 + 5) * 12
    assert the(report, "mostly-missing-channels").first == (7,)
    assert the(report, "mostly-missing-trials").first == (20,)
    assert the(report, "odd-lengths").first == (9,)


def test_missing_samples_leave_correlations():
    counts = good()
    counts[..., 10] = counts[..., 2]
    counts[::3, :, [2, 10]] = np.nan
    assert the(examine(Trials(counts, BIN, missing=True)), "duplicated-channels").first == (2, 10)


def test_a_channel_without_a_sample_is_told_and_breaks_nothing():
    counts = good()
    counts[..., 7] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = examine(Trials(counts, BIN, missing=True))
    assert codes(report, "warning") == ["mostly-missing-channels"] and report.warnings[0].first == (7,)


def test_signals_are_not_judged_as_counts():
    signal = np.random.default_rng(0).normal(size=SHAPE)
    assert codes(examine(Trials(signal, BIN, are_counts=False))) == []
    signal[..., 4] = 3.0
    assert codes(examine(Trials(signal, BIN, are_counts=False).split())) == ["constant-channels"]
    assert codes(examine(Trials(signal, BIN, are_counts=False))) == ["constant-channels"]
    assert examine(Trials(signal, BIN, are_counts=False), counts=True).errors


def test_a_split_needs_no_bin_width():
    split = Split(encod=good()[:, :, :9] * 50, recon=good() * 50)
    assert codes(examine(split)) == ["multiples"]
    assert "implausible-rate" in codes(examine(split, bin_width_s=BIN))


def test_only_data_can_be_examined():
    with pytest.raises(TypeError, match="Given: ndarray.*Trials"):
        examine(good())


# --- what belongs to the counts -----------------------------------------------------------------


def recording(train=None, valid=None, **changes):
    """A good recording whose parts are changed."""
    n = 40
    base = {
        "inds": np.arange(60),
        "start_s": np.arange(60) * 1.0,
        "label": np.arange(60) % 4,
        "behavior": np.random.default_rng(1).normal(size=(60, 40, 2)),
        "ext_input": np.random.default_rng(2).normal(size=(60, 40, 3)),
        "truth": rates(),
        "latents": np.random.default_rng(4).normal(size=(60, 40, 3)),
    }
    counts = good()
    parts = []
    for part, which in ((train, slice(n)), (valid, slice(n, None))):
        fields = {"encod": counts[which, :, :9], "recon": counts[which]} | {k: v[which] for k, v in base.items()}
        for name, value in (part or {}).items():
            fields[name] = value(fields[name].copy()) if callable(value) else value
        parts.append(Split(**fields))
    return Recording(*parts, **({"bin_width_s": BIN, "channel_ids": np.arange(12)} | changes))


def with_values(index, value):
    def change(array):
        array = array.astype("float64")
        array[index] = value
        return array

    return change


COPIED = {"recon": lambda valid: np.concatenate([good()[5:6], valid[1:]])}
# (changes of train, of valid, of the recording): severity, code, where, count, first, words.
PARTS = {
    "encod is another array": (
        {"encod": with_values((3, 2, 1), 99)},
        {},
        "warning",
        "encod-differs",
        "train.encod and train.recon",
        1,
        (3, 2, 1),
        ["1 of 14400", "smoothed"],
    ),
    "behaviour with gaps": (
        {"behavior": with_values((1, slice(4), 0), np.nan)},
        {},
        "note",
        "behavior-gaps",
        "train.behavior",
        4,
        (1, 0, 0),
        ["4 of 3200", "Decoding leaves"],
    ),
    "behaviour mostly unknown": (
        {"behavior": with_values(slice(0, 30), np.nan)},
        {},
        "warning",
        "behavior-gaps",
        "train.behavior",
        2400,
        (0, 0, 0),
        ["75 %"],
    ),
    "infinite behaviour": (
        {},
        {"behavior": with_values((2, 3, 1), np.inf)},
        "error",
        "not-finite",
        "valid.behavior",
        1,
        (2, 3, 1),
        ["1 infinite", "Write NaN"],
    ),
    "constant behaviour": (
        {"behavior": with_values((..., 1), 5)},
        {},
        "warning",
        "constant-dimensions",
        "train.behavior",
        1,
        (1,),
        ["1 of 2: 1"],
    ),
    "NaN in an input": (
        {"ext_input": with_values((7, 0, 2), np.nan)},
        {},
        "error",
        "not-finite",
        "train.ext_input",
        1,
        (7, 0, 2),
        ["NaN or infinite", "Fill"],
    ),
    "log rates as truth": (
        {"truth": np.log},
        {},
        "error",
        "truth-not-rates",
        "train.truth",
        None,
        None,
        ["not their logarithm"],
    ),
    "truth in Hz": (
        {"truth": lambda t: t / BIN},
        {},
        "warning",
        "truth-scale",
        "train.truth",
        0,
        (),
        ["conversion_factor"],
    ),
    "labels with NaN": (
        {"label": with_values(6, np.nan)},
        {},
        "error",
        "label-unknown",
        "train.label",
        1,
        (6,),
        ["1 of 40", "trial 6"],
    ),
    "labels of no groups": (
        {"label": np.arange(40)},
        {},
        "warning",
        "label-continuous",
        "train.label",
        40,
        (),
        ["40 different values for 40 trials"],
    ),
    "uneven conditions": (
        {"label": np.repeat([0, 1, 2, 3], [28, 4, 4, 4])},
        {},
        "warning",
        "uneven-conditions",
        "train.label",
        0,
        (),
        ["4 trials of condition 1 and 28 of condition 0"],
    ),
    "a condition in one part alone": (
        {"label": lambda a: np.where(a == 3, 2, a)},
        {},
        "warning",
        "missing-conditions",
        "train.label",
        1,
        (),
        ["lacks conditions that valid.label has", "alone: 3"],
    ),
    "the same index twice": (
        {"inds": with_values(5, 4)},
        {},
        "warning",
        "repeated-trials",
        "train.inds",
        1,
        (),
        ["1 repeated values of 40"],
    ),
    "trials out of order": (
        {"inds": lambda a: np.concatenate([a[20:], a[:20]])},
        {},
        "note",
        "unordered-trials",
        "train.inds",
        1,
        (20,),
        ["at trial 20"],
    ),
    "shared indices": (
        {},
        {"inds": np.arange(30, 50)},
        "warning",
        "shared-inds",
        "train.inds and valid.inds",
        10,
        (),
        ["10 of 20", "30, 31"],
    ),
    "a leaked trial": (
        {},
        COPIED,
        "error",
        "leaked-trials",
        "train.recon and valid.recon",
        1,
        (0,),
        ["1 of 20", "0 = 5", "Split again"],
    ),
    "overlapping windows": (
        {},
        {"start_s": with_values([0, 3], [39.5, 38.3])},
        "warning",
        "overlapping-windows",
        "train.start_s and valid.start_s",
        2,
        (0,),
        ["less than 0.8 s", "0, 3", "block"],
    ),
    "behaviour in one part": (
        {},
        {"behavior": None},
        "warning",
        "only-in-one-part",
        "train.behavior",
        0,
        (),
        ["no valid.behavior"],
    ),
    "inputs of other width": (
        {},
        {"ext_input": lambda a: a[:, :, :2]},
        "error",
        "parts-differ-in-shape",
        "train.ext_input and valid.ext_input",
        0,
        (),
        ["(40, 3) and (40, 2)"],
    ),
    "other rates": (
        {},
        {"recon": lambda a: 2 * a + 1},
        "warning",
        "parts-differ-in-mean",
        "train.recon and valid.recon",
        0,
        (),
        ["standard errors apart"],
    ),
}


def test_a_good_recording_gives_an_empty_report():
    assert examine(recording()).findings == ()


@pytest.mark.parametrize("case", PARTS)
def test_what_is_wrong_with_the_rest_is_found(case):
    train, valid, severity, code, where, count, first, words = PARTS[case]
    finding = the(examine(recording(train, valid)), code)
    assert (finding.severity, finding.where) == (severity, where)
    assert count in (None, finding.count) and first in (None, finding.first)
    for word in words:
        assert word in finding.message


def test_windows_that_only_touch_do_not_overlap():
    starts = np.arange(60) * 40 * BIN
    touching = recording({"start_s": starts[:40]}, {"start_s": starts[40:]})
    assert "overlapping-windows" not in codes(examine(touching))


def test_repeated_channel_ids_are_named():
    finding = the(examine(recording(channel_ids=[*range(11), 4])), "repeated-ids")
    assert finding.count == 1 and "repeated ids: 4" in finding.message


# --- statistics against brute force -------------------------------------------------------------


def test_statistics_equal_brute_force(monkeypatch):
    counts = good()
    monkeypatch.setattr("indl.data.checks.arrays._PIECE", 7 * SHAPE[1] * SHAPE[2])
    assert len(list(pieces(counts))) == 9
    s = Statistics.of(counts)
    flat = counts.reshape(-1, SHAPE[2])
    np.testing.assert_allclose(s.correlation, np.corrcoef(flat.T), atol=1e-5)
    now, later = counts[:, :-1].reshape(-1, 12), counts[:, 1:].reshape(-1, 12)
    np.testing.assert_allclose(s.lagged, np.corrcoef(now.T, later.T)[:12, 12:], atol=1e-5)
    np.testing.assert_allclose(s.profile, counts.mean(0))
    np.testing.assert_array_equal(s.population, counts.sum(2))
    np.testing.assert_allclose(s.active, (counts > 0).mean(2))
    np.testing.assert_allclose(s.means, flat.mean(0))
    np.testing.assert_array_equal(s.highest, flat.max(0))
    for channel in range(12):
        expected = np.bincount(flat[:, channel].astype(int), minlength=257)
        np.testing.assert_array_equal(s.histogram[channel], expected)


def test_statistics_leave_out_what_was_not_recorded():
    counts = good()
    counts[3, 5:9, 2] = np.nan
    counts[9, 5:] = np.nan
    s = Statistics.of(counts)
    np.testing.assert_allclose(s.means, np.nanmean(counts, axis=(0, 1)))
    np.testing.assert_allclose(s.profile, np.nanmean(counts, axis=0))
    np.testing.assert_allclose(s.trial_means, np.nanmean(counts, axis=(1, 2)))
    assert s.lengths[9] == 5 and s.lengths[3] == 40
    assert s.missing.sum() == 4 and s.missing[3, 2] == 4
    assert s.histogram.sum() == np.isfinite(counts).sum()


def test_correlations_of_a_part_of_the_trials_are_close(monkeypatch):
    counts = good()
    whole = Statistics.of(counts).correlation
    monkeypatch.setattr("indl.data.examination.statistics._MAX_PRODUCTS", counts.size * 12 / 3)
    np.testing.assert_allclose(Statistics.of(counts).correlation, np.corrcoef(counts[::3].reshape(-1, 12).T), atol=1e-5)
    assert np.abs(Statistics.of(counts).correlation - whole).max() < 0.15


# --- the report ---------------------------------------------------------------------------------


def test_the_report_acts_and_prints():
    report = CheckReport(
        (
            Finding("note", "c", "z", "z is so.", "Given: 1.", "Nothing to do."),
            Finding("error", "a", "x", "x is wrong.", "Given: 2.", "Mend it.", 2, 5, (1,), {"which": np.arange(2)}),
            Finding("warning", "b", "y", "y is odd.", "Given: 3.", "Look."),
        ),
        "a file",
    )
    assert not report.ok and [len(report.errors), len(report.warnings), len(report.notes)] == [1, 1, 1]
    with pytest.raises(ValueError, match=r"x is wrong\. Given: 2\. Mend it\."):
        report.raise_errors()
    with pytest.warns(UserWarning, match=r"y is odd\. Given: 3\. Look\.") as warned:
        report.warn()
    assert len(warned) == 1 and warned[0].filename == __file__
    text = str(report)
    assert text.startswith("a file\n1 error, 1 warning, 1 note\n")
    assert text.index("ERRORS") < text.index("WARNINGS") < text.index("NOTES")
    assert "  a: x is wrong.\n    Given: 2.\n    -> Mend it." in text
    assert report.lines()[0] == "error: x is wrong. Given: 2. Mend it."
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored["ok"] is False and stored["findings"][1]["details"] == {"which": [0, 1]}
    assert stored["findings"][1]["first"] == [1]


def test_a_report_without_errors_does_nothing():
    report = CheckReport(())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.raise_errors()
        report.warn()
    assert report.ok and str(report) == "nothing found"


# --- files --------------------------------------------------------------------------------------


def write(path, bin_width_s=BIN, **changes):
    counts = good().astype("uint8")
    content = {}
    for part, which in PARTS_OF:
        content |= {f"{part}_encod_data": counts[which, :, :9], f"{part}_recon_data": counts[which]}
    with h5py.File(path, "w") as file:
        for name, value in (content | changes).items():
            if value is not None:
                file[name] = value
        if bin_width_s is not None:
            file.attrs["bin_width_s"] = bin_width_s
    return path


def test_a_good_file_gives_an_empty_report(tmp_path):
    report = examine_file(write(tmp_path / "r.h5"))
    assert report.findings == () and report.subject == str(tmp_path / "r.h5")


def test_all_that_is_wrong_with_a_file_is_listed(tmp_path):
    counts = good()
    train, valid = counts[:40], counts[40:]
    train[2, 3, 4], train[7, 0, 0], train[9, 9, 9] = np.nan, -1, 0.5
    path = write(
        tmp_path / "bad.h5",
        bin_width_s=20.0,
        train_recon_data=train,
        train_encod_data=train[:, :, :9],
        valid_recon_data=valid[:, :, :11],
        valid_encod_data=valid[:, :, :9],
        train_label=np.zeros(39),
        train_behavior=np.zeros((40, 39, 2)),
        channel_ids=np.arange(5),
    )
    with pytest.raises(ValueError):
        load_recording(path)
    report = examine_file(path)
    found = {(f.code, f.where, f.count, f.first) for f in report.errors}
    assert found == {
        ("bin-width", "bin_width_s", 0, ()),
        ("not-finite", "train_recon_data", 1, (2, 3, 4)),
        ("negative", "train_recon_data", 1, (7, 0, 0)),
        ("fractional", "train_recon_data", 1, (9, 9, 9)),
        ("does-not-fit", "train_label", 0, ()),
        ("does-not-fit", "train_behavior", 0, ()),
        ("does-not-fit", "channel_ids", 0, ()),
        ("parts-differ-in-shape", "train_recon_data and valid_recon_data", 0, ()),
    }


def test_what_is_absent_is_listed(tmp_path):
    path = write(tmp_path / "r.h5", bin_width_s=None, train_recon_data=None, valid_encod_data="text")
    report = examine_file(path)
    assert {f.where for f in report.errors} == {"train_recon_data", "bin_width_s", "valid_encod_data"}
    assert {"absent", "no-bin-width"} <= set(codes(report))


def test_the_bin_width_of_a_file_can_be_given(tmp_path):
    path = write(
        tmp_path / "r.h5", bin_width_s=None, train_recon_data=good()[:40] * 50, train_encod_data=good()[:40] * 50
    )
    assert "rates in Hz" in the(examine_file(path, bin_width_s=BIN), "multiples").message


def test_the_older_layout_is_examined(tmp_path):
    names = [f"{part}_{kind}_data" for part in ("train", "valid") for kind in ("encod", "recon")]
    absent = dict.fromkeys(names)
    path = write(tmp_path / "r.h5", train_data=good()[:40], valid_data=good()[40:] - 5, **absent)
    assert [(f.code, f.where) for f in examine_file(path).errors] == [("negative", "valid_data")]


def test_large_arrays_stay_in_the_file(tmp_path, monkeypatch):
    train = good()[:40]
    train[..., 10] = train[..., 2]
    path = write(tmp_path / "r.h5", train_recon_data=train)
    expected = examine_file(path).to_dict()
    monkeypatch.setattr("indl.data.examination.file._MAX_IN_MEMORY", 1000)
    with reading(path) as source:
        raw = read_raw(source)
        assert isinstance(raw.parts["train"]["recon"], h5py.Dataset)
    assert examine_file(path).to_dict() == expected
    assert codes(examine_file(path)) == ["duplicated-channels"]


@pytest.mark.parametrize(
    "name, warned",
    [
        ("adan_day0.h5", []),
        ("reach_day31.h5", []),
        ("mc_maze_small_5ms.h5", ["silent-channels"]),
        ("head_direction_20ms.h5", ["uneven-conditions", "uneven-conditions"]),
    ],
)
def test_real_recordings_pass(recording_path, name, warned):
    report = examine_file(recording_path(name))
    assert report.ok and codes(report, "warning") == warned


def test_a_recording_that_stays_on_disk_gives_the_same_report(tmp_path):
    train = recording({"behavior": with_values((1, slice(4), 0), np.nan)}).train
    lost = train.recon.copy()
    lost[:15, :, 5] = 0
    part = Split(lost[:, :, :9], lost, behavior=train.behavior)
    save_recording(Recording(part, train, BIN, range(12)), tmp_path / "r.h5")
    in_memory, on_disk = load_recording(tmp_path / "r.h5"), open_recording(tmp_path / "r.h5")
    assert isinstance(on_disk.train.recon, LazyArray)
    report = examine(on_disk)
    assert [f.message for f in report.findings] == [f.message for f in examine(in_memory).findings]
    assert {"unstable-channels", "behavior-gaps", "leaked-trials"} <= set(codes(report))


def test_the_page_of_documentation_shows_this_report():
    page = (Path(__file__).parents[3] / "docs" / "checks.md").read_text(encoding="utf-8")
    code, shown = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL).group(1) for kind in ("python", "text"))
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(code, namespace)
    assert str(namespace["report"]) == shown.rstrip()


# --- command line -------------------------------------------------------------------------------


def check(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_the_command_tells_everything_and_draws_the_page(tmp_path):
    path = write(tmp_path / "r.h5", train_label=np.arange(40) % 4, valid_label=np.arange(20) % 4)
    result = check(path, "--out", tmp_path / "page.png", "--json", tmp_path / "report.json")
    assert result.exit_code == 0 and "nothing found" in result.stdout
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "report.json").read_text()) == {
        "indl": "check",
        "subject": str(path),
        "ok": True,
        "findings": [],
    }


def test_the_command_fails_on_errors_alone(tmp_path):
    counts = good()
    counts[..., 10] = counts[..., 2]
    result = check(write(tmp_path / "warned.h5", train_recon_data=counts[:40]))
    assert result.exit_code == 0 and "duplicated-channels" in result.stdout
    train = good()[:40]
    train[0, 0, 0], train[1, 1, 1] = -1, 0.5
    bad = write(tmp_path / "bad.h5", train_recon_data=train, train_inds=np.arange(3), bin_width_s=None)
    result = check(bad, "--out", tmp_path / "bad.png", "--json", tmp_path / "bad.json")
    assert result.exit_code == 1 and (tmp_path / "bad.png").stat().st_size > 10_000
    for words in ("4 errors", "1 negative", "1 fractional", "train_inds does not fit", "does not state its bin width"):
        assert words in result.stdout, words
    assert not json.loads((tmp_path / "bad.json").read_text())["ok"]


def test_the_command_takes_signals_and_a_bin_width(tmp_path):
    signal = np.random.default_rng(0).normal(size=SHAPE)
    train, valid = ({f"{part}_{kind}_data": signal[which] for kind in ("encod", "recon")} for part, which in PARTS_OF)
    path = write(tmp_path / "r.h5", bin_width_s=None, **train, **valid)
    assert check(path).exit_code == 1
    result = check(path, "--signal", "--bin-width", BIN)
    assert result.exit_code == 0 and "nothing found" in result.stdout, result.stdout


def test_the_command_takes_nwb_files(recording_path, tmp_path):
    pytest.importorskip("pynwb")
    result = check(recording_path("mc_maze_small_test.nwb"), "--out", tmp_path / "page.png")
    assert result.exit_code == 0 and "100 trials" in result.stdout and (tmp_path / "page.png").exists()
    result = check(recording_path("head_direction_A2929.nwb"), "--intervals", "wake")
    assert result.exit_code == 0 and "few-trials" in result.stdout
