"""Beta schedules: how the weights of both KL terms and of the L2 penalty rise during training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from indl.params import SCHEDULES


@dataclass(frozen=True)
class BetaSchedule:
    """A weight as a function of the step (or epoch), with progress p = (step - start) / ramp clipped to [0, 1].

    ========== =================================================================================
    constant   ``beta`` throughout
    linear     ``begin + (beta - begin) p``
    ramp       ``beta (step + 1 - start) / (ramp + 1)``, clipped to [0, beta]: not zero at `start` (LFADS)
    cosine     ``begin + (beta - begin) (1 - cos(pi p)) / 2``
    sigmoid    ``beta / (1 + exp(-k (step - middle)))``, with k = 10 / ramp (Bowman et al. 2016)
    cyclical   ``cycles`` times a linear rise over ``ratio`` of the cycle, then flat (Fu et al. 2019)
    monotonic  cyclical with one cycle
    ========== =================================================================================

    Every schedule holds ``beta`` exactly from ``start + ramp`` on.

    Args:
        kind: one of the names above.
        beta: final weight.
        start: first step (or epoch) of the rise.
        ramp: its length.
        begin: weight before `start`, for linear and cosine.
        cycles, ratio: of the cyclical schedule.
    """

    kind: str = "constant"
    beta: float = 1.0
    start: int = 0
    ramp: int = 1
    begin: float = 0.0
    cycles: int = 4
    ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise ValueError(f"Unknown beta schedule. Given: {self.kind!r}. Choose one of {', '.join(SCHEDULES)}.")
        if self.ramp < 1 or self.start < 0 or self.beta < 0 or self.cycles < 1 or not 0 < self.ratio <= 1:
            raise ValueError(
                "A beta schedule needs ramp >= 1, start >= 0, beta >= 0, cycles >= 1 and 0 < ratio <= 1. "
                f"Given: {self}. Mend the value that is out of range."
            )

    @property
    def end(self) -> int:
        """First step (or epoch) at which the weight is final."""
        return 0 if self.kind == "constant" else self.start + self.ramp

    def __call__(self, step: float) -> float:
        """The weight at `step`."""
        if step >= self.end:
            return self.beta
        p = min(max((step - self.start) / self.ramp, 0.0), 1.0)
        if self.kind == "linear":
            return self.begin + (self.beta - self.begin) * p
        if self.kind == "ramp":
            return self.beta * max(0.0, (step + 1 - self.start) / (self.ramp + 1))
        if self.kind == "cosine":
            return self.begin + (self.beta - self.begin) * (1 - math.cos(math.pi * p)) / 2
        if self.kind == "sigmoid":
            return self.beta / (1 + math.exp(-10 * ((step - self.start) / self.ramp - 0.5)))
        cycles = self.cycles if self.kind == "cyclical" else 1
        return self.beta * min(1.0, math.fmod(p * cycles, 1.0) / self.ratio)


def checked_unit(unit: str) -> str:
    """The unit of a schedule.

    Raises:
        ValueError: there is no such unit.
    """
    if unit not in ("epoch", "step"):
        raise ValueError(f"A beta schedule counts epochs or steps. Given: unit={unit!r}. Use 'epoch' or 'step'.")
    return unit


class BetaSchedules(keras.callbacks.Callback):
    """Sets ``model.beta_f``, ``model.beta_z`` and ``model.l2_weight`` before every step (or epoch), and logs them.

    Of a model without some of them, those it has.

    Steps and epochs are absolute, so a run that continues from an epoch finds the right weights.

    Args:
        f, z: the schedules of the weights of both KL terms.
        unit: ``"epoch"`` or ``"step"``, the unit of all starts and ramps.
        l2: the schedule of the weight of the L2 penalty, which is logged unless it is constant.
    """

    def __init__(self, f: BetaSchedule, z: BetaSchedule, unit: str = "epoch", l2: BetaSchedule = BetaSchedule()):
        super().__init__()
        self.f = f
        self.z = z
        self.unit = checked_unit(unit)
        self.l2 = l2

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> BetaSchedules:
        """The schedules that a complete params dict asks for (kl_f_*, kl_z_*, l2_*, kl_unit)."""
        f, z = (
            BetaSchedule(*(params[f"kl_{latent}_{key}"] for key in ("schedule", "beta", "start", "ramp")))
            for latent in "fz"
        )
        l2 = BetaSchedule(params["l2_schedule"], 1.0, params["l2_start"], params["l2_ramp"])
        return cls(f, z, params["kl_unit"], l2)

    def end_epoch(self, steps_per_epoch: int) -> int:
        """First epoch that runs wholly at the final weights."""
        end = max(self.f.end, self.z.end, self.l2.end)
        return end if self.unit == "epoch" else math.ceil(end / steps_per_epoch)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        if self.unit == "epoch":
            self._assign(epoch)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.unit == "step":
            # Not the optimiser's count, which leaves out steps that were not finite.
            self._assign(self.epoch * self.params["steps"] + batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, schedule in self._weights().items():
            if logs is not None and (name != "l2_weight" or schedule.kind != "constant"):
                logs[name] = float(getattr(self.model, name).value.numpy())

    def _assign(self, step: int) -> None:
        for name, schedule in self._weights().items():
            getattr(self.model, name).assign(schedule(step))

    def _weights(self) -> dict[str, BetaSchedule]:
        """The schedules of the weights that the model has: pi-VAE has beta_z alone."""
        found = {"beta_f": self.f, "beta_z": self.z, "l2_weight": self.l2}
        return {name: schedule for name, schedule in found.items() if hasattr(self.model, name)}


class WeightSchedule(keras.callbacks.Callback):
    """Sets one weight of a model before every epoch (or step), and logs it.

    Steps and epochs are absolute, as with :class:`BetaSchedules`.

    For example pi-VAE's `alpha`, from a half to 0: ``BetaSchedule("linear", 0.0, start=100, ramp=100, begin=0.5)``.

    Args:
        name: the model's variable, such as ``"alpha"`` or ``"beta_z"``.
        schedule: its value by epoch, or by step.
        unit: ``"epoch"`` or ``"step"``.
    """

    def __init__(self, name: str, schedule: BetaSchedule, unit: str = "epoch"):
        super().__init__()
        self.name = name
        self.schedule = schedule
        self.unit = checked_unit(unit)

    def end_epoch(self, steps_per_epoch: int) -> int:
        """First epoch that runs wholly at the final weight."""
        return self.schedule.end if self.unit == "epoch" else math.ceil(self.schedule.end / steps_per_epoch)

    def set_model(self, model: Any) -> None:
        if not isinstance(getattr(model, self.name, None), keras.Variable):
            raise ValueError(
                f"The model has no weight of that name. Given: {self.name!r} of a {type(model).__name__}. Use the name "
                "of a variable such as 'beta_z', or 'alpha' of a PiVAE."
            )
        super().set_model(model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        if self.unit == "epoch":
            getattr(self.model, self.name).assign(self.schedule(epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.unit == "step":
            getattr(self.model, self.name).assign(self.schedule(self.epoch * self.params["steps"] + batch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs[self.name] = float(getattr(self.model, self.name).value.numpy())


def objective_schedules(params: Mapping[str, Any]) -> dict[str, WeightSchedule]:
    """The schedules of an objective's own weights that complete params ask for, by the name of the weight."""
    if params.get("objective") != "capacity":
        return {}
    rise = BetaSchedule("linear", params["capacity_max"], 0, params["capacity_steps"])
    return {"capacity": WeightSchedule("capacity", rise, "step")}
