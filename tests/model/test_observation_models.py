"""Each observation model inside a SequentialVAE: it learns known means, saves, and refuses what it rules out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists import PoissonObservation
from tests.checks import assert_close, assert_same, saved_and_loaded, tiny_model

RNG = np.random.default_rng(0)
SIZE = (400, 6, 3)
SHAPE, RATE, Q = np.array([2.0, 6.0, 1.0]), np.array([4.0, 2.0, 0.5]), np.array([0.2, 0.5, 0.8])
GAMMA = RNG.gamma(SHAPE, 1 / RATE, SIZE)
# What is drawn, and the means that it is drawn from.
DATA = {
    "Poisson": (RNG.poisson([0.3, 2.0, 6.0], SIZE), [0.3, 2.0, 6.0]),
    "Gaussian": (RNG.normal([-2.0, 0.0, 3.0], [0.3, 1.0, 2.0], SIZE), [-2.0, 0.0, 3.0]),
    "MSE": (RNG.normal([-2.0, 0.0, 3.0], [0.3, 1.0, 2.0], SIZE), [-2.0, 0.0, 3.0]),
    "Gamma": (GAMMA, SHAPE / RATE),
    "ZeroInflatedGamma": (np.where(RNG.uniform(size=SIZE) < Q, GAMMA + 0.1, 0), Q * (SHAPE / RATE + 0.1)),
}
# Without recurrence, so that little is traced: nothing here depends on the encoder or the generator.
FLAT = {
    "dropout_rate": 0.0,
    "coordinated_dropout_rate": 0.0,
    "f_rnn_type": "Dense",
    "f_enc_reduce": "mean",
    "z_latent_size": 0,
    "gen_cell_type": "Dense",
    "f_to_gen": "tile",
}


def flat_model(dist, **changes):
    return tiny_model(SIZE[1], SIZE[2], output_dist=dist, **{**FLAT, **changes})


@pytest.mark.parametrize(
    "dist, changes",
    [
        ("ZeroInflatedGamma", {}),
        # Theirs are parts of the one above, or have a closed form.
        pytest.param("Poisson", {}, marks=pytest.mark.slow),
        pytest.param("Gaussian", {}, marks=pytest.mark.slow),
        pytest.param("Gamma", {}, marks=pytest.mark.slow),
        pytest.param("MSE", {}, marks=pytest.mark.slow),
        pytest.param("Gaussian", {"output_scale_link": "log_variance"}, marks=pytest.mark.slow),
    ],
)
def test_known_means_are_learned(dist, changes):
    data, means = DATA[dist]
    x = data.astype("float32")
    model = flat_model(dist, q_f_samples=2, **changes)
    steps = keras.optimizers.schedules.CosineDecay(0.15, 6 * 20)
    model.compile(keras.optimizers.Adam(steps, global_clipnorm=20.0), jit_compile=False)
    history = model.fit(x, epochs=6, batch_size=20, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    np.testing.assert_allclose(model.rates(x).mean((0, 1)), means, rtol=0.12, atol=0.15)
    np.testing.assert_allclose(model.generate(400, SIZE[1], seed=1)["x"].mean((0, 1)), means, rtol=0.2, atol=0.2)

    p_x = model(x, training=False)["p_x"]
    if dist == "ZeroInflatedGamma":
        np.testing.assert_allclose(np.asarray(p_x.event_probability()).mean((0, 1, 2)), Q, atol=0.06)
        assert np.all(p_x.floor == np.float32(0.1))
    loaded = saved_and_loaded(model)
    again = loaded(x, training=False)["p_x"]
    assert type(again) is type(p_x)
    assert_same(again, p_x)
    expected = type(p_x)(*(np.mean(part, 1) for part in p_x)).log_prob(x)
    assert_close(loaded.log_prob(x), expected)


@pytest.mark.parametrize("dist", DATA)
def test_a_read_out_can_start_from_the_data(dist):
    data, _ = DATA[dist]
    model = flat_model(dist)
    model.init_readout(data)
    readout = model.get_layer("readout")
    start = readout(np.zeros((1, 1, readout.kernel.shape[0]), "float32")).mean()[0, 0]
    np.testing.assert_allclose(start, data.mean((0, 1)), rtol=1e-4)


def test_read_out_settings_arrive():
    assert flat_model("Gamma", log_rate_clip=3.0).get_layer("readout").log_clip == 3.0
    assert flat_model("ZeroInflatedGamma", gamma_loc=0.25).get_layer("readout").gamma_loc == 0.25
    assert flat_model("Gaussian", output_scale_link="log_variance").get_layer("readout").scale_link == "log_variance"


def test_the_constant_of_the_likelihood_is_that_of_the_params():
    x = DATA["Poisson"][0].astype("float32")
    exact, stirling = flat_model("Poisson"), flat_model("Poisson", log_factorial="stirling")
    stirling.set_weights(exact.get_weights())
    p_x = exact(x)["p_x"]
    for model, name in ((exact, "exact"), (stirling, "stirling")):
        expected = -np.asarray(p_x.log_prob(x, name)).sum((1, 2))
        assert_close(model.loss_terms(tf.constant(x), model(x))["nll"], expected)
    # Scores of single elements stay exact.
    assert_same(stirling.log_prob(x), exact.log_prob(x))
    assert isinstance(p_x, PoissonObservation)


@pytest.mark.parametrize("dist", DATA)
def test_missing_samples_spoil_no_gradient(dist):
    x = DATA[dist][0].astype("float32")
    model = flat_model(dist, missing_data=True)
    model.compile(keras.optimizers.SGD(1e-4))
    holes = np.where(RNG.uniform(size=x.shape) < 0.2, np.nan, x)[:50]
    model.check_arrays(holes)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(holes, holes, model(holes, training=True))
    found = tape.gradient(loss, [v.value for v in model.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in found)
    # What stands in a hole has no say.
    outputs = model(holes)
    observed = np.where(np.isnan(holes), 0, np.asarray(outputs["p_x"].log_prob(np.nan_to_num(holes, nan=1.0))))
    assert_close(model.loss_terms(tf.constant(holes), outputs)["nll"], -observed.sum((1, 2)))


def test_targets_that_the_model_rules_out_are_refused():
    gamma, events = flat_model("Gamma"), flat_model("ZeroInflatedGamma", gamma_loc=0.5)
    x = DATA["Gamma"][0].astype("float32") + 1
    for model in (gamma, events):
        model.check_arrays(x)
    bad = x.copy()
    bad[3, 2, 1] = 0
    with pytest.raises(ValueError, match=r"x must be above 0.*1 too small.*\(3, 2, 1\): 0\.0\..*zero-inflated"):
        gamma.check_arrays(bad)
    events.check_arrays(bad)
    # Only what is reconstructed must be positive.
    gamma.check_arrays(-x, x)
    for value in (0.5, -1.0):
        bad[3, 2, 1] = value
        with pytest.raises(ValueError, match=r"y must be 0 or above 0\.5.*\(3, 2, 1\).*gamma_loc"):
            events.check_arrays(x, bad)
    bad[3, 2, 1] = 0.6
    events.check_arrays(x, bad)
