"""Bad trials and bin widths are refused with words that help."""

import warnings

import h5py
import numpy as np
import pytest

from indl.data import check_bin_width, check_trials
from indl.data.checks.arrays import check_whole, trial_findings

GOOD = np.random.default_rng(0).poisson(3.0, (6, 5, 4)).astype("float32") + 1


def changed(index, value, dtype="float32"):
    array = GOOD.astype(dtype)
    array[index] = value
    return array


# (what comes, second array, words of the three parts: wrong, came, advice)
BAD = {
    "text": (np.full((2, 2, 2), "a"), None, ["spikes must be numeric", "<U1", "Give one numeric array"]),
    "ragged": ([[1, 2], [3]], None, ["cannot be made into an array", "list", "pad or cut"]),
    "none": (None, None, ["must be numeric", "NoneType", "Give one numeric array"]),
    "complex": (GOOD.astype("complex64"), None, ["must be numeric", "complex64", "Give"]),
    "one trial without its axis": (GOOD[0], None, ["3 axes", "2 with shape (5, 4)", "array[None]"]),
    "four axes": (GOOD[None], None, ["3 axes", "(1, 6, 5, 4)", "merge axes"]),
    "no trials": (GOOD[:0], None, ["no trials", "(0, 5, 4)", "selection of trials"]),
    "no time": (GOOD[:, :0], None, ["no time steps", "(6, 0, 4)", "window"]),
    "no channels": (GOOD[:, :, :0], None, ["no channels", "(6, 5, 0)", "list of channels"]),
    "NaN": (changed((2, 3, 1), np.nan), None, ["must be finite", "1 NaN", "(2, 3, 1)", "Drop"]),
    "inf": (changed((0, 0, 2), np.inf), None, ["must be finite", "1 NaN or infinite", "(0, 0, 2): inf", "Drop"]),
    "opposite infinities": (changed(([0, 1], 0, 0), [np.inf, -np.inf]), None, ["must be finite", "2 NaN", "(0, 0, 0)"]),
    "negative": (changed((slice(4, 6), 1, 0), -1), None, ["2 negative", "(4, 1, 0): -1", "Gaussian"]),
    "negative integers": (changed((1, 1, 1), -2, "int64"), None, ["1 negative", "(1, 1, 1): -2", "Gaussian"]),
    "rates in Hz": (GOOD / 0.03, None, ["fractional", "multiples of 33.3333", "with bins of 30 ms", "Hz"]),
    "scaled": (GOOD / 4, None, ["fractional", "multiples of 0.25, as scaled counts are", "Give counts"]),
    "fractional": (changed((5, 4, 3), 0.5), None, ["whole counts", "1 fractional", "(5, 4, 3): 0.5", "Hz"]),
    "other trials": (GOOD, GOOD[:4], ["same trials", "6 and 4", "Select the same trials"]),
    "fewer steps in y": (GOOD, GOOD[:, :3], ["at least the time steps", "3 in target and 5 in spikes", "swapped"]),
    "fewer channels in y": (GOOD, GOOD[:, :, :1], ["at least the channels", "1 in target and 4", "swapped"]),
    "bad y": (GOOD, changed((3, 0, 0), np.nan), ["target must be finite", "(3, 0, 0)", "Drop"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_trials_are_refused(case):
    x, y, words = BAD[case]
    with pytest.raises(ValueError) as raised:
        check_trials(x, y, names=("spikes", "target"))
    for word in words:
        assert word in str(raised.value)


SUSPICIOUS = {
    "silent channels": (changed((slice(None), slice(None), [0, 2]), 0), ["2 of 4: 0, 2", "remove them"]),
    "all-zero trials": (changed(5, 0), ["trials", "1 of 6: 5", "gap"]),
    "many silent channels": (
        np.concatenate([GOOD, np.zeros((6, 5, 20))], axis=2),
        ["20 of 24: 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, ...", "remove them"],
    ),
}


@pytest.mark.parametrize("case", SUSPICIOUS)
def test_suspicious_trials_are_named(case):
    x, words = SUSPICIOUS[case]
    with pytest.warns(UserWarning) as warned:
        check_trials(x)
    message = str(warned[0].message)
    assert len(warned) == 1 and warned[0].filename == __file__
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "x, y, counts",
    [
        (GOOD, None, True),
        (GOOD.astype("uint8"), GOOD, True),
        (GOOD > 2, np.ones((6, 7, 9)), True),
        (GOOD.tolist(), GOOD + 5, True),
        (-GOOD + 0.5, None, False),
        (np.full((2, 2, 2), 3e38, "float32"), None, False),
    ],
)
def test_good_trials_pass_in_silence_and_unchanged(x, y, counts):
    before = np.array(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_trials(x, y, counts=counts)
    assert np.array_equal(before, x)


@pytest.mark.parametrize("value", [0.005, np.float32(0.02), 1, 10.0])
def test_bin_widths(value):
    assert check_bin_width(value) == float(value)


@pytest.mark.parametrize(
    "value, words",
    [
        (0, ["positive and finite", "0.0 s"]),
        (-0.1, ["positive and finite"]),
        (float("nan"), ["positive and finite", "nan"]),
        (float("inf"), ["positive and finite"]),
        (20, ["seconds", "Given: 20", "give 0.02"]),
        ("0.02", ["number of seconds", "str"]),
        (True, ["number of seconds", "bool"]),
        (None, ["number of seconds", "NoneType"]),
    ],
)
def test_bad_bin_widths(value, words):
    with pytest.raises(ValueError) as raised:
        check_bin_width(value)
    for word in words:
        assert word in str(raised.value)


def test_z_scored_values_are_told():
    scored = (GOOD - GOOD.mean()) / GOOD.std()
    hints = [f.advice for f in trial_findings(scored) if f.code == "fractional"]
    assert len(hints) == 1 and hints[0].startswith("Their mean is near 0 and their standard deviation near 1")


ON_DISK = [name for name, (x, y, _) in BAD.items() if y is None and getattr(x, "dtype", np.dtype("O")).kind in "if"]


@pytest.mark.parametrize("case", ON_DISK)
def test_a_dataset_of_a_file_is_checked_as_an_array_is(case, tmp_path, monkeypatch):
    monkeypatch.setattr("indl.data.checks.arrays._PIECE", 2 * 5 * 4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = BAD[case][0]
        found = [(f.message, f.count, f.first) for f in trial_findings(file["x"])]
    assert found and found == [(f.message, f.count, f.first) for f in trial_findings(BAD[case][0])]


def test_missing_samples_are_neither_wrong_nor_silent():
    array = changed((slice(None), slice(None), 1), np.nan)
    array[0, 3:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_trials(array, missing=True)
    array[4] = np.nan
    with pytest.raises(ValueError, match="in every trial. Given: 1 of 6 trials .* trial 4. Leave"):
        check_trials(array, missing=True)


@pytest.mark.parametrize("value, expected", [(3, 3), (3.0, 3), (np.int8(3), 3), (0, 0)])
def test_whole_numbers(value, expected):
    found = check_whole(value, "n")
    assert found == expected and type(found) is int


@pytest.mark.parametrize("value", [-1, 6, 2.5, "3", None, True, float("nan"), float("inf"), [3]])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match=r"^n must be a whole number from 0 to 5\. Given: .*\. Give it as an int\.$"):
        check_whole(value, "n", 0, 5)
