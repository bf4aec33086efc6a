"""Reading saved models: the one place that imports every class that a saved model may name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

import indl.model.families  # noqa: F401  registers the classes of all families
from indl.model.latent_model import LatentModel


def load_model(path: Path | str) -> LatentModel:
    """The model in a ``.keras`` file, with its optimizer and the optimizer's state, so that training can go on.

    Keras reads it in safe mode: code in the file is not run.

    Args:
        path: a ``.keras`` file; or the folder of a run, whose ``model.keras`` is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold a model of this library.
    """
    path = Path(path).expanduser()
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no model. Given: {path}. Name a model.keras, or the folder that `indl train` wrote."
        )
    advice = "Name a model.keras that `indl train`, or model.save, wrote."
    if not zipfile.is_zipfile(file):
        raise ValueError(f"The file does not hold a model. Given: {file}, which is no Keras archive. {advice}")
    try:
        model = keras.saving.load_model(file)
    except (ValueError, TypeError, KeyError, OSError, AttributeError) as error:
        raise ValueError(
            f"The file does not hold a model. Given: {file} ({type(error).__name__}: {error}). {advice}"
        ) from error
    if not isinstance(model, LatentModel):
        raise ValueError(f"The file holds another model. Given: {file}, a {type(model).__name__}. {advice}")
    return model
