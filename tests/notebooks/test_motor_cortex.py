"""The notebook about LFADS on a recording of motor cortex: co-smoothing, decoding, inferred inputs, export."""

import contextlib
import io
import os
from pathlib import Path

import nbformat
import numpy as np
import pytest

from indl.data import Trials, load_recording
from indl.metrics import cosmoothing
from indl.params import preset
from tests.notebooks.running import NOTEBOOKS, ROOT, assert_figures_are_drawn, execute

RECORDING = "adan_day0.h5"

# Run after the notebook's own cells: hands its results over as JSON.
REPORT = """
import json
np.savez("arrays.npz", rates=rates, predicted=decoded.predicted, inputs=inputs, target=target)
print(json.dumps({
    "history": result.history, "n_heldin": recording.n_heldin, "co_bps": co_bps, "co_bps_se": co_bps_se,
    "baselines": {name: found.co_bps for name, found in baselines.items()}, "average_r2": average_r2,
    "force_r2": decoded.r2_per_dim.tolist(), "smoothed_r2": decoded_smoothed.r2, "lag_bins": decoded.lag_bins,
    "kl": {name: rows[-1].tolist() for name, rows in kl.items()}, "exported": exported_difference,
}, default=float))
"""


def bits_per_spike(rates, counts):
    """The benchmark's formula, written out: gain over each channel's mean, per spike."""
    rates, counts = rates.astype(np.float64), counts.astype(np.float64)
    null = counts.mean((0, 1))
    gain = (counts * np.log(rates / null) - rates + null).sum()
    return gain / counts.sum() / np.log(2)


@pytest.fixture(scope="module")
def cortex(tmp_path_factory):
    """What the notebook about motor cortex computes, and the recording it read."""
    folders = (ROOT.parent / "shared" / "data", Path(os.environ.get("INDL_DATA") or ROOT / "none"))
    path = next((folder / RECORDING for folder in folders if (folder / RECORDING).is_file()), None)
    if path is None:
        pytest.skip(f"the recording {RECORDING} is neither in $INDL_DATA nor in ../shared/data")
    folder = tmp_path_factory.mktemp("cortex")
    found = execute("03_lfads_motor_cortex.ipynb", REPORT, folder, INDL_DATA=str(path.parent))
    return {**found, "recording": load_recording(path)}


@pytest.mark.slow
def test_cosmoothing_is_that_of_the_rates(cortex):
    recording, rates = cortex["recording"], cortex["arrays"]["rates"]
    counts, n_heldin = recording.valid.recon, cortex["n_heldin"]
    assert (rates.shape, n_heldin) == ((58, 30, 96), 72)
    assert cortex["co_bps"] == pytest.approx(cosmoothing(rates, counts, n_heldin), abs=1e-9)
    assert cortex["co_bps"] == pytest.approx(bits_per_spike(rates[..., 72:], counts[..., 72:]), abs=1e-6)
    assert f"LFADS  {cortex['co_bps']:.4f} +- {cortex['co_bps_se']:.4f} bits/spike" in cortex["printed"]
    # The README of the data has the GLM's score.
    assert cortex["baselines"]["GLM"] == pytest.approx(0.1255, abs=0.003)
    assert cortex["baselines"]["PSTH"] == pytest.approx(0.110, abs=0.005)


@pytest.mark.slow
def test_force_is_decoded_at_the_lag(cortex):
    force, predicted = cortex["recording"].valid.behavior.astype("float64"), cortex["arrays"]["predicted"]
    lag = cortex["lag_bins"]
    assert lag == 3
    true, decoded = force[:, lag:], predicted[:, :-lag]
    missed = ((true - decoded) ** 2).sum((0, 1)) / ((true - true.mean((0, 1))) ** 2).sum((0, 1))
    np.testing.assert_allclose(cortex["force_r2"], 1 - missed, atol=1e-6)
    assert cortex["smoothed_r2"] == pytest.approx(0.846, abs=0.005)
    angles = np.rint(np.rad2deg(cortex["recording"].attrs["label_angles_rad"])).astype(int) % 360
    np.testing.assert_array_equal(cortex["arrays"]["target"], angles[cortex["recording"].valid.label])


@pytest.mark.slow
def test_lfads_on_motor_cortex_learns_and_is_exported(cortex):
    assert cortex["history"]["nll"][-1] < cortex["history"]["nll"][0]
    assert cortex["exported"] < 1e-5
    assert {name: len(values) for name, values in cortex["kl"].items()} == {
        "f": preset("lfads_small")["f_latent_size"],
        "z": cortex["arrays"]["inputs"].shape[-1],
    }
    assert "SYNTHETIC" not in cortex["printed"]


def test_motor_cortex_without_the_file_says_so(tmp_path, monkeypatch):
    (tmp_path / "repository" / "notebooks").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repository" / "notebooks")
    monkeypatch.delenv("INDL_DATA", raising=False)
    cells = nbformat.read(NOTEBOOKS / "03_lfads_motor_cortex.ipynb", as_version=4).cells
    (source,) = (cell.source for cell in cells if "def synthetic_reaches" in cell.source)
    names = {"np": np, "os": os, "Path": Path, "Trials": Trials, "load_recording": load_recording}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(source, names)
    assert "THIS IS A SYNTHETIC RECORDING" in printed.getvalue()
    recording = names["recording"]
    assert (recording.n_times, recording.n_heldin, recording.n_heldout) == (30, 30, 10)
    angle = recording.attrs["label_angles_rad"][recording.valid.label]
    pushed = recording.valid.behavior[:, -1]
    np.testing.assert_allclose(pushed, np.stack([np.sin(angle), np.cos(angle)], -1), atol=1e-2)


@pytest.mark.slow
def test_figures_are_drawn(cortex):
    assert_figures_are_drawn(cortex["notebook"], 10)
