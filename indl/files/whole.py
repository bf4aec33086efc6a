"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indl.files.marks import MARK

#: What the operating system answers where there is no room for a file.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def expanded(path: Path | str) -> Path:
    """The path, in which a leading ``~`` is somebody's home; that of nobody stays as it is."""
    return Path(os.path.expanduser(path))


@contextlib.contextmanager
def atomic(path: Path | str, last: str | None = None) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends well and vanishes when it fails.

    The files of a folder go one by one into a folder that is there, the one called `last` after all others.
    """
    path = expanded(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    # The ending stays last: writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.partial{os.getpid()}{path.suffix}")
    try:
        yield temporary
        if temporary.is_file():
            # Without this a machine that loses power may keep the name and not the content.
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        if temporary.is_dir() and path.is_dir():
            files = [file for file in temporary.rglob("*") if file.is_file()]
            for file in sorted(files, key=lambda file: file.name == last):
                place = path / file.relative_to(temporary)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Removes what killed processes have left of their attempts to write `path`."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.partial*{glob.escape(path.suffix)}"):
        owner = left.name.removeprefix(f".{path.stem}.partial").removesuffix(path.suffix)
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if os.name == "nt":
        # The signal would be an interrupt there.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_json(path: Path | str, content: Any, purpose: str | None = None) -> None:
    """Writes JSON whole or not at all; numpy scalars become numbers. A `purpose` marks it for :func:`output_file`."""
    if purpose is not None:
        content = {MARK: purpose, **content}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=float) + "\n")


def save_model(model: Any, path: Path | str) -> None:
    """Saves a Keras model as `.keras`, whole or not at all."""
    with atomic(path) as temporary:
        model.save(temporary)
