"""A prior whose mean and variance are functions of labels observed beside the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.log_gaussian import LogGaussian, log_gaussian
from indl.dists.priors.base import Prior
from indl.layers.mlp import MLP
from indl.registry import register


@register
class LabelPrior(Prior):
    """p(z | u) = N(m(u), diag(v(u))), the label prior of pi-VAE and iVAE (Khemakhem et al. 2020; Zhou & Wei 2020).

    Called on labels it gives the prior as a value; :class:`~indl.dists.labelled.LabelKL` is the divergence from it.

    Args:
        size: size of the latent.
        u_dim: number of classes, or length of a continuous label.
        u_type: ``"discrete"``: a table of means and one of log variances, both U(-0.05, 0.05) at the start.
            ``"continuous"``: an MLP, whose first outputs are the means and whose last ones the log variances.
        hidden, activation: hidden layers of the MLP.
        min_variance: added to every variance.
    """

    def __init__(
        self,
        size: int,
        u_dim: int,
        u_type: str = "discrete",
        hidden: Sequence[int] = (20, 20),
        activation: Any = "tanh",
        min_variance: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        if u_type not in ("discrete", "continuous"):
            raise ValueError(
                f"Labels are discrete or continuous. Given: u_type={u_type!r}. Use 'discrete' for classes counted "
                "from 0, and 'continuous' for real vectors."
            )
        self.u_dim = u_dim
        self.u_type = u_type
        self.hidden = list(hidden)
        self.activation = keras.activations.get(activation)
        self.min_variance = min_variance
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        if self.u_type == "discrete":
            # Each its own initializer: one, used twice, gives both the same numbers.
            self.mean_embedding, self.log_variance_embedding = (
                self.add_weight(
                    shape=(self.u_dim, self.size), initializer=keras.initializers.RandomUniform(-0.05, 0.05), name=name
                )
                for name in ("mean_embedding", "log_variance_embedding")
            )
        else:
            self.network = MLP(2 * self.size, self.hidden, self.activation, dtype=self.dtype_policy, name="network")
            self.network.build((None, self.u_dim))
        self.built = True

    def call(self, u: Any) -> LogGaussian:
        """p(z | u) of classes (...) or real labels (..., u_dim)."""
        if self.u_type == "discrete":
            # A product with a small table trains faster than a lookup, whose gradient is a scatter.
            chosen = ops.one_hot(u, self.u_dim, dtype=self.compute_dtype)
            loc, raw = (ops.matmul(chosen, table) for table in (self.mean_embedding, self.log_variance_embedding))
        else:
            loc, raw = log_gaussian(self.network(u))
        return LogGaussian(loc, ops.logaddexp(raw, math.log(self.min_variance)) if self.min_variance else raw)

    def gaussian(self, u: Any, like: Any = None) -> Gaussian:
        """p(z | u) as a :class:`~indl.dists.gaussian.Gaussian`.

        Args:
            u: labels, of trials or of the steps of trials.
            like: a tensor whose axes between the trials and the last the labels may lack: time, samples.
        """
        p = self(u)
        return (p if like is None else with_axes_of(p, like)).gaussian()

    def kl_per_dimension(self, q: Any, u: Any) -> Any:
        """KL(q || p(. | u)) of each dimension in nats, shape (batch[, time], D)."""
        q = as_gaussian(q)
        return q.kl_per_dimension(self.gaussian(u, q.loc))

    def sample(self, u: Any, time: int | None = None, seed: int | None = None) -> Any:
        """One draw for each label: (n, D); or (n, time, D) with labels of trials, or of their steps."""
        p = self.gaussian(u)
        if time is None or len(p.loc.shape) == 3:
            return p.sample(seed=seed)
        noise = keras.random.normal((p.loc.shape[0], time, self.size), seed=seed)
        return p.loc[:, None] + p.scale[:, None] * noise

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("u_dim", "u_type", "hidden", "min_variance")}
        return {**super().get_config(), **config, "activation": keras.activations.serialize(self.activation)}


def with_axes_of(p: LogGaussian, like: Any) -> LogGaussian:
    """p with the axes of `like` between the trials and the last that it lacks: samples, time."""
    axes = tuple(range(1, 1 + len(like.shape) - len(p.loc.shape)))
    return LogGaussian(*(ops.expand_dims(part, axes) for part in p)) if axes else p
