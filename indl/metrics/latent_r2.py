"""How well inferred factors contain the true latents."""

import numpy as np
from sklearn.linear_model import LinearRegression

from indl.data.checks.masks import as_array
from indl.metrics.bootstrap import standard_error
from indl.metrics.r2 import r2_per_column, r2_resamples


def latent_r2(factors_fit, latents_fit, factors, latents):
    """R2 of the true latents, predicted from factors by an affine map.

    Factors are only defined up to such a map, so it is fitted on one part of the data (by least
    squares) and scored on another.

    Args:
        factors_fit: Factors to fit the map on, (trials, time, factors).
        latents_fit: True latents of the same bins, (trials, time, dimensions). Bins with NaN in any dimension are
            left out, here and below.
        factors: Factors to score, (trials, time, factors).
        latents: True latents of the same bins, (trials, time, dimensions).

    Returns:
        R2 of each latent dimension over trials and bins, (dimensions,).

    Raises:
        ValueError: If factors and latents do not have the same trials and bins, or no bin is left.
    """
    return r2_per_column(*_mapped(factors_fit, latents_fit, factors, latents))


def latent_r2_se(factors_fit, latents_fit, factors, latents, *, n_resamples=1000, seed=0):
    """Bootstrap standard error of `latent_r2` over the scored trials, (dimensions,); the map stays as it is.

    Args:
        factors_fit: As for :func:`latent_r2`.
        latents_fit: As for :func:`latent_r2`.
        factors: As for :func:`latent_r2`.
        latents: As for :func:`latent_r2`.
        n_resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Standard deviation of the resampled R2 of each dimension; NaN for a single trial.

    Raises:
        ValueError: As :func:`latent_r2`.
    """
    pair = _mapped(factors_fit, latents_fit, factors, latents)
    return standard_error(r2_resamples(*pair, n_resamples=n_resamples, seed=seed), len(pair[0]))


def _mapped(factors_fit, latents_fit, factors, latents):
    """True latents of the scored part, all NaN in bins left out, and their prediction, (trials, time, dimensions)."""
    x_fit, y_fit = _rows(factors_fit, latents_fit)
    x, y = _rows(factors, latents)
    known_fit, known = ~np.isnan(y_fit).any(axis=1), ~np.isnan(y).any(axis=1)
    if not known_fit.any() or not known.any():
        raise ValueError(
            f"Latents must be known in some bins. Given: {int(known_fit.sum())} of {len(y_fit)} to fit on and "
            f"{int(known.sum())} of {len(y)} to score. Check where they are NaN."
        )
    predicted = np.full_like(y, np.nan)
    predicted[known] = LinearRegression().fit(x_fit[known_fit], y_fit[known_fit]).predict(x[known])
    shape = np.shape(latents)
    return np.where(known[:, None], y, np.nan).reshape(shape), predicted.reshape(shape)


def _rows(factors, latents):
    factors, latents = as_array(factors), as_array(latents)
    if factors.ndim != 3 or latents.ndim != 3 or factors.shape[:2] != latents.shape[:2]:
        raise ValueError(
            "Factors and latents must be (trials, time, dimensions) with the same trials and "
            f"bins. Given: {factors.shape} and {latents.shape}. Select the same bins for both."
        )
    # float64: least squares on a few thousand float32 rows loses digits that R2 shows.
    return (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in (factors, latents))
