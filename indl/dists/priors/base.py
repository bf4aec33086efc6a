"""What every prior can do, and what those with memory share."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.sampling.draws import reparameterize
from indl.sampling.modes import GivenNoise, current_sampling


class Prior(keras.layers.Layer, abc.ABC):
    """A prior over a latent of size `size`: what a model, its training and its figures ask of any of them.

    Sub-classes create their variables in :meth:`build`, which the constructor calls, so that a prior can
    be inspected and drawn from before it joins a model. Everything derived from a variable is computed in
    the call, so that every variable receives its gradient.
    """

    #: Whether it depends on labels `u`, without which its methods refuse; the others ignore what they are given.
    labelled = False
    #: Whether its KL is taken along a sample, so that in training the one that drives the generator may serve.
    along_samples = False
    #: The name of the model's input that its methods take as `u`.
    reads = "u"

    def __init__(self, size: int, **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size

    @property
    def event_size(self) -> int:
        """Size of the latent."""
        return self.size

    @abc.abstractmethod
    def call(self, q: Any, *args: Any, **kwargs: Any) -> Any:
        """KL(q || prior) in nats: (batch,) for q of a static latent (batch, D), (batch, time) for (batch, time, D).

        Of a posterior with a samples axis behind the batch it is the mean over samples.
        """

    @abc.abstractmethod
    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        """`n` draws, (n, D); or, with the number of bins, (n, time, D).

        Args:
            n: how many.
            time: bins of each; None: of a static latent.
            u: label of each draw, (n,) or (n, u_dim), or of each of its bins, with the axis `time` behind n.
            seed: the same seed gives the same draws.
        """

    @abc.abstractmethod
    def log_prob(self, z: Any, u: Any = None) -> Any:
        """Log density in nats, summed over dimensions.

        Args:
            z: (batch, D), or (batch, time, D); a samples axis may follow the batch.
            u: label of each trial, or of each of its bins.

        Returns:
            Shape of `z` without the last axis. Of a prior with memory it is that of z_t given the bins before.
        """

    @abc.abstractmethod
    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        """KL of each dimension's marginal in nats, shape (batch[, time], D), as at inference."""

    def time_constants(self) -> np.ndarray | None:
        """Time constant of each dimension in bins, (D,); None: it has none."""
        return None

    def _vector(self, name: str, value: float, trainable: bool = True) -> Any:
        return self.add_weight(
            shape=(self.size,), initializer=keras.initializers.Constant(value), trainable=trainable, name=name
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


class SequencePrior(Prior):
    """A prior with memory, p(z_1) prod_t p(z_t | z_<t), with Gaussian steps.

    Args:
        size: size of z_t.
        kl_mode: ``"conditional"`` sums KL(q_t || p(. | z_<t)) along a path of z; ``"sampled"`` sums
            log q - log p at a posterior sample; ``"fresh"`` does so at a sample of its own, as lfads-torch;
            ``"analytic"`` is the exact expectation for a posterior without memory, where the sub-class has one;
            ``"auto"`` takes the exact one where it exists and the rollout allows it. In training the path is the sample
            that has driven the generator, where the posterior carries one, and ``"auto"`` is then ``"conditional"``.
        rollout: ``"teacher"``: the path is the posterior's own sample (the usual bound for an
            autoregressive prior). ``"free"``: the prior's own sample; this punishes posteriors with
            memory and is kept for comparison.
        seed: integer seed of the layer's draws.
    """

    has_analytic_kl = False
    along_samples = True

    def __init__(
        self, size: int, kl_mode: str = "auto", rollout: str = "teacher", seed: int | None = None, **kwargs: Any
    ):
        super().__init__(size, **kwargs)
        if kl_mode == "analytic" and (rollout == "free" or not self.has_analytic_kl):
            raise ValueError(
                f"{type(self).__name__} has no closed-form KL here. Given: kl_mode='analytic', "
                f"rollout={rollout!r}. Use kl_mode='conditional'."
            )
        self.kl_mode = kl_mode
        self.rollout_mode = rollout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @abc.abstractmethod
    def conditional(self, z: Any) -> Gaussian:
        """p(z_t | z_<t) at every step of the path `z`, shape (batch, time, D)."""

    @abc.abstractmethod
    def rollout(self, noise: Any) -> Any:
        """The path that standard normal `noise` (batch, time, D) drives the prior along."""

    def analytic_kl(self, q: Gaussian) -> Any:
        """The exact KL per step, where the sub-class has one."""
        raise NotImplementedError

    def analytic_kl_per_dimension(self, q: Gaussian) -> Any:
        """The exact KL per step and dimension of the marginals, where the sub-class has one."""
        raise NotImplementedError

    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        """KL of each dimension's marginal in nats, shape (batch, time, D), as at inference.

        For a diagonal posterior its sum over dimensions is what the call gives (`kl_mode` "sampled" apart, whose
        estimate has no such parts).
        """
        q, along = as_gaussian(q).for_divergence(False)
        if self._has_exact_kl and not (along is not None and self.kl_mode == "auto"):
            return self.analytic_kl_per_dimension(q)
        sample = reparameterize(q.loc, q.scale, self._noise(q.loc, 0, False)) if along is None else along
        path = self.rollout(self._noise(sample, 1, False)) if self.rollout_mode == "free" else sample
        return q.kl_per_dimension(self.conditional(path))

    @property
    def _has_exact_kl(self) -> bool:
        possible = self.has_analytic_kl and self.rollout_mode != "free"
        return self.kl_mode == "analytic" or (self.kl_mode == "auto" and possible)

    def call(
        self, q: Any, sample: Any = None, driven: Any = None, training: bool | None = None, per_dimension: bool = False
    ) -> Any:
        """KL in nats per trial and step.

        Args:
            q: posterior, (batch, time, D); or (batch, S, time, D) with a samples axis.
            driven: what drives the generator, (batch[, S], time, D). In training it is a sample, along which the KL is
                then taken instead of one of the prior's own.
            sample: a posterior sample to evaluate along, (batch[, S], time, D). None, right for every mean-field
                posterior: one that the prior draws itself; at inference always the same one, so that the KL is
                repeatable and still an estimate of the bound, which the KL along the posterior means is not.
            training: new draws, along the posterior's own path where it has one.
            per_dimension: of each dimension's marginal.

        Returns:
            Shape (batch, time), or (batch, time, D) per dimension; the mean over the samples axis.

        Raises:
            ValueError: a sampled KL per dimension.
        """
        if per_dimension and self.kl_mode in ("sampled", "fresh"):
            raise ValueError(
                f"A sampled KL is not taken apart by dimension. Given: kl_mode={self.kl_mode!r}. Use 'conditional'."
            )
        q, along = as_gaussian(q).for_divergence(training)
        free = self.rollout_mode == "free"
        # Steps of a posterior with memory depend on each other: only its own path gives an estimate of the bound.
        path_matters = along is not None and self.kl_mode != "fresh"
        if self._has_exact_kl and not (path_matters and self.kl_mode == "auto"):
            kl = self.analytic_kl_per_dimension(q) if per_dimension else self.analytic_kl(q)
            return mean_over_samples(kl, per_dimension)
        if sample is None:
            own = training and driven is not None and self.kl_mode != "fresh"
            sample = along if path_matters else driven if own else None
        if sample is None:
            sample = reparameterize(q.loc, q.scale, self._noise(q.loc, 0, training))
        if len(sample.shape) > len(q.loc.shape):
            q = Gaussian(ops.expand_dims(q.loc, 1), ops.expand_dims(q.scale, 1))
        path = self.rollout(self._noise(sample, 1, training)) if free else sample
        p = self.conditional(path)
        if self.kl_mode in ("sampled", "fresh"):
            return mean_over_samples(q.log_prob(sample) - p.log_prob(sample))
        kl = q.kl_per_dimension(p) if per_dimension else q.kl_divergence(p)
        return mean_over_samples(kl, per_dimension)

    def _noise(self, like: Any, stream: int, training: bool | None) -> Any:
        return fixed_or_new_noise(self, like, training, stream)

    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        """Free-running draws, shape (n, time, D); see :meth:`Prior.draw`.

        Raises:
            ValueError: no number of bins.
        """
        if time is None:
            raise ValueError(
                "A prior with memory draws sequences. Given: time=None. Pass time, the number of bins of each."
            )
        return self.rollout(keras.random.normal((n, time, self.size), seed=seed))

    def log_prob(self, z: Any, u: Any = None) -> Any:
        """log p(z_t | z_<t) in nats, (batch[, S], time) of z (batch[, S], time, D); its sum is that of the sequence.

        Raises:
            ValueError: `z` has no axis of time.
        """
        z = ops.convert_to_tensor(z)
        if len(z.shape) < 3:
            raise ValueError(
                "A prior with memory is one of sequences. Given: z of shape "
                f"{tuple(z.shape)}. Pass (batch, time, {self.size})."
            )
        return self.conditional(z).log_prob(z)

    def distribution(self, z: Any) -> Any:
        """p(z_t | z_<t) along the path `z` (batch, time, D) as a tensorflow-probability distribution."""
        return self.conditional(ops.convert_to_tensor(z)).to_tfp()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kl_mode": self.kl_mode, "rollout": self.rollout_mode, "seed": self.seed}


def fixed_or_new_noise(prior: Any, like: Any, training: bool | None, stream: int = 0) -> Any:
    """Standard normal noise of the shape of `like`: new in training, of a fixed seed at inference."""
    mode = current_sampling()
    if isinstance(mode, GivenNoise) and prior.name in mode.noise:
        return ops.convert_to_tensor(mode.noise[prior.name], like.dtype)
    if training:
        return keras.random.normal(ops.shape(like), dtype=like.dtype, seed=prior.seed_generator)
    seed = (prior.seed or 0, stream)
    return tf.random.stateless_normal(ops.shape(like), seed, dtype=like.dtype, alg="philox")


def mean_over_samples(kl: Any, per_dimension: bool = False) -> Any:
    """(batch, S, time) to (batch, time), or with a last axis for the dimensions; other ranks pass."""
    return ops.mean(kl, axis=1) if len(kl.shape) == 3 + per_dimension else kl
