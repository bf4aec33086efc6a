"""Held-out channels predicted from held-in ones without a model of dynamics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.decomposition import FactorAnalysis
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.metrics.psth import psth
from indl.metrics.smooth_observed import smooth_observed
from indl.metrics.spike_scores import cosmoothing, cosmoothing_se, poisson_nll

if TYPE_CHECKING:
    from indl.data import Recording

#: Standard deviations of the smoothing kernel to choose from, in seconds.
SDS_S = (0.02, 0.03, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3)
#: Penalties of the Poisson regression to choose from, in units of a channel's mean count a bin.
PENALTIES = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
#: Numbers of factors to choose from.
N_FACTORS = (2, 5, 10, 15, 20, 30)
# Added to smoothed counts before the logarithm, as in the benchmark's smoothing baseline.
_LOG_OFFSET = 1e-4
# A trial unlike any in training may overflow the exponential; its score must still compare.
_LARGEST_RATE = 1e20


class CosmoothingBaseline(NamedTuple):
    """Co-smoothing of one method on the validation part.

    Attributes:
        name: One of :data:`METHODS`.
        co_bps: Bits per spike of the held-out channels.
        se: Its bootstrap standard error over validation trials.
        chosen: Settings chosen on the training part: `sd_s` (seconds), `penalty`, `n_factors`.
    """

    name: str
    co_bps: float
    se: float
    chosen: dict[str, float]


class _Part(NamedTuple):
    """Trials with what predicts (held-in counts, condition) and what is predicted (held-out counts)."""

    encod: np.ndarray
    target: np.ndarray
    label: np.ndarray | None

    def take(self, trials: np.ndarray) -> _Part:
        return _Part(*(None if value is None else value[trials] for value in self))


def cosmoothing_baseline(
    recording: Recording,
    method: str = "GLM",
    *,
    grids: Mapping[str, Sequence[float]] | None = None,
    n_folds: int = 3,
    n_choosing: int | None = None,
    seed: int = 0,
) -> CosmoothingBaseline:
    """Score one method of predicting held-out channels; all its settings are chosen on the training part.

    - "smoothed spikes": ridge Poisson regression on logarithms of smoothed held-in counts, the smoothing baseline of
      the Neural Latents Benchmark (Pei et al. 2021).
    - "FA": factor analysis of smoothed held-in counts, then ridge Poisson regression on the factors.
    - "GLM": ridge Poisson regression on smoothed held-in counts.
    - "PSTH": the smoothed average over the training trials of the trial's own condition; over all training trials
      where training does not have the condition.

    Features are standardised. Settings are chosen by the likelihood of the held-out channels in cross-validation over
    whole training trials, one setting at a time, beginning in the middle, until none changes.

    Args:
        recording: A recording with held-out channels.
        method: One of the above.
        grids: Values to choose from instead of :data:`SDS_S` (`sd_s`), :data:`PENALTIES` (`penalty`, relative to a
            channel's mean count so that it means the same at every bin width and rate) and :data:`N_FACTORS`
            (`n_factors`).
        n_folds: Folds over training trials.
        n_choosing: Number of held-out channels, drawn with `seed`, that choose the settings of all. None: all.
        seed: Seed of folds, drawn channels and bootstrap.

    Returns:
        A `CosmoothingBaseline`.

    Raises:
        ValueError: If there is no such method, no held-out channel, no label for "PSTH", or fewer training trials
            than folds.
    """
    if method not in METHODS:
        raise ValueError(f"There is no such baseline. Given: {method!r}. Choose one of {', '.join(METHODS)}.")
    predict, names = METHODS[method]
    train, valid = (_part(recording, split) for split in (recording.train, recording.valid))
    if not recording.n_heldout or (method == "PSTH" and (train.label is None or valid.label is None)):
        raise ValueError(
            f"Co-smoothing by {method} needs held-out channels, and labels for PSTH. Given: {recording!r}. Give them "
            "when the recording is made, or leave this baseline out."
        )
    if len(train.encod) < n_folds:
        raise ValueError(
            f"Choosing the settings needs a training trial a fold. Given: {len(train.encod)} trials and "
            f"n_folds {n_folds}. Lower n_folds or use more trials."
        )
    few = tuple(n for n in N_FACTORS if n < recording.n_heldin) or (1,)
    grids = {"sd_s": SDS_S, "penalty": PENALTIES, "n_factors": few, **(grids or {})}
    some = np.random.default_rng(seed).permutation(recording.n_heldout)[:n_choosing]
    choosing = train._replace(target=train.target[..., some])
    folds = [
        (choosing.take(fit), choosing.take(test))
        for fit, test in KFold(n_folds, shuffle=True, random_state=seed).split(train.encod)
    ]

    def predicted(fit: _Part, other: _Part, settings: dict[str, float]) -> np.ndarray:
        others = {name: value for name, value in settings.items() if name != "sd_s"}
        return predict(fit, other, settings["sd_s"] / recording.bin_width_s, **others)

    def loss(settings: dict[str, float]) -> float:
        return sum(poisson_nll(predicted(fit, test, settings), test.target) for fit, test in folds)

    # Hundreds of small products: the threads of BLAS cost more time than they save.
    with threadpool_limits(limits=1):
        chosen = choose(loss, {name: grids[name] for name in names})
        rates = predicted(train, valid, chosen)
    return CosmoothingBaseline(
        method, cosmoothing(rates, valid.target, 0), cosmoothing_se(rates, valid.target, 0, seed=seed), chosen
    )


def choose(loss: Callable[[dict[str, float]], float], grids: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The settings of least loss, found by walking from the middle of each grid, one setting at a time.

    Args:
        loss: Loss of a dict of settings.
        grids: Values of each setting, in ascending order.

    Returns:
        One value a setting; the next value of no single setting has a smaller loss.
    """
    known: dict[tuple[int, ...], float] = {}

    def cost(place: tuple[int, ...]) -> float:
        if place not in known:
            known[place] = loss({name: values[i] for (name, values), i in zip(grids.items(), place, strict=True)})
        return known[place]

    best, before = tuple(len(values) // 2 for values in grids.values()), None
    while best != before:
        before = best
        for axis, values in enumerate(grids.values()):
            for step in (-1, 1):
                while 0 <= best[axis] + step < len(values):
                    beside = (*best[:axis], best[axis] + step, *best[axis + 1 :])
                    if cost(beside) >= cost(best):
                        break
                    best = beside
    return {name: values[i] for (name, values), i in zip(grids.items(), best, strict=True)}


def are_counts(recording: Recording) -> bool:
    """Whether all samples are whole and not negative: a real-valued signal has no bits per spike."""
    for split in (recording.train, recording.valid):
        values = np.asarray(split.recon)
        if np.any((values < 0) | ((values != np.rint(values)) & ~np.isnan(values))):
            return False
    return True


def _part(recording: Recording, split: Any) -> _Part:
    return _Part(split.encod, split.recon[:, : recording.n_times, recording.n_heldin :], split.label)


def _from_counts(fit: _Part, other: _Part, sd_bins: float, penalty: float) -> np.ndarray:
    smoothed = (smooth_observed(part.encod, sd_bins) for part in (fit, other))
    return _poisson_regression(*_standardised(*smoothed), fit.target, penalty, other.target.shape)


def _from_logarithms(fit: _Part, other: _Part, sd_bins: float, penalty: float) -> np.ndarray:
    smoothed = (np.log(smooth_observed(part.encod, sd_bins) + _LOG_OFFSET) for part in (fit, other))
    return _poisson_regression(*_standardised(*smoothed), fit.target, penalty, other.target.shape)


def _from_factors(fit: _Part, other: _Part, sd_bins: float, n_factors: int, penalty: float) -> np.ndarray:
    x_fit, x = _standardised(*(smooth_observed(part.encod, sd_bins) for part in (fit, other)))
    # All that the likelihood of factor analysis takes from centred rows is their covariance. A triangular root of it
    # and its mirror image have the same one in a few hundred times fewer rows.
    root = np.linalg.qr(x_fit, mode="r") * np.sqrt(min(x_fit.shape) / len(x_fit))
    model = FactorAnalysis(n_factors, svd_method="lapack").fit(np.concatenate([root, -root]))
    factors = _standardised(model.transform(x_fit), model.transform(x))
    return _poisson_regression(*factors, fit.target, penalty, other.target.shape)


def _from_averages(fit: _Part, other: _Part, sd_bins: float) -> np.ndarray:
    conditions, index = np.unique(fit.label, return_inverse=True)
    # The last row, of all trials, is for conditions that training does not have.
    averages = np.concatenate([psth(fit.target, index, sd_bins), psth(fit.target, np.zeros_like(index), sd_bins)])
    averages = np.where(np.isnan(averages), averages[-1], averages)
    own = {condition: row for row, condition in enumerate(conditions.tolist())}
    return averages[[own.get(label, -1) for label in other.label.tolist()]]


#: How each method predicts, and the settings it has.
METHODS: dict[str, tuple[Callable[..., np.ndarray], tuple[str, ...]]] = {
    "smoothed spikes": (_from_logarithms, ("penalty", "sd_s")),
    "FA": (_from_factors, ("penalty", "n_factors", "sd_s")),
    "GLM": (_from_counts, ("penalty", "sd_s")),
    "PSTH": (_from_averages, ("sd_s",)),
}


def _standardised(fit: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """Rows of both with the mean and variance of `fit` removed; a missing feature takes its mean."""
    rows = [values.reshape(-1, values.shape[-1]).astype(np.float64) for values in (fit, other)]
    scaler = StandardScaler().fit(rows[0])
    return [np.nan_to_num(scaler.transform(values)) for values in rows]


def _poisson_regression(
    x_fit: np.ndarray, x: np.ndarray, target: np.ndarray, penalty: float, shape: tuple[int, ...]
) -> np.ndarray:
    """Rates of the rows `x`, from one regression a channel of `target`, as an array of `shape`."""
    rates = np.empty((len(x), target.shape[-1]))
    for channel, counts in enumerate(target.reshape(-1, target.shape[-1]).T.astype(np.float64)):
        known = ~np.isnan(counts)
        y = counts[known]
        if not y.any():
            # No finite solution without a spike; half a spike in all that time is the usual guess.
            rates[:, channel] = 0.5 / max(len(y), 1)
            continue
        # In units of the mean count, penalty and tolerance are relative. Newton steps take a few passes over many rows.
        model = PoissonRegressor(alpha=penalty, solver="newton-cholesky", max_iter=50)
        rates[:, channel] = model.fit(x_fit[known], y / y.mean()).predict(x) * y.mean()
    return np.minimum(rates, _LARGEST_RATE).reshape(shape)
