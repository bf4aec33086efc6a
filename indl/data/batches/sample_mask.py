"""Which samples of a data set sample validation leaves visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Sixteen random bits decide on a sample.
_LEVELS = 2**16


class SampleMask:
    """One fixed mask over a data set, True where a sample is visible: each with probability ``1 - rate``.

    Sample validation (Keshtkaran & Pandarinath 2019, arXiv:1908.07896) hides the same samples of a data set throughout
    training and watches their likelihood, since that of visible samples does not tell when a model copies spikes. The
    mask of a trial depends on seed and trial alone and is drawn when it is asked for, so it takes no memory.

    Args:
        shape: (trials, time, channels) of the encoder's input.
        rate: Fraction of hidden samples, between 0 and 1 (to 1 / 65536).
        seed: Seed, or several numbers that together are one, none of them negative.

    Raises:
        ValueError: If the rate is not between 0 and 1.

    Example:
        >>> from indl.data.batches.sample_mask import SampleMask
        >>> mask = SampleMask((100, 50, 20), 0.2, seed=1)
        >>> mask[3:5].shape, round(float(mask[:].mean()), 2)
        ((2, 50, 20), 0.8)
    """

    def __init__(self, shape: Sequence[int], rate: float, seed: int | Sequence[int] = 0):
        if not 0 < rate < 1:
            raise ValueError(
                f"Sample validation hides a fraction of the samples. Given: a rate of {rate!r}. Use one between 0 and "
                "1, such as 0.2, or leave sample validation out."
            )
        self.shape = tuple(shape)
        self.rate = rate
        self.seed = (seed,) if isinstance(seed, int) else tuple(seed)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: Any) -> np.ndarray:
        """The masks of some trials, bool (trials, time, channels)."""
        trials = np.atleast_1d(np.arange(len(self))[which])
        found = np.empty((len(trials), *self.shape[1:]), bool)
        for mask, trial in zip(found, trials, strict=True):
            rng = np.random.default_rng(np.random.SeedSequence([*self.seed, int(trial), 2]))
            mask[:] = rng.integers(_LEVELS, size=mask.shape, dtype=np.uint16) >= round(self.rate * _LEVELS)
        return found
