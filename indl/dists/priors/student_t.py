"""A learnable Student-t prior of every step of z: heavier tails than a Gaussian, for sparse inputs."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.priors.base import Prior, fixed_or_new_noise, mean_over_samples
from indl.registry import register
from indl.sampling.draws import reparameterize


@register
class StudentTPrior(Prior):
    """Independent Student-t distributions, the same at every step; the KL is sampled, as it has no closed form.

    Args:
        size: size of the latent.
        df: degrees of freedom at the start, above 1; trained as log(df - 1), so that the mean always exists.
        init_std: scale at the start, the standard deviation of the Gaussian that large `df` approaches.
        train_mean, train_var: whether the mean, which starts at 0, and scale and df are trained.
        kl_mode: where the KL is sampled in training: ``"sampled"``, which ``"auto"`` is too, at what has driven the
            generator, if the posterior carries it; ``"fresh"`` at a draw of its own, as lfads-torch.
        seed: integer seed of the layer's draws.
    """

    along_samples = True

    def __init__(
        self,
        size: int,
        df: float = 5.0,
        init_std: float = math.sqrt(0.1),
        train_mean: bool = True,
        train_var: bool = True,
        kl_mode: str = "auto",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        if df <= 1:
            raise ValueError(f"A Student-t prior needs a mean, so df > 1. Given: df={df!r}. Start with 5.")
        if kl_mode not in ("auto", "sampled", "fresh"):
            raise ValueError(
                f"The KL to a Student-t prior is sampled. Given: kl_mode={kl_mode!r}. Use 'sampled' or 'fresh'."
            )
        self.df = df
        self.init_std = init_std
        self.train_mean = train_mean
        self.train_var = train_var
        self.kl_mode = kl_mode
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.loc = self._vector("loc", 0.0, self.train_mean)
            self.log_std = self._vector("log_std", math.log(self.init_std), self.train_var)
            self.log_df = self._vector("log_df", math.log(self.df - 1), self.train_var)

    def call(self, q: Any, sample: Any = None, driven: Any = None, training: bool | None = None) -> Any:
        """KL(q || prior) in nats, one sample a step: log q(z) - log p(z), shape (batch, time).

        Args:
            q: posterior, (batch[, S], time, D).
            sample: where to evaluate. Default: as `kl_mode` says.
            driven: what drives the generator, in training a sample, which serves here too.
            training: new draws; at inference always the same.
        """
        q, along = as_gaussian(q).for_divergence(training)
        along = driven if along is None and training else along
        sample = self._sample_of(q, along, training) if sample is None else sample
        if len(sample.shape) > len(q.loc.shape):
            q = Gaussian(ops.expand_dims(q.loc, 1), ops.expand_dims(q.scale, 1))
        return mean_over_samples(q.log_prob(sample) - self.log_prob(sample))

    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        """The same estimate for each dimension's marginal, shape (batch[, time], D)."""
        q, along = as_gaussian(q).for_divergence(False)
        sample, std = self._sample_of(q, along, False), q.stddev()
        density = -0.5 * ops.square((sample - q.loc) / std) - ops.log(std) - 0.5 * math.log(2 * math.pi)
        return density - self._log_densities(sample)

    def _sample_of(self, q: Any, along: Any, training: bool | None) -> Any:
        if along is not None and self.kl_mode != "fresh":
            return along
        return reparameterize(q.loc, q.scale, fixed_or_new_noise(self, q.loc, training))

    def log_prob(self, z: Any, u: Any = None) -> Any:
        return ops.sum(self._log_densities(ops.convert_to_tensor(z)), axis=-1)

    def _log_densities(self, z: Any) -> Any:
        """Log density of every entry in nats, shape of `z`."""
        df = 1.0 + ops.exp(self.log_df)
        # In single precision the difference is lost for large df: 0.06 nats at 1e6.
        half = tf.cast(0.5 * df, tf.float64)
        constant = tf.cast(tf.math.lgamma(half + 0.5) - tf.math.lgamma(half), df.dtype) - 0.5 * ops.log(math.pi * df)
        residual = (z - self.loc) * ops.exp(-self.log_std)
        return constant - self.log_std - 0.5 * (df + 1) * ops.log1p(ops.square(residual) / df)

    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        seeds = keras.random.SeedGenerator(seed)
        df = 1.0 + ops.exp(self.log_df)
        shape = (n, self.size) if time is None else (n, time, self.size)
        chi_square = 2 * keras.random.gamma(shape, ops.broadcast_to(0.5 * df, shape), seed=seeds)
        return self.loc + ops.exp(self.log_std) * keras.random.normal(shape, seed=seeds) / ops.sqrt(chi_square / df)

    def distribution(self) -> Any:
        """The tensorflow-probability distribution."""
        import tensorflow_probability as tfp

        loc, std = ops.convert_to_tensor(self.loc), ops.exp(self.log_std)
        return tfp.distributions.StudentT(1.0 + ops.exp(self.log_df), loc, std)

    def __repr__(self) -> str:
        df = (1 + ops.convert_to_numpy(ops.exp(self.log_df))).round(2).tolist()
        return f"StudentTPrior(event size {self.size}, degrees of freedom {df})"

    def get_config(self) -> dict[str, Any]:
        names = ("df", "init_std", "train_mean", "train_var", "kl_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
