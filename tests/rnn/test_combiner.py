"""The combiner against a plain loop, its gradient against automatic differentiation, and the modes it samples in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.dists import GatedPrior
from indl.layers.scale_link import LINKS
from indl.rnn import combiner
from indl.rnn.combiner import CombinerPosterior
from indl.sampling.modes import GivenLatents, GivenNoise, PosteriorSamples, sampling
from tests.checks import assert_close, check_layer, untrained

BATCH, TIME, UNITS, SIZE, STATIC = 3, 6, 5, 2, 4
RNG = np.random.default_rng(0)
ENCODED = RNG.normal(size=(BATCH, TIME, 2 * UNITS))
F = RNG.normal(size=(BATCH, STATIC))
NOISE = RNG.normal(size=(BATCH, TIME, SIZE))


def layer_of(directions=1, static=False, transition=(), **settings):
    """A float64 layer with every weight away from its start."""
    layer = CombinerPosterior(SIZE, directions, dtype="float64", name="q_z", **settings)
    layer(tf.constant(encoded_of(directions)), tf.constant(F) if static else None, transition)
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def encoded_of(directions):
    return ENCODED[..., : directions * UNITS]


def softplus(x):
    return np.logaddexp(0, x)


SCALES = {
    "softplus": lambda raw: softplus(raw) + 1e-5,
    "log_variance": lambda raw: np.exp(raw / 2),
    "softplus_variance": lambda raw: np.sqrt(softplus(raw)),
}


def loop(layer, directions, static, noise):
    """The path, means and scales of the formulas, one trial and bin after another."""
    w, b = (np.asarray(part) for part in layer.maps["z"])
    heads = [[np.asarray(part) for part in pair] for pair in layer.heads]
    z, found = np.zeros((BATCH, SIZE)), []
    if layer.train_start:
        z = z + np.asarray(layer.z_start)
    for t in range(TIME):
        terms = [np.tanh(z @ w + b), *np.split(encoded_of(directions)[:, t], directions, -1)]
        if static:
            kernel, bias = (np.asarray(part) for part in layer.maps["f"])
            terms.append(np.tanh(F @ kernel + bias))
        mean = sum(terms) / len(terms)
        loc, raw = (mean @ kernel + bias for kernel, bias in heads)
        scale = SCALES[layer.link](raw)
        z = loc + scale * noise[:, t]
        found.append((z, loc, scale))
    return [np.stack(part, 1) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("directions, static", [(1, False), (2, False), (1, True), (2, True)])
@pytest.mark.parametrize("link", LINKS)
def test_the_mean_over_all_terms(link, directions, static):
    """Weights of 1/2, 1/3 and 1/4, for as many terms as there are."""
    layer = layer_of(directions, static, link=link, train_start=True)
    with sampling(GivenNoise({"q_z": NOISE})):
        found = layer(tf.constant(encoded_of(directions)), tf.constant(F) if static else None)
    for name, wanted in zip(("z", "loc", "scale"), loop(layer, directions, static, NOISE), strict=True):
        assert_close(found[name], wanted, 1e-12)
        assert_close(found[f"path_{name}" if name != "z" else "path"], wanted, 1e-12)


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_own_gradient_equals_automatic_differentiation(link, drawn, monkeypatch):
    layer = layer_of(2, True, link=link, train_start=True)
    encoded, f = tf.constant(ENCODED), tf.constant(F)
    variables = [v.value for v in layer.trainable_variables]

    def values_and_gradients():
        mode = GivenNoise({"q_z": NOISE} if drawn else {})
        with sampling(mode), tf.GradientTape() as tape:
            tape.watch([encoded, f])
            out = layer(encoded, f, training=True)
            total = sum(tf.reduce_sum(tf.sin((i + 1) * out[name])) for i, name in enumerate(("z", "loc", "scale")))
        return [total, *tape.gradient(total, [encoded, f, *variables])]

    own = values_and_gradients()
    scan = combiner.scan
    monkeypatch.setattr(combiner, "scan", lambda lanes, own_gradient: scan(lanes, own_gradient=False))
    for a, b in zip(own, values_and_gradients(), strict=True):
        assert_close(a, b, 1e-10)
        assert np.any(b)


def test_means_drive_the_model_at_inference_and_a_path_of_its_own_the_divergence():
    layer = layer_of(seed=3)
    encoded = tf.constant(encoded_of(1))
    found, again = layer(encoded), layer(encoded)
    assert_close(found["z"], loop(layer, 1, False, np.zeros_like(NOISE))[0], 1e-12)
    assert_close(found["z"], found["loc"], 0)
    assert_close(found["path"], again["path"], 0)
    noise = (found["path"] - found["path_loc"]) / found["path_scale"]
    # What was drawn is standard normal, and its means and scales are those along the very path.
    assert_close(found["path_loc"], loop(layer, 1, False, np.asarray(noise))[1], 1e-9)
    assert 0.5 < np.std(noise) < 1.5


def test_a_sample_in_training_is_its_own_path():
    layer = layer_of(seed=3)
    one, two = (layer(tf.constant(encoded_of(1)), training=True) for _ in range(2))
    assert np.all(one["z"] != two["z"])
    for name in ("loc", "scale"):
        assert_close(one[name], one[f"path_{name}"], 0)
    assert_close(one["z"], one["path"], 0)


def test_given_latents_and_their_posterior():
    layer = layer_of()
    given = RNG.normal(size=(BATCH, TIME, SIZE))
    with sampling(GivenLatents({"q_z": given})):
        found = layer(tf.constant(encoded_of(1)))
    assert_close(found["z"], given, 0)
    noise = (given - found["loc"]) / found["scale"]
    assert_close(found["loc"], loop(layer, 1, False, np.asarray(noise))[1], 1e-9)


def test_samples_of_every_trial():
    """One pass with repeated rows, and a samples axis of the layer's own."""
    encoded = tf.constant(encoded_of(1))
    layer = layer_of()
    with sampling(PosteriorSamples(4 * BATCH, 7)):
        found = layer(encoded)
    assert found["z"].shape == (4 * BATCH, TIME, SIZE)
    noise = np.asarray((found["z"] - found["loc"]) / found["scale"]).reshape(BATCH, 4, TIME, SIZE)
    for s in range(4):
        assert_close(found["z"][s::4], loop(layer, 1, False, noise[:, s])[0], 1e-9)
    many = layer_of(n=4)
    drawn = many(encoded, training=True)
    assert drawn["z"].shape == (BATCH, 4, TIME, SIZE)
    noise = np.asarray((drawn["z"] - drawn["loc"]) / drawn["scale"])
    assert_close(drawn["z"][:, 2], loop(many, 1, False, noise[:, 2])[0], 1e-9)


