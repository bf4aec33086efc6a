"""The JSON files of runs, tampered with: section B2 of the list of faults."""

import json
import shutil
from pathlib import Path

import pytest

from indl.files import OutputError, mark_folder
from indl.files.kinds import RUN
from indl.files.plain import read_plain
from indl.runs import Run, RunError, execute, read, repeat
from tests.faults.tampering import FEW, Outcomes, file_cases, json_cases, without

GOLDEN = Path(__file__).parents[1] / "golden" / "1" / "run"
DESCRIBED = json.loads((GOLDEN / "run.json").read_text())
#: Entries of which one stands for all of its kind.
FEW_PARAMS = ("family", "f_units", "z1_units", "learning_rate", "lr_schedule", "patience", "variational", "seed")
#: What stands for another value of the same kind, and is taken as it is.
OF_THE_SAME_KIND = {
    **{f"run.data.{name}": ["removed"] for name in ("n_neurons", "n_conditions", "n_trials", "n_bins", "heldout")},
    **{f"run.{name}": ["removed", "true"] for name in ("baselines", "skip_nonfinite")},
    **{"run.samples": ["removed"], "run.lag_s": ["removed", "negative", "a fraction"]},
    **{"data.is": ["text"], "monitor": ["text"], "starts.0.at": ["removed", "text"]},
}


def with_few_params(content):
    params = {name: content["run"]["params"][name] for name in FEW_PARAMS}
    return {**content, "run": {**content["run"], "params": params}}


def test_b2_a_description_of_another_kind_is_told(tmp_path):
    """faults.md B2: run.json."""
    content, path, outcomes = with_few_params(DESCRIBED), tmp_path / "run.json", Outcomes()
    path.write_text(json.dumps(content))
    untouched = read(tmp_path)
    assert untouched["data"] == DESCRIBED["data"] and Run(**untouched["run"]).epochs == 2
    for name, text, entry in json_cases(content):
        path.write_text(text)
        others = without(untouched, entry)
        outcomes.add(name, lambda: read(tmp_path), RunError, [path], lambda found: without(found, entry) == others)  # noqa: B023
    assert not outcomes.bad, outcomes.told()
    assert len(outcomes.refused) > 450
    free = ("run.params", "starts.0.machine", "starts.0.versions")
    accepted = {name for name in outcomes.accepted if not name.startswith(free)}
    assert accepted == {f"{entry}: {name}" for entry, names in OF_THE_SAME_KIND.items() for name in names}


def test_b2_files_that_are_none_are_told(tmp_path):
    """faults.md B2: a pipe is not waited for, and a device not read."""
    outcomes = Outcomes()
    for name, make in file_cases((GOLDEN / "run.json").read_bytes()).items():
        path = tmp_path / name / "run.json"
        path.parent.mkdir()
        make(path)
        outcomes.add(name, lambda: read(path.parent), RunError, [path])  # noqa: B023
        mark_folder(path.parent, RUN)
        if name not in ("absent", "a link to nothing"):
            run, kinds = Run(**DESCRIBED["run"]), (RunError, OutputError)
            outcomes.add(f"execute: {name}", lambda: execute(run, path.parent), kinds, [path, path.parent])  # noqa: B023
    assert not outcomes.bad and not outcomes.accepted, outcomes.told()


@pytest.mark.parametrize("name", ["params", "history", "metrics"])
def test_b2_a_finished_run_is_repeated_or_told(name, tmp_path, monkeypatch):
    """faults.md B2: params.json, history.json and metrics.json, before anything is trained."""
    folder, out, outcomes = shutil.copytree(GOLDEN, tmp_path / "run"), tmp_path / "again", Outcomes()
    recording, trained = Run(**DESCRIBED["run"]).recording(), []

    def trains(run, place, *args, **kwargs):
        trained.append(run)
        return None, {}

    monkeypatch.setattr(Run, "recording", lambda self: recording)
    monkeypatch.setattr("indl.runs.run.execute", trains)
    shutil.copytree(GOLDEN, out)
    path = folder / f"{name}.json"
    content = json.loads(path.read_text())
    _, differences = repeat(folder, out)
    assert not differences and len(trained) == 1
    few = {key: content[key] for key in FEW_PARAMS} if name == "params" else content
    for case, text, entry in json_cases(few, most=len(FEW_PARAMS) if name == "params" else 4, values=FEW):
        path.write_text(text)
        at = ".".join((name, *entry))
        outcomes.add(
            case,
            lambda: repeat(folder, out)[1],
            RunError,
            [path],
            lambda found: all(difference.name.startswith(at) for difference in found),  # noqa: B023
        )
    assert not outcomes.bad, outcomes.told()
    assert len(outcomes.refused) > 60 and len(trained) == 1 + len(outcomes.accepted)
    for case, make in file_cases(path.read_bytes()).items():
        path.unlink(missing_ok=True)
        make(path)
        outcomes.add(f"file: {case}", lambda: repeat(folder, out), (RunError, OutputError), [path, folder])
        path.rmdir() if path.is_dir() else None
    assert not outcomes.bad and not [case for case in outcomes.accepted if case.startswith("file")]


def test_b2_a_file_is_read_as_far_as_it_may_be(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_plain(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, for 4 at most"):
        read_plain(tmp_path / "a", 4)
