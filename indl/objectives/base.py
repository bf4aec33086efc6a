"""What an objective is: the terms of a loss, their names, and how they become one number a trial."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from keras import ops


@dataclass(frozen=True)
class Context:
    """What the terms of a loss depend on beside tensors; the same for every batch.

    Attributes:
        n_channels: channels that the encoder sees, the first ones of the target; None: all.
        forward_steps: bins of the target beyond the encoder's input.
        segment: bins at the start of which neither coordinated dropout nor sample validation hides anything.
        gradient_rescale: factor on the reconstruction gradient where coordinated dropout lets it flow.
        sample_validation_rate: fraction of samples that sample validation hides.
        missing: whether targets may hold NaN, which counts nothing.
        log_factorial: the constant of a Poisson likelihood, see
            :meth:`~indl.dists.observations.poisson.PoissonObservation.log_prob`.
        reduction: ``"sum"``: a trial's likelihood is a sum over bins and channels; ``"mean"``: the loss takes its mean.
        scale: factor on the whole loss.
        n_classes: number of classes of the labels; None: they are vectors, or there are none.
    """

    n_channels: int | None = None
    forward_steps: int = 0
    segment: int = 0
    gradient_rescale: float = 1.0
    sample_validation_rate: float = 0.0
    missing: bool = False
    log_factorial: str = "exact"
    reduction: str = "sum"
    scale: float = 1.0
    n_classes: int | None = None


class Objective(abc.ABC):
    """The terms of a loss, in nats a trial, and their weighted sum; a frozen data class, registered for saving.

    Attributes:
        parts: names of the terms that the loss is made of, in the order in which a broken one is looked for.
        sums: names of what is logged as sums of parts.
        weights: names of the variables that weight them, with their values before any schedule.
        scores: what a trained model is told by, of what is logged, with words for a table.
        separable: whether the loss is a mean over trials, so that a batch may be dealt into parts.
    """

    parts: tuple[str, ...]
    sums: tuple[str, ...] = ("neg_elbo", "loss")
    scores: ClassVar[Mapping[str, str]] = {}
    weights: Mapping[str, float]
    separable: bool = True

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of all that is logged."""
        return (*self.parts, *self.sums)

    @abc.abstractmethod
    def terms(self, outputs: Mapping[str, Any], target: Any, context: Context) -> dict[str, Any]:
        """All that is logged but ``loss``, each of shape (batch,) or a scalar that all trials share.

        Args:
            outputs: the model's outputs, with what it was given as ``inputs`` (a dict), its L2 penalty as ``penalty``,
                and what it has of :meth:`opponent`.
            target: what is reconstructed.
            context: what else the terms depend on.
        """

    @abc.abstractmethod
    def combine(
        self, terms: Mapping[str, Any], weights: Mapping[str, Any], context: Context, trial_weight: Any = None
    ) -> Any:
        """The loss of every trial, (batch,).

        Args:
            terms: what :meth:`terms` gives.
            weights: the value of every name in `weights`.
            context: what else the loss depends on.
            trial_weight: what each trial counts, (batch,); None: all alike. A penalty that all trials share keeps its
                weight.
        """

    def opponent(self) -> Any:
        """A new network to be trained against the model, which `terms` then finds as ``opponent``; None: there is none.

        See :class:`~indl.model.steps.opponent.Opponent`.
        """
        return None

    def finite(self, terms: Mapping[str, Any]) -> Any:
        """Which of the parts are finite in all trials, bool (parts,)."""
        return ops.stack([ops.all(ops.isfinite(terms[name])) for name in self.parts])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same objective again, for saved models."""
        return asdict(self)  # type: ignore[call-overload]  # sub-classes are data classes

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Objective:
        """The objective of a saved model, in which tuples have become lists."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})
