"""Binning: every spike in the bin it belongs to, against whole-number arithmetic, and bad input by name."""

import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indl.data import Trials, Units, Window, bin_continuous, bin_spikes

# Spikes, events and bins in whole ticks of 0.1 ms, in which arithmetic is exact.
TICK = 10_000


@st.composite
def tick_cases(draw):
    width = draw(st.sampled_from([10, 50, 7, 200]))
    n_bins, before = draw(st.integers(1, 12)), draw(st.integers(0, 5))
    origin = draw(st.sampled_from([0, 100_000 * TICK, 86_399 * TICK + 3333]))
    events = draw(st.lists(st.integers(1000, 5000), min_size=1, max_size=4))
    # Many on an edge: an event plus whole bins.
    edge = st.builds(lambda e, k: e + (k - before) * width, st.sampled_from(events), st.integers(0, n_bins))
    units = draw(st.lists(st.lists(edge | st.integers(0, 8000), max_size=25), min_size=1, max_size=3))
    return [[origin + s for s in spikes] for spikes in units], [origin + e for e in events], width, n_bins, before


def in_ticks(units, events, width, n_bins, before):
    counts = np.zeros((len(events), n_bins, len(units)))
    for trial, event in enumerate(events):
        for unit, spikes in enumerate(units):
            for spike in spikes:
                k = (spike - event + before * width) // width
                if 0 <= k < n_bins:
                    counts[trial, k, unit] += 1
    return counts


