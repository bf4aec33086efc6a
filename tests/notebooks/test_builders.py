"""The first notebook: builders by hand, the same model in one call, a search."""

import numpy as np
import pytest

from indl.training import BetaSchedule
from tests.notebooks.running import assert_figures_are_drawn, execute

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

SMALL_SEARCH = [
    (
        '"f_units": [32],',
        '"f_units": 8, "f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "Dense", "z2_units": 0,',
    )
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return execute("01_builders.ipynb", REPORT, tmp_path_factory.mktemp("builders"), SMALL_SEARCH)


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
    assert_figures_are_drawn(results["notebook"], 4)
