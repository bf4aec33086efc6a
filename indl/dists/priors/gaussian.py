"""A learnable, or fixed, diagonal Gaussian: prior of f, or the same at every step for z."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.priors.base import Prior, mean_over_samples
from indl.registry import register


@register
class GaussianPrior(Prior):
    """N(mean, diag(std^2)), without memory; on a sequence the same Gaussian holds at every step.

    Args:
        size: size of the latent.
        init_std: standard deviation at the start. LFADS: sqrt(0.1), fixed. FHVAE: 0.5, fixed.
        train_mean, train_var: whether the mean, which starts at 0, and the scale are trained.
    """

    def __init__(
        self, size: int, init_std: float = 1.0, train_mean: bool = True, train_var: bool = True, **kwargs: Any
    ):
        super().__init__(size, **kwargs)
        self.init_std = init_std
        self.train_mean = train_mean
        self.train_var = train_var
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.loc = self._vector("loc", 0.0, self.train_mean)
            self.log_std = self._vector("log_std", math.log(self.init_std), self.train_var)

    def gaussian(self) -> Gaussian:
        """The prior as a value of event size `size`."""
        return Gaussian(ops.convert_to_tensor(self.loc), ops.exp(self.log_std))

    def call(self, q: Any, sample: Any = None, per_dimension: bool = False) -> Any:
        """KL(q || prior) in nats: (batch,) for a static posterior, (batch, time) for a sequence.

        Args:
            q: the posterior.
            sample: not needed.
            per_dimension: of each dimension's marginal, with a last axis D.
        """
        q, _ = as_gaussian(q).for_divergence(None)
        kl = q.kl_per_dimension(self.gaussian()) if per_dimension else q.kl_divergence(self.gaussian())
        return mean_over_samples(kl, per_dimension)

    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        q, _ = as_gaussian(q).for_divergence(None)
        return q.kl_per_dimension(self.gaussian())

    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        shape = (n, self.size) if time is None else (n, time, self.size)
        prior = self.gaussian()
        return prior.loc + prior.scale * keras.random.normal(shape, seed=seed)

    def log_prob(self, z: Any, u: Any = None) -> Any:
        return self.gaussian().log_prob(ops.convert_to_tensor(z))

    def distribution(self) -> Any:
        """The tensorflow-probability distribution."""
        return self.gaussian().to_tfp()

    def __repr__(self) -> str:
        return (
            f"GaussianPrior(event size {self.size}, mean trained: {self.train_mean}, scale trained: {self.train_var})"
        )

    def get_config(self) -> dict[str, Any]:
        config = {"init_std": self.init_std, "train_mean": self.train_mean, "train_var": self.train_var}
        return {**super().get_config(), **config}
