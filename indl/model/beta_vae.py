"""The builder functions: a params dict and Keras tensors in, Keras tensors out.

They are called in the order of the data flow::

    x - prepare_inputs -+- create_f_encoder - make_f_variational - q_f - sample -+
                        |                                                        +- create_generator - output_dist
                        +- create_z_encoder - make_z_variational - q_z - sample -+

Every function validates the params it is given, so a partial dict is filled up with defaults. A latent
of size 0 has no encoder, posterior or prior: its functions return None, and take None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.observation import GaussianReadout, PoissonReadout
from indl.dists.priors import AR1Prior, GaussianPrior, RecurrentPrior
from indl.layers.coordinated_dropout import CoordinatedDropout
from indl.layers.initial_state import TrainableState
from indl.layers.missing import FillMissing, TimeMask
from indl.layers.samples import AppendStatic, RepeatSamples, fold, unfold
from indl.layers.time import EmptySequence, FirstBins, PadTime, ShiftTime
from indl.params import as_list, generate_default_args, generate_default_params, validate_params
from indl.rnn.stack import recurrent

__all__ = [
    "create_f_encoder",
    "create_f_prior",
    "create_generator",
    "create_time_mask",
    "create_z_encoder",
    "create_z_prior",
    "generate_default_args",
    "generate_default_params",
    "make_f_variational",
    "make_z_variational",
    "output_dist",
    "prepare_inputs",
]

Params = Mapping[str, Any]


def prepare_inputs(params: Params, inputs: Any) -> tuple[Any, Any, Any]:
    """Transform, dropout, coordinated dropout and read-in of the encoders' input.

    With ``f_enc_input_samps = S > 0`` the first S bins are the f-encoder's alone: the z-encoder sees zeros there,
    coordinated dropout spares them, and their reconstruction always trains. The time axis stays whole.

    Keys: input_transform, dropout_rate, coordinated_dropout_rate, coordinated_dropout_pass_rate, input_factors,
    f_enc_input_samps, seed.

    Args:
        params: parameters.
        inputs: (batch, time, channels), counts or signals.

    Returns:
        f-encoder input (batch, time or S, channels or input_factors), z-encoder input (batch, time, ...), and
        the bool mask (batch, time, channels) of the samples that train the reconstruction.

    Raises:
        ValueError: params that do not validate, inputs of another rank, a segment as long as the trial.
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
    x = FillMissing(name="fill_missing")(inputs) if p["missing_data"] else inputs
    if p["input_transform"] == "log1p":
        x = ops.log1p(x)
    x = _dropout(p, x, "input_dropout")
    x, cd_mask = CoordinatedDropout(
        p["coordinated_dropout_rate"],
        p["coordinated_dropout_pass_rate"],
        skip_steps=segment,
        seed=stream(p, "coordinated_dropout"),
        name="coordinated_dropout",
    )(x)
    if p["input_factors"]:
        x = layers.Dense(p["input_factors"], name="read_in")(x)
    if not segment:
        return x, x, cd_mask
    return x[:, :segment], PadTime(before=segment, name="after_segment")(x[:, segment:]), cd_mask


def create_time_mask(params: Params, inputs: Any) -> Any:
    """Which bins belong to each trial, where trials may end before the others (NaN from there on).

    Keys: missing_data, forward_steps.

    Args:
        params: parameters.
        inputs: (batch, time, channels).

    Returns:
        bool (batch, time + forward_steps), or None where missing_data is False. Encoders take its first `time` bins.
    """
    p = validate_params(params)
    return TimeMask(p["forward_steps"], name="time_mask")(inputs) if p["missing_data"] else None


def create_f_encoder(params: Params, f_enc_inputs: Any, mask: Any = None) -> Any:
    """Encodes a whole trial into one vector.

    Keys: f_rnn_type, f_units, f_rnn_merge, f_enc_reduce, gru_clip_value, dropout_rate, f_latent_size.

    Args:
        params: parameters.
        f_enc_inputs: (batch, time, features).
        mask: which bins belong to the trial, bool (batch, at least time); see :func:`create_time_mask`.

    Returns:
        (batch, E), or None where f_latent_size is 0. E is twice the last of f_units for both directions concatenated.
    """
    p = validate_params(params)
    if not p["f_latent_size"]:
        return None
    x, lasts = f_enc_inputs, []
    mask = _same_bins(mask, x)
    for i, units in enumerate(as_list(p["f_units"])):
        name = f"f_rnn_{i}"
        if p["f_rnn_type"] == "Dense":
            x = layers.Dense(units, activation="leaky_relu", name=name)(x)
            lasts.append(x[:, -1])
        else:
            x, last = recurrent(
                x, p["f_rnn_type"], units, merge=p["f_rnn_merge"], clip_value=p["gru_clip_value"], name=name, mask=mask
            )
            lasts.append(last)
    if p["f_enc_reduce"] == "mean":
        encoded = layers.GlobalAveragePooling1D(name="f_mean")(x, mask=mask)
    elif p["f_enc_reduce"] == "all_last" and len(lasts) > 1:
        encoded = layers.Concatenate(name="f_all_last")(lasts)
    else:
        encoded = lasts[-1]
    return _dropout(p, encoded, "f_dropout")


