"""Files appear whole or not at all."""

import json

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
