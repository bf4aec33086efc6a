"""Time and peak memory of one training step of the default preset, its growth, and what `fit` adds to it.

Every case runs in a process of its own, so that its peak memory is its own. There is no peer here; ratios are
against the first case (growth) and against the bare step (share of `fit` outside the step)::

    python benchmarks/train_step.py --json bench_train_step.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CASES = ((64, 100, 100), (256, 140, 137), (128, 100, 100), (64, 200, 100))
STEPS = 10
# Arrays are checked once a fit; a few epochs stand for the many of a real one.
EPOCHS = 3


def measure(batch: int, n_times: int, n_channels: int) -> dict[str, float]:
    """Seconds a step, bare and within `fit`, seconds of the first step, and peak memory in MiB."""
    import keras
    import numpy as np
    import tensorflow as tf

    from indl.model.assemble import build_sequential_vae
    from indl.params import preset

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).poisson(0.3, (batch * STEPS, n_times, n_channels)).astype("float32")
    model = build_sequential_vae(preset("default"), n_times, n_channels)
    model.compile(optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=200.0))
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda trials: model.train_step((trials, trials)))
    first = tf.constant(x[:batch])
    begin = time.perf_counter()
    step(first)
    compile_s = time.perf_counter() - begin
    model.fit(x[: batch * 2], batch_size=batch, epochs=1, verbose=0)
    bare, within = [], []
    # Both are timed in turn, so that a busy moment of the machine hits both.
    for _ in range(3):
        begin = time.perf_counter()
        for i in range(STEPS):
            step(tf.constant(x[i * batch : (i + 1) * batch]))
        bare.append((time.perf_counter() - begin) / STEPS)
        begin = time.perf_counter()
        model.fit(x, batch_size=batch, epochs=EPOCHS, verbose=0)
        within.append((time.perf_counter() - begin) / (STEPS * EPOCHS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ours_s": min(bare), "fit_s": min(within), "first_step_s": compile_s, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument(
        "--case", type=int, nargs=3, metavar=("BATCH", "TIME", "CHANNELS"), help="measure one case alone"
    )
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(*args.case)))
        return
    results = []
    for case in CASES:
        command = [sys.executable, __file__, "--case", *map(str, case)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(out.strip().splitlines()[-1])
        base = results[0] if results else found
        outside = max(0.0, 1 - found["ours_s"] / found["fit_s"])
        sizes = dict(zip(("batch", "time", "channels"), case, strict=True))
        results.append({**sizes, **found, "growth": found["ours_s"] / base["ours_s"], "fit_share_outside": outside})
        print(
            f"{case}: step {found['ours_s'] * 1e3:.0f} ms ({results[-1]['growth']:.2f} of the first case), outside the "
            f"step {outside:.1%} of fit, peak {found['peak_mib']:.0f} MiB, first step {found['first_step_s']:.1f} s"
        )
    if args.json:
        args.json.write_text(json.dumps({"benchmark": "train_step", "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
