"""How long a signal remembers: its autocorrelation over trials."""

import numpy as np
from scipy import fft

from indl.data.checks.masks import as_array


def mean_autocorrelation(values, max_lag=None):
    """Autocorrelation of each dimension at every lag, over all trials.

    The mean over all trials and bins is removed, not that of each trial, which would make short trials forget too
    fast. At lag k the products of values k bins apart are averaged over all trials (the unbiased estimator: their sum
    is divided by their number, not by the number of bins), and divided by the variance over all trials and bins.

    Args:
        values: Signals, (trials, time, dimensions). Values that are not finite are left out, with every pair they are
            part of.
        max_lag: Longest lag in bins. None: half a trial, as few pairs are left beyond.

    Returns:
        Autocorrelation, (max_lag + 1, dimensions); 1 at lag 0. NaN at lags without a pair, and for a dimension that
        is constant.

    Raises:
        ValueError: If `values` is not (trials, time, dimensions) or empty, or the lag is not shorter than a trial.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import mean_autocorrelation
        >>> alternating = np.array([1.0, -1.0, 1.0, -1.0])[None, :, None]
        >>> mean_autocorrelation(alternating, max_lag=2).ravel().round(6).tolist()
        [1.0, -1.0, 1.0]
    """
    values = as_array(values, dtype=np.float64)
    if values.ndim != 3 or values.size == 0:
        raise ValueError(
            f"Signals must be (trials, time, dimensions) and not empty. Given: shape {values.shape}. Use array[None] "
            "for a single trial."
        )
    n_times = values.shape[1]
    max_lag = n_times // 2 if max_lag is None else max_lag
    if not 0 <= max_lag < n_times:
        raise ValueError(
            f"The lag must be shorter than a trial. Given: {max_lag} bins and trials of {n_times} bins. Divide the lag "
            "in seconds by the bin width in seconds."
        )
    used = np.isfinite(values)
    n_used = np.maximum(used.sum(axis=(0, 1)), 1)
    centered = np.where(used, values - np.where(used, values, 0.0).sum(axis=(0, 1)) / n_used, 0.0)
    products, n_pairs = (_lagged_products(a, max_lag) for a in (centered, used.astype(np.float64)))
    n_pairs = np.rint(n_pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = np.where(n_pairs > 0, products / n_pairs, np.nan)
        spread = np.where(used, values, -np.inf).max(axis=(0, 1)) > np.where(used, values, np.inf).min(axis=(0, 1))
        return np.where(spread, covariance / covariance[0], np.nan)


def _lagged_products(values, max_lag):
    """Sums over trials and time of the products of values 0, 1, ... bins apart, (max_lag + 1, dimensions)."""
    # Padded to twice the length, the circular correlation has no pair that wraps around.
    n_padded = fft.next_fast_len(2 * values.shape[1], real=True)
    power = np.square(np.abs(fft.rfft(values, n_padded, axis=1))).sum(axis=0)
    return fft.irfft(power, n_padded, axis=0)[: max_lag + 1]
