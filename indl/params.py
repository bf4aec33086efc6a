"""The table of every parameter: default, meaning, allowed values, tunability, aliases; presets and validation.

The tables in the README and in the documentation are generated from :data:`TABLE`.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

RNN_CELLS = ("LSTM", "GRU", "GRUClip", "SimpleRNN")
RNN_TYPES = (*RNN_CELLS, *(f"Bidirectional{cell}" for cell in RNN_CELLS))
SCHEDULES = ("constant", "linear", "ramp", "sigmoid", "cosine", "cyclical", "monotonic")
ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "elu", "gelu", "softplus", "swish")


@dataclass(frozen=True)
class Param:
    """One row of the table.

    Attributes:
        name: the key in the params dict.
        default: value in the `default` preset.
        kind: ``"int"``, ``"float"``, ``"bool"``, ``"choice"``, ``"units"`` (an int, or a list of ints
            with one entry a layer) or ``"vector"`` (a float or a list of floats, one a channel).
        meaning: one line, with the unit.
        group: heading under which the generated tables list the row.
        choices: allowed values of a choice.
        low, high: closed range of a number (of every entry of a list).
        none: whether ``None`` is allowed.
        search: what a tuner may try by default: ``("float", low, high)``, ``("log", low, high)`` or
            ``("choice", values)``. A row with a search space is *tunable*.
        aliases: spellings of earlier versions of the library.
        planned: values of a choice, or ``"key"`` for a whole row, whose feature is not built yet, with
            the feature's plain name. They are refused.
    """

    name: str
    default: Any
    kind: str
    meaning: str
    group: str
    choices: tuple = ()
    low: float = -math.inf
    high: float = math.inf
    none: bool = False
    search: tuple = ()
    aliases: tuple[str, ...] = ()
    planned: Mapping[str, str] | None = None

    @property
    def tunable(self) -> bool:
        return bool(self.search)

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and tables."""
        if self.kind == "choice":
            text = ", ".join(repr(choice) for choice in self.choices)
        elif self.kind == "bool":
            text = "True or False"
        else:
            noun = {
                "int": "an integer",
                "float": "a number",
                "units": "an integer or a list of integers",
                "vector": "a number or a list of numbers",
            }[self.kind]
            bounds = [f">= {self.low:g}"] if self.low > -math.inf else []
            bounds += [f"<= {self.high:g}"] if self.high < math.inf else []
            text = " ".join([noun, " and ".join(bounds)]).strip()
        return f"{text}, or None" if self.none else text


_IN, _F, _Z = "Inputs", "Static latent f", "Dynamic latent z"
_GEN, _OUT, _TRAIN = "Generator", "Observation model", "Training"
_U = "Labels"
_FHVAE = {"key": "the hierarchical sequence-level prior (FHVAE)"}
_BACKWARD = {f"Backward{cell}": "backward encoders (deep Markov models)" for cell in RNN_CELLS}

