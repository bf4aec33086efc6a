"""What users give to models and to Keras's own functions: section D of the list of faults."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import indl
from indl import plots
from indl.data import Trials, lorenz
from indl.evaluation import evaluate
from indl.export import export_saved_model
from indl.model.pi_vae import build_pi_vae
from indl.model.pi_vae.classes import classes_in
from indl.model.pi_vae.of_recording import rows_of
from indl.model.pi_vae.rows import RowInputs
from indl.model.steps.callbacks import direct, listed
from indl.params import preset
from indl.runs.run import RunError, read
from indl.training.fit import params_for, train
from indl.tuning import IsolatedRandomSearch, SequentialHyperModel
from tests.checks import PLAIN, tiny_model
from tests.messages import faults

COUNTS = np.random.default_rng(0).poisson(1.0, (6, 8, 3)).astype("float32")
SMALL = {
    **{f"{part}_n_hidden_layers": 0 for part in ("decoder_affine", "decoder_nflow")},
    "encoder_n_hidden_layers": 1,
    "encoder_hidden_layer_dim": 8,
    "decoder_n_gin_blocks": 1,
    "jit_compile": "off",
    "batch_size": 40,
}


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=6, n_conditions=4, n_trials=8, n_bins=8, heldout=1)


@pytest.fixture(scope="module")
def model():
    return tiny_model(8, 5, **PLAIN, out_dim=6)


# --- recordings, trials and labels as they come ----------------------------------------------------------------------


def test_methods_take_recordings_and_their_parts(model, recording):
    """faults.md D: model.rates(recording) and model.rates(recording.valid)."""
    x, target = recording.valid.encod, recording.valid.recon
    for given in (recording, recording.valid):
        np.testing.assert_array_equal(model.rates(given), model.rates(x))
        np.testing.assert_array_equal(model.factors(given, 2, seed=3), model.factors(x, 2, seed=3))
        np.testing.assert_array_equal(model.encode(given)["q_f"].loc, model.encode(x)["q_f"].loc)
        np.testing.assert_array_equal(model.reconstruct(given, "f"), model.reconstruct(x, "f"))
        np.testing.assert_array_equal(model.log_prob(given), model.log_prob(x, target))
    np.testing.assert_array_equal(model.rates(recording.train), model.rates(recording.train.encod))
    with pytest.raises(ValueError, match="takes parts of a recording. Given: Trials.*Split them"):
        model.rates(Trials(COUNTS, 0.02))


def test_methods_read_all_that_a_recording_holds():
    """faults.md D: external input and labels go in with the recording."""
    rng = np.random.default_rng(0)
    trials = Trials(COUNTS, 0.02, ext_input=rng.normal(size=(6, 8, 2)), label=np.arange(6) % 2)
    recording = trials.split(valid=[4, 5])
    changes = {"ext_input_dim": 2, "u_dim": 2, "u_type": "discrete", "q_cond": "concat", "f_prior_type": "cond"}
    model = tiny_model(8, 3, **{**PLAIN, **changes})
    valid = recording.valid
    x = {"x": valid.encod, "ext_input": valid.ext_input, "u": valid.label}
    np.testing.assert_array_equal(model.rates(recording), model.rates(x))
    assert not np.array_equal(model.rates(recording), model.rates({**x, "u": 1 - valid.label}))
    model.compile("adam")
    scores = [model.evaluate(given, y, verbose=0) for given, y in ((recording, None), (x, valid.recon))]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_one_trial_says_how_to_add_the_axis(model):
    """faults.md D: one trial (time, channels)."""
    with pytest.raises(
        ValueError, match=r"x is one trial and lacks.*Given: shape \(8, 5\) for.* Pass x\[None\]"
    ) as told:
        model.rates(np.ones((8, 5)))
    assert not faults(str(told.value))
    with pytest.raises(ValueError, match=r"must be \(trials, time, 5\)"):
        model.rates(np.ones((8, 4)))


def test_labels_and_objects_of_trials_in_other_forms(model):
    """faults.md D: labels (trials, 1), one-hot, and object arrays of ints, in fit, evaluate and inference."""
    x = COUNTS[..., [0, 1, 2, 0, 1]]
    np.testing.assert_array_equal(model.rates(x.astype(int).astype(object)), model.rates(x))
    labelled = tiny_model(8, 3, **{**PLAIN, "u_dim": 3, "u_type": "discrete", "f_prior_type": "cond"})
    labelled.compile(keras.optimizers.SGD(0.0))
    label = np.array([0, 2, 1, 1, 0, 2])
    forms = (label, label[:, None], np.eye(3)[label], label.astype(object))
    found = [labelled.evaluate({"x": COUNTS, "u": u}, verbose=0) for u in forms]
    np.testing.assert_allclose(found, found[:1] * 4, rtol=1e-6)
    given = {"x": COUNTS.astype(int).astype(object), "u": label[:, None]}
    history = labelled.fit(given, COUNTS, epochs=1, verbose=0, validation_data=(given, COUNTS)).history
    assert history["val_loss"] == pytest.approx([found[0][0]], rel=1e-6)


# --- Keras -----------------------------------------------------------------------------------------------------------


def test_a_copy_of_a_model(model, recording):
    """faults.md D: keras.models.clone_model(model)."""
    pi_vae = build_pi_vae(preset("pi_vae", **SMALL), 5, 4)
    for given in (model, pi_vae):
        name = type(given).__name__
        with pytest.raises(ValueError, match=rf"Given: 2 positional.*{name}.from_config\(model.get_config\(\)\)"):
            keras.models.clone_model(given)
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.rates(recording), model.rates(recording))
    copy.set_weights([value + 0.1 for value in copy.get_weights()])
    assert not np.array_equal(copy.rates(recording), model.rates(recording))


class Noted(keras.callbacks.Callback):
    """Counts the epochs that it has seen."""

    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def test_one_callback_and_a_list_of_keras():
    """faults.md D: one callback not in a list."""
    one = Noted()
    for given in (one, [one], (one,), keras.callbacks.CallbackList([one])):
        assert listed(given) == [one]
    for wrong in (Noted, "EarlyStopping", [3]):
        with pytest.raises(TypeError, match="must be Keras callbacks. Given: (type|str|int).*Pass one") as told:
            listed(wrong)
        assert not faults(str(told.value))


@pytest.mark.slow
def test_callbacks_of_keras_know_the_direction_of_val_hidden_nll(recording, tmp_path):
    """faults.md D: EarlyStopping, ModelCheckpoint and ReduceLROnPlateau on val_hidden_nll with mode "auto"."""
    params = preset("default", **PLAIN, coordinated_dropout_rate=0.3)
    stop = keras.callbacks.EarlyStopping("val_hidden_nll", patience=9)
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_hidden_nll", save_best_only=True)
    rate = keras.callbacks.ReduceLROnPlateau("val_hidden_nll", factor=0.5, patience=1)
    result = train(params, recording, epochs=3, hidden_every=1, callbacks=[stop, kept, rate])
    assert kept.best == rate.best == stop.best == min(result.history["val_hidden_nll"])
    assert indl.load_model(tmp_path / "best.keras").params


def at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))


def test_models_are_written_where_a_path_from_home_leads(model, recording, tmp_path, monkeypatch):
    """faults.md D: a path that begins with ~, in what writes and reads models."""
    at_home(tmp_path, monkeypatch)
    model.save("~/m.keras")
    np.testing.assert_array_equal(indl.load_model("~/m.keras").rates(recording), model.rates(recording))
    plots.calibration(np.ones((2, 3, 4)), np.ones((2, 3, 4)), path="~/c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.png", "m.keras"]
    with pytest.raises(RunError, match="does not hold a run. Given: .*absent"):
        read("~/absent")


@pytest.mark.slow
def test_folders_are_written_where_a_path_from_home_leads(model, recording, tmp_path, monkeypatch):
    """faults.md D: a path that begins with ~."""
    at_home(tmp_path, monkeypatch)
    search = IsolatedRandomSearch(SequentialHyperModel(recording, "default", fixed=PLAIN), directory="~/searches")
    assert Path(search.project_dir) == tmp_path.resolve() / "searches" / "untitled_project"
    train(preset("default", **PLAIN), recording, epochs=1, folder="~/run")
    assert (tmp_path / "run" / "state.npz").exists()
    loaded = tf.saved_model.load(str(export_saved_model(model, "~/exported")))
    np.testing.assert_allclose(loaded.rates(recording.valid.encod)["rates"], model.rates(recording), rtol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exported", "run", "searches"]


# --- labels of pi-VAE ------------------------------------------------------------------------------------------------

NUMBER = np.arange(12) % 3
FORMS = {
    "from 0": (NUMBER, [0, 1, 2]),
    "from 1": (NUMBER + 1, [1, 2, 3]),
    "reals": (NUMBER + 1.0, [1, 2, 3]),
    "texts": (np.array(["left", "right", "up"])[NUMBER], ["left", "right", "up"]),
    "objects": (np.array(["left", "right", "up"])[NUMBER].astype(object), ["left", "right", "up"]),
    "degrees": (NUMBER * 45, [0, 45, 90]),
    "one-hot": (np.eye(3)[NUMBER], [0, 1, 2]),
    "column": (NUMBER[:, None] + 1, [1, 2, 3]),
    "-1 and 1": (NUMBER % 2 * 2 - 1, [-1, 1]),
    "truth": (NUMBER % 2 == 1, [0, 1]),
}
VALID = [0, 4, 8, 11]


def labelled(label):
    """Twelve trials of three rates, with labels."""
    rates = np.random.default_rng(1).gamma(1.0, 2.0, (3, 1, 5))[NUMBER]
    counts = np.random.default_rng(0).poisson(np.broadcast_to(rates, (12, 6, 5))).astype("float32")
    return Trials(counts, 0.02, label=label).split(valid=VALID)


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_every_form_are_classes(form):
    """faults.md D: labels of pi-VAE that are strings, count from 1, are -1 and 1, or one-hot."""
    label, classes = FORMS[form]
    recording = labelled(label)
    p = params_for(preset("pi_vae", **SMALL), recording)
    assert (p["u_dim"], p["classes"]) == (len(classes), None if classes == list(range(len(classes))) else classes)
    # What the graph is given are the numbers of the classes.
    number = np.delete(NUMBER % len(classes), VALID)
    found = RowInputs(5, p["u_dim"], True, True, p["classes"]).for_keras(recording.train)
    np.testing.assert_array_equal(found["u"], np.repeat(number, 6))
    np.testing.assert_array_equal(found["x"], recording.train.encod.reshape(-1, 5))


#: Terms of the loss that callbacks of Keras are to find the direction of.
MONITORED = ("val_nll", "kl_z", "val_neg_elbo", "loss", "val_loss")


@pytest.fixture(scope="module")
def trained():
    """Models of the same counts, with labels from 0 on, and with names in their place; their callbacks; a history."""
    stopping = [keras.callbacks.EarlyStopping(name, patience=9) for name in MONITORED]
    upwards = keras.callbacks.EarlyStopping("val_nll", mode="max")
    given = Noted(), keras.callbacks.CallbackList([*stopping, upwards])
    params = preset("pi_vae", **SMALL, learning_rate=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            train(params, labelled(FORMS[form][0]), epochs=2, callbacks=callbacks)
            for form, callbacks in zip(("from 0", "texts"), given, strict=True)
        ]
    return [result.model for result in found], given, found[1].history


def test_callbacks_of_keras_know_the_direction_of_terms(trained):
    """faults.md D: callbacks of Keras with mode "auto", one by itself, and in a list of Keras."""
    _, (noted, given), history = trained
    assert noted.epochs == 2
    *stopping, upwards = given.callbacks
    assert [callback.best for callback in stopping] == [min(history[name]) for name in MONITORED]
    assert upwards.best == max(history["val_nll"])
    others = keras.callbacks.EarlyStopping("val_hidden_nll"), keras.callbacks.EarlyStopping("accuracy"), noted
    direct(others, {"hidden_nll"})
    assert [callback.mode for callback in others[:2]] == ["min", "auto"]


def test_names_of_classes_are_kept_with_the_model(trained, tmp_path):
    """faults.md D: the mapping kept with the model, which is otherwise that of numbers."""
    numbers, names = trained[0]
    recording = labelled(FORMS["texts"][0])
    names.save(tmp_path / "m.keras")
    loaded = indl.load_model(tmp_path / "m.keras")
    assert loaded.classes.tolist() == loaded.params["classes"] == ["left", "right", "up"]
    x = recording.valid.encod.reshape(-1, 5)
    prior = numbers.label_statistics([2, 0]).loc
    for model in (names, loaded):
        np.testing.assert_allclose(model.label_posterior(x, seed=3), numbers.label_posterior(x, seed=3), rtol=1e-4)
        np.testing.assert_allclose(model.encode(x, ["up"] * 24), numbers.encode(x, [2] * 24), rtol=1e-4)
        np.testing.assert_allclose(model.sample("right", 3, seed=1)["z"], numbers.sample(1, 3, seed=1)["z"], rtol=1e-4)
        for label in (["up", "left"], [["up"], ["left"]], np.eye(3)[[2, 0]]):
            np.testing.assert_allclose(model.label_statistics(label).loc, prior, rtol=1e-4)
    with pytest.raises(ValueError, match=r"not classes.*Given: .*'down'.*some of \['left', 'right', 'up'\]") as told:
        names.sample("down")
    assert not faults(str(told.value))
    with pytest.raises(ValueError, match="not classes of the model"):
        names.sample(1)
    scores = [evaluate(m, r) for m, r in ((names, recording), (numbers, labelled(NUMBER)))]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_rows_of_a_recording(trained):
    """faults.md D: methods of PiVAE take recordings, meaning the bins of their validation trials."""
    model, recording = trained[0][1], labelled(FORMS["texts"][0])
    for given, part in ((recording, recording.valid), (recording.train, recording.train)):
        x, u, _ = rows_of(part, model.params)
        np.testing.assert_array_equal(model.encode(given), model.encode(x))
        np.testing.assert_array_equal(model.label_posterior(given), model.label_posterior(x))
        np.testing.assert_array_equal(model.neg_elbo(given), model.neg_elbo(x, u))
        np.testing.assert_array_equal(model.infer(given, u)["firing_rate"], model.infer(x, u)["firing_rate"])
    with pytest.raises(ValueError, match="Every row needs a label. Given: u=None"):
        model.neg_elbo(x)
    with pytest.raises(ValueError, match=r"one row and lacks the axis of rows. Given: shape \(5,\). Pass x\[None\]"):
        model.encode(x[0])
    with pytest.raises(ValueError, match="Pass recording.train, with validation_data=recording.valid"):
        model.fit(recording)


@pytest.mark.filterwarnings("ignore:.*identif", "ignore:.*latents")
def test_a_model_of_ones_own_learns_the_names_from_its_labels():
    """faults.md D: the model's own fit, on labels that are -1 and 1."""
    recording = labelled(FORMS["-1 and 1"][0])
    model = build_pi_vae(SMALL, 5, 2)
    assert model.classes.tolist() == [0, 1]
    model.fit(recording.train, epochs=1, verbose=0, validation_data=recording.valid)
    assert model.classes.tolist() == [-1, 1] == model.params["classes"]
    prior = model.get_layer("label_prior").mean_embedding.numpy()
    np.testing.assert_allclose(model.label_statistics([1, -1]).loc, prior[[1, 0]], rtol=1e-6)
    with pytest.raises(ValueError, match=r"Given: .*\[0\]"):
        model.sample(0)


def test_labels_that_are_no_classes():
    """faults.md D: what cannot be a class is told."""
    assert classes_in([0, 2], 3) is None and classes_in([0, 2]) == [0, 2] and classes_in([]) is None
    assert classes_in(np.array([b"b", b"a"])) == ["a", "b"]
    for wrong, words in ((([0.5, 1.5],), "texts or whole numbers"), ((["a", "b"], 3), "Given: 2 for u_dim=3")):
        with pytest.raises(ValueError, match=words) as told:
            classes_in(*wrong)
        assert not faults(str(told.value))
    given = preset("pi_vae", classes=["up", "right", "left"])
    assert params_for(given, labelled(FORMS["texts"][0]))["classes"] == ["up", "right", "left"]
    for wrong in ([], ["a", "a"], [1, "a"], [1.5], "ab", [True, False]):
        with pytest.raises(ValueError, match="a list of different texts or integers"):
            preset("pi_vae", classes=wrong)
    with pytest.raises(ValueError, match="Classes need discrete labels, and one name each"):
        preset("pi_vae", classes=["a", "b"], u_dim=3)
