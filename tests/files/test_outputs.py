"""What may be written to: nothing of a user's is replaced or removed (spec faults A)."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from indl import plots
from indl.data import load_recording, lorenz, save_recording, save_trials
from indl.data.values.trials import Trials
from indl.files import OutputError, check_folder, claim_folder, clear_folder, output_file, write_json
from indl.files.kinds import RUN, SAVED_MODEL, TRIALS, FolderKind
from indl.files.marks import FIGURE

GOLDEN = Path(__file__).parents[1] / "golden" / "1"
_EVENTS = ("logs/events.#", "logs/train/events.#")
KIND = FolderKind("test", "a test", ("first.json", *_EVENTS, "a.txt"), ("empty",), ("figures/training.png",))


def contents(folder):
    """Every path below a folder with its content: of a link where it leads, of a folder nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def users_files(folder):
    """Files of every kind that the library writes too, none of which it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("notes")
    (folder / "empty.json").write_text("")
    (folder / "scores.json").write_text('{"model": {"co_bps": 0.1}, "indl": "me"}')
    (folder / "list.json").write_text("[1, 2]")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "quoted.json").write_text('{"notes": "\\"indl\\": \\"scores\\""}')
    (folder / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    (folder / "page.pdf").write_bytes(b"%PDF-1.4")
    (folder / "drawing.svg").write_text("<?xml version='1.0'?><svg/>")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    with h5py.File(folder / "data.h5", "w") as file:
        file["x"] = np.arange(3)
    (folder / "cut.h5").write_bytes((folder / "data.h5").read_bytes()[:600])
    return sorted(folder.iterdir())


@pytest.mark.parametrize("purpose", ["scores", "check", "recording", "trials", FIGURE])
def test_files_of_others_are_not_replaced(purpose, tmp_path):
    files = users_files(tmp_path / "mine")
    before = contents(tmp_path)
    for path in files:
        with pytest.raises(OutputError, match=f"would replace a file.*Given: .*{path.name}. Choose another path, or"):
            output_file(path, purpose)
    assert contents(tmp_path) == before


def ways():
    """How the library writes a file of each purpose to a path."""
    counts = np.random.default_rng(0).poisson(1.0, (6, 5, 3)).astype("float32")
    recording = lorenz(n_neurons=4, n_conditions=2, n_trials=4, n_bins=5)
    return {
        "scores": lambda path: write_json(path, {"a": 1}, "scores"),
        "check": lambda path: write_json(path, {}, "check"),
        "recording": lambda path: save_recording(recording, path),
        "trials": lambda path: save_trials(Trials(counts, 0.02), path),
        **{f"figure{end}": lambda path: plots.calibration(counts, counts, path) for end in (".png", ".pdf", ".svg")},
        "figure.eps": lambda path: plots.calibration(counts, counts, path),
    }


@pytest.mark.filterwarnings("ignore:The PostScript backend")
@pytest.mark.parametrize("name", ways())
def test_a_file_is_replaced_by_one_of_its_own_purpose_alone(name, tmp_path):
    purpose, end = name.partition(".")[0], os.path.splitext(name)[1]
    path = tmp_path / f"x{end}"
    for _ in range(2):
        assert output_file(path, purpose) == path.resolve()
        ways()[name](path)
    for other in {"scores", "check", "recording", "trials", FIGURE} - {purpose}:
        with pytest.raises(OutputError, match=rf"written as one of its kind \({other}\)"):
            output_file(path, other)


def test_the_mark_is_not_an_attribute_of_the_recording(tmp_path):
    recording = replace(lorenz(n_neurons=4, n_conditions=2, n_trials=4, n_bins=5), attrs={"indl": "me"})
    save_recording(recording, tmp_path / "a.h5")
    assert "indl" not in load_recording(tmp_path / "a.h5").attrs
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["indl"] == b"recording"


@pytest.mark.parametrize("call", [save_recording, save_trials])
def test_functions_keep_files_of_others(call, tmp_path):
    made = lorenz(n_neurons=4, n_conditions=2, n_trials=4, n_bins=5)
    made = made if call is save_recording else Trials(np.array(made.train.recon), 0.02)
    files = users_files(tmp_path / "mine")
    before = contents(tmp_path)
    for path in files:
        with pytest.raises(OutputError):
            call(made, path)
        with pytest.raises(OutputError):
            plots.training_curves({"loss": [1.0, 0.5]}, path)
    assert contents(tmp_path) == before


# --- inputs, links, and what is no file --------------------------------------------------------------------


def test_an_input_is_never_an_output(tmp_path):
    path = tmp_path / "rec.h5"
    save_recording(lorenz(n_neurons=4, n_conditions=2, n_trials=4, n_bins=5), path)
    (tmp_path / "link.h5").symlink_to(path)
    os.link(path, tmp_path / "hard.h5")
    (tmp_path / "run").mkdir()
    for given in (path, tmp_path / "link.h5", tmp_path / "hard.h5", tmp_path / "run" / ".." / "rec.h5"):
        with pytest.raises(OutputError, match="The output is an input. Given: .* Choose another path"):
            output_file(given, "recording", [path])
    with pytest.raises(OutputError, match="The output lies in an input"):
        output_file(tmp_path / "run" / "scores.json", "scores", [tmp_path / "run", None, tmp_path / "absent"])
    for given, how in ((tmp_path, "holds"), (tmp_path / "run", "is"), (tmp_path / "run" / "a", "lies in")):
        with pytest.raises(OutputError, match=f"The output {how} an input"):
            check_folder(given, KIND, [path, tmp_path / "run"])


def test_what_is_no_plain_file_is_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    (tmp_path / "file").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    for given, words in [
        (tmp_path, "in the place of a folder"),
        (tmp_path / "pipe", "a device, a pipe"),
        ("/dev/null", "a device, a pipe"),
        (tmp_path / "ring", "cannot be written to"),
        (tmp_path / "file" / "below", "where .*file is no folder"),
        (tmp_path / ("x" * 300), "The name is too long"),
        (tmp_path / ("x" * 250), "The name is too long"),
        ("/", "in the place of a folder"),
        ("nul\0l", "null"),
    ]:
        if given != tmp_path:
            with pytest.raises(OutputError):
                check_folder(given, KIND)
        with pytest.raises(OutputError, match=words):
            output_file(given, "scores")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    monkeypatch.setenv("HOME", str(tmp_path))
    assert output_file("~/new.json", "scores") == tmp_path / "new.json"


def test_a_link_to_ones_own_file_stays_a_link(tmp_path):
    write_json(tmp_path / "a.json", {}, "scores")
    (tmp_path / "latest.json").symlink_to("a.json")
    write_json(output_file(tmp_path / "latest.json", "scores"), {"new": 1}, "scores")
    assert (tmp_path / "latest.json").is_symlink()
    assert json.loads((tmp_path / "a.json").read_text()) == {"indl": "scores", "new": 1}


# --- folders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["run.json", "model.keras", "figures/fig1.png", "logs/lab.log", ".hidden", "sub/"])
@pytest.mark.parametrize("kind", [RUN, SAVED_MODEL, TRIALS], ids=lambda kind: kind.name)
def test_a_folder_of_others_is_not_taken(name, kind, tmp_path):
    path = tmp_path / "mine" / name
    (path if name.endswith("/") else path.parent).mkdir(parents=True)
    if not name.endswith("/"):
        path.write_text("{}")
    before = contents(tmp_path)
    for call in (check_folder, claim_folder):
        with pytest.raises(OutputError, match="holds other things.*Given: .*mine with .*Choose a new folder or an emp"):
            call(tmp_path / "mine", kind)
    assert contents(tmp_path) == before


def test_an_empty_folder_is_taken_for_one_purpose(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".DS_Store").write_text("")
    (tmp_path / "link").symlink_to("a")
    assert claim_folder(tmp_path / "link", RUN) == tmp_path / "a"
    (tmp_path / "a" / "mine").write_text("kept")
    assert claim_folder(tmp_path / "a", RUN) == tmp_path / "a"
    with pytest.raises(OutputError, match="of another kind. Given: .*, that of a run, for a SavedModel"):
        claim_folder(tmp_path / "a", SAVED_MODEL)
    with pytest.raises(OutputError, match="The output is a folder. Given: .*mine, which is none"):
        claim_folder(tmp_path / "a" / "mine", RUN)


def claimed(folder):
    """A folder of `KIND` in which everything is that the library may have written, and beside it what is a user's."""
    claim_folder(folder, KIND)
    for name in ("first.json", "a.txt", "logs/train/events.1", "logs/events.2"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("ours")
    (folder / "empty").mkdir()
    (folder / "figures").mkdir()
    plots.training_curves({"loss": [1.0, 0.5]}, folder / "figures" / "training.png")
    ours = set(contents(folder))
    # A copy keeps the mark, and is the user's by its name.
    shutil.copy(folder / "figures" / "training.png", folder / "figures" / "training_before.png")
    for name in (
        "first.txt",
        "logs/lab.log",
        "logs/events.2.bak",
        "logs/events.mine",
        "figures/fig1.png",
        "figures/more/fig2.png",
        "own/first.json",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (folder / "mine").mkdir()
    return ours


def test_clearing_takes_what_the_library_wrote_and_nothing_else(tmp_path):
    folder = tmp_path / "a"
    ours = claimed(folder)
    before = contents(folder)
    clear_folder(folder, KIND)
    kept = {name: content for name, content in before.items() if name not in ours}
    assert contents(folder) == {**kept, ".indl.json": before[".indl.json"], "figures": None, "logs": None}
    clear_folder(folder, KIND)


def test_what_tells_that_it_is_whole_goes_first(tmp_path, monkeypatch):
    claimed(tmp_path / "a")
    gone = []
    monkeypatch.setattr("pathlib.Path.unlink", lambda path, **how: gone.append(path.name))
    clear_folder(tmp_path / "a", KIND)
    assert gone == ["first.json", "events.2", "events.1", "a.txt", "training.png"]


@pytest.mark.parametrize("where", ["a.txt", "logs", "first.json"])
def test_links_within_a_folder_are_not_followed(where, tmp_path):
    claimed(tmp_path / "a")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "a" / where).rename(elsewhere)
    (tmp_path / "a" / where).symlink_to(elsewhere)
    before = contents(tmp_path)
    for call in (check_folder, claim_folder, clear_folder):
        with pytest.raises(OutputError, match="A link or a folder is in the place of a file to write"):
            call(tmp_path / "a", KIND)
    assert contents(tmp_path) == before


def test_a_marker_that_is_none_gives_nothing_away(tmp_path):
    for i, marker in enumerate(("", "[]", '{"indl": 3}', '{"indl": "run of mine"}', "[" * 100_000)):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / ".indl.json").write_text(marker)
        (folder / "model.keras").write_text("mine")
        with pytest.raises(OutputError):
            claim_folder(folder, RUN)
        assert contents(folder) == {".indl.json": marker.encode(), "model.keras": b"mine"}