# fmt: off
TABLE: tuple[Param, ...] = (
    # --- inputs
    Param("dropout_rate", 0.01, "float", "ordinary dropout on inputs, encoder outputs and generator outputs",
          _IN, low=0, high=0.95, search=("float", 0.0, 0.5)),
    Param("coordinated_dropout_rate", 0.1, "float",
          "fraction of input samples hidden from the encoders; only hidden samples train the reconstruction",
          _IN, low=0, high=0.95, search=("float", 0.0, 0.6)),
    Param("coordinated_dropout_pass_rate", 0.0, "float",
          "fraction of the visible samples that train the reconstruction all the same", _IN, low=0, high=1),
    Param("coordinated_dropout_rescale", True, "bool",
          "divide the reconstruction gradient by the trained fraction, so that beta = 1 stays the ELBO's weight "
          "(False: as in LFADS)", _IN),
    Param("sample_validation_rate", 0.0, "float",
          "fraction of input samples that neither encoders nor loss ever see, the same ones in every epoch; their "
          "likelihood is logged as sample_nll", _IN, low=0, high=0.95),
    Param("spike_jitter_width", 0, "int",
          "largest move in bins of every spike of a training batch, anew in every epoch (0: none)", _IN, low=0),
    Param("temporal_shift_std", 0.0, "float",
          "standard deviation in bins of the shift of each channel and trial of a training batch, drawn apart for "
          "input and target (0: none)", _IN, low=0),
    Param("temporal_shift_max", 6, "int", "largest temporal shift in either direction, in bins", _IN, low=1),
    Param("input_factors", 0, "int", "width of the read-in shared by both encoders (0: none)", _IN, low=0),
    Param("n_sessions", 1, "int", "sessions, each with a read-in and a read-out of its own around a shared core", _IN,
          low=1),
    Param("read_in_trainable", True, "bool", "train the read-in", _IN),
    Param("core_trainable", True, "bool", "train what lies between read-in and read-out", _IN),
    Param("input_transform", None, "choice", "transform of the encoders' input", _IN, choices=("log1p",), none=True),
    Param("missing_data", False, "bool",
          "the input may hold NaN: missing samples, and trials that end before the others", _IN),
    Param("f_enc_input_samps", 0, "int",
          "length in bins of an initial segment seen by the f-encoder alone (0: both encoders see all bins)",
          _IN, low=0, aliases=("encs_input_samps",)),
    Param("ext_input_dim", 0, "int", "width of the observed external input of the generator (0: none)", _IN, low=0),
    Param("encoder_init", "fan_in", "choice", "start of the GRUClip encoders: variance 1 / rows of each kernel, or "
          "1 / (features + units) of both, as in LFADS", _IN, choices=("fan_in", "joint")),
    Param("encoder_state_trainable", False, "bool", "train the initial states of the encoders, from zero", _IN),
    # --- static latent
    Param("f_rnn_type", "BidirectionalGRUClip", "choice", "f-encoder layers", _F,
          choices=(*RNN_TYPES, "Dense"), none=True, planned=_BACKWARD,
          search=("choice", ("BidirectionalGRUClip", "BidirectionalLSTM")), aliases=("encs_rnn_type",)),
    Param("f_enc_reduce", "last", "choice",
          "summary of the f-encoder: last state, last states of all layers, mean over time", _F,
          choices=("last", "all_last", "mean")),
    Param("f_rnn_merge", "concat", "choice", "how both directions of the f-encoder join", _F,
          choices=("concat", "sum")),
    Param("f_units", [128], "units", "units of each f-encoder layer", _F, low=1,
          search=("choice", (64, 128)), aliases=("encs_rnn_units",)),
    Param("f_latent_size", 10, "int", "size of f (0: no static latent)", _F, low=0,
          search=("choice", (4, 8, 16, 32)), aliases=("zs_size",)),
    Param("f_latent_off_diag", False, "bool", "full covariance of q(f)", _F, aliases=("qzs_off_diag",)),
    Param("q_f_init_std", 0.1, "float", "standard deviation of q(f) at the start", _F, low=1e-4,
          aliases=("qzs_init_std",)),
    Param("q_f_scale", "softplus", "choice", "from the f-encoder to the standard deviation of q(f) ('log_variance': "
          "as in LFADS)", _F, choices=("softplus", "log_variance")),
    Param("q_f_min_var", 0.0, "float", "variance added to that of q(f), with q_f_scale='log_variance'", _F, low=0),
    Param("q_f_samples", 1, "int", "posterior samples a trial in training", _F, low=1, aliases=("q_samples",)),
    Param("f_prior_type", "mvn", "choice", "prior of f: learnable diagonal Gaussian, N(0, I), or 'cond', a Gaussian "
          "that depends on the trial's label", _F, choices=("mvn", "standard", "cond"),
          planned={"lookup": "the hierarchical sequence-level prior (FHVAE)"}),
    Param("f_prior_init_std", 0.1, "float", "standard deviation of the f prior at the start", _F, low=1e-4,
          aliases=("pzs_init_std",)),
    Param("f_prior_train_mean", True, "bool", "train the mean of the f prior", _F, aliases=("pzs_train_mean",)),
    Param("f_prior_train_var", True, "bool", "train the scale of the f prior", _F, aliases=("pzs_train_var",)),
    Param("f_prior_kappa", 0.0, "float", "> 0: fix the f prior to N(0, kappa I) (a variance)", _F, low=0,
          aliases=("pzs_kappa",)),
    Param("f_prior_hyper_std", None, "float", "scale of the sequence-level prior", _F, none=True, planned=_FHVAE),
    Param("f_disc_alpha", None, "float", "weight of the discriminative term", _F, none=True, planned=_FHVAE),
    Param("f_prior_n_seqs", None, "int", "number of sequences in the table", _F, none=True, planned=_FHVAE),
    # --- dynamic latent
    Param("z_per_step", True, "bool", "one z a time step", _Z,
          planned={False: "one z for a whole window (FHVAE)"}),
    Param("z1_rnn_type", "BidirectionalGRUClip", "choice", "first z-encoder stage", _Z,
          choices=(*RNN_TYPES, "Dense"), none=True, planned=_BACKWARD,
          search=("choice", ("BidirectionalGRUClip", "BidirectionalLSTM", "Dense")), aliases=("encd_rnn_type",)),
    Param("z1_units", [16], "units", "units of each layer of the first stage", _Z, low=1,
          search=("choice", (16, 32, 64)), aliases=("encd_rnn1_units",)),
    Param("z1_activation", "leaky_relu", "choice", "activation of a Dense first stage", _Z, choices=ACTIVATIONS),
    Param("z1_merge", "sum", "choice", "how both directions of the first stage join", _Z, choices=("sum", "concat")),
    Param("z1_lag", 0, "int", "bins around t, in both directions, that the first stage may not see at t", _Z, low=0,
          search=("choice", (0, 1)), aliases=("zd_lag",)),
    Param("z2_type", "SimpleRNN", "choice", "second, forward z-encoder stage", _Z, choices=RNN_CELLS, none=True),
    Param("z2_units", 16, "int", "units of the second stage (0: none)", _Z, low=0,
          search=("choice", (0, 16, 32, 64)), aliases=("encd_rnn2_units",)),
    Param("f_to_z", None, "choice", "stage of the z-encoder that sees the f sample", _Z, choices=("z1", "z2"),
          none=True, planned={"combiner": "the deep Markov combiner"}),
    Param("q_z_type", "meanfield", "choice", "form of q(z)", _Z, choices=("meanfield",),
          planned={"combiner": "the deep Markov combiner"}),
    Param("z_latent_size", 4, "int", "size of z_t (0: no dynamic latent)", _Z, low=0,
          search=("choice", (1, 2, 4, 8)), aliases=("zd_size",)),
    Param("z_latent_off_diag", False, "bool", "full covariance of q(z_t)", _Z, aliases=("qzd_off_diag",)),
    Param("q_z_init_std", 0.1, "float", "standard deviation of q(z_t) at the start", _Z, low=1e-4,
          aliases=("qzd_init_std",)),
    Param("z_prior_process", "AR1", "choice", "prior of z: 'none' is a learnable Gaussian at every step, "
          "'student_t' a learnable Student-t at every step, 'cond' a Gaussian that depends on the label", _Z,
          choices=("AR1", "standard", "none", "student_t", "cond", *RNN_CELLS),
          planned={"gated": "the gated transition (deep Markov models)"},
          search=("choice", ("AR1", "GRU")), aliases=("pzd_process",)),
    Param("z_prior_units", 8, "int", "units of a recurrent z prior", _Z, low=1, aliases=("pzd_units",)),
    Param("z_prior_rollout", "teacher", "choice",
          "run a prior with memory on the posterior's samples or on its own", _Z, choices=("teacher", "free")),
    Param("z_kl_mode", "auto", "choice", "KL of z: 'auto' is closed form where there is one, else conditional; "
          "'fresh' is sampled apart from the sample that drives the generator", _Z,
          choices=("auto", "analytic", "conditional", "sampled", "fresh")),
    Param("z_prior_df", 5.0, "float", "degrees of freedom of the Student-t prior at the start", _Z, low=1.1),
    Param("z_prior_tau", 10.0, "float", "time constant of the AR(1) prior at the start, in bins", _Z, low=1e-3,
          aliases=("pzd_tau",)),
    Param("z_prior_init_std", math.sqrt(0.1), "float",
          "standard deviation of the z prior (AR(1): of its innovations) at the start", _Z, low=1e-4,
          aliases=("pzd_init_std",)),
    Param("z_prior_train_tau", True, "bool", "train the AR(1) time constants", _Z, aliases=("pzd_train_tau",)),
    Param("z_prior_train_mean", True, "bool", "train the mean of the z prior", _Z, aliases=("pzd_train_mean",)),
    Param("z_prior_train_var", True, "bool", "train the scale of the z prior", _Z, aliases=("pzd_train_var",)),
    # --- labels
    Param("u_dim", 0, "int", "classes of a discrete label, which `train` raises to those of the recording, or length "
          "of a continuous one (0: no labels)", _U, low=0),
    Param("u_type", None, "choice", "labels are classes counted from 0, or real vectors", _U,
          choices=("discrete", "continuous"), none=True),
    Param("u_per_step", False, "bool", "one label a bin instead of one a trial", _U),
    Param("u_units", [20, 20], "units", "units of each hidden layer of the network from a continuous label to a 'cond' "
          "prior", _U, low=1),
    Param("q_cond", "none", "choice", "how labels enter the posterior: 'concat' beside the encoders' input (iVAE), "
          "'product' by the 'cond' prior as a factor (pi-VAE), which an unknown label leaves out", _U,
          choices=("none", "concat", "product")),
    # --- generator
    Param("gen_cell_type", "GRUClip", "choice", "generator: an RNN, 'Dense' for the same MLP at every step, 'GIN' "
          "for the same injective flow at every step, or 'Complex', the cell of LFADS with its controller (z2_units) "
          "inside", _GEN, choices=(*RNN_TYPES, "Dense", "GIN", "Complex"), aliases=("dec_rnn_type",)),
    Param("gen_n_hidden", [256], "units", "units of each generator layer; 'GIN': width of the flow", _GEN, low=1,
          search=("choice", (64, 128, 256)), aliases=("dec_rnn_units",)),
    Param("gen_activation", "leaky_relu", "choice", "activation of a Dense generator, and within a flow", _GEN,
          choices=ACTIVATIONS),
    Param("gen_l2_reg", 1e-4, "float", "L2 penalty on the generator's recurrent weights", _GEN, low=0,
          search=("log", 1e-5, 1.0)),
    *(Param(f"l2_{name}_scale", 0.0, "float",
            f"scale of LFADS's L2 penalty, per weight, on the recurrent kernels of the {cell}", _GEN, low=0,
            search=("log", 1e-4, 1.0))
      for name, cell in (("f_enc", "f-encoder"), ("z_enc", "z-encoder"), ("gen", "generator"), ("con", "controller"))),
    Param("gen_init_trainable", False, "bool", "train the initial state of a generator that f does not set", _GEN),
    Param("f_to_gen", "init", "choice", "f sets the initial state, is an input at every step, or both", _GEN,
          choices=("init", "tile", "both"), none=True, aliases=("zs_to_dec",)),
    Param("z_to_gen", "input", "choice", "z is an input of the generator at every step", _GEN, choices=("input",)),
    Param("n_factors", 10, "int", "width of the factors (0: the generator's output feeds the read-out)", _GEN, low=0,
          search=("choice", (8, 16, 24, 40))),
    Param("gru_clip_value", 5.0, "float", "bound of every GRUClip state", _GEN, low=1e-3),
    # --- observation model
    Param("output_dist", "Poisson", "choice",
          "distribution of a bin ('GaussianUnit': scale fixed to 1; 'MSE': squared error, not normalised; 'Gamma': "
          "positive signals; 'ZeroInflatedGamma': calcium events)", _OUT,
          choices=("Poisson", "Gaussian", "GaussianUnit", "MSE", "Gamma", "ZeroInflatedGamma"),
          planned={"Bernoulli": "the Bernoulli observation model"}),
    Param("out_dim", None, "int", "channels of the target, held-in ones first (None: those of the input)", _OUT, low=1,
          none=True),
    Param("forward_steps", 0, "int", "bins of the target beyond the last input bin (forward prediction)", _OUT, low=0),
    Param("output_link", "exp", "choice", "from read-out to rate", _OUT, choices=("exp", "softplus")),
    Param("output_scale_link", "softplus", "choice",
          "from read-out to the standard deviation of 'Gaussian' ('log_variance': as in LFADS)", _OUT,
          choices=("softplus", "log_variance")),
    Param("gamma_loc", 0.1, "float", "smallest amplitude of an event of 'ZeroInflatedGamma', in units of the target",
          _OUT, low=0),
    Param("log_rate_clip", 10.0, "float", "bound of |log rate| in a bin ('Gamma': of log shape and log rate)", _OUT,
          low=1, high=50),
    Param("log_factorial", "exact", "choice",
          "constant of the Poisson likelihood in the training loss: log n!, or Stirling's approximation, to compare "
          "values with LFADS (gradients are the same)", _OUT, choices=("exact", "stirling")),
    Param("init_rate_bias", None, "vector",
          "read-out bias at the start (None: `train` takes the log of the mean "
          "counts a bin, a bare builder 0)", _OUT, none=True),
    # --- training
    Param("learning_rate", 2e-3, "float", "Adam's step size", _TRAIN, low=1e-7, high=1, search=("log", 5e-4, 1e-2)),
    Param("lr_schedule", "constant", "choice",
          "course of the learning rate; 'plateau' lowers it when val_heldin_nll has stopped falling", _TRAIN,
          choices=("constant", "cosine", "plateau")),
    Param("lr_patience", 6, "int", "epochs without a lower val_heldin_nll that a plateau may last", _TRAIN, low=0),
    Param("lr_decay", 0.95, "float", "factor on the learning rate after a plateau", _TRAIN, low=1e-3, high=1),
    Param("lr_stop", 1e-5, "float", "learning rate below which plateaus do not lower it", _TRAIN, low=0, high=1),
    Param("lr_smoothing", 0.7, "float",
          "weight of the new value in the smoothed val_heldin_nll that plateaus are found in (1: not smoothed)", _TRAIN,
          low=1e-3, high=1),
    Param("adam_epsilon", 1e-7, "float", "Adam's epsilon", _TRAIN, low=1e-12, high=1),
    Param("loss_reduction", "sum", "choice", "likelihood in the loss: summed over bins and channels (nats a trial), or "
          "their mean, which kl_*_beta are then relative to (LFADS)", _TRAIN, choices=("sum", "mean")),
    Param("loss_scale", 1.0, "float", "factor on the loss; max_grad_norm clips after it (LFADS: 1e4 with 200)", _TRAIN,
          low=1e-9),
    Param("max_grad_norm", 200.0, "float", "global-norm clipping of the gradient of the scaled loss", _TRAIN, low=1e-6),
    Param("variational", True, "bool", "False: an auto-encoder without sampling, priors and KL", _TRAIN),
    Param("jit_compile", "auto", "choice", "compile the training step with XLA; 'auto': what is faster on this device",
          _TRAIN, choices=("auto", "on", "off")),
    Param("batch_parts", 0, "int", "parts of a batch that a compiled step computes side by side (0: one for each core)",
          _TRAIN, low=0),
    Param("batch_size", 64, "int", "trials a step", _TRAIN, low=1, search=("choice", (32, 64, 128))),
    Param("epochs", 200, "int", "passes over the training trials", _TRAIN, low=1),
    Param("patience", 50, "int", "epochs without improvement before training stops (0: never stop early)", _TRAIN,
          low=0),
    *(row for latent in "fz" for row in (
        Param(f"kl_{latent}_beta", 1.0, "float", f"weight of KL({latent}) once its schedule has ended", _TRAIN, low=0,
              search=("log", 0.03, 3.0)),
        Param(f"kl_{latent}_schedule", "constant", "choice", f"course of the weight of KL({latent})", _TRAIN,
              choices=SCHEDULES, search=("choice", ("constant", "linear", "cosine", "cyclical"))),
        Param(f"kl_{latent}_start", 0, "int", f"first epoch (or step) of the KL({latent}) schedule", _TRAIN, low=0),
        Param(f"kl_{latent}_ramp", 50, "int", f"length of the KL({latent}) schedule in epochs (or steps)", _TRAIN,
              low=1, search=("choice", (20, 50, 100))),
    )),
    Param("l2_schedule", "constant", "choice", "course of the weight of the L2 penalty, from 0 to 1", _TRAIN,
          choices=SCHEDULES),
    Param("l2_start", 0, "int", "first epoch (or step) of the L2 schedule", _TRAIN, low=0),
    Param("l2_ramp", 50, "int", "length of the L2 schedule in epochs (or steps)", _TRAIN, low=1),
    Param("kl_unit", "epoch", "choice", "unit of kl_*_start, kl_*_ramp, l2_start and l2_ramp", _TRAIN,
          choices=("epoch", "step")),
    Param("sample_at_test", False, "bool", "draw posterior samples in validation and prediction too (else means)",
          _TRAIN),
    Param("monitor", "auto", "choice", "metric that selects weights and trials; 'auto': val_hidden_nll with "
          "coordinated dropout, else val_neg_elbo", _TRAIN,
          choices=("auto", "val_hidden_nll", "val_heldin_nll", "val_sample_nll", "val_neg_elbo", "val_nll")),
    Param("seed", 0, "int", "seed of dropout and posterior samples; `train` seeds the weights with it too",
          _TRAIN, low=0, high=2**31 - 1),
)

