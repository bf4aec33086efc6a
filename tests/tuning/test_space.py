"""The search space comes from the parameter table."""

import keras_tuner as kt
import pytest

from indl.params import ROWS, preset, validate_params
from indl.tuning.space import DEFAULT_SEARCH, declare, search_names


def test_default_search_holds_both_beta_schedules():
    names = search_names(None, preset("default"))
    assert set(names) == set(DEFAULT_SEARCH)
    assert {"kl_f_schedule", "kl_z_schedule", "kl_f_beta", "kl_z_beta"} <= set(names)


def test_absent_latents_are_not_searched():
    names = search_names("all", preset("beta_vae"))
    assert not [name for name in names if name.startswith(("z", "kl_z"))]
    assert "kl_f_beta" in names


@pytest.mark.parametrize(
    "name, varied", [("default", {"gen_l2_reg"}), ("lfads", {"l2_gen_scale"}), ("dsae_full", set())]
)
def test_the_penalty_of_the_preset_is_searched(name, varied):
    assert set(search_names("all", preset(name))) & {"gen_l2_reg", "l2_gen_scale"} == varied
    assert set(search_names(None, preset(name))) & {"gen_l2_reg", "l2_gen_scale"} <= varied


@pytest.mark.parametrize("name", ["no_such", "f_prior_type", "seed"])
def test_untunable_name_is_refused_with_the_choices(name):
    with pytest.raises(ValueError, match=f"{name}.*learning_rate"):
        search_names([name], preset("default"))


@pytest.mark.parametrize("name", ["default", "dsae_full", "dsae_factorized", "beta_vae"])
def test_every_draw_is_valid_and_in_the_tables_range(name):
    base = preset(name)
    names = search_names("all", base)
    hp = kt.HyperParameters()
    declare(hp, names, base)
    seen = {n: set() for n in names}
    for i in range(40):
        trial = hp.copy()
        trial.values = {one.name: one.random_sample(seed=1000 * i + k) for k, one in enumerate(hp.space)}
        values = declare(trial, names, base)
        validate_params({**base, **values})
        for key, value in values.items():
            seen[key].add(value)
            if ROWS[key].search[0] in ("float", "log"):
                assert ROWS[key].search[1] <= value <= ROWS[key].search[2]
    assert len(seen["kl_f_schedule"]) == 4, "all schedules are tried"


def test_ramp_is_searched_only_with_a_schedule_that_has_one():
    base, hp = preset("default"), kt.HyperParameters()
    names = ["kl_z_schedule", "kl_z_ramp"]
    assert declare(hp, names, base) == {"kl_z_schedule": "constant"}
    hp.values["kl_z_schedule"] = "linear"
    hp.ensure_active_values()
    assert set(declare(hp, names, base)) == {"kl_z_schedule", "kl_z_ramp"}


def test_preset_values_are_the_defaults_of_the_space():
    base = preset("default", n_factors=13, learning_rate=3e-3)
    values = declare(kt.HyperParameters(), ["n_factors", "learning_rate", "f_units"], base)
    assert values == {"n_factors": 13, "learning_rate": 3e-3, "f_units": 128}
