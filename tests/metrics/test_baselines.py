"""All baselines of a recording in one value: what is scored, what is left out and why, and the figures published."""

import json
from dataclasses import replace

import numpy as np
import pytest

from indl.data import Trials, gaussian_smooth, load_recording
from indl.metrics import cosmoothing_baseline, fit_baselines, ridge_decoding, target_decoding


def simulate(heldout=2, labelled=True, behaves=True, seed=0, forward_steps=0):
    """30 trials of two conditions; behaviour follows the channels by two bins."""
    rng = np.random.default_rng(seed)
    label = np.arange(30) % 2
    drive = gaussian_smooth(rng.normal(size=(30, 24, 2)) + label[:, None, None], 2)
    counts = rng.poisson(np.exp(drive @ rng.normal(size=(2, 6))))
    behavior = np.roll(drive, 2, axis=1) + 0.1 * rng.normal(size=drive.shape)
    trials = Trials(counts, 0.02, label=label if labelled else None, behavior=behavior if behaves else None)
    return trials.split(heldout=heldout, forward_steps=forward_steps)


def test_every_part_is_the_score_of_its_own_function():
    recording = simulate()
    train, valid = recording.train, recording.valid
    found = fit_baselines(recording, lag_s=0.04, sd_s=0.03, seed=5)
    assert [entry.name for entry in found.cosmoothing] == ["smoothed spikes", "FA", "GLM", "PSTH"]
    assert found.cosmoothing[2] == cosmoothing_baseline(recording, "GLM", seed=5)
    smoothed = [gaussian_smooth(part.recon, 1.5) for part in (train, valid)]
    expected = ridge_decoding(smoothed[0], train.behavior, smoothed[1], valid.behavior, 2, seed=5)
    assert (found.behavior.r2, found.behavior.se) == (expected.r2, expected.se)
    assert (found.behavior_sd_s, found.behavior_lag_s) == (0.03, 0.04)
    assert found.targets == target_decoding(train.recon, train.label, valid.recon, valid.label, seed=5)
    assert found.left_out == {}


@pytest.mark.slow
def test_the_lag_is_chosen_where_it_is_not_given():
    assert fit_baselines(simulate(heldout=0), sd_s=0.03).behavior_lag_s == pytest.approx(0.04)


@pytest.mark.slow
def test_smoothing_is_chosen_where_it_is_not_given(monkeypatch):
    monkeypatch.setattr("indl.metrics.baselines.SDS_S", (0.0, 0.03, 0.2))
    recording = simulate(heldout=0)
    each = {sd_s: fit_baselines(recording, lag_s=0.04, sd_s=sd_s).behavior.cv_r2 for sd_s in (0.0, 0.03, 0.2)}
    found = fit_baselines(recording, lag_s=0.04, sd_s=None)
    assert found.behavior_sd_s == max(each, key=each.get) == 0.03
    assert found.behavior.cv_r2 == each[0.03]


@pytest.mark.parametrize(
    "recording, left_out",
    [
        (
            simulate(heldout=0),
            dict.fromkeys(
                [f"co-smoothing, {m}" for m in ("smoothed spikes", "FA", "GLM", "PSTH")], "no held-out channels"
            ),
        ),
        (simulate(labelled=False), {"co-smoothing, PSTH": "no labels", "conditions": "no labels"}),
        (simulate(behaves=False), {"behaviour": "no behaviour"}),
    ],
)
def test_what_a_recording_lacks_is_left_out_and_said(recording, left_out):
    found = fit_baselines(recording, lag_s=0.0)
    assert found.left_out == left_out
    assert len(found.rows()) == 6 - len(left_out)


def test_a_real_valued_signal_has_behaviour_only():
    signal = np.random.default_rng(0).normal(size=(30, 10, 3))
    recording = Trials(signal, 0.02, behavior=signal[..., :1], label=np.arange(30) % 3, are_counts=False).split(
        heldout=1
    )
    found = fit_baselines(recording, lag_s=0.0, sd_s=0.0)
    assert found.behavior.r2 > 0.99
    assert found.cosmoothing == () and found.targets is None
    assert set(found.left_out.values()) == {"no counts"}


def test_forward_steps_and_gaps():
    recording = simulate(forward_steps=4)
    parts = {}
    for name in ("train", "valid"):
        part = getattr(recording, name)
        recon = part.recon.copy()
        recon[0, 10:], recon[1, :, 3] = np.nan, np.nan
        behavior = part.behavior.copy()
        behavior[0, 10:] = np.nan
        parts[name] = replace(part, recon=recon, encod=recon[:, :20, :4], behavior=behavior)
    found = fit_baselines(replace(recording, **parts), lag_s=0.04)
    whole = fit_baselines(recording, lag_s=0.04)
    assert found.behavior.r2 == pytest.approx(whole.behavior.r2, abs=0.1)
    for a, b in zip(found.cosmoothing, whole.cosmoothing, strict=True):
        assert a.co_bps == pytest.approx(b.co_bps, abs=3 * b.se)


def test_rows_and_json_tell_the_same_numbers():
    found = fit_baselines(simulate(), lag_s=0.04)
    told = json.loads(json.dumps(found.as_dict()))
    assert told["behavior"]["r2_per_dim"] == found.behavior.r2_per_dim.tolist()
    assert told["targets"]["accuracy"] == found.targets.accuracy
    rows = found.rows()
    for row, entry, values in zip(rows, found.cosmoothing, told["cosmoothing"], strict=False):
        assert row[:3] == ("co-bps", entry.name, f"{entry.co_bps:.4f} +- {entry.se:.4f}")
        assert values == entry._asdict()
        assert f"{1000 * entry.chosen['sd_s']:g} ms" in row[3]
    assert "factors" in rows[1][3]
    each = ", ".join(f"{r2:.2f}" for r2 in found.behavior.r2_per_dim)
    assert rows[4][2] == f"{found.behavior.r2:.3f} +- {found.behavior.se:.3f} ({each})"
    assert rows[4][3].startswith("100 ms, penalty ") and rows[4][3].endswith("lag 40 ms")
    assert rows[5][2] == f"{found.targets.accuracy:.2f} +- {found.targets.se:.2f}"


@pytest.mark.parametrize(
    "name, sd_s, r2, cv_r2, lag_s",
    [
        pytest.param("adan_day0", 0.1, 0.846, 0.848, 0.15, marks=pytest.mark.slow),
        pytest.param("reach_day31", 0.06, 0.20, 0.18, 0.16, marks=pytest.mark.slow),
        pytest.param("head_direction_20ms", 0.1, 0.74, 0.82, None, marks=pytest.mark.slow),
    ],
)
def test_behavior_of_real_recordings_with_the_lag_chosen(recording_path, name, sd_s, r2, cv_r2, lag_s):
    """Published beside the recordings; of the head's direction and position, its direction (cosine and sine)."""
    recording = load_recording(recording_path(f"{name}.h5"))
    parts = {
        part: replace(
            getattr(recording, part),
            recon=(recon := getattr(recording, part).recon),
            encod=recon,
            label=None,
            behavior=getattr(recording, part).behavior[..., :2],
        )
        for part in ("train", "valid")
    }
    found = fit_baselines(replace(recording, **parts), sd_s=sd_s)
    assert found.behavior.r2 == pytest.approx(r2, abs=0.006)
    assert found.behavior.cv_r2 == pytest.approx(cv_r2, abs=0.015)
    if lag_s is not None:
        assert found.behavior_lag_s == pytest.approx(lag_s)
