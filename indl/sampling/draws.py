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
    return tf.random.stateless_uniform(shape, minval=None, maxval=None, dtype=tf.uint32, **_stream(seed_generator))


def normal(shape: Any, dtype: Any, seed_generator: keras.random.SeedGenerator) -> Any:
    """Standard normal numbers of `shape`."""
    return tf.random.stateless_normal(shape, dtype=dtype, **_stream(seed_generator))


def _stream(seed_generator: keras.random.SeedGenerator) -> dict[str, Any]:
    # Threefry needs no wide products, which XLA does not vectorize on CPU; the plain kernels know Philox alone.
    alg = "threefry" if getattr(_scope, "on", False) else "philox"
    return {"seed": tf.cast(seed_generator.next(), tf.int32), "alg": alg}


def reparameterize(loc: Any, scale: Any, noise: Any) -> Any:
    """``loc + scale * noise``; `scale` may be a Cholesky factor with one more axis."""
    if len(scale.shape) == len(loc.shape) + 1:
        return loc + ops.matmul(scale, noise[..., None])[..., 0]
    return loc + scale * noise
