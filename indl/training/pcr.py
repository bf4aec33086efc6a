"""Read-ins and read-outs that give several sessions the same factors at the start: principal components regression."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from indl.data.checks.arrays import check_bin_width, check_whole
from indl.metrics.psth import psth
from indl.text import shown

READOUTS = ("pinv", "transpose")
BIASES = ("log_mean", "mean")
# A channel that never fired still needs a log rate; the read-out of the model has the same floor.
_LEAST_COUNT = 1e-4


class SessionWeights(NamedTuple):
    """Affine maps of one session of N channels to and from K shared components.

    Attributes:
        readin_weight: (N, K).
        readin_bias: (K,); channels at their means are read in as zero.
        readout_weight: (K, N).
        readout_bias: (N,), see `bias` of :func:`principal_components_regression`.
    """

    readin_weight: np.ndarray
    readin_bias: np.ndarray
    readout_weight: np.ndarray
    readout_bias: np.ndarray


class Alignment(NamedTuple):
    """What several sessions have in common.

    Attributes:
        components: the shared components of the condition averages, (conditions, time, K), centred.
        explained: share of the variance of all sessions' averages that each component has, (K,).
        sessions: the maps of each session, in the order given.
    """

    components: np.ndarray
    explained: np.ndarray
    sessions: tuple[SessionWeights, ...]


def condition_averages(
    counts: np.ndarray, labels: np.ndarray, bin_width_s: float, smoothing_s: float = 0.02
) -> np.ndarray:
    """Smoothed averages of the trials of each condition of one session.

    Args:
        counts: counts a bin, (trials, time, channels); NaN marks missing samples. Of a recording,
            ``recording.train.encod``: validation trials must not shape the model.
        labels: condition of each trial, (trials,): 0, 1, ..., with the same meaning in every session.
        bin_width_s: width of a bin in seconds.
        smoothing_s: standard deviation of the Gaussian kernel in seconds; 0 does not smooth.

    Returns:
        Counts a bin, (largest label + 1, time, channels), float64; NaN for a condition without trials.

    Raises:
        ValueError: a bin width or kernel that cannot be, or not one index of a condition for each trial.
    """
    width = check_bin_width(bin_width_s)
    if not isinstance(smoothing_s, numbers.Real) or not math.isfinite(smoothing_s) or smoothing_s < 0:
        raise ValueError(
            f"The kernel's width must be a number of seconds, 0 or more. Given: smoothing_s={shown(smoothing_s)}. "
            "Use 0.02 for 20 ms."
        )
    return psth(counts, labels, smoothing_s / width)


def principal_components_regression(
    psths: Sequence[np.ndarray],
    n_components: int,
    *,
    penalty: float = 1.0,
    readout: str = "pinv",
    bias: str = "log_mean",
) -> Alignment:
    """Read-in and read-out of each session such that all sessions begin with the same factors.

    The averages of all sessions are joined along channels and centred; their first principal components are the shared
    target. Ridge regression without intercept from the centred averages of a session to it is the session's read-in
    (LFADS; Pandarinath et al. 2018). The largest loading of every component is positive, so signs do not depend on the
    machine.

    Args:
        psths: for each session its condition averages in counts a bin, (conditions, time, channels), from
            :func:`condition_averages`; the same conditions and bins in every session.
        n_components: number K of shared components. LFADS keeps about 90 % of the variance.
        penalty: of the ridge regression, more than 0.
        readout: ``"pinv"``: the pseudo-inverse of the read-in, or ``"transpose"``, which has no large weights where
            the read-in is ill-conditioned.
        bias: of the read-out. ``"log_mean"``: log of the mean counts a bin (at least 1e-4), because the read-out makes
            log rates: zero factors then give the mean rates. ``"mean"``: the mean counts themselves, as LFADS
            has it, and for signals with a Gaussian read-out; read as a log rate they give exp(mean).

    Raises:
        ValueError: sessions of other conditions or bins, a condition that a session lacks, more components than the
            averages have, or an option that is not known.

    Example:
        >>> import numpy as np
        >>> from indl.training.pcr import principal_components_regression
        >>> time = np.linspace(0, 1, 20)[None, :, None]
        >>> sessions = [1 + time * np.ones((3, 1, 4)), 2 - time * np.ones((3, 1, 2))]
        >>> found = principal_components_regression(sessions, 1)
        >>> [weights.readin_weight.shape for weights in found.sessions], found.explained.round(6).tolist()
        ([(4, 1), (2, 1)], [1.0])
    """
    for name, value, choices in (("readout", readout, READOUTS), ("bias", bias, BIASES)):
        if value not in choices:
            raise ValueError(
                f"The {name} has no such kind. Given: {name}={shown(value)}. Choose one of {', '.join(choices)}."
            )
    if not isinstance(penalty, numbers.Real) or not 0 < penalty < math.inf:
        raise ValueError(
            f"The ridge penalty must be a positive number. Given: penalty={shown(penalty)}. Use 1.0, as LFADS does."
        )
    k = check_whole(n_components, "n_components", 1)
    tables, shape = _tables(psths)
    least = [table.min() for table in tables]
    if bias == "log_mean" and min(least) < 0:
        raise ValueError(
            f"Averages of counts are not negative. Given: {min(least):.4g} in session {np.argmin(least)}. Give counts "
            "a bin, neither centred nor as log rates, or bias='mean' for signals."
        )
    means = [table.mean(axis=0) for table in tables]
    centred = [table - mean for table, mean in zip(tables, means, strict=True)]
    u, s, vt = np.linalg.svd(np.concatenate(centred, axis=1), full_matrices=False)
    # What centring leaves of a constant is rounding.
    rounding = max(u.shape[0], vt.shape[1]) * np.finfo(float).eps * math.hypot(*map(np.linalg.norm, tables))
    possible = int((s > rounding).sum())
    if k > possible:
        raise ValueError(
            f"The averages do not have that many components. Given: n_components={k} for {possible} of {len(u)} "
            f"conditions and bins by {vt.shape[1]} channels. Ask for fewer, or average more conditions."
        )
    signs = np.sign(vt[np.arange(k), np.abs(vt[:k]).argmax(axis=1)])
    target = u[:, :k] * (s[:k] * signs)
    sessions = []
    for x, mean in zip(centred, means, strict=True):
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(len(mean)), x.T @ target)
        back = np.linalg.pinv(weight) if readout == "pinv" else weight.T.copy()
        level = mean if bias == "mean" else np.log(np.maximum(mean, _LEAST_COUNT))
        sessions.append(SessionWeights(weight, -mean @ weight, back, level))
    return Alignment(target.reshape(*shape, k), (s**2 / (s**2).sum())[:k], tuple(sessions))


def _tables(psths: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[int, int]]:
    """The averages of each session, (conditions times bins, channels), and their conditions and bins."""
    if isinstance(psths, np.ndarray) or not isinstance(psths, Sequence) or not psths:
        raise ValueError(
            f"Averages must come as a list with one array a session. Given: {type(psths).__name__}. "
            "Write [averages] for a single session."
        )
    arrays = [np.asarray(psth, np.float64) for psth in psths]
    for i, array in enumerate(arrays):
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(
                f"Averages must be (conditions, time, channels). Given: shape {array.shape} in session {i}. "
                "Make them with condition_averages."
            )
        if array.shape[:2] != arrays[0].shape[:2]:
            raise ValueError(
                "Every session must have the same conditions and bins. Given: "
                f"{_size(array)} in session {i}, {_size(arrays[0])} in session 0. Number the conditions alike, keep "
                "those that every session has, and cut the trials to one length."
            )
        absent = np.flatnonzero(np.isnan(array).all(axis=(1, 2)))
        if absent.size:
            raise ValueError(
                f"A session lacks a condition. Given: no trials of condition {absent[0]} in session {i} "
                f"({absent.size} of {len(array)} conditions are missing). Keep the conditions that every session has, "
                "as in [averages[shared] for averages in psths]."
            )
        if not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))
            raise ValueError(
                f"Averages must be finite. Given: {len(bad)} values that are not, the first in session {i}, condition "
                f"{bad[0][0]}, bin {bad[0][1]}, channel {bad[0][2]}. Leave out bins and channels without samples."
            )
    return [array.reshape(-1, array.shape[2]) for array in arrays], arrays[0].shape[:2]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]} conditions of {array.shape[1]} bins"
