"""The marks by which the library knows a file that it wrote, each where its format has room for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: The key of a JSON object, and the attribute of an HDF5 file, that says what the library wrote the file for.
MARK = "indl"
FIGURE = "figure"

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: How a figure of each format begins, and what is in it where the library drew it.
_CREATOR = f"indl {FIGURE}"
_FIGURES = {
    ".png": (b"\x89PNG", f"Creator\0{_CREATOR}".encode()),
    ".pdf": (b"%PDF", f"/Creator ({_CREATOR})".encode()),
    ".svg": (b"<?xml", f"<dc:title>{_CREATOR}</dc:title>".encode()),
    **dict.fromkeys((".eps", ".ps"), (b"%!PS", f"%%Creator: {_CREATOR}\n".encode())),
}
#: Where in a file its mark is: so near to one of its ends.
_REACH = 2**16


def figure_metadata(path: Path) -> dict[str, str] | None:
    """The metadata that mark a figure, as matplotlib takes them; None: its format has none."""
    return {"Creator": _CREATOR} if path.suffix.lower() in _FIGURES else None


def marked(path: Path, purpose: str) -> bool:
    """Whether the library wrote the file at `path`, for this purpose."""
    with path.open("rb") as file:
        head = file.read(_REACH)
        file.seek(max(0, path.stat().st_size - _REACH))
        tail = file.read()
    if head.startswith(_HDF5):
        return _attribute(path) == purpose
    if purpose == FIGURE:
        return any(head.startswith(start) and (found in head or found in tail) for start, found in _FIGURES.values())
    return re.match(rf'\s*{{\s*"{MARK}":\s*"{purpose}"'.encode(), head) is not None


def _attribute(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get(MARK)
            return found.decode() if isinstance(found, bytes) else found
    # HDF5 answers to damage with many kinds of errors; a damaged file is not known to be ours.
    except Exception:
        return None
