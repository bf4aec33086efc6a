"""Time of pi-VAE's training beside pi-vae-pytorch (`torch_pi_vae.py`), as ratios.

Every measurement runs in a process of its own, ours and the port's in turn, several times; a ratio is the median of the
rounds' ratios, so that a busy moment of the machine hits both::

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.13.0 pi-vae-pytorch
    python benchmarks/pi_vae_step.py --torch-python torch_env/bin/python --json bench_pi_vae_step.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: Labels and rows of a batch; 100 channels, 2 latents, 40 batches an epoch.
CASES = {"discrete, 200 rows": ("discrete", 200), "continuous, 300 rows": ("continuous", 300)}


def measure(labels: str, batch: int, repeats: int, epochs: int, threads: int) -> dict[str, float]:
    """Seconds of a compiled step, in a stack and by itself, and of an epoch of `fit`; run in a process of its own."""
    import keras
    import numpy as np
    import tensorflow as tf

    from indl.model.pi_vae import build_pi_vae
    from indl.params import preset

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    discrete, rows = labels == "discrete", 40 * batch
    rng = np.random.default_rng(0)
    x = rng.poisson(1.0, (rows, 100)).astype("float32")
    u = rng.integers(0, 5, rows) if discrete else rng.random((rows, 1), "float32")
    keras.utils.set_random_seed(0)
    params = preset("pi_vae_port", discrete_labels=discrete, alpha=0.5, batch_size=batch)
    model = build_pi_vae(params, 100, 5 if discrete else 1)
    step = tf.function(model.train_step, jit_compile=True, autograph=False)
    data = ({"x": tf.constant(x[:batch]), "u": tf.constant(u[:batch].astype("int32" if discrete else "float32"))},)
    seconds = []
    for i in range(repeats + 5):
        begin = time.perf_counter()
        float(step(data)["loss"])
        if i >= 5:
            seconds.append(time.perf_counter() - begin)
    # As fit runs them: the steps of a stack in one call.
    stack = {name: tf.stack([value] * 40) for name, value in data[0].items()}
    stacked = []
    for i in range(max(repeats // 10, 5) + 2):
        begin = time.perf_counter()
        float(step((stack, tf.constant(40)))["loss"])
        if i >= 2:
            stacked.append((time.perf_counter() - begin) / 40)
    times: list[float] = []

    class Times(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            times.append(time.perf_counter())

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            times[-1] = time.perf_counter() - times[-1]

    with warnings.catch_warnings():
        # Random labels identify nothing.
        warnings.simplefilter("ignore")
        model.fit((x, u), epochs=epochs + 1, verbose=0, callbacks=[Times()])
    return {
        "step_s": statistics.median(seconds),
        "step_min_s": min(seconds),
        "stacked_step_s": statistics.median(stacked),
        "epoch_s": statistics.median(times[1:]),
        "epoch_min_s": min(times[1:]),
        "first_epoch_s": times[0],
    }


def in_process(command: list[Any]) -> dict[str, float]:
    """The JSON that a command prints last."""
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-python", help="Python of an environment with torch and pi-vae-pytorch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2, help="of ours and of the port")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", nargs=2, metavar=("LABELS", "BATCH"), help="one measurement in this process")
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case[0], int(args.case[1]), args.repeats, args.epochs, args.threads)))
        return
    if not args.torch_python:
        parser.error("--torch-python is needed for the comparison")
    other = Path(__file__).parent / "torch_pi_vae.py"
    counts = ["--repeats", args.repeats, "--epochs", args.epochs, "--threads", args.threads]
    results = {}
    for name, (labels, batch) in CASES.items():
        pairs = []
        for _ in range(args.rounds):
            torch = in_process([args.torch_python, other, "--labels", labels, "--batch", batch, *counts])
            ours = in_process([sys.executable, __file__, "--case", labels, batch, *counts])
            pairs.append((ours, torch))
        ratios = {
            "step": [a["stacked_step_s"] / b["step_s"] for a, b in pairs],
            "step called by itself": [a["step_s"] / b["step_s"] for a, b in pairs],
            "step called by itself (best)": [a["step_min_s"] / b["step_min_s"] for a, b in pairs],
            "epoch": [a["epoch_s"] / b["loop_epoch_s"] for a, b in pairs],
            "epoch (best)": [a["epoch_min_s"] / b["loop_epoch_min_s"] for a, b in pairs],
            "epoch, port with a DataLoader": [a["epoch_s"] / b["loader_epoch_s"] for a, b in pairs],
        }
        results[name] = {"ratios": ratios, "pairs": pairs}
        for what, values in ratios.items():
            print(f"{name:<22} {what:<30} {statistics.median(values):.2f}  ({', '.join(f'{v:.2f}' for v in values)})")
        first = statistics.median(a["first_epoch_s"] for a, _ in pairs)
        print(f"{name:<22} first epoch with its compilation {first:.1f} s", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
