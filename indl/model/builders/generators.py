"""The generators p(x | f, z) up to their factors."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from indl.dists.gaussian import Gaussian
from indl.layers.activations import activation
from indl.layers.flows import InjectiveFlow
from indl.layers.initial_state import TrainableState
from indl.layers.samples import AppendStatic, RepeatSamples, fold, unfold
from indl.layers.time import CountBins, EmptySequence, FirstBins
from indl.model.builders.shared import Params, dropout, penalty, stream
from indl.params import CellSpec, as_list, validate_params
from indl.rnn.complex_cell import ComplexGenerator
from indl.rnn.stack import recurrent


def create_generator(
    params: Params,
    f_sample: Any,
    z_sample: Any = None,
    ext_input: Any = None,
    steps: Any = None,
    mask: Any = None,
    name: str = "",
) -> tuple[Any, Any]:
    """The generator p(x | f, z) up to its factors.

    Keys: z_per_step, gen_cell_type, gen_n_hidden, gen_activation, f_to_gen, n_factors, gen_l2_reg, gen_init_trainable,
    gru_clip_value, dropout_rate, forward_steps.

    Args:
        params: parameters.
        f_sample: (batch[, S], F), or None.
        z_sample: (batch[, S], time, Z), or None; with z_per_step=False (batch[, S], 1, Z), an input of every bin.
        ext_input: observed external input (batch, time, D), concatenated to z.
        steps: where neither a z of each bin nor an external input gives the time axis: the number of bins, or a
            sequence (batch, time, ...) whose bins, plus forward_steps, are generated.
        mask: which of the generated bins belong to the trial, bool (batch, time); a generator in both directions
            needs it where trials end before the others.
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

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
    one = None if z is None or p["z_per_step"] else z[:, 0]
    z = z if one is None else None
    x = _generator_input(p, f if one is None else one, z, ext_input, steps, n, f"{name}gen_input")
    if one is not None:
        x = AppendStatic(name=f"{name}z_to_gen")(x, one)
    if how in ("tile", "both"):
        x = AppendStatic(name=f"{name}f_to_gen")(x, f)
    # What comes after a trial's end reaches its bins in the backward direction alone.
    mask = mask if CellSpec.parse(p["gen_cell_type"]).both else None
    mask = RepeatSamples(n)(mask) if n is not None and mask is not None else mask
    # Samples of latents may have repeated the rows.
    mask = mask if mask is None else FirstBins()(mask, x)
    for i, units in enumerate(as_list(p["gen_n_hidden"])):
        layer = f"{name}gen_{i}"
        if p["gen_cell_type"] == "Dense":
            x = layers.Dense(units, activation=activation(p["gen_activation"]), name=layer)(x)
            continue
        if p["gen_cell_type"] == "GIN":
            # Hidden layers as in pi-VAE: a quarter of the width, two in each network.
            hidden = {key: [max(1, units // 4)] * 2 for key in ("hidden", "lift_hidden")}
            functions = {key: activation(p["gen_activation"]) for key in ("activation", "lift_activation")}
            x = InjectiveFlow(units, **hidden, **functions, name=layer)(x)
            continue
        init = _initial_state(p, x, f if how in ("init", "both") else None, units, layer)
        x, _ = recurrent(
            x,
            p["gen_cell_type"],
            units,
            clip_value=p["gru_clip_value"],
            name=layer,
            initial_state=init,
            mask=mask,
            recurrent_regularizer=penalty(p, "gen"),
        )
    gen_out = x
    factors = dropout(p, x, f"{name}gen_dropout")
    if p["n_factors"]:
        factors = layers.Dense(p["n_factors"], use_bias=False, name=f"{name}factors")(factors)
    return unfold(gen_out, n), unfold(factors, n)


def create_generator_complex(
    params: Params, f_sample: Any, enc_z: Any = None, ext_input: Any = None, steps: Any = None, name: str = ""
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
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

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
            name=f"{name}gen_0_h0",
        )(f_sample)
    else:
        initial = TrainableState(units, trainable=p["gen_init_trainable"], name=f"{name}gen_0_h0")(given)
    if enc_z is None and ext_input is None and not isinstance(steps, int):
        steps = CountBins(p["forward_steps"], name=f"{name}gen_steps")(steps)
    cell = ComplexGenerator(
        units,
        p["n_factors"],
        *((p["z2_units"], p["z_latent_size"]) if enc_z is not None else (0, 0)),
        init_std=p["q_z_init_std"],
        clip_value=p["gru_clip_value"],
        dropout_rate=p["dropout_rate"],
        generator_regularizer=penalty(p, "gen"),
        controller_regularizer=penalty(p, "con"),
        at_test=p["sample_at_test"],
        draws=p["variational"],
        seed=stream(p, f"{name}z"),
        name=f"{name}complex_cell",
    )
    out = cell(initial, enc_z, ext_input, steps=steps)
    if enc_z is None:
        return out["gen_states"], out["factors"], None, None
    return out["gen_states"], out["factors"], out["con_states"], Gaussian(out["z_loc"], out["z_scale"], out["z"])


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


def _generator_input(p: Params, static: Any, z: Any, ext_input: Any, steps: Any, n: int | None, name: str) -> Any:
    if ext_input is not None and n is not None:
        ext_input = RepeatSamples(n)(ext_input)
    parts = [part for part in (z, ext_input) if part is not None]
    if parts:
        return layers.Concatenate(name=name)(parts) if len(parts) > 1 else parts[0]
    if steps is None:
        raise ValueError(
            "The number of bins to generate is not known. Given: static latents alone. Pass steps=inputs, or "
            "steps=n_times."
        )
    if isinstance(steps, int):
        return EmptySequence(steps, name=name)(static)
    return EmptySequence(extra=p["forward_steps"], name=name)(static, steps)


def _initial_state(p: Params, x: Any, f: Any, units: int, layer: str) -> list[Any] | None:
    """Initial states of one generator layer, from f or trainable; None: zeros."""
    names = [f"{layer}_h0", f"{layer}_c0"] if p["gen_cell_type"] == "LSTM" else [f"{layer}_h0"]
    if f is not None:
        return [layers.Dense(units, name=name)(f) for name in names]
    if p["gen_init_trainable"] and not CellSpec.parse(p["gen_cell_type"]).both:
        return [TrainableState(units, name=name)(x) for name in names]
    return None
