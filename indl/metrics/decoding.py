"""Decoding of behaviour from rates, factors or smoothed spikes by ridge regression."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

PENALTIES = tuple(np.logspace(-2, 6, 17))


class Decoding(NamedTuple):
    """Result of `ridge_decoding`.

    Attributes:
        r2: Mean of `r2_per_dim`.
        r2_per_dim: R2 of each behavioural dimension on the validation part, (dimensions,).
        penalty: The ridge penalty that cross-validation chose.
    """

    r2: float
    r2_per_dim: np.ndarray
    penalty: float


def ridge_decoding(
    features_train, behavior_train, features_valid, behavior_valid, lag_bins=0, *, penalties=PENALTIES, standardize=True
):
    """Decode behaviour from features, with a ridge penalty chosen on the training part.

    The Neural Latents Benchmark uses `penalties=np.logspace(-4, 0, 9)` and `standardize=False`.

    Args:
        features_train: Rates, factors or smoothed counts, (trials, time, features).
        behavior_train: Behaviour in the same bins, (trials, time, dimensions). Bins with NaN in
            any dimension are left out.
        features_valid: Features of the validation part.
        behavior_valid: Behaviour of the validation part.
        lag_bins: Features at bin t predict behaviour at bin t + lag_bins; bins without a partner
            are dropped. Positive where neurons lead behaviour.
        penalties: Ridge penalties to choose from by 5-fold cross-validation over blocks of
            training bins.
        standardize: Whether features are scaled to unit variance first.

    Returns:
        A `Decoding`.

    Raises:
        ValueError: If features and behaviour do not have the same trials and bins, the lag is
            longer than a trial, features are not finite, or too few bins are left.
    """
    x_train, y_train = _lagged(features_train, behavior_train, lag_bins, "training", minimum=5)
    x_valid, y_valid = _lagged(features_valid, behavior_valid, lag_bins, "validation", minimum=2)
    steps = [StandardScaler(), Ridge()] if standardize else [Ridge()]
    # The scaler is inside the search: a fold is scaled by what it is fitted on.
    search = GridSearchCV(make_pipeline(*steps), {"ridge__alpha": list(penalties)}, cv=KFold(5))
    # Many small products: the threads of BLAS cost more time than they save.
    with threadpool_limits(limits=1):
        search.fit(x_train, y_train)
    r2 = r2_score(y_valid, search.predict(x_valid), multioutput="raw_values")
    return Decoding(float(r2.mean()), r2, float(search.best_params_["ridge__alpha"]))


def _lagged(features, behavior, lag, part, minimum):
    """Rows of features and of the behaviour `lag` bins later, without NaN behaviour."""
    features, behavior = np.asarray(features), np.asarray(behavior)
    fits = features.ndim == 3 and behavior.ndim == 3 and features.shape[:2] == behavior.shape[:2]
    if not fits:
        raise ValueError(
            f"Features and behaviour of the {part} part must be (trials, time, dimensions) with "
            f"the same trials and bins. Got {features.shape} and {behavior.shape}. Select the "
            "same bins for both."
        )
    n_times = features.shape[1]
    if abs(lag) >= n_times:
        raise ValueError(
            f"The lag must be shorter than a trial. Got {lag} bins and trials of {n_times} bins. "
            "Divide the lag in seconds by the bin width in seconds."
        )
    features = features[:, max(-lag, 0) : n_times - max(lag, 0)]
    behavior = behavior[:, max(lag, 0) : n_times - max(-lag, 0)]
    x = features.reshape(-1, features.shape[2]).astype(np.float64)
    y = behavior.reshape(-1, behavior.shape[2]).astype(np.float64)
    kept = ~np.isnan(y).any(axis=1)
    if kept.sum() < minimum:
        raise ValueError(
            f"Too few bins of the {part} part have behaviour. Got {int(kept.sum())} of "
            f"{len(kept)}, at least {minimum} are needed. Check where behaviour is NaN."
        )
    return x[kept], y[kept]
