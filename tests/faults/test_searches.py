"""The folders of searches, tampered with: section B6 of the list of faults."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import indl
from indl.files import OutputError
from indl.params import completed
from indl.tuning import IsolatedRandomSearch, SearchError, SequentialHyperModel
from indl.tuning.isolated import run_job
from tests.faults.tampering import VALUES, Outcomes, file_cases, json_cases

GOLDEN = Path(__file__).parents[1] / "golden" / "1" / "search"
FEW = {name: VALUES[name] for name in ("null", "text", "huge", "removed", "nested")}


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
    folder, go_on, _ = search
    path, outcomes, wanted = folder / name, Outcomes(), go_on()
    content = json.loads((GOLDEN / name).read_text())
    if "metrics" in content:
        metric = "val_hidden_nll"
        content["metrics"]["metrics"] = {metric: content["metrics"]["metrics"][metric]}
    for entry in {"start_order", "end_order", "tried_so_far", "id_to_hash", "run_times"} & content.keys():
        # One stands for both trials.
        content[entry] = dict([*content[entry].items()][1:]) if isinstance(content[entry], dict) else content[entry][1:]
    for case, text, _ in json_cases(content, values=FEW):
        # The space of a trial is looked at as that of all.
        if case.startswith("hyperparameters.space.0.") and name != "oracle.json":
            continue
        put_back(folder)
        path.write_text(text)
        outcomes.add(case, go_on, SearchError, [path, folder], lambda found: found == wanted)
    assert not outcomes.bad, outcomes.told()
    # A score, a status and an id are those of the trial, and the space is that of the search.
    mattering = ("score", "status", "trial_id", "metrics", "hyperparameters.space.0.config.m")
    assert not [case for case in outcomes.accepted if case.startswith(mattering)]


def test_b6_the_description_of_a_search_is_looked_at(search):
    """faults.md B6: search.json; what it says of another search is told as that."""
    folder, go_on, _ = search
    path, outcomes, wanted = folder / "search.json", Outcomes(), go_on()
    content = json.loads(path.read_text())
    for case, text, _ in json_cases(content, values=FEW):
        # One stands for all params.
        if not case.startswith("params.") or case.startswith("params.f_units"):
            path.write_text(text)
            outcomes.add(case, go_on, ValueError, [path, folder], lambda found: found == wanted)
    assert not outcomes.bad and not outcomes.accepted and len(outcomes.refused) > 30, outcomes.told()


def test_b6_files_that_are_none_are_told(search):
    """faults.md B6: damaged, or no files at all."""
    folder, go_on, _ = search
    outcomes, described = Outcomes(), (folder / "search.json").read_bytes()
    for name in ("oracle.json", "tuner0.json", "trial_0/trial.json", "search.json"):
        path = folder / name
        for case, make in file_cases(path.read_bytes()).items():
            path.unlink()
            make(path)
            outcomes.add(f"{name}: {case}", go_on, (SearchError, OutputError), [path, folder])
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            put_back(folder)
            (folder / "search.json").write_bytes(described)
    assert not outcomes.bad, outcomes.told()
    # What nobody has begun begins; a folder without its description is that of a search from before there was one.
    assert outcomes.accepted == ["tuner0.json: absent", "search.json: a link to nothing", "search.json: absent"]


@pytest.mark.parametrize("name", ["job.json", "result.json"])
def test_b6_a_trial_that_had_ended_is_taken_or_told(name, search, hypermodel):
    """faults.md B6: the search was killed before it took notice of the result of a trial."""
    folder, _, trained = search
    trial, outcomes = folder / "trial_1", Outcomes()
    job = json.loads((trial / "job.json").read_text())
    recording, path = folder / "recording.h5", trial / name
    asked = (trial, completed(job["params"]), recording, job["epochs"], job["hidden_every"])
    trained.clear()
    wanted = run_job(*asked)
    assert trained == ["trial_1"] and run_job(*asked) == wanted and len(trained) == 1
    content = path.read_bytes()
    few = json.loads(content)
    if name == "job.json":
        few["params"] = {key: few["params"][key] for key in ("f_units", "learning_rate")}
    for case, text, _ in json_cases(few, most=6, values=FEW):
        shutil.copy(GOLDEN / "trial_1" / "result.json", trial / "result.json")
        path.write_text(text)
        outcomes.add(case, lambda: run_job(*asked), SearchError, [path])
    for case, make in file_cases(content).items():
        path.unlink()
        make(path)
        outcomes.add(f"file: {case}", lambda: run_job(*asked), SearchError, [path])
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(content)
    assert not outcomes.bad, outcomes.told()
    assert len(outcomes.refused) > 30
    # Another job is done anew; what is no job is told.
    assert "epochs: text" in outcomes.refused if name == "job.json" else "loss: text" in outcomes.refused


def test_what_was_not_tampered_with_goes_on(search, monkeypatch):
    """Every kind of entry of a space, those under conditions too, is after keras-tuner has saved it what it was."""
    folder, _, trained = search
    monkeypatch.setattr("indl.tuning.hypermodel.make_model", lambda *args: None)
    params = {"z_latent_size": 2, "kl_z_ramp": 7, "lr_schedule": "plateau", "seed": 1}
    hypermodel = SequentialHyperModel(indl.load_recording(GOLDEN / "recording.h5"), tune="all", fixed=params)

    def go_on(trials):
        tuner = IsolatedRandomSearch(hypermodel, max_trials=trials, seed=0, directory=folder.parent, project_name="all")
        tuner.search(epochs=1, verbose=0)
        return {name: trial.hyperparameters.values for name, trial in tuner.oracle.trials.items()}

    trained.clear()
    before = go_on(4)
    after = go_on(6)
    assert {name: after[name] for name in before} == before and len(trained) == len(after) == 6
    ramps = ["kl_z_ramp" in values for values in after.values()]
    assert any(ramps) and not all(ramps)


def test_b6_a_result_without_the_score_ends_the_search(search):
    """faults.md B6: what trials are compared by is missing."""
    folder, go_on, trained = search
    oracle = json.loads((folder / "oracle.json").read_text())
    oracle["ongoing_trials"], oracle["end_order"] = {"tuner0": "1"}, ["0"]
    (folder / "oracle.json").write_text(json.dumps(oracle))
    wanted = go_on()
    result = json.loads((folder / "trial_1" / "result.json").read_text())
    del result["val_hidden_nll"]
    (folder / "trial_1" / "result.json").write_text(json.dumps(result))
    (folder / "oracle.json").write_text(json.dumps(oracle))
    with pytest.raises(SearchError, match="lacks what trials are compared by.*result.json.*without val_hidden_nll"):
        go_on()
    (folder / "trial_1" / "result.json").unlink()
    assert go_on() == wanted and trained == ["trial_1"]


def test_b6_the_recording_of_a_search_is_looked_at(search, hypermodel):
    """faults.md B6: recording.h5 damaged, or that of other data."""
    folder, go_on, trained = search
    path = folder / "recording.h5"
    content = path.read_bytes()
    for damage in (b"", content[:3000], content[:-1000] + bytes(1000), b"x" * 100):
        path.write_bytes(damage)
        with pytest.raises(
            SearchError, match="does not hold its recording. Given: .*recording.h5.*Remove it: the same"
        ):
            go_on(trials=3)
        assert not trained
    path.unlink()
    other = indl.lorenz(n_neurons=6, n_conditions=2, n_trials=8, n_bins=6, heldout=1, seed=1)
    indl.save_recording(other, path)
    with pytest.raises(SearchError, match="recording.h5, which holds other data"):
        go_on(trials=3)
    path.unlink()
    go_on(trials=3)
    assert len(trained) == 1 and path.exists()


def test_b6_trials_that_fail_one_after_the_other_are_told_without_their_traces(search, monkeypatch):
    """faults.md B6: keras-tuner hands on the trace of the last one."""
    folder, go_on, _ = search
    monkeypatch.setattr(subprocess, "call", lambda command, **how: 1)
    with pytest.raises(
        SearchError, match=r"too many trials failed.*Given: .*search, with 5 trials. Read the log.txt"
    ) as told:
        go_on(trials=8)
    assert "Traceback" not in str(told.value)
