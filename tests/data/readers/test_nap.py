"""pynapple's objects, real where pynapple is installed, and by their attributes where it is not."""

from types import SimpleNamespace

import numpy as np
import pytest

from indl.data import Units, Window, bin_spikes, from_pynapple

RNG = np.random.default_rng(2)
SPIKES = {2: np.sort(RNG.uniform(0, 50, 300)), 7: np.sort(RNG.uniform(0, 50, 100)), 9: np.sort(RNG.uniform(0, 50, 40))}
TIMES = np.arange(0, 50, 0.01)
HAND = np.stack([np.sin(TIMES), TIMES], axis=1)


class StandIn:
    """What of pynapple is used, by its names."""

    class TsGroup(dict):
        pass

    @staticmethod
    def Ts(t):
        return SimpleNamespace(t=np.asarray(t))

    @staticmethod
    def IntervalSet(start, end, metadata=None):
        info = {name: np.array(values) for name, values in (metadata or {}).items()}
        return SimpleNamespace(
            start=np.atleast_1d(np.float64(start)), end=np.atleast_1d(np.float64(end)), get_info=lambda name: info[name]
        )

    @staticmethod
    def TsdFrame(t, d, columns):
        support = StandIn.IntervalSet(t[0], t[-1])
        return SimpleNamespace(t=t, values=d, columns=np.array(columns), time_support=support)

    @staticmethod
    def Tsd(t, d):
        return SimpleNamespace(t=t, values=d, time_support=StandIn.IntervalSet(t[0], t[-1]))


@pytest.fixture(params=["pynapple", "stand-in"])
def nap(request):
    return pytest.importorskip("pynapple") if request.param == "pynapple" else StandIn


@pytest.fixture
def group(nap):
    support = nap.IntervalSet(0, 50)
    group = {unit: nap.Ts(t=times) for unit, times in SPIKES.items()}
    if nap is not StandIn:
        return nap.TsGroup(group, time_support=support)
    group = StandIn.TsGroup(group)
    group.time_support = support
    return group


def test_events(nap, group):
    expected = bin_spikes(SPIKES, Window([5.0, 20.0], (-1, 1), 0.1), behavior=(TIMES, HAND))
    frame = nap.TsdFrame(t=TIMES, d=HAND, columns=["x", "y"])
    window = Window(nap.Ts(t=np.array([5.0, 20.0])), (-1, 1), 0.1)
    for trials in (
        from_pynapple(group, window, behavior=frame),
        from_pynapple(group, Window([5.0, 20.0], (-1, 1), 0.1), behavior=frame),
        bin_spikes(group, window, behavior=frame),
    ):
        assert np.array_equal(trials.counts, expected.counts) and trials.channel_ids.tolist() == [2, 7, 9]
        assert np.array_equal(trials.behavior, expected.behavior)
        assert trials.attrs["behavior_names"].tolist() == ["x", "y"]
    assert from_pynapple(group, window).source == "pynapple TsGroup"


def test_intervals_with_a_label_of_their_own(nap, group):
    intervals = nap.IntervalSet([0, 10], [2, 15], metadata={"kind": ["run", "rest"]})
    trials = from_pynapple(group, Window(intervals=intervals, label="kind", bin_width_s=0.5))
    expected = bin_spikes(SPIKES, Window(intervals=[(0, 2), (10, 15)], bin_width_s=0.5))
    assert np.array_equal(trials.counts, expected.counts, equal_nan=True)
    assert trials.label.tolist() == ["run", "rest"]
    observed = bin_spikes(Units(group, obs_intervals=intervals), Window([14.0], (0, 2), 0.5))
    assert np.isnan(observed.counts[0, :, 0]).tolist() == [False, False, True, True]


def test_the_support_is_the_trial_where_nothing_else_is(group):
    assert np.array_equal(
        from_pynapple(group, Window(bin_width_s=0.1)).counts,
        bin_spikes(SPIKES, Window(intervals=(0, 50), bin_width_s=0.1)).counts,
    )


def test_a_frame_of_counts_is_cut_at_its_own_bins(nap, group):
    binned = bin_spikes(SPIKES, Window(intervals=(0, 50), bin_width_s=0.1))
    frame = nap.TsdFrame(t=0.05 + 0.1 * np.arange(500), d=binned.counts[0].astype(int), columns=[2, 7, 9])
    trials = from_pynapple(frame, Window([5.0, 20.0], (-1, 1)))
    expected = from_pynapple(group, Window([5.0, 20.0], (-1, 1), 0.1))
    assert np.array_equal(trials.counts, expected.counts) and trials.are_counts
    assert trials.bin_width_s == pytest.approx(0.1) and trials.channel_ids.tolist() == [2, 7, 9]


def test_pynapples_own_counts_are_cut_alike():
    nap = pytest.importorskip("pynapple")
    group = nap.TsGroup({unit: nap.Ts(t=times) for unit, times in SPIKES.items()}, time_support=nap.IntervalSet(0, 50))
    intervals = nap.IntervalSet([0, 10, 30], [2, 13, 34])
    trials = from_pynapple(group.count(0.05), Window(intervals=intervals))
    expected = from_pynapple(group, Window(intervals=intervals, bin_width_s=0.05))
    assert np.array_equal(trials.counts, expected.counts, equal_nan=True)


def test_a_signal_keeps_its_samples_and_its_gaps(nap):
    times = np.concatenate([np.arange(0, 100), np.arange(150, 300)]) * 0.1
    trials = from_pynapple(
        nap.Tsd(t=times, d=times * 2.0), Window([5.0, 9.5, 20.0], (-0.5, 1)), behavior=nap.Tsd(t=times, d=-times)
    )
    assert not trials.are_counts and trials.counts.shape == (3, 15, 1)
    when = np.array([[5.0], [9.5], [20.0]]) - 0.5 + 0.1 * np.arange(15)
    there = (when < 9.95) | (when > 14.95)
    assert np.allclose(trials.counts[:, :, 0][there], 2 * when[there], atol=1e-5)
    assert np.isnan(trials.counts[:, :, 0][~there]).all() and not there.all()
    assert np.allclose(trials.behavior[:, :, 0][there], -when[there], atol=1e-5)


def test_what_cannot_be_cut_is_named(nap, group):
    with pytest.raises(TypeError, match="takes a TsGroup, TsdFrame or Tsd. Given: ndarray"):
        from_pynapple(np.zeros(3), Window([1.0], (0, 1)))
    with pytest.raises(TypeError, match=r"cut by a Window. Given: \[1.0\]"):
        from_pynapple(group, [1.0])
    uneven = nap.Tsd(t=np.array([0.0, 1.0, 1.4, 2.0, 3.0]), d=np.zeros(5))
    with pytest.raises(ValueError, match="evenly spaced.*bin_average"):
        from_pynapple(uneven, Window([1.0], (0, 1)))
    with pytest.raises(ValueError, match="about 0.01 s apart for bins of 0.1 s"):
        from_pynapple(nap.Tsd(t=TIMES, d=TIMES), Window([1.0], (0, 1), 0.1))
    with pytest.raises(ValueError, match="Give either events with window_s"):
        from_pynapple(group, Window([1.0], (0, 1), 0.1, intervals=nap.IntervalSet([0], [1])))
