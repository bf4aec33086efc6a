"""Compiled or plain: what is asked for is done, what is measured decides else, and a run keeps to it."""

import itertools
import json

import keras
import numpy as np
import pytest

from indl.data.simulate.lorenz import lorenz
from indl.layers import masks
from indl.model.sequence_model import SequentialVAE
from indl.params import preset
from indl.sampling import draws
from indl.training import mode
from indl.training.fit import make_model, train
from indl.training.mode import Mode, compiling_pays
from tests.checks import PLAIN, assert_same

# One layer that draws at random beside the sample of f: each costs compilation.
SMALL = preset("default", **PLAIN, batch_size=16, coordinated_dropout_rate=0.2)


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=6, n_conditions=4, n_trials=5, n_bins=6, seed=1)


@pytest.fixture
def measured(monkeypatch):
    """Seconds a step that the measurement pretends to find, by mode; and which modes and parts it was asked for."""
    seconds, asked = {False: 1.0, True: 0.1}, []

    def pretend(model, x, y, on):
        asked.append((on, model.batch_parts))
        return seconds[on]

    monkeypatch.setattr(mode, "_seconds", pretend)
    monkeypatch.setattr(mode, "_estimate", lambda *args: 1e9)
    monkeypatch.setattr(mode, "parts_for", lambda batch: 2 if batch >= 16 else 1)
    return seconds, asked


@pytest.fixture
def unfitted(monkeypatch):
    """Training without a single step: which mode each call of `fit` was to run in."""
    found = []
    monkeypatch.setattr(SequentialVAE, "fit", lambda self, *args, **kwargs: found.append(mode_of(self)))
    return found


def mode_of(model):
    """Parts compiled, 0 for none."""
    return model.batch_parts if model.jit_compile else 0


@pytest.fixture(scope="module")
def model(recording):
    return make_model(SMALL, recording)


X = np.zeros((16, 6, 6), "float32")


# --- the choice ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting, parts, batch, wanted",
    [("on", 0, 16, 2), ("on", 0, 15, 1), ("on", 1, 16, 1), ("on", 3, 4, 3), ("off", 0, 16, 0), ("off", 2, 16, 0)],
)
def test_what_is_asked_for_is_not_measured(setting, parts, batch, wanted, measured, model):
    seconds, asked = measured
    # Measured, it would come out the other way.
    seconds[wanted > 0] = 100.0
    chosen = Mode(setting, parts)
    chosen.choose(model, X[:batch], None, 10**9)
    assert mode_of(model) == wanted and not asked
    assert (chosen.compiled, chosen.parts) == (wanted > 0, max(1, wanted))


@pytest.mark.parametrize(
    "plain, on, steps, pays",
    [
        (1.0, 0.5, 100, True),
        (1.0, 0.89, 100, True),
        (1.0, 0.91, 100, False),
        (1.0, 1.5, 100, False),
        (0.1, 1e-6, 599, False),
        (0.1, 1e-6, 601, True),
    ],
    ids=["faster", "just by a tenth", "by less", "slower", "too short a run", "long enough"],
)
def test_the_faster_mode_is_taken_where_it_pays(plain, on, steps, pays, measured, model):
    seconds, asked = measured
    seconds.update({False: plain, True: on})
    chosen = Mode("auto")
    assert chosen.compiled is None
    chosen.choose(model, X, None, steps)
    assert mode_of(model) == (2 if pays else 0)
    # The compilation itself is spared where the run is over before it would be paid back.
    assert asked == ([(False, 2), (True, 2)] if plain * steps > mode.WORTH_S else [(False, 2)])
    seconds.update({False: on, True: plain})
    chosen.choose(model, X, None, 10**9)
    assert mode_of(model) == (2 if pays else 0) and len(asked) <= 2


def test_parts_that_were_asked_for_are_measured(measured, model):
    _, asked = measured
    for parts in (1, 3):
        Mode("auto", parts).choose(model, X, None, 10**9)
        assert asked.pop() == (True, parts) and mode_of(model) == parts


@pytest.mark.slow
def test_another_mode_or_setting_is_traced_anew(recording):
    """What was traced in one mode, or with another rate of dropout, is not run in the next."""
    model = make_model(SMALL, recording)
    x = recording.train.encod[:16]
    for setting, parts in (("on", 2), ("off", 0)):
        Mode(setting, parts).choose(model, x, None, 10**9)
        assert model.train_function is None and model.test_function is None
        model.fit(x, epochs=1, verbose=0)
        assert (model._side_by_side is not None) is (parts == 2)
    Mode("off").choose(model, x, None, 10**9)


def test_a_loss_over_the_batch_is_not_taken_in_parts(measured, recording):
    """The mean over what was recorded is one of all trials of the batch."""
    _, asked = measured
    for extra, wanted in (({"loss_reduction": "mean"}, 1), ({}, 2)):
        model = make_model({**SMALL, "missing_data": True, **extra}, recording)
        Mode("on", 2).choose(model, X, None, 10**9)
        assert mode_of(model) == wanted


