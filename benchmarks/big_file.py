"""Peak memory of training on a recording that is larger than the memory allowed for it.

Writes a file of random counts trial by trial, opens it with `open_recording` and trains a small model on it::

    python benchmarks/big_file.py --gib 6 --json bench_big_file.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

N_TIMES, N_CHANNELS = 100, 128
VALID_SHARE = 0.02
SMALL = {
    "f_units": [16],
    "f_latent_size": 8,
    "z1_units": [16],
    "z2_units": 16,
    "z_latent_size": 2,
    "gen_n_hidden": [16],
    "n_factors": 8,
}


def write(path: Path, gib: float) -> None:
    """A recording of float32 counts in the HDF5 convention, a few trials in memory at a time."""
    import h5py
    import numpy as np

    n_trials = int(gib * 2**30 / (4 * N_TIMES * N_CHANNELS))
    n_valid = int(n_trials * VALID_SHARE)
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.05, 0.5, N_CHANNELS)
    with h5py.File(path, "w") as file:
        file.attrs["bin_width_s"] = 0.01
        for part, n in (("train", n_trials - n_valid), ("valid", n_valid)):
            data = file.create_dataset(
                f"{part}_data", (n, N_TIMES, N_CHANNELS), "float32", chunks=(20, N_TIMES, N_CHANNELS)
            )
            for start in range(0, n, 500):
                stop = min(start + 500, n)
                data[start:stop] = rng.poisson(rates, (stop - start, N_TIMES, N_CHANNELS))


def peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("The kernel tells no peak memory. Found no VmHWM in /proc/self/status. Run this on Linux.")


def measure(path: Path, epochs: int, batch: int) -> dict[str, float]:
    """Seconds of opening and of training, steps, and peak memory in MiB before and after."""
    from indl.data import open_recording
    from indl.params import preset
    from indl.training import train

    imported = peak_mib()
    begin = time.perf_counter()
    recording = open_recording(path)
    opened = time.perf_counter() - begin
    print(f"{recording!r}\nopened in {opened:.0f} s, peak {peak_mib():.0f} MiB", flush=True)
    begin = time.perf_counter()
    history = train(preset("default", **SMALL, batch_size=batch), recording, epochs=epochs).history
    return {
        "file_gib": path.stat().st_size / 2**30,
        "steps": epochs * -(-len(recording.train) // batch),
        "open_s": opened,
        "train_s": time.perf_counter() - begin,
        "loss": history["loss"][-1],
        "imported_mib": imported,
        "peak_mib": peak_mib(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=6.0, help="size of the file")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the training trials")
    parser.add_argument("--batch", type=int, default=256, help="trials in a batch")
    parser.add_argument("--bound-gib", type=float, default=2.5, help="peak memory that must not be exceeded")
    parser.add_argument("--folder", type=Path, help="where to write the file; default: a temporary folder")
    parser.add_argument("--json", type=Path, help="file to write the result to")
    args = parser.parse_args()
    free = shutil.disk_usage(args.folder or tempfile.gettempdir()).free / 2**30
    if free < 1.1 * args.gib:
        parser.error(
            f"The file needs {1.1 * args.gib:.1f} GiB of disk. Given: {free:.1f} GiB free. Give another --folder."
        )
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "big.h5"
        write(path, args.gib)
        found = measure(path, args.epochs, args.batch)
    print(
        f"{found['file_gib']:.2f} GiB file, {found['steps']} steps in {found['train_s']:.0f} s, peak "
        f"{found['peak_mib']:.0f} MiB of which {found['imported_mib']:.0f} MiB before the file was opened"
    )
    if args.json:
        args.json.write_text(json.dumps({"benchmark": "big_file", **found}, indent=2) + "\n")
    if found["peak_mib"] > args.bound_gib * 1024:
        raise SystemExit(
            f"Peak memory is above the bound. Given: {found['peak_mib']:.0f} MiB for {args.bound_gib} GiB."
        )


if __name__ == "__main__":
    main()
