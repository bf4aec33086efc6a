"""The learning rate on a plateau, against a plain account of its rule."""

import math

import keras
import numpy as np
import pytest

from indl.data.simulate.lorenz import lorenz
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import preset
from indl.training.checkpoint import Checkpoint
from indl.training.fit import make_callbacks, train
from indl.training.plateau import PlateauRate
from tests.messages import faults


def tiny_model(rate=4e-3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(GuardedAdam(rate), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model


def run(values, rate=4e-3, **kwargs):
    """The rates after each epoch, those logged, and the callback."""
    callback = PlateauRate(monitor="metric", **kwargs)
    callback.set_model(tiny_model(rate))
    callback.on_train_begin()
    after, logged = [], []
    for epoch, value in enumerate(values):
        logs = {"metric": value}
        callback.on_epoch_end(epoch, logs)
        after.append(float(callback.model.optimizer.learning_rate))
        logged.append(logs["learning_rate"])
    return np.array(after), np.array(logged), callback


def wanted(values, rate, patience, decay, stop, smoothing):
    """The rule as a loop over whole histories: nothing is kept from epoch to epoch but the last fall."""
    after, fell = [], -1
    smooth = [values[0]]
    for value in values[1:]:
        smooth.append((1 - smoothing) * smooth[-1] + smoothing * value)
    for epoch in range(len(values)):
        lowest = [e for e in range(epoch + 1) if all(smooth[e] < s for s in smooth[:e])][-1]
        if epoch - max(lowest, fell) > patience:
            rate, fell = max(rate * decay, stop), epoch
        after.append(rate)
    return after


@pytest.mark.parametrize("smoothing", [1.0, 0.7, 0.2])
@pytest.mark.parametrize("patience", [0, 2, 6])
def test_rates_follow_the_rule(smoothing, patience):
    rng = np.random.default_rng(patience)
    values = np.round(np.exp(-np.arange(60) / 10) + 0.1 * rng.standard_normal(60), 2).tolist()
    options = {"patience": patience, "decay": 0.5, "stop": 1e-4, "smoothing": smoothing}
    after, logged, _ = run(values, **options)
    np.testing.assert_allclose(after, wanted(values, 4e-3, **options), rtol=1e-6)
    np.testing.assert_array_equal(logged, [np.float32(4e-3), *after[:-1]])
    assert len(set(after)) > 2


def test_equal_is_not_lower_and_the_floor_holds():
    after, _, _ = run([1.0] * 12, patience=2, decay=0.1, stop=1e-5, smoothing=1.0)
    np.testing.assert_allclose(after, [4e-3] * 3 + [4e-4] * 3 + [4e-5] * 3 + [1e-5] * 3, rtol=1e-6)


def test_a_rate_below_the_floor_is_not_raised():
    after, _, _ = run([1.0] * 5, rate=1e-6, patience=0)
    np.testing.assert_array_equal(after, np.float32(1e-6))


def test_it_can_wait_for_the_ramps():
    after, _, callback = run([0.0, *[1.0] * 5], patience=2, first=1, decay=0.5)
    np.testing.assert_allclose(after, [4e-3] * 4 + [2e-3] * 2, rtol=1e-6)
    assert callback.best == 1.0


def test_values_that_are_not_finite_are_bad_epochs_and_are_not_remembered():
    after, _, callback = run([2.0, math.nan, math.inf, 1.0], patience=1, decay=0.5, smoothing=0.5)
    np.testing.assert_allclose(after, [4e-3, 4e-3, 2e-3, 2e-3], rtol=1e-6)
    assert callback.smoothed == callback.best == 1.5 and callback.waited == 0


class Metric(keras.callbacks.Callback):
    """A noisy metric that the epoch determines."""

    def on_epoch_end(self, epoch, logs=None):
        logs["metric"] = 1 / (epoch + 1) + float(np.random.default_rng(epoch).normal(0, 0.3))


class Stop(keras.callbacks.Callback):
    """Ends the run at the beginning of an epoch, as Ctrl-C does."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise KeyboardInterrupt


def assert_same(model, expected):
    pairs = zip(
        [*model.variables, *model.optimizer.variables],
        [*expected.variables, *expected.optimizer.variables],
        strict=True,
    )
    for a, b in pairs:
        np.testing.assert_array_equal(a, b, err_msg=a.path)


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on_to_the_same_rates_and_weights(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")

    def fit(path, stop):
        keras.utils.set_random_seed(3)
        model, rate = tiny_model(), PlateauRate(1, 0.7, 1e-4, 0.6, monitor="metric")
        checkpoint = Checkpoint(path, {}, {"plateau": rate})
        done, callbacks = checkpoint.resume(model), [Metric(), rate, checkpoint, Stop(stop)]
        model.fit(x, x[:, :1], epochs=20, initial_epoch=done, verbose=0, shuffle=False, callbacks=callbacks)
        return model, checkpoint.history

    whole, history = fit(None, None)
    assert len(set(history["learning_rate"])) > 4
    for stop in (5, 12):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "state.npz", stop)
    again, resumed = fit(tmp_path / "state.npz", None)
    assert resumed == history
    assert_same(again, whole)


@pytest.mark.slow
def test_training_lowers_the_rate_and_resumes(tmp_path):
    small = {"f_units": 4, "z1_units": 4, "z2_units": 4, "gen_n_hidden": 6, "n_factors": 3, "f_latent_size": 2}
    schedule = {"lr_schedule": "plateau", "lr_patience": 0, "lr_decay": 0.5, "lr_smoothing": 1, "l2_schedule": "ramp"}
    # A step so large that the score goes up and down.
    p = preset("default", **small, **schedule, learning_rate=0.3, adam_epsilon=0.1, l2_ramp=4)
    recording = lorenz(n_neurons=6, n_conditions=4, n_trials=8, n_bins=8)
    whole = train(p, recording, epochs=8)
    np.testing.assert_allclose(whole.history["l2_weight"], [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1], rtol=1e-6)
    rates, rate, lowest = whole.history["learning_rate"], np.float32(0.3), np.inf
    for epoch, value in enumerate(whole.history["val_heldin_nll"]):
        assert rates[epoch] == pytest.approx(rate, rel=1e-6)
        rate, lowest = rate if value < lowest else rate / 2, min(value, lowest)
    assert float(whole.model.optimizer.epsilon) == 0.1 and 1 < len(set(rates)) < 8
    with pytest.raises(KeyboardInterrupt):
        train(p, recording, epochs=8, folder=tmp_path, callbacks=[Stop(5)])
    again = train(p, recording, epochs=8, folder=tmp_path)
    assert again.history == whole.history
    assert_same(again.model, whole.model)


def test_params_reach_the_callback():
    recording = lorenz(n_neurons=6, n_conditions=4, n_trials=8, n_bins=8)
    p = preset("default", lr_schedule="plateau", lr_patience=3, lr_decay=0.9, lr_stop=1e-4, lr_smoothing=0.4)
    parts = make_callbacks(p, recording)
    rate = parts["plateau"]
    assert (rate.patience, rate.decay, rate.stop, rate.smoothing) == (3, 0.9, 1e-4, 0.4)
    assert (rate.first, rate.monitor) == (0, "val_heldin_nll")
    assert "plateau" not in make_callbacks(preset("default"), recording)


def test_messages():
    with pytest.raises(ValueError, match="monitor='metric'.*loss") as absent:
        callback = PlateauRate(monitor="metric")
        callback.set_model(tiny_model())
        callback.on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="schedule of its own.*GuardedAdam") as scheduled:
        callback.set_model(tiny_model(keras.optimizers.schedules.CosineDecay(0.1, 10)))
        callback.on_train_begin()
    errors = [absent, scheduled]
    for change in ({"patience": -1}, {"decay": 0.0}, {"decay": 1.1}, {"stop": -1e-9}, {"smoothing": 0.0}):
        with pytest.raises(ValueError, match=next(iter(change))) as error:
            PlateauRate(**change)
        errors.append(error)
    assert [faults(str(error.value)) for error in errors] == [[]] * len(errors)
