"""The parameter table and its validation."""

import re

import numpy as np
import pytest

from indl.params import (
    ALIASES,
    PRESETS,
    ROWS,
    TABLE,
    default_params,
    generate_default_args,
    generate_default_params,
    markdown_table,
    parse_setting,
    preset,
    validate_params,
)
from indl.params import presets as module
from indl.params.param import checked


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_row_holds_together(row):
    assert validate_params({row.name: row.default})[row.name] == row.default
    assert row.kind in ("int", "float", "bool", "choice", "units", "vector", "names")
    assert row.meaning and not row.meaning.endswith(".") and row.group and row.allowed
    assert (row.kind == "choice") == bool(row.choices)
    assert row.low <= row.high
    assert row.default is not None or row.none
    if row.search:
        how, *rest = row.search
        values = rest[0] if how == "choice" else rest
        assert how in ("float", "log", "choice") and len(values) > 1
        for value in values:
            # The search of one key may need another key changed; alone, its values must be in range.
            checked(row, row.name, value)
        assert how != "log" or rest[0] > 0


@pytest.mark.parametrize("row", [r for r in TABLE if r.kind in ("int", "float", "units")], ids=lambda r: r.name)
def test_every_bound_holds(row):
    step = 1 if row.kind in ("int", "units") else 1e-3
    for bound, outside in ((row.low, row.low - step), (row.high, row.high + step)):
        if np.isfinite(bound):
            assert checked(row, row.name, bound) == bound
            with pytest.raises(ValueError, match=re.escape(repr(row.name))):
                validate_params({row.name: outside})


def test_names_and_aliases_are_unique():
    names = [row.name for row in TABLE]
    aliases = [alias for row in TABLE for alias in row.aliases]
    assert len({*names, *aliases}) == len(names) + len(aliases)


def test_tunable_and_fixed_parameters_make_the_whole():
    tunable, fixed = generate_default_params(), generate_default_args().__dict__
    assert not tunable.keys() & fixed.keys()
    assert {**tunable, **fixed} == default_params() == preset("default")
    assert list(default_params()) == list(ROWS)


def test_defaults_are_copies():
    default_params()["f_units"].append(1)
    generate_default_params()["f_units"].append(1)
    preset("default")["f_units"].append(1)
    assert ROWS["f_units"].default == [128] and default_params()["f_units"] == [128]


@pytest.mark.parametrize("alias, name", sorted(ALIASES.items()))
def test_aliases_are_renamed(alias, name):
    value = ROWS[name].default
    complete = validate_params({alias: value})
    assert complete[name] == value and alias not in complete


# The names of the second revision of the first library, as the specification lists them.
@pytest.mark.parametrize(
    "alias, name",
    [
        ("encs_rnn_type", "f_rnn_type"),
        ("encs_rnn_units", "f_units"),
        ("zs_size", "f_latent_size"),
        ("qzs_init_std", "q_f_init_std"),
        ("qzs_off_diag", "f_latent_off_diag"),
        ("pzs_init_std", "f_prior_init_std"),
        ("pzs_train_mean", "f_prior_train_mean"),
        ("pzs_train_var", "f_prior_train_var"),
        ("pzs_kappa", "f_prior_kappa"),
        ("encs_input_samps", "f_enc_input_samps"),
        ("encd_rnn_type", "z1_rnn_type"),
        ("encd_rnn1_units", "z1_units"),
        ("encd_rnn2_units", "z2_units"),
        ("zd_lag", "z1_lag"),
        ("zd_size", "z_latent_size"),
        ("qzd_init_std", "q_z_init_std"),
        ("qzd_off_diag", "z_latent_off_diag"),
        ("pzd_process", "z_prior_process"),
        ("pzd_units", "z_prior_units"),
        ("pzd_tau", "z_prior_tau"),
        ("pzd_init_std", "z_prior_init_std"),
        ("pzd_train_tau", "z_prior_train_tau"),
        ("pzd_train_mean", "z_prior_train_mean"),
        ("pzd_train_var", "z_prior_train_var"),
        ("dec_rnn_type", "gen_cell_type"),
        ("dec_rnn_units", "gen_n_hidden"),
        ("zs_to_dec", "f_to_gen"),
        ("q_samples", "q_f_samples"),
    ],
)
def test_old_names_are_known(alias, name):
    assert ALIASES[alias] == name


