"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from indl.files.errors import OutputError, WriteError, refusal
from indl.files.marks import MARK


def expanded(path: Path | str) -> Path:
    """The path, in which a leading ``~`` is somebody's home; that of nobody stays as it is."""
    return Path(os.path.expanduser(path))


@contextlib.contextmanager
def atomic(path: Path | str, last: str | None = None, clear: Callable[[], None] | None = None) -> Iterator[Path]:
    """Gives a temporary path beside `path` that replaces it when the block ends well and vanishes when it fails.

    The files of a folder go one by one into a folder that is there.

    Args:
        path: the file or folder.
        last: name of the file of a folder that goes after all others.
        clear: called before the first file of a folder goes into one that is there.

    Raises:
        WriteError: the system refuses to write.
    """
    path = expanded(path)
    # The ending stays last: writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.partial{os.getpid()}{path.suffix}")
    kept = "what was there before is still there"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        files = [file for file in temporary.rglob("*") if file.is_file()] if temporary.is_dir() else [temporary]
        for file in files:
            _to_disk(file)
        if temporary.is_dir() and path.is_dir():
            kept = "what was there before is replaced in part, so write it again"
            if clear is not None:
                clear()
            for file in sorted(files, key=lambda file: file.name == last):
                place = path / file.relative_to(temporary)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, place)
        else:
            os.replace(temporary, path)
    except Exception as error:
        # What has been told already is told again only where it names what is to vanish.
        told = isinstance(error, WriteError) and temporary not in error.path.parents
        if isinstance(error, OutputError) or told or not (isinstance(error, OSError) or refusal(error) is not None):
            raise
        raise WriteError(path, error, kept) from error
    finally:
        # What cannot be removed is swept by who writes next.
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink(missing_ok=True)


def _to_disk(file: Path) -> None:
    """Has the content written: without this a machine that loses power may keep the name alone."""
    with file.open("rb+") as written:
        os.fsync(written.fileno())


def _sweep(path: Path) -> None:
    """Removes what killed processes have left of their attempts to write `path`."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.partial*{glob.escape(path.suffix)}"):
        owner = left.name.removeprefix(f".{path.stem}.partial").removesuffix(path.suffix)
        if owner.isdigit() and not _is_alive(int(owner)):
            # What cannot be removed is in nobody's way.
            with contextlib.suppress(OSError):
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
