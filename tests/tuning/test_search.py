"""A whole search: isolated trials, failure of one, kill -9 in the middle, and the plain keras-tuner way."""

import json
import os
import signal
import subprocess
import sys
import time

import keras_tuner as kt
import numpy as np
import pytest

from indl.data.files.hdf5 import save_recording
from indl.data.simulate.lorenz import lorenz
from indl.params import preset
from indl.params.presets import SEQUENCE
from indl.training.hidden import hidden_nll
from indl.tuning import IsolatedRandomSearch, SequentialHyperModel
from indl.tuning.isolated import run_job

SMALL = {"f_units": 4, "z1_units": 4, "z2_units": 4, "gen_n_hidden": 6, "n_factors": 4, "f_latent_size": 2}
TUNE = ["learning_rate", "kl_f_schedule", "kl_z_schedule", "kl_z_beta"]


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=8, n_conditions=5, n_trials=10, n_bins=10, seed=0, heldout=2)


@pytest.mark.slow
def test_isolated_search_keeps_models_whose_score_can_be_reproduced(recording, tmp_path):
    hypermodel = SequentialHyperModel(recording, tune=TUNE, fixed=SMALL)
    tuner = IsolatedRandomSearch(hypermodel, max_trials=2, seed=0, directory=tmp_path, project_name="s")
    tuner.search(epochs=2, verbose=0)
    best = tuner.oracle.get_best_trials(2)
    assert [trial.status for trial in best] == ["COMPLETED"] * 2
    assert best[0].score <= best[1].score
    model = tuner.get_best_models(1)[0]
    assert hidden_nll(model, recording.valid.encod) == pytest.approx(best[0].score, rel=1e-5)
    assert tuner.best_params()["learning_rate"] == best[0].hyperparameters["learning_rate"]


def test_a_trial_that_dies_is_failed_and_tells_why(recording, tmp_path, monkeypatch):
    hypermodel = SequentialHyperModel(recording, tune=["learning_rate"], fixed=SMALL)
    tuner = IsolatedRandomSearch(hypermodel, max_trials=1, seed=0, directory=tmp_path, project_name="s")
    monkeypatch.setenv("PYTHONHASHSEED", "not-a-seed")  # the trial's interpreter cannot even start
    tuner.search(epochs=1, verbose=0)
    trial = next(iter(tuner.oracle.trials.values()))
    assert trial.status == "FAILED"
    assert "PYTHONHASHSEED" in trial.message


