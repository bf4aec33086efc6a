"""The builder functions: a params dict and Keras tensors in, Keras tensors out.

They are called in the order of the data flow::

    x - prepare_inputs -+- create_f_encoder - make_f_variational - q_f - sample -+
                        |                                                        +- create_generator - output_dist
                        +- create_z_encoder - make_z_variational - q_z - sample -+

Labels u enter through priors, ``p_u = create_z_prior(params)(u)``, and posteriors; see :func:`label_kl`.

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
from indl.dists.labelled import LabelKL, LabelProduct
from indl.dists.log_gaussian import LogGaussian
from indl.dists.observations import (
    GammaReadout,
    GaussianReadout,
    PoissonReadout,
    SquaredErrorReadout,
    ZeroInflatedGammaReadout,
)
from indl.dists.priors import AR1Prior, GaussianPrior, LabelPrior, RecurrentPrior, StudentTPrior
from indl.layers.augmentation import SampleValidation
from indl.layers.cell_l2 import CellL2
from indl.layers.coordinated_dropout import CoordinatedDropout
from indl.layers.flows import InjectiveFlow
from indl.layers.initial_state import TrainableState
from indl.layers.labels import AppendLabels
from indl.layers.masks import Dropout
from indl.layers.missing import FillMissing, TimeMask
from indl.layers.samples import AppendStatic, RepeatSamples, fold, unfold
from indl.layers.sessions import SessionReadIn
from indl.layers.time import CountBins, EmptySequence, FirstBins, PadTime, ShiftTime
from indl.params import as_list, generate_default_args, generate_default_params, validate_params
from indl.rnn.complex_cell import ComplexGenerator
from indl.rnn.stack import recurrent

__all__ = [
    "create_f_encoder",
    "create_f_prior",
    "create_generator",
    "create_generator_complex",
    "create_label_input",
    "create_time_mask",
    "create_z_encoder",
    "create_z_prior",
    "generate_default_args",
    "generate_default_params",
    "label_kl",
    "make_f_variational",
    "make_z_variational",
    "output_dist",
    "prepare_inputs",
]

Params = Mapping[str, Any]


def prepare_inputs(
    params: Params, inputs: Any, sample_mask: Any = None, session: Any = None, u: Any = None
) -> tuple[Any, Any, Any]:
    """Transform, sample validation, dropout, coordinated dropout, read-in and labels of the encoders' input, in order.

    With ``f_enc_input_samps = S > 0`` the first S bins are the f-encoder's alone: the z-encoder starts after them,
    sample validation and coordinated dropout spare them, and their reconstruction always trains. The time axis stays
    whole: the z-encoder's input holds zeros there, and so does its first stage's output.

    Keys: missing_data, input_transform, sample_validation_rate, dropout_rate, coordinated_dropout_rate,
    coordinated_dropout_pass_rate, input_factors, n_sessions, f_enc_input_samps, seed, q_cond, u_dim, u_type,
    u_per_step.

    Args:
        params: parameters.
        inputs: (batch, time, channels), counts or signals.
        sample_mask: which samples stay visible in sample validation, 1 or 0, shape of the inputs; where
            sample_validation_rate > 0.
        session: with n_sessions > 1, the session of each trial, integers (batch,), which picks its read-in.
        u: with q_cond='concat', the labels, which are appended to both outputs: integers (batch[, time]) or vectors
            (batch[, time], u_dim).

    Returns:
        f-encoder input (batch, time or S, channels or input_factors), z-encoder input (batch, time, ...), and
        the bool mask (batch, time, channels) of the samples that train the reconstruction.

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
    x = FillMissing(name="fill_missing")(inputs) if p["missing_data"] else inputs
    if p["input_transform"] == "log1p":
        x = ops.log1p(x)
    if rate:
        x = SampleValidation(rate, skip_steps=segment, name="sample_validation")(x, sample_mask)
    x = _dropout(p, x, "input_dropout")
    x, cd_mask = CoordinatedDropout(
        p["coordinated_dropout_rate"],
        p["coordinated_dropout_pass_rate"],
        skip_steps=segment,
        seed=stream(p, "coordinated_dropout"),
        name="coordinated_dropout",
    )(x)
    if p["input_factors"]:
        if p["n_sessions"] > 1:
            x = SessionReadIn(p["input_factors"], p["n_sessions"], name="read_in")(x, _session(session))
        else:
            x = layers.Dense(p["input_factors"], name="read_in")(x)
    f_in, z_in = x, x
    if segment:
        f_in, z_in = x[:, :segment], PadTime(before=segment, name="after_segment")(x[:, segment:])
    if p["q_cond"] != "concat":
        return f_in, z_in, cd_mask
    append = AppendLabels(p["u_dim"], p["u_type"] == "discrete", p["u_per_step"], name="append_labels")
    together = append(z_in, _labels(p, u))
    return append(f_in, u) if segment else together, together, cd_mask