def make_f_variational(params: Params, enc_f: Any) -> Gaussian | None:
    """The posterior q(f | x).

    Keys: f_latent_size, q_f_init_std, f_latent_off_diag.

    Args:
        params: parameters.
        enc_f: (batch, E), or None.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size f_latent_size, or None.
    """
    p = validate_params(params)
    if enc_f is None or not p["f_latent_size"]:
        return None
    return GaussianHead(p["f_latent_size"], p["q_f_init_std"], full=p["f_latent_off_diag"], name="q_f")(enc_f)


def create_f_prior(params: Params) -> GaussianPrior | None:
    """The prior p(f), a layer: called on q(f) it returns the KL per trial.

    Keys: f_latent_size, f_prior_type, f_prior_init_std, f_prior_train_mean, f_prior_train_var, f_prior_kappa.
    """
    p = validate_params(params)
    if not p["f_latent_size"]:
        return None
    if p["f_prior_kappa"] > 0:
        settings = {"init_std": p["f_prior_kappa"] ** 0.5, "train_mean": False, "train_var": False}
    elif p["f_prior_type"] == "standard":
        settings = {"init_std": 1.0, "train_mean": False, "train_var": False}
    else:
        settings = {
            "init_std": p["f_prior_init_std"],
            "train_mean": p["f_prior_train_mean"],
            "train_var": p["f_prior_train_var"],
        }
    return GaussianPrior(p["f_latent_size"], **settings, name="f_prior")


def create_z_encoder(params: Params, z_enc_inputs: Any, f_sample: Any = None, mask: Any = None) -> Any:
    """Encodes a trial into one vector a bin, in two stages; the static latent may enter either.

    Keys: z1_rnn_type, z1_units, z1_activation, z1_merge, z1_lag, z2_type, z2_units, f_to_z, q_f_samples,
    gru_clip_value, dropout_rate, forward_steps, sample_at_test, seed, z_latent_size.

    Args:
        params: parameters.
        z_enc_inputs: (batch, time, features).
        f_sample: what enters where f_to_z is set: a sample (batch, F) or (batch, S, F), the mean, or the
            posterior itself, of which q_f_samples are drawn.
        mask: which bins belong to the trial, bool (batch, at least time); see :func:`create_time_mask`.

    Returns:
        (batch[, S], time + forward_steps, E), or None where z_latent_size is 0. The first stage gives zeros
        beyond the input's last bin.

    Raises:
        ValueError: f_to_z is set and no f_sample is given.
    """
    p = validate_params(params)
    if not p["z_latent_size"]:
        return None
    stage = p["f_to_z"] if p["f_latent_size"] else None
    if stage and f_sample is None:
        raise ValueError(
            f"The z-encoder needs a sample of f. Given: f_to_z={stage!r}, f_sample=None. "
            "Pass f_sample=q_f, or set f_to_z=None."
        )
    n = None
    if stage:
        f = _as_sample(p, f_sample)
        n = f.shape[1] if len(f.shape) == 3 else None
        f = fold(f) if n is not None else f
    mask = _same_bins(mask, z_enc_inputs)
    x = RepeatSamples(n)(z_enc_inputs) if n is not None else z_enc_inputs
    mask = RepeatSamples(n)(mask) if n is not None and mask is not None else mask
    if stage == "z1":
        x = AppendStatic(name="f_to_z1")(x, f)
    units = as_list(p["z1_units"]) if p["z1_rnn_type"] else []
    for i, size in enumerate(units):
        name = f"z1_{i}"
        lag = p["z1_lag"] if i == len(units) - 1 else 0
        if p["z1_rnn_type"] == "Dense":
            x = layers.Dense(size, activation=p["z1_activation"], name=name)(x)
            x = ShiftTime(lag, name=f"{name}_later")(x) if lag else x
        else:
            clip = p["gru_clip_value"]
            x, _ = recurrent(
                x, p["z1_rnn_type"], size, merge=p["z1_merge"], lag=lag, clip_value=clip, name=name, mask=mask
            )
    if p["forward_steps"]:
        x = PadTime(after=p["forward_steps"], name="forward_prediction")(x)
    if stage == "z2":
        x = AppendStatic(name="f_to_z2")(x, f)
    if p["z2_type"] and p["z2_units"]:
        x, _ = recurrent(x, p["z2_type"], p["z2_units"], clip_value=p["gru_clip_value"], name="z2")
    return unfold(_dropout(p, x, "z_dropout"), n)


