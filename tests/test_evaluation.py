"""Scores of a model and of the baseline on the same recording."""

import numpy as np
import pytest

from indl import metrics
from indl.data.hdf5 import load_recording
from indl.data.synthetic import lorenz
from indl.evaluation import evaluate, evaluate_baseline
from indl.params import preset
from indl.training.fit import make_model
from indl.training.hidden import hidden_nll


def test_scores_are_those_of_the_metrics_on_the_models_rates():
    recording = lorenz(n_neurons=10, n_conditions=6, n_trials=10, n_bins=15, seed=0, heldout=3)
    model = make_model(preset("default", gen_n_hidden=8, f_units=8), recording)
    scores = evaluate(model, recording, samples=4, seed=7)
    rates = model.rates(recording.valid.encod, samples=4, seed=7)
    assert scores["rate_r2_flat"] == pytest.approx(metrics.rate_r2_flat(rates, recording.valid.truth))
    assert scores["co_bps"] == pytest.approx(metrics.cosmoothing(rates, recording.valid.recon, 7))
    assert scores["hidden_nll"] == hidden_nll(model, recording.valid.encod)
    assert scores["latent_r2"] == pytest.approx(np.mean([scores[f"latent_r2_{i}"] for i in (1, 2, 3)]))
    expected = -model.log_prob(recording.valid.encod, recording.valid.recon).sum((1, 2)).mean()
    assert scores["nll"] == pytest.approx(expected, rel=1e-4)
    assert scores["neg_elbo"] == pytest.approx(scores["nll"] + scores["kl_f"] + scores["kl_z"], rel=1e-5)


def test_baseline_reproduces_the_published_figures_of_a_real_recording(recording_path):
    """The data's own baselines: 0.1255 +- 0.003 bits/spike, force R2 0.846 at a lag of 150 ms."""
    found = evaluate_baseline(load_recording(recording_path("adan_day0.h5")), lag_s=0.15)
    assert found["co_bps"] == pytest.approx(0.1255, abs=0.003)
    assert found["behavior_r2"] == pytest.approx(0.846, abs=0.005)
