"""Params of every family are told apart by their key ``family``, presets by their name."""

import math

import pytest

from indl.params import (
    FAMILIES,
    PRESETS,
    TABLE,
    completed,
    default_params,
    markdown_table,
    parse_setting,
    preset,
    table_of,
    table_of_preset,
    validate_params,
)
from indl.params.param import checked
from indl.params.pi_vae import PI_VAE
from indl.params.presets import SEQUENCE
from tests.messages import faults

TABLES = pytest.mark.parametrize("table", FAMILIES.values(), ids=FAMILIES)


@TABLES
def test_a_table_knows_its_family(table):
    row = table.by_name["family"]
    assert FAMILIES[table.family] is table and table.defaults()["family"] == table.family
    assert row.choices == (row.default,) == (table.family,) and not row.tunable
    assert table_of(table.defaults()) is table and validate_params(table.defaults()) == table.defaults()
    assert table.validate({})["family"] == table.family


@TABLES
def test_rows_hold_together(table):
    names, aliases = [row.name for row in table.rows], [alias for row in table.rows for alias in row.aliases]
    assert len({*names, *aliases}) == len(names) + len(aliases)
    assert list(table.by_name) == names and list(table.aliases) == aliases
    for row in table.rows:
        assert checked(row, row.name, row.default) == row.default
        assert row.meaning and not row.meaning.endswith(".") and row.group


def test_presets_are_unique_and_found_by_name():
    names = [name for table in FAMILIES.values() for name in table.presets]
    assert len(set(names)) == len(names)
    for table in FAMILIES.values():
        for name in table.presets:
            assert table_of_preset(name) is table and preset(name) == table.preset(name)
            assert preset(name)["family"] == table.family
    assert PRESETS is SEQUENCE.presets and table_of_preset("pi_vae") is PI_VAE
    assert table_of_preset("pi_vae_sequence") is SEQUENCE


def test_params_go_to_the_table_of_their_family():
    p = preset("pi_vae_port", z_dim=3)
    assert p["family"] == "pi_vae" and p["decoder_share_couplings"] and p["z_dim"] == 3
    assert validate_params(p) == PI_VAE.validate({"z_dim": 3, "decoder_share_couplings": True}) == p
    assert validate_params({"family": "pi_vae", "x_dim": 9})["x_dim"] == 9
    assert validate_params({}) == validate_params({"family": "sequence"}) == default_params()


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda: validate_params({"family": "pi_vea"}), ["'pi_vea'", "'pi_vae'", "Choose one of sequence, pi_vae"]),
        (lambda: validate_params({"family": ["pi_vae"]}), ["['pi_vae']", "Choose one of"]),
        (lambda: validate_params({"x_dim": 9}), ["'x_dim'", "indl.params.TABLE"]),
        (lambda: validate_params({"family": "pi_vae", "f_units": 9}), ["'f_units'", "indl.params.pi_vae.TABLE"]),
        (lambda: PI_VAE.validate(validate_params({})), ["'family'", "'sequence'", "Allowed: 'pi_vae'"]),
        (lambda: SEQUENCE.validate(PI_VAE.validate({})), ["'family'", "'pi_vae'", "Allowed: 'sequence'"]),
        (lambda: preset("pi_vae", family="sequence"), ["'family'", "'sequence'", "Allowed: 'pi_vae'"]),
        (lambda: preset("pi_va"), ["'pi_va'", "'pi_vae'", "dsae_full, ", "pi_vae_port, "]),
        (lambda: PI_VAE.preset("lfads"), ["'lfads'", "Choose one of pi_vae, pi_vae_original"]),
        (lambda: parse_setting("f_units=3", PI_VAE), ["'f_units'", "indl params"]),
        (lambda: parse_setting("z_dim=x", PI_VAE), ["'z_dim'", "'x'", "an integer >= 1"]),
    ],
)
def test_what_is_not_of_the_family_is_refused(ask, words):
    with pytest.raises(ValueError) as error:
        ask()
    missing = [word for word in ("Given: ", *words) if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("z_dim=3", "z_dim", 3),
        ("label_prior_hidden_layer_dim=7", "z_prior_hidden_layer_dim", 7),
        ("decoder_share_couplings=true", "decoder_share_couplings", True),
        ("x_dim=none", "x_dim", None),
        ("alpha=0.5", "alpha", 0.5),
    ],
)
def test_settings_of_another_family_are_read(text, name, value):
    assert parse_setting(text, PI_VAE) == (name, value)


@TABLES
def test_params_of_a_file_are_completed(table):
    complete = {**table.defaults(), "seed": 3}
    older = {key: value for key, value in complete.items() if key not in ("learning_rate", "batch_size")}
    assert completed(older) == completed(complete) == complete and len(older) == len(complete) - 2
    assert completed({**older, "of_an_earlier_version": 1}) == {**complete, "of_an_earlier_version": 1}


@TABLES
def test_as_markdown_every_row_once(table):
    lines = markdown_table(table.rows).splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == [row.name for row in table.rows]
    groups = {row.group for row in table.rows}
    assert sum(len(markdown_table(table.rows, group).splitlines()) - 2 for group in groups) == len(table.rows)


def test_the_known_names_are_those_of_the_sequential_models():
    assert SEQUENCE.rows is TABLE


SIZED = [row for table in FAMILIES.values() for row in table.rows if row.kind in ("int", "float", "units")]


@pytest.mark.parametrize("row", SIZED, ids=lambda row: row.name)
def test_every_size_has_a_largest_value(row):
    """faults.md B5: sizes without a sane bound hang, or take all memory."""
    assert math.isfinite(row.high) and f"<= {row.high:g}" in row.allowed
    with pytest.raises(ValueError, match=f"'{row.name}'.*Given: .*Allowed: .*<= "):
        checked(row, row.name, int(row.high) + 1)


@pytest.mark.parametrize(
    "key, value", [("n_sessions", 10**9), ("z_latent_size", 10**6), ("q_f_samples", 10**8), ("f_units", [4] * 10**5)]
)
def test_absurd_sizes_are_refused_at_once(key, value):
    """faults.md B5: `n_sessions=1000000000`, `z_latent_size=1000000`, `q_f_samples=100000000`."""
    with pytest.raises(ValueError, match=f"'{key}'.*Given: .*Allowed: ") as told:
        preset("default", **{key: value})
    assert not faults(str(told.value))
