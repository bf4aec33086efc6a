"""Losses that drive an inference network and a generative model through the passes that each needs."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import keras
import tensorflow as tf
from keras import ops

from indl.blackbox.base import GenerativeModel, InferenceNetwork
from indl.objectives import estimators
from indl.objectives.importance import diagnostics
from indl.text import shown


class Loss(abc.ABC):
    """``loss = Loss(inf, gen); loss(data)`` is a scalar to minimise in the variables of the parts that `updates` names.

    Outside of a ``tf.function`` every call is remembered.

    Attributes:
        inf: the inference network.
        gen: the generative model.
        reduction: ``"mean"`` or ``"sum"`` over the batch. Published codes take the mean for VIMCO and the sum for the
            losses of reweighted wake-sleep.
        name: short name of the loss.
        updates: the parts, ``"inf"`` and ``"gen"``, that it is to be minimised in.
        loss_history_: value of each call.
        bound_history_: the K-sample bound at each call, nats a datum; of dreams there is none.
        mean_log_p_, mean_log_q_: means of the log densities at each call, as far as it has them.
    """

    name: ClassVar[str]
    updates: ClassVar[tuple[str, ...]] = ("inf", "gen")

    def __init__(self, inf: InferenceNetwork, gen: GenerativeModel, reduction: str = "mean"):
        if reduction not in ("mean", "sum"):
            raise ValueError(f"A loss is a mean or a sum over the batch. Given: {reduction!r}. Use 'mean' or 'sum'.")
        self.inf = inf
        self.gen = gen
        self.reduction = reduction
        self.loss_history_: list[float] = []
        self.bound_history_: list[float] = []
        self.mean_log_p_: list[float] = []
        self.mean_log_q_: list[float] = []

    @property
    def trainable_variables(self) -> list[Any]:
        """Variables of the parts in `updates`."""
        return [variable for part in self.updates for variable in getattr(self, part).trainable_variables]

    def __call__(self, data: Any) -> Any:
        loss, log_p, log_q = self.forward(data)
        if tf.executing_eagerly():
            self.loss_history_.append(float(loss))
            for history, values in ((self.mean_log_p_, log_p), (self.mean_log_q_, log_q)):
                if values is not None:
                    history.append(float(ops.mean(values)))
            if log_p is not None and log_q is not None:
                self.bound_history_.append(float(ops.mean(diagnostics(log_p, log_q).bound)))
        return loss

    @abc.abstractmethod
    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        """The loss, and log p(x, z) and log q(z|x) of the samples it was computed from, None where it has none."""

    def densities(self, data: Any, reparameterized: bool = False) -> tuple[Any, Any, Any]:
        """log p(x, z) and log q(z|x) of new samples of q, (batch, K), and the samples.

        Args:
            data: what the networks take.
            reparameterized: whether gradients pass through the samples, which are constants otherwise.

        Raises:
            ValueError: gradients are to pass, and the latents are not of that kind.
        """
        if reparameterized and not self.inf.reparameterized:
            raise ValueError(
                f"{type(self).__name__} needs samples that are re-parametrised. Given: {type(self.inf).__name__} with "
                "reparameterized = False. Use VIMCO, RWS or ScoreELBO, which take latents of any kind."
            )
        latents = self.inf(data).sample()
        if not reparameterized:
            latents = _stopped(latents)
        log_p = self.gen(data, latents).log_prob(data, latents)
        return log_p, self.inf.log_prob(latents), latents


class _OfDensities(Loss):
    """A loss that is a function of the densities of samples."""

    reparameterized: ClassVar[bool] = False

    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        log_p, log_q, _ = self.densities(data, self.reparameterized)
        return self.value(log_p, log_q), log_p, log_q

    @abc.abstractmethod
    def value(self, log_p: Any, log_q: Any) -> Any:
        """The loss of given densities, (batch, K)."""


class VIMCO(_OfDensities):
    """:func:`~indl.objectives.estimators.vimco`: latents of any kind, two samples at least."""

    name = "vimco"

    def value(self, log_p: Any, log_q: Any) -> Any:
        return estimators.vimco(log_p, log_q, self.reduction)


class PWake(_OfDensities):
    """:func:`~indl.objectives.estimators.wake_theta`, for the generative model."""

    name = "p_wake"
    updates = ("gen",)

    def value(self, log_p: Any, log_q: Any) -> Any:
        return estimators.wake_theta(log_p, log_q, self.reduction)


class QWake(_OfDensities):
    """:func:`~indl.objectives.estimators.wake_phi`, for the inference network."""

    name = "q_wake"
    updates = ("inf",)

    def value(self, log_p: Any, log_q: Any) -> Any:
        return estimators.wake_phi(log_p, log_q, reduction=self.reduction)


class QSleep(Loss):
    """:func:`~indl.objectives.estimators.sleep_phi` of the generative model's own dreams; data are not looked at."""

    name = "q_sleep"
    updates = ("inf",)

    def forward(self, data: Any = None) -> tuple[Any, Any, Any]:
        dreamt, latents = _stopped(self.gen.sample())
        log_q = self.inf(dreamt).log_prob(latents)
        return estimators.sleep_phi(log_q, self.reduction), None, log_q


