"""One training run: params and a recording in, a trained model and its history out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from indl.data.batches.augmentation import Augmentation
from indl.data.batches.batches import Batches
from indl.data.batches.sample_mask import SampleMask
from indl.data.checks.arrays import check_whole
from indl.data.values.provenance import digest
from indl.data.values.recording import Recording
from indl.feed.tf_data import dataset
from indl.files import save_model
from indl.model.assemble import build_sequential_vae
from indl.model.inputs.of_recording import arrays_of, inputs_of
from indl.model.sequence_model import SequentialVAE
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import validate_params
from indl.training.checkpoint import Checkpoint
from indl.training.guard import FiniteGuard, NonFiniteError
from indl.training.hidden import HiddenValidation
from indl.training.latent_use import LatentUse
from indl.training.mode import Mode
from indl.training.plateau import PlateauRate
from indl.training.schedules import BetaSchedules
from indl.training.selection import BestWeights

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
        latent_use: the KL of every latent dimension as training went on.
    """

    model: SequentialVAE
    history: dict[str, list[float]]
    monitor: str
    first_epoch: int
    best_epoch: int | None
    latent_use: LatentUse


def params_for(params: Mapping[str, Any], recording: Recording) -> dict[str, Any]:
    """The params with channels, forward steps, missing samples, external inputs, sessions and classes of the recording.

    Raises:
        ValueError: params that do not validate, or an f-encoder segment as long as the trials.
    """
    given: dict[str, Any] = {
        "out_dim": recording.n_heldin + recording.n_heldout,
        "forward_steps": recording.forward_steps,
    }
    if recording.has_missing:
        given["missing_data"] = True
    if recording.train.ext_input is not None:
        given["ext_input_dim"] = recording.train.ext_input.shape[-1]
    if recording.train.session is not None and isinstance(params, Mapping):
        found = 1 + int(max(part.session.max() for part in (recording.train, recording.valid)))
        # A model of more sessions may go on with the trials of some.
        given["n_sessions"] = max(found, params.get("n_sessions", 1))
    if isinstance(params, Mapping) and params.get("u_type") == "discrete" and not params.get("u_per_step"):
        # Labels that are no numbers from 0 on are refused where they are read.
        labels = [part.label for part in (recording.train, recording.valid) if part.label is not None]
        found = [int(label.max()) + 1 for label in labels if label.dtype.kind in "iu"]
        if isinstance(params.get("u_dim", 0), int):
            given["u_dim"] = max([params.get("u_dim", 0), *found])
    p = validate_params({**params, **given} if isinstance(params, Mapping) else params)
    if p["f_enc_input_samps"] >= recording.n_times:
        raise ValueError(
            "The segment of the f-encoder must be shorter than the trials. "
            f"Given: f_enc_input_samps={p['f_enc_input_samps']}, {recording.n_times} bins. Shorten the segment."
        )
    return p


def make_model(params: Mapping[str, Any], recording: Recording, epochs: int | None = None) -> SequentialVAE:
    """Builds and compiles the model for a recording, with its read-out at the mean rates of the training trials."""
    p = params_for(params, recording)
    keras.utils.set_random_seed(p["seed"])
    model = build_sequential_vae(p, None, recording.n_heldin)
    if p["init_rate_bias"] is None:
        model.init_readout(recording.train.recon, recording.train.session)
    model.compile(optimizer=make_optimizer(p, steps_per_epoch(p, recording) * p["batch_size"], epochs))
    model.optimizer.build(model.trainable_variables)
    return model


def make_optimizer(params: Mapping[str, Any], n_trials: int, epochs: int | None = None) -> keras.optimizers.Optimizer:
    """Adam with global-norm clipping and the learning-rate schedule of the params; it skips non-finite gradients.

    The rates of ``"plateau"`` are those of a callback, :class:`~indl.training.plateau.PlateauRate`.
    """
    rate: Any = params["learning_rate"]
    if params["lr_schedule"] == "cosine":
        steps = math.ceil(n_trials / params["batch_size"]) * (epochs or params["epochs"])
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    return GuardedAdam(rate, global_clipnorm=params["max_grad_norm"], epsilon=params["adam_epsilon"])


