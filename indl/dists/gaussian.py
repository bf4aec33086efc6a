"""The Gaussian value: what a posterior is while it travels through a model."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from indl.sampling.draws import reparameterize
from indl.sampling.layer import Sample


class Gaussian(NamedTuple):
    """A multivariate normal over the last axis of `loc`, with diagonal or full covariance.

    A NamedTuple, so that it passes through Functional graphs, ``predict`` and ``tf.function``. All methods
    but :meth:`to_tfp` work on symbolic Keras tensors and on eager ones alike.

    Attributes:
        loc: means, shape (..., D).
        scale: standard deviations, shape (..., D); or lower-triangular Cholesky factors of the
            covariance, shape (..., D, D).
        drawn: the sample that has already driven the rest of the model, shape of `loc`, where the posterior of a step
            depends on the samples before it (LFADS's inferred inputs); else empty.
        path: of such a posterior, its (loc, scale, drawn) along a path that was drawn, whatever drives the model: at
            inference, where that is the means, divergences are taken along this one. Empty: there is none.
    """

    loc: Any
    scale: Any
    drawn: Any = ()
    path: Any = ()

    @property
    def event_size(self) -> int:
        """D, the size of the vector."""
        return int(self.loc.shape[-1])

    @property
    def full(self) -> bool:
        """Whether `scale` is a Cholesky factor."""
        return len(self.scale.shape) == len(self.loc.shape) + 1

    @property
    def has_path(self) -> bool:
        """Whether it carries the sample that has driven the model, so that nothing is left to draw."""
        # What is empty comes back from some structures as a list.
        return not isinstance(self.drawn, list | tuple)

    def for_divergence(self, training: bool | None) -> tuple[Gaussian, Any]:
        """The posterior that divergences are taken of, and the path that they must be taken along; None: any sample."""
        if len(self.path):
            q = Gaussian(*self.path)
            return q, q.drawn
        return self, self.drawn if training and self.has_path else None

    def __repr__(self) -> str:
        kind = "full" if self.full else "diagonal"
        batch = tuple(self.loc.shape[:-1])
        return f"Gaussian(event size {self.event_size}, {kind} covariance, batch shape {batch})"

    def mean(self) -> Any:
        """Means, shape (..., D)."""
        return self.loc

    def variance(self) -> Any:
        """Marginal variances, shape (..., D)."""
        return ops.sum(ops.square(self.scale), axis=-1) if self.full else ops.square(self.scale)

    def stddev(self) -> Any:
        """Marginal standard deviations, shape (..., D)."""
        return ops.sqrt(self.variance())

    def log_det_scale(self) -> Any:
        """Half the log-determinant of the covariance, shape (...,)."""
        diagonal = ops.diagonal(self.scale, axis1=-2, axis2=-1) if self.full else self.scale
        return ops.sum(ops.log(diagonal), axis=-1)

    def sample(self, n: int | None = None, seed: Any = None, at_test: bool = False, draws: bool = True) -> Any:
        """Draws by re-parameterisation.

        On symbolic tensors this adds a :class:`~indl.sampling.layer.Sample` layer, which draws in training
        and returns the mean at inference unless `at_test` is set. On eager tensors it always draws.

        Args:
            n: number of draws, on a new axis after the batch (before D where there is no batch). None: one draw,
                no new axis.
            seed: integer; for eager tensors also a ``keras.random.SeedGenerator``.
            at_test: symbolic only: draw at inference too.
            draws: symbolic only; False: the mean, always.

        Returns:
            Shape (batch, ..., D), or (batch, n, ..., D).
        """
        if any(isinstance(part, keras.KerasTensor) for part in self[:2]):
            return Sample(n=n, seed=seed, at_test=at_test, draws=draws)(self.loc, self.scale)
        loc, scale = ops.convert_to_tensor(self.loc), ops.convert_to_tensor(self.scale)
        if n is not None:
            axis = min(1, len(loc.shape) - 1)
            loc, scale = (ops.repeat(ops.expand_dims(part, axis), n, axis=axis) for part in (loc, scale))
        return reparameterize(loc, scale, keras.random.normal(ops.shape(loc), dtype=loc.dtype, seed=seed))

    def standardize(self, x: Any) -> Any:
        """The whitened residual ``scale^-1 (x - loc)``, shape (..., D)."""
        residual = x - self.loc
        if not self.full:
            return residual / self.scale
        factor = self.scale + ops.zeros_like(residual)[..., None]
        return ops.solve_triangular(factor, residual[..., None], lower=True)[..., 0]

    def log_prob(self, x: Any) -> Any:
        """Log density in nats, summed over the event: shape (...,)."""
        constant = 0.5 * self.event_size * math.log(2 * math.pi)
        return -0.5 * ops.sum(ops.square(self.standardize(x)), axis=-1) - self.log_det_scale() - constant

    def entropy(self) -> Any:
        """Differential entropy in nats, shape (...,)."""
        return self.log_det_scale() + 0.5 * self.event_size * (1 + math.log(2 * math.pi))

    def kl_divergence(self, other: Gaussian) -> Any:
        """KL(self || other) in nats, shape (...,)."""
        if other.full:
            scale = self.scale if self.full else ops.expand_dims(self.scale, -1) * ops.eye(self.event_size)
            factor = other.scale + ops.zeros_like(scale)
            trace = ops.sum(ops.square(ops.solve_triangular(factor, scale, lower=True)), axis=(-2, -1))
        else:
            trace = ops.sum(self.variance() / ops.square(other.scale), axis=-1)
        distance = ops.sum(ops.square(other.standardize(self.loc)), axis=-1)
        return other.log_det_scale() - self.log_det_scale() + 0.5 * (trace + distance - self.event_size)

    def kl_per_dimension(self, other: Gaussian) -> Any:
        """KL of each dimension's marginal in nats, shape (..., D); for diagonal covariances its sum is the KL."""
        scale, wanted = self.stddev(), other.stddev()
        return (
            ops.log(wanted / scale)
            + 0.5 * ops.square(scale / wanted)
            + 0.5 * ops.square((self.loc - other.loc) / wanted)
            - 0.5
        )

    def to_tfp(self) -> Any:
        """The tensorflow-probability distribution of eager values.

        Raises:
            TypeError: the value is symbolic.
        """
        if any(isinstance(part, keras.KerasTensor) for part in self[:2]):
            raise TypeError(
                "A symbolic Gaussian cannot become a TFP distribution. Given: Keras tensors of a model under "
                "construction. Run the model first, for example model.encode(x)['q_f'].to_tfp()."
            )
        import tensorflow_probability as tfp

        loc, scale = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale)
        if self.full:
            return tfp.distributions.MultivariateNormalTriL(loc, scale)
        return tfp.distributions.MultivariateNormalDiag(loc, scale)


def as_gaussian(fields: Any) -> Gaussian:
    """A :class:`Gaussian` from its fields in order; a reloaded graph hands plain lists."""
    q = Gaussian(*fields)
    return q._replace(drawn=q.drawn if q.has_path else (), path=tuple(q.path))