def test_the_product_adds_precisions():
    prior = GatedPrior(SIZE, 3, dtype="float64")
    for variable in prior.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    transition = prior.transition_weights()
    layer = layer_of(1, False, transition, transition_link="softplus_variance")
    encoded = tf.constant(encoded_of(1))
    with sampling(GivenNoise({"q_z": NOISE})):
        found = layer(encoded, None, transition)
    kernel, bias = (np.asarray(part) for part in layer.maps["h"])
    features = np.tanh(encoded_of(1) @ kernel + bias)
    loc, raw = (features @ np.asarray(kernel) + np.asarray(bias) for kernel, bias in layer.heads)
    precision = 1 / SCALES["softplus"](raw) ** 2
    z = np.zeros((BATCH, SIZE))
    for t in range(TIME):
        p = prior.transition(z)
        own = 1 / np.asarray(p.scale) ** 2
        total = own + precision[:, t]
        mean = (own * np.asarray(p.loc) + precision[:, t] * loc[:, t]) / total
        z = mean + NOISE[:, t] / np.sqrt(total)
        assert_close(found["loc"][:, t], mean, 1e-10)
        assert_close(found["scale"][:, t], total**-0.5, 1e-10)
        assert_close(found["z"][:, t], z, 1e-10)


def test_suite():
    check_layer(
        lambda: CombinerPosterior(SIZE, 1, seed=1, train_start=True),
        encoded_of(1).astype("float32"),
        outputs_of=lambda out: [out["z"], out["scale"]],
    )


def test_a_bad_link_is_told():
    with pytest.raises(ValueError, match="link='exp'.*softplus, log_variance, softplus_variance"):
        CombinerPosterior(2, link="exp")


@pytest.mark.parametrize("compiled", [True, False])
def test_every_weight_trains_in_a_graph(compiled):
    keras.utils.set_random_seed(0)
    layer = CombinerPosterior(SIZE, 2, train_start=True, seed=1)
    encoded, f = tf.constant(ENCODED, "float32"), tf.constant(F, "float32")
    layer(encoded, f)
    variables = [v.value for v in layer.trainable_variables]

    @tf.function(jit_compile=compiled, autograph=False)
    def step():
        with tf.GradientTape() as tape:
            out = layer(encoded, f, training=True)
            loss = tf.reduce_sum(tf.square(out["z"])) + tf.reduce_sum(tf.math.log(out["scale"]))
        return tape.gradient(loss, variables)

    assert not untrained(layer.trainable_variables, step())
