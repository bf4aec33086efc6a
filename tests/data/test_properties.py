"""What holds for any input: counts are conserved, files hold what was written, the checks miss and invent nothing."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from indl.data import (
    Trials,
    Units,
    Window,
    bin_continuous,
    bin_spikes,
    check_trials,
    load_recording,
    load_trials,
    save_recording,
    save_trials,
)
from indl.data.values.recording import OPTIONAL

QUICK = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


# --- binning ------------------------------------------------------------------------------------

# Times on a grid of a tenth of a millisecond: as recordings have them, and often exactly on an edge.
TIMES = st.integers(0, 20_000).map(lambda k: k / 10_000)
UNITS = st.lists(st.lists(TIMES, max_size=30), min_size=1, max_size=4)
WIDTHS = st.sampled_from([0.001, 0.005, 0.01, 0.02, 0.05, 0.1])


def quietly(call, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call(*arguments, **options)


@QUICK
@given(UNITS, WIDTHS)
def test_no_spike_is_lost_or_counted_twice(units, width):
    found = quietly(bin_continuous, units, 0.0, 2.1, bin_width_s=width)
    assert found.counts.shape == (1, round(2.1 / width), len(units))
    np.testing.assert_array_equal(found.counts.sum(axis=(0, 1)), [len(unit) for unit in units])


@QUICK
@given(UNITS, WIDTHS, st.lists(TIMES, min_size=1, max_size=5), st.integers(-5, 0), st.integers(1, 10))
def test_windows_equal_a_count_spike_by_spike(units, width, events, before, after):
    window = (before * width, after * width)
    found = quietly(bin_spikes, units, Window(events, window, width, tolerance=0))
    expected = np.zeros((len(events), after - before, len(units)))
    for trial, event in enumerate(events):
        edges = event + window[0] + np.arange(after - before + 1) * width
        for unit, times in enumerate(units):
            for time in times:
                for k in range(after - before):
                    expected[trial, k, unit] += edges[k] <= time < edges[k + 1]
    np.testing.assert_array_equal(found.counts, expected)


@QUICK
@given(UNITS, WIDTHS, st.randoms(use_true_random=False))
def test_neither_the_order_of_spikes_nor_their_container_matters(units, width, random):
    expected = quietly(bin_continuous, units, 0.0, 2.0, bin_width_s=width).counts
    shuffled = [random.sample(unit, len(unit)) for unit in units]
    clusters = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    pair = (np.array([time for unit in units for time in unit]), clusters)
    for spikes in (shuffled, dict(enumerate(units)), Units(pair, np.arange(len(units)))):
        found = quietly(bin_continuous, spikes, 0.0, 2.0, bin_width_s=width)
        np.testing.assert_array_equal(found.counts, expected)


# --- files --------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NAMES = st.text("abé", max_size=5)
FINITE = st.floats(-1e6, 1e6, width=32)


@st.composite
def trials(draw):
    """Trials with any of what may belong to them."""
    n_trials, n_times, n_channels = draw(st.integers(2, 5)), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    shape = (n_trials, n_times, n_channels)
    are_counts = draw(st.booleans())
    values = st.integers(0, 300).map(float) if are_counts else FINITE
    counts = draw(stn.arrays("float32", shape, elements=values))
    missing = draw(st.booleans())
    if missing:
        gaps = draw(stn.arrays(bool, shape))
        gaps[:, 0, 0] = False
        counts[gaps] = np.nan
    fields = {
        "label": draw(st.none() | stn.arrays("int64", n_trials) | stn.arrays("<U5", n_trials, elements=NAMES)),
        "start_s": draw(st.none() | stn.arrays("float64", n_trials, elements=st.floats(0, 1e5))),
        "inds": draw(st.none() | st.permutations(range(n_trials)).map(np.array)),
        "channel_ids": draw(st.none() | st.just(np.array([f"unit {i}" for i in range(n_channels)]))),
    }
    for name in ("behavior", "ext_input", "latents"):
        dims = draw(st.integers(0, 3))
        fields[name] = draw(stn.arrays("float32", (n_trials, n_times, dims), elements=FINITE)) if dims else None
    entries = TEXT | st.integers(-(2**60), 2**60) | FINITE
    attrs = draw(st.dictionaries(st.text("abcdef", min_size=1, max_size=6), entries, max_size=3))
    width = draw(st.floats(1e-4, 10))
    return Trials(counts, width, **fields, attrs=attrs, are_counts=are_counts, missing=missing)


def assert_same(a, b, names):
    for name in names:
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        if x is not None:
            assert x.dtype.kind == y.dtype.kind, name
            np.testing.assert_array_equal(x, y, err_msg=name)


def written(value, save, load):
    with tempfile.TemporaryDirectory() as folder:
        quietly(save, value, Path(folder) / "a.h5")
        return quietly(load, Path(folder) / "a.h5")


@QUICK
@given(st.data())
def test_trials_come_back_exactly(data):
    expected = quietly(data.draw, trials())
    found = written(expected, save_trials, load_trials)
    assert_same(found, expected, ("counts", "channel_ids", *(set(OPTIONAL) - {"session"})))
    assert (found.bin_width_s, found.are_counts, found.missing) == (
        expected.bin_width_s,
        expected.are_counts,
        expected.missing,
    )
    assert {name: found.attrs[name] for name in expected.attrs} == dict(expected.attrs)


@QUICK
@given(st.data(), st.integers(0, 2), st.integers(0, 2), st.integers(0, 5))
def test_recordings_come_back_exactly(data, heldout, forward_steps, seed):
    whole = quietly(data.draw, trials())
    assume(heldout < whole.n_channels and forward_steps < whole.n_times)
    try:
        expected = quietly(whole.split, 0.5, heldout=heldout, forward_steps=forward_steps, seed=seed)
    except ValueError:
        # Gaps may leave the encoder without a sample, or held-out channels alone.
        assume(not whole.missing)
        raise
    found = written(expected, save_recording, lambda path: load_recording(path, counts=whole.are_counts))
    for part in ("train", "valid"):
        assert_same(getattr(found, part), getattr(expected, part), ("encod", "recon", *OPTIONAL))
    assert_same(found, expected, ("channel_ids",))
    assert found.bin_width_s == expected.bin_width_s and found.has_missing == expected.has_missing


# --- checks -------------------------------------------------------------------------------------

ODD = st.sampled_from([0.0, 1.0, 2.0, 3.0, 0.5, -1.0, np.nan, np.inf, -np.inf])


def verdict(array, counts, missing):
    """What the message says of the first rule that is broken, found value by value; empty if none is."""
    infinite = [index for index in np.ndindex(array.shape) if np.isinf(array[index])]
    unknown = [index for index in np.ndindex(array.shape) if not np.isfinite(array[index])]
    negative = [index for index in np.ndindex(array.shape) if array[index] < 0]
    fractional = [index for index in np.ndindex(array.shape) if np.isfinite(array[index]) and array[index] % 1]
    if missing and not infinite and np.isnan(array).all(axis=(1, 2)).any():
        return ["in every trial"]
    rules = [("infinite", infinite) if missing else ("NaN or infinite", unknown)]
    rules += [("negative", negative), ("fractional", fractional)] if counts else []
    for word, where in rules:
        if where:
            return [f"Given: {len(where)} {word} of {array.size}", f"{where[0]}: {array[where[0]]}"]
    return []


@settings(QUICK, max_examples=150)
@given(
    stn.arrays("float32", stn.array_shapes(min_dims=3, max_dims=3, max_side=4), elements=ODD),
    st.booleans(),
    st.booleans(),
)
def test_the_check_equals_one_value_by_value(array, counts, missing):
    expected = verdict(array, counts, missing)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            check_trials(array, counts=counts, missing=missing)
            message = ""
        except ValueError as error:
            message = str(error)
    assert bool(message) == bool(expected)
    assert all(words in message for words in expected)
    if not message:
        values, told = np.nan_to_num(array), " ".join(str(warning.message) for warning in warned)
        silent = ~values.any(axis=(0, 1)) & ~np.isnan(array).all(axis=(0, 1))
        assert ("channels that are zero" in told) == silent.any()
        assert ("trials that are zero" in told) == (~values.any(axis=(1, 2))).any()
