"""Plain files of a sane size; what is none is never opened: a pipe would be waited for, a device has no end."""

from __future__ import annotations

import errno
from pathlib import Path

#: Bytes of the largest description that is read.
MOST_BYTES = 2**26


def check_plain(path: Path) -> int:
    """The size in bytes of a plain file.

    Raises:
        OSError: there is none, or it is a folder, a device, a pipe or the like; its `strerror` says which.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return size


def read_plain(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a plain file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: as :func:`check_plain`; or the file is larger than `most`.
    """
    size = check_plain(path)
    if size > most:
        raise OSError(errno.EINVAL, f"it has {size} bytes, for {most} at most", str(path))
    return path.read_bytes()