@settings(max_examples=200, deadline=None)
@given(tick_cases())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_counts_are_those_of_whole_number_arithmetic(case):
    units, events, width, n_bins, before = case
    window = (-before * width / TICK, (n_bins - before) * width / TICK)
    trials = bin_spikes(
        [np.array(spikes) / TICK for spikes in units], Window(np.array(events) / TICK, window, width / TICK)
    )
    assert np.array_equal(trials.counts, in_ticks(*case))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 50, allow_subnormal=False), max_size=60),
    st.floats(0, 40),
    st.sampled_from([0.001, 0.02, 0.1, 0.3]),
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_without_tolerance_counts_are_numpys_histogram(spikes, start, width):
    trials = bin_spikes([spikes], Window(intervals=(start, start + 40 * width), bin_width_s=width, tolerance=0))
    edges = start + np.arange(trials.n_times + 1) * width
    # The last bin of a histogram holds its last edge, too: one more bin takes that place.
    expected = np.histogram(spikes, np.append(edges, edges[-1] + 1))[0][:-1]
    assert np.array_equal(trials.counts[0, :, 0], expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("origin", [0.0, 1e5, 1.7e9])
def test_cutting_before_or_after_binning_is_the_same(origin):
    rng = np.random.default_rng(3)
    spikes = [np.sort(np.round(origin + rng.uniform(0, 20, 3000), 3)) for _ in range(2)]
    whole = bin_continuous(spikes, origin, origin + 20, bin_width_s=0.01)
    cut = bin_spikes(spikes, Window(origin + np.arange(40) / 2, (0, 0.5), 0.01))
    assert np.array_equal(whole.counts.reshape(40, 50, 2), cut.counts)
    assert whole.counts.sum() == sum(np.count_nonzero(times < origin + 20 - 1e-6) for times in spikes)


def test_a_spike_on_an_edge_belongs_to_the_later_bin_whatever_the_order_of_spikes():
    # 3 * 0.1 is above 0.3 in double precision.
    trials = bin_spikes([[0.5, 0.3, 0.1, 0.7, 0.6]], Window([0.0], (0, 0.7), 0.1))
    assert trials.counts[0, :, 0].tolist() == [0, 1, 0, 1, 0, 1, 1]


def test_all_forms_of_spike_times_give_the_same_trials():
    rng = np.random.default_rng(0)
    units = {7: rng.uniform(0, 10, 80), 2: rng.uniform(0, 10, 50), 5: np.array([])}
    times, clusters = np.concatenate(list(units.values())), np.repeat([7, 2], [80, 50])
    shuffled = rng.permutation(130)
    cut = Window([2.0, 5.0], (-0.5, 1.0), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [
            bin_spikes(Units(list(units.values()), [7, 2, 5]), cut),
            bin_spikes(units, cut),
            bin_spikes(Units((times[shuffled], clusters[shuffled]), [7, 2, 5]), cut),
            bin_spikes(Units((times[:, None], clusters[None].astype(float)), [7, 2, 5]), cut),
        ]
    for trials in made:
        assert np.array_equal(trials.counts, made[0].counts)
        assert trials.channel_ids.tolist() == [7, 2, 5]
        assert trials.start_s.tolist() == [1.5, 4.5]
        assert trials.attrs["window_s"].tolist() == [-0.5, 1.0]
    some = bin_spikes(Units(units, [2, 7]), cut)
    assert np.array_equal(some.counts, made[0].counts[:, :, [1, 0]])


def test_clusters_are_sorted_by_id_unless_ids_are_given():
    trials = bin_spikes((np.array([0.1, 0.2, 0.3]), np.array([9, 4, 9])), Window([0.0], (0, 0.5), 0.5))
    assert trials.channel_ids.tolist() == [4, 9] and trials.counts[0, 0].tolist() == [1, 2]


def test_units_with_clocks_of_their_own_meet_on_one():
    seconds = np.array([1.05, 1.15, 1.25])
    samples = np.round((seconds - 0.5) * 30_000).astype(int)
    cut = Window([1.1], (-0.1, 0.3), 0.1)
    for rates, offsets in (([1, 30_000], [0, 0.5]), ({"a": 1, "b": 30_000.0}, {"a": 0.0, "b": 0.5})):
        trials = bin_spikes(Units([seconds, samples], ["a", "b"], rates, offsets), cut)
        assert trials.counts[0].T.tolist() == [[1, 1, 1, 0]] * 2
    both = bin_spikes(Units([samples, samples], sampling_rate_hz=30_000, offset_s=0.5), cut)
    assert both.counts[0].T.tolist() == [[1, 1, 1, 0]] * 2


def test_trials_of_different_length_are_padded():
    spikes = [[0.05, 0.15, 1.05, 1.35], [1.1, 1.2, 1.21]]
    trials = bin_spikes(spikes, Window(intervals=[(1.0, 1.4), (0.0, 0.25)], bin_width_s=0.1, label=["x", "y"]))
    expected = Trials.from_list([[[1, 0], [0, 1], [0, 2], [1, 0]], [[1, 0], [1, 0]]], 0.1)
    assert np.array_equal(trials.counts, expected.counts, equal_nan=True)
    assert trials.lengths.tolist() == [4, 2] and trials.label.tolist() == ["x", "y"]


def test_trials_without_the_event_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="2 of 4 events are NaN, the first is number 1"):
        trials = bin_spikes([[1.0, 2.0, 4.0]], Window([1.0, np.nan, 4.0, np.nan], (0, 1), 0.5, label=[5, 6, 7, 8]))
    assert trials.inds.tolist() == [0, 2] and trials.label.tolist() == [5, 7]
    assert trials.counts[:, 0, 0].tolist() == [1, 1]


def test_trials_that_leave_the_recording():
    window = Window([0.6, 5.0, 9.5, 30.0], (-1, 1), 0.5, recording_s=(0, 10), label=[0, 1, 2, 3])
    spikes = [[0.2, 5.2, 9.6]]
    with pytest.raises(ValueError, match="3 of 4 trials leave the recording from 0 to 10 s; the first is trial 0"):
        bin_spikes(spikes, window)
    with pytest.warns(UserWarning, match="3 of 4 trials leave"):
        dropped = bin_spikes(spikes, replace(window, edges="drop"))
    assert dropped.inds.tolist() == [1] and dropped.label.tolist() == [1]
    with pytest.warns(UserWarning, match="1 of 4 trials have no recorded bin of any unit; the first is trial 3"):
        kept = bin_spikes(spikes, replace(window, edges="missing"))
    assert kept.inds.tolist() == [0, 1, 2] and kept.label.tolist() == [0, 1, 2]
    # From -0.4 to 1.6, and from 8.5 to 10.5.
    nan = np.nan
    expected = [[nan, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, nan]]
    assert np.array_equal(kept.counts[:, :, 0], expected, equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=5), st.integers(0, 40))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bins_outside_the_observed_intervals_are_missing(spans, event):
    """Bins of 4 ticks of 0.1 s; a bin is observed if each of its ticks is."""
    observed = np.zeros(200, bool)
    for start, length in spans:
        observed[start : start + length] = True
    seconds = np.array([(start / 10, (start + length) / 10) for start, length in spans]).reshape(-1, 2)
    always = [[0, 100]]
    units = Units([[1.0], [1.0]], obs_intervals=[seconds, always])
    trials = bin_spikes(units, Window([event / 10], (0, 4), 0.4))
    expected = observed[event : event + 40].reshape(10, 4).all(axis=1)
    assert np.array_equal(~np.isnan(trials.counts[0, :, 0]), expected)
    assert not np.isnan(trials.counts[0, :, 1]).any()


