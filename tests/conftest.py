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
def recording_path():
    """The path of a real recording by file name; skips where the recordings are absent."""

    def find(name):
        for folder in (os.environ.get("INDL_DATA"), REPOSITORY.parent / "shared" / "data"):
            if folder and (Path(folder) / name).exists():
                return Path(folder) / name
        pytest.skip(f"the recording {name} is neither in $INDL_DATA nor in ../shared/data")

    return find
