"""Seeds of a model's own: nothing that others draw from is set, and nothing that others draw has a part."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

_BUILDING = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within, layers are built from `seed`; afterwards Python's generator is where it was.

    Keras draws the seeds of initializers from that generator. One thread at a time builds.
    """
    with _BUILDING:
        before = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
