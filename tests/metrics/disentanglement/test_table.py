"""One table of all scores: each is the one of its own function."""

import numpy as np
import pytest

from indl.metrics import (
    code_dependence,
    dci,
    disentanglement_scores,
    explicitness,
    irs,
    mcc,
    mig,
    modularity,
    sap_r2,
    sap_svc,
)
from tests.messages import faults

RNG = np.random.default_rng(0)
V = RNG.integers(0, 3, (240, 2))
CODES = V @ [[1.0, 0.2, 0.0], [0.0, 1.0, 0.5]] + 0.2 * RNG.normal(size=(240, 3))
PARTS = (CODES[:160], V[:160], CODES[160:], V[160:])


def test_scores_are_those_of_the_functions():
    trees, dependence = dci(*PARTS, n_trees=3, seed=1), code_dependence(PARTS[0], n_bins=10)
    fitted = {"codes_fit": PARTS[0], "truth_fit": PARTS[1]}
    assert disentanglement_scores(*PARTS, n_bins=10, n_trees=3, seed=1) == {
        "MIG": mig(*PARTS[:2], n_bins=10).score,
        "modularity": modularity(*PARTS[:2], n_bins=10).score,
        "DCI disentanglement": trees.disentanglement,
        "DCI completeness": trees.completeness,
        "DCI informativeness": trees.informativeness,
        "explicitness": explicitness(*PARTS).score,
        "SAP SVC": sap_svc(*PARTS).score,
        "IRS": irs(*PARTS[:2]).score,
        "SAP r2": sap_r2(*PARTS[:2]).score,
        "MCC strong": mcc(*PARTS[2:], **fitted).mcc,
        "MCC weak": mcc(*PARTS[2:], "weak", **fitted).mcc,
        "MCC CCA": mcc(*PARTS[2:], "cca", **fitted).mcc,
        "total correlation": dependence.total_correlation,
        "Wasserstein dependence": dependence.wasserstein,
        "pairwise information": dependence.information,
    }


def test_names_have_no_order():
    names = np.array(["left", "right", "up"])
    found = disentanglement_scores(PARTS[0], names[PARTS[1]], PARTS[2], names[PARTS[3]], n_trees=3)
    numbers = disentanglement_scores(*PARTS, n_trees=3)
    assert found.items() < numbers.items()
    assert numbers.keys() - found.keys() == {"SAP r2", "MCC strong", "MCC weak", "MCC CCA"}


@pytest.mark.parametrize(
    "parts, words",
    [
        ((*PARTS[:3], V[160:200]), r"\(80, 3\) and \(40, 2\)"),
        ((PARTS[0], V[:160] * 0, *PARTS[2:]), r"\[1, 1\] different values"),
        ((PARTS[0] * np.nan, *PARTS[1:]), "480 of 480 in the training part"),
        ((RNG.normal(size=(6, 9)), V[:6] % 2, RNG.normal(size=(6, 9)), V[:6] % 2), "6 trials and 9 codes"),
    ],
)
def test_bad_parts(parts, words):
    with pytest.raises(ValueError, match=words) as raised:
        disentanglement_scores(*parts)
    assert not faults(str(raised.value))
