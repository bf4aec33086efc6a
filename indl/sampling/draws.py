"""Random numbers by the generator that is fast where they are drawn: in a plain graph or in a compiled one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

_scope = threading.local()
# The generators of Salmon et al. 2011.
_PHILOX, _THREEFRY = tf.random.Algorithm.PHILOX.value, tf.random.Algorithm.THREEFRY.value


@contextlib.contextmanager
def compiled(on: bool) -> Iterator[None]:
    """Tells what is traced within the block whether it will be compiled by XLA."""
    previous, _scope.on = getattr(_scope, "on", False), on
    try:
        yield
    finally:
        _scope.on = previous


def words(shape: Any, seed_generator: keras.random.SeedGenerator) -> Any:
    """Random words of 32 bits, uint32 of `shape`."""
    return tf.raw_ops.StatelessRandomUniformFullIntV2(dtype=tf.uint32, **_stream(shape, seed_generator))


def normal(shape: Any, dtype: Any, seed_generator: keras.random.SeedGenerator) -> Any:
    """Standard normal numbers of `shape`."""
    return tf.raw_ops.StatelessRandomNormalV2(dtype=dtype, **_stream(shape, seed_generator))


def _stream(shape: Any, seed_generator: keras.random.SeedGenerator) -> dict[str, Any]:
    # Both generators are made for keys that count up: seed and number of the draw are the key as they are. Mixing them
    # first, as TensorFlow does, makes each draw four times as many operations.
    key = tf.bitcast(tf.cast(seed_generator.next(), tf.uint32), tf.uint64)
    # Threefry needs no wide products, which XLA does not vectorize on CPU; the plain kernels know Philox alone.
    alg = _THREEFRY if getattr(_scope, "on", False) else _PHILOX
    size = tf.convert_to_tensor(shape, tf.int32)
    return {"shape": size, "key": key[None], "counter": tf.zeros(2, tf.uint64), "alg": alg}


def reparameterize(loc: Any, scale: Any, noise: Any) -> Any:
    """``loc + scale * noise``; `scale` may be a Cholesky factor with one more axis."""
    if len(scale.shape) == len(loc.shape) + 1:
        return loc + ops.matmul(scale, noise[..., None])[..., 0]
    return loc + scale * noise
