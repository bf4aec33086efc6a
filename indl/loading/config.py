"""What the file of a model may name, looked at before Keras makes anything of it.

Keras's safe mode forbids lambdas, and still calls functions of Keras that a file names, with effects on the whole
process (CVE-2025-1550, -8747, -9906). Here a file names classes alone: those that are registered, and the layers,
operations, initializers and the like of Keras. Sizes must be borne out by the weights that the file holds.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import keras
import numpy as np

_WEIGHTS = "model.weights.h5"
#: Values that Keras writes as if they were objects.
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__", "__tuple__", "__bytes__")
_KINDS = (
    keras.Operation,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.dtype_policies.DTypePolicy,
)
#: Layers that run code of elsewhere.
_OF_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
_DTYPES = ("float32", "float64", "bfloat16", "mixed_bfloat16", "int32", "int64", "uint8", "uint32", "bool", "string")
#: Entries that say how many numbers a layer holds.
_SIZES = ("units", "size", "n_channels", "output_dim", "input_dim", "filters", "n_sessions", "x_dim", "hidden_dim")
_DEEPEST = 200


def problem_of(archive: zipfile.ZipFile, config: Any) -> str | None:
    """Why a model must not be made of the config of a file, or None.

    Args:
        archive: the file.
        config: its config, read.
    """
    try:
        with h5py.File(io.BytesIO(archive.read(_WEIGHTS)), "r") as file:
            sizes, odd = _weights(file)
    except (KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile):
        return f"its weights ({_WEIGHTS}) are not there or damaged"
    if odd is not None:
        return f"its weights are of dtype {odd}"
    largest = max([0, *sizes])
    for entry, depth in _dicts(config):
        if depth > _DEEPEST:
            return f"its config is nested more than {_DEEPEST} deep"
        if "class_name" in entry and not _may_be_made(entry):
            return f"it names {entry.get('module')}.{entry['class_name']}, which is no part of a model"
        dtype = entry.get("dtype")
        if isinstance(dtype, dict) and isinstance(dtype.get("config"), dict):
            dtype = dtype["config"].get("name")
        if isinstance(dtype, str) and dtype not in _DTYPES:
            return f"it computes in {dtype}"
        for name in _SIZES:
            for size in np.ravel(entry.get(name, 0)):
                if isinstance(size, (int, np.integer)) and size > largest:
                    return f"it states {name}={size}, and no weight in it has more than {largest} numbers"
    return None


def _weights(file: h5py.File) -> tuple[list[int], str | None]:
    """How many numbers each weight has, and the first dtype that no weight has."""
    sizes: list[int] = []
    odd: list[str] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.size)
            if item.dtype.kind not in "fiub":
                odd.append(str(item.dtype))

    file.visititems(visit)
    return sizes, odd[0] if odd else None


def _dicts(value: Any) -> Iterator[tuple[dict[str, Any], int]]:
    """Every dict in a config, with its depth; without recursion, which a file could exhaust."""
    waiting = [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        if isinstance(found, dict):
            yield found, depth
        if isinstance(found, dict | list) and depth <= _DEEPEST:
            waiting += [(item, depth + 1) for item in (found.values() if isinstance(found, dict) else found)]


def _may_be_made(entry: dict[str, Any]) -> bool:
    """Whether an object of a config is a value, of a registered class, or of one of Keras that models are made of."""
    name, module = entry["class_name"], entry.get("module")
    if name in _VALUES:
        return True
    if entry.get("registered_name") in keras.saving.get_custom_objects():
        return True
    if not isinstance(module, str) or module.split(".")[0] != "keras":
        return False
    found = getattr(sys.modules.get(module), str(name), None)
    return isinstance(found, type) and issubclass(found, _KINDS) and found.__name__ not in _OF_CODE
