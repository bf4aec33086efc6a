"""The stationary first-order autoregressive prior of LFADS' inferred inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.priors.base import SequencePrior
from indl.registry import register


@register
class AR1Prior(SequencePrior):
    """Independent AR(1) processes: z_t = m + phi (z_{t-1} - m) + se e_t, stationary from the first step.

    phi = exp(-1 / tau). `se` is the standard deviation of the innovations; the process itself has
    variance ``se^2 / (1 - phi^2)``, which is the variance of z_1 (Sussillo et al. 2016,
    arXiv:1608.06315, section 2; there ``se^2`` is the "noise variance").

    Args:
        size: number of processes.
        tau: time constant at the start, in bins.
        init_std: `se` at the start.
        train_tau, train_mean, train_var: which of tau, m and se are trained.
        kl_mode, rollout, seed: see :class:`~indl.dists.priors.base.SequencePrior`.
    """

    has_analytic_kl = True

    def __init__(
        self,
        size: int,
        tau: float = 10.0,
        init_std: float = math.sqrt(0.1),
        train_tau: bool = True,
        train_mean: bool = True,
        train_var: bool = True,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        self.tau = tau
        self.init_std = init_std
        self.train_tau = train_tau
        self.train_mean = train_mean
        self.train_var = train_var
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.loc = self._vector("loc", 0.0, self.train_mean)
            self.log_tau = self._vector("log_tau", math.log(self.tau), self.train_tau)
            self.log_noise_variance = self._vector("log_noise_variance", 2 * math.log(self.init_std), self.train_var)

    def _phi_and_scales(self) -> tuple[Any, Any, Any]:
        """phi, standard deviation of z_1, standard deviation of the innovations."""
        rate = ops.exp(-self.log_tau)
        noise = ops.exp(0.5 * self.log_noise_variance)
        return ops.exp(-rate), noise / ops.sqrt(-ops.expm1(-2.0 * rate)), noise

    def conditional(self, z: Any) -> Gaussian:
        phi, first, noise = self._phi_and_scales()
        centred = z - self.loc
        previous = ops.concatenate([ops.zeros_like(centred[..., :1, :]), centred[..., :-1, :]], axis=-2)
        is_first = ops.cast(ops.arange(ops.shape(z)[-2]) == 0, z.dtype)[:, None]
        # At t = 1 the previous value is zero, so only the scale differs.
        return Gaussian(self.loc + phi * previous, is_first * first + (1.0 - is_first) * noise)

    def analytic_kl(self, q: Gaussian) -> Any:
        """Exact KL of a mean-field q per step: E_q log q_t - E_q log p(z_t | z_{t-1})."""
        return 0.5 * ops.sum(self._expected_energy(q) - 1.0, axis=-1) - q.log_det_scale()

    def analytic_kl_per_dimension(self, q: Gaussian) -> Any:
        return 0.5 * (self._expected_energy(q) - 1.0) - ops.log(q.stddev())

    def _expected_energy(self, q: Gaussian) -> Any:
        """-2 E_q log p(z_t | z_{t-1}) of every dimension, without log 2 pi: (..., time, D)."""
        phi, first, noise = self._phi_and_scales()
        mean, variance = q.loc - self.loc, q.variance()
        innovation = (
            ops.square(mean[..., 1:, :] - phi * mean[..., :-1, :])
            + variance[..., 1:, :]
            + ops.square(phi) * variance[..., :-1, :]
        )
        start = ops.square(mean[..., :1, :]) + variance[..., :1, :]
        parts = [start / ops.square(first) + 2 * ops.log(first), innovation / ops.square(noise) + 2 * ops.log(noise)]
        return ops.concatenate(parts, axis=-2)

    def rollout(self, noise: Any) -> Any:
        _, first, innovation = self._phi_and_scales()
        steps = ops.arange(ops.shape(noise)[-2])
        lag = ops.cast(steps[:, None] - steps[None, :], noise.dtype)[..., None]
        # z = m + sum_k phi^(t-k) scale_k e_k, as one product instead of a loop.
        weights = ops.where(lag >= 0, ops.exp(-ops.maximum(lag, 0.0) * ops.exp(-self.log_tau)), 0.0)
        is_first = ops.cast(steps == 0, noise.dtype)[:, None]
        driven = noise * (is_first * first + (1.0 - is_first) * innovation)
        return self.loc + ops.einsum("tkd,...kd->...td", weights, driven)

    def time_constants(self) -> np.ndarray:
        return np.exp(np.asarray(self.log_tau))

    def __repr__(self) -> str:
        tau = np.round(self.time_constants(), 2)
        return f"AR1Prior(event size {self.size}, tau {tau.tolist()} bins, kl {self.kl_mode}, {self.rollout_mode})"

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("tau", "init_std", "train_tau", "train_mean", "train_var")}
        return {**super().get_config(), **config}