def test_observed_intervals_come_in_several_forms():
    nan, spikes = np.nan, [[0.5, 2.5], [1.5]]
    for_all = [[1, 0, nan, nan], [0, 1, nan, nan]]
    for spans in ([(0, 2)], np.array([[0.0, 1.0], [1.0, 2.0]]), {"a": [(0, 2)], "b": [(0, 2)]}):
        trials = bin_spikes(Units(spikes, ["a", "b"], obs_intervals=spans), Window([0.0], (0, 4), 1.0))
        assert np.array_equal(trials.counts[0].T, for_all, equal_nan=True)


def test_behaviour_is_taken_at_the_centres_of_the_bins():
    times = np.arange(0, 10, 0.03)
    position = np.stack([2 * times, 5 - times], axis=1)
    trials = bin_spikes([[1.0, 4.0]], Window([1.0, 4.0], (-0.2, 0.4), 0.1), behavior={"hand": (times, position)})
    centers = np.array([1.0, 4.0])[:, None] - 0.2 + 0.1 * (np.arange(6) + 0.5)
    assert np.allclose(trials.behavior, np.stack([2 * centers, 5 - centers], axis=2), atol=1e-6)
    assert trials.attrs["behavior_names"].tolist() == ["hand_0", "hand_1"]


def test_behaviour_of_shorter_trials_is_padded_and_inputs_are_taken_alike():
    line = (np.arange(11.0), np.arange(11.0))
    window = Window(intervals=[(0, 3), (3, 4)], bin_width_s=1.0)
    trials = bin_spikes([[0.5, 3.5]], window, behavior=line, ext_input=line)
    nan = np.nan
    assert np.array_equal(trials.behavior[:, :, 0], [[0.5, 1.5, 2.5], [3.5, nan, nan]], equal_nan=True)
    assert np.array_equal(trials.ext_input, trials.behavior, equal_nan=True)


def test_repeated_spike_times_are_counted_and_told():
    with pytest.warns(UserWarning, match="Given: 2 in 1 of 2 units, the first in unit 1 at 0.5 s"):
        trials = bin_spikes([[0.1], [0.5, 0.5, 0.5]], Window([0.0], (0, 1), 1.0))
    assert trials.counts[0, 0].tolist() == [1, 3]


def test_what_is_known_is_kept():
    trials = bin_spikes([[1.0]], Window([1.0], (0, 1), 0.5), attrs={"species": "mouse"}, source="probe 1")
    assert trials.source == "probe 1" and trials.attrs["species"] == "mouse" and not trials.missing


