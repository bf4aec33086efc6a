"""The SavedModel, in this process and in one that cannot import the library."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from indl.export import export_saved_model
from indl.files import OutputError
from indl.model.assemble import build_sequential_vae
from indl.params import preset
from tests.checks import QUICK, assert_close, tiny_model
from tests.checks import counts as drawn_counts
from tests.files.test_outputs import contents

SMALL = {"f_units": 4, "z1_units": 4, "z2_units": 4, "gen_n_hidden": 6, "z_latent_size": 2}
NO_LOOP = {**SMALL, "f_rnn_type": "Dense", "f_enc_reduce": "mean"}

PRESETS = ("default", "dsae_full", "beta_vae")
ELSEWHERE = """
    import sys
    sys.modules["indl"] = None  # any import of the library fails
    import numpy as np, tensorflow as tf
    folder, *names = sys.argv[1:]
    data = np.load(folder + "/x.npz")
    for name in names:
        model = tf.saved_model.load(folder + "/" + name)
        found = {"longer": model.rates(tf.constant(data["longer"]))["rates"]}
        for endpoint in (model.rates, model.encode):
            found |= endpoint(tf.constant(data["x"]))
        np.savez(folder + "/" + name + ".npz", **found)
"""


def some_counts():
    return np.random.default_rng(0).poisson(0.5, (5, 9, 4)).astype("float32")


@pytest.fixture
def counts():
    return some_counts()


@pytest.fixture(scope="module")
def live():
    """The model of each preset by name."""
    # One recurrent encoder of f, that of dsae_full, stands for all.
    small = dict.fromkeys(PRESETS, NO_LOOP) | {"dsae_full": SMALL, "beta_vae": {**NO_LOOP, "z_latent_size": 0}}
    return {name: build_sequential_vae(preset(name, **small[name]), None, 4) for name in PRESETS}


def given_elsewhere(models, folder):
    """What every model gives in one process that cannot import the library."""
    counts = some_counts()
    for name, model in models.items():
        export_saved_model(model, folder / name)
    np.savez(folder / "x.npz", x=counts, longer=np.concatenate([counts, counts], 1))
    command = [sys.executable, "-I", "-c", textwrap.dedent(ELSEWHERE), str(folder), *models]
    subprocess.run(command, check=True, capture_output=True)
    return {name: dict(np.load(folder / f"{name}.npz")) for name in models}


@pytest.fixture(scope="module")
def elsewhere(live, tmp_path_factory):
    return given_elsewhere(live, tmp_path_factory.mktemp("exported"))


def assert_given_alike(model, found):
    counts = some_counts()
    np.testing.assert_allclose(found["rates"], model.rates(counts), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["longer"], model.rates(np.concatenate([counts, counts], 1)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["factors"], model.factors(counts), rtol=1e-6, atol=1e-6)
    for latent, q in model.encode(counts).items():
        np.testing.assert_allclose(found[f"{latent}_loc"], q.loc, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[f"{latent}_scale"], q.scale, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", PRESETS)
def test_saved_model_equals_the_live_one_where_indl_is_absent(name, live, elsewhere):
    assert_given_alike(live[name], elsewhere[name])


@pytest.mark.slow
def test_saved_model_of_a_binwise_encoder_equals_the_live_one(tmp_path):
    model = build_sequential_vae(preset("dsae_factorized", **NO_LOOP), None, 4)
    assert_given_alike(model, given_elsewhere({"dsae_factorized": model}, tmp_path)["dsae_factorized"])


def test_an_export_is_replaced_where_asked_and_nothing_else_in_its_folder(counts, live, tmp_path):
    model, folder = live["beta_vae"], tmp_path / "sm"
    folder.mkdir()
    export_saved_model(live["default"], folder)
    for name in ("mine", "variables/mine", "assets/mine"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("precious")
    before = contents(folder)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export_saved_model(model, folder)
    assert contents(folder) == before
    export_saved_model(model, folder, overwrite=True)
    after = contents(folder)
    assert after.keys() == before.keys() and {name for name in after if after[name] == before[name]} == {
        ".indl.json", "assets", "assets/mine", "mine", "variables", "variables/mine",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["sm"], "nothing temporary stays behind"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").write_text("precious")
    with pytest.raises(OutputError, match="holds other things"):
        export_saved_model(model, tmp_path / "other", overwrite=True)
    loaded = tf.saved_model.load(tmp_path / "sm")
    assert loaded.rates(tf.constant(counts))["rates"].shape == (5, 9, 4)


def test_keras_export_points_to_ours(live, tmp_path):
    with pytest.raises(TypeError, match="export_saved_model"):
        live["default"].export(tmp_path / "sm")


@pytest.mark.parametrize(
    "changes", [pytest.param({"q_f_samples": 3, "f_to_z": "z1"}, marks=pytest.mark.slow), {"sample_at_test": True}]
)
def test_export_is_on_means_without_a_samples_axis(changes, counts, tmp_path):
    model = build_sequential_vae(preset("default", **QUICK, **changes), None, 4)
    loaded = tf.saved_model.load(export_saved_model(model, tmp_path / "sm"))
    found = {**loaded.rates(tf.constant(counts)), **loaded.encode(tf.constant(counts))}
    np.testing.assert_allclose(found["rates"], model.rates(counts), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["q_z_loc"], model.encode(counts)["q_z"].loc, rtol=1e-6, atol=1e-6)


def test_several_arrays_in_order_or_by_name(tmp_path):
    more = {"u_dim": 3, "u_type": "discrete", "z_prior_process": "cond", "q_cond": "concat", "ext_input_dim": 2}
    model = tiny_model(**{**QUICK, "z_latent_size": 2, **more})
    x = drawn_counts(4)
    given = {"x": x, "ext_input": np.ones((4, 8, 2), "float32"), "u": np.array([0, 1, 2, 0], "int32")}
    exported = tf.saved_model.load(export_saved_model(model, tmp_path / "export"))
    arrays = {name: tf.constant(given[name]) for name in model.input_names}
    for found in (exported.rates(*arrays.values()), exported.rates(**arrays)):
        assert_close(found["rates"], model.rates(given))


def test_a_path_that_the_reader_takes_for_a_pattern(tmp_path):
    with pytest.raises(OutputError, match=r"Leave out the letters"):
        export_saved_model(tiny_model(), tmp_path / "export[1]")
    assert not list(tmp_path.iterdir())