def test_old_values_are_known():
    assert validate_params({"zs_to_dec": "initial conditions"})["f_to_gen"] == "init"
    assert validate_params({"f_to_gen": "tile inputs"})["f_to_gen"] == "tile"


@pytest.mark.parametrize(
    "key, given, stored",
    [
        ("f_latent_size", 8.0, 8),
        ("f_latent_size", np.int32(8), 8),
        ("f_units", np.array([4, 5]), [4, 5]),
        ("f_units", (4, 5), [4, 5]),
        ("f_units", 4, 4),
        ("dropout_rate", np.float32(0.5), 0.5),
        ("dropout_rate", 0, 0.0),
        ("f_latent_off_diag", np.True_, True),
        ("init_rate_bias", np.array([0.5, -1.0]), [0.5, -1.0]),
        ("init_rate_bias", -1, -1.0),
        ("init_rate_bias", None, None),
        ("out_dim", None, None),
        ("input_transform", None, None),
    ],
)
def test_values_become_plain(key, given, stored):
    value = validate_params({key: given})[key]
    assert value == stored and type(value) is type(stored)
    if isinstance(value, list):
        assert {type(entry) for entry in value} == {type(stored[0])}


def test_the_given_dict_is_not_changed():
    given = {"zs_size": 3, "f_units": (4,)}
    validate_params(given)
    assert given == {"zs_size": 3, "f_units": (4,)}


DMM = preset("dmm")
CLASSES = {"u_dim": 3, "u_type": "discrete"}
COMPLEX = {"gen_cell_type": "Complex", "z2_type": "GRUClip"}
FLOW = {"gen_cell_type": "GIN", "f_to_gen": "tile", "n_factors": 0}
ONE_Z = {"z_per_step": False, "z_prior_process": "standard", "z2_type": None, "z2_units": 0}
LOOKUP = {"f_prior_type": "lookup"}

