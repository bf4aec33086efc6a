"""The notebook about pi-VAE: recovery of known latents, targets and headings that are decoded."""

import os

import numpy as np
import pytest

from tests.notebooks.running import ROOT, assert_figures_are_drawn, execute

# Run after the notebook's own cells: hands its results over as JSON.
REPORT = """
import json
np.savez("arrays.npz", z=classes.test.z, codes=means_of_classes, likelihood=likelihood, tuning=tuning,
         u_valid=motor_labels, likely=likely, heading=u_valid, ridge=ridge)
print(json.dumps({
    "r2": [r2_classes, r2_curve], "gaps": [float(gap_classes), float(gap_curve)], "errors": errors,
    "heading_error": heading_error, "trials": len(cut[1]), "findings": findings, "real": path is not None,
}, default=float))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pi_vae(tmp_path_factory):
    """What the notebook about pi-VAE computes."""
    folder = os.environ.get("INDL_DATA") or str(ROOT.parent / "shared" / "data")
    return execute("04_pi_vae.ipynb", REPORT, tmp_path_factory.mktemp("pi_vae"), INDL_DATA=folder)


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


def test_figures_are_drawn(pi_vae):
    assert_figures_are_drawn(pi_vae["notebook"], 4)
