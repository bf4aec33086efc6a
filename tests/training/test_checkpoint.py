"""A run that was killed goes on to the numbers of one that was not."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import keras
import numpy as np
import pytest

from indl.data.simulate.lorenz import lorenz
from indl.files import claim_folder
from indl.files.kinds import RUN
from indl.params import preset
from indl.training.checkpoint import Checkpoint, CheckpointError, not_longer
from indl.training.fit import make_model, make_optimizer, train
from tests.checks import PLAIN, QUICK
from tests.restarted import Restarted

PARAMS = preset(
    "default",
    **{**QUICK, "dropout_rate": 0.01},
    batch_size=16,
    kl_z_schedule="linear",
    kl_z_ramp=2,
    lr_schedule="cosine",
)
DATA = {"n_neurons": 8, "n_conditions": 8, "n_trials": 10, "n_bins": 10, "seed": 1}
EPOCHS = 6

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def recording():
    return lorenz(**DATA)


@pytest.fixture(scope="module")
def restarted(recording):
    return Restarted(PARAMS, recording, EPOCHS)


@pytest.fixture(scope="module")
def run(recording, restarted):
    """A run of a model at its start, in a folder, with callbacks."""
    return lambda **how: train(PARAMS, recording, epochs=EPOCHS, hidden_every=2, model=restarted(), **how)


@pytest.fixture(scope="module")
def uninterrupted(run):
    return Left(run())


@pytest.fixture(scope="module")
def cut_off(run, tmp_path_factory):
    """The folder of a run that was cut off in its second epoch."""
    folder = tmp_path_factory.mktemp("cut_off")
    with pytest.raises(KeyboardInterrupt):
        run(folder=folder, callbacks=[Stop(1, 0)])
    return folder


class Left:
    """What a run leaves, copied."""

    def __init__(self, result):
        self.result, self.model = result, result.model
        self.weights = result.model.get_weights()
        self.optimizer = [np.array(variable) for variable in result.model.optimizer.variables]


class Stop(keras.callbacks.Callback):
    """Ends the run after one step of an epoch, as Ctrl-C does."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at = (epoch, step)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


