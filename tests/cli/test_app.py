"""The command line: training in a real process, what follows from it, and every mistake told in one line."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data.files.hdf5 import load_recording, save_recording
from indl.data.simulate.lorenz import lorenz
from indl.files import clear_folder
from indl.files.kinds import RUN
from tests.checks import QUICK

# The commands do not know what network they run.
SETTINGS = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "lorenz.h5"
    save_recording(lorenz(n_neurons=8, n_conditions=5, n_trials=10, n_bins=12, seed=0, heldout=2), path)
    return path


def indl(*arguments):
    """A command that needs no process of its own."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    command = ["train", data, "--out", out, "--epochs", 2, "--samples", 3, *SETTINGS]
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


def test_evaluate_repeats_the_scores_of_the_run(run, data, tmp_path):
    out, _ = run
    indl("evaluate", out, data, "--samples", 3, "--out", tmp_path / "scores.json")
    found = json.loads((tmp_path / "scores.json").read_text())
    expected = json.loads((out / "metrics.json").read_text())["model"]
    assert found["model"] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert {"rate_r2_flat", "co_bps", "latent_r2"} <= set(found["baseline"])


@pytest.mark.slow
def test_export_equals_the_model(run, data, tmp_path):
    out, _ = run
    indl("export", out / "model.keras", tmp_path / "sm")
    x = tf.constant(load_recording(data).valid.encod)
    ours, theirs = tf.saved_model.load(tmp_path / "sm"), tf.saved_model.load(out / "saved_model")
    np.testing.assert_array_equal(ours.rates(x)["rates"], theirs.rates(x)["rates"])


BAD = [
    (["train", "absent.h5", "--out", "o"], "absent.h5"),
    (["train", "DATA", "--out", "o", "--preset", "defualt"], "Did you mean 'default'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_sise=3"], "Did you mean 'f_latent_size'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size"], "key=value"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=many"], "an integer"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=-1"], ">= 0"),
    (["train", "DATA", "--out", "o", "--set", "output_dist=Bernoulli"], "Allowed: 'Poisson'"),
    (["train", "DATA", "--out", "o", "--set", "f_latent_size=0", "--set", "z_latent_size=0"], "at least one latent"),
    (["baseline", "absent.h5"], "absent.h5"),
    (["baseline", "DATA", "--lag", "soon"], "--lag takes a number of seconds or auto. Given: soon"),
    (["baseline", "DATA", "--sd", "nan"], "--sd takes a number of seconds or auto. Given: nan"),
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
