"""Numbers that were wrong without a word, and results that were lost: section C of the list of faults, by its lines.

Lines that have a test of their own elsewhere: C1 in tests/tuning/test_search.py, C3 in tests/runs/test_run.py, C4 in
tests/evaluation/test_scores.py.
"""

import json
import random
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import indl
from indl import metrics, plots
from indl.data import Series, Trials, Window, bin_spikes, examine, lorenz, standardized
from indl.data.checks.arrays import check_scale
from indl.params import preset
from indl.training.fit import make_model, train
from indl.training.hidden import hidden_nll
from tests.checks import PLAIN, QUICK, tiny_model

ROOT = Path(__file__).parents[2]
COUNTS = np.random.default_rng(0).poisson(1.0, (6, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=6, n_conditions=4, n_trials=8, n_bins=8, heldout=1)


# --- C5: masks -------------------------------------------------------------------------------------------------


def test_c05_what_is_masked_is_nan_at_every_border():
    given = np.ma.masked_equal([[[1.0, 2.0], [999.0, 0.0]]] * 4, 999.0)
    assert np.isnan(Trials(given, 0.02, missing=True).counts[0, 1, 0])
    whole = Trials(np.ma.masked_equal([[[1, 2], [999, 0]]] * 4, 999), 0.02, missing=True).counts
    np.testing.assert_array_equal(whole[0], [[1, 2], [np.nan, 0]])
    with pytest.raises(ValueError, match="NaN or infinite"):
        Trials(given, 0.02)
    listed = Trials.from_list([given[0], given[1, :1]], 0.02, missing=True)
    assert np.isnan(listed.counts[0, 1, 0]) and np.isnan(listed.counts[1, 1]).all()
    behavior = np.ma.masked_greater(np.arange(48.0).reshape(6, 8, 1), 40)
    assert np.isnan(Trials(COUNTS, 0.02, behavior=behavior).behavior).sum() == 7
    with pytest.raises(ValueError, match="label needs every entry. Given: 1 that are masked"):
        Trials(COUNTS, 0.02, label=np.ma.masked_equal(np.arange(6), 3))
    with pytest.raises(ValueError, match="Only numbers can be masked"):
        Series(np.arange(3.0), np.ma.masked_equal(np.array(["a", "b", "c"]), "b"))


def test_c05_models_and_metrics_know_masks():
    hole = np.ma.masked_array(COUNTS, COUNTS == COUNTS.max())
    nan = np.where(hole.mask, np.nan, COUNTS)
    rates = np.full(COUNTS.shape, 0.9)
    for score in (metrics.poisson_nll, metrics.bits_per_spike):
        assert score(rates, hole) == score(rates, nan) != score(rates, COUNTS)
    assert metrics.rate_r2_flat(rates + 0.1 * COUNTS, hole) == metrics.rate_r2_flat(rates + 0.1 * COUNTS, nan)
    with pytest.raises(ValueError, match="missing_data"):
        tiny_model(8, 3, **PLAIN).rates(hole)
    model = tiny_model(8, 3, **PLAIN, missing_data=True)
    np.testing.assert_array_equal(model.rates(hole), model.rates(nan))
    assert plots.calibration(rates, hole).axes[0].get_title() == plots.calibration(rates, nan).axes[0].get_title()


# --- C6 and C14: what training ends with ------------------------------------------------------------------------


def test_c06_the_selection_has_the_last_word(recording):
    """Early stopping of Keras gives back the weights of an early epoch, where the betas are still low."""
    params = preset("default", **PLAIN, learning_rate=1e-2, kl_z_schedule="linear", kl_z_ramp=20)
    kept = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept.append(self.model.get_weights())

    stopping = keras.callbacks.EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = train(params, recording, epochs=4, hidden_every=1, callbacks=[Keep(), stopping])
    assert stopping.stopped_epoch == 2 and len(kept) == 3
    assert result.best_epoch is None, "the last weights are promised"
    for now, then in zip(result.model.get_weights(), kept[-1], strict=True):
        np.testing.assert_array_equal(now, then)
    assert any((now != then).any() for now, then in zip(result.model.get_weights(), kept[0], strict=True))


def test_c14_an_interrupted_cell_leaves_the_epochs_before(recording, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    params = preset("default", **PLAIN)
    with pytest.warns(UserWarning, match="interrupted. The result is that of the 2 epochs before"):
        result = train(params, recording, epochs=5, callbacks=[Interrupt()])
    assert len(result.history["loss"]) == 2
    assert np.isfinite(result.model.rates(recording.valid.encod)).all()
    kept = {"epochs": 5, "folder": tmp_path / "run"}
    with pytest.raises(ValueError, match="no result so far"):
        train(params, recording, **kept, go_on=False)
    with pytest.raises(KeyboardInterrupt):
        train(params, recording, **kept, callbacks=[Interrupt()])
    so_far = train(params, recording, **kept, go_on=False)
    assert so_far.history == result.history and so_far.best_epoch == result.best_epoch
    rates = (found.model.rates(recording.valid.encod) for found in (so_far, result))
    np.testing.assert_array_equal(*rates)


# --- C9 and C21: units ---------------------------------------------------------------------------------------------


def test_c09_a_wide_bin_is_questioned():
    with pytest.warns(UserWarning, match="more than 1 s are rare. Given: 5 s. If that is milliseconds, give 0.005"):
        Trials(COUNTS, 5)
    with pytest.raises(ValueError, match="If that is milliseconds, give 0.02"):
        Trials(COUNTS, 20)


@pytest.mark.parametrize(
    "counts", [COUNTS.astype("uint64") - np.uint64(1), np.where(COUNTS > 1, 7e20, COUNTS)], ids=["unsigned", "float"]
)
def test_c21_counts_beyond_any_are_refused(counts):
    with pytest.raises(ValueError, match=r"must hold counts per bin.*above 1e\+06"):
        Trials(counts, 0.02)


def test_c21_rates_beyond_any_are_questioned():
    with pytest.warns(UserWarning, match="No neuron fires at more than 1000 Hz on average. Given: 5.* a mean of 50"):
        Trials(np.full((4, 5, 2), [50.0, 1.0]), 0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Trials(np.full((4, 5, 2), [50.0, 1.0]), 0.1)
        Trials(np.full((4, 5, 2), 5e4), 0.01, are_counts=False)


# --- C12, C13, C16, C18, C22: the platform and Keras ----------------------------------------------------------------


def test_c12_nothing_needs_what_windows_lacks():
    code = (
        "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None\n"
        "import indl, indl.data, indl.files.outputs, indl.params; print(indl.lorenz)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "lorenz" in done.stdout, done.stderr


def test_c16_another_precision_is_one_sentence(recording):
    params = preset("default", **QUICK)
    keras.config.set_floatx("float64")
    try:
        with pytest.raises(ValueError, match=r"trained in float32. Given: keras.config.floatx\(\) = 'float64'"):
            train(params, recording, epochs=1)
    finally:
        keras.config.set_floatx("float32")


def test_c18_other_formats_are_refused_before_keras_begins(tmp_path):
    model = tiny_model(8, 3, **PLAIN)
    model.compile("adam")
    for name in ("m.h5", "m", "m.hdf5", "m.weights.h5"):
        with pytest.raises(ValueError, match=f"saved as a .keras file. Given: .*{name}. Write model.save"):
            model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "m.keras")
    assert indl.load_model(tmp_path / "m.keras").optimizer.variables, "nothing of Keras was left in another state"


def test_c22_what_a_model_cannot_take_is_told():
    model = tiny_model(8, 3, **PLAIN)
    with pytest.raises(ValueError, match="not compiled. Given: fit before compile. Call model.compile"):
        model.fit(COUNTS, verbose=0)
    for given in ({"loss": "mse"}, {"metrics": ["mae"]}, {"loss_weights": [1.0]}):
        with pytest.raises(ValueError, match="an objective of its own, and logs .*nll.*Given: .*Leave it out"):
            model.compile("adam", **given)


# --- C19, C20: one bad trial, and seeds ---------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [np.nan, 1.0, 0.5, np.inf])
def test_c19_one_bad_trial_is_left_out_when_asked(stop):
    window = Window(intervals=[(0, 1), (1, stop), (2, 3)], bin_width_s=0.1, edges="drop")
    with pytest.warns(UserWarning, match="Left out: 1 of 3 intervals are not finite or shorter than a bin.*number 1"):
        trials = bin_spikes([[0.5, 2.25]], window)
    assert trials.inds.tolist() == [0, 2] and np.argwhere(trials.counts)[:, :2].tolist() == [[0, 5], [1, 2]]
    with pytest.raises(ValueError, match="edges='drop'"):
        bin_spikes([[0.5]], replace(window, edges="raise"))
    with pytest.raises(ValueError, match="There must be intervals. Given: 1 of 1 intervals"):
        bin_spikes([[0.5]], replace(window, intervals=[(1, stop)]))


def test_c20_no_global_generator_is_set(recording):
    np.random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()
    make_model(preset("default", **PLAIN), recording)
    assert np.array_equal(np.random.get_state()[1], before[0]) and random.getstate() == before[1]


@pytest.mark.slow
def test_c20_threads_give_what_runs_in_turn_give(recording):
    params = preset("default", **PLAIN)

    def losses(seed):
        return train({**params, "seed": seed}, recording, epochs=1).history["loss"]

    alone = [losses(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(losses, (0, 1))) == alone


# --- C11: memory ----------------------------------------------------------------------------------------------------


def test_c11_what_is_computed_at_once_follows_the_batch_size(recording, monkeypatch):
    found, most = [], []
    for batch_size in (2, 64):
        model, sizes = tiny_model(8, 5, **PLAIN, batch_size=batch_size), []
        trace = model.passes._trace

        def noted(*args, trace=trace, sizes=sizes):
            values = trace(*args)
            return lambda batch, *rest: (sizes.append(len(batch["x"])), values(batch, *rest))[1]

        monkeypatch.setattr(model.passes, "_trace", noted)
        found.append((hidden_nll(model, recording.valid), model.rates(recording.train.encod)))
        most.append(max(sizes))
    assert most[0] == 16 and most[1] > 16
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4)


# --- C17: replicas --------------------------------------------------------------------------------------------------

REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import indl
from tests.checks import PLAIN
recording = indl.lorenz(n_neurons=6, n_conditions=4, n_trials=8, n_bins=6)
changes = {"kl_z_schedule": "linear", "kl_z_ramp": 2, "batch_size": 8, "jit_compile": "off", "lr_schedule": "plateau"}
with strategy.scope():
    result = indl.train(indl.preset("default", **PLAIN, **changes), recording, epochs=2)
print("betas", result.history["beta_z"])
"""


@pytest.mark.slow
def test_c17_schedules_run_on_replicas():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, cwd=ROOT)
    assert "betas [0.0, 0.5]" in done.stdout, done.stderr[-2000:]


# --- C15: versions -------------------------------------------------------------------------------------------------


def rewritten(path, change):
    """A model's file with a changed config."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_c15_params_from_before_a_parameter_are_completed(recording, tmp_path):
    model = tiny_model(8, 5, **PLAIN)
    model.compile("adam")
    model.save(tmp_path / "m.keras")
    younger = ("loss_reduction", "missing_data", "batch_parts")
    old = rewritten(tmp_path / "m.keras", lambda config: [config["params"].pop(name) for name in younger])
    loaded = indl.load_model(old)
    assert {name: loaded.params[name] for name in younger} == {name: model.params[name] for name in younger}
    seen = Trials(recording.train.encod, recording.bin_width_s).split()
    assert indl.evaluate(loaded, seen, samples=0) == indl.evaluate(model, seen, samples=0)


def test_c15_a_model_names_its_version(tmp_path):
    tiny_model(8, 5, **PLAIN).save(tmp_path / "m.keras")

    def broken(config):
        assert config["indl"] == indl.__version__
        config["indl"] = "9.0"
        config["layers"][1]["config"]["from_the_future"] = 1

    with pytest.raises(ValueError, match=f"written by indl 9.0 and read by {indl.__version__}"):
        indl.load_model(rewritten(tmp_path / "m.keras", broken))


# --- C2: the scale of signals -----------------------------------------------------------------------------------------


def signals(scale=1.0, offset=0.0):
    """Two latents that turn, on five channels with noise."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (60, 1)) + 0.4 * np.arange(20)
    clean = np.stack([np.cos(phase), np.sin(phase)], -1) @ rng.normal(size=(2, 5))
    values = scale * (clean + 0.1 * rng.normal(size=clean.shape)) + offset
    return Trials(values, 0.02, are_counts=False, truth=clean).split(seed=0)


@pytest.mark.parametrize("scale, offset", [(500, 5000), (100, 0), (0.01, 0), (1, 50)])
def test_c02_signals_of_another_scale_are_questioned_and_mended(scale, offset):
    given = signals(scale, offset)
    with pytest.warns(UserWarning, match=r"far from unit scale.*Given: channels that span .*standardized\(recording\)"):
        check_scale(given)
    assert "signal-scale" in [finding.code for finding in examine(given).findings]
    mended = standardized(given)
    sd, mean = mended.attrs["signal_sd"], mended.attrs["signal_mean"]
    np.testing.assert_allclose(mended.train.recon * sd + mean, given.train.recon, rtol=1e-4, atol=1e-4 * scale)
    np.testing.assert_allclose(mended.train.recon, standardized(signals()).train.recon, atol=2e-3)
    assert "signal-scale" not in [finding.code for finding in examine(mended).findings]


def test_c02_training_questions_them_and_is_as_good_as_at_unit_scale_once_mended():
    params = preset("default", **PLAIN, output_dist="Gaussian")
    with pytest.warns(UserWarning, match="far from unit scale"):
        train(params, signals(500, 5000), epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = [train(params, part, epochs=2) for part in (standardized(signals(500, 5000)), standardized(signals()))]
    np.testing.assert_allclose(found[0].history["loss"], found[1].history["loss"], rtol=1e-3)


def test_c02_standardizing_keeps_counts_and_what_is_held_out():
    with pytest.raises(ValueError, match="Counts stay counts"):
        standardized(lorenz(n_neurons=4, n_conditions=2, n_trials=4, n_bins=5))
    held_out = Trials(np.random.default_rng(0).normal(size=(20, 5, 4)), 0.02, are_counts=False).split(heldout=2)
    assert np.abs(standardized(held_out).train.encod - standardized(held_out).train.recon[..., :2]).max() == 0
