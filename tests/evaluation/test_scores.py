"""Scores of a model and of the baseline on the same recording."""

from dataclasses import replace

import numpy as np
import pytest

from indl import metrics
from indl.data import Trials
from indl.data.files.hdf5 import load_recording
from indl.data.simulate.lorenz import lorenz
from indl.evaluation import evaluate, evaluate_baseline, left_out
from indl.params import preset
from indl.training.fit import make_model
from indl.training.hidden import hidden_nll
from tests.checks import QUICK

FIELDS = ("encod", "recon", "inds", "label", "behavior")


def test_scores_are_those_of_the_metrics_on_the_models_rates():
    recording = lorenz(n_neurons=10, n_conditions=6, n_trials=10, n_bins=15, seed=0, heldout=3)
    model = make_model(preset("default", **QUICK), recording)
    scores = evaluate(model, recording, samples=4, seed=7)
    rates = model.rates(recording.valid.encod, samples=4, seed=7)
    assert scores["rate_r2_flat"] == pytest.approx(metrics.rate_r2_flat(rates, recording.valid.truth))
    assert scores["co_bps"] == pytest.approx(metrics.cosmoothing(rates, recording.valid.recon, 7))
    assert scores["hidden_nll"] == hidden_nll(model, recording.valid.encod)
    assert scores["latent_r2"] == pytest.approx(np.mean([scores[f"latent_r2_{i}"] for i in (1, 2, 3)]))
    expected = -model.log_prob(recording.valid.encod, recording.valid.recon).sum((1, 2)).mean()
    assert scores["nll"] == pytest.approx(expected, rel=1e-4)
    assert scores["neg_elbo"] == pytest.approx(scores["nll"] + scores["kl_f"] + scores["kl_z"], rel=1e-5)


@pytest.fixture(scope="module")
def recording():
    """Labels, behaviour, held-out channels and forward steps; NaN in all but the labels."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(1.0, 1.0, (4, 1, 6))[np.arange(40) % 4]
    counts = rng.poisson(np.broadcast_to(rates, (40, 14, 6))).astype("float32")
    counts[3, 2:4], counts[5, 12:], counts[7, :, 1] = np.nan, np.nan, np.nan
    behavior = rng.normal(size=(40, 14, 2))
    behavior[0, 4:] = np.nan
    return Trials(counts, 0.02, label=np.arange(40) % 4 * 10, behavior=behavior, missing=True).split(
        heldout=2, forward_steps=3
    )


def test_every_score_leaves_missing_samples_out(recording):
    model = make_model(preset("default", **QUICK, missing_data=True), recording)
    scores = evaluate(model, recording, samples=3, seed=7, lag_s=0.04)
    train, valid = recording.train, recording.valid
    rates = model.rates(valid.encod, samples=3, seed=7)
    assert scores["co_bps"] == pytest.approx(metrics.cosmoothing(rates, valid.recon, 4, 11))
    assert scores["fp_bps"] == pytest.approx(metrics.forward_prediction(rates, valid.recon, 11))
    assert scores["fp_bps_se"] == pytest.approx(metrics.forward_prediction_se(rates, valid.recon, 11, seed=7))
    averages = metrics.psth(train.recon, train.label.astype(int) // 10, sd_bins=2.5)
    scored = np.where(np.isnan(valid.recon), np.nan, metrics.smooth_observed(rates, 2.5))
    assert scores["psth_r2"] == pytest.approx(metrics.psth_r2(scored, valid.label.astype(int) // 10, averages))
    fitted = model.rates(train.encod, samples=3, seed=7)
    decoded = metrics.ridge_decoding(fitted, train.behavior, rates, valid.behavior, 2, seed=7)
    assert scores["behavior_r2_se"] == pytest.approx(decoded.se)
    assert [scores[f"behavior_r2_{i}"] for i in (1, 2)] == pytest.approx(decoded.r2_per_dim.tolist())
    assert np.isfinite(list(scores.values())).all()


@pytest.mark.slow
def test_trial_averages_leave_out_conditions_that_training_lacks(recording):
    label = np.array(recording.valid.label)
    label[:3] = 99
    strange = replace(recording, valid=replace(recording.valid, label=label))
    whole, found = (evaluate_baseline(one)["psth_r2"] for one in (recording, strange))
    few = replace(recording, valid=replace(recording.valid, **{n: getattr(recording.valid, n)[3:] for n in FIELDS}))
    assert found == pytest.approx(evaluate_baseline(few)["psth_r2"])
    assert found != whole
    none = replace(recording, valid=replace(recording.valid, label=np.full(len(label), 99)))
    assert "psth_r2" not in evaluate_baseline(none)


def test_baseline_has_the_scores_of_smoothed_spikes(recording):
    train, valid = recording.train, recording.valid
    found = evaluate_baseline(recording, seed=3, lag_s=0.02)
    fill = metrics.channel_means(train.recon)
    smoothed = np.where(np.isnan(valid.recon), np.nan, metrics.smooth_observed(valid.recon, 2.5, fill))
    averages = metrics.psth(train.recon, train.label.astype(int) // 10, sd_bins=2.5)
    assert found["psth_r2"] == pytest.approx(metrics.psth_r2(smoothed, valid.label.astype(int) // 10, averages))
    features = [metrics.smooth_observed(part.recon, 5.0, fill) for part in (train, valid)]
    decoded = metrics.ridge_decoding(features[0], train.behavior, features[1], valid.behavior, 1, seed=3)
    assert (found["behavior_r2"], found["behavior_r2_se"]) == pytest.approx((decoded.r2, decoded.se))
    assert found["co_bps"] == metrics.smoothing_baseline(recording, seed=3).cosmoothing


@pytest.mark.slow
def test_baseline_reproduces_the_published_figures_of_a_real_recording(recording_path):
    """The data's own baselines: 0.1255 +- 0.003 bits/spike, force R2 0.846 at a lag of 150 ms."""
    found = evaluate_baseline(load_recording(recording_path("adan_day0.h5")), lag_s=0.15)
    assert found["co_bps"] == pytest.approx(0.1255, abs=0.003)
    assert found["behavior_r2"] == pytest.approx(0.846, abs=0.005)
    assert found["psth_r2"] > 0.6


