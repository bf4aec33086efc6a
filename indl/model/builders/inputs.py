"""The inputs of the encoders: what is hidden, transformed, read in and appended."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from indl.layers.activations import activation
from indl.layers.append_labels import AppendLabels
from indl.layers.coordinated_dropout import CoordinatedDropout
from indl.layers.missing import FillMissing, TimeMask
from indl.layers.sample_validation import SampleValidation
from indl.layers.session_read_in import SessionReadIn
from indl.layers.time import PadTime
from indl.model.builders.frames import create_frame_encoder
from indl.model.builders.shared import Params, dropout, n_classes, required_labels, required_session, stream
from indl.params import validate_params


def prepare_inputs(
    params: Params, inputs: Any, sample_mask: Any = None, session: Any = None, u: Any = None, name: str = ""
) -> tuple[Any, Any, Any]:
    """Transform, sample validation, dropout, coordinated dropout, read-in and labels of the encoders' input, in order.

    With ``f_enc_input_samps = S > 0`` the first S bins are the f-encoder's alone: the z-encoder starts after them,
    sample validation and coordinated dropout spare them, and their reconstruction always trains. The time axis stays
    whole: the z-encoder's input holds zeros there, and so does its first stage's output.

    Keys: missing_data, input_transform, sample_validation_rate, dropout_rate, coordinated_dropout_rate,
    coordinated_dropout_pass_rate, frame_shape, frame_filters, frame_features, input_factors, read_in_activation,
    n_sessions, f_enc_input_samps, seed, q_cond, u_dim, u_type, u_per_step.

    Args:
        params: parameters.
        inputs: (batch, time, channels), counts or signals.
        sample_mask: which samples stay visible in sample validation, 1 or 0, shape of the inputs; where
            sample_validation_rate > 0.
        session: with n_sessions > 1, the session of each trial, integers (batch,), which picks its read-in.
        u: with q_cond='concat', the labels, which are appended to both outputs: integers (batch[, time]) or vectors
            (batch[, time], u_dim).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        f-encoder input (batch, time or S, channels, input_factors or frame_features), z-encoder input (batch, time,
        ...), and the bool mask (batch, time, channels) of the samples that train the reconstruction.

    Raises:
        ValueError: params that do not validate, inputs of another rank, a segment as long as the trial, a mask
            without sample_validation_rate, or the other way round, or no session for a model of several, or no labels
            for one that reads them.
    """
    p = validate_params(params)
    if len(inputs.shape) != 3:
        raise ValueError(
            f"Inputs must have the axes (batch, time, channels). Given: shape {tuple(inputs.shape)}. "
            "Make them with keras.Input((n_times, n_channels))."
        )
    segment, n_times = p["f_enc_input_samps"], inputs.shape[1]
    if segment and n_times is not None and segment >= n_times:
        raise ValueError(
            "The segment of the f-encoder must be shorter than the trial. "
            f"Given: f_enc_input_samps={segment}, {n_times} bins. Shorten the segment."
        )
    rate = p["sample_validation_rate"]
    if (sample_mask is None) != (rate == 0):
        raise ValueError(
            "Sample validation needs a rate and a mask. Given: "
            f"sample_validation_rate={rate:g}, {'no' if sample_mask is None else 'a'} mask. Pass "
            "keras.Input(inputs.shape[1:]) where the rate is positive, and set the rate where you have a mask."
        )
    x = FillMissing(name=f"{name}fill_missing")(inputs) if p["missing_data"] else inputs
    if p["input_transform"] == "log1p":
        x = ops.log1p(x)
    if rate:
        x = SampleValidation(rate, skip_steps=segment, name=f"{name}sample_validation")(x, sample_mask)
    x = dropout(p, x, f"{name}input_dropout")
    x, cd_mask = CoordinatedDropout(
        p["coordinated_dropout_rate"],
        p["coordinated_dropout_pass_rate"],
        skip_steps=segment,
        seed=stream(p, f"{name}coordinated_dropout"),
        name=f"{name}coordinated_dropout",
    )(x)
    x = create_frame_encoder(p, x, name)
    if p["input_factors"]:
        if p["n_sessions"] > 1:
            x = SessionReadIn(p["input_factors"], p["n_sessions"], name=f"{name}read_in")(x, required_session(session))
            x = layers.Activation(activation(p["read_in_activation"]))(x) if p["read_in_activation"] != "linear" else x
        else:
            x = layers.Dense(p["input_factors"], activation(p["read_in_activation"]), name=f"{name}read_in")(x)
    f_in, z_in = x, x
    if segment:
        f_in, z_in = x[:, :segment], PadTime(before=segment, name=f"{name}after_segment")(x[:, segment:])
    if p["q_cond"] != "concat":
        return f_in, z_in, cd_mask
    append = AppendLabels(p["u_dim"], p["u_type"] == "discrete", p["u_per_step"], name=f"{name}append_labels")
    together = append(z_in, required_labels(p, u))
    return append(f_in, u) if segment else together, together, cd_mask


def create_label_input(params: Params, n_times: int | None = None, name: str = "") -> Any:
    """The symbolic input of labels, or None where u_dim is 0.

    Keys: u_dim, u_type, u_per_step, forward_steps.

    Args:
        params: parameters.
        n_times: bins of a trial; None: any number.
        name: prefix of the input's name.

    Returns:
        Classes: int32 (batch,), or (batch, time + forward_steps) with u_per_step. Vectors: float32, with u_dim behind.
    """
    p = validate_params(params)
    if not p["u_dim"]:
        return None
    steps = None if n_times is None else n_times + p["forward_steps"]
    shape = (*((steps,) if p["u_per_step"] else ()), *(() if n_classes(p) else (p["u_dim"],)))
    return keras.Input(shape, dtype="int32" if n_classes(p) else "float32", name=f"{name}u")


def create_index_input(params: Params, name: str = "") -> Any:
    """The symbolic input of the row of each trial's sequence, int32 (batch,), or None without a prior of sequences.

    Keys: f_latent_size, f_prior_type.

    Args:
        params: parameters.
        name: prefix of the input's name.
    """
    p = validate_params(params)
    lookup = p["f_latent_size"] and p["f_prior_type"] == "lookup"
    return keras.Input((), dtype="int32", name=f"{name}index") if lookup else None


def create_time_mask(params: Params, inputs: Any, name: str = "") -> Any:
    """Which bins belong to each trial, where trials may end before the others (NaN from there on).

    Keys: missing_data, forward_steps.

    Args:
        params: parameters.
        inputs: (batch, time, channels).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        bool (batch, time + forward_steps), or None where missing_data is False. Encoders take its first `time` bins.
    """
    p = validate_params(params)
    return TimeMask(p["forward_steps"], name=f"{name}time_mask")(inputs) if p["missing_data"] else None