# Params, and what the message must say: the key, the value, and what to do.
REFUSED = [
    # unknown keys
    ({"f_latent_sise": 3}, ["'f_latent_sise'", "3", "Did you mean 'f_latent_size'?"]),
    ({"z1_unit": 3}, ["'z1_unit'", "Did you mean 'z1_units'?"]),
    ({"kl_f_betas": 3}, ["'kl_f_betas'", "Did you mean 'kl_f_beta'?"]),
    ({"encs_rnn_unit": 3}, ["'encs_rnn_unit'", "Did you mean 'encs_rnn_units'?"]),
    ({"qqqq": 3}, ["'qqqq'", "indl.params.TABLE"]),
    ({7: 3}, ["7", "indl.params.TABLE"]),
    ({"f_latent_size": 3, "zs_size": 4}, ["'f_latent_size'", "'zs_size'", "Keep 'f_latent_size' alone"]),
    # mistyped values
    ({"f_latent_size": "8"}, ["'f_latent_size'", "'8'", "an integer >= 0"]),
    ({"f_latent_size": 2.5}, ["'f_latent_size'", "2.5", "an integer"]),
    ({"f_latent_size": True}, ["'f_latent_size'", "True", "an integer"]),
    ({"f_latent_size": None}, ["'f_latent_size'", "None", "an integer"]),
    ({"f_latent_size": [8]}, ["'f_latent_size'", "[8]", "an integer"]),
    ({"zs_size": "8"}, ["'zs_size'", "'8'", "an integer"]),
    ({"dropout_rate": "a lot"}, ["'dropout_rate'", "'a lot'", "a number >= 0 and <= 0.95"]),
    ({"dropout_rate": float("nan")}, ["'dropout_rate'", "nan", "a number"]),
    ({"learning_rate": float("inf")}, ["'learning_rate'", "inf", "a number"]),
    ({"learning_rate": 1j}, ["'learning_rate'", "1j", "a number"]),
    ({"f_latent_off_diag": 1}, ["'f_latent_off_diag'", "1", "True or False"]),
    ({"f_latent_off_diag": "True"}, ["'f_latent_off_diag'", "'True'", "True or False"]),
    ({"f_units": []}, ["'f_units'", "[]", "a list of integers"]),
    ({"f_units": [16, 2.5]}, ["'f_units'", "[16, 2.5]", "integers"]),
    ({"f_units": [16, None]}, ["'f_units'", "[16, None]", "integers"]),
    ({"f_units": "16"}, ["'f_units'", "'16'", "integers"]),
    ({"f_units": {"a": 1}}, ["'f_units'", "{'a': 1}", "integers"]),
    ({"f_units": None}, ["'f_units'", "None", "integers"]),
    ({"f_units": [[16]]}, ["'f_units'", "[[16]]", "integers"]),
    ({"init_rate_bias": "log"}, ["'init_rate_bias'", "'log'", "a list of numbers"]),
    ({"init_rate_bias": [0.1, float("nan")]}, ["'init_rate_bias'", "nan", "a list of numbers"]),
    ({"f_rnn_type": 5}, ["'f_rnn_type'", "5", "'GRUClip'"]),
    ({"f_rnn_type": ["LSTM"]}, ["'f_rnn_type'", "['LSTM']", "'LSTM'"]),
    # misspelt choices
    ({"f_rnn_type": "BidirectionalGRUclip"}, ["BidirectionalGRUclip", "Did you mean 'BidirectionalGRUClip'?"]),
    ({"gen_cell_type": "lstm"}, ["'gen_cell_type'", "'lstm'", "'LSTM'"]),
    ({"output_dist": "poisson"}, ["'output_dist'", "'poisson'", "Did you mean 'Poisson'?"]),
    ({"z_prior_process": "AR"}, ["'z_prior_process'", "'AR'", "'AR1'"]),
    ({"f_to_gen": "initial"}, ["'f_to_gen'", "'initial'", "'init', 'tile', 'both', or None"]),
    ({"kl_z_schedule": "Linear"}, ["'kl_z_schedule'", "'Linear'", "Did you mean 'linear'?"]),
    ({"z_prior_rollout": "teachers"}, ["'z_prior_rollout'", "Did you mean 'teacher'?"]),
    ({"output_dist": None}, ["'output_dist'", "None", "'Poisson'"]),
    # out of range
    ({"f_latent_size": -1}, ["'f_latent_size'", "-1", ">= 0"]),
    ({"coordinated_dropout_rate": 1.0}, ["'coordinated_dropout_rate'", "1.0", "<= 0.95"]),
    ({"coordinated_dropout_pass_rate": 1.5}, ["'coordinated_dropout_pass_rate'", "1.5", "<= 1"]),
    ({"f_units": [16, 0]}, ["'f_units'", "[16, 0]", ">= 1"]),
    ({"q_f_samples": 0}, ["'q_f_samples'", "0", ">= 1"]),
    ({"z_prior_tau": 0}, ["'z_prior_tau'", "0", ">= 0.001"]),
    ({"z_prior_tau": -3.0}, ["'z_prior_tau'", "-3.0", ">= 0.001"]),
    ({"q_f_init_std": 0.0}, ["'q_f_init_std'", "0.0", ">= 0.0001"]),
    ({"kl_f_beta": -1}, ["'kl_f_beta'", "-1", ">= 0"]),
    ({"seed": -1}, ["'seed'", "-1", ">= 0"]),
    ({"seed": 2**31}, ["'seed'", "2147483648"]),
    ({"out_dim": 0}, ["'out_dim'", "0", ">= 1"]),
    ({"log_rate_clip": 80}, ["'log_rate_clip'", "80", "<= 50"]),
    ({"kl_z_ramp": 0}, ["'kl_z_ramp'", "0", ">= 1"]),
    # contradictions
    ({"f_latent_size": 0, "z_latent_size": 0}, ["f_latent_size=0", "z_latent_size=0", "Make one of them positive"]),
    ({"f_rnn_type": None}, ["f_rnn_type=None", "f_latent_size=10", "f_latent_size=0"]),
    ({"f_to_gen": None}, ["f_to_gen=None", "f_to_z=None", "Set f_to_gen"]),
    ({"z1_rnn_type": None, "z2_type": None}, ["z1_rnn_type=None", "z2_type=None", "Set z1_rnn_type"]),
    ({"z1_rnn_type": None, "z2_units": 0}, ["z1_rnn_type=None", "z2_units=0", "Set z1_rnn_type"]),
    ({"f_to_z": "z1", "z1_rnn_type": None}, ["f_to_z='z1'", "z1_rnn_type=None", "f_to_z='z2'"]),
    ({"f_to_z": "z2", "z2_type": None}, ["f_to_z='z2'", "z2_type=None", "f_to_z='z1'"]),
    ({"f_to_z": "z2", "z2_units": 0}, ["f_to_z='z2'", "z2_units=0", "f_to_z='z1'"]),
    ({"gen_cell_type": "Dense"}, ["gen_cell_type='Dense'", "f_to_gen='init'", "f_to_gen='tile'"]),
    ({"gen_cell_type": "Dense", "f_to_gen": "both"}, ["gen_cell_type='Dense'", "f_to_gen='both'", "f_to_gen='tile'"]),
    ({"gen_cell_type": "BidirectionalLSTM"}, ["gen_cell_type='BidirectionalLSTM'", "f_to_gen='init'", "'tile'"]),
    (
        {"z_prior_rollout": "free", "z_kl_mode": "analytic"},
        ["z_prior_rollout='free'", "z_kl_mode='analytic'", "z_kl_mode='conditional'"],
    ),
    (
        {"z_prior_process": "GRU", "z_kl_mode": "analytic"},
        ["z_prior_process='GRU'", "z_kl_mode='analytic'", "z_kl_mode='conditional'"],
    ),
    (
        {"z_prior_process": "student_t", "z_kl_mode": "conditional"},
        ["z_prior_process='student_t'", "z_kl_mode='conditional'", "z_kl_mode='auto', 'sampled' or 'fresh'"],
    ),
    ({"z_prior_process": "student_t", "z_kl_mode": "analytic"}, ["Student-t prior is sampled", "'analytic'"]),
    (
        {"f_enc_reduce": "all_last", "f_rnn_type": "Dense"},
        ["f_rnn_type='Dense'", "f_enc_reduce='all_last'", "f_enc_reduce='mean'"],
    ),
    ({"z1_lag": 1, "z1_units": [8, 8]}, ["z1_lag=1", "z1_units=[8, 8]", "Use one layer, or z1_lag=0"]),
    # posteriors other than the mean-field one
    (
        {**DMM, "f_latent_size": 3, "f_to_gen": "tile", "f_to_z": "combiner", "q_z_type": "meanfield"},
        ["f_to_z='combiner'", "q_z_type='meanfield'", "f_to_z='z1'"],
    ),
    ({"use_generative_prior": True}, ["q_z_type='meanfield'", "z_prior_process='AR1'", "use_generative_prior=False"]),
    ({**DMM, "use_generative_prior": True, "variational": False}, ["variational=False", "Use variational=True"]),
    ({**DMM, "z1_rnn_type": None, "z2_type": "GRU", "z2_units": 3}, ["z1_rnn_type=None", "'BackwardLSTM'"]),
    ({**DMM, "z2_units": 4, "z2_type": "GRU"}, ["z2_units=4", "z2_units=0"]),
    ({**DMM, "z1_rnn_type": "BidirectionalGRU", "z1_merge": "sum"}, ["z1_merge='sum'", "Use z1_merge='concat'"]),
    ({**DMM, "q_z_type": "directions"}, ["z1_rnn_type='BackwardLSTM'", "Bidirectional"]),
    ({**DMM, "z_kl_mode": "fresh"}, ["z_kl_mode='fresh'", "'conditional'"]),
    ({**DMM, "z_kl_mode": "analytic"}, ["z_prior_process='gated'", "z_kl_mode='conditional'"]),
    ({**DMM, "z_latent_off_diag": True, "q_z_scale": "softplus"}, ["z_latent_off_diag=True", "'meanfield'"]),
    (
        {"z_latent_off_diag": True, "q_z_scale": "softplus_variance"},
        ["q_z_scale='softplus_variance'", "q_z_scale='softplus'"],
    ),
    ({**DMM, "z_prior_train_var": False}, ["z_prior_train_var=False", "Leave both True"]),
    ({"q_z_type": "combiner", "gen_cell_type": "Complex", "z2_type": "GRUClip"}, ["'Complex'", "'meanfield'"]),
    ({"read_in_activation": "relu"}, ["input_factors=0", "read_in_activation='linear'"]),
    ({"gen_cell_type": "BackwardLSTM"}, ["'gen_cell_type'", "'BackwardLSTM'"]),
    # labels
    ({"f_prior_type": "cond"}, ["f_prior_type='cond'", "u_dim=0", "u_type=None", "Set u_dim"]),
    ({"z_prior_process": "cond", "u_dim": 3}, ["z_prior_process='cond'", "u_type=None", "u_type='discrete'"]),
    ({"z_prior_process": "cond", "u_type": "discrete"}, ["u_dim=0", "Set u_dim"]),
    ({"q_cond": "concat"}, ["q_cond='concat'", "u_dim=0", "Set u_dim"]),
    ({"u_dim": 3, "u_type": "discrete"}, ["u_dim=3", "used nowhere", "z_prior_process='cond'", "u_dim=0"]),
    ({"u_per_step": True}, ["u_per_step=True", "used nowhere"]),
    ({**CLASSES, "z_prior_process": "cond", "z_latent_size": 0}, ["used nowhere"]),
    ({**CLASSES, "q_cond": "product"}, ["q_cond='product'", "f_prior_type='mvn'", "q_cond='concat'"]),
    ({**CLASSES, "f_prior_type": "cond", "u_per_step": True}, ["u_per_step=True", "Use u_per_step=False"]),
    ({**CLASSES, "f_prior_type": "cond", "f_prior_kappa": 0.5}, ["f_prior_kappa=0.5", "Use f_prior_kappa=0"]),
    ({**CLASSES, "f_prior_type": "cond", "f_prior_train_var": False}, ["f_prior_train_var=False", "Leave it True"]),
    ({**CLASSES, "z_prior_process": "cond", "z_prior_train_var": False}, ["z_prior_train_var=False", "Leave it True"]),
    ({**DMM, "q_z_units": [4]}, ["q_z_units=[4]", "q_z_type='combiner'", "Use q_z_units=None"]),
    ({**CLASSES, "z_prior_process": "cond", "z_kl_mode": "sampled"}, ["z_kl_mode='sampled'", "Use z_kl_mode='auto'"]),
    ({**CLASSES, "z_prior_process": "cond", "variational": False}, ["variational=False", "Use variational=True"]),
    (
        {**CLASSES, "z_prior_process": "cond", "q_cond": "product", "z_latent_off_diag": True},
        ["z_latent_off_diag=True", "Use z_latent_off_diag=False"],
    ),
    ({"alpha": 0.5}, ["alpha=0.5", "q_cond='none'", "Set q_cond='product', or alpha=0"]),
    ({**CLASSES, "z_prior_process": "cond", "q_cond": "concat", "alpha": 0.5}, ["alpha=0.5", "q_cond='concat'"]),
    ({"alpha": 1.5}, ["'alpha'", "1.5", "<= 1"]),
    (
        {**CLASSES, **COMPLEX, "z_prior_process": "cond", "q_cond": "product"},
        ["gen_cell_type='Complex'", "q_cond='product'", "'concat'"],
    ),
    # one z a window, and sequences
    ({**ONE_Z, "z_prior_process": "AR1"}, ["z_per_step=False", "z_prior_process='AR1'", "'standard' or 'none'"]),
    ({**ONE_Z, **CLASSES, "z_prior_process": "cond", "u_per_step": True}, ["u_per_step=True", "u_per_step=False"]),
    ({**ONE_Z, "z1_rnn_type": "Dense"}, ["z1_rnn_type='Dense'", "Use a recurrent z1_rnn_type"]),
    ({**ONE_Z, "z2_units": 4, "z2_type": "GRU"}, ["z2_units=4", "z2_type=None"]),
    ({**ONE_Z, "z1_lag": 1}, ["z1_lag=1", "Use z1_lag=0"]),
    ({**ONE_Z, "q_z_type": "combiner", "z1_merge": "concat"}, ["q_z_type='combiner'", "Use q_z_type='meanfield'"]),
    ({**ONE_Z, "gen_cell_type": "Dense", "f_to_gen": "tile"}, ["gen_cell_type='Dense'", "every bin the same"]),
    ({**ONE_Z, **COMPLEX}, ["z2_type='GRUClip'", "z2_units="]),
    ({**LOOKUP, "f_prior_kappa": 0.5}, ["f_prior_kappa=0.5", "f_prior_init_std"]),
    ({**LOOKUP, "variational": False}, ["variational=False", "f_prior_type='standard'"]),
    ({**LOOKUP, "f_prior_sequences": ["a", "b"]}, ["Every one of the 2 sequences", "f_prior_n_seqs=0", "Set it to 2"]),
    # injective flows
    ({"gen_cell_type": "GIN"}, ["gen_cell_type='GIN'", "f_to_gen='init'", "f_to_gen='tile'"]),
    ({**FLOW, "n_factors": 10}, ["n_factors=10", "Use n_factors=0"]),
    ({**FLOW, "gen_n_hidden": [20, 20]}, ["gen_n_hidden=[20, 20]", "Use one number, at least 14"]),
    ({**FLOW, "gen_n_hidden": 13}, ["gen_n_hidden=13", "(14 latents and external inputs)", "at least 14"]),
]


