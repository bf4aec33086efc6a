"""Deep Markov models whole: the suite of their variants, their bound, and dynamics that they learn."""

import numpy as np
import pytest

from indl.dists import Gaussian
from indl.model import beta_vae
from indl.model.assemble import build_sequential_vae
from indl.params import preset
from tests.checks import assert_close, assert_mean, check_model, counts

X = counts()
SMALL = {"z1_units": [5], "z_latent_size": 2, "z_prior_units": 4, "gen_n_hidden": [6]}
STATIC = {**SMALL, "f_units": [4], "f_latent_size": 3}
VARIANTS = {
    "dmm": preset("dmm", **SMALL),
    "fdmm": preset("fdmm", **STATIC),
    "fdmm without a loop for f": preset("fdmm", **STATIC, f_rnn_type="Dense"),
    "dmm_bidirectional": preset("dmm_bidirectional", **SMALL, encoder_state_trainable=True),
    "product with the transition": preset("dmm_bidirectional", **SMALL, use_generative_prior=True),
    "product of directions": preset("dmm_bidirectional", **SMALL, q_z_type="directions"),
    "mean field": preset("dmm", **SMALL, q_z_type="meanfield"),
    "signals": preset("dmm", **SMALL, output_dist="Gaussian", input_transform=None, z_prior_process="AR1"),
    "samples at test": preset("fdmm", **STATIC, q_f_samples=2, sample_at_test=True),
}
# It has all parts of the others but the product.
FAST = ("fdmm without a loop for f",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in VARIANTS]
)
def test_suite(name):
    check_model(VARIANTS[name], X)


@pytest.fixture(scope="module")
def model():
    """A model whose posterior is wide and follows its past, so that the path matters."""
    built = build_sequential_vae(preset("dmm", **SMALL, q_z_init_std=0.7), None, X.shape[2])
    rng = np.random.default_rng(0)
    for variable in built.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    return built


def test_the_bound_at_inference_is_that_of_paths(model):
    """The KL at inference is an estimate of what training pays, which neither the KL along means nor one along
    independent draws is."""
    many = np.repeat(X, 400, axis=0)
    at_inference = model(many, training=False)["kl_z"].numpy().sum(-1).reshape(len(X), -1)
    in_training = model(many, training=True)["kl_z"].numpy().sum(-1).reshape(len(X), -1)
    assert_mean(at_inference.T - in_training.T, np.zeros(len(X)))
    q, prior = model.encode(X)["q_z"], model.get_layer("z_prior")
    along_means = np.asarray(q.kl_divergence(prior.conditional(q.loc))).sum(-1)
    incoherent = np.asarray(prior(Gaussian(*(np.repeat(part, 400, 0) for part in q[:2])))).sum(-1)
    error = in_training.std(1) / 20
    assert (np.abs(along_means - in_training.mean(1)) > 5 * error).any()
    assert (np.abs(incoherent.reshape(len(X), -1).mean(1) - in_training.mean(1)) > 5 * error).any()


def test_divergences_of_dimensions_sum_to_the_bounds(model):
    """What the record of latents in use shows, along the same path as the bound."""
    q = model.encode(X, paths=True)["q_z"]
    parts = model.get_layer("z_prior").kl_per_dimension(q)
    assert_close(np.sum(parts, -1), model(X, training=False)["kl_z"], 1e-4)


def test_decoding_the_means_is_what_inference_gives(model):
    q = model.encode(X)["q_z"]
    assert_close(model.decode(z=q.loc).mean(), model.rates(X))


def test_the_listing_gives_the_models_bound():
    """Called by hand, the builders make the same model as the assembled one."""
    import keras

    p = preset("fdmm", **STATIC)
    built = build_sequential_vae(p, X.shape[1], X.shape[2])
    p = {**built.params}
    x = keras.Input(X.shape[1:], name="x")
    f_in, z_in, cd_mask = beta_vae.prepare_inputs(p, x)
    q_f = beta_vae.make_f_variational(p, beta_vae.create_f_encoder(p, f_in))
    f = q_f.sample()
    q_z = beta_vae.make_z_variational(p, beta_vae.create_z_encoder(p, z_in, f), f_sample=f)
    gen_out, factors = beta_vae.create_generator(p, f, q_z.drawn)
    kl = {"kl_f": beta_vae.create_f_prior(p)(q_f), "kl_z": beta_vae.create_z_prior(p)(q_z)}
    outputs = {"q_f": q_f, "f": f, "q_z": q_z, "z": q_z.drawn, "p_x": beta_vae.output_dist(p, factors), **kl}
    by_hand = type(built)(inputs=x, outputs={**outputs, "cd_mask": cd_mask}, params=p)
    by_hand.set_weights(built.get_weights())
    for name in ("kl_f", "kl_z"):
        assert_close(by_hand(X, training=False)[name], built(X, training=False)[name])
    assert_close(by_hand.rates(X), built.rates(X))


def test_a_posterior_without_what_it_combines_is_refused():
    import keras

    enc_z = keras.Input((8, 5))
    p = preset("fdmm", **STATIC)
    with pytest.raises(ValueError, match=r"Given: f_to_z='combiner'.*f_sample missing.*Pass f_sample=q_f.sample\(\)"):
        beta_vae.sequential_posterior(p, enc_z)
    p = preset("dmm", **SMALL, use_generative_prior=True)
    with pytest.raises(ValueError, match=r"use_generative_prior=True.*transition missing.*weights_alone=True"):
        beta_vae.make_z_variational(p, enc_z)
