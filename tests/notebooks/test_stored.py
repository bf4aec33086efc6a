"""The notebooks as they are stored."""

import pytest

from tests.notebooks.running import NOTEBOOKS


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_stored_notebook_is_small_and_names_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not any(word in text for word in ("/home/", "/work/", "/tmp/", "Traceback"))
