"""What smoothed spikes achieve under the scores of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indl.metrics.cosmoothing_baselines import PENALTIES, SDS_S, are_counts, cosmoothing_baseline
from indl.metrics.latent_r2 import latent_r2
from indl.metrics.rate_scores import rate_r2_flat, rate_r2_per_channel
from indl.metrics.smooth_observed import channel_means, smooth_observed

if TYPE_CHECKING:
    from indl.data import Recording

# Held-out channels that choose the settings for all: this baseline is fitted beside every model that is scored.
_N_CHOOSING = 8


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


def smoothing_baseline(
    recording: Recording,
    *,
    sds_s: Sequence[float] = SDS_S,
    penalties: Sequence[float] = PENALTIES,
    n_folds: int = 3,
    seed: int = 0,
) -> SmoothingBaseline:
    """Score smoothed spikes on the validation part; everything is chosen on the training part.

    Args:
        recording: A `Recording`. Rates are scored if it has `truth`, latents if it has
            `latents`, co-smoothing (the "GLM" of :func:`cosmoothing_baseline`, whose settings at most 8 channels
            choose) if it has counts and held-out channels.
        sds_s: Standard deviations of the Gaussian kernel to choose from, in seconds.
        penalties: Penalties of the Poisson regression to choose from, relative to a channel's mean
            count per bin.
        n_folds: Folds over training trials for choosing the regression.
        seed: Seed of the folds, of the channels they use and of the bootstrap.

    Returns:
        A `SmoothingBaseline`.

    Raises:
        ValueError: If there are fewer training trials than folds.
    """
    scores: dict[str, Any] = {}
    if recording.train.truth is not None:
        scores |= score_rates(recording, sds_s)
    if recording.train.latents is not None:
        scores |= score_latents(recording, sds_s)
    if recording.n_heldout and are_counts(recording):
        scores |= score_heldout(recording, sds_s, penalties, n_folds, seed)
    return SmoothingBaseline(**scores)


def score_rates(recording: Recording, sds_s: Sequence[float] = SDS_S) -> dict[str, float]:
    """The fields of :class:`SmoothingBaseline` that true rates give."""
    train, valid = recording.train, recording.valid
    fill = channel_means(train.recon)

    def smoothed(counts: np.ndarray, sd_s: float) -> np.ndarray:
        return smooth_observed(counts, sd_s / recording.bin_width_s, fill)

    best = max(sds_s, key=lambda sd_s: rate_r2_per_channel(smoothed(train.recon, sd_s), train.truth))
    rates = smoothed(valid.recon, best)
    return {
        "rate_r2_per_channel": rate_r2_per_channel(rates, valid.truth),
        "rate_r2_flat": rate_r2_flat(rates, valid.truth),
        "rate_sd_s": best,
    }


def score_latents(recording: Recording, sds_s: Sequence[float] = SDS_S) -> dict[str, Any]:
    """The fields that true latents give."""
    train, valid, n_times = recording.train, recording.valid, recording.n_times
    latents = train.latents[:, :n_times]
    roots = [np.sqrt(part.encod) for part in (train, valid)]
    fill = channel_means(roots[0])

    def smoothed(sd_s: float) -> list[np.ndarray]:
        return [smooth_observed(part, sd_s / recording.bin_width_s, fill) for part in roots]

    def score(sd_s: float) -> float:
        factors, _ = smoothed(sd_s)
        return latent_r2(factors, latents, factors, latents).mean()

    best = max(sds_s, key=score)
    fitted, scored = smoothed(best)
    return {"latent_r2": latent_r2(fitted, latents, scored, valid.latents[:, :n_times]), "latent_sd_s": best}


def score_heldout(
    recording: Recording,
    sds_s: Sequence[float] = SDS_S,
    penalties: Sequence[float] = PENALTIES,
    n_folds: int = 3,
    seed: int = 0,
) -> dict[str, Any]:
    """The fields that held-out channels of counts give."""
    grids = {"sd_s": sds_s, "penalty": penalties}
    found = cosmoothing_baseline(recording, "GLM", grids=grids, n_folds=n_folds, n_choosing=_N_CHOOSING, seed=seed)
    chosen = {f"cosmoothing_{name}": value for name, value in found.chosen.items()}
    return {"cosmoothing": found.co_bps, "cosmoothing_se": found.se, **chosen}
