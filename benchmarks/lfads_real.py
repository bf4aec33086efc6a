"""LFADS on real recordings: scores of several seeds, CPU seconds an epoch, and the start of the read-out bias.

The folder holds adan_day0.h5 and mc_maze_small_5ms.h5. Runs have one thread each; weights are chosen by the hidden
held-in samples of the validation trials, and held-out channels are scored once, at the end::

    python benchmarks/lfads_real.py DATA --json bench_lfads_real.json
    python benchmarks/lfads_real.py DATA --only bias --figure docs/images/readout_bias.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: File, bins that are added up, preset, lag of the behaviour in seconds, epochs between two scores of hidden samples.
RUNS = {
    "force": ("adan_day0.h5", 1, "lfads_small", 0.15, 5),
    "maze, 20 ms": ("mc_maze_small_5ms.h5", 4, "lfads_small_no_controller", 0.0, 10),
    "maze, 5 ms": ("mc_maze_small_5ms.h5", 1, "lfads_small_no_controller", 0.0, 10),
}
SCORES = ("co_bps", "co_bps_se", "behavior_r2", "hidden_nll")


def train_one(data: Path, name: str, seed: int, changes: dict[str, Any], epochs: int | None) -> dict[str, Any]:
    """One run: scores, history, wall and CPU seconds of an epoch with its validation."""
    import keras

    from indl.data import load_recording, rebin
    from indl.evaluation import evaluate
    from indl.params import preset
    from indl.training import train

    file, factor, preset_name, lag, every = RUNS[name]
    recording = load_recording(data / file)
    recording = rebin(recording, factor) if factor > 1 else recording
    wall, cpu = [time.perf_counter()], [time.process_time()]

    class Clock(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            wall.append(time.perf_counter())
            cpu.append(time.process_time())

    params = preset(preset_name, **{"seed": seed, "jit_compile": "on", **changes})
    result = train(params, recording, epochs=epochs, callbacks=[Clock()], hidden_every=every)
    scores = evaluate(result.model, recording, samples=50, lag_s=lag)
    # The first epoch traces and compiles.
    steps = {key: (times[-1] - times[1]) / max(1, len(times) - 2) for key, times in (("wall", wall), ("cpu", cpu))}
    return {
        **{key: scores[key] for key in SCORES if key in scores},
        "best_epoch": result.best_epoch, "epochs": len(cpu) - 1,
        "cpu_s": steps["cpu"], "wall_s": steps["wall"],
        "history": {key: [float(value) for value in result.history[key]] for key in ("val_heldin_nll",)},
    }  # fmt: skip


def in_process(*arguments: Any) -> dict[str, Any]:
    """A run of its own process, with one thread."""
    one = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    command = [sys.executable, __file__, *map(str, arguments)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **one}).stdout
    return json.loads(out.strip().splitlines()[-1])


def draw(curves: dict[str, list[float]], n_bins: int, path: Path) -> None:
    """Held-in likelihood of the validation trials by epoch, for each start."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    for label, values in curves.items():
        axes.plot(range(1, len(values) + 1), [value / n_bins for value in values], label=label)
    axes.set(xlabel="epoch", ylabel="held-in NLL, validation\n(nats a bin and channel)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[*RUNS, "bias"], help=f"of {[*RUNS, 'bias']}")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="where the figure of the read-out bias goes")
    parser.add_argument("--run", nargs=4, metavar=("NAME", "SEED", "CHANGES", "EPOCHS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        name, seed, changes, epochs = args.run
        print(json.dumps(train_one(args.data, name, int(seed), json.loads(changes), int(epochs) or None)))
        return
    found: dict[str, Any] = {}
    for name in (name for name in RUNS if name in args.only):
        found[name] = []
        for seed in range(args.seeds):
            row = in_process(args.data, "--run", name, seed, "{}", 0)
            found[name].append(row)
            force = f", force R2 {row['behavior_r2']:.3f}" if "behavior_r2" in row else ""
            print(
                f"{name:12} seed {seed}: {row['co_bps']:.4f} +- {row['co_bps_se']:.4f} bits/spike{force}; best epoch "
                f"{row['best_epoch']} of {row['epochs']}; {row['cpu_s']:.3f} CPU s an epoch ({row['wall_s']:.3f} s)",
                flush=True,
            )
    if "bias" in args.only:
        starts = {"log mean rates": {}, "zero": {"init_rate_bias": 0.0}}
        rows = {label: in_process(args.data, "--run", "force", 0, json.dumps(changes), 120)
                for label, changes in starts.items()}  # fmt: skip
        curves = {label: row["history"]["val_heldin_nll"] for label, row in rows.items()}
        found["bias"] = curves
        for label, values in curves.items():
            shown = ", ".join(f"{values[epoch - 1]:.0f} after {epoch}" for epoch in (1, 20, len(values)))
            print(f"read-out bias from {label:14}: held-in NLL in nats a trial {shown} epochs")
        if args.figure:
            draw(curves, 30 * 72, args.figure)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
