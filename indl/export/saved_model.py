"""Export to a SavedModel that runs where this library is not installed."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from indl.files import (
    OutputError,
    WriteError,
    atomic,
    check_folder,
    claim_folder,
    clear_folder,
    expanded,
    mark_folder,
    refusal,
)
from indl.files.kinds import SAVED_MODEL
from indl.model.latent_model import LatentModel

#: What every reader of a SavedModel looks for first.
_LOADED_BY = "saved_model.pb"


def export_saved_model(model: LatentModel, path: Path | str, overwrite: bool = False) -> Path:
    """Writes a SavedModel with the endpoints ``rates`` and ``encode``, both on posterior means.

    ``rates(x)`` gives ``{"rates", "factors"}``; ``encode(x)`` gives ``{"q_f_loc", "q_f_scale", "q_z_loc",
    "q_z_scale"}`` (those the model has). x is float32 (trials, time, channels); a model that reads more takes the other
    arrays after it, in the order of its ``input_names`` or under these names; `time` is free for a model that was
    built with ``n_times=None``. Load it with ``tf.saved_model.load(path)`` and keep the loaded object while calling.

    Args:
        model: a built model.
        path: folder to write; a new one appears whole or not at all.
        overwrite: replace an export that is there, file by file; what else the folder holds stays. While that is done,
            it has no ``saved_model.pb``, without which nothing loads it.

    Raises:
        OutputError: the folder holds an export and `overwrite` is not set, or it is not one that this wrote; or its
            path has letters that TensorFlow's reader takes for patterns.
        WriteError: the disk is full, or otherwise refuses.
    """
    if any(letter in str(path) for letter in "[]*?"):
        # The reader takes them for patterns.
        raise OutputError(
            f"TensorFlow could not read an export at such a path. Given: {path}. Leave out the letters [ ] * ?."
        )
    folder = check_folder(path, SAVED_MODEL)
    if (folder / _LOADED_BY).exists() and not overwrite:
        raise OutputError(
            f"The export would replace another one. Given: {path}, which exists. Choose another path, or pass "
            "overwrite=True (--overwrite)."
        )
    archive = keras.export.ExportArchive()
    # Of the graph alone: what only trains with the model is left behind.
    archive.track(keras.Model(model.inputs, model.outputs))
    for name in ("rates", "encode"):
        archive.add_endpoint(name, *model.inference_function(name))

    def clear() -> None:
        # From here on the folder is known as an export, whatever happens.
        claim_folder(folder, SAVED_MODEL)
        clear_folder(folder, SAVED_MODEL)

    with atomic(folder, last=_LOADED_BY, clear=clear) as temporary:
        try:
            archive.write_out(str(temporary), verbose=False)
        except tf.errors.ResourceExhaustedError as error:
            # The same error tells of memory and of disks.
            if refusal(error) is None:
                raise
            raise WriteError(folder, error) from error
        except tf.errors.OpError as error:
            raise WriteError(folder, error) from error
        mark_folder(temporary, SAVED_MODEL)
    return expanded(path)
