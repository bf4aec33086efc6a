"""Where the windows lie that continuous recordings are cut into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from indl.data.checks.arrays import check_whole

#: What the attributes begin with in which trials note how they were cut.
PREFIX = "chopped_"


@dataclass(frozen=True)
class ChopPlan:
    """Where windows lie in trials of given lengths.

    Windows of a trial begin every ``window_bins - overlap_bins`` bins.

    Args:
        lengths: Number of bins of each trial.
        window_bins: Number of bins of a window.
        overlap_bins: Number of bins that a window shares with the one before it, at most half of `window_bins`.
        last: ``"drop"``: bins at a trial's end that fill no window are left out. ``"pad"``: they are the beginning of
            one more window.

    Raises:
        ValueError: If the numbers are not such numbers, or no window fits.

    Example:
        >>> from indl.data import ChopPlan
        >>> plan = ChopPlan((10, 7), window_bins=4, overlap_bins=1, last="pad")
        >>> plan.trial.tolist(), plan.start.tolist()
        ([0, 0, 0, 1, 1], [0, 3, 6, 0, 3])
    """

    lengths: tuple[int, ...]
    window_bins: int
    overlap_bins: int = 0
    last: Literal["drop", "pad"] = "drop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(int(n) for n in np.atleast_1d(self.lengths)))
        object.__setattr__(self, "window_bins", check_whole(self.window_bins, "window_bins", 1))
        object.__setattr__(self, "overlap_bins", check_whole(self.overlap_bins, "overlap_bins"))
        if 2 * self.overlap_bins > self.window_bins:
            raise ValueError(
                f"Windows may overlap by half at most. Given: {self.overlap_bins} of {self.window_bins} bins. Lower "
                "overlap_bins or raise window_bins."
            )
        if self.last not in ("drop", "pad"):
            raise ValueError(
                f"last says what becomes of bins that fill no window. Given: {self.last!r}. Give drop, pad."
            )
        if not len(self):
            raise ValueError(
                f"No window fits. Given: windows of {self.window_bins} bins for trials of "
                f'{max(self.lengths, default=0)} bins at most. Lower window_bins, or give last="pad".'
            )

    @classmethod
    def of(cls, attrs: Mapping[str, Any]) -> ChopPlan | None:
        """The windows that :func:`chop` noted in the attributes of trials; None if there are none."""
        if f"{PREFIX}lengths" not in attrs:
            return None
        return cls(**{name: attrs[f"{PREFIX}{name}"] for name in cls.__dataclass_fields__})

    @property
    def attrs(self) -> dict[str, Any]:
        """What :meth:`of` reads."""
        return {f"{PREFIX}{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @cached_property
    def start(self) -> np.ndarray:
        """First bin of each window in its trial, (windows,)."""
        starts = [np.arange(n) * self._step for n in self._numbers]
        return np.concatenate([np.zeros(0, np.int64), *starts])

    @cached_property
    def trial(self) -> np.ndarray:
        """Index of the trial of each window, (windows,)."""
        return np.repeat(np.arange(len(self.lengths)), self._numbers)

    def __len__(self) -> int:
        """Number of windows."""
        return sum(self._numbers)

    def known(self, inds: Any) -> np.ndarray:
        """Indices of windows, once they are found to be different ones of this plan.

        Raises:
            ValueError: If they are not.
        """
        inds = np.asarray(inds)
        if inds.dtype.kind not in "iu" or len(np.unique(inds)) < inds.size or not np.isin(inds, range(len(self))).all():
            raise ValueError(
                f"inds must hold different indices of the {len(self)} windows. Given: {inds.tolist()[:10]} ... Keep "
                "the `inds` that chop gave the windows."
            )
        return inds

    def share_bins(self, some: Any, others: Any) -> np.ndarray:
        """Which of some windows share a bin with any of others, by their indices; bool, shape of `some`."""
        some, others = self.known(some), self.known(others)
        # A window overlaps with its neighbours alone.
        before = np.isin(some - 1, others) & (self.start[some] > 0)
        after = np.isin(some + 1, others[self.start[others] > 0])
        return (before | after) & (self.overlap_bins > 0)

    @property
    def _step(self) -> int:
        return self.window_bins - self.overlap_bins

    @property
    def _numbers(self) -> list[int]:
        """Number of windows of each trial."""
        if self.last == "drop":
            return [max(0, (n - self.overlap_bins) // self._step) for n in self.lengths]
        return [max(1, -(-(n - self.overlap_bins) // self._step)) for n in self.lengths]
