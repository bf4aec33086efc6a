"""Notebooks, executed from top to bottom at a few epochs."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"


def execute(name, report, folder, smaller=(), **environment):
    """What a notebook computes in two epochs: the values that `report` prints, its printed text, and itself.

    What it shows at a useful size runs here at a small one where `smaller` says so, in pairs of texts of its cells.
    """
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in notebook.cells:
        for text, instead in smaller if cell.cell_type == "code" else ():
            cell.source = cell.source.replace(text, instead)
    notebook.cells.append(nbformat.v4.new_code_cell(report))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INDL_NOTEBOOK_EPOCHS", "2")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        for key, value in environment.items():
            patch.setenv(key, value)
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    outputs = [[output["text"] for output in cell.get("outputs", []) if output.get("name") == "stdout"]
               for cell in notebook.cells]  # fmt: skip
    text = "".join("".join(printed) for printed in outputs[:-1])
    arrays = folder / "arrays.npz"
    found = {**json.loads("".join(outputs[-1])), "notebook": notebook, "printed": text}
    return {**found, "arrays": dict(np.load(arrays)) if arrays.is_file() else {}}


def assert_figures_are_drawn(notebook, least):
    """The notebook has so many figures at least, and none is empty."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    drawn = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(drawn) >= least
    assert all(len(image) > 5_000 for image in drawn)
