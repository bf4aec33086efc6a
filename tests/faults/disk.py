"""A disk that fails: at the k-th thing done to it, and from then on."""

import builtins
import contextlib
import io
import os
import signal
from pathlib import Path


class Disk:
    """While it is entered, what is done to files below a folder is counted, and fails from the k-th time on.

    Counted are opening a file to write, each write, each flush to disk, and each move into place. Half of a failing
    write is done. Libraries in C pass it by, until they are done with a file.

    Args:
        folder: what lies below it is on the disk.
        at: the first time that fails, from 1 on; None: none does.
        fail: what happens then, an error number, or SIGKILL of this process.
    """

    def __init__(self, folder, at=None, fail=None):
        self.folder, self.at, self.fail = str(folder), at, fail
        self.done = []

    def __enter__(self):
        self._patched = contextlib.ExitStack()
        for module, name in ((builtins, "open"), (io, "open"), (os, "replace"), (os, "fsync")):
            really = getattr(module, name)
            setattr(module, name, getattr(self, f"_{name}")(really))
            self._patched.callback(setattr, module, name, really)
        return self

    def __exit__(self, *error):
        self._patched.close()

    def _hit(self, what, before=lambda: None):
        self.done.append(what)
        if self.at is not None and len(self.done) >= self.at:
            before()
            if self.fail == signal.SIGKILL:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.fail, os.strerror(self.fail))

    def _open(self, really):
        def opened(file, mode="r", *args, **kwargs):
            ours = isinstance(file, str | os.PathLike) and os.fspath(file).startswith(self.folder)
            if not ours or not set(mode) & set("wax+"):
                return really(file, mode, *args, **kwargs)
            self._hit("open")
            return _Written(really(file, mode, *args, **kwargs), self._hit)

        return opened

    def _replace(self, really):
        def replace(old, new):
            if os.fspath(new).startswith(self.folder):
                self._hit(f"move {os.path.basename(new)}")
            really(old, new)

        return replace

    def _fsync(self, really):
        def fsync(number):
            self._hit("fsync")
            really(number)

        return fsync


class _Written:
    """An open file whose writes are counted."""

    def __init__(self, file, hit):
        self._file, self._hit = file, hit

    def write(self, content):
        self._hit("write", lambda: (self._file.write(content[: len(content) // 2]), self._file.flush()))
        return self._file.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def contents(folder, leftovers=True):
    """The bytes of every file below a folder by its path; with what killed processes leave, or without."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    return found if leftovers else {name: content for name, content in found.items() if ".partial" not in name}
