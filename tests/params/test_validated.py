"""Params that have been validated."""

import copy
import json
import pickle

import keras
import pytest

from indl.params import Validated, preset, validate_params
from indl.params.presets import SEQUENCE

GIVEN = {"f_latent_size": 7, "f_units": [4, 5]}


@pytest.fixture(scope="module")
def params():
    return validate_params(GIVEN)


def test_validated_once(params, monkeypatch):
    assert type(params) is Validated and params.items() > GIVEN.items()
    monkeypatch.setattr("indl.params.table.checked", lambda *args: pytest.fail("checked again"))
    assert validate_params(params) is params and SEQUENCE.validate(params) is params


@pytest.mark.parametrize(
    "change, given",
    [
        (lambda p: p.__setitem__("seed", 3), "'seed', 3"),
        (lambda p: p.__delitem__("seed"), "'seed'"),
        (lambda p: p.__ior__({"seed": 3}), "{'seed': 3}"),
        (lambda p: p.update(seed=3), "seed=3"),
        (lambda p: p.setdefault("seed", 3), "'seed', 3"),
        (lambda p: p.pop("seed"), "'seed'"),
        (lambda p: p.popitem(), "all of them"),
        (lambda p: p.clear(), "all of them"),
    ],
)
def test_entries_cannot_be_changed(params, change, given):
    before = dict(params)
    with pytest.raises(TypeError) as error:
        change(params)
    assert f"Given: {given}. Make others with {{**params, '" in str(error.value)
    assert params == before


def test_changed_params_are_plain(params):
    for changed in ({**params, "seed": 3}, params | {"seed": 3}, params.copy(), preset("default")):
        assert type(changed) is dict
        changed["seed"] = 4
    assert params["seed"] == 0


def test_it_is_a_dict_to_all_others(params):
    plain = dict(params)
    assert params == plain and plain == params and isinstance(params, dict)
    assert json.loads(json.dumps(params)) == plain
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(params)) == plain
    for copied in (copy.copy(params), copy.deepcopy(params), pickle.loads(pickle.dumps(params))):
        assert type(copied) is Validated and copied == plain
    assert copy.deepcopy(params)["f_units"] is not params["f_units"]