def create_label_input(params: Params, n_times: int | None = None) -> Any:
    """The symbolic input of labels, or None where u_dim is 0.

    Keys: u_dim, u_type, u_per_step, forward_steps.

    Args:
        params: parameters.
        n_times: bins of a trial; None: any number.

    Returns:
        Classes: int32 (batch,), or (batch, time + forward_steps) with u_per_step. Vectors: float32, with u_dim behind.
    """
    p = validate_params(params)
    if not p["u_dim"]:
        return None
    steps = None if n_times is None else n_times + p["forward_steps"]
    shape = (*((steps,) if p["u_per_step"] else ()), *(() if _classes(p) else (p["u_dim"],)))
    return keras.Input(shape, dtype="int32" if _classes(p) else "float32", name="u")


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

    Keys: f_rnn_type, f_units, f_rnn_merge, f_enc_reduce, gru_clip_value, encoder_init, encoder_state_trainable,
    l2_f_enc_scale, dropout_rate, f_latent_size.

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
                x, p["f_rnn_type"], units, merge=p["f_rnn_merge"], name=name, mask=mask, **_encoder(p, "f_enc")
            )
            lasts.append(last)
    if p["f_enc_reduce"] == "mean":
        encoded = layers.GlobalAveragePooling1D(name="f_mean")(x, mask=mask)
    elif p["f_enc_reduce"] == "all_last" and len(lasts) > 1:
        encoded = layers.Concatenate(name="f_all_last")(lasts)
    else:
        encoded = lasts[-1]
    return _dropout(p, encoded, "f_dropout")


