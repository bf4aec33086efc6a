"""What happens at a number that is not finite."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.data.simulate.lorenz import lorenz
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import preset
from indl.training.fit import make_model, train
from indl.training.guard import FiniteGuard, NonFiniteError
from tests.checks import PLAIN, QUICK, assert_close, saved_and_loaded
from tests.restarted import Restarted

PARAMS = preset("default", **QUICK, batch_size=16)
BREAKING = {**PARAMS, **PLAIN}


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=8, n_conditions=8, n_trials=10, n_bins=10, seed=1)


@pytest.fixture(scope="module")
def restarted(recording):
    return Restarted(PARAMS, recording)


@pytest.fixture
def model(restarted):
    """The model of every run at its start."""
    return restarted()


class Poison(keras.callbacks.Callback):
    """Spoils a variable before one step, and mends it after."""

    def __init__(self, epoch, step, variable, value=np.nan):
        super().__init__()
        self.at, self.variable, self.value, self.kept = (epoch, step), variable, value, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        variable = self.variable(self.model)
        if (self.epoch, batch) == self.at:
            self.kept = variable.numpy()
            variable.assign(np.full(variable.shape, self.value))

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            self.variable(self.model).assign(self.kept)


def readout(model):
    return model.get_layer("readout").kernel


def test_first_bad_step_stops_the_run_and_the_weights_before_it_are_kept(recording, tmp_path):
    seen = {}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[self.epoch, batch] = self.model.get_weights()

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    with pytest.raises(NonFiniteError, match=r"nll is not finite in epoch 1, step 2 \(counted from 0\)") as error:
        train(BREAKING, recording, epochs=3, callbacks=[Watch()], folder=tmp_path, model=poisoned(recording, 1, 2))
    assert (error.value.epoch, error.value.step, error.value.term) == (1, 2, "nll")
    assert str(tmp_path / "last_good.keras") in str(error.value)
    kept = keras.saving.load_model(tmp_path / "last_good.keras")
    names = [variable.path for variable in kept.weights]
    # The poisoned variable itself is spoiled by the test, after the last good step.
    for name, found, wanted in zip(names, kept.get_weights(), seen[1, 1], strict=True):
        if name != readout(kept).path and not name.endswith(("finite_terms", "beta_f", "beta_z")):
            np.testing.assert_array_equal(found, wanted, err_msg=name)


def poisoned(recording, epoch, step):
    """A model whose read-out breaks in a given step, before any callback of the run sees it."""
    model = make_model(BREAKING, recording)
    taken = model.train_step
    steps = -(-len(recording.train) // PARAMS["batch_size"])

    def train_step(data):
        broken = tf.equal(model.optimizer.iterations.value, epoch * steps + step)
        kernel = readout(model)
        kernel.assign(tf.where(broken, np.nan, kernel.value))
        return taken(data)

    model.train_step = train_step
    return model


@pytest.mark.parametrize("term, variable", [
    pytest.param("kl_f", lambda model: model.get_layer("f_prior").log_std, marks=pytest.mark.slow),
    ("kl_z", lambda model: model.get_layer("z_prior").log_tau),
])  # fmt: skip
def test_the_term_that_broke_is_named(recording, model, term, variable):
    variable(model).assign(np.full(variable(model).shape, np.nan))
    with pytest.raises(NonFiniteError, match=f"{term} is not finite in epoch 0, step 0"):
        train(PARAMS, recording, epochs=1, model=model)


def test_penalty_and_gradient_are_named(recording, model):
    kernel = next(v for v in model.trainable_variables if "gen_0" in v.path and "recurrent" in v.path)
    # Finite in itself, but its square overflows in the penalty.
    kernel.assign(np.full(kernel.shape, 1e25))
    with pytest.raises(NonFiniteError, match="penalty is not finite"):
        train(PARAMS, recording, epochs=1, model=model)
    optimizer = GuardedAdam()
    variable = keras.Variable(np.ones(3, "float32"), name="v")
    optimizer.build([variable])
    optimizer.apply([tf.constant([1.0, np.inf, 0.0])], [variable])
    assert not optimizer.finite.numpy().any()
    np.testing.assert_array_equal(variable, np.ones(3))
    assert optimizer.iterations == 0


def test_skipped_steps_change_nothing_and_are_counted(recording, restarted):
    """Weights, moments and means of the epoch are those of a run without the bad batch."""
    x = np.array(recording.train.encod[:48])

    def fit(model, trials, *callbacks):
        return model.fit(trials, batch_size=16, shuffle=False, verbose=0, callbacks=list(callbacks)).history

    model = restarted()
    with pytest.warns(UserWarning, match="nll is not finite in epoch 0, step 1"):
        log = fit(model, x, Poison(0, 1, readout), FiniteGuard(skip=True))
    assert log["skipped_steps"] == [1] and model.optimizer.iterations == 2
    found = [np.array(variable) for variable in model.trainable_variables]

    # The same two good batches; the random generators of the bad one are stepped by hand.
    twin = restarted()
    values = fit(twin, x[:16])["nll"]
    twin(x[16:32], training=True)
    values += fit(twin, x[32:])["nll"]
    for value, wanted in zip(found, twin.trainable_variables, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6, err_msg=wanted.path)
    assert log["nll"][0] == pytest.approx(np.mean(values), rel=1e-5)
    assert log["loss"][0] == pytest.approx(
        log["nll"][0] + log["kl_f"][0] + log["kl_z"][0] + log["penalty"][0], rel=1e-5
    )


def test_run_with_skipping_goes_on_to_the_end(recording, model, tmp_path):
    poison = Poison(1, 0, readout)
    with pytest.warns(UserWarning, match="A step was left out"):
        result = train(
            PARAMS, recording, epochs=3, callbacks=[poison], model=model, skip_nonfinite=True, folder=tmp_path
        )
    assert result.history["skipped_steps"] == [0, 1, 1]
    assert np.isfinite([values for name, values in result.history.items()]).all()
    json.dumps(result.history)


def test_validation_that_breaks_is_named(recording, model):
    class Spoil(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            readout(self.model).assign(np.full(readout(self.model).shape, np.nan))

    with pytest.raises(NonFiniteError, match="val_nll is not finite in epoch 0, validation"):
        train(PARAMS, recording, epochs=2, callbacks=[Spoil()], model=model)


def test_optimizer_is_adam_where_all_is_finite_and_survives_saving(recording):
    x = recording.train.encod
    models = [make_model({**PARAMS, **PLAIN}, recording) for _ in range(2)]
    models[1].compile(keras.optimizers.Adam(PARAMS["learning_rate"], global_clipnorm=PARAMS["max_grad_norm"]))
    for model in models:
        model.fit(x, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(models[0].trainable_variables, models[1].trainable_variables, strict=True):
        # Keras takes the step in another order of operations.
        assert_close(a, b, 1e-6)
    loaded = saved_and_loaded(models[0])
    assert isinstance(loaded.optimizer, GuardedAdam)
    for a, b in zip(models[0].optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_norm_that_overflows_takes_no_step():
    """Each gradient is finite, but clipping by their common norm would give NaN."""
    optimizer = GuardedAdam(global_clipnorm=1.0)
    variables = [keras.Variable(np.ones(2, "float32"), name=name) for name in "ab"]
    optimizer.build(variables)
    optimizer.apply([tf.constant([1.5e19, 0.0])] * 2, variables)
    assert not optimizer.finite.numpy().any() and optimizer.iterations == 0
    optimizer.apply([tf.constant([1e30, 0.0]), tf.constant([1.0, 0.0])], variables)
    np.testing.assert_array_equal(optimizer.finite, [0, 1])
    for variable in variables:
        np.testing.assert_array_equal(variable, np.ones(2))


def test_gradient_that_broke_is_named(model):
    guard = FiniteGuard()
    guard.set_model(model)
    guard.on_epoch_begin(2)
    guard.on_train_batch_end(0)
    finite = np.ones(len(model.trainable_variables))
    finite[3] = 0
    model.optimizer.finite.assign(finite)
    with pytest.raises(NonFiniteError, match=f"the gradient of {model.trainable_variables[3].path} is not finite"):
        guard.on_train_batch_end(5)


def test_epoch_of_which_nothing_is_left_ends_the_run(recording, model):
    readout(model).assign(np.full(readout(model).shape, np.nan))
    with pytest.warns(UserWarning), pytest.raises(NonFiniteError, match="Every step of the epoch was left out"):
        train(PARAMS, recording, epochs=2, model=model, skip_nonfinite=True)


def test_run_that_broke_and_goes_on_skipping_has_a_whole_history(recording, restarted, tmp_path):
    with pytest.raises(NonFiniteError):
        train(PARAMS, recording, epochs=3, folder=tmp_path, callbacks=[Poison(1, 0, readout)], model=restarted())
    result = train(PARAMS, recording, epochs=3, folder=tmp_path, skip_nonfinite=True, model=restarted())
    assert {len(values) for values in result.history.values()} == {3}
    assert result.history["skipped_steps"] == [0, 0, 0]
