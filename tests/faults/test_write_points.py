"""faults.md A and B: every place where the library writes, under failure at every thing that is done to the disk there.

What was there before stays whole, nothing half-written stands under its name, the message names file and cause, and the
same call again ends where an undisturbed one does.
"""

import errno
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import h5py
import keras
import pytest
import tensorflow as tf

from indl.data.simulate.lorenz import lorenz
from indl.export import export_saved_model
from indl.files import WriteError, atomic, claim_folder
from indl.files.kinds import RUN as RUN_FOLDER
from indl.params import preset
from indl.runs import Run, RunError, execute
from indl.training.checkpoint import Checkpoint, CheckpointError
from indl.tuning.isolated import run_job
from tests.checks import PLAIN, tiny_model
from tests.faults.disk import Disk, contents
from tests.faults.light_points import POINTS, draw, moments, values_of
from tests.messages import faults
from tests.restarted import Restarted

ROOT = Path(__file__).parents[2]
CODES = (errno.ENOSPC, errno.EIO)
DATA = {"n_neurons": 6, "n_conditions": 4, "n_trials": 6, "n_bins": 6, "seed": 1}
RUN = Run({"kind": "lorenz", **DATA}, preset("default", **PLAIN, seed=3), epochs=2, samples=0)

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def models():
    """Two models of the same layers with other weights, compiled."""
    found = tiny_model(**PLAIN), tiny_model(seed=1, **PLAIN)
    for model in found:
        model.compile("sgd")
    return found


@pytest.fixture(scope="module")
def points(models):
    """Places that need TensorFlow: by the name of the file, what writes it, and what must be the same in it."""

    def save(folder, version):
        models[version].save(folder / "model.keras")

    def state(folder, version):
        checkpoint = Checkpoint(folder / "state.npz", {"epochs": 3}, {})
        checkpoint.set_model(models[version])
        checkpoint.on_epoch_end(version, {"loss": 2.0})

    def export(folder, version):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keras.export, "ExportArchive", lambda: Archive(version))
            export_saved_model(Endless(), folder / "saved", overwrite=True)

    return {"model.keras": (save, weights_of), "state.npz": (state, contents), "saved": (export, contents)}


class Archive:
    """Writes files under the names of a SavedModel."""

    def __init__(self, version):
        self.version = version

    def track(self, model):
        pass

    def add_endpoint(self, *args):
        pass

    def write_out(self, path, verbose):
        for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index"):
            place = Path(path) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{name} {self.version}")


class Endless:
    """A model of any endpoint."""

    inputs = outputs = keras.Input((1,))

    def inference_function(self, name):
        return ()


def weights_of(folder):
    """The weights in the file of a model; the archive around them holds the time."""
    return {name: value.tolist() for name, value in _datasets(folder / "model.keras").items()}


def _datasets(path):
    import io
    import zipfile

    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return found


def assert_told(message, name, code, folder):
    assert name in message and os.strerror(code) in message, message
    assert not faults(message, [folder]) and "Errno" not in message and "partial" not in message, message


def fail_at(name, write, same, code, k, folder, undisturbed):
    """One failure: what was there stays, and the same write again is whole."""
    folder.mkdir()
    write(folder, 0)
    before = contents(folder)
    with Disk(folder, k, code), pytest.raises((WriteError, CheckpointError)) as told:
        write(folder, 1)
    assert_told(str(told.value), name, code, folder)
    now = contents(folder)
    if name == "saved" and now != before:
        # One that is replaced file by file is whole, or nothing loads it.
        assert "saved/saved_model.pb" not in now and "replaced in part" in str(told.value)
    else:
        assert now == before
    assert not any(".partial" in path for path in now)
    write(folder, 1)
    assert same(folder) == undisturbed
    shutil.rmtree(folder)


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", POINTS)
def test_files_stay_whole_where_the_disk_fails(name, code, tmp_path):
    (tmp_path / "undisturbed").mkdir()
    when = moments(POINTS[name], tmp_path / "undisturbed")
    assert len(when) >= 3
    for k in when:
        fail_at(name, POINTS[name], values_of, code, k, tmp_path / str(k), values_of(tmp_path / "undisturbed"))


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ["model.keras", "state.npz", "saved"])
def test_models_and_states_stay_whole_where_the_disk_fails(name, code, points, tmp_path):
    write, same = points[name]
    (tmp_path / "undisturbed").mkdir()
    when = moments(write, tmp_path / "undisturbed")
    for k in when:
        fail_at(name, write, same, code, k, tmp_path / str(k), same(tmp_path / "undisturbed"))


