"""Saved models, read back: the one place that imports every class that a file may name."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import keras

import indl.model.families  # noqa: F401  registers the classes of all families
from indl import __version__
from indl.files import expanded
from indl.loading.config import problem_of
from indl.model.latent_model import LatentModel

_SUFFIX = ".keras"
_CONFIG = "config.json"


class ModelError(ValueError):
    """A path without a saved model, or a file that cannot be read as a model of this library."""


def load_model(path: Path | str) -> LatentModel:
    """A saved model, as it was when it was saved: it infers, and trains on, to the same numbers.

    Weights, the optimizer with its state, the weights of the terms and the states of the random generators come back,
    and the params it was built from, as ``model.params``. Code that a file carries is never run (``safe_mode``). A
    model with layers of your own needs their classes registered and imported first.

    Args:
        path: a ``.keras`` file, or the folder of a run, whose ``model.keras`` is read.

    Raises:
        ModelError: there is no model at `path`, or the file is damaged, or its model is not of this library.

    Example:
        >>> model = indl.load_model("run")  # the folder that indl.runs.execute, or the command line, wrote
        >>> rates = model.rates(recording.valid.encod)
    """
    file = _file(expanded(path))
    kind, version, problem = _described(file)
    found = keras.saving.get_registered_object(kind)
    if not (isinstance(found, type) and issubclass(found, LatentModel)):
        raise ModelError(
            f"The file holds a model that this library does not know. Given: {file}, a {kind}. Load it with "
            "keras.saving.load_model; if the class is your own, import the module that registers it first."
        )
    if problem is not None:
        raise ModelError(
            f"The model is not loaded: {problem}. Given: {file}. Use another copy of the file; if it has layers of "
            "your own, import the modules that register them first."
        )
    try:
        return keras.saving.load_model(file, safe_mode=True)
    # A damaged or foreign part fails with the error of whatever was made of it.
    except Exception as error:
        raise ModelError(
            f"The model cannot be read: a part of it is damaged, or not as this library writes it. Given: {file}, "
            f"written by indl {version} and read by {__version__}. Use another copy of the file; if the model has "
            "layers of your own, import the modules that register them first."
        ) from error


def _file(path: Path) -> Path:
    """The file of the model at a path."""
    file = path / f"model{_SUFFIX}" if path.is_dir() else path
    if file.is_file():
        # Models of earlier versions, in which Keras does not heed its safe mode (CVE-2025-9905), or recordings.
        if h5py.is_hdf5(file):
            raise ModelError(
                "The file does not hold a model that can be loaded: it is HDF5, which Keras cannot keep from running "
                f"code. Given: {file}. Name a file that model.save('model{_SUFFIX}') wrote, or the folder of a run."
            )
        if file.suffix != _SUFFIX:
            raise ModelError(
                f"The file does not hold a model: its name does not end in {_SUFFIX}. Given: {file}. Name a file that "
                f"model.save('model{_SUFFIX}') wrote, or the folder of a run."
            )
        return file
    if file.exists():
        raise ModelError(
            f"A model is a plain file. Given: {file}, which is a device, a pipe or the like. Copy it to one."
        )
    if not path.exists():
        raise ModelError(
            f"There is no model: the path does not exist. Given: {path}. Name a {_SUFFIX} file, or the folder of a run."
        )
    if (path / "saved_model.pb").exists():
        todo = "It is an export, which tf.saved_model.load opens"
    elif (path / "state.npz").exists():
        todo = "Its run has not ended: repeat the call that began it, which goes on with it"
    else:
        todo = f"Name a {_SUFFIX} file, or the folder of a run that has ended"
    raise ModelError(f"There is no model: the folder has no {file.name}. Given: {path}. {todo}.")


def _described(file: Path) -> tuple[str, str, str | None]:
    """The name of the model's class as registered, or its own; indl's version; and why it must not be made, if so."""
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read(_CONFIG))
            kind = str(config["registered_name"] or config["class_name"])
            problem = problem_of(archive, config)
        return kind, str(config["config"].get("indl", "0.1.0 or earlier")), problem
    # Archives and texts from elsewhere are broken in more ways than their readers name.
    except Exception as error:
        refused = isinstance(error, OSError) and error.strerror
        what = f"it cannot be read ({refused})" if refused else "it is no archive of Keras, or damaged"
        raise ModelError(
            f"The file does not hold a model: {what}. Given: {file}. Use another copy, or name a file that "
            f"model.save('model{_SUFFIX}') wrote."
        ) from error