def make_z_variational(params: Params, enc_z: Any) -> Gaussian | None:
    """The mean-field posterior q(z_t | x) of every bin.

    Keys: z_latent_size, q_z_init_std, z_latent_off_diag.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size z_latent_size, or None.
    """
    p = validate_params(params)
    if enc_z is None or not p["z_latent_size"]:
        return None
    return GaussianHead(p["z_latent_size"], p["q_z_init_std"], full=p["z_latent_off_diag"], name="q_z")(enc_z)


def create_z_prior(params: Params) -> Any:
    """The prior p(z), a layer: called on q(z), and on the sample that drove the generator, it returns the KL a bin.

    Keys: z_latent_size, z_prior_process, z_prior_units, z_prior_tau, z_prior_init_std, z_prior_train_tau,
    z_prior_train_mean, z_prior_train_var, z_prior_rollout, z_kl_mode, gru_clip_value, seed.
    """
    p = validate_params(params)
    size, process = p["z_latent_size"], p["z_prior_process"]
    if not size:
        return None
    if process == "standard":
        return GaussianPrior(size, 1.0, train_mean=False, train_var=False, name="z_prior")
    training = {"train_mean": p["z_prior_train_mean"], "train_var": p["z_prior_train_var"]}
    if process == "none":
        return GaussianPrior(size, p["z_prior_init_std"], **training, name="z_prior")
    shared = {
        "init_std": p["z_prior_init_std"],
        "kl_mode": p["z_kl_mode"],
        "rollout": p["z_prior_rollout"],
        "seed": stream(p, "z_prior"),
        "name": "z_prior",
    }
    if process == "AR1":
        return AR1Prior(size, tau=p["z_prior_tau"], train_tau=p["z_prior_train_tau"], **training, **shared)
    return RecurrentPrior(size, process, p["z_prior_units"], clip_value=p["gru_clip_value"], **shared)


def create_generator(
    params: Params, f_sample: Any, z_sample: Any = None, ext_input: Any = None, steps: Any = None, mask: Any = None
) -> tuple[Any, Any]:
    """The generator p(x | f, z) up to its factors.

    Keys: gen_cell_type, gen_n_hidden, gen_activation, f_to_gen, n_factors, gen_l2_reg, gen_init_trainable,
    gru_clip_value, dropout_rate, forward_steps.

    Args:
        params: parameters.
        f_sample: (batch[, S], F), or None.
        z_sample: (batch[, S], time, Z), or None.
        ext_input: observed external input (batch, time, D), concatenated to z.
        steps: where neither z nor an external input gives the time axis: the number of bins, or a sequence
            (batch, time, ...) whose bins, plus forward_steps, are generated.
        mask: which of the generated bins belong to the trial, bool (batch, time); a generator in both directions
            needs it where trials end before the others.

    Returns:
        Generator output (batch[, S], time, units), and factors (batch[, S], time, n_factors); the generator
        output itself where n_factors is 0.

    Raises:
        ValueError: no latent sample at all, f_to_gen without f, or no way to know the number of bins.
    """
    p = validate_params(params)
    how = p["f_to_gen"] if p["f_latent_size"] else None
    if how and f_sample is None:
        raise ValueError(
            f"The generator needs a sample of f. Given: f_to_gen={how!r}, f_sample=None. "
            "Pass q_f.sample(), or set f_latent_size=0."
        )
    f, z, n = _align_samples(f_sample if how else None, z_sample)
    if z is None and f is None:
        raise ValueError(
            "The generator needs a sample of a latent. Given: neither f_sample nor z_sample. "
            "Pass q_f.sample() or q_z.sample()."
        )
    x = _generator_input(p, f, z, ext_input, steps, n)
    if how in ("tile", "both"):
        x = AppendStatic(name="f_to_gen")(x, f)
    # What comes after a trial's end reaches its bins in the backward direction alone.
    mask = mask if p["gen_cell_type"].startswith("Bidirectional") else None
    mask = RepeatSamples(n)(mask) if n is not None and mask is not None else mask
    for i, units in enumerate(as_list(p["gen_n_hidden"])):
        name = f"gen_{i}"
        if p["gen_cell_type"] == "Dense":
            x = layers.Dense(units, activation=p["gen_activation"], name=name)(x)
            continue
        init = _initial_state(p, x, f if how in ("init", "both") else None, units, i)
        penalty = keras.regularizers.L2(p["gen_l2_reg"]) if p["gen_l2_reg"] else None
        x, _ = recurrent(
            x,
            p["gen_cell_type"],
            units,
            clip_value=p["gru_clip_value"],
            name=name,
            initial_state=init,
            mask=mask,
            recurrent_regularizer=penalty,
        )
    gen_out = x
    factors = _dropout(p, x, "gen_dropout")
    if p["n_factors"]:
        factors = layers.Dense(p["n_factors"], use_bias=False, name="factors")(factors)
    return unfold(gen_out, n), unfold(factors, n)


