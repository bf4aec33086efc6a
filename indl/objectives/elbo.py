"""The evidence lower bound of a sequential model, with weights on its divergences and a penalty of the weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import ops

from indl.dists.observations import PoissonObservation
from indl.layers.coordinated_dropout import block_gradient, gradient_weight
from indl.layers.sample_validation import sample_validation_losses
from indl.objectives.base import Context, Objective
from indl.objectives.batch_latents import densities, trial_sum
from indl.objectives.total_correlation import log_weights, mutual_information
from indl.params.objectives import estimates_aggregate
from indl.registry import register


@register
@dataclass(frozen=True)
class Elbo(Objective):
    """``loss = nll + beta_f kl_f + beta_z kl_z + l2_weight penalty``, in nats per trial.

    Of latents with a product posterior, the loss has ``alpha kl_f_encoder + (1 - alpha) kl_f`` for ``kl_f``, and so for
    z, where the first is what the encoder alone would pay.

    ``neg_elbo`` is the sum of the first three at weights of one; ``heldin_nll`` is the part of ``nll`` in the bins and
    channels of the input. In sample validation these are over visible samples, scaled to all of them, and
    ``sample_nll`` is over hidden ones, scaled likewise. With ``reduction="mean"`` the loss takes the mean of the
    likelihood over bins and channels instead of ``nll``.

    With free bits, a dimension whose KL is below them on the mean over a batch (and its bins) costs just as many, and
    trains nothing; ``kl_f`` and ``kl_z`` are logged as they are. ``fz_mi``, the mutual information of f and z in a bin
    where it is positive, as a mean over bins, is added to the loss with its weight (Bai et al. 2021, arXiv:2110.13492).

    Args:
        beta_f, beta_z: weights of the divergences before any schedule.
        alpha: share of the encoders' own divergence before any schedule.
        encoders: the latents, ``"f"`` and ``"z"``, for which the model gives it.
        sample_validation: whether ``sample_nll`` is logged too.
        separable: False where the loss of a trial depends on the others in its batch, as it does in any case with free
            bits, with the mutual information, and in some sub-classes.
        f_free_bits, z_free_bits: nats that each dimension (and bin) has for nothing.
        fz_mi_weight: weight of the mutual information before any schedule; 0: it is not computed.
        n_data: number of training trials, for estimates of the posterior of all of them.
        estimator: how they are made; see :func:`~indl.objectives.total_correlation.log_weights`.

    Raises:
        ValueError: there are such estimates, and no `n_data`.
    """

    beta_f: float = 1.0
    beta_z: float = 1.0
    alpha: float = 0.0
    encoders: tuple[str, ...] = ()
    sample_validation: bool = False
    separable: bool = True
    f_free_bits: float = 0.0
    z_free_bits: float = 0.0
    fz_mi_weight: float = 0.0
    n_data: int | None = None
    estimator: str = "mss"

    #: Whether the sub-class itself compares the trials of a batch.
    couples_trials: ClassVar[bool] = False
    scores = {
        "nll": "reconstruction, nats/trial",
        "kl_f": "KL of f, nats/trial",
        "kl_z": "KL of z, nats/trial",
        "neg_elbo": "-ELBO, nats/trial",
    }

    def __post_init__(self) -> None:
        if self.estimates and self.n_data is None:
            raise ValueError(
                "The posterior of all trials cannot be estimated without their number. Given: n_data=None. Set n_data "
                "to the number of training trials, or call indl.train, which does."
            )
        if self.couples_trials or self.f_free_bits or self.z_free_bits or self.fz_mi_weight:
            # What is frozen is set in this way; the value is one from here on.
            object.__setattr__(self, "separable", False)

    @classmethod
    def of(cls, p: Mapping[str, Any], outputs: Collection[str]) -> Elbo:
        """The objective of this kind that complete params ask for, of a model with these outputs.

        Raises:
            ValueError: params without `n_data` where it is needed.
        """
        return cls(
            p["kl_f_beta"],
            p["kl_z_beta"],
            p["alpha"],
            encoders=tuple(latent for latent in "fz" if f"kl_{latent}_encoder" in outputs),
            sample_validation="sample_mask" in outputs,
            # The mean over what a whole batch recorded couples its trials.
            separable=not (p["missing_data"] and p["loss_reduction"] == "mean"),
            f_free_bits=p["f_free_bits"],
            z_free_bits=p["z_free_bits"],
            fz_mi_weight=p["fz_mi_weight"],
            n_data=p["n_data"] if estimates_aggregate(p) else None,
            estimator=p["tc_estimator"],
            **cls.settings(p),
        )

    @classmethod
    def settings(cls, p: Mapping[str, Any]) -> dict[str, Any]:
        """What a sub-class takes of complete params, by the names of its own arguments."""
        return {}

    @property
    def estimates(self) -> bool:
        """Whether the posterior of all trials is estimated from a batch."""
        return self.fz_mi_weight > 0

    @property
    def parts(self) -> tuple[str, ...]:
        shared = ("fz_mi",) if self.fz_mi_weight else ()
        return ("nll", "kl_f", "kl_z", *(f"kl_{latent}_encoder" for latent in self.encoders), *shared, "penalty")

    @property
    def sums(self) -> tuple[str, ...]:
        return ("neg_elbo", "heldin_nll", "loss", *(("sample_nll",) if self.sample_validation else ()))

    @property
    def weights(self) -> dict[str, float]:
        found = {"beta_f": self.beta_f, "beta_z": self.beta_z, "l2_weight": 1.0}
        found |= {"alpha": self.alpha} if self.encoders else {}
        return found | ({"fz_mi_weight": self.fz_mi_weight} if self.fz_mi_weight else {})

    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        likelihood, found = self.likelihoods(outputs, target, context)
        seen = -context.forward_steps or None
        found |= {"nll": likelihood, "heldin_nll": likelihood[..., :seen, : context.n_channels]}
        found = {name: -ops.sum(part, axis=(-2, -1)) for name, part in found.items()}
        found = {name: ops.mean(part, axis=1) if len(part.shape) == 2 else part for name, part in found.items()}
        zero = ops.zeros_like(found["nll"])
        found |= {"kl_f": zero, "kl_z": zero}
        for name in ("kl_f", "kl_z", *(f"kl_{latent}_encoder" for latent in self.encoders)):
            if name in outputs:
                found[name] = ops.sum(outputs[name], axis=-1) if name.startswith("kl_z") else outputs[name]
        found["penalty"] = outputs.get("penalty", ops.zeros(()))
        found["neg_elbo"] = found["nll"] + found["kl_f"] + found["kl_z"]
        # What the loss takes of the likelihood.
        found["reconstruction"] = found["nll"] * _per_element(target, outputs.get("inputs", {}), context)
        for latent, floor in (("f", self.f_free_bits), ("z", self.z_free_bits)):
            if floor:
                found[f"floored_{latent}"] = floored(outputs[f"kl_{latent}_dimensions"], floor)
        if self.fz_mi_weight:
            found["fz_mi"] = self._mutual_information(outputs)
        return found

    def likelihoods(
        self, outputs: Mapping[str, Any], target: Any, context: Context, trained_alone: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """The log-likelihood of every element in nats, (batch[, S], time, channels), with its gradient where it trains.

        In sample validation that of visible samples, and ``sample_nll``, that of the hidden ones. With `trained_alone`
        what coordinated dropout does not train is 0, and the rest scaled to all.
        """
        likelihood = log_likelihood(outputs["p_x"], target, context)
        if outputs.get("cd_mask") is not None:
            mask = outputs["cd_mask"], context.gradient_rescale, context.segment
            likelihood = (
                likelihood * gradient_weight(likelihood, *mask) if trained_alone else block_gradient(likelihood, *mask)
            )
        if not self.sample_validation:
            return likelihood, {}
        visible, hidden = sample_validation_losses(
            likelihood, outputs["sample_mask"], context.sample_validation_rate, context.segment
        )
        return visible, {"sample_nll": hidden}

    def _mutual_information(self, outputs: Mapping[str, Any]) -> Any:
        """The positive part of the information that f and z of a bin share, mean over bins: (batch,)."""
        f, z = densities(outputs, "f"), densities(outputs, "z")
        log_w = log_weights(ops.shape(f)[-2], self.n_data, self.estimator)
        # f has no bins, to which its densities are broadcast.
        shared = ops.relu(mutual_information(ops.expand_dims(f, -4), z, log_w))
        return trial_sum(shared, "z") / ops.cast(ops.shape(z)[-4], shared.dtype)

    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        trial = terms["reconstruction"]
        for latent in self.weighted:
            trial = trial + weights[f"beta_{latent}"] * self.paid(latent, terms, weights)
        if self.fz_mi_weight:
            trial = trial + weights["fz_mi_weight"] * terms["fz_mi"]
        trial = trial + self.added(terms, weights)
        if trial_weight is not None:
            trial = trial * ops.cast(trial_weight, trial.dtype)
        return (trial + weights["l2_weight"] * terms["penalty"] + self.shared(terms, weights)) * context.scale

    @property
    def weighted(self) -> tuple[str, ...]:
        """The latents whose KL is weighted by its beta."""
        return ("f", "z")

    def paid(self, latent: str, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        """What stands for the KL of a latent in the loss, (batch,), before it is weighted by beta."""
        if f"floored_{latent}" in terms:
            return terms[f"floored_{latent}"]
        kl = terms[f"kl_{latent}"]
        if latent not in self.encoders:
            return kl
        alpha = weights["alpha"]
        return alpha * terms[f"kl_{latent}_encoder"] + (1 - alpha) * kl

    def added(self, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        """What a sub-class adds to the loss of each trial, (batch,)."""
        return 0.0

    def shared(self, terms: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
        """What a sub-class adds to the loss of every trial alike, whatever the trials count."""
        return 0.0


def floored(kl: Any, floor: float) -> Any:
    """The KL of every trial, (batch,), with `floor` for that of dimensions whose mean is not above it.

    Args:
        kl: KL of each dimension in nats, (batch[, time], D); the mean is over all axes but the last.
        floor: nats, of a dimension (and bin).
    """
    others = tuple(range(len(kl.shape) - 1))
    kl = ops.where(ops.mean(kl, axis=others, keepdims=True) > floor, kl, floor)
    return ops.sum(kl, axis=tuple(range(1, len(kl.shape))))


def log_likelihood(p_x: Any, target: Any, context: Context) -> Any:
    """The log-likelihood of every element in nats, (batch[, S], time, channels), 0 where it is missing."""
    target = target[:, None] if len(p_x[0].shape) == 4 else target
    constant = {"log_factorial": context.log_factorial} if isinstance(p_x, PoissonObservation) else {}
    if not context.missing:
        return p_x.log_prob(target, **constant)
    missing = ops.isnan(target)
    # Filled before the density: a NaN that is cut off afterwards still spoils the gradient.
    likelihood = p_x.log_prob(ops.where(missing, ops.zeros_like(target), target), **constant)
    return ops.where(missing, ops.zeros_like(likelihood), likelihood)


def _per_element(target: Any, inputs: Mapping[str, Any], context: Context) -> Any:
    """The factor that makes a trial's log-likelihood a mean over bins and channels, where that is asked for."""
    if context.reduction == "sum":
        return 1.0
    shape = ops.shape(target)
    if not context.missing:
        return 1.0 / ops.cast(shape[1] * shape[2], "float32")
    # As in lfads-torch, the mean is over what was recorded, in all trials that the batch holds of a session.
    recorded = ops.sum(ops.cast(ops.logical_not(ops.isnan(target)), "float32"), axis=(1, 2))
    session = inputs.get("session")
    if session is None:
        return 1.0 / ops.maximum(ops.mean(recorded), 1e-8)
    alike = ops.cast(ops.equal(session[:, None], session[None]), "float32")
    return ops.sum(alike, axis=1) / ops.maximum(ops.sum(alike * recorded, axis=1), 1e-8)
