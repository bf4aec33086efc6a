"""Posteriors and KL terms that depend on labels, some of which may be unknown."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.log_gaussian import LogGaussian
from indl.dists.priors.base import mean_over_samples
from indl.dists.priors.label import known_labels, with_axes_of
from indl.registry import register
from indl.sampling.modes import rows_like


class _Labelled(keras.layers.Layer):
    """What reads labels, `n_classes` of them or, where it is None, vectors."""

    def __init__(self, n_classes: int | None = None, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.n_classes = n_classes

    def known(self, u: Any, rank: int) -> Any:
        """Which labels are known, with axes of length 1 behind the trials up to `rank` axes."""
        known = known_labels(u, self.n_classes)
        return (
            ops.expand_dims(known, tuple(range(1, 1 + rank - len(known.shape)))) if len(known.shape) < rank else known
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_classes": self.n_classes}


@register
class LabelProduct(_Labelled):
    """q(z | x, u), proportional to q(z | x) p(z | u) (Zhou & Wei 2020); q(z | x) alone where u is unknown.

    Unknown labels are for inference: gradients of a batch that holds some are not finite.

    Args:
        n_classes: number of classes of a discrete label; None: labels are vectors.
    """

    def call(self, q: Any, p: Any, u: Any) -> Gaussian:
        """The diagonal posterior from q ``(batch[, S][, time], D)``, p(. | u) and the labels of trials or of steps."""
        q, p = as_gaussian(q), LogGaussian(*p)
        p, u = LogGaussian(*(rows_like(part, q.loc) for part in p)), rows_like(u, q.loc)
        found = LogGaussian(q.loc, 2 * ops.log(q.scale)).product(with_axes_of(p, q.loc)).gaussian()
        known = self.known(u, len(q.loc.shape) - 1)[..., None]
        return Gaussian(*(ops.where(known, new, old) for new, old in zip(found[:2], q[:2], strict=True)))

    def compute_output_spec(self, q: Any, p: Any, u: Any) -> Gaussian:
        return Gaussian(*(keras.KerasTensor(part.shape, part.dtype) for part in as_gaussian(q)[:2]))


@register
class LabelKL(_Labelled):
    """KL(q || p(. | u)) in nats, (batch,) or (batch, time), the mean over samples; NaN where u is unknown.

    Args:
        n_classes: number of classes of a discrete label; None: labels are vectors.
    """

    def call(self, q: Any, p: Any, u: Any, per_dimension: bool = False) -> Any:
        """The KL; `per_dimension`: that of each dimension's marginal, with a last axis D."""
        q, _ = as_gaussian(q).for_divergence(None)
        p = with_axes_of(LogGaussian(*p), q.loc).gaussian()
        kl = mean_over_samples(q.kl_per_dimension(p) if per_dimension else q.kl_divergence(p), per_dimension)
        known = self.known(u, len(kl.shape) - per_dimension)
        # No number would be right, and NaN stops a training that unknown labels have slipped into.
        return ops.where(known[..., None] if per_dimension else known, kl, ops.full_like(kl, float("nan")))