def workers_of(search):
    """Command lines of running trials of a search."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if "indl.tuning.worker" in line and str(search) in line]


@pytest.mark.slow
def test_search_goes_on_after_kill_9(recording, tmp_path):
    save_recording(recording, tmp_path / "data.h5")
    command = [
        sys.executable,
        "-m",
        "indl",
        "tune",
        str(tmp_path / "data.h5"),
        "--out",
        str(tmp_path / "out"),
        "--trials",
    ]
    command += ["3", "--epochs", "2", "--search", ",".join(TUNE)]
    for key, value in SMALL.items():
        command += ["--set", f"{key}={value}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    search = tmp_path / "out" / "search"
    deadline = time.monotonic() + 300
    # The second trial has begun: its job is written and the first has its result.
    while not (search / "trial_1" / "job.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "the search ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first = (search / "trial_0" / "model.keras").read_bytes()
    while workers_of(search) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not workers_of(search), "no worker outlives its search"
    assert not (search / "trial_1" / "result.json").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (search / "trial_0" / "model.keras").read_bytes() == first, "the finished trial was kept"
    scores = []
    for i in range(3):
        trial = json.loads((search / f"trial_{i}" / "trial.json").read_text())
        assert trial["status"] == "COMPLETED"
        scores.append(trial["score"])
    assert f"{min(scores):.2f}" in done.stdout
    best = json.loads((tmp_path / "out" / "best_params.json").read_text())
    values = json.loads((search / f"trial_{int(np.argmin(scores))}" / "trial.json").read_text())
    assert best["learning_rate"] == values["hyperparameters"]["values"]["learning_rate"]


@pytest.mark.slow
def test_plain_keras_tuner_works_too(recording, tmp_path):
    hypermodel = SequentialHyperModel(recording, tune=["kl_z_beta"], fixed=SMALL)
    tuner = kt.RandomSearch(hypermodel, hypermodel.objective, max_trials=1, directory=tmp_path, seed=0)
    tuner.search(epochs=2, verbose=0)
    assert np.isfinite(tuner.oracle.get_best_trials(1)[0].score)


def without(path, *names):
    """Rewrites a file as an earlier version wrote it, which did not have these parameters."""
    found = json.loads(path.read_text())
    kept = {key: value for key, value in found["params"].items() if key not in names}
    assert len(kept) == len(found["params"]) - len(names)
    path.write_text(json.dumps({**found, "params": kept}))


def claim(hypermodel, epochs, folder):
    IsolatedRandomSearch(hypermodel, max_trials=2, directory=folder, project_name="search").claim(epochs)


def test_a_search_from_before_a_parameter_goes_on(recording, tmp_path):
    hypermodel = SequentialHyperModel(recording, tune=["kl_z_beta"], fixed=SMALL)
    claim(hypermodel, 5, tmp_path)
    without(tmp_path / "search" / "search.json", "family", "log_factorial")
    claim(hypermodel, 5, tmp_path)
    with pytest.raises(ValueError, match="other params were used"):
        changed = SequentialHyperModel(recording, tune=["kl_z_beta"], fixed={**SMALL, "log_factorial": "stirling"})
        claim(changed, 5, tmp_path)


def test_a_result_from_before_a_parameter_is_kept(recording, tmp_path, monkeypatch):
    def trained(*args, **kwargs):
        (tmp_path / "result.json").write_text(json.dumps({"loss": 3.0}))
        return 0

    monkeypatch.setattr(subprocess, "call", trained)
    base = SequentialHyperModel(recording, tune=["kl_z_beta"], fixed=SMALL).base
    job = (tmp_path, base, tmp_path / "recording.h5", 5, 1)
    assert run_job(*job) == {"loss": 3.0}
    without(tmp_path / "job.json", "family", "log_factorial")
    monkeypatch.setattr(subprocess, "call", lambda *args, **kwargs: pytest.fail("trained again"))
    assert run_job(*job) == {"loss": 3.0}


def test_a_folder_belongs_to_one_search(recording, tmp_path):
    hypermodel = SequentialHyperModel(recording, tune=["kl_z_beta"], fixed=SMALL)
    claim(hypermodel, 5, tmp_path)
    claim(hypermodel, 5, tmp_path)
    other = lorenz(n_neurons=8, n_conditions=5, n_trials=10, n_bins=10, seed=1, heldout=2)
    for changed, epochs, named in (
        (hypermodel, 6, "epochs"),
        (SequentialHyperModel(other, tune=["kl_z_beta"], fixed=SMALL), 5, "data"),
        (SequentialHyperModel(recording, tune=["kl_f_beta"], fixed=SMALL), 5, "search"),
        (SequentialHyperModel(recording, tune=["kl_z_beta"], fixed={**SMALL, "seed": 1}), 5, "params"),
    ):
        with pytest.raises(ValueError, match=f"other {named} were used"):
            claim(changed, epochs, tmp_path)


def test_tuners_of_keras_never_go_on_with_other_data(recording):
    """Spec faults C1: what keras-tuner reloads of a search brings its hyper-parameters, and with them the data."""
    hp = kt.HyperParameters()
    SequentialHyperModel(recording, tune=["learning_rate"], fixed=SMALL).build(hp)
    SequentialHyperModel(recording, tune=["learning_rate"], fixed=SMALL).build(hp)
    other = lorenz(n_neurons=8, n_conditions=5, n_trials=10, n_bins=10, seed=1, heldout=2)
    with pytest.raises(kt.errors.FatalValueError, match="began with other data.*Choose another directory"):
        SequentialHyperModel(other, tune=["learning_rate"], fixed=SMALL).build(hp)


@pytest.mark.parametrize("name", [name for name in SEQUENCE.presets if name not in ("ivae", "pi_vae_sequence")])
def test_the_default_search_of_every_preset_can_begin(name, recording):
    """A preset whose schedule is not among those that are searched has a ramp all the same."""
    params = SequentialHyperModel(recording, name).params(kt.HyperParameters())
    assert params["kl_z_ramp"] == preset(name)["kl_z_ramp"]
