"""A family of one's own, beside those of the library."""

import pytest

from indl.data import lorenz
from indl.model.families import FAMILIES, SequenceFamily, add_family, family_of
from indl.params import FAMILIES as TABLES
from indl.params import SEQUENCE, Param, preset, table_of_preset, validate_params
from indl.training import train
from tests.checks import PLAIN, tiny_model

WIDTH = Param("width", 9, "int", "bins under a filter", "Own", low=1)


pytestmark = pytest.mark.usefixtures("families_as_before")


def own(name="own", presets=None):
    class Own(SequenceFamily):
        table = SEQUENCE.extended(name, [WIDTH], {"narrow": {**PLAIN, "width": 3}} if presets is None else presets)

        def build(self, params, recording):
            model = super().build(params, recording)
            model.width = params["width"]
            return model

    return Own()


def test_its_preset_trains():
    family = own()
    add_family(family)
    p = preset("narrow", gen_n_hidden=5)
    assert (p["family"], p["width"], p["gen_n_hidden"], p["f_units"]) == ("own", 3, 5, 4)
    assert table_of_preset("narrow") is family.table and family_of(p) is family
    result = train(p, lorenz(n_neurons=6, n_conditions=2, n_trials=8, n_bins=6), epochs=1)
    assert result.model.width == 3 and family_of(result.model) is family
    assert family_of(tiny_model()) is FAMILIES["sequence"]


def test_its_parameters_are_checked():
    add_family(own())
    with pytest.raises(ValueError, match="width"):
        preset("narrow", width=0)
    with pytest.raises(ValueError, match="width"):
        validate_params({"width": 3})
    with pytest.raises(ValueError, match="f_latent_size"):
        preset("narrow", f_latent_size=0)


def test_added_again_it_is_replaced():
    add_family(own())
    again = own(presets={"wide": {"width": 20}})
    add_family(again)
    assert family_of(preset("wide")) is again
    with pytest.raises(ValueError, match="narrow"):
        preset("narrow")


@pytest.mark.parametrize("name", ["sequence", "pi_vae"])
def test_the_names_of_the_library_are_taken(name):
    with pytest.raises(ValueError, match=f"has a family of that name. Given: '{name}'"):
        add_family(own(name))
    assert "narrow" not in {key for table in TABLES.values() for key in table.presets}


def test_a_preset_has_one_family():
    with pytest.raises(ValueError, match="preset of that name. Given: lfads, pi_vae"):
        add_family(own(presets={"pi_vae": {}, "lfads": {}, "mine": {}}))