class RWS(Loss):
    """Reweighted wake-sleep in one pass: wake-theta, and for the inference network wake, sleep or the mean of both.

    Args:
        inf, gen, reduction: see :class:`Loss`.
        phi: ``"wake"``, ``"sleep"`` or ``"both"``.
    """

    name = "rws"

    def __init__(self, inf: InferenceNetwork, gen: GenerativeModel, reduction: str = "mean", phi: str = "wake"):
        super().__init__(inf, gen, reduction)
        if phi not in ("wake", "sleep", "both"):
            raise ValueError(f"There is no such update of q. Given: phi={phi!r}. Use 'wake', 'sleep' or 'both'.")
        self.phi = phi
        self._sleep = QSleep(inf, gen, reduction)

    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        log_p, log_q, _ = self.densities(data)
        theta = estimators.wake_theta(log_p, log_q, self.reduction)
        wake = estimators.wake_phi(log_p, log_q, reduction=self.reduction) if self.phi != "sleep" else 0.0
        sleep = self._sleep.forward()[0] if self.phi != "wake" else 0.0
        return theta + (wake + sleep) / (2 if self.phi == "both" else 1), log_p, log_q


class ScoreELBO(_OfDensities):
    """:func:`~indl.objectives.estimators.score_elbo`, with the mean of the other samples, if any, as baseline."""

    name = "score_elbo"

    def value(self, log_p: Any, log_q: Any) -> Any:
        baseline = "leave_one_out" if log_p.shape[1] > 1 else None
        return estimators.score_elbo(log_p, log_q, baseline, self.reduction)


class NVIL(Loss):
    """:func:`~indl.objectives.estimators.nvil`: latents of any kind, with one sample, and a network for a baseline.

    Args:
        inf, gen, reduction: see :class:`Loss`.
        baseline: from the data to an estimate of log p - log q, (batch,) or (batch, 1), such as a Keras model of the
            first array; its variables are trained by the loss too. None: the running mean alone.
        decay: share of the past in the running moments.
    """

    name = "nvil"

    def __init__(
        self,
        inf: InferenceNetwork,
        gen: GenerativeModel,
        reduction: str = "mean",
        baseline: Any = None,
        decay: float = 0.8,
    ):
        super().__init__(inf, gen, reduction)
        if not 0 <= decay < 1:
            raise ValueError(f"A share of the past lies in [0, 1). Given: decay={shown(decay)}. Use 0.8.")
        self.baseline = baseline
        self.decay = decay
        self.moments_ = estimators.Moments(*(keras.Variable(0.0, trainable=False, name=n) for n in ("mean", "var")))

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of both parts and of the baseline."""
        return [*super().trainable_variables, *getattr(self.baseline, "trainable_variables", ())]

    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        log_p, log_q, _ = self.densities(data)
        first = data[0] if isinstance(data, list | tuple) else data
        guess = ops.zeros_like(log_p[:, 0]) if self.baseline is None else ops.reshape(self.baseline(first), (-1,))
        moments = estimators.Moments(*(ops.cast(part.value, log_p.dtype) for part in self.moments_))
        found = estimators.nvil(log_p, log_q, guess, moments, self.decay, self.reduction)
        for variable, value in zip(self.moments_, found.moments, strict=True):
            variable.assign(value)
        return found.loss, log_p, log_q


class ELBO(_OfDensities):
    """:func:`~indl.objectives.estimators.elbo` of re-parametrised samples.

    Args:
        inf, gen, reduction: see :class:`Loss`.
        stick: sticking the landing, log q at stopped parameters.
    """

    name = "elbo"
    reparameterized = True

    def __init__(self, inf: InferenceNetwork, gen: GenerativeModel, reduction: str = "mean", stick: bool = False):
        super().__init__(inf, gen, reduction)
        self.stick = stick

    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        log_p, log_q, latents = self.densities(data, True)
        used = _through_samples(log_q, self.inf.log_prob(_stopped(latents))) if self.stick else log_q
        return self.value(log_p, used), log_p, log_q

    def value(self, log_p: Any, log_q: Any) -> Any:
        return estimators.elbo(log_p, log_q, self.reduction)


class IWAE(_OfDensities):
    """:func:`~indl.objectives.estimators.iwae` of re-parametrised samples."""

    name = "iwae"
    reparameterized = True

    def value(self, log_p: Any, log_q: Any) -> Any:
        return estimators.iwae(log_p, log_q, self.reduction)


class DReG(Loss):
    """Doubly re-parametrised gradients of the K-sample bound for q, and its exact weights for p.

    Both parts are asked twice at the same samples: with gradients through them, and with the samples held fixed. The
    difference has the gradient through the samples alone, which :func:`~indl.objectives.estimators.dreg_iwae` weights;
    the second has that of p's own variables, for :func:`~indl.objectives.estimators.wake_theta`.
    """

    name = "dreg"

    def forward(self, data: Any) -> tuple[Any, Any, Any]:
        log_p, log_q, latents = self.densities(data, True)
        held = _stopped(latents)
        log_p_held, log_q_held = self.gen(data, held).log_prob(data, held), self.inf.log_prob(held)
        theta = estimators.wake_theta(log_p_held, ops.stop_gradient(log_q_held), self.reduction)
        through = _through_samples(log_p, log_p_held), _through_samples(log_q, log_q_held)
        return theta + estimators.dreg_iwae(*through, self.reduction), log_p, log_q


def _through_samples(density: Any, held: Any) -> Any:
    """The value of a density, with its gradient through the samples alone; `held` is the same at fixed samples."""
    return density - held + ops.stop_gradient(held)


def _stopped(latents: Any) -> Any:
    return tf.nest.map_structure(ops.stop_gradient, latents)
