"""How the speed of the population tells the time that an animal produces (timing tasks)."""

import numpy as np
from scipy.stats import pearsonr


def speed_interval_correlation(rates, inside, condition, interval):
    """Correlation of neural speed with the produced interval ("tp corr").

    The score of the Neural Latents Benchmark for its timing task, where slow trials are those in which the population
    moves slowly. The speed of a trial is the mean over time of the Euclidean norm of the change of the rates from
    one bin to the next.

    Args:
        rates: Inferred rates, (trials, time, channels).
        inside: Which bins lie in the timed interval (from set to go), (trials, time) bool. The benchmark marks the
            others by NaN in the held-out counts: ``~np.isnan(counts[..., 0])``.
        condition: Condition of each trial, (trials,) or (trials, properties); the benchmark's are prior, response
            modality and direction. Trials with NaN are left out.
        interval: Produced interval of each trial, (trials,), in any unit. Trials with NaN are left out.

    Returns:
        Pearson's correlation of speed and interval within each condition, then the mean over conditions. Negative
        for a good model. NaN if speeds or intervals of a condition are all alike.

    Raises:
        ValueError: If shapes do not fit, a trial has less than two bins inside or rates there that are not finite, or
            a condition has less than two trials.
    """
    rates, inside = np.asarray(rates, np.float64), np.asarray(inside, bool)
    condition, interval = np.asarray(condition, np.float64), np.asarray(interval, np.float64)
    condition = condition.reshape(len(condition), -1)
    if rates.ndim != 3 or inside.shape != rates.shape[:2] or not len(condition) == len(rates) == interval.size:
        raise ValueError(
            "rates must be (trials, time, channels), inside (trials, time), and condition and interval must have one "
            f"entry a trial. Given: {rates.shape}, {inside.shape}, {condition.shape} and {interval.shape}. Select the "
            "same trials and bins for all."
        )
    used = np.flatnonzero(~np.isnan(condition).any(axis=1) & ~np.isnan(interval))
    speed = np.array([_speed(rates[trial, inside[trial]], trial) for trial in used])
    groups, member = np.unique(condition[used], axis=0, return_inverse=True)
    few = np.flatnonzero(np.bincount(member.ravel(), minlength=len(groups)) < 2)
    if few.size or not used.size:
        raise ValueError(
            f"Every condition needs two trials. Given: {len(used)} trials in {len(groups)} conditions, {few.size} of "
            f"them with a single one: {groups[few][:5].tolist()}. Leave those trials out, or merge conditions."
        )
    scores = [
        pearsonr(speed[member.ravel() == group], interval[used][member.ravel() == group]).statistic
        for group in range(len(groups))
    ]
    return float(np.mean(scores))


def _speed(rates, trial):
    if len(rates) < 2 or not np.isfinite(rates).all():
        raise ValueError(
            f"The speed of a trial needs finite rates in two bins of the interval. Given: {len(rates)} bins, "
            f"{int((~np.isfinite(rates)).sum())} rates that are not finite, in trial {trial}. Leave the trial out by "
            "NaN in interval."
        )
    return np.linalg.norm(np.diff(rates, axis=0), axis=1).mean()
