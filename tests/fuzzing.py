"""Damage to files, reproducible from a seed, and a worker process that tells what a reader makes of it.

The worker is a process of its own because a damaged file may crash, hang or exhaust the process that reads it. As a
script it takes jobs as JSON lines on its standard input and answers each with a line.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import warnings
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

TIMEOUT_S = 60.0
_MAX_BYTES = 6 * 2**30
_ROOT = Path(__file__).resolve().parents[1]

# --- damage to bytes ----------------------------------------------------------------------------


def raw_data(path):
    """Where values lie in an HDF5 file: [(first byte, end, name of the dataset, whether contiguous)]."""
    found = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            if item.chunks is None:
                offset, size = item.id.get_offset(), item.id.get_storage_size()
                found.extend([(offset, offset + size, name, True)] if offset else [])
            else:
                chunks = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())]
                found.extend((c.byte_offset, c.byte_offset + c.size, name, False) for c in chunks)

    with h5py.File(path) as file:
        file.visititems(visit)
    return sorted(found)


def _position(rng, size, values):
    """A byte of the file; half of the time one of its structure, which is the smaller part by far."""
    if values and rng.random() < 0.5:
        edges = np.array([0, *np.ravel([(start, end) for start, end, *_ in values]), size]).reshape(-1, 2)
        gaps = edges[edges[:, 1] > edges[:, 0]]
        gap = gaps[rng.choice(len(gaps), p=np.diff(gaps).ravel() / np.diff(gaps).sum())]
        return int(rng.integers(*gap))
    return int(rng.integers(size))


def damage_bytes(content, values, rng):
    """Damages `content` (a bytearray) in one of the ways in which files come to harm.

    Returns:
        What was done, and the ranges of bytes [(first, end)] that differ; None where everything has moved.
    """
    size = len(content)
    kind = ("flip", "flip", "zero", "ones", "noise", "swap", "insert", "delete", "truncate")[rng.integers(9)]
    at, length = _position(rng, size, values), int(2 ** rng.uniform(0, 12))
    end = min(at + length, size)
    if kind == "flip":
        n_bits = int(rng.choice([1, 1, 2, 8, 64]))
        places = [_position(rng, size, values) for _ in range(n_bits)]
        for place in places:
            content[place] ^= 1 << int(rng.integers(8))
        return f"{kind} {n_bits}", [(place, place + 1) for place in places]
    if kind in ("zero", "ones", "noise"):
        block = {"zero": bytes(end - at), "ones": b"\xff" * (end - at), "noise": rng.bytes(end - at)}[kind]
        content[at:end] = block
        return f"{kind} {end - at}", [(at, end)]
    if kind == "swap":
        other = _position(rng, size, values)
        length = min(length, abs(other - at), size - at, size - other)
        a, b = bytes(content[at : at + length]), bytes(content[other : other + length])
        content[at : at + length], content[other : other + length] = b, a
        return f"{kind} {length}", [(at, at + length), (other, other + length)]
    if kind == "insert":
        content[at:at] = rng.bytes(min(length, 64))
    elif kind == "delete":
        del content[at:end]
    else:
        del content[at:]
    return kind, None


# --- damage to the structure of a recording -----------------------------------------------------


def _rewrite(file, name, values, **options):
    attrs = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values, **options)
    file[name].attrs.update(attrs)


def _poke(value):
    def change(file, name, rng):
        values = file[name][()].astype("float64")
        values[tuple(rng.integers(size) for size in values.shape)] = value
        _rewrite(file, name, values)

    return change


def _as(dtype):
    return lambda file, name, rng: _rewrite(file, name, file[name][()].astype(dtype))


def _reshaped(change):
    return lambda file, name, rng: _rewrite(file, name, change(file[name][()]))


def _unwritten(file, name, rng):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "uint8", chunks=tuple(max(1, s // 2) for s in shape))


def _absurd(file, name, rng):
    del file[name]
    file.create_dataset(name, (2**40, 2**10, 2**6), "uint8", chunks=(64, 64, 64))


def _group(file, name, rng):
    del file[name]
    file.create_group(name)


def _link(link):
    def change(file, name, rng):
        del file[name]
        file[name] = link

    return change


def _virtual(file, name, rng):
    shape = file[name].shape
    del file[name]
    layout = h5py.VirtualLayout(shape=shape, dtype="uint8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "data", shape=shape)
    file.create_virtual_dataset(name, layout, fillvalue=0)


def _compound(file, name, rng):
    _rewrite(file, name, np.zeros(file[name].shape, [("a", "i4"), ("b", "f4")]))


def _ragged(file, name, rng):
    del file[name]
    file.create_dataset(name, (5,), dtype=h5py.vlen_dtype(np.int32))


def _empty(file, name, rng):
    del file[name]
    file[name] = h5py.Empty("f4")


def _deleted(file, name, rng):
    del file[name]


COUNTS = {
    "NaN": _poke(np.nan),
    "inf": _poke(np.inf),
    "negative": _poke(-1),
    "fractional": _poke(0.5),
    "complex": _as("complex64"),
    "text": _as("S3"),
    "deleted": _deleted,
    "one axis fewer": _reshaped(lambda a: a[0]),
    "one axis more": _reshaped(lambda a: a[None]),
    "no trials": _reshaped(lambda a: a[:0]),
    "fewer trials": _reshaped(lambda a: a[1:]),
    "fewer bins": _reshaped(lambda a: a[:, 1:]),
    "axes swapped": _reshaped(lambda a: a.transpose(0, 2, 1)),
    "flat": _reshaped(np.ravel),
    "a number": _reshaped(lambda a: np.float64(a.sum())),
    "never written": _unwritten,
    "absurdly large": _absurd,
    "a group": _group,
    "a dangling link": _link(h5py.SoftLink("/nowhere")),
    "a link to itself": _link(h5py.SoftLink("/train_recon_data")),
    "a link to another file": _link(h5py.ExternalLink("elsewhere.h5", "/data")),
    "a virtual dataset": _virtual,
    "compound": _compound,
    "ragged": _ragged,
    "without values": _empty,
}
WIDTHS = {
    "text": "wide",
    "NaN": np.nan,
    "zero": 0.0,
    "negative": -0.02,
    "ms": 20.0,
    "two": [0.02, 0.02],
    "empty": h5py.Empty("f8"),
}
#: Ways to write the same values otherwise: these must load to the original.
HARMLESS = {
    "float64": _as("float64"),
    "big-endian": _as(">i4"),
    "int16": _as("int16"),
    "lzf": lambda file, name, rng: _rewrite(file, name, file[name][()], compression="lzf"),
    "another dataset": lambda file, name, rng: file.create_dataset("another", data=[1, 2]),
}


def structures(path):
    """Every structural change that the worker knows for a recording, as names of jobs."""
    with h5py.File(path) as file:
        extra = [name for name in sorted(file) if name.split("_", 1)[0] in ("train", "valid")]
    keys = [f"{part}_{kind}_data" for part in ("train", "valid") for kind in ("encod", "recon")]
    jobs = [f"{what}|{key}" for what in COUNTS for key in keys]
    jobs += [f"bin width {what}|" for what in WIDTHS]
    jobs += [f"short|{key}" for key in extra if key.endswith(("_inds", "_label", "_behavior"))]
    jobs += [f"long|{key}" for key in extra if key.endswith(("_inds", "_label", "_behavior"))]
    jobs += ["short|channel_ids", "long|channel_ids", "a group|channel_ids", "a dangling link|channel_ids"]
    return jobs + [f"{what}|{key}" for what in HARMLESS for key in [*keys, *extra] if what == "lzf" or key in keys]


def change_structure(path, job, rng):
    """Makes one of :func:`structures`; returns whether the reader has to refuse the file."""
    what, _, name = job.partition("|")
    with h5py.File(path, "a") as file:
        if what in HARMLESS:
            HARMLESS[what](file, name, rng)
            return False
        if what.startswith("bin width "):
            file.attrs["bin_width_s"] = WIDTHS[what.removeprefix("bin width ")]
        elif what == "short":
            _rewrite(file, name, file[name][:-1])
        elif what == "long":
            _rewrite(file, name, np.concatenate([file[name][()], file[name][-1:]]))
        else:
            COUNTS[what](file, name, rng)
    return True


# --- what a reader makes of a file --------------------------------------------------------------


def load(reader, path):
    """Everything that a reader has read, as {name: array or plain value}, and the number of its warnings."""
    from indl.data import load_recording

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        if reader == "recording":
            found = load_recording(path)
            parts = {"train.": found.train, "valid.": found.valid}
        else:
            from indl.data import Window, read_nwb

            window = {name: value for name, value in reader.items() if name != "behavior"}
            found = read_nwb(path, Window(**window), behavior=reader.get("behavior"))
            parts = {"": found}
    values = {"bin_width_s": found.bin_width_s, "channel_ids": found.channel_ids}
    values |= {f"attrs.{name}": value for name, value in found.attrs.items() if name != "source"}
    for prefix, part in parts.items():
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, np.ndarray):
                values[prefix + field.name] = value
    return values, len(warned)


def differences(found, expected):
    """{name: number of elements that differ, -1 for another shape or type, or for what is there only once}."""
    result = {}
    for name in sorted({*found, *expected}):
        if name not in found or name not in expected:
            result[name] = -1
            continue
        a, b = np.asarray(found[name]), np.asarray(expected[name])
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
            result[name] = -1
            continue
        same = (a == b) | ((a != a) & (b != b))
        if not np.all(same):
            result[name] = int(np.size(same) - np.count_nonzero(same))
    return result


def touched(ranges, values):
    """{dataset: number of its bytes that were changed}, for values that lie uncompressed in one piece."""
    found = {}
    for first, end in ranges or []:
        for start, stop, name, contiguous in values:
            n_bytes = min(end, stop) - max(first, start)
            if contiguous and n_bytes > 0:
                found[name] = found.get(name, 0) + n_bytes
    return found


def work(job, cache):
    """Does one job: damages a copy of a file and reads it.

    Args:
        job: ``path``, ``reader``, ``seed``, and ``structure`` (the name of a change) or None for damage to bytes.
        cache: What was found out about the file of the last job.
    """
    path = Path(job["path"])
    if str(path) not in cache:
        cache.clear()
        cache[str(path)] = path.read_bytes(), raw_data(path), load(job["reader"], path)
    content, values, (expected, n_warnings) = cache[str(path)]
    rng = np.random.default_rng([job["seed"], len(content)])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        result = {"touched": {}}
        if job["structure"] is None:
            damaged = bytearray(content)
            result["what"], ranges = damage_bytes(damaged, values, rng)
            result["touched"] = touched(ranges, values)
            copy.write_bytes(damaged)
        else:
            copy.write_bytes(content)
            result["what"] = job["structure"]
            result["must_fail"] = change_structure(copy, job["structure"], rng)
        try:
            found, n_found = load(job["reader"], copy)
        except Exception as error:  # any kind: the parent judges which are documented
            kinds = [kind.__name__ for kind in type(error).__mro__]
            result |= {"outcome": "error", "kinds": kinds, "message": str(error)}
        else:
            result["differs"] = differences(found, expected)
            result["outcome"] = "different" if result["differs"] else "same"
            result["warned"] = n_found > n_warnings
    return result


class Worker:
    """A process that does jobs, and is replaced when it dies or takes too long."""

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()

    def run(self, job):
        """The result of a job; its outcome is "crash" or "hang" where there is none."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
            )
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TIMEOUT_S)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        self._stop()
        return {"outcome": "crash" if ready else "hang", "what": job["structure"] or "bytes"}

    def _stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def main():
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
    # Libraries may print; the answers need a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cache = {}
    for line in sys.stdin:
        answers.write(json.dumps(work(json.loads(line), cache)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
