"""Sequential variational auto-encoders for neural population recordings, in TensorFlow and Keras 3.

What a user starts with stands here, and the sub-packages beside it. The import itself brings in nothing heavy: a name
does so when it is first used. Everything else is imported from the module of its subject, for example
``from indl.model.beta_vae import create_generator``.
"""

import importlib
from typing import Any

from indl.text import nearest

__version__ = "0.1.0"

#: The module of each name; ``__init__.pyi`` tells type checkers the same.
_HOMES = {
    "Recording": "indl.data",
    "SequentialVAE": "indl.model.sequence_model",
    "Trials": "indl.data",
    "Window": "indl.data",
    "build_sequential_vae": "indl.model.assemble",
    "evaluate": "indl.evaluation",
    "export_saved_model": "indl.export",
    "load_model": "indl.loading",
    "load_recording": "indl.data",
    "lorenz": "indl.data",
    "preset": "indl.params",
    "read_nwb": "indl.data",
    "save_recording": "indl.data",
    "train": "indl.training",
}
_PACKAGES = ("data", "evaluation", "export", "metrics", "params", "plots", "runs", "training", "tuning")

__all__ = [*_HOMES, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"indl.{name}")
    if name not in _HOMES:
        raise AttributeError(
            f"The root of indl has no such name. Given: {name}.{nearest(name, __all__)} Choose one of dir(indl), or "
            "import it from its own module."
        )
    found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
