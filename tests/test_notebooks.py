"""The notebooks run from top to bottom, and what they end with is right."""

import contextlib
import io
import json
import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from indl.data import Trials, load_recording, lorenz
from indl.metrics import cosmoothing, poisson_nll, rate_r2_per_channel
from indl.params import preset
from indl.training import BetaSchedule

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
RECORDING = "adan_day0.h5"

# Run after a notebook's own cells: hands its results over as JSON.
REPORT_BUILDERS = """
import json
_squares = lambda a, b: float(((a.astype("float64") - b) ** 2).sum())
print(json.dumps({
    "hand": hand_history, "hand_epochs": hand_epochs, "counts": [hand.count_params(), built.count_params()],
    "same": float(same), "saved": float(saved_difference), "exported": float(exported_difference),
    "history": result.history, "scores": scores, "latent_r2": r2.tolist(), "shape": rates.shape,
    "r2_by_hand": 1 - _squares(rates, valid.truth) / _squares(valid.truth, valid.truth.mean(dtype="float64")),
    "null_nll": float((valid.recon.mean((0, 1)) - valid.recon * np.log(valid.recon.mean((0, 1)))).sum((1, 2)).mean()),
    "model_nll": float((rates - valid.recon * np.log(rates)).sum((1, 2)).mean()),
    "trials": [done.score for done in trials], "best": best, "varied": trials[0].hyperparameters.values,
}, default=float))
"""
REPORT_LORENZ = """
import json
np.savez("arrays.npz", rates=rates, mapped=mapped, initial=initial, inputs=inputs, pulse_bin=pulse_bin,
         pulse_sign=pulse_sign, inds=pulsed.valid.inds, true_rates=true_rates, pulse_counts=pulsed.valid.recon,
         pulse_rates=controlled.rates(pulsed.valid.encod))
print(json.dumps({
    "history": result.history, "pulse_history": pulse_result.history, "nll_zero": nll_zero, "nll_means": nll_means,
    "scores": scores, "by_channel": by_channel["posterior means"].tolist(), "latent_r2": r2.tolist(),
    "nearest": nearest, "chance": chance, "within": within, "sign_correlation": sign_correlation,
    "pulse_r2": pulse_r2, "twin": twin_difference, "roles": list(weights),
    "best_epoch": result.best_epoch, "first_epoch": result.first_epoch,
}, default=float))
"""
REPORT_CORTEX = """
import json
np.savez("arrays.npz", rates=rates, predicted=decoded.predicted, inputs=inputs, target=target)
print(json.dumps({
    "history": result.history, "n_heldin": recording.n_heldin, "co_bps": co_bps, "co_bps_se": co_bps_se,
    "baselines": {name: found.co_bps for name, found in baselines.items()}, "average_r2": average_r2,
    "force_r2": decoded.r2_per_dim.tolist(), "smoothed_r2": decoded_smoothed.r2, "lag_bins": decoded.lag_bins,
    "kl": {name: rows[-1].tolist() for name, rows in kl.items()}, "exported": exported_difference,
}, default=float))
"""
REPORT_PI_VAE = """
import json
np.savez("arrays.npz", z=classes.test.z, codes=means_of_classes, likelihood=likelihood, tuning=tuning,
         u_valid=motor_labels, likely=likely, heading=u_valid, ridge=ridge)
print(json.dumps({
    "r2": [r2_classes, r2_curve], "gaps": [float(gap_classes), float(gap_curve)], "errors": errors,
    "heading_error": heading_error, "trials": len(cut[1]), "findings": findings, "real": path is not None,
}, default=float))
"""


def execute(name, report, folder, **environment):
    """What a notebook computes in two epochs: the values that `report` prints, its printed text, and itself."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(report))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INDL_NOTEBOOK_EPOCHS", "2")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        for key, value in environment.items():
            patch.setenv(key, value)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    outputs = [[output["text"] for output in cell.get("outputs", []) if output.get("name") == "stdout"]
               for cell in notebook.cells]  # fmt: skip
    text = "".join("".join(printed) for printed in outputs[:-1])
    arrays = folder / "arrays.npz"
    found = {**json.loads("".join(outputs[-1])), "notebook": notebook, "printed": text}
    return {**found, "arrays": dict(np.load(arrays)) if arrays.is_file() else {}}


def images(notebook):
    """The figures of a notebook, as base64."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]


