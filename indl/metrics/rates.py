"""Coefficients of determination of inferred rates, against true rates or trial averages.

There are two ways to average, which give very different numbers where channels differ in rate;
say which one is meant.
"""

import numpy as np
from sklearn.metrics import r2_score


def rate_r2_per_channel(rates, truth):
    """R2 of each channel over trials and bins, then the mean over channels.

    Args:
        rates: Inferred rates, (trials, time, channels), in any unit.
        truth: True rates in the same unit, same shape.

    Returns:
        Mean R2. Channels count alike, whatever their rate.

    Raises:
        ValueError: If the shapes differ or values are not finite.
    """
    rates, truth = _pair(rates, truth)
    n_channels = truth.shape[-1]
    return float(r2_score(truth.reshape(-1, n_channels), rates.reshape(-1, n_channels)))


def rate_r2_flat(rates, truth):
    """One R2 over all trials, bins and channels; dominated by the channels of highest rate.

    Args:
        rates: Inferred rates, (trials, time, channels), in any unit.
        truth: True rates in the same unit, same shape.

    Returns:
        R2 of the flattened arrays.

    Raises:
        ValueError: If the shapes differ or values are not finite.
    """
    rates, truth = _pair(rates, truth)
    return float(r2_score(truth.ravel(), rates.ravel()))


def psth_r2(rates, label, psth):
    """R2 of condition-averaged rates against given trial averages, mean over channels.

    As in the Neural Latents Benchmark.

    Args:
        rates: Inferred rates, (trials, time, channels).
        label: Condition of each trial, (trials,): index into `psth`.
        psth: Average of each condition, (conditions, time, channels), in the unit of `rates`;
            NaN marks bins that are left out.

    Returns:
        R2 per channel over conditions and bins, then the mean over channels.

    Raises:
        ValueError: If shapes do not fit, or a condition of `label` is not in `psth`.
    """
    rates, psth, label = np.asarray(rates), np.asarray(psth), np.asarray(label)
    if rates.ndim != 3 or psth.ndim != 3 or rates.shape[1:] != psth.shape[1:]:
        raise ValueError(
            "rates must be (trials, time, channels) and psth (conditions, time, channels). Got "
            f"{rates.shape} and {psth.shape}. Select the same bins and channels for both."
        )
    conditions = np.unique(label)
    known = conditions.dtype.kind in "iu" and 0 <= conditions[0] <= conditions[-1] < len(psth)
    if label.shape != rates.shape[:1] or not known:
        raise ValueError(
            f"label must hold one index into psth a trial. Got shape {label.shape} with values "
            f"{conditions[:10].tolist()} for {len(rates)} trials and {len(psth)} conditions. "
            "Number the conditions 0, 1, ..."
        )
    averages = np.concatenate([rates[label == c].mean(axis=0) for c in conditions])
    expected = np.concatenate(psth[conditions])
    return float(
        np.mean(
            [
                r2_score(expected[kept, channel], averages[kept, channel])
                for channel, kept in enumerate(~np.isnan(expected.T))
            ]
        )
    )


def _pair(rates, truth):
    rates, truth = np.asarray(rates), np.asarray(truth)
    if rates.shape != truth.shape or truth.ndim < 1:
        raise ValueError(
            f"Rates and true rates must have one shape. Got {rates.shape} and {truth.shape}. "
            "Select the same trials, bins and channels for both."
        )
    return rates, truth
