"""Gaussians by their log variances: products and divergences that neither overflow nor cancel in float32."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from indl.dists.gaussian import Gaussian

#: Exponents end here: e^60 = 1e26 leaves room in float32 for a square and a sum behind it.
LARGEST_EXPONENT = 60.0


class LogGaussian(NamedTuple):
    """A diagonal Gaussian over the last axis.

    Attributes:
        loc: means, shape (..., D).
        log_variance: logs of the variances, shape (..., D).
    """

    loc: Any
    log_variance: Any

    @property
    def event_size(self) -> int:
        """D, the size of the vector."""
        return int(self.loc.shape[-1])

    def mean(self) -> Any:
        """Means, shape (..., D)."""
        return self.loc

    def stddev(self) -> Any:
        """Standard deviations, shape (..., D)."""
        return bounded_exp(0.5 * self.log_variance)

    def gaussian(self) -> Gaussian:
        """The same as a :class:`~indl.dists.gaussian.Gaussian`."""
        return Gaussian(self.loc, self.stddev())

    def sample(self, n: int | None = None, seed: Any = None, **how: Any) -> Any:
        """Draws by re-parameterisation; see :meth:`indl.dists.gaussian.Gaussian.sample`."""
        return self.gaussian().sample(n, seed, **how)

    def kl_divergence(self, other: LogGaussian) -> Any:
        """KL(self || other) in nats, shape (...,)."""
        d = self.log_variance - other.log_variance
        distance = ops.square(self.loc - other.loc) * bounded_exp(-other.log_variance)
        return 0.5 * ops.sum(bounded_exp(d) - 1 - d + distance, axis=-1)

    def product(self, other: LogGaussian) -> LogGaussian:
        """The Gaussian proportional to the product of both densities, never wider than either.

        Precisions add, and the mean is weighted by them (Zhou & Wei 2020, eq. 5).
        """
        d = self.log_variance - other.log_variance
        loc = self.loc * ops.sigmoid(-d) + other.loc * ops.sigmoid(d)
        return LogGaussian(loc, self.log_variance - ops.softplus(d))

    def product_kl(self, prior: LogGaussian) -> Any:
        """KL(self * prior || prior) in nats, shape (...,): from both factors, without the cancellation of their means.

        With ``d = log(variance / variance of the prior)`` it is half the sum of
        ``softplus(-d) - sigmoid(-d) + (loc - loc_prior)^2 exp(-log_variance_prior - 2 softplus(d))``.
        """
        d = self.log_variance - prior.log_variance
        distance = ops.square(self.loc - prior.loc) * bounded_exp(-prior.log_variance - 2 * ops.softplus(d))
        return 0.5 * ops.sum(ops.softplus(-d) - ops.sigmoid(-d) + distance, axis=-1)

    def to_tfp(self) -> Any:
        """The tensorflow-probability distribution of eager values."""
        return self.gaussian().to_tfp()


def bounded_exp(x: Any) -> Any:
    """``exp(x)``, constant from x = :data:`LARGEST_EXPONENT` on."""
    return ops.exp(ops.minimum(x, LARGEST_EXPONENT))


def log_gaussian(parameters: Any) -> LogGaussian:
    """A network's output (..., 2 D) as a Gaussian: means first, then log variances."""
    size = int(parameters.shape[-1]) // 2
    return LogGaussian(parameters[..., :size], parameters[..., size:])
