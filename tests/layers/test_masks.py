"""Random masks of dropout: their rates, independence and scale, in a plain graph and in a compiled one."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.layers.masks import Dropout, dropout_mask, keep_mask
from indl.sampling.draws import compiled
from tests.checks import assert_same, check_layer

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
# 101 entries a row: the last random word of a row serves one entry alone.
SHAPE = (50, 20, 101)


def draws(rate, calls=1, shape=SHAPE, seed=1, jit=False):
    """Masks of successive calls, as floats."""
    seeds = keras.random.SeedGenerator(seed)

    def draw():
        with compiled(jit):
            return keep_mask(shape, rate, seeds)

    function = tf.function(draw, jit_compile=jit)
    return [np.asarray(function(), "float64") for _ in range(calls)]


def assert_rate(kept, expected):
    """The mean of entries that are 0 or 1 is within four standard errors of `expected`."""
    error = np.sqrt(expected * (1 - expected) / kept.size)
    assert abs(kept.mean() - expected) <= 4 * error


def assert_uncorrelated(a, b, rate):
    """Pairs of entries meet as often as independent ones."""
    a, b = np.broadcast_arrays(a, b)
    product = ((a - (1 - rate)) * (b - (1 - rate))).ravel()
    assert abs(product.mean()) <= 4 * rate * (1 - rate) / np.sqrt(product.size)


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.5, 0.95])
def test_keep_rate(rate, jit):
    (kept,) = draws(rate, jit=jit)
    assert set(np.unique(kept)) == {0.0, 1.0}
    assert_rate(kept, 1 - rate)
    # Both entries of a word, and the entry that has one of its own.
    for columns in (slice(0, 51), slice(51, 101), slice(50, 51)):
        assert_rate(kept[..., columns], 1 - rate)


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_entries_and_calls_are_independent(jit):
    rate = 0.3
    first, second = draws(rate, calls=2, jit=jit)
    assert_uncorrelated(first, second, rate)
    # Entries that share a word, neighbours, and rows.
    assert_uncorrelated(first[..., :50], first[..., 51:], rate)
    assert_uncorrelated(first[..., :-1], first[..., 1:], rate)
    assert_uncorrelated(first[:, :-1], first[:, 1:], rate)
    assert_uncorrelated(first[:-1], first[1:], rate)
    # Whole masks of every two calls differ as often as independent ones do.
    assert_rate((first != second).astype(float), 2 * rate * (1 - rate))


def test_the_seed_determines_the_masks():
    assert_same(draws(0.3, calls=2, shape=(4, 9)), draws(0.3, calls=2, shape=(4, 9)))
    assert not np.array_equal(draws(0.3, shape=(4, 9), seed=1)[0], draws(0.3, shape=(4, 9), seed=2)[0])


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 1), (2, 3, 4, 5), (3, 0), (0, 4)])
def test_any_shape(shape):
    assert draws(0.5, shape=shape)[0].shape == shape


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_unknown_sizes(jit):
    seeds, traces = keras.random.SeedGenerator(0), []

    def draw(x):
        traces.append(1)
        with compiled(jit):
            return dropout_mask(keras.ops.shape(x), 0.5, seeds, x.dtype)

    function = tf.function(draw, input_signature=[tf.TensorSpec((None, None, 5), tf.float64)], jit_compile=jit)
    for lead in ((2, 3), (4, 1)):
        mask = function(np.zeros((*lead, 5)))
        assert mask.shape == (*lead, 5) and mask.dtype == tf.float64
    assert len(traces) == 1


def test_nearest_rate_of_its_resolution():
    """A rate is kept to 1 / 65536; one below half of that drops nothing, and nearly 1 leaves nothing."""
    assert draws(1e-6)[0].all()
    assert not draws(1 - 1e-6)[0].any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_is_kept_is_scaled(dtype):
    mask = dropout_mask((40, 30), 0.2, keras.random.SeedGenerator(0), dtype)
    assert mask.dtype == dtype
    values = np.unique(tf.cast(mask, tf.float64))
    assert np.array_equal(values, [0.0, float(tf.cast(tf.constant(1.25, dtype), tf.float64))])


@pytest.mark.parametrize("jit", [False, True], ids=["plain", "compiled"])
def test_the_layer_drops_scales_and_keeps_the_mean(jit):
    layer, x = Dropout(0.3, seed=1), np.full(SHAPE, 2.0, "float32")

    def run(x):
        with compiled(jit):
            return layer(x, training=True)

    function = tf.function(run, jit_compile=jit)
    one, two = (np.asarray(function(x)) for _ in range(2))
    assert_rate((one != 0).astype(float), 0.7)
    np.testing.assert_allclose(one[one != 0], 2 / 0.7, rtol=1e-6)
    assert abs(one.mean() - 2) <= 4 * 2 * np.sqrt(0.3 / 0.7 / one.size)
    assert_uncorrelated((one != 0).astype(float), (two != 0).astype(float), 0.3)


def test_gradient_is_the_mask():
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Dropout(0.4, seed=1)(x, training=True)
    np.testing.assert_allclose(tape.gradient(y, x), np.where(np.asarray(y) == 0, 0, 1 / 0.6), rtol=1e-6)


@pytest.mark.parametrize("rate, training", [(0.4, False), (0.4, None), (0.0, True), (0.0, False)])
def test_off_at_inference_and_at_rate_zero(rate, training):
    assert_same(Dropout(rate, seed=1)(X, training=training), X)


def test_suite():
    check_layer(lambda: Dropout(0.4, seed=3), X, expected=X)
    layer = Dropout(0.4, seed=3, name="drop")
    twin = Dropout.from_config(layer.get_config())
    assert (twin.rate, twin.seed, twin.name) == (0.4, 3, "drop")
    assert_same(twin(X, training=True), layer(X, training=True))


def test_streams_of_two_layers_differ():
    one, two = (Dropout(0.5, seed=seed)(X, training=True) for seed in (1, 2))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match=rf"0 <= rate < 1. Given: rate={rate}. LFADS uses"):
        Dropout(rate)


def test_the_scope_ends_with_its_block_and_is_that_of_its_thread(monkeypatch):
    used, uniform = [], tf.raw_ops.StatelessRandomUniformFullIntV2
    philox, threefry = (int(tf.random.Algorithm[name].value) for name in ("PHILOX", "THREEFRY"))

    def spy(*, alg, **kwargs):
        used.append(alg)
        # Outside a compiled graph there may be no Threefry.
        return uniform(alg=philox, **kwargs)

    monkeypatch.setattr(tf.raw_ops, "StatelessRandomUniformFullIntV2", spy)

    def draw():
        keep_mask((2,), 0.5, keras.random.SeedGenerator(0))

    draw()
    with compiled(True):
        draw()
        with compiled(False):
            draw()
        draw()
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
    with pytest.raises(RuntimeError), compiled(True):
        raise RuntimeError
    draw()
    assert used == [philox, threefry, philox, threefry, philox, philox]
