"""A `tf.data` pipeline over batches of trials."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from indl.data.batches.batches import Batches

_PREFETCHED = 2


def dataset(
    batches: Batches, names: tuple[Any, ...] = ("encod", "recon"), first_epoch: int = 0, epochs: int | None = None
) -> tf.data.Dataset:
    """The batches of successive epochs, in exactly the order of `batches`, for Keras's `fit`.

    An endless data set needs ``steps_per_epoch=len(batches)``. Two batches are read ahead in a thread, unless they are
    slices of arrays in memory.

    Args:
        batches: The batches.
        names: Names of input and target among the arrays of `batches`. An entry may be a tuple or a dict of names,
            for a model of several inputs. Where the target is the very array that the input is, and batches are not
            augmented, an element is ``(x,)``: such a model is its own target, and the trials are gathered once.
        first_epoch: Epoch to begin with, as `initial_epoch` of `fit`.
        epochs: Number of epochs. None: endless.

    Returns:
        A data set of tuples of float32 tensors (trials of the batch, ...), whose first axis has no fixed size.

    Example:
        >>> import numpy as np
        >>> from indl.data import Batches
        >>> from indl.feed.tf_data import dataset
        >>> counts = np.ones((6, 5, 3))
        >>> dataset(Batches({"encod": counts, "recon": counts}, 4)).element_spec
        (TensorSpec(shape=(None, 5, 3), dtype=tf.float32, name=None),)
    """
    arrays = batches.arrays
    unknown = [name for name in tf.nest.flatten(names) if name not in arrays]
    if unknown:
        raise ValueError(f"There is no array {unknown[0]!r}. Given: {', '.join(arrays)}. Give names among these.")
    plain = len(names) == 2 and not any(map(tf.nest.is_nested, names)) and batches.augment is None
    if plain and arrays[names[0]] is arrays[names[1]]:
        names = names[:1]
    wanted = tf.nest.flatten(names)

    if all(isinstance(arrays[name], np.ndarray) for name in wanted) and batches.fixed:
        # Nothing but slices of what is in memory: a generator that begins anew in every epoch would cost more.
        # An input that is its own target is held once.
        held = {id(array): array for array in (arrays[name] for name in wanted)}
        held = {key: tf.constant(np.asarray(array, np.float32)) for key, array in held.items()}
        found = tf.nest.map_structure(lambda name: held[id(arrays[name])], names)
        return untuned(tf.data.Dataset.from_tensor_slices(found).batch(batches.batch_size).repeat(epochs))

    def elements() -> Iterator[Any]:
        numbers = itertools.count(first_epoch) if epochs is None else range(first_epoch, first_epoch + epochs)
        for epoch in numbers:
            for i in range(len(batches)):
                found = batches.batch(epoch, i, wanted)
                yield tf.nest.map_structure(found.__getitem__, names)

    def spec(name: str) -> tf.TensorSpec:
        return tf.TensorSpec((None, *np.shape(arrays[name])[1:]), tf.float32)

    specs = tf.nest.map_structure(spec, names)
    found = untuned(tf.data.Dataset.from_generator(elements, output_signature=specs).prefetch(_PREFETCHED))
    if epochs is None:
        return found
    return found.apply(tf.data.experimental.assert_cardinality(epochs * len(batches)))


def untuned(data: tf.data.Dataset) -> tf.data.Dataset:
    """Without autotuning: there is nothing to tune, and its thread holds up the end of an iterator for 0.25 s."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)
