"""Several samples a trial weighted against each other: importance weights, bounds and what a sample adds to them.

All functions take ``log_f = log p(x, z) - log q(z|x)`` of K samples a trial, (..., K), in nats. A sample of zero
density, ``-inf``, has weight 0 and gradient 0; NaN and +inf, which are no densities, stay what they are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

_MINUS_INF = float("-inf")


class Diagnostics(NamedTuple):
    """What K samples tell of each trial, (...,).

    Attributes:
        elbo: mean of log_f, the bound of one sample.
        bound: the K-sample bound.
        gap: bound - elbo.
        ess: effective number of samples, from 1 to K.
    """

    elbo: Any
    bound: Any
    gap: Any
    ess: Any


def log_bound(log_f: Any) -> Any:
    """The K-sample bound log mean_k exp(log_f), (...,) (Burda et al. 2016, arXiv:1509.00519, eq. 8)."""
    total, top = _sum_of_exponentials(log_f)
    empty = ops.equal(total, 0)
    found = ops.log(ops.where(empty, 1.0, total)) + top[..., 0] - math.log(log_f.shape[-1])
    return ops.where(empty, _MINUS_INF, found)


def weights(log_f: Any) -> Any:
    """The samples' shares of the bound, softmax over K, (..., K); all 0 where no sample has any density."""
    total, top = _sum_of_exponentials(log_f)
    return ops.exp(log_f - top) / ops.where(ops.equal(total, 0), 1.0, total)[..., None]


def _sum_of_exponentials(log_f: Any) -> tuple[Any, Any]:
    top = ops.stop_gradient(ops.max(log_f, axis=-1, keepdims=True))
    top = ops.where(ops.equal(top, _MINUS_INF), 0.0, top)
    return ops.sum(ops.exp(log_f - top), axis=-1), top


def effective_samples(log_f: Any) -> Any:
    """1 / sum_k w_k^2, (...,), 0 where no sample has any density."""
    square = ops.sum(ops.square(weights(log_f)), axis=-1)
    return ops.where(ops.equal(square, 0), 0.0, 1 / ops.where(ops.equal(square, 0), 1.0, square))


def mean_of_others(values: Any) -> Any:
    """Of each sample the mean of the other ones that are not -inf, (..., K); -inf where there is none."""
    alive = ops.cast(ops.not_equal(values, _MINUS_INF), values.dtype)
    n = values.shape[-1]
    others = 1.0 - ops.eye(n, dtype=values.dtype)
    finite = ops.where(ops.equal(alive, 0), 0.0, values)
    count = ops.sum(alive[..., None, :] * others, axis=-1)
    total = ops.sum(finite[..., None, :] * others, axis=-1)
    return ops.where(ops.equal(count, 0), _MINUS_INF, total / ops.maximum(count, 1))


def bounds_without(log_f: Any) -> Any:
    """The bounds with each sample in turn replaced by the geometric mean of the others, (..., K).

    Mnih and Rezende 2016, arXiv:1602.06725, eq. 10. The mean is over those of the others that have any density.
    """
    own = ops.cast(ops.eye(log_f.shape[-1]), "bool")
    return log_bound(ops.where(own, mean_of_others(log_f)[..., None], log_f[..., None, :]))


def learning_signals(log_f: Any) -> Any:
    """What each sample adds to the bound, (..., K): VIMCO's signals.

    A sample that alone has any density has nothing to be compared with, and signal 0; so have the samples of a trial of
    which none has.
    """
    bound, without = log_bound(log_f)[..., None], bounds_without(log_f)
    alone = ops.equal(without, _MINUS_INF)
    return ops.where(alone, 0.0, bound - ops.where(alone, 0.0, without))


def weighted(share: Any, values: Any) -> Any:
    """sum_k share_k values_k, (...,), in which samples of share 0 count nothing, be they infinite."""
    nothing = ops.equal(share, 0)
    return ops.sum(ops.where(nothing, 0.0, share * ops.where(nothing, 0.0, values)), axis=-1)


def diagnostics(log_p: Any, log_q: Any) -> Diagnostics:
    """What the samples tell of each trial.

    Args:
        log_p: log p(x, z), (..., K).
        log_q: log q(z|x), (..., K).
    """
    log_f = ops.convert_to_tensor(log_p) - ops.convert_to_tensor(log_q)
    elbo, bound = ops.mean(log_f, axis=-1), log_bound(log_f)
    return Diagnostics(elbo, bound, bound - elbo, effective_samples(log_f))
