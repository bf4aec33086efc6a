"""Trial averages by condition (PSTHs), and how well the averages of inferred rates agree with them."""

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.r2 import r2_per_column
from indl.metrics.smooth_observed import channel_means, smooth_observed


def psth(counts, label, sd_bins=0.0):
    """Average of each condition over its trials, smoothed along time.

    Args:
        counts: Counts per bin (or rates), (trials, time, channels); NaN marks missing samples, which take no part.
        label: Condition of each trial, (trials,): 0, 1, ...
        sd_bins: Standard deviation of the Gaussian kernel in bins (the Neural Latents Benchmark: 40 to 70 ms); 0
            does not smooth.

    Returns:
        Averages, (largest label + 1, time, channels), float64. NaN for a condition without trials, and for bins
        without a sample within reach of the kernel.

    Raises:
        ValueError: If there is not one label, a whole number from 0 on, for each trial.
    """
    counts, label = _trials(counts, label)
    averages = np.full((label.max() + 1, *counts.shape[1:]), np.nan)
    for condition in np.unique(label):
        averages[condition] = _mean_known(counts[label == condition])
    return smooth_observed(averages, sd_bins)


def psth_r2(rates, label, psth, jitter=None):
    """R2 of condition-averaged rates against given trial averages, mean over channels.

    As in the Neural Latents Benchmark.

    Args:
        rates: Inferred rates, (trials, time, channels); NaN marks bins that take no part in the averages.
        label: Condition of each trial, (trials,): index into `psth`.
        psth: Average of each condition, (conditions, time, channels), in the unit of `rates`, e.g. from
            :func:`psth`; NaN marks bins that are left out, as are bins without a rate in any trial of a condition.
        jitter: By how many bins each trial was cut too early, (trials,) integers: its rates are moved later by as
            many bins (earlier if negative) before they are averaged; bins left free take no part. None: no jitter.

    Returns:
        R2 per channel over conditions and bins, then the mean over channels.

    Raises:
        ValueError: If shapes do not fit, a condition of `label` is not in `psth`, or a channel has less than two
            bins left.
    """
    rates, label = _trials(rates, label)
    psth = as_array(psth, np.float64)
    if psth.ndim != 3 or rates.shape[1:] != psth.shape[1:]:
        raise ValueError(
            "rates must be (trials, time, channels) and psth (conditions, time, channels). Given: "
            f"{rates.shape} and {psth.shape}. Select the same bins and channels for both."
        )
    conditions = np.unique(label)
    if conditions[-1] >= len(psth):
        raise ValueError(
            f"Every label must be an index into psth. Given: labels up to {conditions[-1]} and {len(psth)} conditions. "
            "Number the conditions 0, 1, ..."
        )
    if jitter is not None:
        rates = _moved(rates, np.asarray(jitter))
    averages = np.stack([_mean_known(rates[label == condition]) for condition in conditions])
    r2 = r2_per_column(np.where(np.isnan(averages), np.nan, psth[conditions]), averages)
    if np.isnan(r2).any():
        raise ValueError(
            f"R2 needs two bins of every channel. Given: less in channel {int(np.argmax(np.isnan(r2)))} of {len(r2)}. "
            "Check where psth and rates are NaN."
        )
    return float(r2.mean())


def psth_ceiling(counts, label, sd_bins=0.0):
    """R2 of each channel that the expected averages reach against those of :func:`psth`, which their trials make noisy.

    It is the reliability of the averages, the share of their variance over conditions and bins that is no noise. The
    noise of an average of n trials is the variance of the smoothed trials over n.

    Args:
        counts, label, sd_bins: as of :func:`psth`. Conditions of a single trial take no part.

    Returns:
        Estimates of at most 1, (channels,), below 0 by chance where there is nothing but noise; 0 for a channel whose
        averages are constant.

    Raises:
        ValueError: as :func:`psth`; or if no condition has two trials.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import psth_ceiling
        >>> rates = np.array([1.0, 3.0])[np.arange(4000) % 2][:, None, None]
        >>> counts = np.random.default_rng(0).poisson(rates, (4000, 10, 1))
        >>> float(psth_ceiling(counts, np.arange(4000) % 2)[0].round(2))
        1.0
    """
    counts, label = _trials(counts, label)
    smoothed = smooth_observed(counts, sd_bins)
    conditions, sizes = np.unique(label, return_counts=True)
    averages, noise = [], []
    for condition in conditions[sizes > 1]:
        trials = smoothed[label == condition]
        n = (~np.isnan(trials)).sum(axis=0)
        average = _mean_known(trials)
        spread = np.nansum(np.square(trials - average), axis=0)
        # Of one trial alone the noise is not known.
        averages.append(np.where(n > 1, average, np.nan))
        noise.append(np.where(n > 1, spread / np.maximum(n * (n - 1), 1), np.nan))
    if not averages:
        raise ValueError(
            f"How noisy trial averages are shows in several trials of a condition. Given: {len(label)} trials of "
            f"{len(conditions)} conditions, one each. Leave the score out, or merge conditions."
        )
    averages, noise = np.stack(averages), np.stack(noise)
    total = np.nansum(np.square(averages - channel_means(averages)), axis=(0, 1))
    noise = np.nansum(noise, axis=(0, 1))
    return np.where(total > 0, 1.0 - noise / np.where(total > 0, total, 1.0), 0.0)


def _trials(values, label):
    """Values as float64 (trials, time, channels), and labels that are indices."""
    values, label = as_array(values, np.float64), np.asarray(label)
    if values.ndim != 3 or not len(values) or np.isinf(values).any():
        raise ValueError(
            f"Counts and rates must be (trials, time, channels), at least one trial, and finite. Given: {values.shape} "
            f"with {int(np.isinf(values).sum())} infinite values. Give rates per bin, not log rates."
        )
    known = label.dtype.kind in "iu" and label.shape == values.shape[:1] and label.min() >= 0
    if not known:
        raise ValueError(
            f"label must hold one index of a condition a trial. Given: {label.dtype} of shape {label.shape} with "
            f"values {np.unique(label)[:10].tolist()} for {len(values)} trials. Number the conditions 0, 1, ..."
        )
    return values, label


def _mean_known(values):
    """Mean over the first axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    return np.where(n > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)


def _moved(rates, jitter):
    """Every trial moved later by its own number of bins; NaN in the bins left free."""
    if jitter.shape != rates.shape[:1] or jitter.dtype.kind not in "iu":
        raise ValueError(
            f"jitter must hold one whole number of bins a trial. Given: {jitter.dtype} of shape {jitter.shape} for "
            f"{len(rates)} trials. Divide the jitter in seconds by the bin width and round."
        )
    n_times = rates.shape[1]
    source = np.arange(n_times) - jitter[:, None].astype(np.int64)
    inside = (source >= 0) & (source < n_times)
    moved = np.take_along_axis(rates, np.clip(source, 0, n_times - 1)[..., None], axis=1)
    return np.where(inside[..., None], moved, np.nan)