@pytest.mark.parametrize("given, words", REFUSED, ids=[f"{i}-{next(iter(g))}" for i, (g, _) in enumerate(REFUSED)])
def test_refused_with_key_value_and_remedy(given, words):
    with pytest.raises(ValueError) as error:
        validate_params(given)
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


@pytest.mark.parametrize(
    "given",
    [
        {"f_to_gen": None, "f_to_z": "z1"},
        {"f_latent_size": 0, "f_rnn_type": None},
        {"z_latent_size": 0},
        {"z1_rnn_type": None},
        {"gen_cell_type": "Dense", "f_to_gen": "tile"},
        {"gen_cell_type": "Dense", "f_latent_size": 0},
        {"z_prior_process": "AR1", "z_kl_mode": "analytic"},
        {"z_prior_rollout": "free", "z_kl_mode": "sampled"},
        {"z_prior_process": "student_t", "z_kl_mode": "fresh"},
        {"z_prior_process": "student_t", "z_kl_mode": "sampled"},
        {"z_prior_process": "student_t", "z_kl_mode": "conditional", "z_latent_size": 0},
        {"f_latent_size": 0, "f_to_z": "z2", "z2_units": 0},
        {"z_latent_size": 0, "z1_rnn_type": None, "z2_type": None},
        {**CLASSES, "f_prior_type": "cond", "q_cond": "product", "z_latent_off_diag": True},
        {**CLASSES, **COMPLEX, "z_prior_process": "cond", "q_cond": "concat"},
        {**CLASSES, **COMPLEX, "f_prior_type": "cond", "q_cond": "product"},
        {**CLASSES, "f_prior_type": "cond", "q_cond": "product", "alpha": 1.0},
        {**CLASSES, "q_cond": "concat", "variational": False},
        {**FLOW, "gen_n_hidden": 14},
        {**ONE_Z, "z_prior_process": "none", "f_to_z": "z1"},
        {**ONE_Z, **CLASSES, "z_prior_process": "cond"},
        {**ONE_Z, "gen_cell_type": "Dense", "f_to_gen": "tile", "ext_input_dim": 1},
        {**ONE_Z, "z_latent_size": 0, "z_prior_process": "AR1"},
        {**LOOKUP, "f_prior_sequences": ["a", "b"], "f_prior_n_seqs": 3},
        {**LOOKUP, "f_latent_size": 0, "variational": False},
    ],
)
def test_what_can_work_is_not_refused(given):
    assert validate_params(given).items() >= given.items()


