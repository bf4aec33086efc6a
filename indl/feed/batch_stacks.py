"""Rows in stacks of batches, so that one call of a compiled function trains many small steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from indl.feed.tf_data import untuned

#: A stack holds at most this many batches, and this many bytes.
MOST_BATCHES, MOST_BYTES = 64, 2**26


def batch_stacks(
    arrays: Mapping[str, np.ndarray], batch_size: int, shuffle: bool = True, seed: int = 0, first_epoch: int = 0
) -> tuple[tf.data.Dataset, int]:
    """An endless data set of ``(dict of arrays (batches, batch_size, ...), number of batches in use)``.

    Every row comes once an epoch, in a new order where shuffled. All stacks have one shape, for a compiled function
    is so for a shape; the rows left over make a last stack of one smaller batch.

    Args:
        arrays: arrays of the same number of rows.
        batch_size: rows of a batch.
        shuffle: False: batches of the rows in their order.
        seed: seed of the orders.
        first_epoch: number of the first epoch, which has an order of its own.

    Returns:
        The data set, and the number of its elements that are an epoch.
    """
    n = len(next(iter(arrays.values())))
    size = min(batch_size, n)
    bytes_of_a_batch = size * sum(array[:1].nbytes for array in arrays.values())
    depth = max(1, min(n // size, MOST_BATCHES, MOST_BYTES // max(bytes_of_a_batch, 1)))
    full = n // size * size

    def stacks() -> Iterator[tuple[dict[str, np.ndarray], int]]:
        for epoch in itertools.count(first_epoch):
            order = np.random.default_rng((seed, epoch)).permutation(n) if shuffle else np.arange(n)
            for i in range(0, full, depth * size):
                rows = order[i : min(i + depth * size, full)].reshape(-1, size)
                # What fills up the last stack is not used.
                filled = np.pad(rows, ((0, depth - len(rows)), (0, 0)), mode="edge")
                yield {name: array[filled] for name, array in arrays.items()}, len(rows)
            if full < n:
                yield {name: array[order[full:]][None] for name, array in arrays.items()}, 1

    signature = {
        name: tf.TensorSpec((None, None, *array.shape[1:]), array.dtype, name=name) for name, array in arrays.items()
    }
    found = tf.data.Dataset.from_generator(stacks, output_signature=(signature, tf.TensorSpec((), tf.int32)))
    return untuned(found.prefetch(1)), -(-full // (depth * size)) + (full < n)


def train_on_stack(step: Any, arrays: Mapping[str, Any], used: Any) -> None:
    """Calls `step` on each of the first `used` batches of a stack, in a loop that compiles."""

    def body(i: Any) -> tuple[Any]:
        step({name: array[i] for name, array in arrays.items()})
        return (i + 1,)

    tf.while_loop(lambda i: i < used, body, (tf.constant(0),))
