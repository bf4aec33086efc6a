"""Time and memory of LFADS beside a plain PyTorch loop of clipped GRU cells (`torch_lfads.py`), as ratios.

Every measurement runs in a process of its own, ours and PyTorch's in turn, several times; a ratio is the median of the
rounds' ratios, so that a busy moment of the machine hits both::

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.13.0
    python benchmarks/lfads_step.py --torch-python torch_env/bin/python --json bench_lfads_step.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: Batch, bins, channels, then units of encoders, controller and generator, factors, sizes of f and z.
CASES = {
    "64x100x100, width 100": (64, 100, 100, 100, 100, 100, 40, 100, 6),
    "256x140x137, NLB sizes": (256, 140, 137, 64, 64, 200, 100, 64, 4),
    "256x35x137, NLB sizes": (256, 35, 137, 64, 64, 200, 100, 64, 4),
}
GROWTH = {
    "twice the trials": (128, 100, 100, 100, 100, 100, 40, 100, 6),
    "twice the bins": (64, 200, 100, 100, 100, 100, 40, 100, 6),
    "twice the channels": (64, 100, 200, 100, 100, 100, 40, 100, 6),
}
NAMES = ("batch", "time", "channels", "enc", "con", "gen", "factors", "ic", "co")
HERE = Path(__file__).parent


def measure(case: tuple[int, ...], what: str, mode: str, repeats: int, policy: str) -> dict[str, Any]:
    """Seconds of a training step, or of inference, of our model; run in a process of its own."""
    import keras
    import numpy as np
    import tensorflow as tf

    from indl.model.assemble import build_sequential_vae
    from indl.params import preset
    from indl.training.fit import make_optimizer

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    keras.config.set_dtype_policy(policy)
    batch, n_times, n_channels, enc, con, gen, n_factors, ic, co = case
    params = preset(
        "lfads", f_units=[enc], z1_units=[enc], z2_units=con, gen_n_hidden=[gen], n_factors=n_factors,
        f_latent_size=ic, z_latent_size=co,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).poisson(0.3, (batch, n_times, n_channels)).astype("float32")
    model = build_sequential_vae(params, n_times, n_channels)
    model.init_readout(x)
    model.compile(optimizer=make_optimizer(params, batch), jit_compile=mode != "plain")
    model.batch_parts = 2 if mode == "parts" else 1
    model.optimizer.build(model.trainable_variables)
    if what == "step":
        step = tf.function(lambda trials: model.train_step((trials,)), jit_compile=mode == "compiled", autograph=False)
        data = tf.constant(x)

        def run() -> None:
            tf.nest.map_structure(np.asarray, step(data))

    else:
        samples = int(what.partition(":")[2] or 0)

        def run() -> None:
            size = batch * min(samples or 1, 5)
            model.outputs_of(x, ("rates", "factors"), samples=samples, batch_size=size, compiled=mode == "compiled")

    begin = time.perf_counter()
    run()
    first = time.perf_counter() - begin
    run()
    seconds, cpu = [], []
    for _ in range(repeats):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - cpu_begin)
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "cpu_median_s": statistics.median(cpu),
        "first_s": first,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before_model_mib": before,
        "n_parameters": model.count_params(),
    }


def in_process(command: list[Any]) -> dict[str, Any]:
    """The JSON that a command prints last."""
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def ours(case: tuple[int, ...], what: str, mode: str, repeats: int, policy: str = "float32") -> dict[str, Any]:
    sizes = [str(size) for size in case]
    return in_process([sys.executable, __file__, "--case", *sizes, "--what", what, "--mode", mode, "--policy", policy,
                       "--repeats", repeats])  # fmt: skip


def torch(python: str, case: tuple[int, ...], what: str, repeats: int) -> dict[str, Any]:
    sizes = [part for name, size in zip(NAMES, case, strict=True) for part in (f"--{name}", size)]
    extra = [] if what == "step" else ["--inference", what]
    return in_process([python, HERE / "torch_lfads.py", "step", *sizes, "--repeats", repeats, "--threads", 2, *extra])


def compare(python: str, case: tuple[int, ...], what: str, modes: list[str], rounds: int, repeats: int) -> dict:
    """Ratios of our time and memory to PyTorch's, by mode, and the seconds behind them."""
    found: dict[str, list[dict[str, Any]]] = {"torch": [], **{mode: [] for mode in modes}}
    for _ in range(rounds):
        found["torch"].append(torch(python, case, what, repeats))
        for mode in modes:
            found[mode].append(ours(case, what, mode, repeats))
    rows = {}
    for mode in modes:
        pairs = list(zip(found[mode], found["torch"], strict=True))
        ratios = {
            key: statistics.median(a[key] / b[key] for a, b in pairs) for key in ("median_s", "min_s", "peak_mib")
        }
        # What the model adds, beside what the imports take.
        own = statistics.median(
            (a["peak_mib"] - a["before_model_mib"]) / (b["peak_mib"] - b["before_model_mib"]) for a, b in pairs
        )
        rows[mode] = {
            "ratio": ratios["median_s"],
            "ratio_of_best": ratios["min_s"],
            "ratio_by_round": [a["median_s"] / b["median_s"] for a, b in pairs],
            "memory_ratio": ratios["peak_mib"],
            "memory_ratio_without_imports": own,
            "seconds": statistics.median(a["median_s"] for a in found[mode]),
            "torch_seconds": statistics.median(b["median_s"] for b in found["torch"]),
            "first_s": statistics.median(a["first_s"] for a in found[mode]),
            "peak_mib": statistics.median(a["peak_mib"] for a in found[mode]),
            "torch_peak_mib": statistics.median(b["peak_mib"] for b in found["torch"]),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="a Python with torch 2.13.0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=["step", "inference", "growth", "bfloat16"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", type=int, nargs=9, help=argparse.SUPPRESS)
    parser.add_argument("--what", default="step", help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="compiled", help=argparse.SUPPRESS)
    parser.add_argument("--policy", default="float32", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(tuple(args.case), args.what, args.mode, args.repeats, args.policy)))
        return
    if not args.torch_python:
        parser.error("Name a Python that has torch: --torch-python PATH.")
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        for what in ("step", "means", "samples:50"):
            if ("step" if what == "step" else "inference") not in args.only:
                continue
            modes = ["parts", "plain"] if what == "step" else ["compiled", "plain"]
            repeats = args.repeats if what != "samples:50" else 2
            rows = compare(args.torch_python, case, what, modes, args.rounds, repeats)
            results[f"{what} {name}"] = rows
            for mode, row in rows.items():
                print(
                    f"{what:10} {name:24} {mode:8} ours/torch {row['ratio']:.2f} (best {row['ratio_of_best']:.2f}; "
                    f"{row['seconds']:.3f} s / {row['torch_seconds']:.3f} s), memory {row['memory_ratio']:.2f} "
                    f"(without imports {row['memory_ratio_without_imports']:.2f}), first call {row['first_s']:.1f} s",
                    flush=True,
                )
    if "growth" in args.only:
        base_case = CASES["64x100x100, width 100"]
        for name, case in GROWTH.items():
            rounds = [(ours(case, "step", "parts", args.repeats), ours(base_case, "step", "parts", args.repeats))
                      for _ in range(args.rounds)]  # fmt: skip
            growth = {key: statistics.median(a[key] / b[key] for a, b in rounds) for key in ("median_s", "peak_mib")}
            results[f"growth {name}"] = growth
            print(f"growth     {name:24} time {growth['median_s']:.2f}, memory {growth['peak_mib']:.2f}", flush=True)
    if "bfloat16" in args.only:
        for name, case in CASES.items():
            pair = [(ours(case, "step", "parts", args.repeats, "mixed_bfloat16"),
                     ours(case, "step", "parts", args.repeats)) for _ in range(args.rounds)]  # fmt: skip
            ratio = statistics.median(a["median_s"] / b["median_s"] for a, b in pair)
            results[f"bfloat16 {name}"] = {"ratio": ratio}
            print(f"bfloat16   {name:24} mixed_bfloat16 / float32 {ratio:.2f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
