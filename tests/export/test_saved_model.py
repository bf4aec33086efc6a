"""The SavedModel, in this process and in one that cannot import the library."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from indl.export import export_saved_model
from indl.model.assemble import build_sequential_vae
from indl.params import preset

SMALL = {"f_units": 4, "z1_units": 4, "z2_units": 4, "gen_n_hidden": 6, "z_latent_size": 2}


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.5, (5, 9, 4)).astype("float32")


@pytest.mark.parametrize(
    "name", ["default", pytest.param("dsae_full", marks=pytest.mark.slow), "dsae_factorized", "beta_vae"]
)
def test_saved_model_equals_the_live_one_where_indl_is_absent(name, counts, tmp_path):
    small = {**SMALL, "z_latent_size": 0} if name == "beta_vae" else SMALL
    model = build_sequential_vae(preset(name, **small), None, 4)
    export_saved_model(model, tmp_path / "sm")
    np.savez(tmp_path / "x.npz", x=counts, longer=np.concatenate([counts, counts], 1))
    script = """
        import sys
        sys.modules["indl"] = None  # any import of the library fails
        import numpy as np, tensorflow as tf
        data = np.load(sys.argv[1] + "/x.npz")
        model = tf.saved_model.load(sys.argv[1] + "/sm")
        found = {"longer": model.rates(tf.constant(data["longer"]))["rates"]}
        for endpoint in (model.rates, model.encode):
            found |= endpoint(tf.constant(data["x"]))
        np.savez(sys.argv[1] + "/found.npz", **found)
    """
    command = [sys.executable, "-I", "-c", textwrap.dedent(script), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_allclose(found["rates"], model.rates(counts), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["longer"], model.rates(np.concatenate([counts, counts], 1)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["factors"], model.factors(counts), rtol=1e-6, atol=1e-6)
    for latent, q in model.encode(counts).items():
        np.testing.assert_allclose(found[f"{latent}_loc"], q.loc, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[f"{latent}_scale"], q.scale, rtol=1e-6, atol=1e-6)


def test_existing_folder_is_kept_unless_asked(counts, tmp_path):
    model = build_sequential_vae(preset("default", **SMALL), None, 4)
    (tmp_path / "sm").mkdir()
    (tmp_path / "sm" / "mine").write_text("precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_saved_model(model, tmp_path / "sm")
    assert (tmp_path / "sm" / "mine").read_text() == "precious"
    export_saved_model(model, tmp_path / "sm", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sm"], "nothing temporary stays behind"
    loaded = tf.saved_model.load(tmp_path / "sm")
    assert loaded.rates(tf.constant(counts))["rates"].shape == (5, 9, 4)


def test_keras_export_points_to_ours(tmp_path):
    with pytest.raises(TypeError, match="export_saved_model"):
        build_sequential_vae(preset("default", **SMALL), None, 4).export(tmp_path / "sm")


@pytest.mark.parametrize("changes", [{"q_f_samples": 3, "f_to_z": "z1"}, {"sample_at_test": True}])
def test_export_is_on_means_without_a_samples_axis(changes, counts, tmp_path):
    model = build_sequential_vae(preset("default", **SMALL, **changes), None, 4)
    loaded = tf.saved_model.load(export_saved_model(model, tmp_path / "sm"))
    found = {**loaded.rates(tf.constant(counts)), **loaded.encode(tf.constant(counts))}
    np.testing.assert_allclose(found["rates"], model.rates(counts), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["q_z_loc"], model.encode(counts)["q_z"].loc, rtol=1e-6, atol=1e-6)
