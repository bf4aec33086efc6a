"""Reading a training history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def best_epoch(history: Mapping[str, Sequence[float]], monitor: str, first: int = 0) -> int:
    """The epoch of the least `monitor` from epoch `first` on; the last epoch if the run ended before it.

    Raises:
        ValueError: the metric was not logged.
    """
    if monitor not in history:
        raise ValueError(f"The history has no such metric. Given: {monitor!r}. It has: {', '.join(sorted(history))}.")
    values = history[monitor]
    if first >= len(values):
        return len(values) - 1
    # A value that is not a number is no score.
    return min(range(first, len(values)), key=lambda epoch: (math.isnan(values[epoch]), values[epoch]))
