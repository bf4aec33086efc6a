"""Decoding of behaviour from rates, factors or smoothed spikes by ridge regression."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.data.checks.masks import as_array
from indl.data.values.forms import with_dimensions
from indl.metrics.bootstrap import standard_error
from indl.metrics.r2 import r2_per_column, r2_resamples

PENALTIES = tuple(np.logspace(-2, 6, 17))
#: The penalties of the Neural Latents Benchmark.
BENCHMARK_PENALTIES = tuple(np.logspace(-4, 0, 9))


class Decoding(NamedTuple):
    """Result of `ridge_decoding`.

    Attributes:
        r2: Mean of `r2_per_dim`.
        r2_per_dim: R2 of each behavioural dimension on the validation part, (dimensions,).
        penalty: The ridge penalty that cross-validation chose.
        se: Bootstrap standard error of `r2` over validation trials; NaN for a single trial.
        lag_bins: The lag that was given, or that cross-validation chose.
        cv_r2: Cross-validated R2 on the training part, by which lag and penalty were chosen.
        predicted: What every bin of the validation features decodes to, (trials, time, dimensions): the behaviour
            `lag_bins` later.
    """

    r2: float
    r2_per_dim: np.ndarray
    penalty: float
    se: float
    lag_bins: int
    cv_r2: float
    predicted: np.ndarray


class VelocityDecoding(NamedTuple):
    """Result of `velocity_r2`.

    Attributes:
        r2: R2 on the evaluated part, mean over dimensions and masks.
        se: Its bootstrap standard error over the evaluated trials; NaN for a single trial.
        penalties: The ridge penalty of each mask.
    """

    r2: float
    se: float
    penalties: tuple[float, ...]


def ridge_decoding(
    features_train,
    behavior_train,
    features_valid,
    behavior_valid,
    lag_bins=0,
    *,
    penalties=PENALTIES,
    n_folds=5,
    n_resamples=1000,
    seed=0,
):
    """Decode behaviour from standardised features, with lag and ridge penalty chosen on the training part.

    They are chosen by cross-validation over whole training trials, so that neighbouring bins of a trial are never on
    both sides. (:func:`velocity_r2` is the score of the Neural Latents Benchmark.)

    Args:
        features_train: Rates, factors or smoothed counts, (trials, time, features).
        behavior_train: Behaviour in the same bins, (trials, time, dimensions). Bins with NaN in
            any dimension are left out.
        features_valid: Features of the validation part.
        behavior_valid: Behaviour of the validation part.
        lag_bins: Features at bin t predict behaviour at bin t + lag_bins; bins without a partner
            are dropped. Positive where neurons lead behaviour. Several: the best is chosen, by the bins of
            behaviour that have a partner at every one of them, as R2 of different bins cannot be compared.
        penalties: Ridge penalties to choose from.
        n_folds: Folds over training trials; at most as many as trials. The bins of a single trial are cut into as
            many blocks instead.
        n_resamples: Resamples of the standard error.
        seed: Seed of folds and resamples.

    Returns:
        A `Decoding`.

    Raises:
        ValueError: If features and behaviour do not have the same trials and bins, a lag is
            longer than a trial, features are not finite, or too few bins are left.
    """
    train, valid = (features_train, behavior_train, "training"), (features_valid, behavior_valid, "validation")
    lags = [int(lag) for lag in np.atleast_1d(lag_bins)]
    reach = max(*lags, 0), min(*lags, 0)

    def search(lag, reach):
        x, y = _lagged(*train, lag, reach)
        x, y, trial = _rows(x, y, "training", minimum=5)
        n_trials = len(np.unique(trial))
        if n_trials == 1:
            folds, trial = KFold(n_folds), None
        else:
            folds = GroupKFold(min(n_folds, n_trials), shuffle=True, random_state=seed)
        # The scaler is inside the search: a fold is scaled by what it is fitted on.
        return _grid_search(make_pipeline(StandardScaler(), Ridge()), "ridge__alpha", penalties, folds, x, y, trial)

    searches = {lag: search(lag, reach) for lag in lags}
    lag = max(searches, key=lambda lag: searches[lag].best_score_)
    chosen = searches[lag]
    if len(searches) > 1:
        # The bins that only another lag lacked take part in the fit; its penalty is theirs, too.
        x, y, _ = _rows(*_lagged(*train, lag, (max(lag, 0), min(lag, 0))), "training", minimum=5)
        chosen.best_estimator_.fit(x, y)
    truth, predicted = _predicted(chosen, *_lagged(*valid, lag, (max(lag, 0), min(lag, 0))), "validation")
    r2 = r2_per_column(truth, predicted)
    resampled = r2_resamples(truth, predicted, n_resamples=n_resamples, seed=seed).mean(axis=1)
    return Decoding(
        r2=float(r2.mean()),
        r2_per_dim=r2,
        penalty=float(chosen.best_params_["ridge__alpha"]),
        se=standard_error(resampled, len(truth)),
        lag_bins=lag,
        cv_r2=float(chosen.best_score_),
        predicted=_everywhere(chosen, as_array(features_valid, np.float64)),
    )


def velocity_r2(
    rates_train,
    behavior_train,
    rates_valid,
    behavior_valid,
    masks_train=None,
    masks_valid=None,
    *,
    penalty=None,
    n_resamples=1000,
    seed=0,
):
    """R2 of behaviour decoded from rates, as the Neural Latents Benchmark defines its "vel R2".

    Ridge regression with an intercept on rates as they are, fitted on the rates that the model infers for the training
    trials. Behaviour comes already lagged.

    Args:
        rates_train: Rates of all channels, (trials, time, channels).
        behavior_train: Velocity in the same bins, (trials, time, dimensions). Bins with NaN in any dimension are
            left out.
        rates_valid: Rates of the evaluated trials.
        behavior_valid: Velocity of the evaluated trials.
        masks_train: Which trials belong to each of several decoders, (trials, masks) bool. None: one, of all trials.
        masks_valid: The same for the evaluated trials. The scores of all masks are averaged.
        penalty: Ridge penalty; the benchmark's fixed one is 1e-2. None: chosen for each mask from 9 log-spaced values
            from 1e-4 to 1, by 5-fold cross-validation over contiguous blocks of training bins.
        n_resamples: Resamples of the standard error.
        seed: Seed of the resamples.

    Returns:
        A `VelocityDecoding`.

    Raises:
        ValueError: If rates and behaviour do not have the same trials and bins, masks do not fit, rates are not
            finite, or too few bins are left.
    """
    x_train, y_train = _pair(rates_train, behavior_train, "training")
    x_valid, y_valid = _pair(rates_valid, behavior_valid, "validation")
    masks = [_masks(masks_train, len(x_train)), _masks(masks_valid, len(x_valid))]
    if len(masks[0]) != len(masks[1]):
        raise ValueError(
            f"Both parts must have the same masks. Given: {len(masks[0])} for training and {len(masks[1])} for "
            "validation. Give one column for each decoder to both."
        )
    scores, resampled, chosen = [], [], []
    for i, (train, valid) in enumerate(zip(*masks, strict=True)):
        x, y, _ = _rows(x_train[train], y_train[train], "training", minimum=5)
        found = _grid_search(Ridge(), "alpha", BENCHMARK_PENALTIES if penalty is None else [penalty], KFold(5), x, y)
        chosen.append(float(found.best_params_["alpha"]))
        # Trials outside of the mask stay in place, unscored: resamples draw the same trials for every mask.
        truth, predicted = _predicted(found, x_valid, np.where(valid[:, None, None], y_valid, np.nan), f"mask {i}")
        scores.append(r2_per_column(truth, predicted).mean())
        resampled.append(r2_resamples(truth, predicted, n_resamples=n_resamples, seed=seed).mean(axis=1))
    return VelocityDecoding(
        float(np.mean(scores)), standard_error(np.mean(resampled, axis=0), len(x_valid)), tuple(chosen)
    )


def _grid_search(model, name, penalties, folds, x, y, trial=None):
    search = GridSearchCV(model, {name: list(penalties)}, cv=folds)
    # Many small products: the threads of BLAS cost more time than they save.
    with threadpool_limits(limits=1):
        return search.fit(x, y, groups=trial)


def _predicted(model, features, behavior, part):
    """Behaviour, all NaN in bins left out, and its prediction, (trials, time, dimensions)."""
    x, y, _ = _rows(features, behavior, part, minimum=2)
    known = ~np.isnan(behavior).any(axis=2)
    truth, predicted = np.full((2, *behavior.shape), np.nan)
    truth[known], predicted[known] = y, model.predict(x).reshape(y.shape)
    return truth, predicted


def _everywhere(model, features):
    """The prediction of every bin, (trials, time, dimensions); NaN where a feature is not finite."""
    known = np.isfinite(features).all(axis=2)
    found = model.predict(features[known])
    predicted = np.full((*features.shape[:2], found[:1].size), np.nan)
    predicted[known] = found.reshape(len(found), -1)
    return predicted


def _lagged(features, behavior, part, lag, reach):
    """Features, and the behaviour `lag` bins later, of the bins of behaviour with a partner at all lags in `reach`."""
    features, behavior = _pair(features, behavior, part)
    n_times, (latest, earliest) = features.shape[1], reach
    if latest - earliest >= n_times:
        raise ValueError(
            f"Lags must leave bins of a trial. Given: lags from {earliest} to {latest} bins and trials of {n_times} "
            "bins. Divide the lag in seconds by the bin width in seconds."
        )
    first, last = latest, n_times + earliest
    return features[:, first - lag : last - lag], behavior[:, first:last]


def _pair(features, behavior, part):
    features, behavior = as_array(features, np.float64), as_array(behavior, np.float64)
    behavior = with_dimensions(behavior, len(features), features.shape[1:2])
    fits = features.ndim == 3 and behavior.ndim == 3 and features.shape[:2] == behavior.shape[:2]
    if not fits:
        raise ValueError(
            f"Features and behaviour of the {part} part must be (trials, time, dimensions) with "
            f"the same trials and bins. Given: {features.shape} and {behavior.shape}. Select the "
            "same bins for both."
        )
    return features, behavior


def _rows(features, behavior, part, minimum):
    """Rows of features and behaviour in bins without NaN behaviour, and the trial of each."""
    kept = ~np.isnan(behavior).any(axis=2)
    if kept.sum() < minimum:
        raise ValueError(
            f"Too few bins of the {part} part have behaviour. Given: {int(kept.sum())} of "
            f"{kept.size}, at least {minimum} are needed. Check where behaviour is NaN."
        )
    features, behavior = features[kept], behavior[kept]
    if not np.isfinite(features).all() or np.isinf(behavior).any():
        raise ValueError(
            f"Features and behaviour of the {part} part must be finite. Given: {int((~np.isfinite(features)).sum())} "
            f"features and {int(np.isinf(behavior).sum())} values of behaviour that are not. Only NaN in behaviour "
            "leaves a bin out."
        )
    return features, behavior, np.nonzero(kept)[0]


def _masks(masks, n_trials):
    """One bool vector over trials for each mask."""
    masks = np.ones((n_trials, 1), bool) if masks is None else np.asarray(masks)
    if masks.ndim != 2 or len(masks) != n_trials or masks.dtype != bool:
        raise ValueError(
            f"Masks must be bool, (trials, masks). Given: {masks.dtype} of shape {masks.shape} for {n_trials} trials. "
            "Give a column for each decoder."
        )
    return masks.T