def monitor_of(params: Mapping[str, Any]) -> str:
    """The beta-free validation metric that selects weights and trials."""
    if params["monitor"] != "auto":
        return params["monitor"]
    return "val_hidden_nll" if params["coordinated_dropout_rate"] > 0 else "val_neg_elbo"


def first_epoch(params: Mapping[str, Any], recording: Recording) -> int:
    """The first epoch that runs wholly at the final weights of KL terms and L2 penalty."""
    return BetaSchedules.from_params(params).end_epoch(steps_per_epoch(params, recording))


def steps_per_epoch(params: Mapping[str, Any], recording: Recording) -> int:
    """Training batches in an epoch."""
    return len(_dealt(params, recording, {"x": recording.train.encod}))


def make_callbacks(
    params: Mapping[str, Any], recording: Recording, hidden_every: int = 5, skip_nonfinite: bool = False
) -> dict[str, Any]:
    """The callbacks of a run by name, in the order in which they must be called."""
    first = first_epoch(params, recording)
    # Patience must not run out on one and the same evaluation.
    hidden_every = min(hidden_every, params["patience"]) if params["patience"] else hidden_every
    plateau = {}
    if params["lr_schedule"] == "plateau":
        plateau["plateau"] = PlateauRate(*(params[f"lr_{key}"] for key in ("patience", "decay", "stop", "smoothing")))
    return {
        "schedules": BetaSchedules.from_params(params),
        "hidden": HiddenValidation(recording.valid, hidden_every, first),
        "latent_use": LatentUse(recording.valid, hidden_every, _LATENT_TRIALS),
        "guard": FiniteGuard(skip_nonfinite),
        **plateau,
        "selection": BestWeights(monitor_of(params), first, params["patience"]),
    }


def fit_batches(params: Mapping[str, Any], recording: Recording, first: int = 0) -> dict[str, Any]:
    """The arguments of ``fit`` that feed it the trials of a recording, in an order that seed and epoch determine.

    Training batches are augmented; the mask of sample validation is the same in every epoch, and each part has its own.

    Raises:
        ValueError: spike jitter of a recording that is not of spike counts.
    """
    reads = ("x", *(("ext_input",) if params["ext_input_dim"] else ()))
    reads += (*(("session",) if params["n_sessions"] > 1 else ()), *(("u",) if params["u_dim"] else ()))
    jitter, shift, rate = (
        params[key] for key in ("spike_jitter_width", "temporal_shift_std", "sample_validation_rate")
    )
    if jitter and not recording.are_counts:
        raise ValueError(
            f"Spike jitter moves spikes. Given: spike_jitter_width={jitter}, a recording of signals. Use "
            "temporal_shift_std for signals."
        )
    parts = [arrays_of(part, reads, params) for part in (recording.train, recording.valid)]
    if rate:
        reads = (*reads, "sample_mask")
        for i, arrays in enumerate(parts):
            arrays["sample_mask"] = SampleMask(arrays["x"].shape, rate, seed=(params["seed"], i))
    augment = Augmentation(jitter, shift, params["temporal_shift_max"]) if jitter or shift else None
    train = _dealt(params, recording, parts[0], augment=augment)
    # A pass without gradients takes less than half the memory of a step.
    valid = Batches(parts[1], 2 * params["batch_size"], shuffle=False)
    names = ({name: name for name in reads} if len(reads) > 1 else "x", "target")
    return {
        "x": dataset(train, names, first_epoch=first),
        "steps_per_epoch": len(train),
        "initial_epoch": first,
        "validation_data": dataset(valid, names, epochs=1),
        "shuffle": False,
    }


