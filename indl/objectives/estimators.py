"""Losses whose gradients are estimates of that of a bound, from densities of samples alone.

``log_p`` is log p(x, z) and ``log_q`` log q(z|x) of K samples a trial, (batch, K), in nats, summed over time and
variables. What a loss *is* says little, as most are surrogates: log the bound with
:func:`~indl.objectives.importance.diagnostics`. Where a function does not say otherwise, samples are constants, drawn
from q, so that discrete and continuous latents are alike. Every loss is one a trial, (batch,), reduced to its
``"mean"`` (the default) or ``"sum"``, or left as it is with ``reduction=None``; published codes of reweighted
wake-sleep sum.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

from indl.objectives.importance import learning_signals, log_bound, mean_of_others, weighted, weights
from indl.text import shown

sg = ops.stop_gradient


def elbo(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-mean_k (log_p - log_q), with samples that are re-parametrised.

    With `log_q` at stopped parameters it is sticking the landing (Roeder et al. 2017, arXiv:1703.09194): the same
    expectation without the part of the gradient whose mean is 0, none at all where q is the posterior.
    """
    log_f, _ = _checked(log_p, log_q)
    return _reduced(-ops.mean(log_f, axis=-1), reduction)


def score_elbo(log_p: Any, log_q: Any, baseline: str | None = None, reduction: str | None = "mean") -> Any:
    """-mean_k [log_p + sg(log_p - log_q - b_k) log_q], REINFORCE.

    Args:
        log_p, log_q: densities of the samples, (batch, K).
        baseline: ``"leave_one_out"``: b_k is the mean of the other samples, which costs no bias; None: 0.
        reduction: see the module.

    Raises:
        ValueError: another baseline, or one sample with the one that needs several.
    """
    log_f, log_q = _checked(log_p, log_q, _samples_of(baseline))
    signal = log_f if baseline is None else log_f - mean_of_others(log_f)
    return _reduced(-ops.mean(log_p + sg(signal) * log_q, axis=-1), reduction)


def reward_to_go(log_p: Any, log_q: Any, baseline: str | None = "leave_one_out", reduction: str | None = "mean") -> Any:
    """:func:`score_elbo` of sequences, where a step pays for what comes at and after it alone.

    It is unbiased where a step of q depends on nothing that its latents have not caused before it, and p is causal.

    Args:
        log_p, log_q: densities of every step given those before it, (batch, K, time).
        baseline: of each step; see :func:`score_elbo`.
        reduction: see the module.
    """
    least = _samples_of(baseline)
    log_p, log_q = ops.convert_to_tensor(log_p), ops.convert_to_tensor(log_q)
    if len(log_p.shape) != 3 or len(log_q.shape) != 3:
        raise ValueError(
            f"Densities of steps have an axis of time. Given: shapes {tuple(log_p.shape)} and {tuple(log_q.shape)}. "
            "Pass (batch, samples, time)."
        )
    steps = ops.moveaxis(log_p - log_q, -1, 1)
    _checked(steps[:, 0], steps[:, 0], least)
    to_go = ops.flip(ops.cumsum(ops.flip(steps, axis=1), axis=1), axis=1)
    signal = to_go if baseline is None else to_go - mean_of_others(to_go)
    paid = sg(signal) * ops.moveaxis(log_q, -1, 1)
    return _reduced(-ops.mean(ops.sum(log_p, axis=-1) + ops.sum(paid, axis=1), axis=-1), reduction)


class Moments(NamedTuple):
    """Running mean and variance of NVIL's signals, scalars."""

    mean: Any = 0.0
    variance: Any = 0.0


class NVIL(NamedTuple):
    """What :func:`nvil` gives.

    Attributes:
        loss: to be minimised in the parameters of p, q and the baseline.
        moments: running moments with this batch, for the next call.
        signal: learning signal of every sample, (batch, K).
    """

    loss: Any
    moments: Moments
    signal: Any


