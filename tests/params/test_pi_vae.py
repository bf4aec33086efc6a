"""The table of pi-VAE's parameters."""

import pytest

from indl.params import preset
from indl.params.pi_vae import PI_VAE


@pytest.mark.parametrize("name", PI_VAE.presets)
def test_presets_are_whole(name):
    p = preset(name)
    assert list(p) == list(PI_VAE.by_name) and p == {**PI_VAE.defaults(), **PI_VAE.presets[name]}


def test_later_names_of_the_label_prior():
    assert preset("pi_vae_port_1_1", label_prior_hidden_layer_dim=7)["z_prior_hidden_layer_dim"] == 7


@pytest.mark.parametrize(
    "params, words",
    [
        ({"encoder_hiden_layer_dim": 3}, ["'encoder_hiden_layer_dim'", "encoder_hidden_layer_dim", "TABLE"]),
        ({"x_dim": 1}, ["x_dim=1, z_dim=2", "at most 1"]),
        ({"x_dim": 4, "decoder_affine_input_layer_slice_dim": 4}, ["slice_dim=4, x_dim=4", "decoder_n_gin_blocks=0"]),
        ({"decoder_fr_clamp_min": 2.0, "decoder_fr_clamp_max": 1.0}, ["clamp_min=2", "clamp_max=1"]),
        ({"decoder_observation_model": "poison"}, ["'poison'", "'poisson', 'gaussian'"]),
        ({"alpha": 1.5}, ["1.5", "<= 1"]),
        ({"z_prior_hidden_layer_dim": 3, "label_prior_hidden_layer_dim": 3}, ["two names"]),
        ([1], ["list", "preset"]),
    ],
)
def test_params_that_cannot_be(params, words):
    with pytest.raises(ValueError) as error:
        PI_VAE.validate(params)
    assert all(word in str(error.value) for word in ["Given: ", *words])