@pytest.mark.parametrize("given", [None, [("f_units", 3)], "f_units"])
def test_params_must_be_a_dict(given):
    with pytest.raises(ValueError, match=rf"must be a dict.*{type(given).__name__}.*preset\('default'\)"):
        validate_params(given)


# --- presets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_complete_and_valid(name):
    p = preset(name)
    assert p.keys() == ROWS.keys() and validate_params(p) == p
    for key, value in PRESETS[name].items():
        assert p[key] == value


def test_presets_follow_their_sources():
    full, factorized, beta = preset("dsae_full"), preset("dsae_factorized"), preset("beta_vae")
    shared = {
        "f_latent_size": 48,
        "z_latent_size": 12,
        "z_prior_process": "LSTM",
        "z_prior_units": 48,
        "gen_cell_type": "Dense",
        "f_to_gen": "tile",
        "f_rnn_merge": "sum",
        "coordinated_dropout_rate": 0.0,
        "z_prior_rollout": "teacher",
    }
    assert full.items() >= shared.items() and factorized.items() >= shared.items()
    # "full": q(z) sees f and all bins; "factorized": its own bin alone.
    assert (full["f_to_z"], full["z1_rnn_type"], full["z2_units"]) == ("z1", "BidirectionalLSTM", 48)
    assert (factorized["f_to_z"], factorized["z1_rnn_type"], factorized["z2_units"]) == (None, "Dense", 0)
    assert (beta["z_latent_size"], beta["f_prior_type"], beta["kl_f_beta"]) == (0, "standard", 4.0)
    ivae, pi = preset("ivae"), preset("pi_vae_sequence", u_dim=8)
    assert (ivae["q_cond"], ivae["z1_units"], ivae["z1_activation"], ivae["learning_rate"]) == (
        "concat", [60, 60], "tanh", 5e-4
    )  # fmt: skip
    assert (pi["q_cond"], pi["gen_cell_type"], pi["u_dim"], pi["f_latent_size"]) == ("product", "GIN", 8, 0)
    assert ivae["z_prior_process"] == pi["z_prior_process"] == "cond" and ivae["u_units"] == [20, 20]
    fhvae = {
        "f_units": [256],
        "f_enc_reduce": "all_last",
        "f_latent_size": 32,
        "f_prior_init_std": 0.5,
        "f_prior_hyper_std": 1.0,
        "f_disc_alpha": 10.0,
        "f_prior_refresh": True,
        "z_per_step": False,
        "f_to_z": "z1",
        "z_latent_size": 32,
        "z_prior_process": "standard",
        "gen_cell_type": "LSTM",
        "f_to_gen": "tile",
        "adam_beta_1": 0.95,
        "batch_size": 256,
    }
    assert preset("fhvae").items() >= fhvae.items()


