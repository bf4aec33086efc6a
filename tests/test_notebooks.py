"""The notebooks run from top to bottom, and what they end with is right."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from indl.training import BetaSchedule

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "01_builders.ipynb"

# Run after the notebook's own cells: hands its results over as JSON.
REPORT = """
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


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the notebook computes in two epochs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(REPORT))
    folder = str(tmp_path_factory.mktemp("notebook"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INDL_NOTEBOOK_EPOCHS", "2")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
        client.execute()
    printed = [output["text"] for output in notebook.cells[-1].outputs if output.get("name") == "stdout"]
    return {**json.loads("".join(printed)), "notebook": notebook}


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


def test_figures_are_drawn(results):
    images = [
        output
        for cell in results["notebook"].cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 4
    assert all(len(image["data"]["image/png"]) > 5_000 for image in images)


def test_stored_notebook_is_small_and_names_no_machine():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not any(word in text for word in ("/home/", "Traceback"))