UNITS = [field.name for field in fields(Units)]
GOOD = {"spike_times": [[0.5, 1.5], [2.5]], "events": [1.0, 2.0], "window_s": (-0.2, 0.6), "bin_width_s": 0.1}
BAD = {
    "window of no whole number of bins": ({"window_s": (-0.2, 0.63)}, r"8.3 bins of 0.1 s.*window_s=\(-0.2, 0.6\)"),
    "window shorter than a bin": ({"window_s": (0, 0.04)}, r"nearest that fits is window_s=\(0, 0.1\)"),
    "window backwards": ({"window_s": (0.6, -0.2)}, "a start before a stop"),
    "window of three": ({"window_s": (0, 1, 2)}, "a start before a stop"),
    "window of NaN": ({"window_s": (np.nan, 1)}, "a start before a stop"),
    "bin width in milliseconds": ({"bin_width_s": 20}, "If that is milliseconds, give 0.02"),
    "no window": ({"window_s": None}, r"need a window around them. Given: events \[1.0, 2.0\] alone"),
    "no events": ({"events": []}, "one time a trial.*shape"),
    "events of text": ({"events": ["1.0"]}, "one time a trial"),
    "events all NaN": ({"events": [np.nan, np.nan]}, "2 of 2 events are NaN"),
    "infinite event": ({"events": [1.0, np.inf]}, "1 infinite of 2, the first at index 1"),
    "both ways": (
        {"intervals": (0, 1)},
        "Give either events with window_s, or intervals. Given: events, window_s, intervals",
    ),
    "neither way": ({"events": None}, "Given: window_s. Leave out"),
    "no bin width": ({"bin_width_s": None}, "a number of seconds"),
    "starts without stops": ({"events": None, "window_s": None, "intervals": [0, 1, 2]}, r"Given: shape \(1, 3\)"),
    "names of intervals": ({"events": None, "window_s": None, "intervals": [("a", "b")]}, "Given: shape .* of <U1"),
    "a trial that ends first": (
        {"events": None, "window_s": None, "intervals": [(0, 1), (5, 4)]},
        "Given: 1 of 2 trials that do not, the first is trial 1 from 5 to 4 s",
    ),
    "NaN start": ({"events": None, "window_s": None, "intervals": [(0, 1), (np.nan, 4)]}, "must be finite"),
    "NaN spikes": ({"spike_times": [[0.5], [1.0, np.nan, np.nan]]}, "2 NaN or infinite of 4, the first in unit 1 at"),
    "infinite spike": ({"spike_times": [[0.5, np.inf]]}, "1 NaN or infinite of 2, the first in unit 0 at index 1"),
    "negative spikes": (
        {"spike_times": [[], [0.5], [-0.1, 1]]},
        "1 earlier of 3, the first in unit 2 at index 0: -0.1",
    ),
    "spikes in nanoseconds since 1970": ({"spike_times": [[1.7e18]]}, "give sampling_rate_hz"),
    "spikes of text": ({"spike_times": [["a"]]}, "vector of numbers"),
    "spikes of two axes": ({"spike_times": [np.ones((3, 2))]}, r"Given: shape \(3, 2\)"),
    "one array": ({"spike_times": np.array([0.5, 1.5])}, "one array a unit"),
    "no units": ({"spike_times": []}, "at least one unit"),
    "two units in a tuple": ({"spike_times": (np.array([0.1]), np.array([0.2, 0.3]))}, "for two units give a list"),
    "ids of other length": ({"ids": [1, 2, 3]}, r"Given: shape \(3,\) for 2 units"),
    "ids that repeat": ({"ids": [4, 4]}, r"Given: \[4\] more than once"),
    "ids that are not there": ({"spike_times": {1: [0.5]}, "ids": [1, 8]}, r"Given: \[8\]"),
    "sampling rate zero": ({"sampling_rate_hz": [30_000, 0]}, "must be positive"),
    "sampling rates for others": ({"sampling_rate_hz": [1, 2, 3]}, "one number, or one a unit"),
    "sampling rates without a unit": ({"sampling_rate_hz": {0: 1.0}}, r"Given: none for \[1\]"),
    "offset NaN": ({"offset_s": np.nan}, "offset_s must be finite"),
    "labels of other length": ({"label": [0, 1, 2]}, r"label must be one value a trial. Given: shape \(3,\) for 2"),
    "recording backwards": ({"recording_s": (5, 1)}, "start and the stop of the recording"),
    "unknown edges": ({"edges": "pad", "recording_s": (0, 9)}, "Choose one of raise, missing, drop"),
    "tolerance of a bin": ({"tolerance": 1.0}, "small part of a bin"),
    "nothing observed": ({"obs_intervals": [(50, 60)]}, "2 of 2 trials have no recorded bin"),
    "observed intervals for others": ({"obs_intervals": [[[0, 9]]] * 3}, "Given: 3 for 2 units"),
    "observed intervals backwards": ({"obs_intervals": [(6, 5)]}, "starts with stops that are not earlier"),
    "behaviour without times": ({"behavior": np.zeros(5)}, "Give a pair"),
    "behaviour of other length": ({"behavior": (np.arange(4), np.zeros(5))}, "one time a sample"),
    "more than the memory": ({"window_s": (0, 1e8), "bin_width_s": 0.1}, "must fit in memory.*GiB"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        given = GOOD | changes
        units = {name: given.pop(name) for name in UNITS if name in given}
        series = {name: given.pop(name) for name in ("behavior",) if name in given}
        bin_spikes(Units(**units), Window(**given), **series)


def test_earlier_spikes_are_let_pass_where_the_recording_starts_earlier():
    trials = bin_spikes([[-0.5, 0.5]], Window([0.0], (-1, 1), 1.0, recording_s=(-2, 2)))
    assert trials.counts[0, :, 0].tolist() == [1, 1]
