"""What a golden model must give again: the numbers of every part of it, by name."""

import json
import re
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import indl
from indl.dists.priors import Prior

#: What the arrays of a golden model's inputs are called.
INPUTS = "input/"


def numbers(model, inputs):
    """The mean of every variable, those of the optimizer too, the random states, outputs, terms of the loss, and draws.

    Args:
        model: a model of any family.
        inputs: its arrays by name.
    """
    weights, state = model.get_weights(), model.optimizer.variables
    found = {f"weight/{i}/{v.path}": np.mean(w) for i, (v, w) in enumerate(zip(model.weights, weights, strict=True))}
    found |= {f"optimizer/{i}": np.mean(variable) for i, variable in enumerate(state)}
    found |= {f"random/{i}": variable for i, variable in enumerate(model.random_states)}
    outputs = model(inputs, training=False)
    terms = model.loss_terms(inputs["x"], outputs, inputs)
    if isinstance(model, indl.SequentialVAE):
        size = inputs["x"].shape[:2]
        priors = [layer for layer in model.layers if isinstance(layer, Prior)]
        found |= {f"draw/{prior.name}": prior.draw(*size, inputs.get("u"), seed=2) for prior in priors}
    for name, value in outputs.items():
        found |= {f"output/{name}/{i}": part for i, part in enumerate(tf.nest.flatten(value))}
    found |= {f"term/{name}": value for name, value in terms.items()}
    return {name: np.asarray(value, "float64") for name, value in found.items()}


def packed(arrays):
    """Many small arrays as few: their names and shapes, and their numbers in a row."""
    shapes = json.dumps({name: value.shape for name, value in arrays.items()})
    return {"shapes": np.array(shapes), "numbers": np.concatenate([value.ravel() for value in arrays.values()])}


def unpacked(file):
    """The arrays that :func:`packed` has packed."""
    shapes, found, first = json.loads(str(file["shapes"])), {}, 0
    for name, shape in shapes.items():
        last = first + int(np.prod(shape))
        found[name], first = file["numbers"][first:last].reshape(shape), last
    return found


def read(folder, out):
    """Writes what every model of a folder gives into files of the same names, with nothing imported but the reader.

    The saved classes that none of them has go to ``never_used.txt``.
    """
    used = set()
    for path in sorted(Path(folder).glob("*.keras")):
        with np.load(path.with_suffix(".npz")) as file:
            inputs = {name.removeprefix(INPUTS): file[name] for name in file.files if name.startswith(INPUTS)}
        model = indl.load_model(path)
        np.savez(Path(out) / f"{path.stem}.npz", **packed(numbers(model, inputs)))
        parts = [model.objective, model.optimizer, *model._flatten_layers()]
        # Regularisers and the like are no layers, but the file names them.
        config = zipfile.ZipFile(path).read("config.json").decode()
        used |= {keras.saving.get_registered_name(type(part)) for part in parts} | set(
            re.findall(r'"(indl>\w+)"', config)
        )
    known = {name for name in keras.saving.get_custom_objects() if name.startswith("indl>")}
    (Path(out) / "never_used.txt").write_text("\n".join(sorted(known - used)))


def compress(path):
    """Rewrites an archive smaller; Keras reads it as before."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


if __name__ == "__main__":
    for folder, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        read(folder, out)
