"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends well and vanishes when it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last: writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.partial{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, content: Any) -> None:
    """Writes JSON whole or not at all; numpy scalars become numbers."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=float) + "\n")


def save_model(model: Any, path: Path | str) -> None:
    """Saves a Keras model as `.keras`, whole or not at all."""
    with atomic(path) as temporary:
        model.save(temporary)
