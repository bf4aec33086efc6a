"""Where tests find recordings and the outputs of reference implementations."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def parity_files(stem):
    """Every file ``stem*.npz`` in ``$INDL_FIXTURES`` (default: tests/fixtures)."""
    folder = Path(os.environ.get("INDL_FIXTURES", REPOSITORY / "tests" / "fixtures"))
    return sorted(folder.glob(f"{stem}*.npz"))


@pytest.fixture
def recordings():
    """The paths of the real recordings by file name, as far as they are there."""
    folders = (REPOSITORY.parent / "shared" / "data", Path(os.environ.get("INDL_DATA") or REPOSITORY / "none"))
    return {path.name: path for folder in folders if folder.is_dir() for path in folder.iterdir()}


@pytest.fixture
def recording_path(recordings):
    """The path of a real recording by file name; skips where the recordings are absent."""

    def find(name):
        if name not in recordings:
            pytest.skip(f"the recording {name} is neither in $INDL_DATA nor in ../shared/data")
        return recordings[name]

    return find
