"""The states of runs, tampered with: section B3 of the list of faults."""

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from indl.data.values.provenance import digest
from indl.runs import Run, read
from indl.training.checkpoint import Checkpoint, CheckpointError
from indl.training.fit import make_callbacks, make_model, params_for
from indl.training.mode import Mode
from tests.faults.tampering import FEW, Outcomes, file_cases, json_cases

GOLDEN = Path(__file__).parents[1] / "golden" / "1" / "unfinished"


def npy(values, **how):
    """An array as bytes of a file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(values), **how)
    return file.getvalue()


class Tampered:
    """A run that can be put into the state of any file, and the state of which files are made."""

    def __init__(self, path):
        run = Run(**read(GOLDEN)["run"])
        self.path, self.recording = path, run.recording()
        params = params_for(run.params, self.recording)
        self.settings = {"params": params, "epochs": run.epochs, "hidden_every": 5, "data": digest(self.recording)}
        self.model = make_model(params, self.recording, run.epochs)
        self.variables = [*self.model.variables, *self.model.optimizer.variables]
        with zipfile.ZipFile(GOLDEN / "state.npz") as archive:
            self.members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
        self.meta = json.loads(str(np.load(io.BytesIO(self.members["meta"]))))
        self.start = self.values()
        self.arrays = self.write(meta=None).read_bytes()
        self.wanted = self.resumed(self.write())

    def values(self):
        return [variable.value.numpy() for variable in self.variables]

    def parts(self):
        parts = make_callbacks(self.settings["params"], self.recording)
        stateful = {name: part for name, part in parts.items() if hasattr(part, "restore")}
        return {**stateful, "mode": Mode(self.settings["params"]["jit_compile"])}

    def write(self, compression=zipfile.ZIP_STORED, **members):
        """Writes the state with other members; those that are None are left out."""
        with zipfile.ZipFile(self.path, "w", compression) as archive:
            for name, content in {**self.members, **members}.items():
                if content is not None:
                    archive.writestr(f"{name}.npy", content)
        return self.path

    def describe(self, text):
        """Writes the state with another description."""
        self.path.write_bytes(self.arrays)
        with zipfile.ZipFile(self.path, "a") as archive:
            archive.writestr("meta.npy", npy(np.array(text)))
        return self.path

    def resumed(self, path):
        """What the run is after it has taken a state on: variables, parts, history; it is put back behind it."""
        parts = self.parts()
        checkpoint, before = Checkpoint(path, self.settings, parts), repr([part.state() for part in parts.values()])
        try:
            done = checkpoint.resume(self.model)
        except CheckpointError:
            assert repr([part.state() for part in parts.values()]) == before
            assert not checkpoint.history and not checkpoint.epochs_done
            raise
        found = self.values()
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        return found, {name: repr(part.state()) for name, part in parts.items()}, done, checkpoint.history

    def was_left_alone(self):
        """Whether no variable has changed since a state was first taken on, and put back."""
        return all(np.array_equal(*pair) for pair in zip(self.values(), self.start, strict=True))

    def unchanged(self, found, but=()):
        """Whether a run is as after the untouched state, some parts of it excepted."""
        same = all(np.array_equal(*pair) for pair in zip(found[0], self.wanted[0], strict=True))
        states = all(found[1][name] == state for name, state in self.wanted[1].items() if name not in but)
        return same and states and found[2] == self.wanted[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Tampered(tmp_path_factory.mktemp("states") / "state.npz")


def test_b3_a_description_of_another_kind_is_told(run):
    """faults.md B3: metadata that are a list or null, missing keys, epochs done that are negative, fractional or text.

    Nothing of the run is changed where a state is refused.
    """
    outcomes, params = Outcomes(), json.dumps(run.meta["settings"]["params"])
    less = {name: run.meta[name] for name in ("format", "epochs_done", "parts", "lists")}
    # All params were tampered with in another place, and other terms are as these.
    less["settings"] = {name: run.meta["settings"][name] for name in ("epochs", "hidden_every", "data")}
    less["history"] = {name: run.meta["history"][name] for name in ("loss", "val_hidden_nll", "skipped_steps")}
    for name, text, _ in json_cases(less, values=FEW):
        run.describe(text.replace('"settings": {', f'"settings": {{"params": {params}, ', 1))
        outcomes.add(
            name,
            lambda: run.resumed(run.path),
            CheckpointError,
            [run.path, run.path.parent],
            lambda found: run.unchanged(found, ("mode",) if name.startswith("parts.mode.c") else ()),  # noqa: B023
        )
    assert not outcomes.bad, outcomes.told()
    assert len(outcomes.refused) > 300 and run.was_left_alone()
    # A loss that was, and a mode that is measured anew: no other entry of a state tells what they must be.
    assert set(outcomes.accepted) == {
        *(f"history.loss.0: {name}" for name in ("negative", "huge", "NaN")),
        *("parts.mode.compiled: null", "parts.mode.compiled: true", "history.skipped_steps: removed"),
        *("parts.latent_use: an object", *(f"lists.{name}: an object" for name in ("hidden", "guard", "mode"))),
    }


def changed(name, change):
    """A member of another content."""
    return lambda run: {name: npy(change(np.load(io.BytesIO(run.members[name]))))}


def header(name, **entries):
    """A member whose header says something else, over the bytes that were there."""

    def make(run):
        content = run.members[name]
        described = {"descr": "<f4", "fortran_order": False, "shape": (4,), **entries}
        text = f"{described!r}\n".encode()
        return {name: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content[-16:]}

    return make


def poked(value):
    def change(values):
        values = values.copy()
        values.flat[-1] = value
        return values

    return change


#: A weight, a slot of the optimizer, a weight of the best epoch, and the description.
WEIGHT, SLOT, BEST = "model/6", "optimizer/2", "selection/weights/4"
ARRAYS = {
    **{
        f"{name}: {what}": changed(name, change)
        for name in (WEIGHT, SLOT, BEST)
        for what, change in {
            "NaN": poked(np.nan),
            "infinite": poked(-np.inf),
            "complex": lambda values: values.astype("complex64"),
            "double": lambda values: values.astype("float64"),
            "half": lambda values: values.astype("float16"),
            "whole": lambda values: values.astype("int32"),
            "text": lambda values: values.astype("U8"),
            "objects": lambda values: values.astype(object),
            "dates": lambda values: values.astype("datetime64[s]"),
            "compound": lambda values: np.zeros(values.shape, [("a", "f4"), ("b", "f4")]),
            "other axes": lambda values: values.T,
            "flat": np.ravel,
            "an axis more": lambda values: values[None],
            "shorter": lambda values: values[1:],
            "nothing": lambda values: values[:0],
        }.items()
    },
    **{f"{name}: absent": lambda run, name=name: {name: None} for name in (WEIGHT, SLOT, BEST, "meta", "model/20")},
    **{f"{name}: no array": lambda run, name=name: {name: b"x" * 200} for name in (WEIGHT, BEST, "meta")},
    **{f"{name}: empty": lambda run, name=name: {name: b""} for name in (WEIGHT, BEST, "meta")},
    **{f"{name}: cut off": lambda run, name=name: {name: run.members[name][:-3]} for name in (WEIGHT, BEST, "meta")},
    "37 GiB": header("model/3", shape=(10**10,)),
    "37 GiB of nothing": header("model/3", shape=(10**10, 0)),
    "negative axes": header("model/3", shape=(-2, -2)),
    "no shape": header("model/3", shape=None),
    "objects stated": header("model/3", descr="|O"),
    "a long header": header("model/3", descr="<f4", extra="x" * 50_000),
    "a nested header": header("model/3", shape=tuple(range(4000))),
    "another layout": lambda run: {WEIGHT: npy(np.load(io.BytesIO(run.members[WEIGHT])), version=(2, 0))},
    "one more weight": lambda run: {"model/21": run.members[WEIGHT]},
    "one more part": lambda run: {"other/weights/0": run.members[WEIGHT]},
    "a description of numbers": changed("meta", lambda values: np.arange(3)),
    "descriptions": changed("meta", lambda values: values[None]),
    "objects for a description": changed("meta", lambda values: values.astype(object)),
    "no text": changed("meta", lambda values: np.frombuffer(b"\xff" * 40, "<U10").reshape(1)[0:1].reshape(())),
    "path": lambda run: {"../model/6": run.members[WEIGHT]},
}


def test_b3_arrays_that_are_not_of_the_run_are_told(run):
    """faults.md B3: missing arrays, 37 GiB, NaN, infinite slots, complex numbers; none is loaded to be refused."""
    outcomes, most = Outcomes(), 0
    for name, make in ARRAYS.items():
        run.write(**make(run))
        if name.startswith("37 GiB"):
            tracemalloc.start()
        outcomes.add(name, lambda: run.resumed(run.path), CheckpointError, [run.path])
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert not outcomes.bad and not outcomes.accepted, outcomes.told()
    assert 0 < most < 2**24 and run.was_left_alone()


def test_b3_archives_that_were_not_written_so_are_told(run):
    """faults.md B3: files of other kinds; members that are said to be larger than the file, or that unpack to more."""
    outcomes, path = Outcomes(), run.path.with_name("other.npz")
    content = run.write().read_bytes()
    for name, make in file_cases(content).items():
        if name != "absent" and name != "a link to nothing":
            make(path)
            outcomes.add(name, lambda: run.resumed(path), CheckpointError, [path])
            path.rmdir() if path.is_dir() else path.unlink()
    run.write(compression=zipfile.ZIP_DEFLATED)
    outcomes.add("compressed", lambda: run.resumed(run.path), CheckpointError, [run.path])
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(run.write(), "a") as archive:
        archive.writestr(f"{WEIGHT}.npy", run.members[WEIGHT])
    outcomes.add("twice", lambda: run.resumed(run.path), CheckpointError, [run.path])
    # The size of a member in the list at the end of the archive.
    damaged = bytearray(content)
    at = damaged.rindex(b"PK\x01\x02")
    damaged[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(damaged)
    outcomes.add("said to be large", lambda: run.resumed(path), CheckpointError, [path])
    for place in np.random.default_rng(0).integers(len(content), size=40):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        outcomes.add(f"byte {place}", lambda: run.resumed(path), CheckpointError, [path], run.unchanged)
    assert not outcomes.bad, outcomes.told()
    assert len(outcomes.refused) > 40 and run.was_left_alone()
