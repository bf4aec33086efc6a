"""pi-VAE as a family: rows of a recording, and the way of every other model through training, runs and the tuner."""

import json

import keras
import keras_tuner as kt
import numpy as np
import pytest
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import lorenz, save_recording
from indl.data.values.recording import Split
from indl.evaluation import evaluate
from indl.loading import load_model
from indl.model.families import family_of
from indl.model.pi_vae.model import PiVAE
from indl.model.pi_vae.of_recording import rows_of
from indl.model.sequence_model import SequentialVAE
from indl.params import preset
from indl.training.fit import params_for, train
from indl.tuning import SequentialHyperModel
from tests.checks import tiny_model
from tests.restarted import Restarted

SMALL = {
    **{f"{part}_n_hidden_layers": 0 for part in ("decoder_affine", "decoder_nflow")},
    "encoder_n_hidden_layers": 1,
    "encoder_hidden_layer_dim": 8,
    "decoder_n_gin_blocks": 1,
    "jit_compile": "off",
    "batch_size": 100,
}

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=10, n_conditions=3, n_trials=8, n_bins=12, heldout=2)


@pytest.fixture(scope="module")
def restarted(recording):
    """A model that begins every run at the same start."""
    return Restarted(preset("pi_vae", **SMALL), recording)


@pytest.fixture(scope="module")
def run(recording, tmp_path_factory):
    """The folder of a run of the command line, and its recording's file."""
    folder = tmp_path_factory.mktemp("pi_vae")
    save_recording(recording, folder / "rec.h5")
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    command = ["train", str(folder / "rec.h5"), "--out", str(folder / "run"), "--preset", "pi_vae", "--epochs", "3"]
    result = CliRunner().invoke(app, [*command, *settings])
    assert result.exit_code == 0, result.output
    return folder


def test_families_are_found_by_params_and_by_model():
    assert family_of(preset("pi_vae")).model is PiVAE and family_of(preset("lfads")).model is SequentialVAE
    assert family_of({}) is family_of(tiny_model())
    with pytest.raises(ValueError, match="of no family. Given: Sequential"):
        family_of(keras.Sequential())
    with pytest.raises(ValueError, match="must be a dict of parameter names. Given: str"):
        family_of("pi_vae")


def test_rows_are_the_bins_that_were_recorded(recording):
    x = np.array(recording.valid.encod)
    x[1, 3, 2] = np.nan
    behavior = np.random.default_rng(0).normal(size=(*x.shape[:2], 3)).astype("float32")
    behavior[0, 5, 1] = np.nan
    part = Split(x, x, label=np.array(recording.valid.label), behavior=behavior)
    recorded = np.isfinite(x).all(-1)
    rows = rows_of(part, {"discrete_labels": True, "u_dim": 3})
    np.testing.assert_array_equal(rows.x, x[recorded])
    np.testing.assert_array_equal(rows.u, [part.label[i] for i, _ in np.argwhere(recorded)])
    rows = rows_of(part, {"discrete_labels": False, "u_dim": 2})
    recorded[0, 5] = False
    np.testing.assert_array_equal(rows.kept, recorded)
    np.testing.assert_array_equal(rows.u, behavior[recorded][:, :2])
    with pytest.raises(ValueError, match="shape .*u_dim=4. Give behaviour in all bins"):
        rows_of(part, {"discrete_labels": False, "u_dim": 4})
    with pytest.raises(ValueError, match="Given: none. Give the recording label"):
        rows_of(Split(x, x), {"discrete_labels": True, "u_dim": 3})


def test_the_recording_determines_the_sizes(recording):
    p = params_for(preset("pi_vae_port"), recording)
    assert (p["x_dim"], p["u_dim"]) == (recording.n_heldin, 3)
    assert params_for(preset("pi_vae", u_dim=7), recording)["u_dim"] == 7


def test_a_run_of_the_command_line(run, recording, restarted):
    """What it leaves is the model that the library trains with the same params, and its scores."""
    history = json.loads((run / "run" / "history.json").read_text())
    result = train(preset("pi_vae", **SMALL), recording, epochs=3, model=restarted())
    assert history["val_neg_elbo"] == result.history["val_neg_elbo"]
    assert result.best_epoch == int(np.argmin(history["val_neg_elbo"]))
    loaded = load_model(run / "run")
    x = recording.valid.encod[0]
    np.testing.assert_array_equal(loaded.encode(x), result.model.encode(x))
    scores = json.loads((run / "run" / "metrics.json").read_text())["model"]
    assert scores == pytest.approx(evaluate(loaded, recording))
    figures = {path.stem for path in (run / "run" / "figures").iterdir()}
    assert figures == {"raster", "calibration", "training", "latents"}
    assert (run / "run" / "saved_model").is_dir() and not (run / "run" / "latent_use.json").exists()


def test_the_scores_by_hand(run, recording):
    model = load_model(run / "run")
    scores = evaluate(model, recording, samples=3, seed=5)
    x = recording.valid.encod.reshape(-1, recording.n_heldin)
    u = np.repeat(recording.valid.label, recording.n_times)
    assert scores["neg_elbo"] == pytest.approx(model.neg_elbo(x, u, 3, 5).mean(), rel=1e-5)
    q, p = model.posterior(x, u), model.label_statistics(u)
    assert scores["kl_z"] == pytest.approx(np.mean(q.kl_divergence(p)), rel=1e-4, abs=1e-6)
    rates, truth = model.decode(model.encode(x)), recording.valid.truth[..., : recording.n_heldin].reshape(x.shape)
    by_hand = 1 - ((rates - truth) ** 2).sum() / ((truth - truth.mean(dtype="float64")) ** 2).sum()
    assert scores["rate_r2_flat"] == pytest.approx(by_hand, rel=1e-4)
    assert 0 <= scores["label_error_rate"] <= 1


def test_an_interrupted_run_ends_at_the_same_numbers(recording, restarted, tmp_path):
    def run(**how):
        return train(preset("pi_vae", **SMALL), recording, epochs=2, model=restarted(), **how)

    whole = run()
    run(folder=tmp_path, callbacks=[_Stop()])
    # As if the process had been killed after its first epoch.
    result = run(folder=tmp_path)
    assert result.history == whole.history


class _Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_the_tuner_varies_its_parameters(recording):
    hypermodel = SequentialHyperModel(recording, "pi_vae", fixed=SMALL)
    assert hypermodel.names == ["alpha", "learning_rate"]
    hp = kt.HyperParameters()
    hp.Fixed("alpha", 0.4)
    assert hypermodel.params(hp)["alpha"] == 0.4
    metrics = hypermodel.fit(hp, hypermodel.build(hp), epochs=1)
    assert np.isfinite(metrics[hypermodel.objective.name])
