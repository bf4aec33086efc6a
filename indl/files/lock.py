"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from indl.files.errors import WriteError


@contextlib.contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Holds a folder against other processes; the system lets go of it when this one ends, however it ends.

    Raises:
        BlockingIOError: another process holds it.
        WriteError: the system refuses to write there.
    """
    try:
        held = FileLock(Path(folder) / ".lock", blocking=False).acquire()
    except Timeout as error:
        raise BlockingIOError(
            f"Another process is working in this folder. Given: {folder}. Wait for it, or choose another folder."
        ) from error
    except OSError as error:
        raise WriteError(Path(folder) / ".lock", error) from error
    with held:
        yield
