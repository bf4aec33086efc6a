"""Models read back: of every family, to train on as if nothing had happened, and what is no model."""

import zipfile

import keras
import numpy as np
import pytest

import indl
from indl.loading import ModelError
from indl.model.pi_vae import build_pi_vae
from indl.params import preset
from indl.training import make_optimizer
from tests.checks import PLAIN, QUICK, assert_same, counts, tiny_model

X = counts()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model after one epoch in its file, and the weights of the same model after two."""
    path = tmp_path_factory.mktemp("models") / "model.keras"
    model = tiny_model(**{**QUICK, "dropout_rate": 0.2}, coordinated_dropout_rate=0.3)
    model.compile(make_optimizer(model.params, len(X)))
    model.beta_z.assign(0.5)
    model.fit(X, epochs=1, batch_size=3, shuffle=False, verbose=0)
    model.save(path)
    model.fit(X, epochs=1, batch_size=3, shuffle=False, verbose=0)
    return path, model


def test_training_goes_on_exactly(trained):
    path, whole = trained
    model = indl.load_model(path)
    assert float(model.beta_z) == 0.5 and model.params == whole.params
    model.fit(X, epochs=1, batch_size=3, shuffle=False, verbose=0)
    assert_same(model.get_weights(), whole.get_weights())
    assert_same(model.optimizer.variables, whole.optimizer.variables)


@pytest.mark.parametrize("compiled, parts", [(True, 2), (False, 1)])
def test_the_mode_of_training_comes_back(compiled, parts, tmp_path):
    model = tiny_model(**PLAIN)
    model.compile(make_optimizer(model.params, len(X)))
    model.jit_compile, model.batch_parts = compiled, parts
    model.save(tmp_path / "model.keras")
    loaded = indl.load_model(tmp_path / "model.keras")
    assert (loaded.jit_compile, loaded.batch_parts) == (compiled, parts)


def test_the_folder_of_a_run_and_other_families(trained, tmp_path):
    (tmp_path / "model.keras").write_bytes(trained[0].read_bytes())
    np.testing.assert_array_equal(indl.load_model(tmp_path).rates(X), indl.load_model(trained[0]).rates(X))
    few = {f"{part}_n_hidden_layers": 0 for part in ("encoder", "decoder_affine", "decoder_nflow")}
    model = build_pi_vae(preset("pi_vae", **few, decoder_n_gin_blocks=1, jit_compile="off"), 5, 3)
    model.save(tmp_path / "rows.keras")
    np.testing.assert_array_equal(indl.load_model(tmp_path / "rows.keras").encode(X[0]), model.encode(X[0]))


def test_what_is_no_model_is_told(trained, tmp_path):
    def told(path, *words):
        with pytest.raises(ModelError) as error:
            indl.load_model(path)
        assert all(word in str(error.value) for word in ("Given: ", *words)), error.value

    told(tmp_path / "none.keras", "the path does not exist", "folder of a run")
    told(tmp_path, "the folder has no model.keras")
    (tmp_path / "state.npz").touch()
    told(tmp_path, "Its run has not ended")
    (tmp_path / "notes.txt").write_text("no model")
    told(tmp_path / "notes.txt", "does not end in .keras")
    (tmp_path / "text.keras").write_text("no model")
    told(tmp_path / "text.keras", "no archive of Keras")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w"):
        pass
    told(tmp_path / "empty.keras", "no archive of Keras")
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    plain.save(tmp_path / "plain.keras")
    told(tmp_path / "plain.keras", "does not know", "Sequential")
    whole = trained[0].read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    told(tmp_path / "cut.keras", "no archive of Keras")
