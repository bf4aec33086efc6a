"""Presets of the sequential models, their table as a whole, and its defaults."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from indl.params.param import copied
from indl.params.rules import check_combinations
from indl.params.sequence import TABLE
from indl.params.table import Table

#: Differences from the defaults, with the source of each preset.
PRESETS: dict[str, dict[str, Any]] = {
    # LFADS-like sizes of the first indl notebook.
    "default": {},
    # Li & Mandt 2018 (arXiv:1803.02991), "full" posterior; sizes of the TFP disentangled_vae example.
    "dsae_full": {
        "coordinated_dropout_rate": 0.0,
        "dropout_rate": 0.0,
        "input_transform": "log1p",
        "f_rnn_type": "BidirectionalLSTM",
        "f_rnn_merge": "sum",
        "f_units": [48],
        "f_latent_size": 48,
        "f_prior_init_std": 1.0,
        "z1_rnn_type": "BidirectionalLSTM",
        "z1_units": [48],
        "z2_units": 48,
        "f_to_z": "z1",
        "z_latent_size": 12,
        "z_prior_process": "LSTM",
        "z_prior_units": 48,
        "z_prior_init_std": 1.0,
        "gen_cell_type": "Dense",
        "gen_n_hidden": [48],
        "f_to_gen": "tile",
        "n_factors": 0,
        "learning_rate": 1e-3,
        "lr_schedule": "cosine",
    },
    # Higgins et al. 2017 (ICLR), one static latent that sets the generator's initial state; beta of their figure 2.
    "beta_vae": {"z_latent_size": 0, "f_prior_type": "standard", "kl_f_beta": 4.0, "kl_f_schedule": "linear"},
}
# Sussillo et al. 2016 (arXiv:1608.06315) with the sizes and constants of lfads-torch's configuration for MC_Maze; the
# loss is a mean over bins and channels times 1e4, so the gradient is clipped at 0.02 of the unscaled loss.
PRESETS["lfads"] = {
    "dropout_rate": 0.3,
    "coordinated_dropout_rate": 0.3,
    "coordinated_dropout_rescale": False,
    "encoder_init": "joint",
    "encoder_state_trainable": True,
    "f_units": [64],
    "f_latent_size": 64,
    "q_f_scale": "log_variance",
    "q_f_init_std": 1.0,
    "q_f_min_var": 1e-4,
    "f_prior_init_std": math.sqrt(0.1),
    "f_prior_train_var": False,
    "z1_units": [64],
    "z1_merge": "concat",
    "z1_lag": 1,
    "z2_type": "GRUClip",
    "z2_units": 64,
    "z_latent_size": 4,
    "q_z_init_std": 1.0,
    "z_prior_train_mean": False,
    "gen_cell_type": "Complex",
    "gen_n_hidden": [200],
    "gen_l2_reg": 0.0,
    "n_factors": 100,
    "l2_gen_scale": 1e-2,
    "l2_con_scale": 1e-2,
    "l2_schedule": "ramp",
    "l2_ramp": 80,
    "learning_rate": 4e-3,
    "lr_schedule": "plateau",
    "adam_epsilon": 1e-8,
    "loss_reduction": "mean",
    "loss_scale": 1e4,
    "kl_f_beta": 1e-5,
    "kl_f_schedule": "ramp",
    "kl_f_ramp": 80,
    "kl_z_beta": 1e-5,
    "kl_z_schedule": "ramp",
    "kl_z_ramp": 80,
    "batch_size": 256,
    "epochs": 1000,
    "patience": 200,
}
# The same without controller and inferred inputs: an autonomous generator, for dynamics that the start determines.
PRESETS["lfads_no_controller"] = {**PRESETS["lfads"], "z_latent_size": 0, "z2_units": 0}
# For some hundred trials: sizes after the reference runs on macaque M1 force (238 trials of 72 channels), rates and KL
# weights by the hidden samples of its validation trials; see docs/lfads.md.
PRESETS["lfads_small"] = {
    **PRESETS["lfads"],
    "dropout_rate": 0.2,
    "coordinated_dropout_rate": 0.2,
    "f_latent_size": 32,
    "gen_n_hidden": [100],
    "n_factors": 24,
    "kl_f_beta": 1e-4,
    "kl_z_beta": 3e-5,
    "batch_size": 128,
    "epochs": 400,
}
# For tens of trials without controller: MC_Maze_Small (80 trials of 80 channels), chosen in the same way.
PRESETS["lfads_small_no_controller"] = {
    **PRESETS["lfads_small"],
    "dropout_rate": 0.3,
    "coordinated_dropout_rate": 0.3,
    "z_latent_size": 0,
    "z2_units": 0,
    "n_factors": 16,
    "kl_f_beta": 1e-5,
    "batch_size": 40,
    "epochs": 600,
}
# Li & Mandt 2018, "factorized" posterior: q(z_t) sees its own bin alone.
PRESETS["dsae_factorized"] = {
    **PRESETS["dsae_full"],
    "z1_rnn_type": "Dense",
    "z2_type": None,
    "z2_units": 0,
    "f_to_z": None,
}
# Hsu et al. 2017 (arXiv:1709.07902), sizes of wnhsu/ScalableFHVAE: one f and one z a window, f around the mean of the
# window's sequence. Signals: output_dist="Gaussian", input_transform=None, with the learned variance of the source. Its
# L2 of 1e-4 on all weights is here on the generator's recurrent ones, and the means that it estimates for every few
# thousand sequences (hierarchical sampling) are those of all, before every epoch. f_prior_n_seqs is to be set to the
# sequences: `train` takes those of the recording.
PRESETS["fhvae"] = {
    "coordinated_dropout_rate": 0.0,
    "dropout_rate": 0.0,
    "input_transform": "log1p",
    "f_rnn_type": "LSTM",
    "f_enc_reduce": "all_last",
    "f_units": [256],
    "f_latent_size": 32,
    "q_f_scale": "log_variance",
    "q_f_init_std": 1.0,
    "f_prior_type": "lookup",
    "f_prior_init_std": 0.5,
    "f_prior_n_seqs": 2,
    "f_prior_refresh": True,
    "z_per_step": False,
    "z1_rnn_type": "LSTM",
    "z1_units": [256],
    "z2_type": None,
    "z2_units": 0,
    "f_to_z": "z1",
    "z_latent_size": 32,
    "q_z_scale": "log_variance",
    "q_z_init_std": 1.0,
    "z_prior_process": "standard",
    "gen_cell_type": "LSTM",
    "gen_n_hidden": [256],
    "f_to_gen": "tile",
    "n_factors": 0,
    "output_scale_link": "log_variance",
    "learning_rate": 1e-3,
    "adam_beta_1": 0.95,
    "batch_size": 256,
}
# Krishnan et al. 2017 (arXiv:1609.09869), the deep Markov model DMM of their table 2 with a structured posterior from a
# backward RNN (ST-R), with the sizes and rates of their code.
PRESETS["dmm"] = {
    "coordinated_dropout_rate": 0.0,
    "dropout_rate": 0.0,
    "input_transform": "log1p",
    "f_latent_size": 0,
    "z1_rnn_type": "BackwardLSTM",
    "z1_units": [600],
    "z1_merge": "concat",
    "z2_type": None,
    "z2_units": 0,
    "q_z_type": "combiner",
    "q_z_scale": "softplus_variance",
    "q_z_init_std": 1.0,
    "z_latent_size": 100,
    "z_prior_process": "gated",
    "z_prior_units": 400,
    "z_prior_scale": "softplus_variance",
    "z_prior_init_std": 1.0,
    "gen_cell_type": "Dense",
    "gen_n_hidden": [200, 200],
    "gen_activation": "relu",
    "f_to_gen": None,
    "n_factors": 0,
    "learning_rate": 8e-4,
    "max_grad_norm": 1.0,
    "batch_size": 20,
    "kl_z_schedule": "linear",
}
# The same with a posterior that reads the trial in both directions (ST-LR there).
PRESETS["dmm_bidirectional"] = {**PRESETS["dmm"], "z1_rnn_type": "BidirectionalLSTM"}
# A linear state-space model: x_t from C z_t + d, z_t from A z_{t-1} + b with noise, and a posterior that multiplies the
# transition with what the rest of the trial says (Krishnan et al. 2017, whose names are kept). Networks in their place:
# z_prior_process="mlp" with z_prior_units, gen_activation="relu" with gen_n_hidden. Signals: output_dist="GaussianUnit"
# with output_std, input_transform=None.
PRESETS["ssm"] = {
    "coordinated_dropout_rate": 0.0,
    "dropout_rate": 0.0,
    "input_transform": "log1p",
    "f_latent_size": 0,
    "z1_rnn_type": "BackwardGRU",
    "z1_units": [64],
    "z1_merge": "concat",
    "z2_type": None,
    "z2_units": 0,
    "q_z_type": "combiner",
    "q_z_init_std": 1.0,
    "use_generative_prior": True,
    "z_latent_size": 8,
    "z_prior_process": "linear",
    "z_prior_init_std": 0.5,
    "gen_cell_type": "Dense",
    "gen_n_hidden": [8],
    "gen_activation": "linear",
    "f_to_gen": None,
    "n_factors": 0,
    "learning_rate": 4e-3,
    "lr_schedule": "cosine",
    "kl_z_schedule": "linear",
}
# The factorial deep Markov model (Narayanan et al. 2019, as re-implemented by yjlolo): a static latent beside the
# transitions, in the combiner and in the per-bin generator.
PRESETS["fdmm"] = {
    **PRESETS["dmm"],
    "f_rnn_type": "BidirectionalLSTM",
    "f_enc_reduce": "mean",
    "f_units": [128],
    "f_latent_size": 32,
    "q_f_init_std": 1.0,
    "f_prior_type": "standard",
    "z1_units": [128],
    "f_to_z": "combiner",
    "z_latent_size": 32,
    "z_prior_units": 200,
    "gen_n_hidden": [100, 100],
    "f_to_gen": "tile",
    "kl_f_schedule": "linear",
}
# Khemakhem et al. 2020 (arXiv:1907.04809): encoder of [x, u], label prior, one MLP a bin; sizes and learning rate of
# the pi-VAE paper's networks. u_dim and u_type are to be set to the labels: `train` takes the classes of the recording.
PRESETS["ivae"] = {
    "dropout_rate": 0.0,
    "coordinated_dropout_rate": 0.0,
    "f_latent_size": 0,
    "z1_rnn_type": "Dense",
    "z1_units": [60, 60],
    "z1_activation": "tanh",
    "z2_type": None,
    "z2_units": 0,
    "z_latent_size": 4,
    "q_z_init_std": 1.0,
    "z_prior_process": "cond",
    "u_dim": 2,
    "u_type": "discrete",
    "q_cond": "concat",
    "gen_cell_type": "Dense",
    "gen_n_hidden": [60, 60],
    "f_to_gen": None,
    "n_factors": 0,
    "learning_rate": 5e-4,
}
# Zhou & Wei 2020 (arXiv:2011.04798) on sequences: the encoder reads the whole trial, the product with the label prior
# and the injective generator act bin by bin. u_dim and u_type as in "ivae"; rate and batches for some hundred trials.
PRESETS["pi_vae_sequence"] = {
    **PRESETS["ivae"],
    "learning_rate": 2e-3,
    "batch_size": 32,
    "z1_rnn_type": "BidirectionalGRUClip",
    "z1_units": [60],
    "z1_merge": "concat",
    "q_cond": "product",
    "gen_cell_type": "GIN",
    "gen_n_hidden": [100],
    "gen_activation": "relu",
}

SEQUENCE = Table("sequence", TABLE, PRESETS, check_combinations, "indl.params.TABLE")
ROWS, ALIASES = SEQUENCE.by_name, SEQUENCE.aliases


def generate_default_params() -> dict[str, Any]:
    """Defaults of the tunable parameters, those a hyper-parameter search may vary."""
    return {row.name: copied(row.default) for row in TABLE if row.tunable}


def generate_default_args() -> SimpleNamespace:
    """Defaults of the parameters that are not tuned, as an object whose ``__dict__`` joins the params."""
    return SimpleNamespace(**{row.name: copied(row.default) for row in TABLE if not row.tunable})


def default_params() -> dict[str, Any]:
    """All defaults of the sequential models in one dict."""
    return SEQUENCE.defaults()
