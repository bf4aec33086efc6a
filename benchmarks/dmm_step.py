"""Seconds of a deep Markov model's training step beside a plain PyTorch loop (`torch_dmm.py`), as ratios.

Every measurement runs in a process of its own, ours and PyTorch's in turn; a ratio is the median of the rounds'::

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.13.0
    python benchmarks/dmm_step.py --torch-python torch_env/bin/python --json bench_dmm_step.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: Batch, bins, channels, then units of encoder, size of z, units of transition and of both emission layers.
CASES = {
    "64x100x100, sizes for neural data": (64, 100, 100, 16, 4, 8, 256),
    "64x100x100, width 100": (64, 100, 100, 100, 10, 100, 100),
    "64x100x100, sizes of the paper": (64, 100, 100, 600, 100, 400, 200),
}
HERE = Path(__file__).parent


def measure(case: tuple[int, ...], mode: str, repeats: int) -> dict[str, Any]:
    """Seconds of a training step; run in a process of its own."""
    import keras
    import numpy as np
    import tensorflow as tf

    from indl.model.assemble import build_sequential_vae
    from indl.params import preset
    from indl.training.fit import make_optimizer

    batch, n_times, n_channels, units, size, transition, emission = case
    params = preset("dmm", z1_units=[units], z_latent_size=size, z_prior_units=transition, gen_n_hidden=[emission] * 2)
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).poisson(0.3, (batch, n_times, n_channels)).astype("float32")
    model = build_sequential_vae(params, n_times, n_channels)
    model.compile(optimizer=make_optimizer(params, batch), jit_compile=mode != "plain")
    model.batch_parts = 2 if mode == "parts" else 1
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda trials: model.train_step((trials,)), jit_compile=mode == "compiled", autograph=False)
    data, seconds = tf.constant(x), []
    for _ in range(repeats + 2):
        begin = time.perf_counter()
        tf.nest.map_structure(np.asarray, step(data))
        seconds.append(time.perf_counter() - begin)
    return {"median_s": statistics.median(seconds[2:]), "min_s": min(seconds[2:]), "first_s": seconds[0]}


def in_process(command: list[Any]) -> dict[str, Any]:
    """The JSON that a command prints last."""
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="a Python with torch 2.13.0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--modes", nargs="*", default=["parts", "plain"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", type=int, nargs=7, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(tuple(args.case), args.modes[0], args.repeats)))
        return
    if not args.torch_python:
        parser.error("Name a Python that has torch: --torch-python PATH.")
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        found: dict[str, list[dict[str, Any]]] = {"torch": [], **{mode: [] for mode in args.modes}}
        for _ in range(args.rounds):
            torch = [args.torch_python, HERE / "torch_dmm.py", "--sizes", *case, "--repeats", args.repeats]
            found["torch"].append(in_process(torch))
            for mode in args.modes:
                own = [sys.executable, __file__, "--case", *case, "--modes", mode, "--repeats", args.repeats]
                found[mode].append(in_process(own))
        for mode in args.modes:
            by_round = [a["median_s"] / b["median_s"] for a, b in zip(found[mode], found["torch"], strict=True)]
            seconds = {key: statistics.median(row["median_s"] for row in found[key]) for key in (mode, "torch")}
            results[f"{name} {mode}"] = {"ratio": statistics.median(by_round), "ratio_by_round": by_round, **seconds}
            print(
                f"{name:36} {mode:6} ours/torch {statistics.median(by_round):.2f} ({seconds[mode]:.3f} s / "
                f"{seconds['torch']:.3f} s), first call {found[mode][0]['first_s']:.1f} s",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
