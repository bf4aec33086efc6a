"""Roles of LFADS models with other parts than the presets have; those of the presets are tested with the models."""

import keras
import numpy as np
import pytest

from indl.model.assemble import build_sequential_vae
from indl.model.roles.sequence import lfads_roles, lfads_weights, load_lfads_weights
from indl.params import preset
from tests.checks import TINY, assert_close

CLASSES = {"u_dim": 3, "u_type": "discrete", "z_prior_train_mean": True, "f_prior_train_var": True}

#: Preset, changes to it, and roles that these changes bring, with their shapes.
VARIANTS = {
    "read-in, stacked encoders, trained mean": (
        "lfads",
        {"input_factors": 7, "f_units": [4, 3], "z1_units": [5, 6], "z1_lag": 0, "z_prior_train_mean": True},
        {
            "read_in/kernel": (5, 7),
            "read_in/bias": (7,),
            "ic_encoder/forward/kernel": (7, 12),
            "ic_encoder_1/backward/kernel": (8, 9),
            "ic_encoder_1/initial_state": (2, 3),
            "ci_encoder_1/forward/recurrent_kernel": (6, 18),
            "co_prior/mean": (2,),
        },
    ),
    "sessions, Dense encoders, Student-t, events": (
        "lfads",
        {"n_sessions": 2, "input_factors": 7, "f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "Dense"}
        | {"z_prior_process": "student_t", "output_dist": "ZeroInflatedGamma", "q_f_scale": "softplus"}
        | {"q_f_min_var": 0.0, "f_latent_off_diag": True},
        {
            "read_in/kernel": (2, 5, 7),
            "ic_encoder/kernel": (7, 4),
            "ci_encoder/bias": (5,),
            "ic_posterior/kernel": (4, 3 + 6),
            "co_prior/mean": (2,),
            "co_prior/log_variance": (2,),
            "co_prior/log_df": (2,),
            "readout/kernel": (2, 3, 15),
            "readout/scale": (2, 2, 5),
        },
    ),
    "no f, recurrent prior": (
        "lfads",
        {"f_latent_size": 0, "gen_init_trainable": True, "z_prior_process": "GRU", "z_prior_train_mean": True},
        {"generator_initial_state/state": (6,), "co_prior/rnn/forward_kernel": (2, 12), "co_prior/head/loc/bias": (2,)},
    ),
    "label priors": (
        "lfads",
        {**CLASSES, "f_prior_type": "cond", "z_prior_process": "cond"},
        {"ic_prior/mean_embedding": (3, 3), "co_prior/log_variance_embedding": (3, 2)},
    ),
    "one direction, a network of labels": (
        "lfads_no_controller",
        {**CLASSES, "u_type": "continuous", "u_units": [4], "f_prior_type": "cond", "f_rnn_type": "LSTM"},
        {
            "ic_encoder/forward/kernel": (5, 16),
            "ic_encoder/initial_state": (2, 4),
            "ic_prior/network/dense_0/kernel": (3, 4),
            "ic_prior/network/dense_1/bias": (6,),
        },
    ),
}


def model_of(name, seed=0):
    base, changes, _ = VARIANTS[name]
    sizes = {**TINY, "z_latent_size": preset(base)["z_latent_size"] and TINY["z_latent_size"]}
    keras.utils.set_random_seed(seed)
    return build_sequential_vae(preset(base, **{**sizes, **changes}), 8, 5)


@pytest.fixture(scope="module", params=VARIANTS)
def case(request):
    """A model with every weight away from its start, and what its roles must hold."""
    model, rng = model_of(request.param), np.random.default_rng(6)
    for variable in model.trainable_variables:
        variable.assign(variable.numpy() + 0.3 * rng.normal(size=variable.shape))
    return request.param, model, VARIANTS[request.param][2]


def test_every_trained_variable_has_one_role(case):
    _, model, wanted = case
    held = [id(variable) for role in lfads_roles(model).values() for variable in role.variables]
    assert len(set(held)) == len(held)
    without = [variable.path for variable in model.trainable_variables if id(variable) not in held]
    assert not without
    shapes = {role: value.shape for role, value in lfads_weights(model).items()}
    assert {role: shapes.get(role) for role in wanted} == wanted


def test_values_make_another_model_the_same(case):
    name, model, _ = case
    other, weights = model_of(name, seed=7), lfads_weights(model)
    mine, theirs = model.trainable_variables, other.trainable_variables
    assert [variable.path for variable in theirs] == [variable.path for variable in mine]
    assert any(np.abs(a.numpy() - b.numpy()).max() > 1e-3 for a, b in zip(mine, theirs, strict=True))
    load_lfads_weights(other, weights)
    for a, b in zip(mine, theirs, strict=True):
        assert_close(b, a, 1e-7)
    for role, value in lfads_weights(other).items():
        assert_close(value, weights[role], 1e-7)


def test_variances_are_squares_of_scales():
    model = model_of("sessions, Dense encoders, Student-t, events")
    model.get_layer("z_prior").log_std.assign(np.log([0.5, 2.0]))
    assert_close(lfads_weights(model)["co_prior/log_variance"], np.log([0.25, 4.0]))