def bits_per_spike(rates, counts):
    """The benchmark's formula, written out: gain over each channel's mean, per spike."""
    rates, counts = rates.astype(np.float64), counts.astype(np.float64)
    null = counts.mean((0, 1))
    gain = (counts * np.log(rates / null) - rates + null).sum()
    return gain / counts.sum() / np.log(2)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the first notebook computes."""
    return execute("01_builders.ipynb", REPORT_BUILDERS, tmp_path_factory.mktemp("builders"))


@pytest.fixture(scope="module")
def lfads(tmp_path_factory):
    """What the notebook about LFADS on Lorenz data computes."""
    return execute("02_lfads_lorenz.ipynb", REPORT_LORENZ, tmp_path_factory.mktemp("lorenz"))


@pytest.fixture(scope="module")
def cortex(tmp_path_factory):
    """What the notebook about motor cortex computes, and the recording it read."""
    folders = (ROOT.parent / "shared" / "data", Path(os.environ.get("INDL_DATA") or ROOT / "none"))
    path = next((folder / RECORDING for folder in folders if (folder / RECORDING).is_file()), None)
    if path is None:
        pytest.skip(f"the recording {RECORDING} is neither in $INDL_DATA nor in ../shared/data")
    folder = tmp_path_factory.mktemp("cortex")
    found = execute("03_lfads_motor_cortex.ipynb", REPORT_CORTEX, folder, INDL_DATA=str(path.parent))
    return {**found, "recording": load_recording(path)}


@pytest.fixture(scope="module")
def pi_vae(tmp_path_factory):
    """What the notebook about pi-VAE computes."""
    folder = os.environ.get("INDL_DATA") or str(ROOT.parent / "shared" / "data")
    return execute("04_pi_vae.ipynb", REPORT_PI_VAE, tmp_path_factory.mktemp("pi_vae"), INDL_DATA=folder)


def test_builders_by_hand_and_in_one_call_are_the_same_model(results):
    by_hand, built = results["counts"]
    assert by_hand == built > 300_000
    assert results["same"] < 1e-6


def test_saved_and_exported_models_give_the_live_rates(results):
    assert results["saved"] < 1e-6
    assert results["exported"] < 1e-5


def test_hand_made_model_learns_under_its_schedule(results):
    history = results["hand"]
    assert history["nll"][-1] < history["nll"][0]
    ramp = BetaSchedule("linear", ramp=results["hand_epochs"])
    np.testing.assert_allclose(history["beta_z"], [ramp(epoch) for epoch in range(results["hand_epochs"])], rtol=1e-6)


def test_trained_rates_are_better_than_constant_ones(results):
    assert results["shape"] == [312, 50, 29]
    assert results["model_nll"] < results["null_nll"]
    # The score that the notebook prints, computed another way.
    flat, _ = results["scores"]["posterior means"]
    assert flat == pytest.approx(results["r2_by_hand"], abs=1e-6)
    assert flat > results["scores"]["smoothed counts"][0]


def test_search_ranks_its_trials_and_returns_the_best_params(results):
    assert len(results["trials"]) == 2
    assert results["trials"] == sorted(results["trials"])
    for name, value in results["varied"].items():
        assert results["best"][name] == (pytest.approx(value) if isinstance(value, float) else value)


def test_lfads_starts_at_the_mean_rates_and_learns(lfads):
    recording = lorenz(seed=0)
    means, counts = recording.train.recon.mean((0, 1), dtype="float64"), recording.valid.recon
    # Untrained factors are small, so that both starts are near those of constant rates.
    for rates, found in ((means, lfads["nll_means"]), (np.ones_like(means), lfads["nll_zero"])):
        constant = poisson_nll(np.broadcast_to(rates, counts.shape), counts) / len(counts)
        assert found == pytest.approx(constant, rel=0.02)
    assert lfads["history"]["nll"][-1] < lfads["history"]["nll"][0] < lfads["nll_zero"]
    assert lfads["best_epoch"] == lfads["first_epoch"] == 1


def test_lfads_scores_are_those_of_its_rates_and_factors(lfads):
    valid, arrays = lorenz(seed=0).valid, lfads["arrays"]
    truth = valid.truth.astype("float64")
    by_channel = 1 - ((arrays["rates"] - truth) ** 2).sum((0, 1)) / ((truth - truth.mean((0, 1))) ** 2).sum((0, 1))
    np.testing.assert_allclose(lfads["by_channel"], by_channel, atol=1e-5)
    flat, per_channel = lfads["scores"]["posterior means"]
    assert per_channel == pytest.approx(by_channel.mean(), abs=1e-5)
    assert f"posterior means  {flat:7.3f} {per_channel:12.3f}".replace("  ", " ") in lfads["printed"].replace("  ", " ")
    assert per_channel > lfads["scores"]["smoothed counts"][1]
    latents = valid.latents.astype("float64")
    missed = ((arrays["mapped"] - latents) ** 2).sum((0, 1)) / ((latents - latents.mean((0, 1))) ** 2).sum((0, 1))
    np.testing.assert_allclose(lfads["latent_r2"], 1 - missed, atol=1e-5)


def test_initial_conditions_are_compared_with_their_nearest(lfads):
    label, initial = lorenz(seed=0).valid.label, lfads["arrays"]["initial"]
    hits = []
    for i, own in enumerate(initial):
        others = np.delete(np.arange(len(initial)), i)
        hits.append(label[others[np.argmin(((initial[others] - own) ** 2).sum(1))]] == label[i])
    assert lfads["nearest"] == pytest.approx(np.mean(hits), abs=1 / len(label))
    sizes = np.unique(label, return_counts=True)[1]
    assert lfads["chance"] == pytest.approx((sizes * (sizes - 1)).sum() / (len(label) * (len(label) - 1)))


def test_controller_finds_the_pulses(lfads):
    arrays = lfads["arrays"]
    inputs, inds = arrays["inputs"], arrays["inds"]
    at = arrays["pulse_bin"][inds]
    late = np.abs(np.abs(inputs - np.median(inputs, axis=0)).argmax(1) - at)
    assert lfads["within"] == np.mean(late <= 2) > 0.6
    pushes = np.array([row[bin_] for row, bin_ in zip(inputs, at, strict=True)])
    assert lfads["sign_correlation"] == pytest.approx(np.corrcoef(pushes, arrays["pulse_sign"][inds])[0, 1])
    assert abs(lfads["sign_correlation"]) > 0.8
    assert lfads["pulse_r2"] == pytest.approx(rate_r2_per_channel(arrays["pulse_rates"], arrays["true_rates"][inds]))
    assert lfads["pulse_r2"] > 0.4
    assert lfads["pulse_history"]["nll"][-1] < lfads["pulse_history"]["nll"][0]


def test_weights_by_role_make_the_same_model(lfads):
    assert lfads["twin"] < 1e-6
    assert {"generator/recurrent_kernel", "controller/kernel", "co_prior/log_tau"} <= set(lfads["roles"])


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


def test_recovery_is_that_of_the_latents(pi_vae):
    z, codes = pi_vae["arrays"]["z"], pi_vae["arrays"]["codes"].astype("float64")
    design = np.column_stack([codes, np.ones(len(codes))])
    missed = ((z - design @ np.linalg.lstsq(design, z, rcond=None)[0]) ** 2).sum(0) / ((z - z.mean(0)) ** 2).sum(0)
    assert pi_vae["r2"][0]["posterior mean"] == pytest.approx(np.mean(1 - missed), abs=1e-6)
    assert f"R2 {pi_vae['r2'][0]['posterior mean']:.3f}" in pi_vae["printed"]
    # What the label alone tells does not depend on the fit.
    assert pi_vae["r2"][0]["label alone"] == pytest.approx(0.84, abs=0.02)
    assert pi_vae["r2"][1]["label alone"] == pytest.approx(0.90, abs=0.02)
    assert all(gap > 0 for gap in pi_vae["gaps"])


def test_targets_and_headings_are_decoded(pi_vae):
    arrays, n_trials = pi_vae["arrays"], pi_vae["trials"]
    u = arrays["u_valid"]
    for name, scores in (("pi-VAE", arrays["likelihood"]), ("tuning curves", arrays["tuning"])):
        of_trials = scores.reshape(n_trials, -1, scores.shape[1]).sum(1).argmax(1) != u.reshape(n_trials, -1)[:, 0]
        assert pi_vae["errors"][name] == pytest.approx([(scores.argmax(1) != u).mean(), of_trials.mean()])
    for name, found in (("pi-VAE", arrays["likely"]), ("ridge", arrays["ridge"])):
        a, b = (np.arctan2(vectors[:, 1], vectors[:, 0]) for vectors in (found, arrays["heading"]))
        error = np.rad2deg(np.abs(np.angle(np.exp(1j * (a - b)))))
        assert pi_vae["heading_error"][name] == pytest.approx(np.median(error), abs=1e-3)
    if pi_vae["real"]:
        assert pi_vae["heading_error"]["ridge"] == pytest.approx(10, abs=1.5)
        assert pi_vae["errors"]["tuning curves"] == pytest.approx([0.436, 0.017], abs=0.01)


@pytest.mark.parametrize(("run", "least"), [("results", 4), ("lfads", 8), ("cortex", 10), ("pi_vae", 4)])
def test_figures_are_drawn(run, least, request):
    drawn = images(request.getfixturevalue(run)["notebook"])
    assert len(drawn) >= least
    assert all(len(image) > 5_000 for image in drawn)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_notebook_is_small_and_names_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not any(word in text for word in ("/home/", "/work/", "/tmp/", "Traceback"))
