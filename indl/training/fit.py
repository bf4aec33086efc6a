"""One training run: params and a recording in, a trained model and its history out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

from indl.data.recording import Recording
from indl.model.sequential_vae import SequentialVAE, build_sequential_vae
from indl.params import validate_params
from indl.training.hidden import HiddenValidation
from indl.training.schedules import BetaSchedules


class TrainingResult(NamedTuple):
    """What a run leaves.

    Attributes:
        model: the model at its best epoch (see :func:`train`).
        history: value of every logged term by epoch.
        monitor: the metric that chose the epoch.
        first_epoch: the first epoch that could be chosen, after both schedules.
    """

    model: SequentialVAE
    history: dict[str, list[float]]
    monitor: str
    first_epoch: int


def params_for(params: Mapping[str, Any], recording: Recording) -> dict[str, Any]:
    """The params with the target's channels and forward steps taken from the recording.

    Raises:
        ValueError: params that do not validate, or an f-encoder segment as long as the trials.
    """
    given = {"out_dim": recording.n_heldin + recording.n_heldout, "forward_steps": recording.forward_steps}
    p = validate_params({**params, **given})
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
        model.init_readout(recording.train.recon)
    model.compile(optimizer=make_optimizer(p, len(recording.train.encod), epochs))
    model.optimizer.build(model.trainable_variables)
    return model


def make_optimizer(params: Mapping[str, Any], n_trials: int, epochs: int | None = None) -> keras.optimizers.Optimizer:
    """Adam with global-norm clipping and the learning-rate schedule of the params."""
    rate: Any = params["learning_rate"]
    if params["lr_schedule"] == "cosine":
        steps = math.ceil(n_trials / params["batch_size"]) * (epochs or params["epochs"])
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    return keras.optimizers.Adam(rate, global_clipnorm=params["max_grad_norm"])


def monitor_of(params: Mapping[str, Any]) -> str:
    """The beta-free validation metric that selects weights and trials."""
    if params["monitor"] != "auto":
        return params["monitor"]
    return "val_hidden_nll" if params["coordinated_dropout_rate"] > 0 else "val_neg_elbo"


def first_epoch(params: Mapping[str, Any], recording: Recording) -> int:
    """The first epoch that runs wholly at the final betas."""
    steps = math.ceil(len(recording.train.encod) / params["batch_size"])
    return BetaSchedules.from_params(params).end_epoch(steps)


def make_callbacks(params: Mapping[str, Any], recording: Recording, hidden_every: int = 5) -> list[Any]:
    """Schedules, hidden validation, and early stopping that waits until the schedules have ended."""
    schedules = BetaSchedules.from_params(params)
    stopping = keras.callbacks.EarlyStopping(
        monitor_of(params),
        patience=params["patience"] or 10**9,
        mode="min",
        restore_best_weights=True,
        start_from_epoch=first_epoch(params, recording),
    )
    return [
        schedules,
        HiddenValidation(recording.valid.encod, hidden_every, first_epoch(params, recording)),
        keras.callbacks.TerminateOnNaN(),
        stopping,
    ]


def train(
    params: Mapping[str, Any],
    recording: Recording,
    *,
    epochs: int | None = None,
    hidden_every: int = 5,
    callbacks: Sequence[Any] = (),
    verbose: int | str = 0,
    model: SequentialVAE | None = None,
) -> TrainingResult:
    """Trains a model on the training trials and keeps the weights of its best epoch.

    The best epoch is that of the least :func:`monitor_of` after both beta schedules have ended. Held-out channels of
    the validation trials have no part in ``val_hidden_nll``; the other monitors score them too. If the schedules
    outlast the run, the last weights stay.

    Args:
        params: parameters; `out_dim` and `forward_steps` come from the recording.
        recording: training and validation trials.
        epochs: passes over the training trials. Default: ``params["epochs"]``.
        hidden_every: epochs between two evaluations of ``val_hidden_nll``.
        callbacks: further Keras callbacks.
        verbose: as in Keras.
        model: a compiled model to go on with, instead of a new one. Epochs, and schedules by epoch, start again at 0.

    Raises:
        ValueError: params or arrays that do not validate.
        FloatingPointError: the loss became NaN or infinite; the message names the epoch and the term.
    """
    p = params_for(params, recording)
    epochs = epochs or p["epochs"]
    model = model or make_model(p, recording, epochs)
    history = model.fit(
        recording.train.encod,
        recording.train.recon,
        batch_size=p["batch_size"],
        epochs=epochs,
        validation_data=(recording.valid.encod, recording.valid.recon),
        verbose=verbose,
        callbacks=[*make_callbacks(p, recording, hidden_every), *callbacks],
    ).history
    _refuse_non_finite(history)
    return TrainingResult(model, history, monitor_of(p), first_epoch(p, recording))


def _refuse_non_finite(history: Mapping[str, list[float]]) -> None:
    # The loss is the sum of the terms: the term that broke says more.
    for name in sorted(history, key=lambda name: name.removeprefix("val_") in ("loss", "neg_elbo")):
        for epoch, value in enumerate(history[name]):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"Training broke down. Given: {name} = {value} in epoch {epoch}. "
                    "Lower learning_rate or max_grad_norm, and look for extreme counts."
                )