def nvil(
    log_p: Any,
    log_q: Any,
    baseline: Any,
    moments: Moments | None = None,
    decay: float = 0.8,
    reduction: str | None = "mean",
) -> NVIL:
    """Neural variational inference and learning (Mnih and Gregor 2014, arXiv:1402.0030); one sample is enough.

    -mean_k [log_p + sg(s) log_q + sg(s) C(x)], s = (log_p - log_q - C(x) - c) / max(1, sd) with running mean c and
    standard deviation sd, which take in the batch before they are used.

    Args:
        log_p, log_q: densities of the samples, (batch, K).
        baseline: C(x), a network's estimate of the signal, (batch,).
        moments: those that the last call gave; None: zeros, before the first.
        decay: share of the past in them.
        reduction: see the module.
    """
    log_f, log_q = _checked(log_p, log_q)
    baseline, before = ops.convert_to_tensor(baseline)[:, None], moments or Moments()
    centred = sg(log_f - baseline)
    mean = decay * before.mean + (1 - decay) * ops.mean(centred)
    variance = decay * before.variance + (1 - decay) * ops.var(centred)
    signal = (centred - mean) / ops.maximum(1.0, ops.sqrt(variance))
    loss = -ops.mean(log_p + signal * log_q + signal * baseline, axis=-1)
    return NVIL(_reduced(loss, reduction), Moments(mean, variance), signal)


