"""The encoders of f and z."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from indl.dists.gaussian import Gaussian
from indl.layers.activations import activation
from indl.layers.samples import AppendStatic, RepeatSamples, fold, unfold
from indl.layers.time import FirstBins, PadTime, ShiftTime
from indl.model.builders.shared import Params, dropout, penalty, stream
from indl.params import as_list, validate_params
from indl.rnn.stack import recurrent


def create_f_encoder(params: Params, f_enc_inputs: Any, mask: Any = None, name: str = "") -> Any:
    """Encodes a whole trial into one vector.

    Keys: f_rnn_type, f_units, f_rnn_merge, f_enc_reduce, gru_clip_value, encoder_init, encoder_state_trainable,
    l2_f_enc_scale, dropout_rate, f_latent_size.

    Args:
        params: parameters.
        f_enc_inputs: (batch, time, features).
        mask: which bins belong to the trial, bool (batch, at least time); see :func:`create_time_mask`.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        (batch, E), or None where f_latent_size is 0. E is twice the last of f_units for both directions concatenated.
    """
    p = validate_params(params)
    if not p["f_latent_size"]:
        return None
    x, lasts = f_enc_inputs, []
    mask = _same_bins(mask, x)
    for i, units in enumerate(as_list(p["f_units"])):
        layer = f"{name}f_rnn_{i}"
        if p["f_rnn_type"] == "Dense":
            x = layers.Dense(units, activation="leaky_relu", name=layer)(x)
            lasts.append(x[:, -1])
        else:
            x, last = recurrent(
                x, p["f_rnn_type"], units, merge=p["f_rnn_merge"], name=layer, mask=mask, **_encoder(p, "f_enc")
            )
            lasts.append(last)
    if p["f_enc_reduce"] == "mean":
        encoded = layers.GlobalAveragePooling1D(name=f"{name}f_mean")(x, mask=mask)
    elif p["f_enc_reduce"] == "all_last" and len(lasts) > 1:
        encoded = layers.Concatenate(name=f"{name}f_all_last")(lasts)
    else:
        encoded = lasts[-1]
    return dropout(p, encoded, f"{name}f_dropout")


def create_z_encoder(params: Params, z_enc_inputs: Any, f_sample: Any = None, mask: Any = None, name: str = "") -> Any:
    """Encodes a trial into one vector a bin, in two stages; the static latent may enter either.

    With z_per_step=False it is one vector a trial: the last states of all layers of the first stage, side by side.

    Keys: z_per_step, z1_rnn_type, z1_units, z1_activation, z1_merge, z1_lag, z2_type, z2_units, f_to_z, q_f_samples,
    gru_clip_value, encoder_init, encoder_state_trainable, l2_z_enc_scale, f_enc_input_samps, dropout_rate,
    forward_steps, sample_at_test, seed, z_latent_size. With gen_cell_type='Complex' the second stage is the controller,
    which lives in the generator.

    Args:
        params: parameters.
        z_enc_inputs: (batch, time, features).
        f_sample: what enters where f_to_z is set: a sample (batch, F) or (batch, S, F), the mean, or the
            posterior itself, of which q_f_samples are drawn.
        mask: which bins belong to the trial, bool (batch, at least time); see :func:`create_time_mask`.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        (batch[, S], time + forward_steps, E), or None where z_latent_size is 0. The first stage gives zeros
        beyond the input's last bin. With z_per_step=False a sequence of one step, (batch[, S], 1, E).

    Raises:
        ValueError: f_to_z is set and no f_sample is given.
    """
    p = validate_params(params)
    if not p["z_latent_size"]:
        return None
    stage = p["f_to_z"] if p["f_latent_size"] and p["f_to_z"] in ("z1", "z2") else None
    if stage and f_sample is None:
        raise ValueError(
            f"The z-encoder needs a sample of f. Given: f_to_z={stage!r}, f_sample=None. "
            "Pass f_sample=q_f, or set f_to_z=None."
        )
    n = None
    if stage:
        f = _as_sample(p, f_sample, f"{name}f")
        n = f.shape[1] if len(f.shape) == 3 else None
        f = fold(f) if n is not None else f
    mask, segment = _same_bins(mask, z_enc_inputs), p["f_enc_input_samps"]
    if segment:
        z_enc_inputs, mask = z_enc_inputs[:, segment:], mask if mask is None else mask[:, segment:]
    x = RepeatSamples(n)(z_enc_inputs) if n is not None else z_enc_inputs
    mask = RepeatSamples(n)(mask) if n is not None and mask is not None else mask
    if stage == "z1":
        x = AppendStatic(name=f"{name}f_to_z1")(x, f)
        # Samples of f may have repeated the rows.
        mask = mask if mask is None else FirstBins()(mask, x)
    units, lasts = as_list(p["z1_units"]) if p["z1_rnn_type"] else [], []
    for i, size in enumerate(units):
        layer = f"{name}z1_{i}"
        lag = p["z1_lag"] if i == len(units) - 1 else 0
        if p["z1_rnn_type"] == "Dense":
            x = layers.Dense(size, activation=activation(p["z1_activation"]), name=layer)(x)
            x = ShiftTime(lag, name=f"{layer}_later")(x) if lag else x
        else:
            x, last = recurrent(
                x, p["z1_rnn_type"], size, merge=p["z1_merge"], lag=lag, name=layer, mask=mask, **_encoder(p, "z_enc")
            )
            lasts.append(last)
    if not p["z_per_step"]:
        last = layers.Concatenate(name=f"{name}z_all_last")(lasts) if len(lasts) > 1 else lasts[0]
        return unfold(dropout(p, ops.expand_dims(last, 1), f"{name}z_dropout"), n)
    if segment or p["forward_steps"]:
        x = PadTime(segment, p["forward_steps"], name=f"{name}unseen_bins")(x)
    if stage == "z2":
        x = AppendStatic(name=f"{name}f_to_z2")(x, f)
    if p["gen_cell_type"] == "Complex":
        # Dropout on what the controller reads is the complex cell's own.
        return unfold(x, n)
    if p["z2_type"] and p["z2_units"]:
        x, _ = recurrent(x, p["z2_type"], p["z2_units"], clip_value=p["gru_clip_value"], name=f"{name}z2")
    return unfold(dropout(p, x, f"{name}z_dropout"), n)


def _encoder(p: Params, name: str) -> dict[str, Any]:
    """What the recurrent layers of both encoders share."""
    return {
        "clip_value": p["gru_clip_value"],
        "train_state": p["encoder_state_trainable"],
        "joint_init": p["encoder_init"] == "joint",
        "recurrent_regularizer": penalty(p, name),
    }


def _same_bins(mask: Any, sequence: Any) -> Any:
    """The mask of the bins of `sequence`, which are the first ones: a segment, or all before the forward steps."""
    if mask is None or mask.shape[1] == sequence.shape[1] and mask.shape[1] is not None:
        return mask
    return FirstBins()(mask, sequence)


def _as_sample(p: Params, f_sample: Any, name: str) -> Any:
    if not isinstance(f_sample, Gaussian):
        return f_sample
    n = p["q_f_samples"] if p["q_f_samples"] > 1 else None
    return f_sample.sample(n, seed=stream(p, name), at_test=p["sample_at_test"])
