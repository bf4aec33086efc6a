"""How well inferred factors contain the true latents."""

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score


def latent_r2(factors_fit, latents_fit, factors, latents):
    """R2 of the true latents, predicted from factors by an affine map.

    Factors are only defined up to such a map, so it is fitted on one part of the data (by least
    squares) and scored on another.

    Args:
        factors_fit: Factors to fit the map on, (trials, time, factors).
        latents_fit: True latents of the same bins, (trials, time, dimensions).
        factors: Factors to score, (trials, time, factors).
        latents: True latents of the same bins, (trials, time, dimensions).

    Returns:
        R2 of each latent dimension over trials and bins, (dimensions,).

    Raises:
        ValueError: If factors and latents do not have the same trials and bins.
    """
    x_fit, y_fit = _flat(factors_fit, latents_fit)
    x, y = _flat(factors, latents)
    predicted = LinearRegression().fit(x_fit, y_fit).predict(x)
    return r2_score(y, predicted, multioutput="raw_values")


def _flat(factors, latents):
    factors, latents = np.asarray(factors), np.asarray(latents)
    if factors.ndim != 3 or latents.ndim != 3 or factors.shape[:2] != latents.shape[:2]:
        raise ValueError(
            "Factors and latents must be (trials, time, dimensions) with the same trials and "
            f"bins. Got {factors.shape} and {latents.shape}. Select the same bins for both."
        )
    # float64: least squares on a few thousand float32 rows loses digits that R2 shows.
    return (a.reshape(-1, a.shape[-1]).astype(np.float64) for a in (factors, latents))
