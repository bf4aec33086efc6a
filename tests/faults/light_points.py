"""Every place where the library writes files without TensorFlow; as a script, killed at each thing done there."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import h5py
import numpy as np

from indl.data.files.hdf5 import save_recording, save_trials
from indl.data.values.trials import Trials
from indl.files import mark_folder, write_json
from indl.files.kinds import RUN
from indl.plots.style import finish, new_figure
from tests.faults.disk import Disk, contents


def example(version):
    """A small recording, another one for each version."""
    return Trials(np.random.default_rng(version).poisson(2.0, (10, 6, 4)) + 1, 0.02)


def draw(version, path):
    figure = new_figure(1 + version, 1)
    figure.add_subplot().plot([0, version])
    finish(figure, path)


#: By the name of the file: what writes it, in one of two versions.
POINTS = {
    "scores.json": lambda folder, version: write_json(folder / "scores.json", {"r2": version}, "scores"),
    ".indl.json": lambda folder, version: mark_folder(folder, RUN),
    "recording.h5": lambda folder, version: save_recording(example(version).split(), folder / "recording.h5"),
    "trials.h5": lambda folder, version: save_trials(example(version), folder / "trials.h5"),
    "figure.png": lambda folder, version: draw(version, folder / "figure.png"),
}


def values_of(folder):
    """What is in the files of a folder: of HDF5, which holds the time, arrays and attributes."""
    return {
        name: _values(folder / name) if name.endswith(".h5") else bytes_ for name, bytes_ in contents(folder).items()
    }


def _values(path):
    with h5py.File(path) as file:
        return {name: file[name][()].tolist() for name in file}, {key: str(value) for key, value in file.attrs.items()}


def moments(write, folder):
    """Which of the things that are done to the disk for a write shall fail, from 1 on: all, or of many some."""
    with Disk(folder) as disk:
        write(folder, 1)
    n = len(disk.done)
    return range(1, n + 1) if n <= 6 else sorted({1, 2, n // 2, n - 2, n - 1, n})


def kill_everywhere():
    """Kills a process at each thing that each write does; what was there stays, and the next write is whole."""
    for name, write in POINTS.items():
        wanted = Path(tempfile.mkdtemp())
        for k in moments(write, wanted):
            folder = Path(tempfile.mkdtemp())
            write(folder, 0)
            before, child = contents(folder), os.fork()
            if child == 0:
                with Disk(folder, k, signal.SIGKILL):
                    write(folder, 1)
                os._exit(0)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            assert contents(folder, leftovers=False) == before, f"{name}, killed at {k}"
            write(folder, 1)
            assert values_of(folder) == values_of(wanted), f"{name}, after {k}"
            shutil.rmtree(folder)
        shutil.rmtree(wanted)
        print(name)


if __name__ == "__main__":
    kill_everywhere()
