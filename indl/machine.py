"""What the machine has."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

#: Where Linux tells how much memory a container may use, by version of its control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory() -> float:
    """Bytes of memory that a process may use: the machine's, or less in a container; infinity where nothing tells."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in _LIMITS:
        # Without a limit the file says "max", and on other systems there is none.
        with contextlib.suppress(ValueError, OSError):
            found.append(int(limit.read_text()))
    return min(found)
