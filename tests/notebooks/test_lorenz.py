"""The notebook about LFADS on Lorenz data: rates, initial conditions, inferred inputs, weights by role."""

import numpy as np
import pytest

from indl.data import lorenz
from indl.metrics import poisson_nll, rate_r2_per_channel
from tests.notebooks.running import assert_figures_are_drawn, execute

LORENZ = {"n_conditions": 16, "n_trials": 15, "seed": 0}

# Run after the notebook's own cells: hands its results over as JSON.
REPORT = """
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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lfads(tmp_path_factory):
    small = [("lorenz(seed=0)", f"lorenz(**{LORENZ})")]
    return execute("02_lfads_lorenz.ipynb", REPORT, tmp_path_factory.mktemp("lorenz"), small)


def test_lfads_starts_at_the_mean_rates_and_learns(lfads):
    recording = lorenz(**LORENZ)
    means, counts = recording.train.recon.mean((0, 1), dtype="float64"), recording.valid.recon
    # Untrained factors are small, so that both starts are near those of constant rates.
    for rates, found in ((means, lfads["nll_means"]), (np.ones_like(means), lfads["nll_zero"])):
        constant = poisson_nll(np.broadcast_to(rates, counts.shape), counts) / len(counts)
        assert found == pytest.approx(constant, rel=0.02)
    assert lfads["history"]["nll"][-1] < lfads["history"]["nll"][0] < lfads["nll_zero"]
    assert lfads["best_epoch"] == lfads["first_epoch"] == 1


def test_lfads_scores_are_those_of_its_rates_and_factors(lfads):
    valid, arrays = lorenz(**LORENZ).valid, lfads["arrays"]
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
    label, initial = lorenz(**LORENZ).valid.label, lfads["arrays"]["initial"]
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


def test_figures_are_drawn(lfads):
    assert_figures_are_drawn(lfads["notebook"], 8)
