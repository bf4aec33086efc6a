"""The command line: training in a real process, what follows from it, and every mistake told in one line."""

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import load_recording, load_trials, lorenz, read_recording, save_recording
from indl.files import clear_folder
from indl.files.kinds import RUN
from indl.loading import load_model
from tests.checks import QUICK

# The commands do not know what network they run.
SETTINGS = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "lorenz.h5"
    save_recording(
        lorenz(n_neurons=8, n_conditions=5, n_trials=10, n_bins=12, base_rate_hz=40.0, seed=0, heldout=2), path
    )
    return path


def indl(*arguments):
    """A command that needs no process of its own."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def lab(data, tmp_path_factory):
    """The same recording as a lab may have it: unsplit, with axes in MATLAB's order."""
    trials = load_trials(data)
    path = tmp_path_factory.mktemp("lab") / "session.npz"
    arrays = {name: getattr(trials, name).T for name in ("counts", "truth", "latents")}
    np.savez(path, target=trials.label, **arrays)
    return path


HOW = ["--axes", "channels,time,trials", "--bin", "0.02", "--map", "label=target"]
HOW += [part for name in ("counts", "truth", "latents") for part in ("--map", f"{name}={name}")]


@pytest.fixture(scope="module")
def run(lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    command = ["train", lab, *HOW, "--heldout", 2, "--out", out, "--epochs", 2, "--samples", 3, *SETTINGS]
    done = subprocess.run([sys.executable, "-m", "indl", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out, done


def test_train_leaves_a_complete_run(run, data):
    out, done = run
    assert done.stderr == "", "no noise of the libraries below"
    names = {path.name for path in out.iterdir()}
    files = {"model.keras", "saved_model", "run.json", "state.npz", "figures", "logs", ".lock", ".indl.json"}
    assert names == files | {f"{name}.json" for name in ("params", "history", "metrics", "latent_use")}
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png"}
    params = json.loads((out / "params.json").read_text())
    assert params["gen_n_hidden"] == 6
    assert params["out_dim"] == 8
    history = json.loads((out / "history.json").read_text())
    assert {"loss", "nll", "kl_f", "kl_z", "val_nll", "val_hidden_nll", "beta_f", "beta_z"} <= set(history)
    scores = json.loads((out / "metrics.json").read_text())["model"]
    assert f"{scores['co_bps']:.4f}" in done.stdout
    assert "s left" in done.stdout, "progress tells the time left"


def test_what_a_run_wrote_is_known_to_be_its_own(run, tmp_path):
    """`--fresh` removes all of it, and what a user put beside it stays."""
    folder = shutil.copytree(run[0], tmp_path / "run")
    users = ("notes.txt", "figures/fig1.png", "logs/lab.log", "saved_model/extra.txt")
    for name in users:
        (folder / name).write_text("mine")
    clear_folder(folder, RUN)
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == {".indl.json", ".lock", "saved_model/.indl.json", *users}


def test_evaluate_repeats_the_scores_of_the_run(run, lab, tmp_path):
    """The run knows how its recording was read and split."""
    out, _ = run
    indl("evaluate", out, lab, "--samples", 3, "--out", tmp_path / "scores.json")
    found = json.loads((tmp_path / "scores.json").read_text())
    expected = json.loads((out / "metrics.json").read_text())["model"]
    assert found["model"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert {"rate_r2_flat", "co_bps", "latent_r2"} <= set(found["baseline"])


@pytest.mark.parametrize("changed", [["--split-seed", 5], ["--heldout", 1], ["--forward", 2], ["--lag", "nan"]])
def test_other_channels_than_those_of_the_run_are_not_scored(changed, run, lab):
    """The scores would be of other channels than the model's."""
    result = CliRunner().invoke(app, [*map(str, ["evaluate", run[0], lab, "--no-baselines", *changed])])
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and "Given: " in result.stderr, result.output


@pytest.mark.slow
def test_export_equals_the_model(run, lab, tmp_path):
    out, _ = run
    indl("export", out / "model.keras", tmp_path / "sm")
    x = tf.constant(as_of(out, lab).valid.encod)
    ours, theirs = tf.saved_model.load(tmp_path / "sm"), tf.saved_model.load(out / "saved_model")
    np.testing.assert_array_equal(ours.rates(x)["rates"], theirs.rates(x)["rates"])


def as_of(run, path):
    """The recording of a file as that of a run was read."""
    return read_recording(path, **json.loads((run / "run.json").read_text())["run"]["data"]["reading"])


@pytest.mark.slow
def test_a_run_on_any_file_is_repeated(run, tmp_path):
    done = indl("rerun", run[0], "--out", tmp_path / "again", "--json")
    assert json.loads(done.stdout)["differences"] == []


def test_predictions_are_in_the_order_of_the_trials_of_the_file(run, lab, tmp_path):
    out, _ = run
    done = indl("predict", out, lab, "--out", tmp_path / "rates.h5", "--samples", 0, "--json")
    recording = as_of(out, lab)
    n_trials = len(recording.train) + len(recording.valid)
    assert json.loads(done.stdout)["shapes"]["rates"] == [n_trials, 12, 8]
    with h5py.File(tmp_path / "rates.h5") as file:
        rates, ids = file["rates"][()], file["channel_ids"].asstr()[()]
    assert ids.tolist() == recording.channel_ids.astype(str).tolist()
    expected = load_model(out).rates(recording.valid.encod)
    np.testing.assert_allclose(rates[recording.valid.inds], expected, rtol=1e-5)


def test_predictions_of_other_bins_are_refused(run, lab, tmp_path):
    arguments = ["predict", run[0], lab, "--out", tmp_path / "r.h5", "--bin", 0.01]
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 1 and "bins are not those of the run" in result.stderr
    assert list(tmp_path.iterdir()) == []


BAD = [
    (["train", "absent.h5", "--out", "o"], "absent.h5"),
    (["train", "DATA", "--out", "o", "--preset", "defualt"], "Did you mean 'default'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_sise=3"], "Did you mean 'f_latent_size'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size"], "key=value"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=many"], "an integer"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=-1"], ">= 0"),
    (["train", "DATA", "--out", "o", "--set", "output_dist=Binomial"], "Allowed: 'Poisson'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=0", "--set", "z_latent_size=0"], "at least one latent"),
    (["baseline", "absent.h5"], "absent.h5"),
    (["baseline", "DATA", "--lag", "soon"], "--lag takes a number of seconds, 60 at most, or auto. Given: soon"),
    (["baseline", "DATA", "--sd", "nan"], "--sd takes a number of seconds, 60 at most, or auto. Given: nan"),
    (["evaluate", "absent", "DATA"], "absent"),
    (["evaluate", "DATA", "DATA"], "model.keras"),
    (["export", "absent", "o"], "absent"),
    (["tune", "DATA", "--out", "o", "--search", "no_such"], "no_such"),
    (["tune", "DATA", "--out", "o", "--search", "seed"], "learning_rate"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD)
def test_mistakes_are_told_and_leave_nothing(arguments, told, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [str(data) if part == "DATA" else part for part in arguments])
    assert result.exit_code == 1
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_baseline_prints_and_writes_what_the_function_finds(data, tmp_path):
    from indl.metrics import fit_baselines

    done = indl("baseline", data, "--seed", 3, "--out", tmp_path / "found.json")
    expected = fit_baselines(load_recording(data), seed=3)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == {"indl": "baselines", **json.loads(json.dumps(expected.as_dict()))}
    for _, method, value, _ in expected.rows():
        assert method in done.stdout and value in done.stdout
    assert "left out: behaviour (no behaviour)" in done.stdout


def test_foreign_and_truncated_files_are_refused(data, tmp_path):
    (tmp_path / "text.h5").write_text("not a recording")
    (tmp_path / "cut.h5").write_bytes(data.read_bytes()[:2000])
    for name in ("text.h5", "cut.h5"):
        result = CliRunner().invoke(app, ["train", str(tmp_path / name), "--out", str(tmp_path / "out")])
        assert result.exit_code == 1
        assert name in result.stderr
        assert not (tmp_path / "out").exists()


def test_params_prints_every_row():
    from indl.params import FAMILIES

    output = CliRunner().invoke(app, ["params"]).output
    assert all(f"| `{name}` |" in output for table in FAMILIES.values() for name in table.by_name)
