"""A run and its folder: what is written, going on after a kill, and repetition to the same numbers."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data.files.hdf5 import save_recording
from indl.data.simulate.lorenz import lorenz
from indl.data.values.trials import Trials
from indl.files import OutputError, claim_folder, exclusive
from indl.files.kinds import RUN as RUN_FOLDER
from indl.params import preset
from indl.runs import Run, RunError, changed_versions, execute, read, repeat
from indl.runs.run import _differences
from tests.checks import PLAIN, QUICK

SMALL = {**QUICK, "f_latent_size": 2}
DATA = {"n_neurons": 8, "n_conditions": 8, "n_trials": 10, "n_bins": 10, "seed": 1, "heldout": 2}
GOLDEN_RUN = Path(__file__).parents[1] / "golden" / "1" / "run"
RUN = Run({"kind": "lorenz", **DATA}, preset("default", **SMALL, seed=3), epochs=3, samples=2)

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    result, scores = execute(RUN, folder)
    return folder, result, scores


def test_folder_holds_what_the_run_was_and_what_came_of_it(finished):
    folder, result, scores = finished
    found = read(folder)
    assert Run(**found["run"]) == RUN
    assert found["monitor"] == "val_hidden_nll" and len(found["starts"]) == 1
    assert set(found["starts"][0]["versions"]) >= {"indl", "keras", "tensorflow", "numpy", "python"}
    assert len(found["data"]["sha256"]) == 64 and "lorenz(seed=1)" in found["data"]["is"]
    assert json.loads((folder / "history.json").read_text()) == result.history
    kept = json.loads((folder / "metrics.json").read_text())
    assert kept["model"] == scores["model"] and kept["epochs"] == 3
    use = json.loads((folder / "latent_use.json").read_text())
    assert use["epochs"] == [2] and np.shape(use["kl_per_dimension"]["z"]) == (1, 4)
    # The KL of the dimensions is the KL of the trials.
    assert sum(use["kl_per_dimension"]["f"][0]) == pytest.approx(result.history["val_kl_f"][-1], rel=1e-3)
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert drawn == {
        "raster", "calibration", "factors", "training", "kl_per_dimension", "autocorrelation", "psths",
        "rates_against_truth",
    }  # fmt: skip


def test_tensorboard_has_every_term_and_the_params(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def tags(part):
        events = EventAccumulator(str(finished[0] / "logs" / part))
        events.Reload()
        return set(events.Tags()["tensors"])

    terms = {f"epoch_{name}" for name in ("loss", "nll", "kl_f", "kl_z", "penalty", "neg_elbo", "heldin_nll")}
    assert terms | {"epoch_beta_f", "epoch_beta_z"} <= tags("train")
    assert terms | {"epoch_hidden_nll"} <= tags("validation")
    assert any("hparams" in tag for tag in tags(""))


def test_repetition_gives_every_number_again(finished, tmp_path, monkeypatch):
    """In a folder of an earlier repetition too, which is done again."""
    # Numbers are compared, and whether figures are drawn must not matter to them.
    for name in ("save_figures", "export_saved_model"):
        monkeypatch.setattr(f"indl.runs.report.{name}", lambda *args, **kwargs: None)
    shutil.copytree(finished[0], tmp_path / "again")
    steps = []

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)

    scores, differences = repeat(finished[0], tmp_path / "again", callbacks=[Count()])
    assert differences == []
    assert scores["model"] == finished[2]["model"]
    assert changed_versions(finished[0]) == []
    assert len(steps) == 3, "an earlier repetition is done again"


@pytest.mark.slow
def test_repetition_tells_what_differs(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    history = json.loads((folder / "history.json").read_text())
    history["nll"][1] += 0.5
    (folder / "history.json").write_text(json.dumps(history))
    result = CliRunner().invoke(app, ["rerun", str(folder)])
    assert result.exit_code == 1
    assert "1 numbers differ" in result.output and "history.nll.1" in result.output
    assert (tmp_path / "run_rerun" / "metrics.json").exists()


@pytest.mark.slow
def test_repetition_refuses_other_data(finished, tmp_path):
    save_recording(lorenz(**{**DATA, "seed": 2}), tmp_path / "other.h5")
    with pytest.raises(RunError, match="not the one of the run.*--data"):
        repeat(finished[0], tmp_path / "again", tmp_path / "other.h5")
    save_recording(lorenz(**DATA), tmp_path / "same.h5")
    _, differences = repeat(finished[0], tmp_path / "moved", tmp_path / "same.h5")
    assert differences == []


def test_folders_that_hold_no_finished_run(tmp_path):
    with pytest.raises(RunError, match="does not hold a run"):
        read(tmp_path)
    (tmp_path / "run.json").write_text('{"run": {"epochs": 3}}')
    with pytest.raises(RunError, match="does not hold a run"):
        read(tmp_path)


def test_folder_in_use_is_refused(tmp_path):
    code = (
        "import sys, time; from indl.files import exclusive\n"
        "with exclusive(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    claim_folder(tmp_path, RUN_FOLDER)
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        with pytest.raises(BlockingIOError, match="Another process is working in this folder"):
            execute(RUN, tmp_path)
    finally:
        holder.kill()
        holder.wait()
    with exclusive(tmp_path):
        pass


@pytest.mark.slow
def test_killed_command_goes_on_and_ends_at_the_same_numbers(finished, tmp_path):
    """The command line, killed in the middle of training, then given again."""
    save_recording(lorenz(**DATA), tmp_path / "data.h5")
    settings = [f"--set={name}={value}" for name, value in {**SMALL, "seed": 3}.items()]
    command = [sys.executable, "-m", "indl", "train", str(tmp_path / "data.h5"), "--epochs", "3", "--samples", "2"]
    command += [*settings, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    state = tmp_path / "run" / "state.npz"
    deadline = time.monotonic() + 300
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state.exists() and not (tmp_path / "run" / "history.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"})
    assert again.returncode == 0, again.stderr
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert history == finished[1].history
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["model"] == finished[2]["model"]


def test_a_number_that_is_missing_differs():
    nan = float("nan")
    before = {"history": {"nll": [1.0, 2.0], "kl": [nan]}, "metrics": {"seconds": 3.0, "model": {"co_bps": 0.1}}}
    assert list(_differences(before, before)) == []
    now = {"history": {"nll": [1.0], "kl": [nan]}, "metrics": {"seconds": 9.0, "model": {}, "extra": 1}}
    assert [tuple(found) for found in _differences(before, now)] == [
        ("history.nll.1", 2.0, None),
        ("metrics.extra", None, 1),
        ("metrics.model.co_bps", 0.1, None),
    ]


def test_repetition_is_never_the_run_itself(finished):
    with pytest.raises(OutputError, match="The output is an input"):
        repeat(finished[0], finished[0])


@pytest.mark.slow
def test_run_file_tells_of_the_last_start(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    execute(replace(RUN, samples=0, skip_nonfinite=True), tmp_path / "run")
    found = read(tmp_path / "run")
    assert (found["run"]["samples"], found["run"]["skip_nonfinite"], len(found["starts"])) == (0, True, 2)


def test_fresh_run_leaves_nothing_of_the_old_one(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(replace(RUN, params=preset("default", **PLAIN)), folder, callbacks=[Stop()], fresh=True)
    assert {path.name for path in folder.iterdir()} == {".indl.json", "run.json", "logs", ".lock", "saved_model"}
    assert [path.name for path in (folder / "saved_model").iterdir()] == [".indl.json"]
    with pytest.raises(RunError, match="has not finished.*metrics.json and history.json"):
        repeat(folder, tmp_path / "again")


def test_a_finished_run_is_given_more_epochs(tmp_path, monkeypatch):
    """faults.md D: while it goes on it has not finished, and run.json tells of both starts."""
    for name in ("save_figures", "export_saved_model"):
        monkeypatch.setattr(f"indl.runs.report.{name}", lambda *args, **kwargs: None)
    monkeypatch.setattr("indl.runs.run.save_figures", lambda *args, **kwargs: None)
    folder = shutil.copytree(GOLDEN_RUN, tmp_path / "run")
    run = Run(**read(folder)["run"])
    before, there = json.loads((folder / "history.json").read_text()), []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            there.append({path.name for path in folder.glob("*.json")})

    with pytest.raises(RunError, match="differs in epochs, which are not more"):
        execute(replace(run, epochs=1), folder)
    result, scores = execute(replace(run, epochs=4), folder, callbacks=[Look()])
    assert there == [{".indl.json", "run.json", "params.json"}] * 2
    assert scores["epochs"] == 4 and {name: values[:2] for name, values in result.history.items()} == before
    assert (read(folder)["run"]["epochs"], len(read(folder)["starts"])) == (4, 2)
    falling = read(folder)
    falling["run"]["params"]["lr_schedule"] = "cosine"
    (folder / "run.json").write_text(json.dumps(falling))
    with pytest.raises(RunError, match="over which the step size falls.*--fresh"):
        execute(Run(**{**falling["run"], "epochs": 5}), folder)


def test_full_disk_is_told(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("indl.runs.run.save_run", full)
    with pytest.raises(RunError, match="The disk is full.*make room"):
        execute(replace(RUN, params=preset("default", **PLAIN)), tmp_path)
    assert (tmp_path / "state.npz").exists()


@pytest.mark.filterwarnings("ignore:.*silent", "ignore:.*constant")
def test_signals_finish_with_scores_and_figures(tmp_path):
    """Spec faults C3: figures of counts are not drawn of signals, and no figure costs the scores."""
    rng = np.random.default_rng(0)
    label = np.arange(24) % 3
    values = rng.normal(size=(3, 1, 5))[label] + rng.normal(size=(24, 10, 5))
    signals = Trials(values, 0.02, are_counts=False, label=label).split(heldout=1)
    save_recording(signals, tmp_path / "signals.h5")
    run = Run(
        {"kind": "file", "path": str(tmp_path / "signals.h5")},
        preset("default", **PLAIN, output_dist="Gaussian"),
        epochs=1,
        samples=0,
        baselines=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indl.plots.psths", lambda *args, **kwargs: 1 / 0)
        with pytest.warns(UserWarning, match="The figure psths is left out: division by zero"):
            _, scores = execute(run, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert kept["model"] == scores["model"] and "left_out" not in kept
    assert np.isfinite(kept["model"]["nll"]) and np.isfinite(kept["baseline"]["psth_r2"])
    drawn = {path.stem for path in (tmp_path / "run" / "figures").iterdir()}
    assert drawn >= {"raster", "training"} and not drawn & {"calibration", "psths"}
