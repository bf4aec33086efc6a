"""The folders of searches, tampered with: section B6 of the list of faults."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import indl
from indl.tuning import IsolatedRandomSearch, SearchError, SequentialHyperModel
from tests.faults.tampering import Outcomes, json_cases

GOLDEN = Path(__file__).parents[1] / "golden" / "1" / "search"


@pytest.fixture(scope="module")
def hypermodel():
    job = json.loads((GOLDEN / "trial_0" / "job.json").read_text())
    return SequentialHyperModel(
        indl.load_recording(GOLDEN / "recording.h5"), tune=["learning_rate"], fixed=job["params"]
    )


@pytest.fixture
def search(tmp_path, hypermodel, monkeypatch):
    """A finished search of two trials, and a function that goes on with it; trials that it trains end at once."""
    folder, trained = shutil.copytree(GOLDEN, tmp_path / "search"), []

    def train(command, **how):
        trained.append(Path(command[-2]).name)
        shutil.copy(GOLDEN / "trial_1" / "result.json", Path(command[-2]) / "result.json")
        return 0

    def go_on(trials=2):
        trained.clear()
        tuner = IsolatedRandomSearch(
            hypermodel, max_trials=trials, seed=0, directory=folder.parent, project_name=folder.name
        )
        tuner.search(epochs=1, verbose=0)
        best = tuner.oracle.get_best_trials(1)[0]
        return best.trial_id, best.score, tuner.best_params()["learning_rate"]

    monkeypatch.setattr(subprocess, "call", train)
    for path in folder.glob("trial_*/model.keras"):
        path.unlink()
    go_on()
    return folder, go_on, trained


def put_back(folder):
    """Makes the files of a search again what they were."""
    for path in GOLDEN.rglob("*.json"):
        shutil.copy(path, folder / path.relative_to(GOLDEN))


@pytest.mark.parametrize("name", ["oracle.json", "tuner0.json", "trial_1/trial.json"])
def test_b6_files_of_keras_tuner_are_looked_at(name, search):
    """faults.md B6: one sentence, at the construction or in the search; a search that is taken on gives the same."""
    folder, go_on, trained = search
    path, outcomes, wanted = folder / name, Outcomes(), go_on()
    content = json.loads((GOLDEN / name).read_text())
    if "metrics" in content:
        kept = ("loss", "val_hidden_nll")
        content["metrics"]["metrics"] = {metric: content["metrics"]["metrics"][metric] for metric in kept}
    for case, text, _ in json_cases(content):
        put_back(folder)
        path.write_text(text)
        outcomes.add(case, go_on, SearchError, [path, folder])
    print(sorted(outcomes.accepted))
    assert not outcomes.bad, outcomes.told()