def test_kinds_know_all_that_is_in_their_folders(tmp_path):
    """A folder that the library alone has written is empty when it is cleared."""
    for name, kind in (("run", RUN), ("unfinished", RUN), ("search", TRIALS), ("export", SAVED_MODEL)):
        folder = shutil.copytree(GOLDEN / name, tmp_path / name)
        clear_folder(folder, kind)
        assert contents(folder) == {}


def test_a_cleared_run_goes_on_whatever_the_user_left_in_it(tmp_path):
    """Also where the clearing was killed half-way: what marks the export within goes with the rest of it or stays."""
    folder = claim_folder(tmp_path / "run", RUN)
    saved = claim_folder(folder / "saved_model", SAVED_MODEL)
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "README"):
        (saved / name).parent.mkdir(exist_ok=True)
        (saved / name).write_text("x")
    (saved / "assets").mkdir()
    removed = []

    def unlink(path, really=Path.unlink, **how):
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path)
        really(path, **how)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", unlink)
        clear_folder(folder, RUN)
    assert claim_folder(saved, SAVED_MODEL) == saved
    clear_folder(folder, RUN)
    assert claim_folder(saved, SAVED_MODEL) == saved
    assert set(contents(folder)) == {".indl.json", "saved_model", "saved_model/.indl.json", "saved_model/README"}