def test_the_source_of_each_preset_is_beside_it():
    with open(module.__file__) as file:
        text = file.read().split("PRESETS: dict", 1)[1]
    for name in PRESETS:
        assert re.search(rf'^ *# .*\n *(PRESETS\[)?"{name}"', text, re.MULTILINE), name
    assert (
        "1803.02991" in text
        and "Higgins" in text
        and "1907.04809" in text
        and "2011.04798" in text
        and "1709.07902" in text
    )


def test_changes_to_a_preset():
    assert preset("dsae_full", zs_size=5)["f_latent_size"] == 5
    with pytest.raises(ValueError, match="Keep 'f_latent_size' alone"):
        preset("dsae_full", zs_size=5, f_latent_size=6)
    with pytest.raises(ValueError, match="'f_latent_sise'"):
        preset("default", f_latent_sise=3)
    with pytest.raises(ValueError, match=r"'dsae_ful'.*Did you mean 'dsae_full'\?.*beta_vae"):
        preset("dsae_ful")


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("f_latent_size=16", "f_latent_size", 16),
        (" f_latent_size = 16 ", "f_latent_size", 16),
        ("zs_size=16", "f_latent_size", 16),
        ("dropout_rate=0.25", "dropout_rate", 0.25),
        ("learning_rate=1e-3", "learning_rate", 1e-3),
        ("f_units=32", "f_units", 32),
        ("f_units=32,16", "f_units", [32, 16]),
        ("f_units=[32, 16]", "f_units", [32, 16]),
        ("f_units=[32]", "f_units", [32]),
        ("f_latent_off_diag=true", "f_latent_off_diag", True),
        ("f_latent_off_diag=0", "f_latent_off_diag", False),
        ("f_to_z=None", "f_to_z", None),
        ("f_to_z=z1", "f_to_z", "z1"),
        ("z_prior_process=none", "z_prior_process", "none"),
        ("out_dim=none", "out_dim", None),
        ("init_rate_bias=-1.5,0.5", "init_rate_bias", [-1.5, 0.5]),
        ("q_cond=none", "q_cond", "none"),
        ("zs_to_dec=initial conditions", "f_to_gen", "init"),
    ],
)
def test_settings_are_read(text, name, value):
    found_name, found = parse_setting(text)
    assert (found_name, found) == (name, value) and type(found) is type(value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("f_latent_size", ["'f_latent_size'", "key=value"]),
        ("f_latent_sise=3", ["'f_latent_sise'", "'f_latent_size'"]),
        ("f_latent_size=many", ["'f_latent_size'", "'many'", "an integer"]),
        ("f_latent_size=1.5", ["'f_latent_size'", "'1.5'", "an integer"]),
        ("f_latent_size=1,2", ["'f_latent_size'", "1,2", "an integer"]),
        ("f_latent_off_diag=maybe", ["'f_latent_off_diag'", "'maybe'", "True or False"]),
        ("f_rnn_type=lstm", ["'f_rnn_type'", "'lstm'", "'LSTM'"]),
        ("dropout_rate=2", ["'dropout_rate'", "2.0", "<= 0.95"]),
        ("f_units=", ["'f_units'", "''", "integers"]),
        ("f_latent_size=none", ["'f_latent_size'", "None", "an integer"]),
    ],
)
def test_settings_that_cannot_be_read(text, words):
    with pytest.raises(ValueError) as error:
        parse_setting(text)
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def test_the_table_lists_every_parameter_once():
    lines = markdown_table(TABLE).splitlines()
    assert len(lines) == len(TABLE) + 2
    assert [line.split("`")[1] for line in lines[2:]] == list(ROWS)
    # A bar inside a cell would shift the columns.
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {7}
    groups = {row.group for row in TABLE}
    assert sum(len(markdown_table(TABLE, group).splitlines()) - 2 for group in groups) == len(TABLE)