def vimco(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-sum_k [sg(w_k) (log_p - log_q) + sg(s_k) log_q] (Mnih and Rezende 2016, arXiv:1602.06725).

    w are the :func:`~indl.objectives.importance.weights` and s the
    :func:`~indl.objectives.importance.learning_signals`; unbiased for the K-sample bound.

    Raises:
        ValueError: one sample, which has no others to be compared with.
    """
    log_f, log_q = _checked(log_p, log_q, 2)
    share, signal = sg(weights(log_f)), sg(learning_signals(log_f))
    return _reduced(-weighted(share, log_f) - weighted(signal, log_q), reduction)


def iwae(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """Minus the K-sample bound, with samples that are re-parametrised (Burda et al. 2016, arXiv:1509.00519)."""
    log_f, _ = _checked(log_p, log_q)
    return _reduced(-log_bound(log_f), reduction)


def score_iwae(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-[sum_k sg(w_k) (log_p - log_q) + sg(L) sum_k log_q]: VIMCO's expectation without its baselines, far noisier."""
    log_f, log_q = _checked(log_p, log_q)
    bound = sg(log_bound(log_f))
    return _reduced(-weighted(sg(weights(log_f)), log_f) - bound * ops.sum(log_q, axis=-1), reduction)


def wake_theta(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-sum_k sg(w_k) log_p, for the parameters of p (Bornschein and Bengio 2015, arXiv:1406.2751).

    `log_q` is the density under what the samples were drawn from, be it q or not; unbiased for the K-sample bound.
    """
    log_f, _ = _checked(log_p, log_q)
    return _reduced(-weighted(sg(weights(log_f)), ops.convert_to_tensor(log_p)), reduction)


def wake_phi(log_p: Any, log_q: Any, log_proposal: Any = None, reduction: str | None = "mean") -> Any:
    """-sum_k sg(w_k) log_q, for the parameters of q: minimises KL(p(z|x) || q), with a bias of order 1/K.

    Args:
        log_p, log_q: densities of the samples, (batch, K).
        log_proposal: density under what the samples were drawn from, (batch, K), such as :func:`defensive` gives;
            None: q.
        reduction: see the module.
    """
    log_f, _ = _checked(log_p, log_q if log_proposal is None else log_proposal)
    return _reduced(-weighted(sg(weights(log_f)), ops.convert_to_tensor(log_q)), reduction)


def sleep_phi(log_q: Any, reduction: str | None = "mean") -> Any:
    """-log_q of dreams (x, z) ~ p, for the parameters of q: minimises KL(p(z|x) || q) over the model's own x.

    Args:
        log_q: density of every dream, (batch,) or (batch, K).
        reduction: see the module; of K of a trial it is the sum.
    """
    log_q = ops.convert_to_tensor(log_q)
    return _reduced(-(ops.sum(log_q, axis=-1) if len(log_q.shape) == 2 else log_q), reduction)


def defensive(log_q: Any, log_fixed: Any, delta: float) -> Any:
    """log[(1 - delta) q + delta r], the proposal of delta-wake, with which q never loses a region for good.

    Le et al. 2019 (arXiv:1805.10469). A sample is one of r with probability delta, else one of q.

    Args:
        log_q: density under q.
        log_fixed: density under a fixed r, of the same shape.
        delta: share of r, between 0 and 1.

    Raises:
        ValueError: another share.
    """
    if not 0 < delta < 1:
        raise ValueError(
            f"A share lies between 0 and 1. Given: delta={shown(delta)}. Without the fixed proposal use log_q itself."
        )
    return ops.logaddexp(math.log1p(-delta) + log_q, math.log(delta) + log_fixed)


def stl_iwae(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-sum_k sg(w_k) (log_p - log_q), re-parametrised, `log_q` at stopped parameters: **biased** for several samples.

    It is here for comparison; :func:`dreg_iwae` is the same idea without the bias.
    """
    log_f, _ = _checked(log_p, log_q)
    return _reduced(-weighted(sg(weights(log_f)), log_f), reduction)


def dreg_iwae(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-sum_k sg(w_k^2) (log_p - log_q), re-parametrised, for the parameters of q (Tucker et al. 2019, 1810.04152).

    Unbiased for the K-sample bound; its signal does not drown in noise as K grows, as that of :func:`iwae` does. p has
    :func:`wake_theta`.

    Args:
        log_p: log p(x, z), (batch, K).
        log_q: log q(z|x) at stopped parameters, (batch, K).
        reduction: see the module.
    """
    log_f, _ = _checked(log_p, log_q)
    return _reduced(-weighted(sg(ops.square(weights(log_f))), log_f), reduction)


def dreg_wake_phi(log_p: Any, log_q: Any, reduction: str | None = "mean") -> Any:
    """-sum_k sg(w_k - w_k^2) (log_p - log_q): :func:`wake_phi` of re-parametrised samples, `log_q` as there stopped."""
    log_f, _ = _checked(log_p, log_q)
    share = weights(log_f)
    return _reduced(-weighted(sg(share - ops.square(share)), log_f), reduction)


def _samples_of(baseline: str | None) -> int:
    """How many samples a baseline needs."""
    if baseline not in (None, "leave_one_out"):
        raise ValueError(f"There is no such baseline. Given: baseline={baseline!r}. Use 'leave_one_out' or None.")
    return 1 if baseline is None else 2


def _checked(log_p: Any, log_q: Any, least: int = 1) -> tuple[Any, Any]:
    """log_p - log_q and log_q, where they are (batch, K) with so many samples."""
    log_p, log_q = ops.convert_to_tensor(log_p), ops.convert_to_tensor(log_q)
    shapes = tuple(log_p.shape), tuple(log_q.shape)
    if shapes[0] != shapes[1] or len(shapes[0]) != 2:
        raise ValueError(
            f"Densities are those of the same samples of each trial. Given: shapes {shapes[0]} and {shapes[1]}. Pass "
            "both as (batch, samples), summed over time and variables."
        )
    if shapes[0][1] is None or shapes[0][1] < least:
        raise ValueError(
            f"The estimate compares the samples of a trial, and needs {least} of them. Given: densities of shape "
            f"{shapes[0]}. Draw more samples, or take one of nvil, score_elbo or elbo."
        )
    return log_p - log_q, log_q


def _reduced(loss: Any, reduction: str | None) -> Any:
    if reduction is None:
        return loss
    if reduction not in ("mean", "sum"):
        raise ValueError(f"There is no such reduction. Given: {reduction!r}. Use 'mean', 'sum' or None.")
    return ops.mean(loss) if reduction == "mean" else ops.sum(loss)