def silent_where_scored():
    """A held-out channel whose only spike is in training."""
    rates = np.array([0.5, 2.0])[np.arange(30) % 2][:, None, None]
    x = np.random.default_rng(0).poisson(np.broadcast_to(rates, (30, 12, 5))).astype("float32")
    x[:, :, 3] = 0
    x[0, 0, 3] = 1
    return Trials(x, 0.02, label=np.arange(30) % 2).split(valid=range(24, 30), heldout=[3])


@pytest.mark.filterwarnings("ignore:.*silent")
def test_a_score_that_cannot_be_computed_leaves_the_others():
    """Spec faults C4."""
    recording = silent_where_scored()
    model = make_model(preset("default", **QUICK), recording)
    with pytest.warns(UserWarning, match="The score co_bps is left out: Bits per spike need at least one spike"):
        scores = evaluate(model, recording, samples=0)
    with pytest.warns(UserWarning, match="The score co_bps is left out"):
        baseline = evaluate_baseline(recording)
    for found in (scores, baseline):
        assert np.isnan(found["co_bps"]) and np.isnan(found["co_bps_se"])
        assert set(found.left_out) == {"co_bps"}
        kept = {name: value for name, value in found.items() if not name.startswith("co_bps")}
        assert "psth_r2" in kept and np.isfinite(list(kept.values())).all()
    assert left_out({"model": scores, "baseline": baseline})["left_out"].keys() == {"model.co_bps", "baseline.co_bps"}


def test_a_baseline_of_too_few_trials_says_so():
    counts = np.random.default_rng(0).poisson(1.0, (3, 12, 5)).astype("float32")
    few = Trials(counts, 0.02, label=np.zeros(3)).split(valid=[2], heldout=2)
    with pytest.warns(UserWarning, match="The score co_bps is left out: .*Given: 2 "):
        found = evaluate_baseline(few)
    assert np.isnan(found["co_bps"]) and np.isnan(found["psth_r2"]) and found["psth_r2_ceiling"] < 0.2
    assert found.left_out["psth_r2"].startswith("Averages of so few trials are mostly noise")


@pytest.mark.filterwarnings("ignore:.*are left out")
def test_averages_of_noise_are_left_out():
    """faults.md D: with five trials a condition the score of trial averages measures noise."""
    counts = np.random.default_rng(0).poisson(1.0, (60, 12, 5)).astype("float32")
    of_noise = Trials(counts, 0.02, label=np.arange(60) % 12).split(heldout=2)
    alone = Trials(counts[:20], 0.02, label=np.arange(20) // 2).split(valid=range(0, 20, 2), heldout=2)
    for recording, reason in ((of_noise, "mostly noise. Given: true ones"), (alone, "several trials of")):
        with pytest.warns(UserWarning, match="The score psth_r2"):
            found = evaluate_baseline(recording)
        assert np.isnan(found["psth_r2"]) and not found["psth_r2_ceiling"] >= 0.2
        assert any(reason in why for why in found.left_out.values())
        assert np.isfinite(found["co_bps"])


def test_true_rates_reach_the_ceiling_of_averages():
    """faults.md D: trial averages against their noise ceiling, in rates that are known."""
    recording = lorenz(n_neurons=12, n_conditions=8, n_trials=12, n_bins=30, seed=0)
    found = evaluate_baseline(recording)
    sd = 0.05 / recording.bin_width_s
    averages = metrics.psth(recording.train.recon, recording.train.label, sd)
    truth = metrics.smooth_observed(recording.valid.truth, sd)
    reached = metrics.psth_r2(truth, recording.valid.label, averages)
    assert found["psth_r2"] < found["psth_r2_ceiling"] == pytest.approx(reached, abs=0.05)


def test_two_trials_cost_no_score_that_they_allow():
    """faults.md D: a run of two trials ended in the baseline, without any score."""
    rng = np.random.default_rng(0)
    trials = Trials(rng.poisson(1.0, (2, 20, 6)), 0.02, behavior=rng.normal(size=(2, 20, 2)))
    with pytest.warns(UserWarning, match="The score co_bps is left out"):
        found = evaluate_baseline(trials.split(0.5, heldout=2))
    assert np.isnan(found["co_bps"]) and "more trials" in found.left_out["co_bps"]
    assert np.isfinite(found["behavior_r2"])


def test_a_recording_of_other_sizes_is_refused():
    """Some of its scores would be of other channels or bins."""
    trials = Trials(np.random.default_rng(0).poisson(1.0, (12, 6, 5)), 0.02)
    model = make_model({**preset("default"), **QUICK}, trials.split(heldout=1, forward_steps=1))
    for other in ({"heldout": 1}, {"forward_steps": 1}, {"heldout": 2, "forward_steps": 1}):
        with pytest.raises(ValueError, match="not one that the model was made for. Given: "):
            evaluate(model, trials.split(**other))
