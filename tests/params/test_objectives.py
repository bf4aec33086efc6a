"""Which objectives, and additions to one, a model allows."""

import pytest

from indl.params import ROWS, preset, validate_params
from indl.params.objectives import MANY_SAMPLES, PREFIXES, estimates_aggregate, latents_of, prior_learns
from indl.tuning.space import search_names
from tests.messages import faults

LABELS = {"u_dim": 3, "u_type": "discrete"}
CONTROLLER = {"gen_cell_type": "Complex", "z2_type": "GRUClip"}


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"objective": "beta_tcvae", "variational": False}, "no posteriors to shape"),
        ({"f_free_bits": 0.1, "variational": False}, "no posteriors to shape"),
        ({"objective": "beta_tcvae", "f_latent_size": 0}, "shapes f, which the model does not have"),
        ({"objective": "beta_tcvae", "tc_on": "both", "z_latent_size": 0}, "shapes z, which the model does not have"),
        ({"objective": "factor_vae", "f_latent_size": 0}, "shapes f, which"),
        ({"objective": "dip_vae_i", "f_latent_size": 0}, "shapes f, which"),
        ({"objective": "capacity", "capacity_on": "z", "z_latent_size": 0}, "shapes z, which"),
        ({"objective": "beta_tcvae", "f_prior_type": "cond", **LABELS}, "f that depends on the trial"),
        ({"objective": "factor_vae", "f_prior_type": "cond", **LABELS}, "f that depends on the trial"),
        ({"objective": "dip_vae_ii", "f_prior_type": "cond", **LABELS}, "f that depends on the trial"),
        ({"objective": "beta_tcvae", "tc_on": "z", "z_prior_process": "cond", **LABELS}, "z that depends on the trial"),
        ({"objective": "beta_tcvae", "f_latent_off_diag": True}, "independent dimensions"),
        ({"objective": "beta_tcvae", "tc_on": "z", "z_latent_off_diag": True}, "independent dimensions"),
        ({"objective": "dip_vae_ii", "f_latent_off_diag": True}, "independent dimensions"),
        ({"objective": "beta_tcvae", "tc_on": "z", **CONTROLLER}, "no other trial's z has a density"),
        ({"objective": "beta_tcvae", "tc_on": "both", "missing_data": True}, "no z of all trials"),
        *(({"objective": name, "batch_size": 1}, "compares the trials") for name in PREFIXES),
        ({"f_free_bits": 0.1, "batch_size": 1}, "compares the trials"),
        ({"objective": "beta_tcvae", "f_free_bits": 0.1}, "a price of its own"),
        ({"objective": "capacity", "capacity_on": "both", "z_free_bits": 0.1}, "a price of its own"),
        ({"z_free_bits": 0.1, "z_latent_size": 0}, "has a KL"),
        ({"f_free_bits": 0.1, "f_latent_off_diag": True}, "no sum over dimensions"),
        ({"z_free_bits": 0.1, "z_kl_mode": "sampled"}, "may be negative"),
        ({"z_free_bits": 0.1, "z_prior_process": "student_t"}, "may be negative"),
        ({"z_free_bits": 0.1, "missing_data": True}, "mean over bins"),
        (
            {"f_free_bits": 0.1, "alpha": 0.5, "q_cond": "product", "z_prior_process": "cond", **LABELS},
            "The encoder's own KL",
        ),
        ({"fz_mi_weight": 1.0, "z_latent_size": 0}, "two latents"),
        ({"fz_mi_weight": 1.0, "z_latent_off_diag": True}, "dimension by dimension"),
        ({"fz_mi_weight": 1.0, "tc_estimator": "mws"}, "logarithm of trials times batch"),
        ({"fz_mi_weight": 1.0, **CONTROLLER}, "no other trial's z has a density"),
        ({"fz_mi_weight": 1.0, "f_prior_type": "cond", "z_prior_process": "cond", **LABELS}, "depend on each other"),
        ({"kl_balance": 0.8, "f_prior_type": "standard", "z_prior_process": "standard"}, "fixed prior"),
        ({"kl_balance": 0.8, "z_prior_process": "cond", "q_cond": "product", **LABELS}, "gradients have no shares"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(changes, reason):
    with pytest.raises(ValueError, match=reason) as error:
        preset("default", **changes)
    assert not faults(str(error.value))
    assert all(key in str(error.value) for key in changes if key.startswith(("tc_", "capacity_on", "fz_")))


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "beta_tcvae", "tc_on": "both"},
        {"objective": "beta_tcvae", "tc_on": "f", **CONTROLLER},
        {"objective": "beta_tcvae", "z_prior_process": "cond", **LABELS},
        {"objective": "factor_vae", "f_latent_off_diag": True, "missing_data": True},
        {"objective": "dip_vae_i", "f_latent_off_diag": True, "q_f_samples": 2, "batch_size": 2},
        {"objective": "capacity", "capacity_on": "z", "f_free_bits": 0.1, **CONTROLLER},
        {"z_free_bits": 0.1, "z_prior_process": "cond", **LABELS},
        {"z_free_bits": 0.1, "kl_balance": 0.8, **CONTROLLER},
        {"fz_mi_weight": 1.0, "objective": "factor_vae"},
        {"kl_balance": 0.8, "f_prior_type": "standard"},
    ],
)
def test_what_can_work_is_allowed(changes):
    preset("default", **changes)


def test_which_priors_learn():
    assert prior_learns(preset("default"), "f") and prior_learns(preset("default"), "z")
    fixed = {"f_prior_train_mean": False, "f_prior_train_var": False}
    for changes in ({"f_prior_type": "standard"}, {"f_prior_kappa": 1.0}, fixed, {"f_latent_size": 0}):
        assert not prior_learns(preset("default", **changes), "f")
    still = {"z_prior_train_mean": False, "z_prior_train_var": False}
    assert prior_learns(preset("default", **still), "z"), "its time constants"
    assert not prior_learns(preset("default", **still, z_prior_process="none"), "z")


def test_the_number_of_trials_is_needed_by_estimates_alone():
    assert estimates_aggregate({"objective": "beta_tcvae"}) and estimates_aggregate({"fz_mi_weight": 0.5})
    assert not estimates_aggregate({}) and not estimates_aggregate(validate_params({"objective": "factor_vae"}))
    assert latents_of("both") == ("f", "z") and latents_of("z") == ("z",)


@pytest.mark.parametrize("objective", ROWS["objective"].choices)
def test_a_search_varies_what_belongs_to_the_objective(objective):
    """Each with parameters of its own has something to be tuned; what belongs to another is left alone."""
    samples = 5 if objective in MANY_SAMPLES else 1
    names = search_names("all", preset("default", objective=objective, q_f_samples=samples))
    found = {name for name in names if name.startswith(tuple(PREFIXES.values()))}
    own = PREFIXES.get(objective)
    assert bool(found) == (own is not None)
    assert not [name for name in found if not name.startswith(own)]
