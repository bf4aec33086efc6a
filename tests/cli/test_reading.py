"""The command line on files of users: every kind is read, converted, trained on, predicted; results as JSON."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import Trials, load_recording, load_trials, save_trials
from indl.data.values.provenance import digest

GOLDEN = Path(__file__).parents[1] / "golden" / "1"


def indl(*arguments, code=0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def result_of(*arguments, code=0):
    """What a command prints as JSON, which is all that it prints."""
    return json.loads(indl(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Trials of a lab: MATLAB's order of axes in an npz file."""
    path = tmp_path_factory.mktemp("data") / "lab.npz"
    counts = np.random.default_rng(0).poisson(1.0, (4, 8, 40))
    np.savez(path, spikes=counts, target=np.arange(40) % 2)
    return path


HOW = ["--map", "counts=spikes", "--map", "label=target", "--axes", "channels,time,trials", "--bin", "0.02"]


def test_convert_writes_what_train_would_read(data, tmp_path):
    found = result_of("convert", data, tmp_path / "r.h5", *HOW, "--heldout", 2, "--split-seed", 1)
    recording = load_recording(tmp_path / "r.h5")
    assert found["sha256"] == digest(recording)
    assert (recording.n_heldin, recording.n_heldout, len(recording.valid)) == (2, 2, 8)
    indl("convert", data, tmp_path / "t.h5", *HOW, "--unsplit")
    np.testing.assert_array_equal(load_trials(tmp_path / "t.h5").counts, np.load(data)["spikes"].transpose(2, 1, 0))


NWB = [
    ("mc_maze_small_test.nwb", ["--align", "move_onset_time", "--window", "-0.25,0.45", "--bin", "0.05"]),
    (
        "head_direction_A2929.nwb",
        ["--align", "start_time", "--window", "0,0.2", "--intervals", "sleep_ripples", "--bin", "0.05"],
    ),
    ("head_direction_A2929.nwb", ["--intervals", "position_time_support", "--chop", "0.5", "--bin", "0.05"]),
]


@pytest.mark.parametrize(("name", "how"), NWB)
def test_nwb_files_are_checked_and_converted(name, how, recording_path, tmp_path):
    path = recording_path(name)
    assert indl("check", path, *how, "--quiet", "--json", tmp_path / "report.json").stdout == ""
    assert "findings" in json.loads((tmp_path / "report.json").read_text())
    indl("convert", path, tmp_path / "r.h5", *how, "--heldout", 3)
    assert load_recording(tmp_path / "r.h5").n_heldout == 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), NWB)
def test_nwb_files_are_trained_on_and_predicted(name, how, recording_path, tmp_path):
    """Issue 14, "Done when": as a new user would."""
    path, out = recording_path(name), tmp_path / "run"
    settings = ["--preset", "lfads_small", "--epochs", 1, "--samples", 2, "--heldout", 3]
    scores = result_of("train", path, *how, *settings, "--out", out)
    assert np.isfinite(scores["model"]["co_bps"])
    shapes = result_of("predict", out, path, "--out", tmp_path / "rates.h5")["shapes"]
    params = json.loads((out / "params.json").read_text())
    assert shapes["rates"][2] == params["out_dim"]


def test_every_command_gives_json_alone_or_is_quiet(tmp_path):
    run = GOLDEN / "run"
    save_trials(Trials(np.random.default_rng(0).poisson(1.0, (20, 6, 4)), 0.02), tmp_path / "t.h5")
    assert result_of("baseline", tmp_path / "t.h5", "--heldout", 1)["cosmoothing"]
    assert set(result_of("params")) == {"sequence", "pi_vae"}
    exported = result_of("export", run, tmp_path / "export")
    assert (Path(exported["folder"]) / "saved_model.pb").exists()
    for command in (["params"], ["baseline", tmp_path / "t.h5"], ["export", run, tmp_path / "export", "--overwrite"]):
        done = indl(*command, "--quiet")
        assert done.stdout == "", command
    # A report with errors is a result too.
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["train_data"] = np.full((3, 4, 2), -1.0)
    assert result_of("check", tmp_path / "bad.h5", code=1)["findings"]


def test_json_is_written_to_a_file_or_to_the_terminal(tmp_path):
    indl("params", "--json", tmp_path / "p.json")
    first = indl("params", "--json", "-").stdout
    assert json.loads((tmp_path / "p.json").read_text()) == {"indl": "params", **json.loads(first)}
    assert indl("params", "--json", "-q").stdout == first


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "DATA", "--out", "o", *HOW[:2]], "bin width is not known"),
        (["train", "DATA", "--out", "o", *HOW, "--align", "go"], "an npz file"),
        (["train", "DATA", "--out", "o", *HOW, "--window", "soon"], "--window takes two numbers"),
        (["train", "DATA", "--out", "o", *HOW, "--heldout", "9"], "at least one channel"),
        (["convert", "DATA", "o.h5"], "needs a mapping"),
        (["convert", "DATA", "o.h5", *HOW, "--map", "labell=target"], "Did you mean 'label'"),
        (["predict", "absent", "DATA", "--out", "o.h5"], "absent"),
        (["convert", "DATA", "o.h5", *HOW, "--heldout", "x"], "Only an NWB file has columns"),
        (["convert", "DATA", "o.h5", *HOW, "--map", "counts=target"], "Map each field once"),
        (["baseline", "DATA", *HOW, "--lag", "1e308"], "60 at most"),
        (["baseline", "DATA", *HOW, "--sd", "1e-320"], "60 at most"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(arguments, told, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = indl(*[data if part == "DATA" else part for part in arguments], code=1)
    assert told in result.stderr and "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_exit_codes(tmp_path, monkeypatch):
    """0, 1 failure, 2 usage, 130 interrupted; faults.md B6: an interrupt is told in a line."""
    indl("--version")
    indl("check", tmp_path / "absent.h5", code=1)
    indl("check", code=2)
    indl("no-such-command", code=2)
    indl("params", "--no-such-option", code=2)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("indl.data.read_recording", stop)
    shutil.copy(GOLDEN / "recording.h5", tmp_path / "r.h5")
    for command in (["baseline", "r.h5"], ["convert", "r.h5", "o.h5"]):
        monkeypatch.chdir(tmp_path)
        assert indl(*command, code=130).stderr == "interrupted. Nothing was written.\n"
    monkeypatch.setattr("indl.runs.execute", stop)
    told = indl("demo", "--out", tmp_path / "d", code=130).stderr
    assert "What was done is in" in told and "The same command begins anew" in told


@pytest.mark.slow
def test_a_process_that_is_interrupted_says_so(tmp_path):
    """Whenever the signal comes after the first imports, the end is code 130 and one line."""
    for after_s in (1.0, 2.5, 6.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "indl", "demo", "--out", tmp_path / "d"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 130, told
        assert told.count("\n") == 1 and told.startswith("interrupted. "), told
