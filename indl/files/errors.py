"""What is told where a file cannot be written, and what the system's refusals mean."""

from __future__ import annotations

import errno
import os
from pathlib import Path

#: What the operating system answers where there is no room for a file.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Its answers that libraries pass on as text alone.
_AS_TEXT = (*DISK_FULL, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM)


class OutputError(FileExistsError):
    """A path that the library may not write to, because something of somebody else is there."""


class WriteError(OSError):
    """A file that could not be written; the message is whole.

    Attributes:
        path: the file, or the folder.
        reason: why, in the words of the system.
        errno: its number of the reason; None where it is not known.

    Args:
        path: the file, or the folder.
        error: what was raised.
        kept: what has become of what was there before, for the message.
    """

    def __init__(self, path: Path | str, error: BaseException, kept: str = "what was there before is still there"):
        number = refusal(error)
        self.reason = "for a reason that the system does not name" if number is None else os.strerror(number)
        todo = "Make room" if number in DISK_FULL else "See to the disk and your rights there"
        super().__init__(
            f"{Path(path).name} could not be written. Given: {path} ({self.reason}). {todo}, or write elsewhere; "
            f"{kept}."
        )
        self.path = Path(path)
        self.errno = number


def refusal(error: BaseException) -> int | None:
    """The number of the operating system's refusal that an error tells of, by its `errno` or in its text."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number:
        return number
    return next((code for code in _AS_TEXT if os.strerror(code) in str(error)), None)
