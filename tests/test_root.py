"""What stands at the root of the package."""

import importlib
import importlib.resources
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import indl

NAMES = {
    "Recording",
    "SequentialVAE",
    "Trials",
    "Window",
    "build_sequential_vae",
    "evaluate",
    "export_saved_model",
    "load_model",
    "load_recording",
    "lorenz",
    "preset",
    "read_nwb",
    "save_recording",
    "train",
}
PACKAGES = {"data", "evaluation", "export", "metrics", "params", "plots", "runs", "training", "tuning"}


def test_names_are_those_of_their_modules():
    assert set(indl.__all__) == NAMES | PACKAGES
    for name, home in indl._HOMES.items():
        assert getattr(indl, name) is getattr(importlib.import_module(home), name)
    for name in PACKAGES:
        assert getattr(indl, name) is importlib.import_module(f"indl.{name}")


def test_names_are_listed_and_unknown_ones_told():
    assert NAMES | PACKAGES <= set(dir(indl))
    with pytest.raises(AttributeError, match="Given: load_modle.*load_model"):
        _ = indl.load_modle
    assert not hasattr(indl, "__path_of_nothing__")


def test_the_stub_has_the_same_names():
    stub = importlib.resources.files("indl").joinpath("__init__.pyi").read_text()
    assert {line.split()[-1] for line in stub.splitlines() if line.startswith("from")} == NAMES | PACKAGES


@pytest.mark.slow
def test_a_new_process_loads_a_model_with_indl_alone():
    """faults.md C13: nothing else need be imported for the classes of a saved model to be known."""
    golden = Path(__file__).parent / "golden" / "1"
    with np.load(golden / "expected.npz") as found:
        expected = float(found["rates"].sum())
    code = (
        "import sys, indl, numpy as np\n"
        "x = np.load(sys.argv[2])['encod']\n"
        "print(indl.load_model(sys.argv[1]).rates(x).sum())"
    )
    command = [sys.executable, "-c", code, golden / "run", golden / "expected.npz"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(expected, rel=1e-4)
