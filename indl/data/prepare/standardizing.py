"""Signals at unit scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from indl.data.checks.masks import as_array
from indl.data.values.recording import Recording, Split

#: Attributes that undo it: ``signal * signal_sd + signal_mean``, by channel.
MEAN, SD = "signal_mean", "signal_sd"


def standardized(recording: Recording) -> Recording:
    """The recording with each channel at mean 0 and standard deviation 1 over its training trials.

    Gaussian and squared-error outputs are made for signals of about unit scale. What a model gives of such a recording
    is brought back with ``rates * recording.attrs["signal_sd"] + recording.attrs["signal_mean"]``.

    Args:
        recording: A recording of signals (`are_counts` False), in memory. NaN stays NaN; a constant channel becomes 0.

    Raises:
        ValueError: If it holds counts.

    Example:
        >>> import numpy as np
        >>> from indl.data import Trials, standardized
        >>> signals = 500 * np.random.default_rng(0).normal(size=(10, 20, 3)) + 5000
        >>> recording = standardized(Trials(signals, 0.02, are_counts=False).split())
        >>> float(recording.train.recon.std().round(3))
        1.0
    """
    if recording.are_counts:
        raise ValueError(
            f"Counts stay counts: their observation models need them as they are. Given: {recording!r}. Say "
            "are_counts=False where the values are a signal."
        )
    train = as_array(recording.train.recon[:], np.float64)
    mean, sd = np.nanmean(train, (0, 1)), np.nanstd(train, (0, 1))
    sd = np.where(sd > 0, sd, 1.0)

    def scaled(part: Split) -> Split:
        found = {}
        for name in ("recon", "encod"):
            values = getattr(part, name)[:]
            channels = slice(values.shape[2])
            found[name] = ((values - mean[channels]) / sd[channels]).astype(np.float32)
        return replace(part, **found)

    attrs = {**recording.attrs, MEAN: mean, SD: sd}
    return replace(recording, train=scaled(recording.train), valid=scaled(recording.valid), attrs=attrs)
