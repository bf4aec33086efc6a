"""The KL of a posterior taken apart: information about the trial, total correlation, and the KL of each dimension.

With q(f), the mean of the posteriors of all N training trials, log q(f|x) - log p(f) is the sum of::

    MI  log q(f|x) - log q(f)
    TC  log q(f) - sum_j log q(f_j)
    DW  sum_j log q(f_j) - log p(f)

(Chen et al. 2018, arXiv:1802.04942). q(f) is estimated from a batch, or known exactly where all posteriors are given.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from keras import ops
from scipy.special import logsumexp

from indl.text import shown

#: Values of a block of densities in :func:`aggregate_posterior`: 32 MiB of them.
_BLOCK = 2**22


class Decomposition(NamedTuple):
    """Parts of a KL in nats, of every sample.

    Attributes:
        mi: information of the latent about its trial.
        tc: total correlation of its dimensions.
        dw: what the dimensions pay one by one.
    """

    mi: Any
    tc: Any
    dw: Any

    def weighted(self, alpha: Any, beta: Any, gamma: Any) -> Any:
        """``alpha mi + beta tc + gamma dw``."""
        return alpha * self.mi + beta * self.tc + gamma * self.dw


def decomposition(log_q_given_x: Any, log_q: Any, log_product: Any, kl: Any) -> Decomposition:
    """The parts of a KL; they add up to it, whatever the estimates.

    Args:
        log_q_given_x: log q(f|x) of every sample under its own posterior.
        log_q: log q(f).
        log_product: sum_j log q(f_j).
        kl: log q(f|x) - log p(f), or its expectation in closed form.
    """
    mi, tc = log_q_given_x - log_q, log_q - log_product
    return Decomposition(mi, tc, kl - mi - tc)


def log_densities(sample: Any, loc: Any, scale: Any) -> Any:
    """The density of every sample under every posterior, dimension by dimension.

    Args:
        sample: one of each posterior, (..., B, D); its leading axes may be more than those of the posteriors.
        loc, scale: means and standard deviations, (..., B, D).

    Returns:
        log q(sample_i,j | x_k) in nats, (..., B, B, D) with axes i, k, j.
    """
    loc, scale = loc[..., None, :, :], scale[..., None, :, :]
    residual = (sample[..., :, None, :] - loc) / scale
    return -0.5 * (ops.square(residual) + math.log(2 * math.pi)) - ops.log(scale)


def log_weights(batch: Any, n_data: int, estimator: str = "mss") -> Any:
    """The logarithms of the weights w[i, k] of q(f_i|x_k) in the estimate of q(f_i), (batch, batch).

    With M = batch - 1 and N trials in all: ``"mss"``, stratified sampling, has 1/N for the sample's own posterior,
    (N - M)/(N M) for one other and 1/M for the rest; ``"mss_rao_blackwell"`` the mean of that over who the other is,
    (N - 1)/(N M) for all of them. Rows sum to 1, and the expectation is q(f_i). ``"mws"``, weighted sampling, has
    1/(N batch) throughout, which is too low by far.

    Args:
        batch: number of trials, may be a tensor. One trial is its own data set.
        n_data: N, taken as `batch` where it is less.
        estimator: one of the three.
    """
    index = ops.arange(batch)
    row, column = index[:, None], index[None]
    size = ops.cast(batch, "float32")
    n = ops.where(size > 1, ops.maximum(size, float(n_data)), 1.0)
    if estimator == "mws":
        return ops.zeros_like(row + column, "float32") - ops.log(n * size)
    others = ops.maximum(size - 1, 1.0)
    if estimator == "mss":
        odd = ops.equal(column, (row + 1) % batch)
        beside = ops.where(odd, (n - others) / (n * others), 1 / others)
    else:
        beside = (n - 1) / (n * others)
    return ops.log(ops.where(ops.equal(row, column), 1 / n, beside))


def log_aggregate(densities: Any, log_w: Any) -> tuple[Any, Any]:
    """The estimates of log q(f) and of its marginals, in nats.

    Args:
        densities: see :func:`log_densities`, (..., B, B, D).
        log_w: see :func:`log_weights`, (B, B).

    Returns:
        log q(f_i), (..., B), and log q(f_i,j), (..., B, D).
    """
    joint = ops.logsumexp(log_w + ops.sum(densities, axis=-1), axis=-1)
    return joint, ops.logsumexp(log_w[..., None] + densities, axis=-2)


def mutual_information(f_densities: Any, z_densities: Any, log_w: Any) -> Any:
    """log q(f, z) - log q(f) - log q(z) in nats, of every sample (..., B), by one estimate for all three.

    Args:
        f_densities, z_densities: see :func:`log_densities`; leading axes that differ are broadcast.
        log_w: see :func:`log_weights`.
    """
    f, z = ops.sum(f_densities, axis=-1), ops.sum(z_densities, axis=-1)
    joint, f_alone, z_alone = (ops.logsumexp(log_w + part, axis=-1) for part in (f + z, f, z))
    return joint - f_alone - z_alone


class Aggregate(NamedTuple):
    """The posterior of all trials together, at one sample of each.

    Attributes:
        log_q: log q(f) in nats, (N,).
        log_q_dims: log q(f_j), (N, D).
        mi, tc, dw: means of the parts of the KL.
    """

    log_q: np.ndarray
    log_q_dims: np.ndarray
    mi: float
    tc: float
    dw: float


def aggregate_posterior(loc: Any, scale: Any, sample: Any, log_p: Any) -> Aggregate:
    """The parts of the KL with the exact q(f) = 1/N sum_k q(f|x_k), for reports; memory is bounded, time is N^2 D.

    Args:
        loc, scale: posteriors of all trials, (N, D).
        sample: one draw from each, (N, D).
        log_p: log density of each draw under the prior, (N,); see :meth:`indl.dists.priors.base.Prior.log_prob`.

    Raises:
        ValueError: shapes that do not belong together.
    """
    loc, scale, sample, log_p = (np.asarray(part, "float64") for part in (loc, scale, sample, log_p))
    if loc.ndim != 2 or not loc.shape == scale.shape == sample.shape or log_p.shape != loc.shape[:1]:
        shapes = [part.shape for part in (loc, scale, sample, log_p)]
        raise ValueError(
            "Posteriors, samples and prior densities must be of the same trials. Given: shapes "
            f"{shown(shapes)}. Pass loc, scale and sample (trials, dimensions) and log_p (trials,)."
        )
    n, size = loc.shape
    rows = max(1, _BLOCK // (n * size))
    blocks = [_log_mixture(sample[i : i + rows], loc, scale) for i in range(0, n, rows)]
    log_q, log_q_dims = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    own = _normal_log_densities(sample, loc, scale).sum(-1)
    parts = decomposition(own, log_q, log_q_dims.sum(-1), own - log_p)
    return Aggregate(log_q, log_q_dims, *(float(np.mean(part)) for part in parts))


def _log_mixture(sample: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log q of some samples, (rows,), and of each of their dimensions, (rows, D)."""
    densities = _normal_log_densities(sample[:, None], loc, scale)
    constant = math.log(len(loc))
    return logsumexp(densities.sum(-1), axis=1) - constant, logsumexp(densities, axis=1) - constant


def _normal_log_densities(sample: np.ndarray, loc: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return -0.5 * (((sample - loc) / scale) ** 2 + math.log(2 * math.pi)) - np.log(scale)
