"""Random masks of dropout: cheap to draw, in a plain graph and in a compiled one."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.registry import register
from indl.sampling.draws import words

_LEVELS = 1 << 16


def keep_mask(shape: Any, rate: float, seed_generator: keras.random.SeedGenerator) -> Any:
    """Draws which entries stay: bool of `shape`, each False with probability `rate` (to 1 / 65536).

    One random word of 32 bits serves two entries: in a compiled step of LFADS the drawing of one float an entry took a
    third of the time. The generator is the one that is fast where it runs, so both modes draw different masks.
    """
    *lead, last = (shape[i] for i in range(len(shape)))
    pairs = words((*lead, (last + 1) // 2), seed_generator)
    low = tf.bitwise.bitwise_and(pairs, tf.constant(_LEVELS - 1, tf.uint32))
    high = tf.bitwise.right_shift(pairs, tf.constant(16, tf.uint32))
    return tf.cast(tf.concat([low, high], -1)[..., :last], tf.int32) >= round(rate * _LEVELS)


def dropout_mask(shape: Any, rate: float, seed_generator: keras.random.SeedGenerator, dtype: Any) -> Any:
    """What dropout multiplies with: 0, or 1 / (1 - rate)."""
    keep = keep_mask(shape, rate, seed_generator)
    return tf.where(keep, tf.constant(1 / (1 - rate), dtype), tf.zeros((), dtype))


@register
class Dropout(keras.layers.Layer):
    """Dropout: in training each entry is zero with probability `rate`, and else divided by 1 - rate.

    Args:
        rate: fraction of dropped entries.
        seed: integer seed of the layer's own stream.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout needs 0 <= rate < 1. Given: rate={rate!r}. LFADS uses 0.05 to 0.3.")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool | None = None) -> Any:
        if not training or not self.rate:
            return x
        return x * dropout_mask(ops.shape(x), self.rate, self.seed_generator, x.dtype)

    def compute_output_spec(self, x: Any, training: bool | None = None) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
