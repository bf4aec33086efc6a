"""What a recording yields without a model of dynamics: the numbers a model has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from indl.metrics.cosmoothing_baselines import METHODS, SDS_S, CosmoothingBaseline, are_counts, cosmoothing_baseline
from indl.metrics.decoding import Decoding, ridge_decoding
from indl.metrics.smooth_observed import channel_means, smooth_observed
from indl.metrics.targets import TargetDecoding, target_decoding

if TYPE_CHECKING:
    from indl.data import Recording

#: Lags to choose from, first and last, in seconds: sensory areas follow behaviour by a little, motor areas lead it.
LAG_RANGE_S = (-0.04, 0.16)


class Baselines(NamedTuple):
    """Result of `fit_baselines`; a part that the recording does not allow is None, and said in `left_out`.

    Attributes:
        cosmoothing: Co-smoothing, one entry a method.
        behavior: Behaviour decoded from smoothed counts.
        behavior_sd_s: Smoothing of those counts, in seconds.
        behavior_lag_s: By how much behaviour is later than the counts it is decoded from, in seconds.
        targets: Condition of a trial told from its counts.
        left_out: What was left out, and why.
    """

    cosmoothing: tuple[CosmoothingBaseline, ...] = ()
    behavior: Decoding | None = None
    behavior_sd_s: float | None = None
    behavior_lag_s: float | None = None
    targets: TargetDecoding | None = None
    left_out: dict[str, str] = {}  # noqa: RUF012

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A table of everything: score, method, value with standard error, settings."""
        found = []
        for entry in self.cosmoothing:
            chosen = _in_words(**entry.chosen)
            found.append(("co-bps", entry.name, f"{entry.co_bps:.4f} +- {entry.se:.4f}", chosen))
        if self.behavior is not None:
            each = ", ".join(f"{r2:.2f}" for r2 in self.behavior.r2_per_dim)
            chosen = _in_words(sd_s=self.behavior_sd_s, penalty=self.behavior.penalty, lag_s=self.behavior_lag_s)
            value = f"{self.behavior.r2:.3f} +- {self.behavior.se:.3f} ({each})"
            found.append(("behaviour R2", "ridge", value, chosen))
        if self.targets is not None:
            value = f"{self.targets.accuracy:.2f} +- {self.targets.se:.2f}"
            found.append(("condition accuracy", "logistic", value, f"chance {self.targets.chance:.2f}"))
        return found

    def as_dict(self) -> dict[str, Any]:
        """The scores and settings as nested dicts, lists and numbers; without decoded behaviour."""
        found = self._asdict()
        found["cosmoothing"] = [entry._asdict() for entry in self.cosmoothing]
        if self.behavior is not None:
            found["behavior"] = {**self.behavior._asdict(), "r2_per_dim": self.behavior.r2_per_dim.tolist()}
            del found["behavior"]["predicted"]
        if self.targets is not None:
            found["targets"] = self.targets._asdict()
        return found


def fit_baselines(
    recording: Recording, *, lag_s: float | None = None, sd_s: float | None = 0.1, seed: int = 0
) -> Baselines:
    """Score every baseline that a recording allows on its validation part; the training part chooses all settings.

    Co-smoothing is :func:`cosmoothing_baseline` by every method. Behaviour is decoded by :func:`ridge_decoding` from
    smoothed counts of all channels, conditions by :func:`target_decoding`.

    Args:
        recording: A recording. Co-smoothing needs counts and held-out channels (PSTH: labels, too), decoding
            needs behaviour, conditions need labels.
        lag_s: By how much behaviour is later than the counts it is decoded from, in seconds. None: chosen from all
            whole bins in `LAG_RANGE_S`.
        sd_s: Smoothing of the counts that behaviour is decoded from, in seconds. None: chosen from
            :data:`~indl.metrics.cosmoothing_baselines.SDS_S`.
        seed: Seed of folds and of the bootstrap.

    Returns:
        A `Baselines`.

    Raises:
        ValueError: If there are fewer than 3 training trials, or too few bins have behaviour.
    """
    found, left_out = Baselines(), {}
    labelled = recording.train.label is not None and recording.valid.label is not None
    reason = "no held-out channels" if not recording.n_heldout else None if are_counts(recording) else "no counts"
    for method in METHODS:
        missing = reason or ("no labels" if method == "PSTH" and not labelled else None)
        if missing:
            left_out[f"co-smoothing, {method}"] = missing
        else:
            entry = cosmoothing_baseline(recording, method, seed=seed)
            found = found._replace(cosmoothing=(*found.cosmoothing, entry))
    if recording.train.behavior is None or recording.valid.behavior is None:
        left_out["behaviour"] = "no behaviour"
    else:
        decoded, sd_s = _decode(recording, lag_s, SDS_S if sd_s is None else [sd_s], seed)
        lag_s = decoded.lag_bins * recording.bin_width_s
        found = found._replace(behavior=decoded, behavior_sd_s=sd_s, behavior_lag_s=lag_s)
    if not labelled or len(np.unique(recording.train.label)) < 2:
        left_out["conditions"] = "one label only" if labelled else "no labels"
    elif not are_counts(recording):
        left_out["conditions"] = "no counts"
    else:
        parts = (recording.train, recording.valid)
        counts = [part.recon[:, : recording.n_times] for part in parts]
        targets = target_decoding(counts[0], parts[0].label, counts[1], parts[1].label, seed=seed)
        found = found._replace(targets=targets)
    return found._replace(left_out=left_out)


def _decode(recording: Recording, lag_s: float | None, sds_s: Sequence[float], seed: int) -> tuple[Decoding, float]:
    """Ridge decoding of behaviour, which may end before the forward steps, and the smoothing that was chosen."""
    train, valid, width = recording.train, recording.valid, recording.bin_width_s
    n_times = train.behavior.shape[1]
    if lag_s is None:
        # Whole bins inside the range; a rounding error must not cost the last one.
        first, last = np.ceil(LAG_RANGE_S[0] / width - 1e-9), np.floor(LAG_RANGE_S[1] / width + 1e-9)
        longest = (n_times - 1) // 2
        lags = range(max(int(first), -longest), min(int(last), longest) + 1)
    else:
        lags = [round(lag_s / width)]

    def decoded(sd_s: float) -> Decoding:
        fill = channel_means(train.recon)
        x_train, x_valid = (smooth_observed(part.recon, sd_s / width, fill)[:, :n_times] for part in (train, valid))
        return ridge_decoding(x_train, train.behavior, x_valid, valid.behavior, lags, seed=seed)

    found = {sd_s: decoded(sd_s) for sd_s in sds_s}
    best = max(found, key=lambda sd_s: found[sd_s].cv_r2)
    return found[best], best


def _in_words(
    sd_s: float, penalty: float | None = None, n_factors: int | None = None, lag_s: float | None = None
) -> str:
    parts = [f"{1000 * sd_s:g} ms"]
    parts += [] if n_factors is None else [f"{n_factors} factors"]
    parts += [] if penalty is None else [f"penalty {penalty:.4g}"]
    parts += [] if lag_s is None else [f"lag {1000 * lag_s:.0f} ms"]
    return ", ".join(parts)
