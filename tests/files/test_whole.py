"""Files appear whole or not at all."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from indl.files import atomic, write_json


def test_failure_keeps_the_old_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_takes_numpy_scalars(tmp_path):
    write_json(tmp_path / "deep" / "b.json", {"r2": np.float32(0.5), "n": np.int64(3)})
    assert json.loads((tmp_path / "deep" / "b.json").read_text()) == {"r2": 0.5, "n": 3}


def test_a_folder_goes_into_one_that_is_there_and_what_it_is_known_by_comes_last(tmp_path):
    """A process that dies in between leaves nothing that would be taken for whole."""
    target = tmp_path / "a"
    (target / "sub").mkdir(parents=True)
    for name in ("mine", "sub/mine", "known_by", "sub/old"):
        (target / name).write_text("old")
    moved = []

    def replace(old, new, really=os.replace):
        moved.append(Path(new).relative_to(target).as_posix())
        really(old, new)

    with pytest.MonkeyPatch.context() as patch, atomic(target, last="known_by") as temporary:
        (temporary / "sub").mkdir(parents=True)
        for name in ("known_by", "sub/old", "sub/new"):
            (temporary / name).write_text("new")
        patch.setattr(os, "replace", replace)
    assert sorted(moved[:-1]) == ["sub/new", "sub/old"] and moved[-1] == "known_by"
    found = {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {"mine": "old", "sub/mine": "old", "known_by": "new", "sub/old": "new", "sub/new": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
