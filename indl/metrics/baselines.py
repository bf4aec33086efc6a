"""What smoothed spikes alone achieve: the numbers a model has to beat."""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import PoissonRegressor
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.data.smoothing import gaussian_smooth
from indl.metrics.latents import latent_r2
from indl.metrics.rates import rate_r2_flat, rate_r2_per_channel
from indl.metrics.spikes import cosmoothing, cosmoothing_se, poisson_nll

SDS_S = (0.02, 0.05, 0.1, 0.15)
PENALTIES = (0.01, 0.1, 0.3, 1.0, 3.0)
_MAX_CV_CHANNELS = 8


class SmoothingBaseline(NamedTuple):
    """Validation scores of smoothed spikes; None where the recording has no such truth.

    Attributes:
        rate_r2_per_channel: `rate_r2_per_channel` of the smoothed counts.
        rate_r2_flat: `rate_r2_flat` of the smoothed counts.
        rate_sd_s: Smoothing that was chosen for both, in seconds.
        latent_r2: `latent_r2` from smoothed square-root counts of all held-in channels.
        latent_sd_s: Smoothing that was chosen for it, in seconds.
        cosmoothing: Bits per spike of held-out channels from a Poisson regression.
        cosmoothing_se: Its bootstrap standard error over validation trials.
        cosmoothing_sd_s: Smoothing that was chosen for it, in seconds.
        cosmoothing_penalty: Penalty of the regression that was chosen.
    """

    rate_r2_per_channel: float | None = None
    rate_r2_flat: float | None = None
    rate_sd_s: float | None = None
    latent_r2: np.ndarray | None = None
    latent_sd_s: float | None = None
    cosmoothing: float | None = None
    cosmoothing_se: float | None = None
    cosmoothing_sd_s: float | None = None
    cosmoothing_penalty: float | None = None


def smoothing_baseline(recording, *, sds_s=SDS_S, penalties=PENALTIES, n_folds=3, seed=0):
    """Score smoothed spikes on the validation part; everything is chosen on the training part.

    Args:
        recording: A `Recording`. Rates are scored if it has `truth`, latents if it has
            `latents`, co-smoothing if it has held-out channels.
        sds_s: Standard deviations of the Gaussian kernel to choose from, in seconds.
        penalties: Penalties of the Poisson regression to choose from, relative to a channel's mean
            count per bin, so that they mean the same at every bin width and firing rate.
        n_folds: Folds over training trials for choosing the regression.
        seed: Seed of the folds, of the channels they use and of the bootstrap.

    Returns:
        A `SmoothingBaseline`.

    Raises:
        ValueError: If there are fewer training trials than folds.
    """
    scores = {}
    if recording.train.truth is not None:
        scores |= _score_rates(recording, sds_s)
    if recording.train.latents is not None:
        scores |= _score_latents(recording, sds_s)
    if recording.n_heldout:
        # Hundreds of small products: the threads of BLAS cost more time than they save.
        with threadpool_limits(limits=1):
            scores |= _score_cosmoothing(recording, sds_s, penalties, n_folds, seed)
    return SmoothingBaseline(**scores)


def _score_rates(recording, sds_s):
    train, valid = recording.train, recording.valid

    def score(sd_s):
        smoothed = gaussian_smooth(train.recon, sd_s / recording.bin_width_s)
        return rate_r2_per_channel(smoothed, train.truth)

    best = max(sds_s, key=score)
    smoothed = gaussian_smooth(valid.recon, best / recording.bin_width_s)
    return {
        "rate_r2_per_channel": rate_r2_per_channel(smoothed, valid.truth),
        "rate_r2_flat": rate_r2_flat(smoothed, valid.truth),
        "rate_sd_s": best,
    }


def _score_latents(recording, sds_s):
    train, valid = recording.train, recording.valid
    n_times = recording.n_times

    def smoothed(split, sd_s):
        return gaussian_smooth(np.sqrt(split.encod), sd_s / recording.bin_width_s)

    def score(sd_s):
        factors, latents = smoothed(train, sd_s), train.latents[:, :n_times]
        return latent_r2(factors, latents, factors, latents).mean()

    best = max(sds_s, key=score)
    r2 = latent_r2(smoothed(train, best), train.latents[:, :n_times], smoothed(valid, best), valid.latents[:, :n_times])
    return {"latent_r2": r2, "latent_sd_s": best}


def _score_cosmoothing(recording, sds_s, penalties, n_folds, seed):
    """Poisson regression of every held-out channel on smoothed, standardised held-in counts."""
    train, valid, n_heldin = recording.train, recording.valid, recording.n_heldin
    n_times, bin_width_s = recording.n_times, recording.bin_width_s
    if len(train) < n_folds:
        raise ValueError(
            f"Choosing the regression needs a training trial a fold. Got {len(train)} trials and "
            f"n_folds {n_folds}. Lower n_folds or use more trials."
        )
    targets = train.recon[:, :n_times, n_heldin:]
    rng = np.random.default_rng(seed)
    # One smoothing and penalty serve all channels; a few of them are enough to choose it.
    some = rng.permutation(recording.n_heldout)[:_MAX_CV_CHANNELS]
    folds = list(KFold(n_folds, shuffle=True, random_state=seed).split(targets))
    losses = {}
    for sd_s in sds_s:
        features = gaussian_smooth(train.encod, sd_s / bin_width_s)
        for fit, test in folds:
            x_fit, x_test = _standardised(features[fit], features[test])
            for penalty in penalties:
                predicted = _poisson_regression(x_fit, targets[fit][..., some], x_test, penalty)
                loss = poisson_nll(predicted, targets[test][..., some])
                losses[sd_s, penalty] = losses.get((sd_s, penalty), 0.0) + loss
    sd_s, penalty = min(losses, key=losses.get)
    x_train, x_valid = _standardised(
        gaussian_smooth(train.encod, sd_s / bin_width_s), gaussian_smooth(valid.encod, sd_s / bin_width_s)
    )
    counts = valid.recon[:, :n_times]
    rates = np.ones(counts.shape)
    rates[..., n_heldin:] = _poisson_regression(x_train, targets, x_valid, penalty)
    return {
        "cosmoothing": cosmoothing(rates, counts, n_heldin),
        "cosmoothing_se": cosmoothing_se(rates, counts, n_heldin, seed=seed),
        "cosmoothing_sd_s": sd_s,
        "cosmoothing_penalty": penalty,
    }


def _standardised(fit, other):
    scaler = StandardScaler().fit(fit.reshape(-1, fit.shape[-1]).astype(np.float64))
    return tuple(scaler.transform(a.reshape(-1, a.shape[-1]).astype(np.float64)).reshape(a.shape) for a in (fit, other))


def _poisson_regression(x_fit, y_fit, x, penalty):
    """Rates of `x` from one regression a channel, (trials, time, channels of `y_fit`)."""
    flat_fit, flat = (a.reshape(-1, a.shape[-1]) for a in (x_fit, x))
    rates = []
    for channel in range(y_fit.shape[-1]):
        y = y_fit[..., channel].ravel().astype(np.float64)
        if not y.any():
            # No finite solution without a spike; half a spike in all that time is the usual guess.
            rates.append(np.full(len(flat), 0.5 / len(y)))
            continue
        # Newton steps: the features are few and the rows many, where they take a few passes.
        model = PoissonRegressor(alpha=penalty * y.mean(), solver="newton-cholesky", max_iter=50)
        rates.append(model.fit(flat_fit, y).predict(flat))
    return np.stack(rates, axis=-1).reshape(*x.shape[:2], -1)
