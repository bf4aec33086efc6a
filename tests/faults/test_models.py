"""Models from elsewhere: section B1 of the list of faults, and the public payloads against Keras's safe mode."""

import io
import json
import re
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import indl
from indl.loading import ModelError
from tests.messages import faults

MODEL = Path(__file__).parents[1] / "golden" / "1" / "models" / "default.keras"


def function(module, name):
    """A function of a module, as Keras writes it into configs."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def rewritten(path, change=None, weights=None):
    with zipfile.ZipFile(MODEL) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if change is not None:
        config = json.loads(parts["config.json"])
        change(config)
        parts["config.json"] = json.dumps(config).encode()
    if weights is not None:
        file = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(file, "r+") as opened:
            weights(opened)
        parts["model.weights.h5"] = file.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def layers(config):
    return config["config"]["layers"]


def first_of(config, class_name):
    return next(layer for layer in layers(config) if layer["class_name"] == class_name)


def added(layer):
    """A change of a config that adds a layer."""
    return lambda config: layers(config).insert(1, layer)


def keras_layer(class_name, module="keras.layers", **config):
    return {"module": module, "class_name": class_name, "config": {"name": "x", **config}, "registered_name": None}


def nested(config):
    deep = {}
    for _ in range(500):
        deep = {"deeper": deep}
    layers(config)[1]["config"]["deep"] = deep


PAYLOADS = {
    # Any function of any module, called by Keras while it makes the model (CVE-2025-1550).
    "os.system": added({**function("os", "system"), "config": {"args": ["touch owned"]}}),
    "subprocess": added({**function("subprocess", "run"), "class_name": "run", "config": {"args": ["id"]}}),
    "builtins": added({"module": "builtins", "class_name": "eval", "config": "1", "registered_name": "eval"}),
    "numpy.load": added(keras_layer("load", "numpy", file="/etc/passwd", allow_pickle=True)),
    # Functions of Keras with effects on the process, or on files and the network (CVE-2025-8747, -9906).
    **{
        name: added({"module": module, "class_name": name, "config": {}, "registered_name": None})
        for module, name in [
            *(("keras.config", name) for name in ("set_floatx", "set_dtype_policy", "set_epsilon")),
            *(("keras.config", name) for name in ("set_max_steps_per_epoch", "enable_unsafe_deserialization")),
            *(("keras.utils", name) for name in ("set_random_seed", "get_file", "clear_session")),
            *(("keras.saving", name) for name in ("load_model", "load_weights")),
            ("keras.src.utils.file_utils", "extract_archive"),
        ]
    },
    "activation": lambda config: layers(config)[-1]["config"].update(x=function("keras.config", "set_floatx")),
    "Lambda": added(keras_layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE="}})),
    "__lambda__": lambda config: layers(config)[1]["config"].update(a={"class_name": "__lambda__", "config": {}}),
    "TorchModuleWrapper": added(keras_layer("TorchModuleWrapper", module="keras.layers", torch_module="x")),
    "another model": added(keras_layer("Thing", "torch.nn")),
    # What the file does not bear out.
    "1e5 units": lambda config: layers(config)[-1]["config"].update(units=100_000),
    "a list of units": lambda config: layers(config)[-1]["config"].update(units=[6, 10**9]),
    "float16": lambda config: layers(config)[-1]["config"].update(dtype="float16"),
    "a policy of float16": lambda config: layers(config)[-1]["config"]["dtype"]["config"].update(name="mixed_float16"),
    "nested": nested,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_b1_a_file_makes_nothing_but_models(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = keras.config.floatx(), keras.config.epsilon(), keras.config.dtype_policy().name
    with pytest.raises(ModelError, match="The model is not loaded: .*Given: .*m.keras") as told:
        indl.load_model(rewritten(tmp_path / "m.keras", PAYLOADS[name]))
    assert (keras.config.floatx(), keras.config.epsilon(), keras.config.dtype_policy().name) == before
    assert "Error:" not in str(told.value) and [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def complex_weight(file):
    group = file["layers"] if "layers" in file else file
    found = []
    group.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    values = group[found[0]][()].astype("complex64")
    del group[found[0]]
    group[found[0]] = values


def test_b1_weights_are_numbers(tmp_path):
    with pytest.raises(ModelError, match="its weights are of dtype complex64"):
        indl.load_model(rewritten(tmp_path / "m.keras", weights=complex_weight))


def test_b1_archives_without_their_parts(tmp_path):
    with zipfile.ZipFile(MODEL) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for left_out, words in (
        ("model.weights.h5", "its weights .* are not there"),
        ("config.json", "no archive of Keras"),
    ):
        path = tmp_path / f"without_{left_out}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            for name in parts.keys() - {left_out}:
                archive.writestr(name, parts[name])
        with pytest.raises(ModelError, match=words):
            indl.load_model(path)


def test_what_is_not_tampered_with_loads(tmp_path):
    model = indl.load_model(rewritten(tmp_path / "m.keras", lambda config: None, lambda file: None))
    np.testing.assert_array_equal(model.get_weights()[0], indl.load_model(MODEL).get_weights()[0])


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5", "m.keras"])
def test_models_in_hdf5_are_refused(name, tmp_path, monkeypatch):
    """faults.md B1: Keras loads these without its safe mode, and runs their code (CVE-2025-9905)."""
    monkeypatch.chdir(tmp_path)
    trap = keras.layers.Lambda(lambda x: Path("owned").touch() or x)
    keras.Sequential([keras.Input((2,)), trap, keras.layers.Dense(1)]).save(tmp_path / "written.h5")
    Path("owned").unlink(missing_ok=True)
    (tmp_path / "written.h5").rename(tmp_path / name)
    with pytest.raises(ModelError, match=f"it is HDF5, which .* running code. Given: .*{name}.*model.save") as told:
        indl.load_model(tmp_path / name)
    assert not faults(str(told.value), [tmp_path]) and [path.name for path in tmp_path.iterdir()] == [name]


def test_what_cannot_be_read_is_told_in_words_of_our_own(tmp_path, monkeypatch):
    """faults.md B1: 40 of 128 messages handed on a raw exception."""

    def absent(config):
        layers(config)[-1]["config"].pop("name")
        layers(config)[-1]["inbound_nodes"] = "none"

    def locked(path):
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.raises(ModelError, match="a part of it is damaged.*written by indl .* and read by") as part:
        indl.load_model(rewritten(tmp_path / "m.keras", absent))
    (tmp_path / "m.keras").write_bytes(MODEL.read_bytes()[:3000])
    with pytest.raises(ModelError, match="it is no archive of Keras, or damaged") as cut:
        indl.load_model(tmp_path / "m.keras")
    monkeypatch.setattr(zipfile, "ZipFile", locked)
    with pytest.raises(ModelError, match=r"it cannot be read \(Permission denied\)") as rights:
        indl.load_model(tmp_path / "m.keras")
    for told in (part, cut, rights):
        assert not faults(str(told.value), [tmp_path]) and not re.search(r"Error|Errno|Exception", str(told.value))
        assert told.value.__cause__ is not None
