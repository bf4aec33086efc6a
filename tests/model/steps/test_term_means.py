"""Means of the loss's terms over trials, kept in one variable."""

import numpy as np

from indl.model.steps.term_means import TermMeans


def test_means_are_over_all_trials():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5).astype("float32"), rng.normal(size=3).astype("float32")
    metric = TermMeans(("nll", "penalty"))
    metric.update_state({"nll": a, "penalty": np.float32(2.0), "other": a})
    metric.update_state({"nll": b, "penalty": np.float32(4.0)})
    found = metric.result()
    np.testing.assert_allclose(found["nll"], np.concatenate([a, b]).mean(), rtol=1e-6)
    # One number for all trials of a batch counts for each of them.
    np.testing.assert_allclose(found["penalty"], (5 * 2 + 3 * 4) / 8, rtol=1e-6)
    assert set(found) == {"nll", "penalty"} and len(metric.variables) == 1


def test_what_does_not_count_leaves_no_trace():
    metric = TermMeans(("nll", "kl_f"))
    assert [float(value) for value in metric.result().values()] == [0.0, 0.0]
    metric.update_state({"nll": np.ones(4, "float32"), "kl_f": np.zeros(4, "float32")})
    metric.update_state({"nll": np.full(4, np.nan, "float32"), "kl_f": np.ones(4, "float32")}, counted=False)
    assert [float(value) for value in metric.result().values()] == [1.0, 0.0]
    metric.reset_state()
    assert float(metric.result()["nll"]) == 0.0
