"""One training run: params and a recording in, a trained model and its history out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from indl.data.checks.arrays import check_scale, check_whole
from indl.data.values.provenance import digest
from indl.data.values.recording import Recording
from indl.files import WriteError, check_folder, claim_folder
from indl.files.kinds import RUN
from indl.model.families import family_of
from indl.model.families.sequence import make_optimizer
from indl.model.latent_model import LatentModel
from indl.model.memory import check_memory, heaviest
from indl.model.steps.callbacks import listed
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import validate_params
from indl.sampling.seeding import seeded
from indl.training.checkpoint import Checkpoint
from indl.training.guard import FiniteGuard, NonFiniteError
from indl.training.hidden import HiddenValidation
from indl.training.latent_use import LatentUse
from indl.training.mode import Mode
from indl.training.plateau import PlateauRate
from indl.training.schedules import BetaSchedules, objective_schedules
from indl.training.selection import BestWeights
from indl.training.sequence_means import SequenceMeans

__all__ = [
    "TrainingResult",
    "first_epoch",
    "fit_batches",
    "heaviest_settings",
    "make_callbacks",
    "make_model",
    "make_optimizer",
    "monitor_of",
    "params_for",
    "train",
]

#: Validation trials on which the use of each latent dimension is recorded.
_LATENT_TRIALS = 256


class TrainingResult(NamedTuple):
    """What a run leaves.

    Attributes:
        model: the model at its best epoch (see :func:`train`).
        history: value of every logged term by epoch.
        monitor: the metric that chose the epoch.
        first_epoch: the first epoch that could be chosen, after all schedules.
        best_epoch: the chosen epoch; None where the schedules outlasted the run and the last weights stayed.
        latent_use: the KL of every latent dimension as training went on; None where the family does not record it.
    """

    model: LatentModel
    history: dict[str, list[float]]
    monitor: str
    first_epoch: int
    best_epoch: int | None
    latent_use: LatentUse | None


def params_for(params: Mapping[str, Any], recording: Recording) -> Mapping[str, Any]:
    """The complete params with all that the recording determines: channels, forward steps, sessions, classes and so on.

    Raises:
        ValueError: params that do not validate, that the recording does not fit, or of a model that would take more
            memory than the machine has.
    """
    family = family_of(params)
    p = family.params_for(params, recording)
    check_memory(p, lambda sizes: family.memory(sizes, recording), recording)
    return p


def heaviest_settings(params: Mapping[str, Any], recording: Recording) -> list[str]:
    """What weighs most in the memory that training takes, ``"batch_size=64"`` and so on, three at most."""
    family = family_of(params)
    p = family.params_for(params, recording)
    return [f"{key}={p[key]!r}" for key in heaviest(p, lambda sizes: family.memory(sizes, recording))]


def make_model(params: Mapping[str, Any], recording: Recording, epochs: int | None = None) -> LatentModel:
    """Builds and compiles the model for a recording."""
    family, p = family_of(params), params_for(params, recording)
    with seeded(p["seed"]):
        model = family.build(p, recording)
    n_trials = family.steps_per_epoch(p, recording) * p["batch_size"]
    family.compile(model, p, n_trials, epochs or p["epochs"])
    model.optimizer.build(model.trainable_variables)
    return model


def monitor_of(params: Mapping[str, Any]) -> str:
    """The beta-free validation metric that selects weights and trials."""
    return family_of(params).monitor(validate_params(params))


def first_epoch(params: Mapping[str, Any], recording: Recording) -> int:
    """The first epoch that runs wholly at the final weights of KL terms, L2 penalty and objective."""
    if "kl_f_schedule" not in params:
        return 0
    steps = family_of(params).steps_per_epoch(params, recording)
    own = [schedule.end_epoch(steps) for schedule in objective_schedules(params).values()]
    return max(BetaSchedules.from_params(params).end_epoch(steps), *own, 0)


def fit_batches(params: Mapping[str, Any], recording: Recording, first: int = 0) -> dict[str, Any]:
    """The arguments of ``fit`` that feed it a recording; see :meth:`indl.model.families.base.Family.batches`."""
    return family_of(params).batches(params, recording, first)


def make_callbacks(
    params: Mapping[str, Any], recording: Recording, hidden_every: int = 5, skip_nonfinite: bool = False
) -> dict[str, Any]:
    """The callbacks of a run by name, in the order in which they must be called: those that the params ask for."""
    first, found = first_epoch(params, recording), {}
    # Patience must not run out on one and the same evaluation.
    hidden_every = min(hidden_every, params["patience"]) if params["patience"] else hidden_every
    if "kl_f_schedule" in params:
        found["schedules"] = BetaSchedules.from_params(params)
        found |= objective_schedules(params)
        found["hidden"] = HiddenValidation(recording.valid, hidden_every, first)
        found["latent_use"] = LatentUse(recording.valid, hidden_every, _LATENT_TRIALS)
    if params.get("f_prior_type") == "lookup" and params["f_prior_refresh"]:
        found["sequence_means"] = SequenceMeans(recording.train)
    found["guard"] = FiniteGuard(skip_nonfinite)
    if params.get("lr_schedule") == "plateau":
        found["plateau"] = PlateauRate(*(params[f"lr_{key}"] for key in ("patience", "decay", "stop", "smoothing")))
    found["selection"] = BestWeights(monitor_of(params), first, params["patience"])
    return found


def train(
    params: Mapping[str, Any],
    recording: Recording,
    *,
    epochs: int | None = None,
    hidden_every: int = 5,
    callbacks: Any = (),
    verbose: int | str = 0,
    model: LatentModel | None = None,
    folder: Path | str | None = None,
    skip_nonfinite: bool = False,
    go_on: bool = True,
) -> TrainingResult:
    """Trains a model on the training trials and keeps the weights of its best epoch.

    The best epoch is that of the least :func:`monitor_of` after all schedules of weights have ended. Held-out channels
    of the validation trials have no part in ``val_hidden_nll`` and ``val_heldin_nll``; the other monitors score them
    too. If the schedules outlast the run, the last weights stay.

    Args:
        params: parameters; `out_dim`, `forward_steps` and `missing_data` come from the recording.
        recording: training and validation trials.
        epochs: passes over the training trials. Default: ``params["epochs"]``.
        hidden_every: epochs between two evaluations of ``val_hidden_nll`` and of the use of each latent dimension;
            at most ``params["patience"]``.
        callbacks: further Keras callbacks: one, a list or a ``CallbackList``. Where they monitor a term of the loss or
            ``val_hidden_nll`` (the last value in epochs without one), the mode ``"auto"`` is ``"min"``. Their own state
            is not kept in `folder`, and the weights of the best epoch are put back after them.
        verbose: as in Keras.
        model: a model to go on with, instead of a new one, compiled with :func:`make_optimizer`. Epochs and schedules
            start again at 0.
        folder: where the state of the run is written after every epoch (``state.npz``). Called again with the same
            arguments after a crash, the run goes on from there and ends at the numbers of an uninterrupted one. So it
            does with more epochs, unless `lr_schedule` is ``"cosine"``; where the epochs before were no multiple of
            `hidden_every`, the last of them has a score of its own, which a run of that length from the start has not.
        skip_nonfinite: leave out steps whose loss or gradient is not finite, and log their count as
            ``skipped_steps``, instead of stopping.
        go_on: False: nothing is trained; the result is that of the epochs that `folder` holds, which another call
            goes on from.

    Warns:
        UserWarning: the recording holds signals far from unit scale; or training was interrupted, without a `folder`.

    Raises:
        TypeError: `recording` or `callbacks` are something else.
        ValueError: params or arrays that do not validate, nothing to take with ``go_on=False``, params of a model that
            would take more memory than the machine has, or a model with another optimizer.
        KeyboardInterrupt: training was interrupted, and `folder` has the state to go on from, or to take the result so
            far from (``go_on=False``).
        NonFiniteError: a term of the loss or a gradient became NaN or infinite; the message names epoch, step and
            term. Weights of the last good step are in ``last_good.keras`` of `folder`.
        CheckpointError: the state cannot be written, or `folder` belongs to another run.
        OutputError: `folder` holds other things, and is none of a run.
    """
    if not isinstance(recording, Recording):
        raise TypeError(
            f"Training needs a Recording. Given: {type(recording).__name__}. Make one with Trials.split or "
            "load_recording."
        )
    callbacks = listed(callbacks)
    family, p = family_of(params), params_for(params, recording)
    folder = None if folder is None else check_folder(folder, RUN)
    check_scale(recording)
    epochs = p["epochs"] if epochs is None else check_whole(epochs, "epochs", 1)
    hidden_every = check_whole(hidden_every, "hidden_every", 1)
    model = model or make_model(p, recording, epochs)
    if not isinstance(model.optimizer, GuardedAdam):
        raise ValueError(
            "A model to go on with must have an optimizer that leaves out steps that are not finite. Given: "
            f"{type(model.optimizer).__name__}. Compile it with indl.training.make_optimizer(params, n_trials), or "
            "call model.fit yourself."
        )
    model.optimizer.build(model.trainable_variables)
    family.check(model, recording)
    parts = make_callbacks(p, recording, hidden_every, skip_nonfinite)
    settings = {"params": p, "epochs": epochs, "hidden_every": hidden_every}
    if folder is not None:
        settings["data"] = digest(recording)
    # A family without the param has one mode.
    mode = Mode(p["jit_compile"], p["batch_parts"]) if "batch_parts" in p else None
    stateful = {name: part for name, part in parts.items() if hasattr(part, "restore")}
    if mode is not None:
        stateful["mode"] = mode
    if folder is not None:
        claim_folder(folder, RUN)
    checkpoint = Checkpoint(None if folder is None else folder / "state.npz", settings, stateful)
    done, selection = checkpoint.resume(model), parts["selection"]
    if not (go_on or done):
        raise ValueError(
            f"There is no result so far. Given: go_on=False, folder={None if folder is None else str(folder)!r}, where "
            "no epoch has ended. Name the folder of a call that was interrupted, or train."
        )
    if go_on and done < epochs and not selection.exhausted:
        batches = fit_batches(p, recording, done)
        if mode is not None:
            x, *y = next(iter(batches["x"]))
            mode.choose(model, x, *(y or [None]), (epochs - done) * batches["steps_per_epoch"])
        try:
            model.fit(**batches, epochs=epochs, verbose=verbose, callbacks=[*parts.values(), *callbacks, checkpoint])
        except NonFiniteError as error:
            if folder is not None:
                raise NonFiniteError(*error.where, _keep(model, folder / "last_good.keras")) from None
            raise
        except KeyboardInterrupt:
            if folder is not None or not checkpoint.history:
                raise
            warnings.warn(
                f"Training was interrupted. The result is that of the {checkpoint.epochs_done} epochs before.",
                stacklevel=2,
            )
    # The callbacks of others have ended after the selection.
    selection.set_model(model)
    selection.put_back()
    if model.params is not None and mode is not None:
        # What was measured is part of what the run was.
        model.params["jit_compile"] = "on" if mode.compiled else "off"
        if mode.compiled:
            model.params["batch_parts"] = mode.parts
    return TrainingResult(
        model, checkpoint.history, monitor_of(p), first_epoch(p, recording), selection.epoch, parts.get("latent_use")
    )


def _keep(model: LatentModel, path: Path) -> str:
    """Saves the last good weights, and says where; a full disk must not hide why the run broke down."""
    try:
        model.save(path)
    except WriteError as error:
        return f" The weights before it could not be written to {path} ({error.reason})."
    return f" The weights before it are in {path}."