def test_files_stay_whole_where_the_process_is_killed():
    """kill -9 at each thing that is done to the disk, in processes that begin as copies of one."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.light_points"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(POINTS)


@pytest.mark.parametrize("name", ["recording.h5", "trials.h5", "figure.png", "scores.json"])
def test_a_refusal_of_the_kernel_itself(name, tmp_path):
    """Libraries in C write past what Python counts: here the system refuses what is longer than so many bytes."""
    POINTS[name](tmp_path, 1)
    size, wanted = (tmp_path / name).stat().st_size, values_of(tmp_path)
    POINTS[name](tmp_path, 0)
    before, (soft, hard) = contents(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, size // 2):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(WriteError) as told:
                POINTS[name](tmp_path, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert_told(str(told.value), name, errno.EFBIG, tmp_path)
        assert contents(tmp_path) == before
    POINTS[name](tmp_path, 1)
    assert values_of(tmp_path) == wanted


@pytest.mark.slow
def test_an_export_that_the_kernel_refuses(models, tmp_path):
    export_saved_model(models[0], tmp_path / "saved")
    before, (soft, hard) = contents(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(WriteError) as told:
            export_saved_model(models[1], tmp_path / "saved", overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_told(str(told.value), "saved", errno.EFBIG, tmp_path)
    assert contents(tmp_path) == before


def test_what_cannot_be_removed_hides_nothing(tmp_path, monkeypatch):
    def stuck(*args, **kwargs):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "unlink", stuck)
    with pytest.raises(WriteError, match="a.json could not be written.*No space left"), atomic(tmp_path / "a.json"):
        (tmp_path / f".a.partial{os.getpid()}.json").touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_trial_that_cannot_write_ends_the_search(tmp_path):
    for at, name in ((1, ".indl.json"), (6, "job.json"), (11, "log.txt")):
        folder = tmp_path / str(at)
        with Disk(tmp_path, at, errno.ENOSPC), pytest.raises(WriteError) as told:
            run_job(folder, preset("default"), tmp_path / "recording.h5", 1, 1)
        assert_told(str(told.value), name, errno.ENOSPC, tmp_path)


# --- whole runs ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(models):
    """A run in a folder, of one traced model at its start; what it leaves must be copied before the next."""
    recording = lorenz(**DATA)
    restarted = Restarted(RUN.params, recording, RUN.epochs)
    patch = pytest.MonkeyPatch()
    patch.setattr("indl.runs.run.train", lambda *args, **how: _train(*args, model=restarted(), **how))
    patch.setattr("indl.runs.report.export_saved_model", lambda *args, **kwargs: None)
    patch.setattr("indl.runs.report._figures", lambda *args: {"raster": functools.partial(draw, 1)})
    yield functools.partial(execute, RUN, recording=recording)
    patch.undo()


def _train(*args, **how):
    from indl.training.fit import train

    return train(*args, **how)


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with Disk(folder) as disk:
        run(folder)
    return folder, disk.done


def numbers(folder):
    """What a run found: history, scores, and the weights at the best epoch."""
    scores = json.loads((folder / "metrics.json").read_text())
    scores.pop("seconds")
    return scores, json.loads((folder / "history.json").read_text()), weights_of(folder)


def assert_goes_on(run, folder, k, code, wanted):
    with Disk(folder, k, code), warnings.catch_warnings(record=True) as warned:
        try:
            run(folder)
        except (RunError, CheckpointError, WriteError) as error:
            assert os.strerror(code) in str(error) and not faults(str(error), [folder]), error
            assert "Errno" not in str(error) and not (folder / "metrics.json").exists()
        else:
            # Scores are written by then.
            assert any("raster is left out: raster.png could not be written" in str(w.message) for w in warned)
            assert numbers(folder) == wanted
    assert not [path for path in contents(folder) if ".partial" in path]
    run(folder)
    assert numbers(folder) == wanted


@pytest.mark.parametrize("name", ["run.json", "state.npz", "model.keras", "metrics.json", "raster.png"])
def test_a_run_goes_on_after_the_disk_failed(name, run, undisturbed, tmp_path):
    folder, done = undisturbed
    assert_goes_on(run, tmp_path / "run", 1 + done.index(f"move {name}"), CODES[len(name) % 2], numbers(folder))


@pytest.mark.slow
def test_a_run_goes_on_after_the_disk_failed_anywhere(run, undisturbed, tmp_path):
    """Every file, as it is opened, flushed and moved, and at every fiftieth write."""
    folder, done = undisturbed
    assert {"move params.json", "move history.json", "move .indl.json", "fsync", "open"} <= set(done)
    for k, what in enumerate(done, 1):
        if what != "write" or k % 50 == 0:
            assert_goes_on(run, tmp_path / str(k), k, CODES[k % 2], numbers(folder))


def test_logs_that_cannot_be_written_cost_nothing(run, undisturbed, tmp_path):
    claim_folder(tmp_path, RUN_FOLDER)
    (tmp_path / "logs").write_text("in the way")
    with pytest.warns(UserWarning, match="TensorBoard's logs end here: .*Given: .*logs. Training goes on"):
        run(tmp_path)
    assert numbers(tmp_path) == numbers(undisturbed[0])


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]")]
)
def test_memory_is_not_told_as_a_full_disk(error, run, tmp_path, monkeypatch):
    """faults.md B5: `q_f_samples=100000000` is told as a full disk."""

    def exhausted(*args, **kwargs):
        raise error

    monkeypatch.setattr("indl.runs.run.train", exhausted)
    with pytest.raises(RunError, match="The memory .* is not enough. Given: .*batch_size=64, .* smaller") as told:
        run(tmp_path)
    assert not faults(str(told.value), [tmp_path]) and "disk" not in str(told.value)


def test_a_full_disk_that_tensorflow_tells_of(run, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, f"{tmp_path}/x; No space left on device")

    monkeypatch.setattr("indl.runs.run.train", full)
    with pytest.raises(RunError, match="The disk is full. Given: .*No space left on device.*make room"):
        run(tmp_path)


KILLED = """
    import json, signal, sys
    from pathlib import Path
    from indl.runs import Run, execute
    from tests.faults.disk import Disk
    settings, folder, names = json.loads(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    import os
    really = os.replace
    def replace(old, new):
        if Path(new).name in names:
            os.kill(os.getpid(), signal.SIGKILL)
        really(old, new)
    os.replace = replace
    execute(Run(**settings), folder)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state.npz", "model.keras", "metrics.json", "raster.png"])
def test_a_killed_run_goes_on(name, run, undisturbed, tmp_path):
    """kill -9 as the file moves into place, in another process than that which goes on."""
    settings = {name: getattr(RUN, name) for name in ("data", "params", "epochs", "samples")}
    command = [sys.executable, "-c", textwrap.dedent(KILLED), json.dumps(settings), str(tmp_path), json.dumps([name])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert not list(tmp_path.rglob(name)), "half of it stands there"
    run(tmp_path)
    assert numbers(tmp_path) == numbers(undisturbed[0])
    assert not [path for path in contents(tmp_path) if ".partial" in path]
