"""Damaged files: the readers refuse them in words, or read exactly what was there.

What that can mean depends on the file. Files of this library carry checksums of every value and of the file's
structure, so any damage is found, or has hit bytes that nobody reads. Files made elsewhere mostly carry sums of
compressed values alone: no reader can tell a changed byte of an uncompressed array, or of the text of an attribute,
from the original. Counts, however, must never differ but by the very bytes that were changed.
"""

import warnings
from collections import Counter

import pytest

from indl.data import load_recording, save_recording
from tests.fuzzing import Worker, structures
from tests.messages import faults

RECORDINGS = ("adan_day0.h5", "reach_day31.h5", "mc_maze_small_5ms.h5", "head_direction_20ms.h5")
NWB = {
    "mc_maze_small_test.nwb": {"events": "move_onset_time", "window_s": [-0.25, 0.45], "bin_width_s": 0.005},
    "head_direction_A2929.nwb": {"bin_width_s": 0.02, "intervals": "wake", "behavior": "ry"},
}
DOCUMENTED = ("RecordingError", "FileNotFoundError", "ValueError")
_SEED = 20_000


def fault(result, path, ours):
    """What is wrong with what a reader made of a damaged file; empty if nothing is."""
    outcome = result["outcome"]
    if outcome in ("crash", "hang"):
        return outcome
    if outcome == "error":
        if result.get("must_fail") is False:
            return f"refused what is sound: {result['message']}"
        if result["kinds"][0] not in DOCUMENTED:
            return f"undocumented {result['kinds'][0]}: {result['message']}"
        # HDF5's and pynwb's own words are quoted, and may be long.
        bad = [rule for rule in faults(result["message"], [path.name]) if "longer" not in rule and "dumps" not in rule]
        return f"{bad}: {result['message']}" if bad or len(result["message"]) > 1500 else ""
    if result.get("must_fail"):
        return "read what cannot be right"
    if outcome == "same":
        return ""
    if ours or result.get("must_fail") is False or not explained(result):
        return f"read otherwise: {result}"
    return ""


def explained(result):
    """Whether what differs in a file from elsewhere is no more than what nobody could have found.

    No checksum covers attributes, and the names of attributes and of datasets that need not be there: what is lost is
    absent. A changed byte of an uncompressed array changes one value at most. In NWB files, a changed spike time moves
    a spike from bin to bin; any other time or index may move a trial or a unit, and shapes remain.
    """
    differs = {name: n for name, n in result["differs"].items() if not name.startswith(("attrs.", "bin_width_s"))}
    counts = ("counts", "train.encod", "train.recon", "valid.encod", "valid.recon")
    if any(n < 0 and name in counts for name, n in differs.items()):
        return False
    n_changed, n_bytes = sum(n for n in differs.values() if n > 0), sum(result["touched"].values())
    if "counts" in differs and any(not name.endswith("spike_times") for name in result["touched"]):
        return True
    return n_changed <= n_bytes * (2 if "counts" in differs else 1)


@pytest.fixture(scope="module")
def fuzz():
    """Does all jobs in a worker; returns the outcomes and everything that is wrong."""

    def run(path, reader, jobs, ours=False):
        outcomes, wrong = Counter(), []
        for seed, structure in jobs:
            result = worker.run({"path": str(path), "reader": reader, "seed": seed, "structure": structure})
            outcomes[result["outcome"]] += 1
            outcomes["different, with a warning"] += result["outcome"] == "different" and result["warned"]
            found = fault(result, path, ours)
            if found:
                wrong.append(f"{path.name}, seed {seed}, {result['what']}: {found}")
        print(path.name, "ours" if ours else "", dict(outcomes))
        return outcomes, wrong

    with Worker() as worker:
        yield run


def damages(n, first=_SEED):
    return [(first + i, None) for i in range(n)]


@pytest.fixture(params=["few", pytest.param("many", marks=pytest.mark.slow)])
def many(request):
    return request.param == "many"


@pytest.mark.parametrize("name", RECORDINGS)
def test_damaged_recordings(fuzz, recording_path, name, many):
    path = recording_path(name)
    _, wrong = fuzz(path, "recording", damages(500 if many else 15))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", RECORDINGS)
def test_damaged_files_of_this_library_are_found_out(fuzz, recording_path, name, tmp_path, many):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        save_recording(load_recording(recording_path(name)), tmp_path / name)
    outcomes, wrong = fuzz(tmp_path / name, "recording", damages(500 if many else 15), ours=True)
    assert not wrong, "\n".join(wrong)
    assert not outcomes["different"]


# Damage that HDF5 itself takes: it crashes, or hands out other values.
TAKEN = {
    "a text of variable length without a type": ("adan_day0.h5", 96),
    "a chunk that is listed but not found": ("adan_day0.h5", 1382),
    "another such chunk": ("mc_maze_small_5ms.h5", 1061),
    "bytes shuffled by 12 for values of 8": ("reach_day31.h5", 300469),
    "a name that is no text": ("adan_day0.h5", 102018),
    "a name that is listed but not found": ("adan_day0.h5", 301911),
}


@pytest.mark.parametrize("what", TAKEN)
def test_what_hdf5_takes_is_refused(fuzz, recording_path, what):
    name, seed = TAKEN[what]
    path = recording_path(name)
    outcomes, wrong = fuzz(path, "recording", [(seed, None)])
    assert not wrong and outcomes["error"] == 1, (outcomes, wrong)


@pytest.mark.parametrize("name", ["reach_day31.h5", "mc_maze_small_5ms.h5"])
def test_changed_structures(fuzz, recording_path, name, many):
    path = recording_path(name)
    jobs = [(_SEED, job) for job in structures(path)]
    outcomes, wrong = fuzz(path, "recording", jobs if many else jobs[::4])
    assert not wrong, "\n".join(wrong)
    assert outcomes["error"] and outcomes["same"]


@pytest.mark.parametrize("name", NWB)
def test_damaged_nwb_files(fuzz, recording_path, name, many):
    pytest.importorskip("pynwb")
    path = recording_path(name)
    _, wrong = fuzz(path, NWB[name], damages(250 if many else 4))
    assert not wrong, "\n".join(wrong)
