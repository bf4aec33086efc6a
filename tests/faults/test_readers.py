"""Fields of files that change values, and marks that index channels: C7 and C8 of the list of faults."""

import datetime
from dataclasses import replace

import numpy as np
import pytest

from indl.data import RecordingError, Trials, Window, bin_spikes, from_pynapple, read_nwb, rebin

pynwb = pytest.importorskip("pynwb")

RNG = np.random.default_rng(0)
SPIKES = [np.sort(RNG.uniform(0, 20, n)) for n in (0, 300, 200, 250)]
WINDOW = Window(None, (0, 4), 0.5)


def write(path, marks=None, invalid=(), observed=None):
    """Four units, of which the first is silent, and three trials of four seconds."""
    nwb = pynwb.NWBFile("made", "made-1", datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    if marks is not None:
        nwb.add_unit_column("h", "held out")
    for i, times in enumerate(SPIKES):
        more = {} if marks is None else {"h": marks[i]}
        nwb.add_unit(spike_times=times, **more, **({} if observed is None else {"obs_intervals": observed}))
    for start in (0.0, 5.0, 10.0):
        nwb.add_trial(start_time=start, stop_time=start + 4)
    for span in invalid:
        nwb.add_invalid_time_interval(start_time=span[0], stop_time=span[1])
    electrodes = {"conversion": 2.0, "offset": 1.0, "channel_conversion": [1.0, 10.0]}
    device = nwb.create_device("d")
    group = nwb.create_electrode_group("g", "g", "g", device)
    for _ in range(2):
        nwb.add_electrode(location="x", group=group)
    region = nwb.create_electrode_table_region([0, 1], "both")
    nwb.add_acquisition(
        pynwb.ecephys.ElectricalSeries(
            name="field", data=np.arange(80.0).reshape(40, 2), electrodes=region, rate=2.0, **electrodes
        )
    )
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


@pytest.mark.filterwarnings("ignore:.*silent", "ignore:.*lie outside")
@pytest.mark.parametrize("observed", [None, [[0.0, 6.0], [6.5, 30.0]]])
def test_c07_invalid_times_were_not_recorded(observed, tmp_path):
    path = write(tmp_path / "a.nwb", invalid=[(3.0, 5.5), (13.2, 13.4)], observed=observed)
    with pytest.warns(UserWarning, match="in invalid times"):
        trials = read_nwb(path, WINDOW)
    plain = bin_spikes([s for s in SPIKES], Window(np.array([0.0, 5.0, 10.0]), (0, 4), 0.5)).counts
    unknown = np.zeros(plain.shape, bool)
    unknown[0, 6:], unknown[1, 0], unknown[2, 6] = True, True, True
    if observed is not None:
        unknown[1, 2] = True
    np.testing.assert_array_equal(np.isnan(trials.counts), unknown)
    np.testing.assert_array_equal(trials.counts[~unknown], plain[~unknown])


@pytest.mark.filterwarnings("ignore:.*silent")
def test_c07_factors_of_single_channels_are_applied(tmp_path):
    trials = read_nwb(write(tmp_path / "a.nwb"), WINDOW, behavior="field")
    first = trials.behavior[0]
    # Half-second samples of 2 x + 1, and of 20 x + 1 on the second channel, at the centres of the bins.
    steps = 2 * (np.arange(8) + 0.5)
    np.testing.assert_allclose(first, np.stack([2 * steps + 1, 20 * (steps + 1) + 1], 1), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*silent")
@pytest.mark.parametrize(
    "marks", [[False, False, True, True], ["no", "no", "yes", "yes"], ["False", "False", "True", "True"], [0, 0, 1, 1]]
)
def test_c08_marks_stay_with_their_units(marks, tmp_path):
    trials = read_nwb(write(tmp_path / "a.nwb", marks), WINDOW, heldout="h")
    assert trials.attrs["heldout"].tolist() == [2, 3]
    spiking = trials.channels(trials.counts.sum((0, 1)) > 0)
    assert spiking.attrs["heldout"].tolist() == [1, 2] and spiking.channel_ids.tolist() == [1, 2, 3]
    turned = spiking.channels([2, 0, 1])
    assert turned.attrs["heldout"].tolist() == [0, 2]
    recording = turned[[0, 1, 2, 0, 1, 2]].split(heldout=turned.attrs["heldout"])
    assert recording.channel_ids.tolist() == [1, 3, 2] and recording.attrs["heldout"].tolist() == [1, 2]


def test_c08_marks_of_other_words_are_refused(tmp_path):
    with pytest.raises(RecordingError, match=r"neither yes nor no. Given: \['maybe'\]"):
        read_nwb(write(tmp_path / "a.nwb", ["no", "maybe", "yes", "yes"]), WINDOW, heldout="h")


def test_c08_what_speaks_of_channels_or_bins_follows_or_goes():
    attrs = {"readout_bias": np.arange(3), "readin_weight": np.ones((2, 4)), "psth": np.ones((1, 8, 3)), "area": "M1"}
    trials = Trials(RNG.poisson(1.0, (5, 8, 3)), 0.02, attrs=attrs)
    kept = trials.channels([2, 0]).attrs
    assert kept["readout_bias"].tolist() == [2, 0] and kept["readin_weight"].shape == (2, 4) and kept["area"] == "M1"
    wide = rebin(trials, 2).attrs
    assert "psth" not in wide and wide["readout_bias"].tolist() == [0, 1, 2]


def test_c10_binned_counts_begin_where_their_bins_do():
    nap = pytest.importorskip("pynapple")
    group = nap.TsGroup({i: nap.Ts(times) for i, times in enumerate(SPIKES[1:])}, time_support=nap.IntervalSet(0, 20))
    place = nap.Tsd(t=np.arange(0, 20, 0.05), d=np.arange(0, 20, 0.05), time_support=nap.IntervalSet(0, 20))
    window = Window(nap.Ts(np.array([0.2, 3.0])), (0, 0.4), 0.1)
    binned = from_pynapple(group.count(0.1), replace(window, bin_width_s=None), behavior=place)
    spikes = from_pynapple(group, window, behavior=place)
    np.testing.assert_allclose(binned.start_s, [0.2, 3.0], atol=1e-9)
    np.testing.assert_array_equal(binned.counts, spikes.counts)
    np.testing.assert_allclose(binned.behavior, spikes.behavior, atol=1e-6)
