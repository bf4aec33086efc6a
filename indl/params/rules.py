"""Combinations of the sequential models' parameters that cannot work, each with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indl.params.cell_spec import CellSpec
from indl.params.objectives import check_objective
from indl.params.param import as_list
from indl.params.sequence import RNN_CELLS


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
    if has_z and p["z1_rnn_type"] is None and (p["z2_type"] is None or p["z2_units"] == 0):
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
    if p["z_kl_mode"] == "analytic" and p["z_prior_process"] in RNN_CELLS:
        refuse(
            "A recurrent prior has no closed-form KL.",
            ("z_prior_process", "z_kl_mode"),
            "Use z_kl_mode='conditional' or 'auto'.",
        )
    if has_z and p["z_prior_process"] == "student_t" and p["z_kl_mode"] not in ("auto", "sampled", "fresh"):
        refuse(
            "The KL to a Student-t prior is sampled.",
            ("z_prior_process", "z_kl_mode"),
            "Use z_kl_mode='auto', 'sampled' or 'fresh'.",
        )
    if has_z and p["z_prior_process"] in RNN_CELLS and not (p["z_prior_train_mean"] and p["z_prior_train_var"]):
        refuse(
            "A recurrent prior is trained as a whole.",
            ("z_prior_process", "z_prior_train_mean", "z_prior_train_var"),
            "Leave both True, or use z_prior_process='AR1' or 'none'.",
        )
    if gen == "Complex":
        _check_complex(p, has_f, has_z, refuse)
    if gen == "GIN":
        _check_flow(p, has_f, has_z, refuse)
    _check_labels(p, has_f, has_z, refuse)
    check_objective(p, refuse)
    if has_f and p["f_latent_off_diag"] and p["q_f_scale"] == "log_variance":
        refuse(
            "A full covariance has no log variances.", ("f_latent_off_diag", "q_f_scale"), "Use q_f_scale='softplus'."
        )
    if p["q_f_min_var"] and p["q_f_scale"] != "log_variance":
        refuse(
            "The variance floor belongs to log variances.",
            ("q_f_min_var", "q_f_scale"),
            "Use q_f_scale='log_variance'.",
        )
    if has_f and p["f_enc_reduce"] != "mean" and p["f_rnn_type"] == "Dense":
        refuse("Dense layers have no last state.", ("f_rnn_type", "f_enc_reduce"), "Use f_enc_reduce='mean'.")


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
        training = (f"{latent}_prior_train_mean", f"{latent}_prior_train_var")
        if conditional and not all(p[key] for key in training):
            refuse("A label prior is trained as a whole.", (priors[latent == "z"], *training), "Leave both True.")
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
