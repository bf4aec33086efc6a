"""Export to a SavedModel that runs where this library is not installed."""

from __future__ import annotations

from pathlib import Path

import keras

from indl.files import atomic
from indl.model.latent_model import LatentModel


def export_saved_model(model: LatentModel, path: Path | str, overwrite: bool = False) -> Path:
    """Writes a SavedModel with the endpoints ``rates`` and ``encode``, both on posterior means.

    ``rates(x)`` gives ``{"rates", "factors"}``; ``encode(x)`` gives ``{"q_f_loc", "q_f_scale", "q_z_loc",
    "q_z_scale"}`` (those the model has). x is float32 (trials, time, channels); a model that reads more takes the other
    arrays after it, in the order of its ``input_names``; `time` is free for a model that was
    built with ``n_times=None``. Load it with ``tf.saved_model.load(path)`` and keep the loaded object while calling.

    Args:
        model: a built model.
        path: folder to write; it appears whole or not at all.
        overwrite: replace an existing folder.

    Raises:
        FileExistsError: the folder exists and `overwrite` is not set.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"The export would replace something. Given: {path}, which exists. "
            "Choose another path, or pass overwrite=True."
        )
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name in ("rates", "encode"):
        archive.add_endpoint(name, *model.inference_function(name))
    with atomic(path) as temporary:
        archive.write_out(str(temporary), verbose=False)
    return path
