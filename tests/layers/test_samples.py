"""The samples axis: folding, repeating, and the static latent beside a sequence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.samples import AppendStatic, FoldSamples, RepeatSamples, UnfoldSamples
from indl.sampling.layer import Sample
from indl.sampling.modes import GivenLatents, PosteriorSamples, current_sampling, sampling
from tests.checks import assert_mean, assert_same, check_layer

X = np.arange(2 * 3 * 4 * 5, dtype="float32").reshape(2, 3, 4, 5)


def test_fold_and_unfold_keep_the_samples_of_a_trial_together():
    for x in (X, X[:, :, 0]):
        folded = FoldSamples()(x)
        assert np.array_equal(folded, np.concatenate(list(x)))
        assert np.array_equal(UnfoldSamples(3)(folded), x)
    check_layer(FoldSamples, X, expected=np.concatenate(list(X)))


def test_unfold_suite():
    model = keras.Sequential([keras.Input((None, 5)), UnfoldSamples(3)])
    assert model.output_shape == (None, 3, None, 5)
    assert np.array_equal(model(np.concatenate(list(X))), X)
    assert UnfoldSamples.from_config(UnfoldSamples(3).get_config()).n == 3


def test_repeat_orders_rows_as_fold_does():
    x = X[:, 0]
    check_layer(lambda: RepeatSamples(3), x, expected=FoldSamples()(np.repeat(x[:, None], 3, axis=1)))
    assert np.array_equal(RepeatSamples(2)(x), x[[0, 0, 1, 1]])


def test_append_static():
    static = np.array([[10.0, 20.0], [30.0, 40.0]], "float32")
    sequence = X[:, 0]
    expected = np.stack([[np.append(row, static[b]) for row in sequence[b]] for b in range(2)])
    check_layer(AppendStatic, sequence, static, expected=expected)
    empty = AppendStatic()(np.zeros((2, 4, 0), "float32"), static)
    assert np.array_equal(empty, np.repeat(static[:, None], 4, axis=1))


@pytest.mark.parametrize("n", [None, 1, 3])
@pytest.mark.parametrize("full", [False, True])
def test_sample_layer(n, full):
    loc = X[:, 0]
    scale = np.broadcast_to(np.eye(5, dtype="float32"), (2, 4, 5, 5)) if full else np.ones_like(loc)
    expected = loc if n is None else np.repeat(loc[:, None], n, axis=1)
    check_layer(lambda: Sample(n, seed=1), loc, np.array(scale), expected=expected)
    layer = Sample(n, seed=1)
    draws = np.asarray(layer(loc, scale, training=True))
    assert draws.shape == expected.shape and np.all(draws != expected)
    if n == 3:
        assert not np.allclose(draws[:, 0] - loc, draws[:, 1] - loc)
    again = Sample(n, seed=1)
    assert_same(again(loc, scale, training=True), draws)
    assert not np.array_equal(again(loc, scale, training=True), draws)


def test_full_covariance_enters_by_its_factor():
    factor = np.array([[1.0, 0.0], [-2.0, 0.5]], "float32")
    loc, scale = np.zeros((40_000, 2), "float32"), np.broadcast_to(factor, (40_000, 2, 2))
    draws = np.asarray(Sample(seed=1)(loc, scale, training=True))
    assert_mean(draws[:, :, None] * draws[:, None, :], factor @ factor.T)


def test_no_samples_is_refused():
    with pytest.raises(ValueError, match="at least 1. Given: 0"):
        Sample(0)


# --- modes ------------------------------------------------------------------------------------


def test_posterior_samples_repeat_rows_and_number_the_draws():
    loc, scale = X[:, 0, 0], np.ones((2, 5), "float32")
    a, b = Sample(), Sample()

    def draw(seed):
        with sampling(PosteriorSamples(6, seed)):
            return np.asarray(a(loc, scale)), np.asarray(b(loc, scale))

    first, second = draw(1)
    assert first.shape == (6, 5)
    noise = first - np.repeat(loc, 3, axis=0)
    # Rows of one trial, and layers of one pass, have noise of their own.
    assert len(np.unique(noise)) == noise.size and not np.intersect1d(noise, second - np.repeat(loc, 3, axis=0)).size
    with sampling(PosteriorSamples(6, 1)):
        assert np.array_equal(a(loc, 0 * scale), np.repeat(loc, 3, axis=0))
    assert_same(draw(1), (first, second))
    assert not np.array_equal(draw(2)[0], first)


def test_posterior_samples_do_not_depend_on_the_order_of_calls():
    loc, scale = X[:, 0, 0], np.ones((2, 5), "float32")
    a, b = Sample(), Sample()

    def draw(*layers):
        with sampling(PosteriorSamples(2, 1, part=3, layers=[a.name, b.name])):
            return {layer.name: np.asarray(layer(loc, scale)) for layer in layers}

    both, swapped, alone = draw(a, b), draw(b, a), draw(b)
    assert np.array_equal(both[a.name], swapped[a.name]) and np.array_equal(both[b.name], swapped[b.name])
    assert np.array_equal(alone[b.name], both[b.name]) and not np.array_equal(both[a.name], both[b.name])
    with sampling(PosteriorSamples(2, 1, part=4, layers=[a.name, b.name])):
        assert not np.intersect1d(a(loc, scale), np.concatenate(list(both.values()))).size


def test_given_latents_fill_the_samples_axis_of_a_posterior():
    loc, given = X, tf.constant(X[:, 0] + 7)
    with sampling(GivenLatents({"mine": given})):
        found = Sample(name="mine")(loc, np.ones_like(X))
    assert np.array_equal(found, np.repeat(given[:, None], 3, axis=1))


def test_posterior_samples_align_what_has_not_been_sampled():
    static = tf.constant(X[:, 0, 0])
    with sampling(PosteriorSamples(6, 0)):
        f = Sample()(static, tf.ones_like(static))
        joined = np.asarray(AppendStatic()(X[:, 0], f))
        swapped = np.asarray(AppendStatic()(tf.repeat(X[:, 0], 3, axis=0), static))
        assert np.array_equal(RepeatSamples(2)(X[:, 0]), np.repeat(X[:, 0], 6, axis=0))
    assert np.array_equal(joined[..., :5], np.repeat(X[:, 0], 3, axis=0))
    assert np.array_equal(joined[:, 0, 5:], f)
    assert np.array_equal(swapped[:, 1, 5:], np.repeat(static, 3, axis=0))


def test_given_latents_replace_the_layer_of_their_name():
    loc, scale = X[:, 0, 0], np.ones((2, 5), "float32")
    with sampling(GivenLatents({"mine": tf.constant(loc + 7)})):
        assert np.array_equal(Sample(name="mine")(loc, scale), loc + 7)
        assert np.array_equal(Sample(2, name="mine")(loc, scale)[:, 1], loc + 7)
        assert np.array_equal(Sample(name="other")(loc, scale), loc)


def test_a_mode_ends_with_its_block():
    with pytest.raises(RuntimeError), sampling(GivenLatents({})):
        raise RuntimeError
    assert current_sampling() is None
