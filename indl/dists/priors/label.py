"""A prior whose mean and variance are functions of labels observed beside the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.log_gaussian import LogGaussian, log_gaussian
from indl.dists.priors.base import Prior
from indl.layers.activations import activation as named
from indl.layers.mlp import MLP
from indl.registry import register


@register
class LabelPrior(Prior):
    """p(z | u) = N(m(u), diag(v(u))), the label prior of pi-VAE and iVAE (Khemakhem et al. 2020; Zhou & Wei 2020).

    Called on labels, not on a posterior, since a product posterior needs p(z | u) itself and only a layer's own call
    keeps its weights shared through saving; :class:`~indl.dists.labelled.LabelKL` is the divergence.

    Args:
        size: size of the latent.
        u_dim: number of classes, or length of a continuous label.
        u_type: ``"discrete"``: a table of means and one of log variances, both U(-0.05, 0.05) at the start.
            ``"continuous"``: an MLP, whose first outputs are the means and whose last ones the log variances.
        hidden, activation: hidden layers of the MLP.
        min_variance: added to every variance.
        train_mean: False: means of zero, so that labels modulate the variance alone (iVAE).
    """

    labelled = True

    def __init__(
        self,
        size: int,
        u_dim: int,
        u_type: str = "discrete",
        hidden: Sequence[int] = (20, 20),
        activation: Any = "tanh",
        min_variance: float = 0.0,
        train_mean: bool = True,
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
        self.activation = keras.activations.get(named(activation))
        self.min_variance = min_variance
        self.train_mean = train_mean
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
            self.mean_embedding.trainable = self.train_mean
            if not self.train_mean:
                self.mean_embedding.assign(ops.zeros_like(self.mean_embedding))
        else:
            self.network = MLP(
                (1 + self.train_mean) * self.size, self.hidden, self.activation, dtype=self.dtype_policy, name="network"
            )
            self.network.build((None, self.u_dim))
        self.built = True

    def call(self, u: Any) -> LogGaussian:
        """p(z | u) of classes (...) or real labels (..., u_dim)."""
        if self.u_type == "discrete":
            # A product with a small table trains faster than a lookup, whose gradient is a scatter.
            chosen = ops.one_hot(u, self.u_dim, dtype=self.compute_dtype)
            loc, raw = (ops.matmul(chosen, table) for table in (self.mean_embedding, self.log_variance_embedding))
        else:
            found = self.network(u)
            loc, raw = log_gaussian(found) if self.train_mean else (ops.zeros_like(found), found)
        return LogGaussian(loc, ops.logaddexp(raw, math.log(self.min_variance)) if self.min_variance else raw)

    def gaussian(self, u: Any, like: Any = None) -> Gaussian:
        """p(z | u) as a :class:`~indl.dists.gaussian.Gaussian`; NaN where a label is unknown.

        Args:
            u: labels, of trials or of the steps of trials.
            like: a tensor whose axes between the trials and the last the labels may lack: time, samples.

        Raises:
            ValueError: no labels.
        """
        if u is None:
            raise ValueError(
                f"This prior depends on labels. Given: u=None. Pass u (u_dim={self.u_dim}), the label of each trial or "
                "of each of its bins."
            )
        discrete = self.u_type == "discrete"
        known = known_labels(ops.convert_to_tensor(u), self.u_dim if discrete else None)
        loc, log_variance = self(ops.cast(u, "int32" if discrete else self.compute_dtype))
        p = LogGaussian(ops.where(known[..., None], loc, float("nan")), log_variance)
        return (p if like is None else with_axes_of(p, like)).gaussian()

    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        p = self.gaussian(u)
        shape = (n, self.size) if time is None else (n, time, self.size)
        if time is not None and len(p.loc.shape) == 2:
            p = Gaussian(*(part[:, None] for part in p[:2]))
        if len(p.loc.shape) != len(shape) or any(a not in (1, b) for a, b in zip(p.loc.shape, shape, strict=True)):
            raise ValueError(
                f"Each draw, or each of its bins, has one label. Given: u of shape {np.shape(u)} for n={n}, "
                f"time={time}. Pass n labels, or n times time of them."
            )
        return p.loc + p.scale * keras.random.normal(shape, seed=seed)

    def log_prob(self, z: Any, u: Any = None) -> Any:
        z = ops.convert_to_tensor(z)
        return self.gaussian(u, z).log_prob(z)

    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        q, _ = as_gaussian(q).for_divergence(None)
        return q.kl_per_dimension(self.gaussian(u, q.loc))

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("u_dim", "u_type", "hidden", "min_variance", "train_mean")}
        return {**super().get_config(), **config, "activation": keras.activations.serialize(self.activation)}


def known_labels(u: Any, n_classes: int | None) -> Any:
    """Which labels are known, bool (batch[, time]): classes from 0 to `n_classes` - 1, or vectors of finite numbers.

    Args:
        u: classes (batch[, time]), -1 where unknown; or vectors (batch[, time], length), NaN where unknown.
        n_classes: number of classes; None: the labels are vectors.
    """
    if n_classes is None:
        return ops.all(ops.isfinite(u), axis=-1)
    return ops.logical_and(u >= 0, u < n_classes)


def with_axes_of(p: LogGaussian, like: Any) -> LogGaussian:
    """p with the axes of `like` between the trials and the last that it lacks: samples, time."""
    if len(p.loc.shape) > len(like.shape):
        raise ValueError(
            "Labels of bins belong to a latent that has bins. Given: a prior of shape "
            f"{tuple(p.loc.shape)} for a latent of shape {tuple(like.shape)}. Pass one label a trial."
        )
    axes = tuple(range(1, 1 + len(like.shape) - len(p.loc.shape)))
    return LogGaussian(*(ops.expand_dims(part, axes) for part in p)) if axes else p