def assert_same_run(result, wanted):
    assert result.history == wanted.result.history
    use = wanted.result.latent_use
    assert (result.best_epoch, result.latent_use.epochs) == (wanted.result.best_epoch, use.epochs)
    for name in ("f", "z"):
        np.testing.assert_array_equal(result.latent_use.kl[name], use.kl[name])
    for pair in zip(result.model.get_weights(), wanted.weights, strict=True):
        np.testing.assert_array_equal(*pair)
    for variable, value in zip(result.model.optimizer.variables, wanted.optimizer, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.slow
def test_interrupted_twice_ends_at_the_same_numbers(run, uninterrupted, tmp_path):
    for at in ((2, 1), (4, 3)):
        with pytest.raises(KeyboardInterrupt):
            run(folder=tmp_path, callbacks=[Stop(*at)])
        keras.utils.set_random_seed(99)  # what else draws must not matter
    assert_same_run(run(folder=tmp_path), uninterrupted)
    # A finished run is not run again, and is still the best epoch.
    assert_same_run(run(folder=tmp_path), uninterrupted)


@pytest.mark.slow
def test_patience_that_ran_out_stays_out(recording, tmp_path):
    params = {**PARAMS, "patience": 1, "learning_rate": 0.5, "kl_z_ramp": 1}
    first = train(params, recording, epochs=40, hidden_every=1, folder=tmp_path)
    assert len(first.history["loss"]) < 40
    assert_same_run(train(params, recording, epochs=40, hidden_every=1, folder=tmp_path), Left(first))


KILLED = """
    import sys
    from indl.data.simulate.lorenz import lorenz
    from indl.training.fit import make_model, make_optimizer, train
    import json
    params, data, epochs = json.loads(sys.argv[1])
    print("begin", flush=True)
    result = train(params, lorenz(**data), epochs=epochs, hidden_every=2, folder=sys.argv[2])
    result.model.save_weights(sys.argv[2] + "/final.weights.h5")
    json.dump(result.history, open(sys.argv[2] + "/final.json", "w"))
"""


def start(folder):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), json.dumps([PARAMS, DATA, EPOCHS]), str(folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.readline()  # imports are done
    return process


def kill(process):
    """Whether the process was killed, and had not ended by itself."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=600)
    return process.returncode == -signal.SIGKILL


def finish(folder):
    process = start(folder)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()[-2000:]


def assert_same_files(folder, wanted):
    assert json.loads((folder / "final.json").read_text()) == wanted.result.history
    wanted.model.set_weights(wanted.weights)
    wanted.model.save_weights(folder / "wanted.weights.h5")
    with h5py.File(folder / "final.weights.h5") as found, h5py.File(folder / "wanted.weights.h5") as expected:
        names = []
        expected.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert names
        for name in names:
            np.testing.assert_array_equal(found[name][()], expected[name][()], err_msg=name)


def test_killed_process_goes_on_to_the_same_weights(run, uninterrupted, tmp_path):
    process, state = start(tmp_path), tmp_path / "state.npz"
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    assert kill(process) and state.exists() and not (tmp_path / "final.json").exists()
    # This process is another one than that which was killed.
    assert_same_run(run(folder=tmp_path), uninterrupted)


@pytest.mark.slow
def test_ten_kills_at_random_moments(uninterrupted, tmp_path):
    """Ten runs, each killed at a moment drawn over the whole length of a run, some of them twice."""
    (tmp_path / "length").mkdir()
    begin = time.monotonic()
    finish(tmp_path / "length")
    moments = np.random.default_rng(0).uniform(0, time.monotonic() - begin, 10)
    killed, in_between = 0, 0
    for i, moment in enumerate(moments):
        folder = tmp_path / str(i)
        folder.mkdir()
        for seconds in [moment] if i % 3 else [moment, moment / 2]:
            process = start(folder)
            time.sleep(seconds)
            if kill(process):
                killed += 1
                in_between += (folder / "state.npz").exists()
        finish(folder)
        assert_same_files(folder, uninterrupted)
    print(f"{killed} kills, {in_between} of them after the first epoch")
    assert killed >= 5 and in_between >= 2


@pytest.mark.parametrize(
    "change, words",
    [
        ({"params": {**PARAMS, "learning_rate": 1e-4}}, "learning_rate"),
        ({"epochs": EPOCHS + 1}, f"epochs \\({EPOCHS}, now {EPOCHS + 1}\\), over which the step size falls"),
        ({"recording": lorenz(**{**DATA, "seed": 2})}, "data"),
    ],
)
def test_folder_of_another_run_is_refused(recording, cut_off, change, words):
    call = {"params": PARAMS, "recording": recording, "epochs": EPOCHS, "hidden_every": 2}
    before = (cut_off / "state.npz").read_bytes()
    with pytest.raises(CheckpointError, match=f"belongs to another run.*{words}.*new folder"):
        train(**{**call, **change}, folder=cut_off)
    assert (cut_off / "state.npz").read_bytes() == before


@pytest.fixture(scope="module")
def constant():
    """A run whose step size stays, of a network that is traced fast, from a model at its start."""
    params = preset("default", **PLAIN, batch_size=16, kl_f_schedule="linear", kl_f_ramp=2, epochs=2)
    recording = lorenz(**{**DATA, "n_neurons": 6})
    start = Restarted(params, recording, 2)
    return lambda epochs, **how: train(
        {**params, "epochs": epochs}, recording, epochs=epochs, hidden_every=2, model=start(), **how
    )


def test_a_finished_run_is_given_more_epochs(constant, tmp_path):
    """faults.md D: it goes on to the numbers of a run of that length from the start."""
    wanted = Left(constant(6))
    assert len(constant(2, folder=tmp_path).history["loss"]) == 2
    with pytest.raises(KeyboardInterrupt):
        constant(4, folder=tmp_path, callbacks=[Stop(3, 0)])
    assert_same_run(constant(6, folder=tmp_path), wanted)
    with pytest.raises(CheckpointError, match=r"epochs \(6, now 5\), which are not more"):
        constant(5, folder=tmp_path)
    assert not_longer({"lr_schedule": "plateau"}, 2, 3) is None
    assert "falls" in not_longer({"lr_schedule": "cosine"}, 2, 3)


def test_terms_that_are_not_logged_in_every_epoch_keep_their_place(constant, tmp_path):
    """faults.md B3: every term has a value for every epoch, so that what was taken out of a history shows."""

    class Sometimes(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch % 2:
                logs["now"] = epoch

    result = constant(4, folder=tmp_path, callbacks=[Sometimes()])
    np.testing.assert_array_equal(result.history["now"], [np.nan, 1, np.nan, 3])
    np.testing.assert_array_equal(constant(4, folder=tmp_path).history["now"], result.history["now"])


def test_a_run_from_before_a_parameter_goes_on(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd")
    model.optimizer_variables = model.optimizer.variables
    older = {key: value for key, value in PARAMS.items() if key not in ("family", "log_factorial")}
    first = Checkpoint(tmp_path / "state.npz", {"params": older, "epochs": EPOCHS}, {})
    first.set_model(model)
    first.on_epoch_end(0, {"loss": 2.0})
    again = Checkpoint(tmp_path / "state.npz", {"params": PARAMS, "epochs": EPOCHS}, {})
    assert again.resume(model) == 1 and again.history == {"loss": [2.0]}
    other = Checkpoint(tmp_path / "state.npz", {"params": {**PARAMS, "log_factorial": "stirling"}}, {})
    with pytest.raises(CheckpointError, match=r"log_factorial \('exact', now 'stirling'\)"):
        other.resume(model)


def test_full_disk_is_told_and_the_last_good_state_stays(run, uninterrupted, tmp_path, monkeypatch):
    written = []
    savez = np.savez

    def full(file, **arrays):
        written.append(1)
        if len(written) == 3:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(CheckpointError, match="epoch 2 could not be written: the disk is full.*make room"):
        run(folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".indl.json", "state.npz"}
    assert_same_run(run(folder=tmp_path), uninterrupted)


def test_limit_of_the_file_system_is_told(run, tmp_path):
    """A write that the operating system itself refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(CheckpointError, match="epoch 0 could not be written: the disk is full"):
            run(folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [".indl.json"]


def test_damaged_state_is_told(run, cut_off, tmp_path):
    path = claim_folder(tmp_path, RUN) / "state.npz"
    for content in (b"", (cut_off / "state.npz").read_bytes()[:5000], b"x" * 5000):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read.*Remove it"):
            run(folder=tmp_path)


@pytest.mark.slow
def test_model_of_ones_own_goes_on_too(recording, tmp_path):
    """Its optimizer is not built before the first call."""

    def own():
        model = make_model(PARAMS, recording)
        model.compile(make_optimizer(PARAMS, len(recording.train), 2))
        return model

    with pytest.raises(KeyboardInterrupt):
        train(PARAMS, recording, epochs=2, folder=tmp_path, callbacks=[Stop(1, 1)], model=own())
    again = train(PARAMS, recording, epochs=2, folder=tmp_path, model=own())
    assert_same_run(again, Left(train(PARAMS, recording, epochs=2, model=own())))
    plain = make_model(PARAMS, recording)
    plain.compile(keras.optimizers.Adam())
    with pytest.raises(ValueError, match="Given: Adam. Compile it with indl.training.make_optimizer"):
        train(PARAMS, recording, epochs=2, model=plain)
