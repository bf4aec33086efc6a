"""What is left of a dynamic latent when its phase is random: means and lagged second moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.checks.masks import as_array

#: Lags in bins.
LAGS = (0, 1, 2, 5, 10)


def dynamic_summary(z: np.ndarray, lags: Sequence[int] = LAGS) -> np.ndarray:
    """Each trial as its mean over time and the moments C_l = mean_t z_t z_{t+l}^T.

    A linear probe of all bins in a row finds nothing in oscillations of random phase; their frequency stands in the
    moments, which are not centred. A lag that is as long as the trials is left out.

    Args:
        z: Dynamic latents, (trials, time, Z).
        lags: Lags l in bins, 0 or more.

    Returns:
        Features, (trials, Z + lags * Z * Z).

    Raises:
        ValueError: If `z` is not (trials, time, Z), a value is not finite, or a lag is no whole number from 0.
    """
    z = as_array(z, np.float64)
    if z.ndim != 3 or not z.size or not np.isfinite(z).all():
        raise ValueError(
            f"Dynamic latents must be finite and (trials, time, latents). Given: {z.shape}, "
            f"{int((~np.isfinite(z)).sum())} values of them not finite. Leave out trials with gaps, or cut all to the "
            "bins that they have."
        )
    n_trials, n_times, _ = z.shape
    parts = [z.mean(axis=1)]
    for lag in (check_whole(lag, "A lag in bins") for lag in lags):
        if lag < n_times:
            moments = np.swapaxes(z[:, : n_times - lag], 1, 2) @ z[:, lag:] / (n_times - lag)
            parts.append(moments.reshape(n_trials, -1))
    return np.concatenate(parts, axis=1)
