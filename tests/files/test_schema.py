"""JSON of files as given types: what is not of them is told in a sentence (faults.md B2)."""

import json
import os
from typing import NotRequired

import pytest
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from indl.files.schema import Count, Finite, Score, Sha256, conforming, parsed, read_json


class Inner(TypedDict):
    sha256: Sha256
    n: NotRequired[Count]
    score: NotRequired[Score]
    width: NotRequired[Finite | None]


class Outer(TypedDict):
    data: Inner
    names: list[str]


KIND = TypeAdapter(Outer)
GOOD = {"data": {"sha256": "a" * 64}, "names": ["x"], "younger": 3}


def told(changes, **others):
    content = {**GOOD, "data": {**GOOD["data"], **changes}, **others}
    with pytest.raises(ValueError) as error:
        parsed(json.dumps(content), KIND)
    return str(error.value)


def test_what_is_of_the_type_comes_back_without_what_is_not_known():
    assert parsed(json.dumps(GOOD), KIND) == {"data": GOOD["data"], "names": ["x"]}
    found = parsed('{"data": {"sha256": "%s", "score": Infinity, "width": 2}, "names": []}' % ("0" * 64), KIND)
    assert found["data"]["score"] == float("inf") and found["data"]["width"] == 2


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"sha256": "A" * 64}, f"where data.sha256 is '{'A' * 64}' and must be 64 hexadecimal digits"),
        ({"sha256": None}, "where data.sha256 is None and must be a text"),
        ({"n": -1}, "where data.n is -1 and must be 0 or more"),
        ({"n": 2.0}, "where data.n is 2.0 and must be a whole number"),
        ({"n": True}, "where data.n is True and must be a whole number"),
        ({"n": 10**400}, f"where data.n is 1{'0' * 75} ... and must be 1000000000 or less"),
        ({"score": float("nan")}, "where data.score is nan and must be a number"),
        ({"width": float("inf")}, "where data.width is inf and must be a finite number"),
    ],
)
def test_the_place_is_named(changes, words):
    assert told(changes) == words


def test_what_is_no_json_is_told():
    assert told({}, names=[1]) == "where names.0 is 1 and must be a text"
    assert told({}, names=None) == "where names is None and must be a list"
    for text, words in {
        "": "which is no JSON: it is empty, cut off or damaged",
        "[": "which is no JSON: it is empty, cut off or damaged",
        "[" * 100_000: "which is nested too deep",
        "[]": "which is [] and must be an object",
        '{"names": []}': "where data is missing",
    }.items():
        with pytest.raises(ValueError) as error:
            parsed(text, KIND)
        assert str(error.value) == words
    with pytest.raises(ValueError, match="^where parts.guard.0 is 'x' and must be a whole number$"):
        conforming(["x"], TypeAdapter(list[Count]), "parts.guard")


def test_the_error_is_that_of_the_caller_and_names_the_file(tmp_path):
    class Told(RuntimeError):
        pass

    def read(path):
        with pytest.raises(Told) as error:
            read_json(path, KIND, Told, "It is none", "Name another")
        return str(error.value)

    path = tmp_path / "a.json"
    assert read(path) == f"It is none. Given: {path} (No such file or directory). Name another."
    assert read(tmp_path) == f"It is none. Given: {tmp_path} (it is no plain file). Name another."
    os.mkfifo(path)
    assert read(path) == f"It is none. Given: {path} (it is no plain file). Name another."
    assert "no file can have that name" in read(tmp_path / "a\0b")
    (tmp_path / "b.json").write_text("{}")
    assert read(tmp_path / "b.json").endswith("b.json, where data is missing. Name another.")
