"""The builder functions: shapes, data flow, and the combinations of their parameters."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists import AR1Prior, Gaussian, GaussianObservation, GaussianPrior, PoissonObservation, RecurrentPrior
from indl.model import beta_vae
from indl.model.builders.shared import stream
from indl.params import RNN_CELLS, RNN_TYPES, preset
from indl.params.sequence import GENERATORS
from indl.sampling.modes import GivenLatents, sampling
from tests.checks import CELLS, QUICK, TINY, assert_close, assert_same, counts, tiny_model

X = counts()
# Encoders without a loop over time, for what is about the generator.
NO_LOOP_F = {"f_rnn_type": "Dense", "f_enc_reduce": "mean"}
NO_LOOP_Z = {"z1_rnn_type": "Dense", "z2_units": 0}


def tiny(**changes):
    """Tiny params without any dropout, so that a call is a plain function of its input."""
    return preset("default", **{**TINY, "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0, **changes})


def test_the_listing_of_the_first_notebook():
    # fmt: off
    import tensorflow as tf

    from indl.model.beta_vae import (  # isort: skip
        generate_default_args, generate_default_params, prepare_inputs,
        create_f_encoder, make_f_variational, create_f_prior, create_z_encoder, make_z_variational,
        create_z_prior, create_generator, output_dist)
    params = {**generate_default_params(), **generate_default_args().__dict__}
    inputs = tf.keras.Input(shape=(246, 36))
    f_enc_inputs, z_enc_inputs, cd_mask = prepare_inputs(params, inputs)   # (None,246,36) float, float, bool
    enc_f = create_f_encoder(params, f_enc_inputs)                         # (None, 256)
    q_f = make_f_variational(params, enc_f)                                # a Gaussian, event size 10
    f_prior = create_f_prior(params)                                       # event size 10, mean 0, std 0.1, trainable
    enc_z = create_z_encoder(params, z_enc_inputs, f_sample=q_f)           # (None, 246, 16); also q_f.sample(S)
    q_z = make_z_variational(params, enc_z)                                # a Gaussian, event size 4
    z_prior = create_z_prior(params)
    gen_out, factors = create_generator(params, q_f.sample(), q_z.sample())
    p_x = output_dist({**params, "out_dim": 36}, factors)                  # Poisson or Gaussian over (None,246,36)
    # fmt: on
    assert [t.shape for t in (f_enc_inputs, z_enc_inputs, cd_mask)] == [(None, 246, 36)] * 3
    assert [t.dtype for t in (f_enc_inputs, z_enc_inputs, cd_mask)] == ["float32", "float32", "bool"]
    assert enc_f.shape == (None, 256)
    assert isinstance(q_f, Gaussian) and q_f.event_size == 10 and q_f.loc.shape == (None, 10)
    assert f_prior.event_size == 10 and len(f_prior.trainable_variables) == 2
    assert_close(f_prior.distribution().mean(), np.zeros(10))
    assert_close(f_prior.distribution().stddev(), np.full(10, 0.1))
    assert enc_z.shape == (None, 246, 16)
    assert isinstance(q_z, Gaussian) and q_z.event_size == 4 and q_z.loc.shape == (None, 246, 4)
    assert z_prior.event_size == 4 and isinstance(z_prior, AR1Prior)
    assert gen_out.shape == (None, 246, 256) and factors.shape == (None, 246, 10)
    assert isinstance(p_x, PoissonObservation) and p_x.mean().shape == (None, 246, 36)
    assert create_z_encoder(params, z_enc_inputs, f_sample=q_f.mean()).shape == (None, 246, 16)
    assert create_z_encoder(params, z_enc_inputs, f_sample=q_f.sample(3)).shape == (None, 246, 16)
    for value, size in ((q_f, 10), (f_prior, 10), (q_z, 4), (z_prior, 4)):
        assert f"event size {size}" in repr(value)


# --- encoders and generators of every type ----------------------------------------------------


@pytest.mark.parametrize("rnn_type", [*RNN_TYPES, "Dense"])
@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_every_type_builds_and_gives_finite_values(rnn_type, layers):
    forward = rnn_type in RNN_CELLS
    model = tiny_model(
        f_rnn_type=rnn_type, z1_rnn_type=rnn_type, f_to_gen="both" if forward else "tile",
        # A generator does not run backward.
        gen_cell_type=rnn_type if rnn_type in (*GENERATORS, "Dense") else "Dense",
        f_units=[4] * layers, z1_units=[5] * layers, gen_n_hidden=[6] * layers,
        f_enc_reduce="mean" if rnn_type == "Dense" else "last",
    )  # fmt: skip
    outputs = model(X, training=True)
    assert all(np.isfinite(np.asarray(part, "float32")).all() for part in tf.nest.flatten(outputs))
    assert outputs["p_x"].mean().shape == X.shape
    # Rates differ between trials and bins: nothing is cut off on the way.
    rates = np.asarray(outputs["p_x"].mean())
    assert rates.std(0).min() > 0 and rates.std(1).min() > 0


@pytest.mark.parametrize("cell", CELLS)
def test_f_alone_sets_the_initial_state(cell):
    model = tiny_model(**NO_LOOP_F, z_latent_size=0, gen_cell_type=cell, f_to_gen="init")
    rates = model.rates(X)
    assert rates.shape == X.shape and rates.std(0).min() > 0 and rates.std(1).min() > 0
    assert "q_z" not in model(X)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("trainable", [False, True])
def test_z_alone_drives_the_generator(cell, trainable):
    model = tiny_model(**NO_LOOP_Z, f_latent_size=0, gen_cell_type=cell, gen_init_trainable=trainable)
    assert model.rates(X).std(0).min() > 0 and model.latent_names == ["z"]
    states = [v for v in model.trainable_variables if v.path.startswith("gen_0_") and v.name == "state"]
    assert len(states) == (0 if not trainable else 2 if cell == "LSTM" else 1)
    # The state is part of the generator: moving it moves the first bin.
    if trainable:
        before = model.rates(X)
        states[0].assign(np.ones(states[0].shape))
        assert np.abs(model.rates(X) - before)[:, 0].max() > 1e-4


@pytest.mark.parametrize("how", ["init", "tile", "both"])
def test_f_reaches_the_generator_in_the_named_way(how):
    model = tiny_model(**QUICK, f_to_gen=how)
    z = np.zeros((2, 8, 2), "float32")
    first, second = (np.asarray(model.decode(np.full((2, 3), f, "float32"), z).mean()) for f in (0.0, 1.0))
    assert np.abs(first - second).max() > 1e-4
    names = {layer.name for layer in model.layers}
    assert ("gen_0_h0" in names) == (how in ("init", "both"))
    assert ("f_to_gen" in names) == (how in ("tile", "both"))


def test_f_need_not_reach_the_generator():
    model = tiny_model(**QUICK, f_to_gen=None, f_to_z="z1")
    z = np.zeros((2, 8, 2), "float32")
    first, second = (np.asarray(model.decode(np.full((2, 3), f, "float32"), z).mean()) for f in (0.0, 1.0))
    assert np.array_equal(first, second)


def test_reductions_of_the_f_encoder():
    x = keras.Input((None, 5))
    encoded = {}
    for reduce in ("last", "all_last", "mean"):
        keras.utils.set_random_seed(0)
        p = tiny(f_enc_reduce=reduce, f_rnn_type="GRUClip", f_units=[4, 3])
        encoded[reduce] = keras.Model(x, beta_vae.create_f_encoder(p, x))
    layers = [encoded["last"].get_layer(f"f_rnn_{i}") for i in range(2)]
    first = layers[0](X)
    second = layers[1](first)
    assert_close(encoded["last"](X), second[:, -1])
    for reduce in ("all_last", "mean"):
        encoded[reduce].set_weights(encoded["last"].get_weights())
    assert_close(encoded["all_last"](X), np.concatenate([first[:, -1], second[:, -1]], -1))
    assert_close(encoded["mean"](X), np.mean(second, 1))


@pytest.mark.parametrize("merge, width", [("concat", 8), ("sum", 4)])
def test_merges_of_the_f_encoder(merge, width):
    assert beta_vae.create_f_encoder(tiny(f_rnn_merge=merge), keras.Input((None, 5))).shape == (None, width)


# --- inputs -----------------------------------------------------------------------------------


def prepared(p, x=X, training=False):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, x.shape[-1]))
    return [np.asarray(part) for part in keras.Model(inputs, beta_vae.prepare_inputs(p, inputs))(x, training=training)]


def test_inputs_pass_unchanged_without_options():
    f_in, z_in, mask = prepared(tiny(), training=True)
    assert np.array_equal(f_in, X) and np.array_equal(z_in, X) and mask.all()


def test_input_transform_comes_before_the_dropouts():
    assert_close(prepared(tiny(input_transform="log1p"))[0], np.log1p(X))
    f_in, z_in, mask = prepared(tiny(input_transform="log1p", coordinated_dropout_rate=0.5), training=True)
    assert_close(f_in, np.where(mask, 0, np.log1p(X) / 0.5))
    assert np.array_equal(f_in, z_in)


def test_both_encoders_share_one_read_in():
    inputs = keras.Input((None, 5))
    f_in, z_in, mask = beta_vae.prepare_inputs(tiny(input_factors=7), inputs)
    assert f_in is z_in and f_in.shape == (None, None, 7) and mask.shape == (None, None, 5)
    assert len(keras.Model(inputs, [f_in, z_in]).trainable_variables) == 2


def test_a_segment_belongs_to_the_f_encoder_alone():
    f_in, z_in, mask = prepared(tiny(f_enc_input_samps=3, coordinated_dropout_rate=0.5), training=True)
    assert np.array_equal(f_in, X[:, :3])
    assert z_in.shape == X.shape and not z_in[:, :3].any()
    assert mask.shape == X.shape and mask[:, :3].all() and not mask[:, 3:].all()
    assert_close(z_in[:, 3:], np.where(mask, 0, X / 0.5)[:, 3:])


def test_what_each_encoder_sees_of_a_segment():
    model = tiny_model(f_enc_input_samps=3, f_to_gen="init", z2_units=0)
    q = model.encode(X)
    moved = X.copy()
    moved[:, 5] += 3
    after = model.encode(moved)
    assert np.array_equal(after["q_f"].loc, q["q_f"].loc) and not np.array_equal(after["q_z"].loc, q["q_z"].loc)
    moved = X.copy()
    moved[:, 1] += 3
    after = model.encode(moved)
    assert not np.array_equal(after["q_f"].loc, q["q_f"].loc) and np.array_equal(after["q_z"].loc, q["q_z"].loc)


def test_a_segment_as_long_as_the_trial_is_refused():
    with pytest.raises(ValueError, match=r"shorter than the trial.*f_enc_input_samps=8, 8 bins"):
        tiny_model(f_enc_input_samps=8)


@pytest.mark.parametrize("shape", [(5,), (2, 8, 5)])
def test_inputs_of_another_rank_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(f"(batch, time, channels). Given: shape {(None, *shape)}")):
        beta_vae.prepare_inputs(tiny(), keras.Input(shape))


# --- what depends on what ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["z1", "z2", None])
def test_f_enters_the_z_encoder_only_where_f_to_z_says(stage):
    x, f = keras.Input((None, 5)), keras.Input((3,))
    encoder = keras.Model([x, f], beta_vae.create_z_encoder(tiny(f_to_z=stage), x, f))
    zero, one = np.zeros((6, 3), "float32"), np.ones((6, 3), "float32")
    differs = np.any(encoder([X, zero]) != encoder([X, one]), axis=(0, 2))
    assert differs.all() if stage else not differs.any()


@pytest.mark.parametrize("stage", ["z1", "z2"])
def test_the_posterior_stands_for_its_sample(stage):
    model = tiny_model(**{**QUICK, "z2_units": 4}, f_to_z=stage)
    f = np.asarray(model.encode(X)["q_f"].loc)
    name = model._graph_outputs["f"].name
    with sampling(GivenLatents({name: tf.constant(f + 1.0)})):
        moved = model(X)["q_z"].loc
    assert not np.allclose(moved, model(X)["q_z"].loc)
    x, loc, scale = keras.Input((None, 5)), keras.Input((3,)), keras.Input((3,))
    p = tiny(f_to_z=stage, q_f_samples=3)
    enc_z = beta_vae.create_z_encoder(p, x, Gaussian(loc, scale))
    assert enc_z.shape == (None, 3, None, 4)
    with pytest.raises(ValueError, match=rf"f_to_z='{stage}', f_sample=None"):
        beta_vae.create_z_encoder(p, x)


def changed_bins(model, t, outputs=("q_z",)):
    before = model(X)
    moved = X.copy()
    moved[:, t] += 2
    after = model(moved)
    return [
        np.any(np.asarray(before[name][0]) != np.asarray(after[name][0]), axis=(0, *range(2, before[name][0].ndim)))
        for name in outputs
    ]


def test_a_forward_encoder_is_causal():
    model = tiny_model(z1_rnn_type="GRUClip", f_latent_size=0)
    for changed in changed_bins(model, 4, ("q_z", "p_x")):
        assert np.array_equal(changed, np.arange(8) >= 4)


def test_a_bin_by_bin_encoder_sees_its_own_bin_alone():
    model = tiny_model(z1_rnn_type="Dense", z2_units=0, f_latent_size=0)
    assert np.array_equal(changed_bins(model, 4)[0], np.arange(8) == 4)


@pytest.mark.parametrize("rnn_type, units", [
    ("GRUClip", [5]), ("GRUClip", [5, 4]), ("BidirectionalGRUClip", [5]), ("Dense", [5]), ("Dense", [5, 4]),
])  # fmt: skip
def test_the_lag_hides_near_bins_from_the_first_stage(rnn_type, units):
    model = tiny_model(z1_rnn_type=rnn_type, z1_lag=2, z2_units=0, z1_units=units, f_latent_size=0)
    t = np.arange(8)
    expected = {"GRUClip": t >= 6, "BidirectionalGRUClip": (t >= 6) | (t <= 2), "Dense": t == 6}[rnn_type]
    assert np.array_equal(changed_bins(model, 4)[0], expected)


# --- posterior samples ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stage, gen",
    [
        ("z1", "both"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("z1", "init"), ("z2", "init"), ("z2", "both"), (None, "init"), (None, "both")]
        ),
    ],
)
def test_many_samples_equal_runs_one_by_one(stage, gen):
    changes = {"f_to_z": stage, "f_to_gen": gen, "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0}
    changes |= {**NO_LOOP_F, "z1_rnn_type": "Dense"}
    many = tiny_model(**changes, q_f_samples=3, z_prior_process="GRU")
    one = tiny_model(**changes, z_prior_process="GRU")
    assert [w.shape for w in many.trainable_variables] == [w.shape for w in one.trainable_variables]
    for variable, source in zip(one.trainable_variables, many.trainable_variables, strict=True):
        variable.assign(source)
    outputs = many(X, training=True)
    f, z = np.asarray(outputs["f"]), np.asarray(outputs["z"])
    assert f.shape == (6, 3, 3) and z.shape == (6, 3, 8, 2)
    assert outputs["p_x"].mean().shape == (6, 3, 8, 5) and outputs["kl_z"].shape == (6, 8)
    # Every trial three times, each with one of its samples: 18 runs without a samples axis.
    f, z = (tf.constant(value.reshape(18, *value.shape[2:])) for value in (f, z))
    with sampling(GivenLatents({one._graph_outputs["f"].name: f, one._graph_outputs["z"].name: z})):
        single = one(np.repeat(X, 3, axis=0))

    def by_sample(value):
        return np.reshape(value, (6, 3, *value.shape[1:]))

    for name in ("gen_out", "factors"):
        assert_close(outputs[name], by_sample(single[name]))
    assert_close(outputs["p_x"].mean(), by_sample(single["p_x"].mean()))
    q_loc = outputs["q_z"].loc if stage else np.repeat(outputs["q_z"].loc[:, None], 3, axis=1)
    assert_close(q_loc, by_sample(single["q_z"].loc))
    kls = by_sample(one.get_layer("z_prior")(single["q_z"], z))
    assert_close(many.get_layer("z_prior")(outputs["q_z"], outputs["z"]), kls.mean(1))
    assert_close(np.repeat(outputs["kl_f"], 3), single["kl_f"])


def test_samples_are_aligned_in_the_generator():
    p = tiny()
    f, z = keras.Input((3,)), keras.Input((8, 2))
    f_many, z_many = keras.Input((4, 3)), keras.Input((4, 8, 2))
    for pair in ((f_many, z_many), (f_many, z), (f, z_many)):
        gen_out, factors = beta_vae.create_generator(p, *pair)
        assert gen_out.shape == (None, 4, 8, 6) and factors.shape == (None, 4, 8, 3)
    with pytest.raises(ValueError, match="4 of f and 5 of z"):
        beta_vae.create_generator(p, f_many, keras.Input((5, 8, 2)))


def test_one_f_with_many_z_is_repeated_for_each():
    keras.utils.set_random_seed(0)
    f, z = keras.Input((3,)), keras.Input((4, 8, 2))
    model = keras.Model([f, z], beta_vae.create_generator(tiny(f_to_gen="both"), f, z)[1])
    rng = np.random.default_rng(0)
    f_value, z_value = rng.normal(size=(2, 3)).astype("float32"), rng.normal(size=(2, 4, 8, 2)).astype("float32")
    together = model([f_value, z_value])
    for s in range(4):
        alone = model([f_value, np.repeat(z_value[:, s : s + 1], 4, axis=1)])
        assert_close(together[:, s], alone[:, 0])


# --- generator and read-out -------------------------------------------------------------------


def test_external_inputs_join_z():
    p = tiny(f_latent_size=0)
    z, u = keras.Input((8, 2)), keras.Input((8, 3))
    model = keras.Model([z, u], beta_vae.create_generator(p, None, z, ext_input=u)[1])
    zero = np.zeros((2, 8, 2), "float32"), np.zeros((2, 8, 3), "float32")
    moved = zero[1].copy()
    moved[:, 4] = 1.0
    differs = np.any(model([zero[0], moved]) != model(list(zero)), axis=(0, 2))
    assert np.array_equal(differs, np.arange(8) >= 4)
    assert beta_vae.create_generator(p, None, keras.Input((4, 8, 2)), ext_input=u)[1].shape == (None, 4, 8, 3)


def test_steps_of_an_autonomous_generator():
    p, f = tiny(z_latent_size=0), keras.Input((3,))
    assert beta_vae.create_generator(p, f, steps=9)[1].shape == (None, 9, 3)
    assert beta_vae.create_generator(p, f, steps=keras.Input((7, 5)))[1].shape == (None, 7, 3)
    with pytest.raises(ValueError, match=r"number of bins.*steps=n_times"):
        beta_vae.create_generator(p, f)
    with pytest.raises(ValueError, match="neither f_sample nor z_sample"):
        beta_vae.create_generator(tiny(f_latent_size=0), None, None)
    with pytest.raises(ValueError, match=r"f_to_gen='init', f_sample=None.*q_f\.sample\(\)"):
        beta_vae.create_generator(tiny(), None, keras.Input((8, 2)))


def test_no_factors_feed_the_generator_to_the_read_out():
    gen_out, factors = beta_vae.create_generator(tiny(n_factors=0), keras.Input((3,)), keras.Input((8, 2)))
    assert gen_out.shape == factors.shape == (None, 8, 6)


def test_the_factors_have_no_bias():
    model = tiny_model()
    assert len(model.get_layer("factors").weights) == 1


@pytest.mark.parametrize("dist, kind", [
    ("Poisson", PoissonObservation), ("Gaussian", GaussianObservation), ("GaussianUnit", GaussianObservation),
])  # fmt: skip
def test_observation_models(dist, kind):
    p_x = beta_vae.output_dist(tiny(output_dist=dist, out_dim=7), keras.Input((8, 3)))
    assert isinstance(p_x, kind) and p_x.mean().shape == (None, 8, 7)
    with pytest.raises(ValueError, match=r"out_dim=None.*'out_dim': n_channels"):
        beta_vae.output_dist(tiny(output_dist=dist), keras.Input((8, 3)))


def test_read_out_settings_arrive():
    readout = tiny_model(**QUICK, init_rate_bias=-1.0, log_rate_clip=3.0, output_link="softplus").get_layer("readout")
    assert (readout.log_rate_clip, readout.link) == (3.0, "softplus") and np.all(readout.bias == -1.0)
    per_channel = tiny_model(**QUICK, init_rate_bias=[0.0, 1.0, 2.0, 3.0, 4.0]).get_layer("readout")
    assert np.array_equal(per_channel.bias, np.arange(5))
    with pytest.raises(ValueError, match="2 values for 5 channels"):
        tiny_model(init_rate_bias=[0.0, 1.0])


# --- posteriors and priors --------------------------------------------------------------------


@pytest.mark.parametrize("full_f, full_z", [(True, False), (False, True), (True, True)])
def test_full_covariances(full_f, full_z):
    model = tiny_model(**QUICK, f_latent_off_diag=full_f, z_latent_off_diag=full_z)
    outputs = model(X, training=True)
    assert outputs["q_f"].full == full_f and outputs["q_z"].full == full_z
    assert outputs["q_f"].scale.shape == ((6, 3, 3) if full_f else (6, 3))
    assert outputs["q_z"].scale.shape == ((6, 8, 2, 2) if full_z else (6, 8, 2))
    assert np.isfinite(outputs["kl_z"]).all() and np.min(outputs["kl_f"]) >= 0


@pytest.mark.parametrize("changes, std, trained", [
    ({}, 0.1, 2), ({"f_prior_init_std": 0.7}, 0.7, 2), ({"f_prior_train_mean": False}, 0.1, 1),
    ({"f_prior_train_var": False}, 0.1, 1), ({"f_prior_type": "standard"}, 1.0, 0), ({"f_prior_kappa": 0.25}, 0.5, 0),
])  # fmt: skip
def test_priors_of_f(changes, std, trained):
    prior = beta_vae.create_f_prior(tiny(**changes))
    assert_close(prior.distribution().stddev(), np.full(3, std))
    assert_close(prior.distribution().mean(), np.zeros(3))
    assert len(prior.trainable_variables) == trained
    assert beta_vae.create_f_prior(tiny(f_latent_size=0)) is None


def test_priors_of_z():
    assert beta_vae.create_z_prior(tiny(z_latent_size=0)) is None
    standard = beta_vae.create_z_prior(tiny(z_prior_process="standard"))
    assert isinstance(standard, GaussianPrior) and not standard.trainable_variables
    assert_close(standard.distribution().stddev(), np.ones(2))
    learned = beta_vae.create_z_prior(tiny(z_prior_process="none", z_prior_init_std=0.3))
    assert isinstance(learned, GaussianPrior) and len(learned.trainable_variables) == 2
    assert_close(learned.distribution().stddev(), np.full(2, 0.3))
    ar1 = beta_vae.create_z_prior(tiny(z_prior_tau=5.0, z_prior_init_std=0.2, z_kl_mode="sampled", seed=3))
    assert isinstance(ar1, AR1Prior) and ar1.kl_mode == "sampled"
    assert ar1.seed == stream({"seed": 3}, "z_prior") != stream({"seed": 4}, "z_prior")
    # A stationary process of tau = 5 has variance se^2 / (1 - exp(-2/5)).
    assert_close(ar1.distribution(np.zeros((1, 2, 2), "float32")).stddev()[0, 0], [0.2 / (1 - np.exp(-0.4)) ** 0.5] * 2)
    for key in ("tau", "mean", "var"):
        assert len(beta_vae.create_z_prior(tiny(**{f"z_prior_train_{key}": False})).trainable_variables) == 2
    for cell in RNN_CELLS:
        prior = beta_vae.create_z_prior(tiny(z_prior_process=cell, z_prior_units=7, z_prior_rollout="free"))
        assert isinstance(prior, RecurrentPrior) and (prior.cell_type, prior.units) == (cell, 7)
        assert prior.rollout_mode == "free"


def test_a_latent_of_size_zero_has_no_parts():
    p, x = tiny(f_latent_size=0), keras.Input((8, 5))
    assert beta_vae.create_f_encoder(p, x) is None and beta_vae.make_f_variational(p, None) is None
    p = tiny(z_latent_size=0)
    assert beta_vae.create_z_encoder(p, x) is None and beta_vae.make_z_variational(p, None) is None


@pytest.mark.parametrize("builder, rest", [
    (beta_vae.prepare_inputs, 1), (beta_vae.create_f_encoder, 1), (beta_vae.make_f_variational, 1),
    (beta_vae.create_f_prior, 0), (beta_vae.create_z_encoder, 1), (beta_vae.make_z_variational, 1),
    (beta_vae.create_z_prior, 0), (beta_vae.create_generator, 1), (beta_vae.output_dist, 1),
])  # fmt: skip
def test_every_builder_validates_its_params(builder, rest):
    with pytest.raises(ValueError, match="'f_latent_sise'.*Did you mean 'f_latent_size'"):
        builder({"f_latent_sise": 3}, *[keras.Input((8, 5))] * rest)


# --- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [
    *(pytest.param(changes, marks=pytest.mark.slow) for changes in ({}, {**NO_LOOP_F, "z_latent_size": 0})),
    pytest.param(
        {"f_enc_input_samps": 2, "z1_lag": 2, "z2_units": 0, "gen_cell_type": "Dense", "f_to_gen": "tile"},
        marks=pytest.mark.slow,
    ),
    {**NO_LOOP_F, "z1_rnn_type": "Dense", "forward_steps": 2},
    pytest.param(
        {**QUICK, "q_f_samples": 2, "f_to_z": "z1", "z_prior_process": "LSTM"}, marks=pytest.mark.slow
    ),
])  # fmt: skip
def test_any_number_of_bins(changes):
    fixed, free = tiny_model(8, **changes), tiny_model(None, **changes)
    free.set_weights(fixed.get_weights())
    assert_same(free.rates(X), fixed.rates(X))
    longer = np.concatenate([X, X], axis=1)
    forward = changes.get("forward_steps", 0)
    assert free.rates(longer).shape == (6, 16 + forward, 5)
    assert free.rates(X[:, :3]).shape == (6, 3 + forward, 5)


def test_forward_steps_have_no_evidence():
    """Beyond the input's last bin the z-encoder's first stage gives zeros, so only its second stage reaches there."""
    model = tiny_model(forward_steps=3, z2_units=0, f_latent_size=0)
    q_z = model.encode(X)["q_z"]
    assert q_z.loc.shape == (6, 11, 2) and model.rates(X).shape == (6, 11, 5)
    assert np.ptp(q_z.loc[:, 8:], axis=0).max() == 0 and np.ptp(q_z.loc[:, :8], axis=0).max() > 0
    with_state = tiny_model(forward_steps=3, f_latent_size=0, z1_rnn_type="Dense")
    assert np.ptp(with_state.encode(X)["q_z"].loc[:, 8:], axis=0).max() > 0


@pytest.mark.parametrize("n_times, n_channels", [(0, 5), (8, 0), (8, 2.5), (8, None)])
def test_a_model_without_bins_or_channels_is_refused(n_times, n_channels):
    with pytest.raises(ValueError, match=re.escape(f"n_times={n_times!r}, n_channels={n_channels!r}")):
        tiny_model(n_times, n_channels)


def test_fewer_target_than_input_channels_are_refused():
    with pytest.raises(ValueError, match="out_dim=3 for 5 input channels.*held-out"):
        tiny_model(out_dim=3)


# --- a builder that serves twice ----------------------------------------------------------------

EVERY_PART = {
    "complex": {
        "gen_cell_type": "Complex", "coordinated_dropout_rate": 0.3, "ext_input_dim": 2, "n_sessions": 2,
        "dropout_rate": 0.1, "input_factors": 3, "z1_rnn_type": "BidirectionalGRUClip", "z1_lag": 1, "f_to_gen": "init",
        "missing_data": True, "sample_validation_rate": 0.2, "forward_steps": 1, "z2_type": "GRUClip",
    },
    "stages": {
        "f_enc_input_samps": 2, "f_units": [3, 4], "f_enc_reduce": "all_last", "f_to_z": "z2", "f_to_gen": "both",
        "gen_cell_type": "LSTM", "dropout_rate": 0.1, "z_prior_process": "GRU",
    },
    "labels": {
        "u_dim": 2, "u_type": "continuous", "q_cond": "product", "f_prior_type": "cond", "z_prior_process": "cond",
        "f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "Dense", "f_to_z": "z1", "f_to_gen": "tile",
        "gen_cell_type": "Dense",
    },
}  # fmt: skip


def whole_network(params, x, read, name):
    """All builders on the same inputs: what they give, by name."""
    u, session = read.get("u"), read.get("session")
    f_in, z_in, _ = beta_vae.prepare_inputs(params, x, read.get("sample_mask"), session, u, name=name)
    mask = beta_vae.create_time_mask(params, x, name=name)
    f_prior, z_prior = (make(params, name=name) for make in (beta_vae.create_f_prior, beta_vae.create_z_prior))
    p_f, p_z = (None, None) if u is None else (f_prior(u), z_prior(u))
    q_f = beta_vae.make_f_variational(
        params, beta_vae.create_f_encoder(params, f_in, mask, name=name), u, p_f, name=name
    )
    enc_z = beta_vae.create_z_encoder(params, z_in, q_f, mask, name=name)
    if params["gen_cell_type"] == "Complex":
        ext_input = read.get("ext_input")
        gen_out, factors, _, q_z = beta_vae.create_generator_complex(params, q_f.mean(), enc_z, ext_input, name=name)
    else:
        q_z = beta_vae.make_z_variational(params, enc_z, u, p_z, name=name)
        gen_out, factors = beta_vae.create_generator(params, q_f.mean(), q_z.mean(), mask=mask, name=name)
    p_x = beta_vae.output_dist(params, factors, session, name=name)
    kl = {} if u is not None else {"kl_f": f_prior(q_f), "kl_z": z_prior(q_z)}
    return {"gen_out": gen_out, "rates": p_x.mean(), "q_z": q_z.loc, **kl}


@pytest.mark.parametrize("case", EVERY_PART)
def test_a_name_sets_a_second_network_apart(case):
    params = preset("default", **{**TINY, "out_dim": 5, **EVERY_PART[case]})
    inputs = {"x": keras.Input((8, 5)), "sample_mask": keras.Input((8, 5)), "ext_input": keras.Input((9, 2))}
    inputs |= {"session": keras.Input((), dtype="int32")}
    present = {"sample_mask": "sample_validation_rate", "ext_input": "ext_input_dim"}
    inputs = {name: t for name, t in inputs.items() if name not in present or params[present[name]]}
    if params["n_sessions"] == 1:
        del inputs["session"]
    if params["u_dim"]:
        inputs["u"] = beta_vae.create_label_input(params, 8)

    def network(name):
        return whole_network(params, inputs["x"], inputs, name)

    # Keras refuses a model in which two layers have one name.
    layers = {layer.name: layer for layer in keras.Model(inputs, [network(""), network("b_")]).layers}
    first = {name for name, layer in layers.items() if layer.weights and not name.startswith("b_")}
    assert {name for name, layer in layers.items() if layer.weights} == first | {f"b_{name}" for name in first}
    # Nothing draws twice the same, whatever its name.
    seeds = [layer.seed for layer in layers.values() if getattr(layer, "seed", None) is not None]
    assert len(seeds) == len(set(seeds)) > 1
