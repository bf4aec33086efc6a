"""Files that earlier versions of the library wrote, read by this one: the same numbers, down to the last draw.

What comes out of a file is equal to the last digit; what is computed from it, to the rounding of another processor.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import indl
from indl.params import FAMILIES
from indl.runs.run import read
from indl.training import train
from indl.tuning import IsolatedRandomSearch, SequentialHyperModel
from tests.checks import assert_close
from tests.golden.numbers import unpacked

GOLDEN = Path(__file__).parent
ROOT = GOLDEN.parents[1]
SETS = sorted(path for path in GOLDEN.iterdir() if path.name.isdigit())
MODELS = [path for folder in SETS for path in sorted((folder / "models").glob("*.keras"))]
# A set that others stand beside may hold models alone.
WHOLE = [path for path in SETS if (path / "run").exists()]
on_every_set = pytest.mark.parametrize("golden", WHOLE, ids=lambda path: path.name)

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What every golden model gives in a process that has imported nothing but the reader of models."""
    out = tmp_path_factory.mktemp("golden")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    pairs = []
    for folder in SETS:
        (out / folder.name).mkdir()
        pairs += [str(folder / "models"), str(out / folder.name)]
    command = [sys.executable, "-m", "tests.golden.numbers", *pairs]
    subprocess.run(command, env=environment, cwd=out, check=True, timeout=500)
    return out


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_models(path, found):
    with np.load(found / path.parts[-3] / f"{path.stem}.npz") as now, np.load(path.with_suffix(".npz")) as then:
        now, then = unpacked(now), unpacked(then)
    assert list(now) == list(then)
    for name, value in then.items():
        if name.split("/")[0] in ("weight", "optimizer", "random"):
            np.testing.assert_array_equal(now[name], value, err_msg=name)
        else:
            assert_close(now[name], value)


def test_every_family_and_preset_has_a_model():
    found = {path.stem for path in MODELS}
    assert found >= {name for table in FAMILIES.values() for name in table.presets}


def test_every_saved_class_is_in_a_model(found):
    never = [(found / folder.name / "never_used.txt").read_text().split() for folder in SETS]
    assert set.intersection(*map(set, never)) == set()


@on_every_set
def test_a_recording(golden):
    recording = indl.load_recording(golden / "recording.h5")
    wanted = indl.lorenz(n_neurons=6, n_conditions=2, n_trials=8, n_bins=6, heldout=1)
    for part in ("train", "valid"):
        for name in ("encod", "recon", "truth", "latents", "label"):
            now, then = (getattr(getattr(which, part), name) for which in (recording, wanted))
            np.testing.assert_array_equal(now[:], then, err_msg=name)
    assert (recording.bin_width_s, recording.n_heldout) == (wanted.bin_width_s, 1)


@on_every_set
@pytest.mark.parametrize("name", ["run", "unfinished"])
def test_a_run_goes_on_to_the_same_numbers(golden, name, tmp_path):
    folder = shutil.copytree(golden / name, tmp_path / name)
    run, recording = read(folder)["run"], indl.load_recording(golden / "recording.h5")
    result = train(run["params"], recording, epochs=run["epochs"], folder=folder)
    history = json.loads((golden / "run" / "history.json").read_text())
    assert list(result.history) == list(history)
    for term, values in history.items():
        assert_close(result.history[term], values)
    with np.load(golden / "expected.npz") as expected:
        assert_close(result.model.rates(expected["encod"]), expected["rates"])


@on_every_set
def test_the_model_of_a_run(golden):
    with np.load(golden / "expected.npz") as expected:
        assert_close(indl.load_model(golden / "run").rates(expected["encod"]), expected["rates"])


@on_every_set
def test_an_export(golden):
    exported = tf.saved_model.load(golden / "export")
    with np.load(golden / "expected.npz") as expected:
        assert_close(exported.rates(expected["encod"])["rates"], expected["rates"])


@on_every_set
def test_a_search_keeps_its_trials(golden, tmp_path):
    shutil.copytree(golden / "search", tmp_path / "search")
    recording = indl.load_recording(golden / "recording.h5")
    job = json.loads(next((tmp_path / "search").glob("trial_*/job.json")).read_text())
    hypermodel = SequentialHyperModel(recording, tune=["learning_rate"], fixed=job["params"])
    tuner = IsolatedRandomSearch(hypermodel, max_trials=2, seed=0, directory=tmp_path, project_name="search")
    tuner.search(epochs=1, verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    scores = [json.loads(path.read_text()) for path in (golden / "search").glob("trial_*/result.json")]
    monitor = hypermodel.base["monitor"]
    assert [trial.score for trial in trials] == sorted(score[monitor] for score in scores)
    assert tuner.get_best_models(1)[0].params["learning_rate"]
