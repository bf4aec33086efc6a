"""All scores of codes against factors that need no generator, in one table."""

from __future__ import annotations

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.code_dependence import code_dependence
from indl.metrics.disentanglement.codes_and_factors import train_and_test
from indl.metrics.disentanglement.dci import dci
from indl.metrics.disentanglement.explicitness import explicitness
from indl.metrics.disentanglement.irs import irs
from indl.metrics.disentanglement.mig import mig
from indl.metrics.disentanglement.modularity import modularity
from indl.metrics.disentanglement.sap import sap_r2, sap_svc
from indl.metrics.identifiability import mcc


def disentanglement_scores(
    codes: np.ndarray,
    factors: np.ndarray,
    codes_test: np.ndarray,
    factors_test: np.ndarray,
    *,
    n_bins: int = 20,
    n_trees: int = 100,
    seed: int = 0,
) -> dict[str, float]:
    """Every score that needs no generator of trials, by its name in a table.

    What is fitted is fitted on the first part and scored on the second; informations, robustness and the dependence of
    codes, which fit nothing, are of the first part, which should be the larger.

    Args:
        codes: Codes to fit on, (n, D): posterior means.
        factors: Discrete factors of the same trials, (n, K), two values or more each.
        codes_test: Codes of other trials, (m, D).
        factors_test: Their factors, (m, K).
        n_bins: Bins of a code.
        n_trees: Boosting rounds of DCI, which take most of the time.
        seed: Seed of the trees.

    Returns:
        Scores by name. Those of ordered factors (SAP r2, MCC) are left out where factors are names.

    Raises:
        ValueError: If shapes do not fit, codes are not finite, a factor is missing, constant or continuous, or there
            are no more trials than codes.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import disentanglement_scores
        >>> rng = np.random.default_rng(0)
        >>> v = rng.integers(0, 3, (300, 2))
        >>> codes = v + 0.1 * rng.normal(size=v.shape)
        >>> scores = disentanglement_scores(codes[:200], v[:200], codes[200:], v[200:], n_trees=5)
        >>> round(scores["MIG"], 1), round(scores["DCI disentanglement"], 1)
        (1.0, 1.0)
    """
    parts = (codes, factors, codes_test, factors_test)
    train_and_test(*parts)
    dependence, trees = code_dependence(codes, n_bins=n_bins), dci(*parts, n_trees=n_trees, seed=seed)
    scores = {
        "MIG": mig(codes, factors, n_bins=n_bins).score,
        "modularity": modularity(codes, factors, n_bins=n_bins).score,
        "DCI disentanglement": trees.disentanglement,
        "DCI completeness": trees.completeness,
        "DCI informativeness": trees.informativeness,
        "explicitness": explicitness(*parts).score,
        "SAP SVC": sap_svc(*parts).score,
        "IRS": irs(codes, factors).score,
    }
    if all(as_array(part).dtype.kind in "buif" for part in (factors, factors_test)):
        scores["SAP r2"] = sap_r2(codes, factors).score
        fitted = {"codes_fit": codes, "truth_fit": factors}
        for form, name in (("strong", "MCC strong"), ("weak", "MCC weak"), ("cca", "MCC CCA")):
            scores[name] = mcc(codes_test, factors_test, form, **fitted).mcc
    return scores | {
        "total correlation": dependence.total_correlation,
        "Wasserstein dependence": dependence.wasserstein,
        "pairwise information": dependence.information,
    }
