"""The table of the sequential models: default, meaning, allowed values, tunability and aliases of every parameter.

The tables in the documentation are generated from :data:`TABLE`.
"""

from __future__ import annotations

import math

from indl.params.cell_spec import BACKWARD, BOTH
from indl.params.objectives import OBJECTIVE_ROWS
from indl.params.param import (
    ACTIVATIONS,
    LARGEST,
    LARGEST_SEED,
    MOST_BINS,
    MOST_CHANNELS,
    MOST_EPOCHS,
    MOST_PARTS,
    MOST_SAMPLES,
    MOST_SESSIONS,
    MOST_TRIALS,
    MOST_UNITS,
    Param,
    family_row,
)

RNN_CELLS = ("LSTM", "GRU", "GRUClip", "SimpleRNN", "ReLURNN")
RNN_TYPES = tuple(f"{prefix}{cell}" for prefix in ("", BOTH, BACKWARD) for cell in RNN_CELLS)
GENERATORS = tuple(kind for kind in RNN_TYPES if not kind.startswith(BACKWARD))
SCALE_LINKS = ("softplus", "log_variance", "softplus_variance")
SCHEDULES = ("constant", "linear", "ramp", "sigmoid", "cosine", "cyclical", "monotonic")


_IN, _F, _Z = "Inputs", "Static latent f", "Dynamic latent z"
_GEN, _OUT, _TRAIN = "Generator", "Observation model", "Training"
_U = "Labels"

