"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What the operating system answers where there is no room for a file.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends well and vanishes when it fails."""
    path = Path(path)
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
            # A folder that holds something cannot be replaced in one go: it steps aside first.
            aside = path.with_name(f".{path.stem}.partial{os.getpid()}.aside{path.suffix}")
            os.replace(path, aside)
            os.replace(temporary, path)
            shutil.rmtree(aside)
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
        owner = left.name.removeprefix(f".{path.stem}.partial").partition(".")[0]
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Holds a folder against other processes; the system lets go of it when this one ends, however it ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    with (Path(folder) / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"Another process is working in this folder. Given: {folder}. Wait for it, or choose another folder."
            ) from error
        yield


def write_json(path: Path | str, content: Any) -> None:
    """Writes JSON whole or not at all; numpy scalars become numbers."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=float) + "\n")


def save_model(model: Any, path: Path | str) -> None:
    """Saves a Keras model as `.keras`, whole or not at all."""
    with atomic(path) as temporary:
        model.save(temporary)
