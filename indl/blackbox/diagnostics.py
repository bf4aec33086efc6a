"""How far a bound is from the truth, and how clear the gradients of a loss are."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops
from scipy.special import logsumexp

from indl.blackbox.base import tensors
from indl.blackbox.losses import Loss
from indl.data.checks.arrays import check_whole


def log_evidence(loss: Loss, data: Any, n_samples: int = 500) -> np.ndarray:
    """The K-sample bound with many samples, log p(x) from below, nats of each datum (batch,).

    Args:
        loss: any loss of the two networks.
        data: what it takes.
        n_samples: K at least; the networks' own number of samples is drawn until there are as many.
    """
    n_samples = check_whole(n_samples, "n_samples", 1)
    drawn: list[np.ndarray] = []
    while sum(part.shape[1] for part in drawn) < n_samples:
        log_p, log_q, _ = loss.densities(data)
        drawn.append(np.asarray(log_p, "float64") - np.asarray(log_q, "float64"))
    log_f = np.concatenate(drawn, axis=1)
    return logsumexp(log_f, axis=1) - np.log(log_f.shape[1])


def gradient_snr(loss: Loss, data: Any, n: int = 100) -> list[np.ndarray]:
    """|mean| / standard deviation of the gradient of every variable over repeated draws, elements by themselves.

    Rainforth et al. 2018, arXiv:1802.04537: for the parameters of q that of IWAE falls with the samples, as K^-1/2.

    Args:
        loss: any loss.
        data: what it takes.
        n: draws.

    Returns:
        One array for each of ``loss.trainable_variables``; 0 where a gradient is 0 in all draws, infinite where it is
        the same in all.
    """
    n = check_whole(n, "n", 2)
    draws: list[list[np.ndarray]] = []
    for _ in range(n):
        with tf.GradientTape() as tape:
            value = loss.forward(data)[0]
        found = tape.gradient(value, tensors(loss.trainable_variables), unconnected_gradients="zero")
        draws.append([np.asarray(ops.convert_to_tensor(g), "float64") for g in found])
    out = []
    for one in zip(*draws, strict=True):
        stacked = np.stack(one)
        mean, sd = np.abs(stacked.mean(0)), stacked.std(0, ddof=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            out.append(np.where(mean == 0, 0.0, mean / sd))
    return out