# fmt: off
TABLE: tuple[Param, ...] = (
    family_row("sequence"),
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
          "largest move in bins of every spike of a training batch, anew in every epoch (0: none)", _IN,
          low=0, high=MOST_BINS),
    Param("temporal_shift_std", 0.0, "float",
          "standard deviation in bins of the shift of each channel and trial of a training batch, drawn apart for "
          "input and target (0: none)", _IN, low=0, high=MOST_BINS),
    Param("temporal_shift_max", 6, "int", "largest temporal shift in either direction, in bins", _IN,
          low=1, high=MOST_BINS),
    Param("input_factors", 0, "int", "width of the read-in shared by both encoders (0: none)", _IN,
          low=0, high=MOST_UNITS),
    Param("read_in_activation", "linear", "choice", "activation of the read-in", _IN, choices=ACTIVATIONS),
    Param("frame_shape", None, "units", "height, width and colours where a bin is a frame and channels are its pixels: "
          "convolutions are then the read-in, and precede the read-out", _IN, low=1, high=MOST_UNITS, none=True),
    Param("frame_filters", [32, 64], "units", "maps of each convolution, every one of which halves height and width",
          _IN, low=1, high=MOST_UNITS),
    Param("frame_features", 128, "int", "width of what the convolutions give to the encoders", _IN,
          low=1, high=MOST_UNITS),
    Param("n_sessions", 1, "int", "sessions, each with a read-in and a read-out of its own around a shared core", _IN,
          low=1, high=MOST_SESSIONS),
    Param("read_in_trainable", True, "bool", "train the read-in", _IN),
    Param("core_trainable", True, "bool", "train what lies between read-in and read-out", _IN),
    Param("input_transform", None, "choice", "transform of the encoders' input", _IN, choices=("log1p",), none=True),
    Param("missing_data", False, "bool",
          "the input may hold NaN: missing samples, and trials that end before the others", _IN),
    Param("f_enc_input_samps", 0, "int",
          "length in bins of an initial segment seen by the f-encoder alone (0: both encoders see all bins)",
          _IN, low=0, high=MOST_BINS, aliases=("encs_input_samps",)),
    Param("ext_input_dim", 0, "int", "width of the observed external input of the generator (0: none)", _IN,
          low=0, high=MOST_CHANNELS),
    Param("encoder_init", "fan_in", "choice", "start of the GRUClip encoders: variance 1 / rows of each kernel, or "
          "1 / (features + units) of both, as in LFADS", _IN, choices=("fan_in", "joint")),
    Param("encoder_state_trainable", False, "bool", "train the initial states of the encoders, from zero", _IN),
    # --- static latent
    Param("f_rnn_type", "BidirectionalGRUClip", "choice", "f-encoder layers", _F,
          choices=(*RNN_TYPES, "Dense"), none=True,
          search=("choice", ("BidirectionalGRUClip", "BidirectionalLSTM")), aliases=("encs_rnn_type",)),
    Param("f_enc_reduce", "last", "choice",
          "summary of the f-encoder: last state, last states of all layers, mean over time", _F,
          choices=("last", "all_last", "mean")),
    Param("f_rnn_merge", "concat", "choice", "how both directions of the f-encoder join", _F,
          choices=("concat", "sum")),
    Param("f_units", [128], "units", "units of each f-encoder layer", _F, low=1, high=MOST_UNITS,
          search=("choice", (64, 128)), aliases=("encs_rnn_units",)),
    Param("f_latent_size", 10, "int", "size of f (0: no static latent)", _F, low=0, high=MOST_UNITS,
          search=("choice", (4, 8, 16, 32)), aliases=("zs_size",)),
    Param("f_latent_off_diag", False, "bool", "full covariance of q(f)", _F, aliases=("qzs_off_diag",)),
    Param("q_f_init_std", 0.1, "float", "standard deviation of q(f) at the start", _F, low=1e-4, high=LARGEST,
          aliases=("qzs_init_std",)),
    Param("q_f_scale", "softplus", "choice", "from the f-encoder to the standard deviation of q(f) ('log_variance': "
          "as in LFADS)", _F, choices=SCALE_LINKS),
    Param("q_f_min_var", 0.0, "float", "variance added to that of q(f), with q_f_scale='log_variance'", _F,
          low=0, high=LARGEST),
    Param("q_f_samples", 1, "int", "posterior samples a trial in training", _F,
          low=1, high=MOST_SAMPLES, aliases=("q_samples",)),
    Param("f_prior_type", "mvn", "choice", "prior of f: learnable diagonal Gaussian, N(0, I), 'cond', a Gaussian "
          "that depends on the trial's label, or 'lookup', one around the trained mean of the trial's sequence (FHVAE)",
          _F, choices=("mvn", "standard", "cond", "lookup")),
    Param("f_prior_init_std", 0.1, "float", "standard deviation of the f prior at the start", _F,
          low=1e-4, high=LARGEST,
          aliases=("pzs_init_std",)),
    Param("f_prior_train_mean", True, "bool", "train the mean of the f prior", _F, aliases=("pzs_train_mean",)),
    Param("f_prior_train_var", True, "bool", "train the scale of the f prior", _F, aliases=("pzs_train_var",)),
    Param("f_prior_kappa", 0.0, "float", "> 0: fix the f prior to N(0, kappa I) (a variance)", _F, low=0, high=LARGEST,
          aliases=("pzs_kappa",)),
    Param("f_prior_sequence", "auto", "choice", "what trials of one sequence share, with f_prior_type='lookup': the "
          "trial that windows were cut from, the session, or the label; 'auto': the first of these that there is", _F,
          choices=("auto", "trial", "session", "label")),
    Param("f_prior_sequences", None, "names", "sequences in the order of their rows, which `train` takes from the "
          "recording; with 'trial' the index of the first window of each", _F, none=True),
    Param("f_prior_n_seqs", 0, "int", "rows of the table of sequence means, which `train` raises to the sequences of "
          "the recording; more leave room for new ones", _F, low=0, high=MOST_TRIALS),
    Param("f_prior_hyper_std", 1.0, "float", "standard deviation of the prior of a sequence's mean", _F,
          low=1e-4, high=LARGEST),
    Param("f_prior_refresh", False, "bool", "set the means of the training's sequences to the likeliest ones before "
          "every epoch, and train them between, with f_prior_type='lookup'", _F),
    Param("f_disc_alpha", 10.0, "float", "weight of log p(sequence | mean of q(f)), with f_prior_type='lookup'", _F,
          low=0, high=LARGEST),
    # --- dynamic latent
    Param("z_per_step", True, "bool", "one z a bin; False: one a trial, or window, which drives every bin", _Z),
    Param("z1_rnn_type", "BidirectionalGRUClip", "choice", "first z-encoder stage", _Z,
          choices=(*RNN_TYPES, "Dense"), none=True,
          search=("choice", ("BidirectionalGRUClip", "BidirectionalLSTM", "Dense")), aliases=("encd_rnn_type",)),
    Param("z1_units", [16], "units", "units of each layer of the first stage", _Z, low=1, high=MOST_UNITS,
          search=("choice", (16, 32, 64)), aliases=("encd_rnn1_units",)),
    Param("z1_activation", "leaky_relu", "choice", "activation of a Dense first stage", _Z, choices=ACTIVATIONS),
    Param("z1_merge", "sum", "choice", "how both directions of the first stage join", _Z, choices=("sum", "concat")),
    Param("z1_lag", 0, "int", "bins around t, in both directions, that the first stage may not see at t", _Z,
          low=0, high=MOST_BINS,
          search=("choice", (0, 1)), aliases=("zd_lag",)),
    Param("z2_type", "SimpleRNN", "choice", "second, forward z-encoder stage", _Z, choices=RNN_CELLS, none=True),
    Param("z2_units", 16, "int", "units of the second stage, with 'Complex' of the controller (0: none)", _Z,
          low=0, high=MOST_UNITS,
          search=("choice", (0, 16, 32, 64)), aliases=("encd_rnn2_units",)),
    Param("f_to_z", None, "choice", "stage of the z-encoder that sees the f sample", _Z,
          choices=("z1", "z2", "combiner"), none=True),
    Param("z_latent_size", 4, "int", "size of z_t (0: no dynamic latent)", _Z, low=0, high=MOST_UNITS,
          search=("choice", (1, 2, 4, 8)), aliases=("zd_size",)),
    Param("q_z_type", "meanfield", "choice", "q(z_t) of each bin given the z-encoder; 'directions': product of one for "
          "each of its directions; 'combiner': given the sample of the bin before too, as in deep Markov models", _Z,
          choices=("meanfield", "directions", "combiner")),
    Param("use_generative_prior", False, "bool", "q(z_t) of a combiner is the step of a prior with a transition times "
          "what the data say", _Z),
    Param("z_latent_off_diag", False, "bool", "full covariance of q(z_t)", _Z, aliases=("qzd_off_diag",)),
    Param("q_z_init_std", 0.1, "float", "standard deviation of q(z_t) at the start", _Z, low=1e-4, high=LARGEST,
          aliases=("qzd_init_std",)),
    Param("q_z_units", None, "units", "hidden layers, with z1_activation, of a network for the mean of q(z) and of "
          "another for its scale (None: affine maps)", _Z, low=1, high=MOST_UNITS, none=True),
    Param("q_z_scale", "softplus", "choice", "from the z-encoder to the standard deviation of q(z) (the complex cell "
          "has log variances)", _Z, choices=SCALE_LINKS),
    Param("scale_floor", 1e-5, "float", "added to the standard deviations that a softplus makes, of posteriors and "
          "priors", _Z, low=0, high=1),
    Param("z_prior_process", "AR1", "choice", "prior of z: 'none' is a learnable Gaussian at every step, "
          "'student_t' a learnable Student-t at every step, 'gated' the gated transition of deep Markov models, "
          "'linear' that of a linear state-space model, 'mlp' the same with a network beside, 'cond' a Gaussian that "
          "depends on the label", _Z,
          choices=("AR1", "standard", "none", "student_t", "gated", "linear", "mlp", "cond", *RNN_CELLS),
          search=("choice", ("AR1", "GRU")), aliases=("pzd_process",)),
    Param("z_prior_units", 8, "int", "units of a recurrent, gated or 'mlp' z prior", _Z,
          low=1, high=MOST_UNITS, aliases=("pzd_units",)),
    Param("z_prior_scale", "softplus", "choice", "from a z prior, recurrent or with a transition, to its standard "
          "deviation", _Z, choices=SCALE_LINKS),
    Param("z_prior_rollout", "teacher", "choice",
          "run a prior with memory on the posterior's samples or on its own", _Z, choices=("teacher", "free")),
    Param("z_kl_mode", "auto", "choice", "KL of z: 'auto' is closed form where there is one, else conditional, else "
          "sampled; 'fresh' is sampled apart from the sample that drives the generator", _Z,
          choices=("auto", "analytic", "conditional", "sampled", "fresh")),
    Param("z_prior_df", 5.0, "float", "degrees of freedom of the Student-t prior at the start", _Z,
          low=1.1, high=LARGEST),
    Param("z_prior_tau", 10.0, "float", "time constant of the AR(1) prior at the start, in bins", _Z,
          low=1e-3, high=LARGEST,
          aliases=("pzd_tau",)),
    Param("z_prior_init_std", math.sqrt(0.1), "float",
          "standard deviation of the z prior (AR(1): of its innovations) at the start", _Z, low=1e-4, high=LARGEST,
          aliases=("pzd_init_std",)),
    Param("z_prior_train_tau", True, "bool", "train the AR(1) time constants", _Z, aliases=("pzd_train_tau",)),
    Param("z_prior_train_mean", True, "bool", "train the mean of the z prior", _Z, aliases=("pzd_train_mean",)),
    Param("z_prior_train_var", True, "bool", "train the scale of the z prior", _Z, aliases=("pzd_train_var",)),
    # --- labels
    Param("u_dim", 0, "int", "classes of a discrete label, which `train` raises to those of the recording, or length "
          "of a continuous one (0: no labels)", _U, low=0, high=MOST_CHANNELS),
    Param("u_type", None, "choice", "labels are classes counted from 0, or real vectors", _U,
          choices=("discrete", "continuous"), none=True),
    Param("u_per_step", False, "bool", "one label a bin instead of one a trial", _U),
    Param("u_units", [20, 20], "units", "units of each hidden layer of the network from a continuous label to a 'cond' "
          "prior", _U, low=1, high=MOST_UNITS),
    Param("u_activation", "tanh", "choice", "activation of that network", _U, choices=ACTIVATIONS),
    Param("q_cond", "none", "choice", "how labels enter the posterior: 'concat' beside the encoders' input (iVAE), "
          "'product' by the 'cond' prior as a factor (pi-VAE), which an unknown label leaves out", _U,
          choices=("none", "concat", "product")),
    Param("alpha", 0.0, "float",
          "share of the encoder's own KL to a 'cond' prior in that of a product posterior; the rest is "
          "KL(q(z|x,u) || p(z|u)), which alone gives the bound", _U, low=0, high=1),
    # --- generator
    Param("gen_cell_type", "GRUClip", "choice", "generator: an RNN, 'Dense' for the same MLP at every step, 'GIN' "
          "for the same injective flow at every step, or 'Complex', the cell of LFADS with its controller (z2_units) "
          "inside", _GEN, choices=(*GENERATORS, "Dense", "GIN", "Complex"), aliases=("dec_rnn_type",)),
    Param("gen_n_hidden", [256], "units", "units of each generator layer; 'GIN': width of the flow", _GEN,
          low=1, high=MOST_UNITS,
          search=("choice", (64, 128, 256)), aliases=("dec_rnn_units",)),
    Param("gen_activation", "leaky_relu", "choice", "activation of a Dense generator, and within a flow", _GEN,
          choices=ACTIVATIONS),
    Param("gen_l2_reg", 1e-4, "float",
          "L2 penalty on the generator's recurrent weights, in nats for squares that sum to 1; a positive l2_gen_scale "
          "takes its place", _GEN, low=0, high=LARGEST, search=("log", 1e-5, 1.0)),
    *(Param(f"l2_{name}_scale", 0.0, "float",
            f"scale of LFADS's L2 penalty, per weight, on the recurrent kernels of the {cell}", _GEN,
            low=0, high=LARGEST,
            search=("log", 1e-4, 1.0))
      for name, cell in (("f_enc", "f-encoder"), ("z_enc", "z-encoder"), ("gen", "generator"), ("con", "controller"))),
    Param("gen_init_trainable", False, "bool", "train the initial state of a generator that f does not set", _GEN),
    Param("f_to_gen", "init", "choice", "f sets the initial state, is an input at every step, or both", _GEN,
          value_aliases={"initial conditions": "init", "tile inputs": "tile"},
          choices=("init", "tile", "both"), none=True, aliases=("zs_to_dec",)),
    Param("n_factors", 10, "int", "width of the factors (0: the generator's output feeds the read-out)", _GEN,
          low=0, high=MOST_UNITS,
          search=("choice", (8, 16, 24, 40))),
    Param("gru_clip_value", 5.0, "float", "bound of every GRUClip state", _GEN, low=1e-3, high=LARGEST),
    # --- observation model
    Param("output_dist", "Poisson", "choice",
          "distribution of a bin ('Bernoulli': spike or none; 'GaussianUnit': scale fixed to output_std; 'MSE': "
          "squared error, not normalised; 'Gamma': positive signals; 'ZeroInflatedGamma': calcium events)", _OUT,
          choices=("Poisson", "Bernoulli", "Gaussian", "GaussianUnit", "MSE", "Gamma", "ZeroInflatedGamma")),
    Param("out_dim", None, "int", "channels of the target, held-in ones first (None: those of the input)", _OUT,
          low=1, high=MOST_CHANNELS,
          none=True),
    Param("forward_steps", 0, "int", "bins of the target beyond the last input bin (forward prediction)", _OUT,
          low=0, high=MOST_BINS),
    Param("output_link", "exp", "choice", "from read-out to rate", _OUT, choices=("exp", "softplus")),
    Param("output_scale_link", "softplus", "choice",
          "from read-out to the standard deviation of 'Gaussian' ('log_variance': as in LFADS)", _OUT,
          choices=("softplus", "log_variance")),
    Param("output_std", 1.0, "float", "standard deviation of 'GaussianUnit'", _OUT, low=1e-6, high=LARGEST),
    Param("gamma_loc", 0.1, "float", "smallest amplitude of an event of 'ZeroInflatedGamma', in units of the target",
          _OUT, low=0, high=LARGEST),
    Param("log_rate_clip", 10.0, "float", "bound of |log rate| in a bin ('Gamma': of log shape and log rate)", _OUT,
          low=1, high=50),
    Param("log_factorial", "exact", "choice",
          "constant of the Poisson likelihood in the training loss: log n!, or Stirling's approximation, to compare "
          "values with LFADS (gradients are the same)", _OUT, choices=("exact", "stirling")),
    Param("init_rate_bias", None, "vector",
          "read-out bias at the start (None: `train` takes the log of the mean "
          "counts a bin, a bare builder 0)", _OUT, none=True),
    *OBJECTIVE_ROWS,
    # --- training
    Param("learning_rate", 2e-3, "float", "Adam's step size", _TRAIN, low=1e-7, high=1, search=("log", 5e-4, 1e-2)),
    Param("lr_schedule", "constant", "choice",
          "course of the learning rate; 'plateau' lowers it when val_heldin_nll has stopped falling", _TRAIN,
          choices=("constant", "cosine", "plateau")),
    Param("lr_patience", 6, "int", "epochs without a lower val_heldin_nll that a plateau may last", _TRAIN,
          low=0, high=MOST_EPOCHS),
    Param("lr_decay", 0.95, "float", "factor on the learning rate after a plateau", _TRAIN, low=1e-3, high=1),
    Param("lr_stop", 1e-5, "float", "learning rate below which plateaus do not lower it", _TRAIN, low=0, high=1),
    Param("lr_smoothing", 0.7, "float",
          "weight of the new value in the smoothed val_heldin_nll that plateaus are found in (1: not smoothed)", _TRAIN,
          low=1e-3, high=1),
    Param("adam_beta_1", 0.9, "float", "Adam's decay of the mean of gradients", _TRAIN, low=0, high=0.9999),
    Param("adam_epsilon", 1e-7, "float", "Adam's epsilon", _TRAIN, low=1e-12, high=1),
    Param("loss_reduction", "sum", "choice", "likelihood in the loss: summed over bins and channels (nats a trial), or "
          "their mean, which kl_*_beta are then relative to (LFADS)", _TRAIN, choices=("sum", "mean")),
    Param("loss_scale", 1.0, "float", "factor on the loss; max_grad_norm clips after it (LFADS: 1e4 with 200)", _TRAIN,
          low=1e-9, high=LARGEST),
    Param("max_grad_norm", 200.0, "float", "global-norm clipping of the gradient of the scaled loss", _TRAIN,
          low=1e-6, high=LARGEST),
    Param("variational", True, "bool", "False: an auto-encoder without sampling, priors and KL", _TRAIN),
    Param("jit_compile", "auto", "choice", "compile the training step with XLA; 'auto': what is faster on this device",
          _TRAIN, choices=("auto", "on", "off")),
    Param("batch_parts", 0, "int", "parts of a batch that a compiled step computes side by side (0: one for each core)",
          _TRAIN, low=0, high=MOST_PARTS),
    Param("batch_size", 64, "int", "trials a step", _TRAIN, low=1, high=MOST_TRIALS, search=("choice", (32, 64, 128))),
    Param("epochs", 200, "int", "passes over the training trials", _TRAIN, low=1, high=MOST_EPOCHS),
    Param("patience", 50, "int", "epochs without improvement before training stops (0: never stop early)", _TRAIN,
          low=0, high=MOST_EPOCHS),
    *(row for latent in "fz" for row in (
        Param(f"kl_{latent}_beta", 1.0, "float", f"weight of KL({latent}) once its schedule has ended", _TRAIN,
              low=0, high=LARGEST,
              search=("log", 0.03, 3.0)),
        Param(f"kl_{latent}_schedule", "constant", "choice", f"course of the weight of KL({latent})", _TRAIN,
              choices=SCHEDULES, search=("choice", ("constant", "linear", "cosine", "cyclical"))),
        Param(f"kl_{latent}_start", 0, "int", f"first epoch (or step) of the KL({latent}) schedule", _TRAIN,
              low=0, high=MOST_EPOCHS),
        Param(f"kl_{latent}_ramp", 50, "int", f"length of the KL({latent}) schedule in epochs (or steps)", _TRAIN,
              low=1, high=MOST_EPOCHS, search=("choice", (20, 50, 100))),
    )),
    Param("l2_schedule", "constant", "choice", "course of the weight of the L2 penalty, from 0 to 1", _TRAIN,
          choices=SCHEDULES),
    Param("l2_start", 0, "int", "first epoch (or step) of the L2 schedule", _TRAIN, low=0, high=MOST_EPOCHS),
    Param("l2_ramp", 50, "int", "length of the L2 schedule in epochs (or steps)", _TRAIN, low=1, high=MOST_EPOCHS),
    Param("kl_unit", "epoch", "choice", "unit of kl_*_start, kl_*_ramp, l2_start and l2_ramp", _TRAIN,
          choices=("epoch", "step")),
    Param("sample_at_test", False, "bool", "draw posterior samples in validation and prediction too (else means)",
          _TRAIN),
    Param("monitor", "auto", "choice", "metric that selects weights and trials; 'auto': val_hidden_nll with "
          "coordinated dropout, else val_neg_elbo", _TRAIN,
          choices=("auto", "val_hidden_nll", "val_heldin_nll", "val_sample_nll", "val_neg_elbo", "val_nll")),
    Param("seed", 0, "int", "seed of dropout and posterior samples; `train` seeds the weights with it too",
          _TRAIN, low=0, high=LARGEST_SEED),
)
# fmt: on