# fmt: on
ROWS: dict[str, Param] = {row.name: row for row in TABLE}
ALIASES: dict[str, str] = {alias: row.name for row in TABLE for alias in row.aliases}
_VALUE_ALIASES = {"f_to_gen": {"initial conditions": "init", "tile inputs": "tile"}}

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


def generate_default_params() -> dict[str, Any]:
    """Defaults of the tunable parameters, those a hyper-parameter search may vary."""
    return {row.name: _copy(row.default) for row in TABLE if row.tunable}


def generate_default_args() -> SimpleNamespace:
    """Defaults of the parameters that are not tuned, as an object whose ``__dict__`` joins the params."""
    return SimpleNamespace(**{row.name: _copy(row.default) for row in TABLE if not row.tunable})


def default_params() -> dict[str, Any]:
    """All defaults in one dict."""
    return {row.name: _copy(row.default) for row in TABLE}


def preset(name: str, **changes: Any) -> dict[str, Any]:
    """A complete, validated params dict of a published model.

    Args:
        name: a key of :data:`PRESETS`.
        **changes: parameters that differ from the preset.

    Raises:
        ValueError: unknown preset, or a change that does not validate.
    """
    return validate_params(changed_preset(name, PRESETS, ALIASES, changes))


def changed_preset(
    name: str, presets: Mapping[str, dict[str, Any]], aliases: Mapping[str, str], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """What a preset and changes to it give, of any family of models."""
    if name not in presets:
        raise ValueError(
            f"Unknown preset. Given: {_shown(name)}.{_nearest(name, presets)} Choose one of "
            f"{', '.join(sorted(presets))}."
        )
    changed = {aliases.get(key, key) for key in changes}
    return {**{key: value for key, value in presets[name].items() if key not in changed}, **changes}


def validate_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Checks every key and value and returns a complete dict: aliases renamed, defaults filled in.

    The given dict is not changed.

    Raises:
        ValueError: an unknown key, a value of the wrong type or out of range, a feature that is not
            built yet, or a combination that cannot work. The message names the key, the value, what
            is allowed and the nearest valid spelling.
    """
    complete = resolve(params, ROWS, ALIASES, "indl.params.TABLE")
    _check_combinations(complete)
    return complete


def resolve(
    params: Mapping[str, Any], rows: Mapping[str, Param], aliases: Mapping[str, str], where: str
) -> dict[str, Any]:
    """A complete dict of one table's parameters: aliases renamed, every value checked, defaults filled in.

    Args:
        params: some of the parameters.
        rows: the table, by name.
        aliases: other spellings.
        where: where the table is listed, for messages.
    """
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params must be a dict of parameter names. Given: {type(params).__name__}. "
            "Start from a preset, for example indl.params.preset('default')."
        )
    complete = {name: _copy(row.default) for name, row in rows.items()}
    given: dict[str, str] = {}
    for key, value in params.items():
        name = aliases.get(key, key)
        if name not in rows:
            raise ValueError(
                f"Unknown parameter. Given: {_shown(key)} = {_shown(value)}.{_nearest(key, [*rows, *aliases])} "
                f"Every parameter is listed in {where}."
            )
        if name in given:
            raise ValueError(
                f"One parameter was given under two names. Given: {given[name]!r} and {key!r}. Keep {name!r} alone."
            )
        given[name] = key
        complete[name] = _checked(rows[name], key, value)
    return complete


def parse_setting(text: str) -> tuple[str, Any]:
    """Reads one ``key=value`` of a command line into a name and a typed value.

    Raises:
        ValueError: no ``=``, an unknown key, or a value that its kind cannot hold.
    """
    key, sign, raw = text.partition("=")
    if not sign:
        raise ValueError(
            f"A setting must have the form key=value. Given: {_shown(text)}. For example: f_latent_size=16."
        )
    key, raw = key.strip(), raw.strip()
    name = ALIASES.get(key, key)
    if name not in ROWS:
        raise ValueError(
            f"Unknown parameter. Given: {_shown(key)}.{_nearest(key, [*ROWS, *ALIASES])} "
            "`python -m indl params` lists every parameter."
        )
    row = ROWS[name]
    if raw.lower() == "none" and "none" not in row.choices:
        return name, _checked(row, key, None)
    if row.kind == "choice":
        value: Any = raw
    elif row.kind == "bool":
        value = {"true": True, "1": True, "false": False, "0": False}.get(raw.lower(), raw)
    else:
        convert = int if row.kind in ("int", "units") else float
        try:
            parts = [convert(part) for part in raw.strip("[]()").split(",")]
        except ValueError:
            raise _bad_value(row, key, raw) from None
        is_list = len(parts) > 1 or raw[:1] in ("[", "(")
        value = parts if is_list and row.kind in ("units", "vector") else parts[0] if len(parts) == 1 else raw
    return name, _checked(row, key, value)


def markdown_table(group: str | None = None, table: Sequence[Param] = TABLE) -> str:
    """The table, or another one, as Markdown for the README and the documentation; `group` limits it to one heading."""
    lines = ["| parameter | default | allowed | tunable | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in table:
        if group in (None, row.group):
            default = f"{row.default:.4g}" if isinstance(row.default, float) else repr(row.default)
            meaning = row.meaning
            if row.planned and "key" in row.planned:
                meaning += f" (not built yet: {row.planned['key']})"
            if row.aliases:
                meaning += f" (alias {', '.join(f'`{alias}`' for alias in row.aliases)})"
            cells = (f"`{row.name}`", f"`{default}`", row.allowed, "yes" if row.tunable else "", meaning)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def as_list(units: int | Sequence[int]) -> list[int]:
    """Layer sizes as a list: ``16`` and ``[16]`` mean the same."""
    return [units] if isinstance(units, int) else list(units)


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _nearest(key: Any, names: Any) -> str:
    close = difflib.get_close_matches(str(key), list(names), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def _shown(value: Any) -> str:
    """A value in a message: in one line, cut where it is long."""
    text = " ".join(repr(value.tolist() if hasattr(value, "tolist") else value).split())
    return text if len(text) <= 80 else f"{text[:76].rstrip(' ,')} ..."


def _bad_value(row: Param, key: str, value: Any) -> ValueError:
    hint = _nearest(value, [c for c in row.choices if c]) if isinstance(value, str) else ""
    return ValueError(
        f"Parameter {key!r} ({row.meaning}) has a value that is not allowed. Given: {_shown(value)}. "
        f"Allowed: {row.allowed}.{hint}"
    )


def _checked(row: Param, key: str, value: Any) -> Any:
    """The value, normalised (numpy scalars and tuples become plain numbers and lists), or the error."""
    if row.planned and value != row.default:
        feature = row.planned.get("key") or (row.planned.get(value) if isinstance(value, str | bool) else None)
        if feature:
            raise ValueError(
                f"Parameter {key!r} asks for a feature that is not built yet: {feature}. "
                f"Given: {_shown(value)}. Leave it at {row.default!r}."
            )
    if value is None:
        if row.none:
            return None
        raise _bad_value(row, key, value)
    if row.kind == "choice":
        value = _VALUE_ALIASES.get(row.name, {}).get(value, value) if isinstance(value, str) else value
        if not isinstance(value, str) or value not in row.choices:
            raise _bad_value(row, key, value)
        return value
    if row.kind == "bool":
        if type(value).__name__ not in ("bool", "bool_"):
            raise _bad_value(row, key, value)
        return bool(value)
    if row.kind in ("units", "vector") and not isinstance(value, numbers.Real | str):
        values = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(values, list | tuple) or not values:
            raise _bad_value(row, key, value)
        return [_number(row, key, entry, value) for entry in values]
    return _number(row, key, value, value)


def _number(row: Param, key: str, entry: Any, given: Any) -> int | float:
    real = isinstance(entry, numbers.Real) and not isinstance(entry, bool)
    whole = row.kind in ("int", "units")
    if not real or not math.isfinite(entry) or not row.low <= entry <= row.high or (whole and entry != int(entry)):
        raise _bad_value(row, key, given)
    return int(entry) if whole else float(entry)


def _check_combinations(p: dict[str, Any]) -> None:
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
    if has_f and p["f_to_gen"] in ("init", "both") and gen.startswith("Bidirectional"):
        refuse(
            "A bidirectional generator has no initial condition.",
            ("gen_cell_type", "f_to_gen"),
            "Use f_to_gen='tile', or a forward generator.",
        )
    stacked = len(as_list(p["z1_units"])) > 1 and str(p["z1_rnn_type"]).startswith("Bidirectional")
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


def _check_complex(p: dict[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
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


def _check_flow(p: dict[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
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


def _check_labels(p: dict[str, Any], has_f: bool, has_z: bool, refuse: Any) -> None:
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