def test_a_search_says_whose_it_is_until_its_results_are_gone(tmp_path, monkeypatch):
    folder = shutil.copytree(GOLDEN / "search", tmp_path / "search")
    (folder / "search.json").write_text("{}")
    for name in ("trial_notes/log.txt", "tuner_notes.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    gone = []
    monkeypatch.setattr("pathlib.Path.unlink", lambda path, **how: gone.append(path.relative_to(folder).as_posix()))
    clear_folder(folder, TRIALS)
    assert gone[-1] == "search.json" and gone.index("recording.h5") > max(
        i for i, name in enumerate(gone) if name.startswith("trial_")
    )
    assert not [name for name in gone if "notes" in name]


def test_copies_of_trials_and_logs_are_the_users(tmp_path):
    """`cp -r trial_0 trial_0_backup`: the pattern of our names is not that of a copy's."""
    claim_folder(tmp_path / "s", TRIALS)
    ours = ("trial_0/model.keras", "trial_12/trial.json", "tuner0.json", "oracle.json")
    theirs = ("trial_0_backup/model.keras", "trial_1 (copy)/trial.json", "tuner0_old.json", "oracle.json.bak")
    for name in (*ours, *theirs):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).write_text("{}")
    clear_folder(tmp_path / "s", TRIALS)
    left = {path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert left == {".indl.json", *theirs}
