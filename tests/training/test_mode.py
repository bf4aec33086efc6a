"""Compiled or plain: what is asked for is done, what is measured decides else, and a run keeps to it."""

import json

import keras
import numpy as np
import pytest

from indl.data.synthetic import lorenz
from indl.layers import draws, masks
from indl.model.sequential_vae import SequentialVAE
from indl.params import preset
from indl.training import mode
from indl.training.fit import make_model, train
from indl.training.mode import Mode, fastest
from tests.checks import assert_same

# The plainest network with a sampled latent and dropout traces fastest.
SMALL = preset(
    "default", f_rnn_type="Dense", f_enc_reduce="mean", f_units=4, f_latent_size=2, z_latent_size=0,
    gen_cell_type="Dense", f_to_gen="tile", gen_n_hidden=4, n_factors=0, batch_size=16, dropout_rate=0.2,
    coordinated_dropout_rate=0.2,
)  # fmt: skip


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=6, n_conditions=4, n_trials=5, n_bins=6, seed=1)


@pytest.fixture
def measured(monkeypatch):
    """Seconds a step that the measurement pretends to find, by parts compiled; and which it was asked for."""
    seconds, asked = {0: 1.0, 1: 0.1, 2: 0.2}, []

    def pretend(model, x, y, parts):
        asked.append(parts)
        return seconds[parts]

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
    seconds[wanted] = 100.0
    chosen = Mode(setting, parts)
    chosen.choose(model, X[:batch], None, 10**9)
    assert mode_of(model) == wanted and not asked
    assert (chosen.compiled, chosen.parts) == (wanted > 0, max(1, wanted))


@pytest.mark.parametrize(
    "plain, whole, halves, steps, wanted",
    [
        (1.0, 0.5, 0.6, 100, 1),
        (1.0, 0.6, 0.5, 100, 2),
        (1.0, 0.89, 0.95, 100, 1),
        (1.0, 0.91, 0.92, 100, 0),
        (1.0, 1.5, 0.8, 100, 2),
        (0.1, 1e-6, 1e-6, 599, 0),
        (0.1, 1e-6, 1e-5, 601, 1),
    ],
    ids=["whole", "halves", "just by a tenth", "by less", "only in parts", "too short a run", "long enough"],
)
def test_the_fastest_mode_is_taken_where_it_pays(plain, whole, halves, steps, wanted, measured, model):
    seconds, asked = measured
    seconds.update({0: plain, 1: whole, 2: halves})
    chosen = Mode("auto")
    assert chosen.compiled is None
    chosen.choose(model, X, None, steps)
    assert mode_of(model) == wanted
    # The compilation itself is spared where the run is over before it would be paid back.
    assert asked == ([0, 1, 2] if plain * steps > mode.WORTH_S else [0])
    seconds.update({0: 0.1, 1: 10.0, 2: 10.0})
    chosen.choose(model, X, None, 10**9)
    assert mode_of(model) == wanted and len(asked) <= 3


def test_parts_that_were_asked_for_are_not_weighed_against_the_whole(measured, model):
    seconds, asked = measured
    Mode("auto", 2).choose(model, X, None, 10**9)
    assert asked == [0, 2] and mode_of(model) == 2
    Mode("auto", 1).choose(model, X, None, 10**9)
    assert asked == [0, 2, 0, 1] and mode_of(model) == 1


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


def test_measuring_leaves_the_model_as_it_was(recording, monkeypatch):
    model, scopes = make_model(SMALL, recording), []
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
    assert fastest(model, x, x, 10**9, [0, 1, 2], worth_s=0.0) in (0, 1, 2)
    assert_same(state(), before)
    # Dropout draws with the generator of the mode that is measured.
    assert set(scopes) == {False, True} and scopes == sorted(scopes)
    assert mode._seconds(model, x, x, 0) > 0
    # And the draws go on as if nothing had been measured.
    twin = make_model(SMALL, recording)
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
    assert fastest(model, {"x": x}, None, 1000, [0, 1, 2]) == 0
    assert asked == []
    monkeypatch.setattr(mode, "_estimate", lambda *args: 1e8)
    assert fastest(model, x, None, 100, [0, 1, 2], worth_s=1e9) == 0
    assert asked == [0]


# --- in a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("setting, wanted", [("on", 2), ("off", 0), ("auto", 1)])
def test_training_runs_in_the_mode_and_writes_it_down(setting, wanted, recording, measured, unfitted):
    _, asked = measured
    result = train({**SMALL, "jit_compile": setting}, recording, epochs=200)
    assert unfitted == [wanted]
    assert result.model.params["jit_compile"] == ("on" if wanted else "off")
    assert result.model.params["batch_parts"] == max(1, wanted)
    assert bool(asked) is (setting == "auto")


def test_steps_that_are_left_decide(recording, measured, unfitted):
    """One batch an epoch: 59 steps of a second are not worth a compilation, 61 are."""
    params = {**SMALL, "jit_compile": "auto", "batch_size": 64}
    for epochs in (59, 61):
        train(params, recording, epochs=epochs)
    assert unfitted == [0, 1]


class Stop(keras.callbacks.Callback):
    """Ends the run in the middle of an epoch, as Ctrl-C does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_the_choice_is_that_of_the_checkpoint(recording, measured, monkeypatch, tmp_path):
    seconds, asked = measured
    params = {**SMALL, "jit_compile": "auto"}
    seconds[1] = seconds[2] = 10.0
    with pytest.raises(KeyboardInterrupt):
        train(params, recording, epochs=100, folder=tmp_path, callbacks=[Stop()])
    assert asked == [0, 1, 2]
    # Measured now, it would come out the other way.
    seconds[2] = 0.01
    found = []
    monkeypatch.setattr(SequentialVAE, "fit", lambda self, *a, **k: found.append((mode_of(self), k["initial_epoch"])))
    resumed = train(params, recording, epochs=100, folder=tmp_path)
    assert found == [(0, 1)] and len(asked) == 3
    assert resumed.model.params["jit_compile"] == "off"
    # Another folder is another run.
    other = train(params, recording, epochs=100, folder=tmp_path / "new").model.params
    assert (other["jit_compile"], other["batch_parts"]) == ("on", 2) and found[1:] == [(2, 0)]
