"""Gaussian smoothing of counts, the baseline every model of rates is compared with."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from indl.data.checks.masks import as_array


def gaussian_smooth(counts, sd_bins):
    """Smooth along time with a Gaussian that loses no mass at the edges.

    Near the edges, and near samples that were not recorded (NaN), the kernel is divided by what is left of it, so that
    a constant stays constant. NaN stays NaN.

    Args:
        counts: Counts or signals, (trials, time, channels).
        sd_bins: Standard deviation of the kernel in bins; 0 leaves the data as they are.

    Returns:
        Smoothed copy, shape of `counts`, floating point (float32 stays float32).

    Raises:
        ValueError: If `counts` does not have 3 axes or `sd_bins` is negative or not finite.

    Example:
        >>> import numpy as np
        >>> from indl.data import gaussian_smooth
        >>> gaussian_smooth(np.ones((1, 5, 1)), 2.0).ravel().round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    counts = as_array(counts)
    if counts.ndim != 3:
        raise ValueError(
            f"counts must have 3 axes (trials, time, channels). Given: shape {counts.shape}. "
            "Use counts[None] for a single trial."
        )
    if not np.isfinite(sd_bins) or sd_bins < 0:
        raise ValueError(
            f"The smoothing width must be finite and not negative. Given: {sd_bins!r} bins. "
            "Divide the width in seconds by the bin width in seconds."
        )
    dtype = np.result_type(counts.dtype, np.float32)
    if sd_bins == 0:
        return counts.astype(dtype)
    missing = np.isnan(counts) if counts.dtype.kind == "f" else np.zeros(counts.shape, bool)
    if not missing.any():
        mass = gaussian_filter1d(np.ones(counts.shape[1]), sd_bins, mode="constant")
        smoothed = gaussian_filter1d(counts.astype(dtype), sd_bins, axis=1, mode="constant")
        return smoothed / mass.astype(dtype)[:, None]
    mass = gaussian_filter1d((~missing).astype(dtype), sd_bins, axis=1, mode="constant")
    smoothed = gaussian_filter1d(np.where(missing, 0, counts).astype(dtype), sd_bins, axis=1, mode="constant")
    return np.divide(smoothed, mass, out=np.full_like(smoothed, np.nan), where=~missing)