def test_a_run_that_goes_on_keeps_its_mode(measured, model):
    _, asked = measured
    for compiled, parts in ((True, 1), (True, 3), (False, 1)):
        kept = Mode("auto")
        kept.compiled, kept.parts = compiled, parts
        state = json.loads(json.dumps(kept.state()))
        again = Mode("auto")
        again.restore(state)
        again.choose(model, X, None, 10**9)
        assert mode_of(model) == (parts if compiled else 0)
    assert not asked
    unknown = Mode("auto")
    unknown.restore(Mode("auto").state())
    assert unknown.compiled is None


# --- the measurement ----------------------------------------------------------------------------


@pytest.mark.slow
def test_measuring_leaves_the_model_as_it_was(recording, monkeypatch):
    params = {**SMALL, "dropout_rate": 0.2}
    model, scopes = make_model(params, recording), []
    keep = masks.keep_mask
    monkeypatch.setattr(
        masks, "keep_mask", lambda *args: scopes.append(getattr(draws._scope, "on", False)) or keep(*args)
    )
    x = recording.train.encod[:16]
    model(x, training=True)
    model.compute_loss(x, x, model(x, training=True), training=True)
    scopes.clear()

    def state():
        return [np.array(v) for v in (*model.variables, *model.metrics_variables, *model.optimizer.variables)]

    before = state()
    assert any(v.path.endswith("seed_generator_state") for v in model.variables)
    # All modes run; which is faster on this machine is not asked.
    for model.batch_parts in (1, 2):
        assert compiling_pays(model, x, x, 10**9, worth_s=0.0) in (True, False)
    assert_same(state(), before)
    # Dropout draws with the generator of the mode that is measured: twice plain and compiled.
    assert [on for on, _ in itertools.groupby(scopes)] == [False, True, False, True]
    assert mode._seconds(model, x, x, False) > 0
    # And the draws go on as if nothing had been measured.
    twin = make_model(params, recording)
    twin(x, training=True)
    twin(x, training=True)
    for variable, value in zip(model.variables, before[: len(model.variables)], strict=True):
        variable.assign(value)
    assert_same(model(x, training=True)["f"], twin(x, training=True)["f"])


def test_nothing_is_compiled_for_a_short_run(recording, monkeypatch):
    model, asked, seconds = make_model(SMALL, recording), [], mode._seconds
    monkeypatch.setattr(mode, "_seconds", lambda *args: asked.append(args[-1]) or seconds(*args))
    x = recording.train.encod[:16]
    # Two operations a weight, bin and trial forward, and twice that back: here some microseconds.
    assert mode._estimate(model, x) == pytest.approx(6 * model.count_params() * 16 * 6 / 1e10)
    assert compiling_pays(model, {"x": x}, None, 1000) is False
    assert asked == []
    monkeypatch.setattr(mode, "_estimate", lambda *args: 1e8)
    assert compiling_pays(model, x, None, 100, worth_s=1e9) is False
    assert asked == [False]


# --- in a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting, faster, wanted", [("on", False, 2), ("off", True, 0), ("auto", True, 2), ("auto", False, 0)]
)
def test_training_runs_in_the_mode_and_writes_it_down(setting, faster, wanted, recording, measured, unfitted):
    seconds, asked = measured
    seconds[True] = 0.1 if faster else 10.0
    result = train({**SMALL, "jit_compile": setting}, recording, epochs=200)
    assert unfitted == [wanted]
    assert result.model.params["jit_compile"] == ("on" if wanted else "off")
    assert result.model.params["batch_parts"] == wanted
    assert bool(asked) is (setting == "auto")


def test_steps_that_are_left_decide(recording, measured, unfitted):
    """One batch an epoch: 59 steps of a second are not worth a compilation, 61 are."""
    params = {**SMALL, "jit_compile": "auto", "batch_size": 64}
    for epochs, wanted in ((59, "off"), (61, "on")):
        assert train(params, recording, epochs=epochs).model.params["jit_compile"] == wanted
    assert unfitted == [0, 2]


class Stop(keras.callbacks.Callback):
    """Ends the run in the middle of an epoch, as Ctrl-C does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_the_choice_is_that_of_the_checkpoint(recording, measured, monkeypatch, tmp_path):
    seconds, asked = measured
    params = {**SMALL, "jit_compile": "auto"}
    seconds[True] = 10.0
    with pytest.raises(KeyboardInterrupt):
        train(params, recording, epochs=100, folder=tmp_path, callbacks=[Stop()])
    assert asked == [(False, 2), (True, 2)]
    # Measured now, it would come out the other way.
    seconds[True] = 0.01
    found = []
    monkeypatch.setattr(SequentialVAE, "fit", lambda self, *a, **k: found.append((mode_of(self), k["initial_epoch"])))
    resumed = train(params, recording, epochs=100, folder=tmp_path)
    assert found == [(0, 1)] and len(asked) == 2
    assert resumed.model.params["jit_compile"] == "off"
    # Another folder is another run.
    other = train(params, recording, epochs=100, folder=tmp_path / "new").model.params
    assert (other["jit_compile"], other["batch_parts"]) == ("on", 2) and found[1:] == [(2, 0)]
