"""The notebook about static and dynamic latents: probes, swaps, total correlation, and targets against force."""

import os

import numpy as np
import pytest

from tests.notebooks.running import ROOT, assert_figures_are_drawn, execute

# Run after the notebook's own cells: hands its results over as JSON.
REPORT = """
import json
f_test, z_test = codes[1]
np.savez("arrays.npz", f=f_test, z=z_test, s=test.s, rates=test.rates, decoded=decode(f_test, z_test), order=order,
         labels=labels[1], drawn_f=drawn["f"], drawn_z=drawn["z"])
print(json.dumps({"rows": rows, "rate_r2": rate_r2, "swap_r2": swap_r2, "correlation": correlation, "accuracy": accuracy,
                  "followed": followed, "real": path is not None}, default=float))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """What the notebook computes."""
    folder = os.environ.get("INDL_DATA") or str(ROOT.parent / "shared" / "data")
    return execute("05_disentangling.ipynb", REPORT, tmp_path_factory.mktemp("disentangling"), INDL_DATA=folder)


def test_probes_of_the_truth_and_the_rival_do_not_depend_on_the_fit(notebook):
    truth, rival = notebook["rows"]["true causes"], notebook["rows"]["principal components"]
    assert [truth[key] for key in ("style_f", "content_f", "style_z", "content_z")] == pytest.approx(
        [1.0, 0.34, 0.167, 0.984], abs=0.02
    )
    assert [rival[key] for key in ("style_f", "style_z", "r2_s")] == pytest.approx([0.987, 0.943, 0.939], abs=0.02)


def test_r2_is_that_of_the_decoded_rates(notebook):
    rates, decoded = notebook["arrays"]["rates"], notebook["arrays"]["decoded"]
    assert notebook["rate_r2"] == pytest.approx(1 - np.var(rates - decoded) / np.var(rates), abs=0.02)
    assert notebook["swap_r2"] < notebook["rate_r2"]


def test_one_f_drives_all_drawn_paths(notebook):
    arrays = notebook["arrays"]
    assert np.ptp(arrays["drawn_f"], axis=0).max() == 0 and np.ptp(arrays["drawn_z"], axis=0).min() > 0


def test_shares_are_shares(notebook):
    values = [*notebook["accuracy"].values(), *notebook["followed"].values()]
    assert all(0 <= value <= 1 for value in values) and len(notebook["correlation"]) == 3
    differ = notebook["arrays"]["labels"] != notebook["arrays"]["labels"][notebook["arrays"]["order"]]
    assert differ.any()


def test_figures_are_drawn(notebook):
    assert_figures_are_drawn(notebook["notebook"], 3)
