"""Gaussian smoothing across missing samples."""

import numpy as np

from indl.data.checks.masks import as_array
from indl.data.prepare.smoothing import gaussian_smooth


def smooth_observed(counts, sd_bins, fill=np.nan):
    """Smooth along time; missing samples take no part and are filled from their neighbours.

    The smoothed counts are divided by the smoothed mask of what was observed (Knutsson & Westin 1993, normalized
    convolution). Without missing samples that is :func:`indl.data.gaussian_smooth`.

    Args:
        counts: Counts or signals, (trials, time, channels); NaN marks missing samples.
        sd_bins: Standard deviation of the kernel in bins.
        fill: Value, or one a channel, where no observed sample of the trial is within reach of the kernel.

    Returns:
        Smoothed copy, shape of `counts`.

    Raises:
        ValueError: If `counts` does not have 3 axes or `sd_bins` is negative or not finite.
    """
    counts = as_array(counts)
    missing = np.isnan(counts)
    if not missing.any():
        return gaussian_smooth(counts, sd_bins)
    mass = gaussian_smooth((~missing).astype(counts.dtype), sd_bins)
    total = gaussian_smooth(np.where(missing, 0.0, counts).astype(counts.dtype), sd_bins)
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), fill)


def channel_means(counts):
    """Mean of each channel over observed samples, (channels,); zero for a channel without any."""
    known = ~np.isnan(counts)
    axes = tuple(range(np.ndim(counts) - 1))
    return np.where(known, counts, 0.0).sum(axis=axes, dtype=np.float64) / np.maximum(known.sum(axis=axes), 1)
