"""The whole sequential model, assembled from the builder functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from indl.model import beta_vae
from indl.model.builders.shared import stream
from indl.model.sequence_model import SequentialVAE
from indl.objectives import Objective
from indl.params import validate_params

_READ = ("x", "ext_input", "sample_mask", "session", "u", "index")


def build_sequential_vae(
    params: Mapping[str, Any],
    n_times: int | None,
    n_channels: int,
    name: str = "sequential_vae",
    objective: Objective | None = None,
) -> SequentialVAE:
    """Assembles the whole model with the builders of :mod:`indl.model.beta_vae`.

    Args:
        params: parameters; missing keys take their defaults. ``out_dim`` > `n_channels` and ``forward_steps``
            > 0 make targets of more channels and bins than the input.
        n_times: bins of a trial; None: any number.
        n_channels: channels of the input.
        name: name of the model.
        objective: what is minimised. Default: what the params ask for.

    Raises:
        ValueError: params that do not validate, or fewer target than input channels.
    """
    p = validate_params(params)
    if not isinstance(n_channels, int | np.integer) or n_channels < 1 or (n_times is not None and n_times < 1):
        raise ValueError(
            "A model needs at least one channel and one bin. "
            f"Given: n_times={n_times!r}, n_channels={n_channels!r}. Take them from the array's shape."
        )
    out_dim = p["out_dim"] or int(n_channels)
    if out_dim < n_channels:
        raise ValueError(
            f"The target must hold the input's channels. Given: out_dim={out_dim} for {n_channels} input "
            "channels. Put the held-in channels first and the held-out ones behind."
        )
    p = validate_params({**p, "out_dim": out_dim})
    read = _inputs(p, n_times, n_channels)
    x, ext_input, sample_mask, session, u, index = (read.get(name) for name in _READ)
    f_in, z_in, cd_mask = beta_vae.prepare_inputs(p, x, sample_mask, session, u)
    mask = beta_vae.create_time_mask(p, x)
    outputs: dict[str, Any] = {"cd_mask": cd_mask}
    if sample_mask is not None:
        outputs["sample_mask"] = sample_mask
    many = p["q_f_samples"] if p["q_f_samples"] > 1 else None
    drawing = {"at_test": p["sample_at_test"], "draws": p["variational"]}
    # Priors that may be part of posteriors come before them.
    p_f = beta_vae.create_f_prior(p)(u) if p["f_latent_size"] and p["f_prior_type"] == "cond" else None
    labelled = p["z_prior_process"] == "cond"
    prior_z = beta_vae.create_z_prior(p) if labelled or p["use_generative_prior"] else None
    p_z = prior_z(u) if prior_z is not None and labelled else None
    own_f = beta_vae.encoder_posterior(p, "f", beta_vae.create_f_encoder(p, f_in, mask))
    q_f = beta_vae.label_product(p, "f", own_f, u, p_f)
    f = z = q_z = own_z = None
    if q_f is not None:
        f = q_f.sample(many, seed=stream(p, "f"), **drawing)
        outputs |= {"q_f": q_f, "f": f}
    enc_z = beta_vae.create_z_encoder(p, z_in, f, mask)
    if p["gen_cell_type"] == "Complex":
        gen_out, factors, con_states, q_z = beta_vae.create_generator_complex(p, f, enc_z, ext_input, steps=x)
        if q_z is not None:
            outputs["con_states"], z = con_states, q_z.drawn
    elif p["q_z_type"] == "combiner" and enc_z is not None:
        transition = prior_z(enc_z, weights_alone=True) if p["use_generative_prior"] else ()
        q_z = beta_vae.sequential_posterior(p, enc_z, f, transition)
        z = q_z.drawn
        gen_out, factors = beta_vae.create_generator(p, f, z, ext_input, steps=x, mask=mask)
    else:
        own_z = beta_vae.encoder_posterior(p, "z", enc_z)
        q_z = beta_vae.label_product(p, "z", own_z, u, p_z)
        if q_z is not None:
            # With f in its encoder, q(z) has the samples axis already: one z for each f.
            n_z = None if len(q_z.loc.shape) == 4 else many
            z = q_z.sample(n_z, seed=stream(p, "z"), **drawing)
        gen_out, factors = beta_vae.create_generator(p, f, z, ext_input, steps=x, mask=mask)
    outputs |= {"gen_out": gen_out, "factors": factors, "p_x": beta_vae.output_dist(p, factors, session)}
    if q_z is not None:
        outputs |= {"q_z": q_z, "z": z}
    if p["variational"]:
        if q_f is not None:
            outputs |= beta_vae.divergence(p, "f", q_f, p_f, u, index=index)
        if q_z is not None:
            driven = None if q_z.has_path else z
            outputs |= beta_vae.divergence(p, "z", q_z, p_z, u, prior=prior_z, driven=driven)
        if p["alpha"] and p_f is not None:
            outputs["kl_f_encoder"] = beta_vae.label_kl(p, own_f, p_f, u)
        if p["alpha"] and p_z is not None:
            outputs["kl_z_encoder"] = beta_vae.label_kl(p, own_z, p_z, u)
        for term in ("kl_z", "kl_z_encoder"):
            if mask is not None and term in outputs and p["z_per_step"]:
                # Beyond a trial's end there is nothing to pay for.
                outputs[term] *= ops.cast(mask, outputs[term].dtype)
    rate, passed = p["coordinated_dropout_rate"], p["coordinated_dropout_pass_rate"]
    trained = rate + (1 - rate) * passed
    rescale = 1.0 / trained if p["coordinated_dropout_rescale"] and rate > 0 else 1.0
    model = SequentialVAE(
        inputs=read, outputs=outputs, params=p, objective=objective, gradient_rescale=rescale, name=name
    )
    trained = {"read_in": p["read_in_trainable"], "readout": True}
    for layer in model.layers:
        if not trained.get(layer.name, p["core_trainable"]):
            layer.trainable = False
    return model


def _inputs(p: Mapping[str, Any], n_times: int | None, n_channels: int) -> dict[str, Any]:
    """The symbolic inputs that a model of these params reads, by name."""
    found = {"x": keras.Input((n_times, n_channels), name="x")}
    if p["ext_input_dim"]:
        steps = None if n_times is None else n_times + p["forward_steps"]
        found["ext_input"] = keras.Input((steps, p["ext_input_dim"]), name="ext_input")
    if p["sample_validation_rate"]:
        found["sample_mask"] = keras.Input((n_times, n_channels), name="sample_mask")
    if p["n_sessions"] > 1:
        found["session"] = keras.Input((), dtype="int32", name="session")
    more = {"u": beta_vae.create_label_input(p, n_times), "index": beta_vae.create_index_input(p)}
    return found | {name: symbol for name, symbol in more.items() if symbol is not None}