def _dealt(params: Mapping[str, Any], recording: Recording, arrays: Mapping[str, Any], **kwargs: Any) -> Batches:
    """Training batches, which hold as many trials of each session as of the others."""
    session = recording.train.session if params["n_sessions"] > 1 else None
    return Batches(arrays, params["batch_size"], seed=params["seed"], session=session, **kwargs)


def train(
    params: Mapping[str, Any],
    recording: Recording,
    *,
    epochs: int | None = None,
    hidden_every: int = 5,
    callbacks: Sequence[Any] = (),
    verbose: int | str = 0,
    model: SequentialVAE | None = None,
    folder: Path | str | None = None,
    skip_nonfinite: bool = False,
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
        callbacks: further Keras callbacks. Their own state is not kept in `folder`.
        verbose: as in Keras.
        model: a model to go on with, instead of a new one, compiled with :func:`make_optimizer`. Epochs and schedules
            start again at 0.
        folder: where the state of the run is written after every epoch (``state.npz``). Called again with the same
            arguments after a crash, the run goes on from there and ends at the numbers of an uninterrupted one.
        skip_nonfinite: leave out steps whose loss or gradient is not finite, and log their count as
            ``skipped_steps``, instead of stopping.

    Raises:
        TypeError: `recording` is something else.
        ValueError: params or arrays that do not validate, or a model with another optimizer.
        NonFiniteError: a term of the loss or a gradient became NaN or infinite; the message names epoch, step and
            term. Weights of the last good step are in ``last_good.keras`` of `folder`.
        CheckpointError: the state cannot be written, or `folder` belongs to another run.
    """
    if not isinstance(recording, Recording):
        raise TypeError(
            f"Training needs a Recording. Given: {type(recording).__name__}. Make one with Trials.split or "
            "load_recording."
        )
    p = params_for(params, recording)
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
    for part in (recording.train, recording.valid):
        given = inputs_of(model, part, labels=True)
        model.check_arrays(given, part.recon)
        model.reads.check_labels(given)
    parts = make_callbacks(p, recording, hidden_every, skip_nonfinite)
    settings = {"params": p, "epochs": epochs, "hidden_every": hidden_every}
    if folder is not None:
        settings["data"] = digest(recording)
    mode = Mode(p["jit_compile"], p["batch_parts"])
    stateful = {"mode": mode, **{name: part for name, part in parts.items() if hasattr(part, "restore")}}
    checkpoint = Checkpoint(None if folder is None else Path(folder) / "state.npz", settings, stateful)
    done, selection = checkpoint.resume(model), parts["selection"]
    if done < epochs and not selection.exhausted:
        batches = fit_batches(p, recording, done)
        x, *y = next(iter(batches["x"]))
        steps = (epochs - done) * batches["steps_per_epoch"]
        mode.choose(model, x, *(y or [None]), steps)
        try:
            model.fit(**batches, epochs=epochs, verbose=verbose, callbacks=[*parts.values(), *callbacks, checkpoint])
        except NonFiniteError as error:
            if folder is not None:
                raise NonFiniteError(*error.where, _keep(model, Path(folder) / "last_good.keras")) from None
            raise
    else:
        selection.set_model(model)
        selection.put_back()
    if model.params is not None:
        # What was measured is part of what the run was.
        model.params["jit_compile"] = "on" if mode.compiled else "off"
        if mode.compiled:
            model.params["batch_parts"] = mode.parts
    return TrainingResult(
        model, checkpoint.history, monitor_of(p), first_epoch(p, recording), selection.epoch, parts["latent_use"]
    )


def _keep(model: SequentialVAE, path: Path) -> str:
    """Saves the last good weights, and says where; a full disk must not hide why the run broke down."""
    try:
        save_model(model, path)
    except OSError as error:
        return f" The weights before it could not be written to {path} ({error})."
    return f" The weights before it are in {path}."
