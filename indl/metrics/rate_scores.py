"""Coefficients of determination of inferred rates against true rates.

There are two ways to average, which give very different numbers where channels differ in rate;
say which one is meant.
"""

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.r2 import r2_per_column


def rate_r2_per_channel(rates, truth):
    """R2 of each channel over trials and bins, then the mean over channels.

    Args:
        rates: Inferred rates, (trials, time, channels), in any unit.
        truth: True rates in the same unit, same shape; NaN marks bins that are left out. A channel without two
            bins left is left out of the mean.

    Returns:
        Mean R2. Channels count alike, whatever their rate.

    Raises:
        ValueError: If the shapes differ, values are infinite, a rate is NaN where the truth is not, or no channel is
            left.
    """
    return _mean(r2_per_column(truth, rates))


def rate_r2_flat(rates, truth):
    """One R2 over all trials, bins and channels; dominated by the channels of highest rate.

    Args:
        rates: Inferred rates, (trials, time, channels), in any unit.
        truth: True rates in the same unit, same shape; NaN marks bins that are left out.

    Returns:
        R2 of the flattened arrays.

    Raises:
        ValueError: If the shapes differ, values are infinite, a rate is NaN where the truth is not, or less than two
            values are left.
    """
    rates, truth = as_array(rates), as_array(truth)
    # Flattened together only where they belong together, so that the message names the shapes.
    pair = (truth, rates) if rates.shape != truth.shape else (truth.reshape(-1, 1), rates.reshape(-1, 1))
    return _mean(r2_per_column(*pair))


def _mean(r2):
    known = r2[~np.isnan(r2)]
    if not known.size:
        raise ValueError(
            f"R2 needs two true values. Given: none or one in each of {r2.size} columns. Check where the truth is NaN."
        )
    return float(known.mean())
