"""What the library may write: where nothing is yet, and what it wrote itself for the same purpose.

Files are known by their marks (:mod:`indl.files.marks`), folders by a file of theirs. Whatever writes asks here before
any work begins, and learns what to do where the answer is no.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from indl.files.errors import OutputError
from indl.files.kinds import FolderKind
from indl.files.marks import FIGURE, MARK, marked
from indl.files.plain import read_plain
from indl.files.whole import write_json

#: The file that tells whose a folder is.
MARKER = ".indl.json"
#: Bytes of a name: while a file is written, its name is longer by the process.
_LONGEST = 230
#: What a folder may hold that counts as empty: what desktops and killed processes leave.
_NOTHING = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\..*\.partial\d+.*")


def output_file(path: Path | str, purpose: str, inputs: Iterable[Path | str | None] = ()) -> Path:
    """The path of a file to write, with links followed.

    Args:
        path: where somebody wants it; a leading ``~`` is their home.
        purpose: what the file is: it may replace one that the library wrote for the same purpose.
        inputs: files and folders that are read, which it must neither be nor lie in.

    Raises:
        OutputError: the path is one of the inputs or lies in one, or something else is there.
    """
    found = _followed(path, inputs)
    with _told(path):
        if found.is_dir():
            raise OutputError(
                f"A file cannot be written in the place of a folder. Given: {path}. Add the name of the file."
            )
        if found.exists() and not found.is_file():
            raise OutputError(
                f"An output is a plain file. Given: {path}, which is a device, a pipe or the like. Choose another path."
            )
        if found.exists() and not marked(found, purpose):
            raise OutputError(
                f"The output would replace a file that was not written as one of its kind ({purpose}). Given: "
                f"{path}. Choose another path, or move the file away first."
            )
    return found


def check_folder(path: Path | str, kind: FolderKind, inputs: Iterable[Path | str | None] = ()) -> Path:
    """The path of a folder to write, with links followed; nothing is made yet.

    Args:
        path: where somebody wants it; a leading ``~`` is their home.
        kind: what the folder is for. It may hold what the library wrote there for the same purpose, and then also other
            things, which stay.
        inputs: files and folders that are read, which it must neither be, nor hold, nor lie in.

    Raises:
        OutputError: the path is an input, or holds one, or lies in one; it is no folder; it holds other things and is
            none that the library began; or a link or a folder is in the place of a file to write.
    """
    found = _followed(path, inputs, holds=True)
    with _told(path):
        if not found.exists():
            return found
        if not found.is_dir():
            raise OutputError(f"The output is a folder. Given: {path}, which is none. Choose another path.")
        owner = _owner(found)
        if owner is None and not kind.began(found):
            there = sorted(name.name for name in found.iterdir() if not _NOTHING.fullmatch(name.name))
            if there:
                named = ", ".join(there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
                raise OutputError(
                    f"The folder holds other things, and the library did not begin it as {kind.what}. Given: {path} "
                    f"with {named}. Choose a new folder or an empty one."
                )
        elif owner not in (None, kind.name):
            raise OutputError(
                f"The folder is of another kind. Given: {path}, that of a {owner}, for {kind.what}. Choose a new "
                "folder or an empty one."
            )
        written(found, kind)
    return found


def claim_folder(path: Path | str, kind: FolderKind, inputs: Iterable[Path | str | None] = ()) -> Path:
    """Makes a folder, or takes one, that :func:`check_folder` lets pass, and marks it."""
    found = check_folder(path, kind, inputs)
    with _told(path):
        found.mkdir(parents=True, exist_ok=True)
    if _owner(found) is None:
        mark_folder(found, kind)
    # Another process may have been faster.
    return check_folder(found, kind)


def mark_folder(folder: Path, kind: FolderKind) -> None:
    """Marks a folder of the library's own, which holds nothing of anybody else."""
    write_json(folder / MARKER, {MARK: kind.name})


def clear_folder(folder: Path, kind: FolderKind) -> None:
    """Removes what the library wrote into a claimed folder, in the order of `kind`, and nothing else."""
    parents = set()
    for path in written(folder, kind):
        path.unlink()
        parents |= {parent for parent in path.parents if folder in parent.parents}
    empty = [path for name in kind.empty for path in folder.glob(name)]
    # The deepest first: what is emptied by them follows.
    for path in sorted({*parents, *empty}, key=lambda path: len(path.parts), reverse=True):
        # Not empty: it holds something of the user's.
        with contextlib.suppress(OSError):
            path.rmdir()


def written(folder: Path, kind: FolderKind) -> list[Path]:
    """What is in the places where the library writes into a folder of a kind.

    Raises:
        OutputError: a link or a folder is in one of them.
    """
    files = kind.files_in(folder)
    figures = (folder / name for name in kind.figures)
    files += [path for path in figures if path.is_file() and marked(path, FIGURE)]
    for path in files:
        if path.resolve() != path or not path.is_file():
            raise OutputError(
                f"A link or a folder is in the place of a file to write. Given: {path}. Move it away, or choose "
                "another folder."
            )
    return files


def _owner(folder: Path) -> str | None:
    """What a folder says that wrote it."""
    try:
        return str(json.loads(read_plain(folder / MARKER))[MARK])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _followed(path: Path | str, inputs: Iterable[Path | str | None], holds: bool = False) -> Path:
    """The path with links followed, apart from all inputs."""
    with _told(path):
        found = Path(path).expanduser().resolve()
        for source in inputs:
            if source is None:
                continue
            other = Path(source).expanduser().resolve()
            same = found == other or (found.exists() and other.exists() and found.samefile(other))
            if same or other in found.parents or (holds and found in other.parents):
                how = "is" if same else "lies in" if other in found.parents else "holds"
                raise OutputError(f"The output {how} an input. Given: {path} for {source}. Choose another path.")
        places = [found, *found.parents] if holds else found.parents
        there = next((place for place in places if place.exists()), found)
        if len(os.fsencode(found.name)) > _LONGEST:
            raise OutputError(
                f"The name is too long. Given: {path}, {len(os.fsencode(found.name))} bytes. Choose one of {_LONGEST} "
                "at most."
            )
        if holds and there == found and not found.is_dir():
            return found
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise OutputError(
                f"Nothing can be written there. Given: {path}, where {there} is no folder that you may write to. "
                "Choose another path."
            )
    return found


@contextlib.contextmanager
def _told(path: Path | str) -> Iterator[None]:
    """What a file system says of a path that cannot be, in words."""
    try:
        yield
    except OutputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition(chr(10))[0]
        raise OutputError(f"The path cannot be written to ({reason}). Given: {path}. Choose another path.") from error
