"""Checks of the trials of a session: copies, lengths, missing samples, order of the axes, drift."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.stats import spearmanr

from indl.data.checks.findings import Finding, listed
from indl.data.examination.channels import some_channels
from indl.data.examination.statistics import Statistics

_FEW_TRIALS = 20


def trial_pair_findings(s: Statistics, name: str) -> Iterator[Finding]:
    """Trials that are copies of each other."""
    groups = defaultdict(list)
    for i, digest in enumerate(s.digests):
        groups[digest].append(i)
    active = s.sums.any(axis=1)
    copies = [group for group in groups.values() if len(group) > 1 and active[group[0]]]
    if copies:
        n_extra = sum(len(group) - 1 for group in copies)
        yield Finding(
            "warning",
            "duplicated-trials",
            name,
            f"{name} has trials that are identical.",
            f"Given: {n_extra} of {s.shape[0]} trials that repeat another: "
            f"{listed(' = '.join(map(str, group[:4])) for group in copies)}.",
            "Check how the trials were cut; keep one of each.",
            n_extra,
            s.shape[0],
            (copies[0][0], copies[0][1]),
            {"groups": copies},
        )


def missing_findings(s: Statistics, name: str) -> Iterator[Finding]:
    """Samples that were not recorded, and trials of unusual length."""
    n_trials, n_times, n_channels = s.shape
    bins = int(s.lengths.sum())
    n_missing = int(s.missing.sum())
    if n_missing:
        yield Finding(
            "note",
            "missing-samples",
            name,
            f"{name} has samples that were not recorded (NaN).",
            f"Given: {n_missing} of {bins * n_channels} samples ({100 * n_missing / (bins * n_channels):.2g} %).",
            "They leave the loss; nothing has to be done.",
            n_missing,
            bins * n_channels,
            tuple(int(i) for i in np.argwhere(s.missing)[0]),
        )
    per_channel = s.missing.sum(axis=0) / max(bins, 1)
    yield from some_channels(
        "mostly-missing-channels",
        name,
        np.flatnonzero(per_channel > 0.5),
        n_channels,
        f"{name} has channels that are mostly missing",
        f"more than half of their samples, up to {100 * per_channel.max(initial=0):.0f} %",
        "Leave these channels out, or check how the file was made.",
    )
    per_trial = s.missing.sum(axis=1) / np.maximum(s.lengths * n_channels, 1)
    mostly = np.flatnonzero(per_trial > 0.5)
    if mostly.size:
        yield _trials("mostly-missing-trials", name, mostly, n_trials, "that are mostly missing", "Leave them out.")
    usual = np.median(s.lengths)
    odd = np.flatnonzero((s.lengths < usual / 3) | (s.lengths > 3 * usual))
    if odd.size:
        what = f"shorter than a third or longer than three times the usual {usual:g} bins"
        yield _trials("odd-lengths", name, odd, n_trials, what, "Check their events; leave them out if they are wrong.")
    if n_times < 5:
        yield Finding(
            "warning",
            "few-bins",
            name,
            f"The trials of {name} are very short.",
            f"Given: {n_times} bin{'s' * (n_times > 1)}.",
            "A sequence model needs some; use a longer window or narrower bins.",
        )
    if n_times > 1000:
        yield Finding(
            "note",
            "many-bins",
            name,
            f"The trials of {name} are very long.",
            f"Given: {n_times} bins.",
            "Training time grows with them; cut them into windows or use wider bins if it takes too long.",
        )


def size_findings(n_trials: int, name: str) -> Iterator[Finding]:
    """Too few trials to fit on."""
    if n_trials < _FEW_TRIALS:
        yield Finding(
            "warning",
            "few-trials",
            name,
            f"{name} has few trials to fit on.",
            f"Given: {n_trials}, fewer than {_FEW_TRIALS}.",
            "Scores will be uncertain and models will overfit; add trials, or cut long ones into windows.",
            n_trials,
        )


def axes_findings(s: Statistics, name: str) -> Iterator[Finding]:
    """Whether time and channels look swapped: neighbouring bins should be more alike than neighbouring channels."""
    mean = s.profile
    if min(mean.shape) < 5 or not np.isfinite(mean).all() or not mean.var() > 0:
        return
    # 2 for independent neighbours, near 0 for smooth ones (von Neumann's ratio).
    along_time, along_channels = (np.mean(np.diff(mean, axis=axis) ** 2) / mean.var() for axis in (0, 1))
    if along_time > 1 and along_channels < 0.5:
        yield Finding(
            "warning",
            "swapped-axes",
            name,
            f"The time and channel axes of {name} look swapped.",
            f"Given: shape {s.shape}, in which neighbouring channels are alike and neighbouring bins are not (mean "
            f"squared differences {along_channels:.2f} and {along_time:.2f} of the variance).",
            "The order is (trials, time, channels): transpose with array.transpose(0, 2, 1) if it is not.",
            details={"along_time": along_time, "along_channels": along_channels},
        )


def drift_findings(s: Statistics, name: str, order: np.ndarray) -> Iterator[Finding]:
    """Rates that change over the session; `order` sorts the trials by time."""
    n_trials = len(order)
    if n_trials < _FEW_TRIALS:
        return
    means, fifth = s.trial_means[order], n_trials // 5
    if np.isfinite(means).all() and np.ptp(means) > 0:
        slope, chance = spearmanr(np.arange(n_trials), means)
        first, last = means[:fifth].mean(), means[-fifth:].mean()
        if abs(slope) > 0.5 and chance < 1e-4 and abs(last - first) > 0.25 * max(abs(first), abs(last)):
            yield Finding(
                "warning",
                "drift",
                name,
                f"The mean of {name} drifts over the session.",
                f"Given: {first:.4g} in the first fifth of the trials and {last:.4g} in the last (rank correlation "
                f"with the order {slope:.2f}).",
                "Check for a loss of signal or blocks of conditions; split the trials at random or in blocks, or leave "
                "the changed part out.",
                details={"first": first, "last": last, "correlation": slope},
            )
    lost = [i for i in range(s.shape[2]) if _falls_silent(s.sums[order, i], s.recorded[order, i])]
    yield from some_channels(
        "unstable-channels",
        name,
        np.array(lost, int),
        s.shape[2],
        f"{name} has channels that are silent for more than a fifth of the session at a stretch but active else",
        "",
        "Units were probably lost or found on the way; leave them out, or set the silent stretch to missing (NaN).",
    )


def _falls_silent(spikes: np.ndarray, bins: np.ndarray) -> bool:
    """Whether the longest run of trials without a spike is long, and far from chance at the channel's rate."""
    if not spikes.any():
        return False
    edges = np.concatenate([[-1], np.flatnonzero(spikes), [len(spikes)]])
    longest = np.argmax(np.diff(edges))
    run = slice(edges[longest] + 1, edges[longest + 1])
    expected = bins[run].sum() * spikes.sum() / max(bins.sum(), 1)
    return run.stop - run.start > len(spikes) / 5 and expected > 50


def _trials(code, name, which, total, what, advice) -> Finding:
    return Finding(
        "warning",
        code,
        name,
        f"{name} has trials {what}.",
        f"Given: {len(which)} of {total} trials: {listed(which)}.",
        advice,
        len(which),
        total,
        (int(which[0]),),
        {"trials": which},
    )
