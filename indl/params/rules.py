"""Combinations of the sequential models' parameters that cannot work, each with its remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from indl.params.cell_spec import CellSpec
from indl.params.objectives import check_objective
from indl.params.param import as_list
from indl.params.sequence import RNN_CELLS

#: Priors with a transition from one bin to the next, and with them those whose steps are outputs of other networks.
_WITH_TRANSITION = ("gated", "linear", "mlp")
_WITH_NETWORKS = (*RNN_CELLS, *_WITH_TRANSITION)


def check_combinations(p: Mapping[str, Any]) -> None:
    """Combinations that cannot work, each with its remedy."""

    def refuse(what: str, keys: tuple[str, ...], remedy: str) -> None:
        given = ", ".join(f"{key}={p[key]!r}" for key in keys)
        raise ValueError(f"{what} Given: {given}. {remedy}")

    has_f, has_z = p["f_latent_size"] > 0, p["z_latent_size"] > 0
    gen = p["gen_cell_type"]
    if p["n_sessions"] > 1 and not p["input_factors"]:
        refuse(
            "Sessions of different channels share a core through their read-ins.",
            ("n_sessions", "input_factors"),
            "Set input_factors, for example to n_factors.",
        )
    if p["frame_shape"] is not None:
        _check_frames(p, refuse)
    if not has_f and not has_z:
        refuse("A model needs at least one latent.", ("f_latent_size", "z_latent_size"), "Make one of them positive.")
    if p["spike_jitter_width"] and p["missing_data"]:
        refuse(
            "Spikes cannot be moved from or into samples that were not recorded.",
            ("spike_jitter_width", "missing_data"),
            "Use spike_jitter_width=0, or trials without gaps and of one length.",
        )
    if p["monitor"] == "val_sample_nll" and not p["sample_validation_rate"]:
        refuse(
            "Only sample validation logs val_sample_nll.",
            ("monitor", "sample_validation_rate"),
            "Set sample_validation_rate, for example to 0.2.",
        )
    if has_f and p["f_rnn_type"] is None:
        refuse(
            "A static latent needs an f-encoder.",
            ("f_latent_size", "f_rnn_type"),
            "Set f_rnn_type, or f_latent_size=0.",
        )
    if has_f and p["f_to_gen"] is None and (not has_z or p["f_to_z"] is None):
        refuse(
            "The static latent reaches nothing.",
            ("f_latent_size", "f_to_gen", "f_to_z"),
            "Set f_to_gen or f_to_z, or f_latent_size=0.",
        )
    encodes = p["z1_rnn_type"] or (p["z2_type"] and p["z2_units"]) or p["q_z_units"]
    if has_z and not encodes:
        refuse(
            "A dynamic latent needs a z-encoder.",
            ("z_latent_size", "z1_rnn_type", "z2_type", "z2_units"),
            "Set z1_rnn_type or z2_type, or z_latent_size=0.",
        )
    if has_z and has_f and p["f_to_z"] == "z1" and p["z1_rnn_type"] is None:
        refuse("f_to_z names a stage that does not exist.", ("f_to_z", "z1_rnn_type"), "Use f_to_z='z2'.")
    if has_z and has_f and p["f_to_z"] == "z2" and (p["z2_type"] is None or p["z2_units"] == 0):
        refuse("f_to_z names a stage that does not exist.", ("f_to_z", "z2_type", "z2_units"), "Use f_to_z='z1'.")
    if has_f and p["f_to_gen"] in ("init", "both") and gen in ("Dense", "GIN"):
        refuse(f"A {gen} generator has no state to initialise.", ("gen_cell_type", "f_to_gen"), "Use f_to_gen='tile'.")
    if has_f and p["f_to_gen"] in ("init", "both") and CellSpec.parse(gen).both:
        refuse(
            "A bidirectional generator has no initial condition.",
            ("gen_cell_type", "f_to_gen"),
            "Use f_to_gen='tile', or a forward generator.",
        )
    stacked = len(as_list(p["z1_units"])) > 1 and CellSpec.parse(p["z1_rnn_type"]).both
    if has_z and p["z1_lag"] and stacked:
        refuse(
            "Stacked bidirectional layers carry every bin past the lag of the last one.",
            ("z1_lag", "z1_units", "z1_rnn_type"),
            "Use one layer, or z1_lag=0.",
        )
    if p["z_prior_rollout"] == "free" and p["z_kl_mode"] == "analytic":
        refuse(
            "The closed-form KL belongs to the teacher-forced prior.",
            ("z_prior_rollout", "z_kl_mode"),
            "Use z_kl_mode='conditional'.",
        )
    if p["z_kl_mode"] == "analytic" and p["z_prior_process"] in _WITH_NETWORKS:
        refuse(
            "Of a prior with a transition, or recurrent, there is no closed-form KL.",
            ("z_prior_process", "z_kl_mode"),
            "Use z_kl_mode='conditional' or 'auto'.",
        )
    if has_z and p["z_prior_process"] == "student_t" and p["z_kl_mode"] not in ("auto", "sampled", "fresh"):
        refuse(
            "The KL to a Student-t prior is sampled.",
            ("z_prior_process", "z_kl_mode"),
            "Use z_kl_mode='auto', 'sampled' or 'fresh'.",
        )
    if has_z and p["z_prior_process"] in _WITH_NETWORKS and not (p["z_prior_train_mean"] and p["z_prior_train_var"]):
        refuse(
            "A prior with a transition, or recurrent, is trained as a whole.",
            ("z_prior_process", "z_prior_train_mean", "z_prior_train_var"),
            "Leave both True, or use z_prior_process='AR1' or 'none'.",
        )
    if gen == "Complex":
        _check_complex(p, has_f, has_z, refuse)
    if gen == "GIN":
        _check_flow(p, has_f, has_z, refuse)
    _check_labels(p, has_f, has_z, refuse)
    check_objective(p, refuse)
    if has_f and p["f_prior_type"] == "lookup":
        _check_sequences(p, refuse)
    if has_z and not p["z_per_step"]:
        _check_one_z(p, refuse)
    _check_posterior(p, has_f, has_z, refuse)
    for latent, has in (("f", has_f), ("z", has_z)):
        if has and p[f"{latent}_latent_off_diag"] and p[f"q_{latent}_scale"] != "softplus":
            refuse(
                "The scale of a full covariance is a softplus.",
                (f"{latent}_latent_off_diag", f"q_{latent}_scale"),
                f"Use q_{latent}_scale='softplus'.",
            )
    if p["read_in_activation"] != "linear" and not p["input_factors"]:
        refuse(
            "There is no read-in to have an activation.",
            ("read_in_activation", "input_factors"),
            "Set input_factors, the width of the read-in, or read_in_activation='linear'.",
        )
    if p["q_f_min_var"] and p["q_f_scale"] != "log_variance":
        refuse(
            "The variance floor belongs to log variances.",
            ("q_f_min_var", "q_f_scale"),
            "Use q_f_scale='log_variance'.",
        )
    if has_f and p["f_enc_reduce"] != "mean" and p["f_rnn_type"] == "Dense":
        refuse("Dense layers have no last state.", ("f_rnn_type", "f_enc_reduce"), "Use f_enc_reduce='mean'.")


def _check_frames(p: Mapping[str, Any], refuse: Any) -> None:
    """What a convolutional read-in needs, and what it cannot be combined with."""
    shape, depth = as_list(p["frame_shape"]), len(as_list(p["frame_filters"]))
    if len(shape) != 3:
        refuse("A frame has three sizes.", ("frame_shape",), "Give height, width and colours, for example [16, 16, 3].")
    if shape[0] % 2**depth or shape[1] % 2**depth:
        refuse(
            "Every convolution halves height and width.",
            ("frame_shape", "frame_filters"),
            f"Use fewer frame_filters, or frames whose sides are multiples of {2**depth}.",
        )
    if p["out_dim"] is not None and p["out_dim"] != math.prod(shape):
        refuse(
            f"The target's channels are not the pixels of a frame, which has {math.prod(shape)} values.",
            ("frame_shape", "out_dim"),
            "Set frame_shape to height, width and colours of the frames.",
        )
    if p["input_factors"]:
        refuse(
            "The convolutions are the read-in, and there can be no other.",
            ("frame_shape", "input_factors"),
            "Use input_factors=0 and one session; frame_features is the width of what the encoders read.",
        )


def _check_complex(p: Mapping[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
    """What the complex cell cannot be combined with."""
    if len(as_list(p["gen_n_hidden"])) > 1 or not p["n_factors"]:
        refuse(
            "The complex cell has one generator layer, and factors that its controller reads.",
            ("gen_n_hidden", "n_factors"),
            "Use one number of units, and n_factors > 0.",
        )
    if has_z and (p["z2_type"] != "GRUClip" or not p["z2_units"]):
        refuse(
            "The controller of the complex cell is a GRUClip.",
            ("gen_cell_type", "z2_type", "z2_units"),
            "Use z2_type='GRUClip' with z2_units > 0, or z_latent_size=0 for none.",
        )
    if has_z and p["z_latent_off_diag"]:
        refuse(
            "The complex cell has a diagonal posterior.",
            ("gen_cell_type", "z_latent_off_diag"),
            "Use z_latent_off_diag=False.",
        )
    if has_f and p["f_to_gen"] not in ("init", None):
        refuse("In the complex cell f sets the initial state.", ("gen_cell_type", "f_to_gen"), "Use f_to_gen='init'.")


def _check_posterior(p: Mapping[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
    """What a posterior of z other than the mean-field one is made of."""
    kind, first = p["q_z_type"], CellSpec.parse(p["z1_rnn_type"])
    if has_z and has_f and p["f_to_z"] == "combiner" and (kind != "combiner" or p["use_generative_prior"]):
        refuse(
            "f_to_z names a stage that does not exist.",
            ("f_to_z", "q_z_type", "use_generative_prior"),
            "Use q_z_type='combiner' without the generative prior, or f_to_z='z1'.",
        )
    multiplies = has_z and kind == "combiner" and p["z_prior_process"] in _WITH_TRANSITION
    if p["use_generative_prior"] and not multiplies:
        refuse(
            "Only a combiner multiplies with the prior, and only with one that has a transition.",
            ("use_generative_prior", "q_z_type", "z_prior_process"),
            "Set q_z_type='combiner' and z_prior_process='gated', 'linear' or 'mlp', or use_generative_prior=False.",
        )
    if has_z and p["q_z_units"] and (kind == "combiner" or p["gen_cell_type"] == "Complex" or p["z_latent_off_diag"]):
        refuse(
            "Networks of their own are for the mean and the scale of a diagonal mean-field posterior.",
            ("q_z_units", "q_z_type", "gen_cell_type", "z_latent_off_diag"),
            "Use q_z_units=None, or q_z_type='meanfield' without the complex cell and with z_latent_off_diag=False.",
        )
    if not has_z or kind == "meanfield":
        return
    if p["gen_cell_type"] == "Complex":
        refuse(
            "The complex cell has a posterior of its own.", ("q_z_type", "gen_cell_type"), "Use q_z_type='meanfield'."
        )
    if first.kind is None or (p["z2_type"] and p["z2_units"]):
        refuse(
            f"A posterior of the type {kind!r} reads the first stage of the z-encoder.",
            ("q_z_type", "z1_rnn_type", "z2_type", "z2_units"),
            "Set z1_rnn_type, for example to 'BackwardLSTM', and z2_units=0.",
        )
    if kind == "directions" and not first.both:
        refuse(
            "The directions of one direction cannot be multiplied.",
            ("q_z_type", "z1_rnn_type"),
            "Use a Bidirectional z1_rnn_type, or q_z_type='meanfield'.",
        )
    if first.both and p["z1_merge"] != "concat":
        refuse("The posterior needs the states of each direction.", ("q_z_type", "z1_merge"), "Use z1_merge='concat'.")
    if p["z_latent_off_diag"] or p["q_cond"] == "product":
        refuse(
            f"A posterior of the type {kind!r} is diagonal, and no product with a label prior.",
            ("q_z_type", "z_latent_off_diag", "q_cond"),
            "Use z_latent_off_diag=False and q_cond='none' or 'concat', or q_z_type='meanfield'.",
        )
    if kind == "combiner" and p["z_kl_mode"] in ("analytic", "fresh"):
        refuse(
            "The divergence of a posterior with memory is taken along its own path.",
            ("q_z_type", "z_kl_mode"),
            "Use z_kl_mode='auto', 'conditional' or 'sampled'.",
        )
    if kind == "combiner" and not p["variational"] and p["use_generative_prior"]:
        refuse(
            "An auto-encoder without KL has no prior to multiply with.",
            ("use_generative_prior", "variational"),
            "Use variational=True, or use_generative_prior=False.",
        )


def _check_flow(p: Mapping[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
    """What an injective flow needs to stay injective."""
    width = as_list(p["gen_n_hidden"])
    latents = p["z_latent_size"] * has_z + p["f_latent_size"] * (has_f and p["f_to_gen"] == "tile") + p["ext_input_dim"]
    if len(width) > 1 or width[0] < max(latents, 2):
        refuse(
            f"A flow has one width, which holds all that enters it ({latents} latents and external inputs).",
            ("gen_cell_type", "gen_n_hidden"),
            f"Use one number, at least {max(latents, 2)}; the number of channels is a good choice.",
        )
    if p["n_factors"]:
        refuse(
            "Factors narrower than the flow would undo that it is injective.",
            ("gen_cell_type", "n_factors"),
            "Use n_factors=0: the flow's output feeds the read-out.",
        )


def _check_sequences(p: Mapping[str, Any], refuse: Any) -> None:
    """What a prior around the means of sequences needs."""
    if not p["variational"]:
        refuse(
            "An auto-encoder without KL has no prior of sequences.",
            ("variational", "f_prior_type"),
            "Use variational=True, or f_prior_type='standard'.",
        )
    if p["f_prior_kappa"]:
        refuse(
            "The variance around a sequence's mean is that of f_prior_init_std.",
            ("f_prior_type", "f_prior_kappa"),
            "Use f_prior_kappa=0.",
        )
    names = p["f_prior_sequences"]
    if names is not None and p["f_prior_n_seqs"] < len(names):
        refuse(
            f"Every one of the {len(names)} sequences has a row.",
            ("f_prior_n_seqs",),
            f"Set it to {len(names)} at least, or f_prior_sequences=None.",
        )


def _check_one_z(p: Mapping[str, Any], refuse: Any) -> None:
    """What one z for all bins cannot be combined with."""
    if p["z_prior_process"] not in ("standard", "none", "cond") or (p["z_prior_process"] == "cond" and p["u_per_step"]):
        refuse(
            "One z a window has a prior without bins.",
            ("z_per_step", "z_prior_process", "u_per_step"),
            "Use z_prior_process='standard' or 'none', or 'cond' with u_per_step=False.",
        )
    if not CellSpec.parse(p["z1_rnn_type"]).blocks or (p["z2_type"] and p["z2_units"]):
        refuse(
            "One z a window is read from the last states of recurrent layers of the first stage.",
            ("z_per_step", "z1_rnn_type", "z2_type", "z2_units"),
            "Use a recurrent z1_rnn_type, with z2_type=None and z2_units=0.",
        )
    if p["q_z_type"] != "meanfield":
        refuse("One z a window has no bins before.", ("z_per_step", "q_z_type"), "Use q_z_type='meanfield'.")
    if p["z1_lag"]:
        refuse("One z a window has no lag.", ("z_per_step", "z1_lag"), "Use z1_lag=0.")
    if not CellSpec.parse(p["gen_cell_type"]).blocks and not p["ext_input_dim"]:
        refuse(
            "Without memory the generator would give every bin the same.",
            ("z_per_step", "gen_cell_type", "ext_input_dim"),
            "Use a recurrent generator, or z_per_step=True.",
        )
    if p["gen_cell_type"] == "Complex":
        refuse(
            "The complex cell infers a z in every bin.",
            ("z_per_step", "gen_cell_type"),
            "Use z_per_step=True, or another recurrent generator.",
        )


def _check_labels(p: Mapping[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
    """Whether labels are described, used, and used in a way that can work."""
    f_cond, z_cond = has_f and p["f_prior_type"] == "cond", has_z and p["z_prior_process"] == "cond"
    priors = ("f_prior_type", "z_prior_process")
    product = p["q_cond"] == "product"
    if (f_cond or z_cond or p["q_cond"] != "none") and not (p["u_dim"] and p["u_type"]):
        refuse(
            "A model that depends on labels must know what they are.",
            (*priors, "q_cond", "u_dim", "u_type"),
            "Set u_dim to the number of classes with u_type='discrete', or to the length of the label with "
            "u_type='continuous'.",
        )
    if (p["u_dim"] or p["u_type"] or p["u_per_step"]) and not (f_cond or z_cond or p["q_cond"] != "none"):
        refuse(
            "Labels are described and used nowhere.",
            ("u_dim", "u_type", "u_per_step", *priors, "q_cond"),
            "Set z_prior_process='cond', f_prior_type='cond' or q_cond='concat', or u_dim=0 and u_type=None.",
        )
    if product and not (f_cond or z_cond):
        refuse(
            "A product posterior takes its factor from a label prior.",
            ("q_cond", *priors),
            "Set z_prior_process='cond' or f_prior_type='cond', or use q_cond='concat'.",
        )
    if p["alpha"] and not product:
        refuse(
            "Only a product posterior has an encoder of its own.",
            ("alpha", "q_cond"),
            "Set q_cond='product', or alpha=0.",
        )
    if not p["variational"] and (f_cond or z_cond):
        refuse(
            "An auto-encoder without KL has no priors that labels could enter.",
            ("variational", *priors),
            "Use variational=True, or priors other than 'cond'.",
        )
    if f_cond and p["u_per_step"]:
        refuse(
            "f is one vector a trial, and has one label.",
            ("f_prior_type", "u_per_step"),
            "Use u_per_step=False, or f_prior_type='mvn'.",
        )
    if f_cond and p["f_prior_kappa"]:
        refuse("A label prior has no fixed variance.", ("f_prior_type", "f_prior_kappa"), "Use f_prior_kappa=0.")
    for latent, conditional in (("f", f_cond), ("z", z_cond)):
        training = f"{latent}_prior_train_var"
        if conditional and not p[training]:
            refuse("A label prior is a scale at least.", (priors[latent == "z"], training), "Leave it True.")
        if conditional and product and p[f"{latent}_latent_off_diag"]:
            refuse(
                "A product with a label prior has a diagonal posterior.",
                ("q_cond", f"{latent}_latent_off_diag"),
                f"Use {latent}_latent_off_diag=False, or q_cond='concat'.",
            )
    if z_cond and product and p["gen_cell_type"] == "Complex":
        refuse(
            "The posterior of z arises within the complex cell, where no label prior can enter it.",
            ("gen_cell_type", "z_prior_process", "q_cond"),
            "Use q_cond='none' or 'concat', or another generator.",
        )
    if z_cond and p["z_kl_mode"] not in ("auto", "analytic"):
        refuse("The KL to a label prior is the closed form.", ("z_prior_process", "z_kl_mode"), "Use z_kl_mode='auto'.")