def make_f_variational(params: Params, enc_f: Any, u: Any = None, p_u: LogGaussian | None = None) -> Gaussian | None:
    """The posterior q(f | x); with q_cond='product' and f_prior_type='cond', q(f | x, u), its product with p(f | u).

    Keys: f_latent_size, q_f_init_std, f_latent_off_diag, q_f_scale, q_f_min_var, q_cond, f_prior_type, u_dim, u_type.

    Args:
        params: parameters.
        enc_f: (batch, E), or None.
        u: labels of the trials, for a product.
        p_u: the prior at these labels, ``create_f_prior(params)(u)``, for a product.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size f_latent_size, or None.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    if enc_f is None or not p["f_latent_size"]:
        return None
    scale = {"full": p["f_latent_off_diag"], "scale_link": p["q_f_scale"], "min_variance": p["q_f_min_var"]}
    q = GaussianHead(p["f_latent_size"], p["q_f_init_std"], **scale, name="q_f")(enc_f)
    return _product(p, q, u, p_u, "q_f_product") if p["f_prior_type"] == "cond" else q


def create_f_prior(params: Params) -> Any:
    """The prior p(f), a layer: called on q(f) it returns the KL per trial.

    With f_prior_type='cond' it is a :class:`~indl.dists.priors.label.LabelPrior`, which gives p(f | u) when called on
    labels; :func:`label_kl` is the KL from it.

    Keys: f_latent_size, f_prior_type, f_prior_init_std, f_prior_train_mean, f_prior_train_var, f_prior_kappa, u_dim,
    u_type, u_units.
    """
    p = validate_params(params)
    if not p["f_latent_size"]:
        return None
    if p["f_prior_type"] == "cond":
        return _label_prior(p, "f")
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
    gru_clip_value, encoder_init, encoder_state_trainable, l2_z_enc_scale, f_enc_input_samps, dropout_rate,
    forward_steps, sample_at_test, seed, z_latent_size. With gen_cell_type='Complex' the second stage is the controller,
    which lives in the generator.

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
    mask, segment = _same_bins(mask, z_enc_inputs), p["f_enc_input_samps"]
    if segment:
        z_enc_inputs, mask = z_enc_inputs[:, segment:], mask if mask is None else mask[:, segment:]
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
            x, _ = recurrent(
                x, p["z1_rnn_type"], size, merge=p["z1_merge"], lag=lag, name=name, mask=mask, **_encoder(p, "z_enc")
            )
    if segment or p["forward_steps"]:
        x = PadTime(segment, p["forward_steps"], name="unseen_bins")(x)
    if stage == "z2":
        x = AppendStatic(name="f_to_z2")(x, f)
    if p["gen_cell_type"] == "Complex":
        # Dropout on what the controller reads is the complex cell's own.
        return unfold(x, n)
    if p["z2_type"] and p["z2_units"]:
        x, _ = recurrent(x, p["z2_type"], p["z2_units"], clip_value=p["gru_clip_value"], name="z2")
    return unfold(_dropout(p, x, "z_dropout"), n)


def make_z_variational(params: Params, enc_z: Any, u: Any = None, p_u: LogGaussian | None = None) -> Gaussian | None:
    """The mean-field posterior q(z_t | x) of every bin; with q_cond='product' and z_prior_process='cond' q(z_t | x, u).

    Keys: z_latent_size, q_z_init_std, z_latent_off_diag, q_cond, z_prior_process, u_dim, u_type.

    Args:
        params: parameters.
        enc_z: (batch[, S], time, E), or None.
        u: labels of the trials, or of their bins, for a product.
        p_u: the prior at these labels, ``create_z_prior(params)(u)``, for a product.

    Returns:
        A :class:`~indl.dists.gaussian.Gaussian` of event size z_latent_size, or None.

    Raises:
        ValueError: a product without `u` and `p_u`.
    """
    p = validate_params(params)
    if enc_z is None or not p["z_latent_size"]:
        return None
    q = GaussianHead(p["z_latent_size"], p["q_z_init_std"], full=p["z_latent_off_diag"], name="q_z")(enc_z)
    return _product(p, q, u, p_u, "q_z_product") if p["z_prior_process"] == "cond" else q


def create_z_prior(params: Params) -> Any:
    """The prior p(z), a layer: called on q(z), and on the sample that drove the generator, it returns the KL a bin.

    With z_prior_process='cond' it is a :class:`~indl.dists.priors.label.LabelPrior`, which gives p(z | u) when called
    on labels; :func:`label_kl` is the KL from it.

    Keys: z_latent_size, z_prior_process, z_prior_units, z_prior_tau, z_prior_init_std, z_prior_train_tau,
    z_prior_train_mean, z_prior_train_var, z_prior_rollout, z_kl_mode, gru_clip_value, seed, u_dim, u_type, u_units.
    """
    p = validate_params(params)
    size, process = p["z_latent_size"], p["z_prior_process"]
    if not size:
        return None
    if process == "cond":
        return _label_prior(p, "z")
    if process == "standard":
        return GaussianPrior(size, 1.0, train_mean=False, train_var=False, name="z_prior")
    training = {"train_mean": p["z_prior_train_mean"], "train_var": p["z_prior_train_var"]}
    if process == "none":
        return GaussianPrior(size, p["z_prior_init_std"], **training, name="z_prior")
    if process == "student_t":
        return StudentTPrior(
            size, p["z_prior_df"], p["z_prior_init_std"], **training, seed=stream(p, "z_prior"), name="z_prior"
        )
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


def label_kl(params: Params, q: Gaussian, p_u: LogGaussian, u: Any) -> Any:
    """KL(q || p(. | u)) in nats, (batch,) for f and (batch, time) for z; NaN where a label is unknown.

    Keys: u_dim, u_type.

    Args:
        params: parameters.
        q: the posterior.
        p_u: the prior at the labels, ``create_z_prior(params)(u)``.
        u: the labels.
    """
    return LabelKL(_classes(validate_params(params)))(q, p_u, u)


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
        if p["gen_cell_type"] == "GIN":
            # Hidden layers as in pi-VAE: a quarter of the width, two in each network.
            hidden = {key: [max(1, units // 4)] * 2 for key in ("hidden", "lift_hidden")}
            activation = {key: p["gen_activation"] for key in ("activation", "lift_activation")}
            x = InjectiveFlow(units, **hidden, **activation, name=name)(x)
            continue
        init = _initial_state(p, x, f if how in ("init", "both") else None, units, i)
        x, _ = recurrent(
            x,
            p["gen_cell_type"],
            units,
            clip_value=p["gru_clip_value"],
            name=name,
            initial_state=init,
            mask=mask,
            recurrent_regularizer=_penalty(p, "gen"),
        )
    gen_out = x
    factors = _dropout(p, x, "gen_dropout")
    if p["n_factors"]:
        factors = layers.Dense(p["n_factors"], use_bias=False, name="factors")(factors)
    return unfold(gen_out, n), unfold(factors, n)


def create_generator_complex(
    params: Params, f_sample: Any, enc_z: Any = None, ext_input: Any = None, steps: Any = None
) -> tuple[Any, Any, Any, Gaussian | None]:
    """The complex cell of LFADS: controller, q(z), generator and factors in one recurrence.

    Keys: gen_n_hidden, n_factors, z2_units (the controller's), z_latent_size, q_z_init_std, gru_clip_value,
    dropout_rate, gen_l2_reg, l2_gen_scale, l2_con_scale, f_to_gen, gen_init_trainable, sample_at_test, variational,
    forward_steps, seed.

    Args:
        params: parameters.
        f_sample: the initial condition, (batch[, S], F); or None, with which the initial state is trained or zero.
        enc_z: what the controller reads, (batch[, S], time, E); None: no controller.
        ext_input: observed external input of the generator, (batch, time, D).
        steps: where neither enc_z nor ext_input gives the time axis: a sequence (batch, time, ...) whose bins, plus
            forward_steps, are generated, or the number of bins.

    Returns:
        Generator states (batch[, S], time, units); factors (batch[, S], time, n_factors); controller states
        (batch[, S], time, z2_units) and q(z), a :class:`~indl.dists.gaussian.Gaussian` whose `drawn` is the sample
        that has driven the generator. The last two are None without a controller.

    Raises:
        ValueError: no way to know the number of bins, or of trials.
    """
    p = validate_params({**params, "gen_cell_type": "Complex"})
    given = next((part for part in (enc_z, ext_input, steps) if part is not None), None)
    if given is None or (isinstance(given, int) and f_sample is None):
        raise ValueError(
            "The number of bins to generate is not known. Given: f_sample alone. Pass steps=inputs, or steps=n_times."
        )
    units = as_list(p["gen_n_hidden"])[0]
    if f_sample is not None and p["f_to_gen"] == "init":
        initial = layers.Dense(
            units,
            kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
            name="gen_0_h0",
        )(f_sample)
    else:
        initial = TrainableState(units, trainable=p["gen_init_trainable"], name="gen_0_h0")(given)
    if enc_z is None and ext_input is None and not isinstance(steps, int):
        steps = CountBins(p["forward_steps"], name="gen_steps")(steps)
    cell = ComplexGenerator(
        units,
        p["n_factors"],
        *((p["z2_units"], p["z_latent_size"]) if enc_z is not None else (0, 0)),
        init_std=p["q_z_init_std"],
        clip_value=p["gru_clip_value"],
        dropout_rate=p["dropout_rate"],
        generator_regularizer=_penalty(p, "gen"),
        controller_regularizer=_penalty(p, "con"),
        at_test=p["sample_at_test"],
        draws=p["variational"],
        seed=stream(p, "z"),
        name="complex_cell",
    )
    out = cell(initial, enc_z, ext_input, steps=steps)
    if enc_z is None:
        return out["gen_states"], out["factors"], None, None
    return out["gen_states"], out["factors"], out["con_states"], Gaussian(out["z_loc"], out["z_scale"], out["z"])


def output_dist(params: Params, factors: Any, session: Any = None) -> Any:
    """The observation model p(x | factors).

    Keys: output_dist, out_dim (required here), output_link, log_rate_clip, output_scale_link, gamma_loc,
    init_rate_bias, n_sessions.

    Args:
        params: parameters.
        factors: (batch[, S], time, n_factors).
        session: with n_sessions > 1, the session of each trial, integers (batch,).

    Returns:
        A value of :mod:`indl.dists.observations` over (batch[, S], time, out_dim), for example a
        :class:`~indl.dists.observations.PoissonObservation`.

    Raises:
        ValueError: out_dim is None, or no session is given to a model of several.
    """
    p = validate_params(params)
    if p["out_dim"] is None:
        raise ValueError(
            "The observation model needs the number of target channels. Given: out_dim=None. "
            "Pass {**params, 'out_dim': n_channels}."
        )
    kind, n = p["output_dist"], p["out_dim"]
    several = p["n_sessions"] > 1
    shared = {"init_bias": p["init_rate_bias"], "n_sessions": p["n_sessions"] if several else None, "name": "readout"}
    if kind == "Poisson":
        readout = PoissonReadout(n, p["output_link"], p["log_rate_clip"], **shared)
    elif kind == "MSE":
        readout = SquaredErrorReadout(n, **shared)
    elif kind == "Gamma":
        readout = GammaReadout(n, p["log_rate_clip"], **shared)
    elif kind == "ZeroInflatedGamma":
        readout = ZeroInflatedGammaReadout(n, p["gamma_loc"], **shared)
    else:
        readout = GaussianReadout(n, kind == "GaussianUnit", p["output_scale_link"], **shared)
    return readout(factors, _session(session)) if several else readout(factors)


def _label_prior(p: Params, latent: str) -> LabelPrior:
    return LabelPrior(
        p[f"{latent}_latent_size"], p["u_dim"], p["u_type"], as_list(p["u_units"]), name=f"{latent}_prior"
    )


def _classes(p: Params) -> int | None:
    """How many classes labels have; None where they are vectors."""
    return p["u_dim"] if p["u_type"] == "discrete" else None


def _product(p: Params, q: Gaussian, u: Any, p_u: Any, name: str) -> Gaussian:
    """The posterior of a latent with a label prior."""
    if p["q_cond"] != "product":
        return q
    if p_u is None:
        raise ValueError(
            "A product posterior needs the prior at the labels. Given: p_u=None. Pass u=u, p_u=prior(u), with the "
            "layer that create_f_prior or create_z_prior gives."
        )
    return LabelProduct(_classes(p), name=name)(q, p_u, _labels(p, u))


def _labels(p: Params, u: Any) -> Any:
    if u is None:
        raise ValueError(
            f"A posterior with q_cond={p['q_cond']!r} reads labels. Given: u=None. Pass "
            "u=create_label_input(params, n_times), or set q_cond='none'."
        )
    return u


def _session(session: Any) -> Any:
    if session is None:
        raise ValueError(
            "A model of several sessions must be told the session of each trial. Given: session=None. "
            'Pass session=keras.Input((), dtype="int32"), or set n_sessions=1.'
        )
    return session


def stream(p: Params, part: str) -> int:
    """The seed of one part's draws: the parts of a model share no random numbers."""
    return int(np.random.SeedSequence([p["seed"], *part.encode()]).generate_state(1)[0] >> 1)


def _dropout(p: Params, x: Any, name: str) -> Any:
    return Dropout(p["dropout_rate"], seed=stream(p, name), name=name)(x) if p["dropout_rate"] else x


def _encoder(p: Params, name: str) -> dict[str, Any]:
    """What the recurrent layers of both encoders share."""
    return {
        "clip_value": p["gru_clip_value"],
        "train_state": p["encoder_state_trainable"],
        "joint_init": p["encoder_init"] == "joint",
        "recurrent_regularizer": _penalty(p, name),
    }


def _penalty(p: Params, name: str) -> Any:
    """The L2 penalty of one kind of cell: that of LFADS, whose scales share one denominator, or Keras's."""
    sizes = {"gen": sum(_kernel_size(p["gen_cell_type"], units) for units in as_list(p["gen_n_hidden"]))}
    if p["f_latent_size"]:
        sizes["f_enc"] = sum(_kernel_size(p["f_rnn_type"], units) for units in as_list(p["f_units"]))
    if p["z_latent_size"]:
        sizes["z_enc"] = sum(_kernel_size(p["z1_rnn_type"], units) for units in as_list(p["z1_units"]))
        sizes["con"] = _kernel_size("Complex", p["z2_units"]) if p["gen_cell_type"] == "Complex" else 0
    total = sum(size for key, size in sizes.items() if p[f"l2_{key}_scale"])
    if p[f"l2_{name}_scale"]:
        return CellL2(p[f"l2_{name}_scale"], total)
    return keras.regularizers.L2(p["gen_l2_reg"]) if name == "gen" and p["gen_l2_reg"] else None


def _kernel_size(cell: str | None, units: int) -> int:
    """Entries of the recurrent kernels of one layer."""
    if cell in (None, "Dense", "GIN"):
        return 0
    ways = 2 if cell.startswith("Bidirectional") else 1
    gates = {"LSTM": 4, "SimpleRNN": 1}.get(cell.removeprefix("Bidirectional"), 3)
    return ways * gates * units * units


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
    if isinstance(steps, int):
        return EmptySequence(steps, name="gen_input")(f)
    return EmptySequence(extra=p["forward_steps"], name="gen_input")(f, steps)


def _initial_state(p: Params, x: Any, f: Any, units: int, layer: int) -> list[Any] | None:
    """Initial states of one generator layer, from f or trainable; None: zeros."""
    names = [f"gen_{layer}_h0", f"gen_{layer}_c0"] if p["gen_cell_type"] == "LSTM" else [f"gen_{layer}_h0"]
    if f is not None:
        return [layers.Dense(units, name=name)(f) for name in names]
    if p["gen_init_trainable"] and not p["gen_cell_type"].startswith("Bidirectional"):
        return [TrainableState(units, name=name)(x) for name in names]
    return None