def output_dist(params: Params, factors: Any) -> Any:
    """The observation model p(x | factors).

    Keys: output_dist, out_dim (required here), output_link, log_rate_clip, init_rate_bias.

    Args:
        params: parameters.
        factors: (batch[, S], time, n_factors).

    Returns:
        A :class:`~indl.dists.observation.PoissonObservation` or
        :class:`~indl.dists.observation.GaussianObservation` over (batch[, S], time, out_dim).

    Raises:
        ValueError: out_dim is None.
    """
    p = validate_params(params)
    if p["out_dim"] is None:
        raise ValueError(
            "The observation model needs the number of target channels. Given: out_dim=None. "
            "Pass {**params, 'out_dim': n_channels}."
        )
    shared = {"init_bias": p["init_rate_bias"], "name": "readout"}
    if p["output_dist"] == "Poisson":
        return PoissonReadout(p["out_dim"], p["output_link"], p["log_rate_clip"], **shared)(factors)
    return GaussianReadout(p["out_dim"], unit_scale=p["output_dist"] == "GaussianUnit", **shared)(factors)


def stream(p: Params, part: str) -> int:
    """The seed of one part's draws: the parts of a model share no random numbers."""
    return int(np.random.SeedSequence([p["seed"], *part.encode()]).generate_state(1)[0] >> 1)


def _dropout(p: Params, x: Any, name: str) -> Any:
    return layers.Dropout(p["dropout_rate"], seed=stream(p, name), name=name)(x) if p["dropout_rate"] else x


def _same_bins(mask: Any, sequence: Any) -> Any:
    """The mask of the bins of `sequence`, which are the first ones: a segment, or all before the forward steps."""
    if mask is None or mask.shape[1] == sequence.shape[1] and mask.shape[1] is not None:
        return mask
    return FirstBins()(mask, sequence)


def _as_sample(p: Params, f_sample: Any) -> Any:
    if not isinstance(f_sample, Gaussian):
        return f_sample
    n = p["q_f_samples"] if p["q_f_samples"] > 1 else None
    return f_sample.sample(n, seed=stream(p, "f"), at_test=p["sample_at_test"])


def _align_samples(f: Any, z: Any) -> tuple[Any, Any, int | None]:
    """Folds the samples axis of f and z into the batch; one without the axis is repeated for the other."""
    n_f = f.shape[1] if f is not None and len(f.shape) == 3 else None
    n_z = z.shape[1] if z is not None and len(z.shape) == 4 else None
    if n_f is not None and n_z is not None and n_f != n_z:
        raise ValueError(
            f"f and z must have the same number of samples. Given: {n_f} of f and {n_z} of z. "
            "Draw both with the same n."
        )
    n = n_f if n_f is not None else n_z
    if n is None:
        return f, z, None
    f = f if f is None else fold(f) if n_f is not None else RepeatSamples(n)(f)
    z = z if z is None else fold(z) if n_z is not None else RepeatSamples(n)(z)
    return f, z, n


def _generator_input(p: Params, f: Any, z: Any, ext_input: Any, steps: Any, n: int | None) -> Any:
    if ext_input is not None and n is not None:
        ext_input = RepeatSamples(n)(ext_input)
    parts = [part for part in (z, ext_input) if part is not None]
    if parts:
        return layers.Concatenate(name="gen_input")(parts) if len(parts) > 1 else parts[0]
    if steps is None:
        raise ValueError(
            "The number of bins to generate is not known. Given: f_sample alone. Pass steps=inputs, or steps=n_times."
        )
    width = 1 if p["f_to_gen"] == "init" and p["gen_cell_type"] != "GRUClip" else 0
    if isinstance(steps, int):
        return EmptySequence(steps, width=width, name="gen_input")(f)
    return EmptySequence(extra=p["forward_steps"], width=width, name="gen_input")(f, steps)


def _initial_state(p: Params, x: Any, f: Any, units: int, layer: int) -> list[Any] | None:
    """Initial states of one generator layer, from f or trainable; None: zeros."""
    names = [f"gen_{layer}_h0", f"gen_{layer}_c0"] if p["gen_cell_type"] == "LSTM" else [f"gen_{layer}_h0"]
    if f is not None:
        return [layers.Dense(units, name=name)(f) for name in names]
    if p["gen_init_trainable"] and not p["gen_cell_type"].startswith("Bidirectional"):
        return [TrainableState(units, name=name)(x) for name in names]
    return None
