"""No command replaces or removes a user's file: every one is tried on everything that an output may not be.

The listing of a user's files with their hashes is the same before and after (spec faults A).
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indl.cli.app import app
from indl.files import write_json
from tests.files.test_outputs import contents, users_files

GOLDEN = Path(__file__).parents[1] / "golden" / "1"

#: Commands by name: OUT is where they write.
FILES = {
    "check --json": ["check", "rec.h5", "--json", "OUT"],
    "check --out": ["check", "rec.h5", "--out", "OUT"],
    "baseline": ["baseline", "rec.h5", "--out", "OUT"],
    "evaluate": ["evaluate", "run", "rec.h5", "--out", "OUT"],
    "evaluate a file": ["evaluate", "run/model.keras", "rec.h5", "--out", "OUT"],
    "evaluate --json": ["evaluate", "run", "rec.h5", "--json", "OUT"],
    "convert": ["convert", "rec.h5", "OUT"],
    "convert --unsplit": ["convert", "rec.h5", "OUT", "--unsplit"],
    "predict": ["predict", "run", "rec.h5", "--out", "OUT"],
    "predict --json": ["predict", "run", "rec.h5", "--out", "rates.h5", "--json", "OUT"],
    "params --json": ["params", "--json", "OUT"],
    "export --json": ["export", "run", "exported", "--json", "OUT"],
}
FOLDERS = {
    "train": ["train", "rec.h5", "--out", "OUT"],
    "train --fresh": ["train", "rec.h5", "--out", "OUT", "--fresh"],
    "demo": ["demo", "--out", "OUT"],
    "rerun": ["rerun", "run", "--out", "OUT"],
    "tune": ["tune", "rec.h5", "--out", "OUT"],
    "export": ["export", "run", "OUT"],
    "export --overwrite": ["export", "run", "OUT", "--overwrite"],
    "export a file": ["export", "run/model.keras", "OUT", "--overwrite"],
}
#: What a run, a search and an export write, as a user's own.
THEIRS = [
    "figures/fig1.png", "logs/lab.log", "history.json", "params.json", "model.keras", "saved_model/saved_model.pb",
    "saved_model.pb", "run.json", "metrics.json", "state.npz", "search.json", "search/oracle.json", "default/job.json",
    ".lock", "variables/variables.index",
]  # fmt: skip


_NOT_LISTED = ("pipe.png", ".keras")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder of a user: a recording, a run, and files of every kind."""
    users_files(tmp_path)
    shutil.copy(GOLDEN / "recording.h5", tmp_path / "rec.h5")
    shutil.copytree(GOLDEN / "run", tmp_path / "run")
    other = json.loads((tmp_path / "run" / "run.json").read_text())
    other["run"] |= {"data": {"kind": "file", "path": str(tmp_path / "rec.h5")}, "epochs": 500}
    (tmp_path / "other").mkdir()
    write_json(tmp_path / "other" / "run.json", other)
    (tmp_path / "link.h5").symlink_to("rec.h5")
    (tmp_path / "link.png").symlink_to("notes.txt")
    (tmp_path / "run_link").symlink_to("run")
    os.link(tmp_path / "rec.h5", tmp_path / "hard.json")
    os.mkfifo(tmp_path / "pipe.png")
    for name in THEIRS:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        (tmp_path / "one" / name.replace("/", "_") / name).parent.mkdir(parents=True)
        (tmp_path / "one" / name.replace("/", "_") / name).write_text("mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def listing(folder):
    """All but a pipe, which cannot be read, and what Keras keeps in the home of its users."""
    return {name: content for name, content in contents(folder).items() if name.split("/")[0] not in _NOT_LISTED}


def refused(command, out, mine):
    """Runs a command in a user's folder, which must be refused in a sentence before it does anything."""
    before = listing(mine)
    result = CliRunner().invoke(app, [str(out) if part == "OUT" else part for part in command])
    assert result.exit_code == 1, f"{out}: {result.output}"
    assert result.stderr.startswith("error: ") and "Traceback" not in result.output
    assert "Given: " in result.stderr and "Errno" not in result.stderr
    assert result.stdout == ""
    assert listing(mine) == before, out


#: What goes another way into the same check.
LIKE_ANOTHER = (
    "evaluate a file",
    "evaluate --json",
    "convert --unsplit",
    "export --json",
    "train --fresh",
    "export a file",
)


def commands(of):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LIKE_ANOTHER else []) for name in of]


@pytest.mark.parametrize("name", commands(FILES))
def test_files_of_a_user_stay(name, mine):
    end = ".png" if name == "check --out" else ""
    outs = [path.name for path in mine.iterdir() if path.is_file() and path.name.endswith(end)]
    outs += [f"project/{name}" for name in THEIRS if name.endswith(end)]
    if not end:
        outs += ["rec.h5", "run/model.keras", "run", ".", "project", "/dev/null", "notes.txt/below.json", "x" * 300]
    if name == "evaluate":
        outs += ["run/scores.json", "run_link/scores.json"]
    assert len(outs) >= (3 if end else 30)
    for out in outs:
        refused(FILES[name], out, mine)


def test_two_outputs_in_one_place_are_refused(mine):
    refused(["check", "rec.h5", "--out", "new.png", "--json", "OUT"], "new.png", mine)


@pytest.mark.parametrize("name", commands(FOLDERS))
def test_folders_of_a_user_stay(name, mine):
    outs = [".", "..", "rec.h5", "notes.txt", "hard.json", "project", "project/figures", "notes.txt/below", "/dev/null"]
    outs += ["~/project", "/", *(f"one/{name.replace('/', '_')}" for name in THEIRS)]
    if FOLDERS[name][1:2] == ["run"]:
        outs += ["run", "run_link", "run/below", "run/saved_model", "other", "~/other", "~/run"]
    elif FOLDERS[name][0] != "train":
        outs += ["other", "~/other", "run_link", "~/run"]
    for out in outs:
        refused(FOLDERS[name], out, mine)


@pytest.mark.parametrize("change", [["--epochs", "9"], ["--set", "f_latent_size=7"], []])
def test_a_run_of_other_settings_is_not_touched_without_fresh(change, mine):
    before = listing(mine)
    result = CliRunner().invoke(app, ["train", "rec.h5", "--out", "run", *change])
    assert result.exit_code == 1
    assert "belongs to another run" in result.stderr and "differs in" in result.stderr and "--fresh" in result.stderr
    after = listing(mine)
    assert {name: after.get(name) for name in before} == before


def test_a_run_is_repeated_from_within_its_folder_alone_into_its_own_repetition(mine, monkeypatch):
    other = json.loads((mine / "run" / "run.json").read_text())
    other["run"]["epochs"] = 500
    write_json(mine / "run_rerun" / "run.json", other)
    monkeypatch.chdir(mine / "run")
    refused(["rerun", ".", "--out", "OUT"], mine / "run_rerun", mine)
    result = CliRunner().invoke(app, ["rerun", "."])
    assert result.exit_code == 1 and "The folder holds another run" in result.stderr
