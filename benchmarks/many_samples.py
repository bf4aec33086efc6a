"""LFADS with the bound of one sample and with those of several, on a real recording: the gain and the cost.

Every run has the preset `lfads_small`, with its loss as a sum over bins and channels (the same up to a factor, which
the weights take along), and differs in the objective and the samples alone. The columns: bits per spike of held-out
channels (co-smoothing); minus the log evidence of validation trials from 500 samples, and minus the bound of one
sample, nats a trial; and the processor's seconds of training. What a file of results holds already is not run again::

    python benchmarks/many_samples.py adan_day0.h5 --json bench_many_samples.json
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

PRESET, SAMPLES, EVIDENCE_SAMPLES = "lfads_small", 5, 500
OBJECTIVES = {
    "ELBO": {"objective": "elbo"},
    f"ELBO, mean of {SAMPLES} samples": {"objective": "elbo", "q_f_samples": SAMPLES},
    f"IWAE, {SAMPLES} samples": {"objective": "iwae", "q_f_samples": SAMPLES},
    f"DReG, {SAMPLES} samples": {"objective": "dreg", "q_f_samples": SAMPLES},
}
COLUMNS = {"co_bps": "co-smoothing", "evidence": "-log p(x)", "neg_elbo": "-ELBO", "seconds": "CPU seconds"}


def run(path: str, name: str, seed: int, epochs: int) -> dict[str, Any]:
    """Scores of one trained model."""
    import indl

    recording = indl.load_recording(path)
    params = indl.preset(PRESET)
    # A mean over bins and channels is a sum divided by their number.
    n = recording.valid.recon.shape[1] * recording.n_channels
    weights = {key: params[key] * n for key in ("kl_f_beta", "kl_z_beta", "l2_gen_scale", "l2_con_scale")}
    as_sum = {**weights, "loss_reduction": "sum", "loss_scale": params["loss_scale"] / n}
    changes = {"epochs": epochs, "seed": seed, "sample_at_test": True}
    begin = time.process_time()
    model = indl.train(indl.preset(PRESET, **as_sum, **changes, **OBJECTIVES[name]), recording).model
    seconds = time.process_time() - begin
    scores = indl.evaluate(model, recording)
    evidence = -float(model.log_evidence(recording, n_samples=EVIDENCE_SAMPLES).mean())
    kept = {key: scores[key] for key in ("co_bps", "neg_elbo")}
    return {"objective": name, "seed": seed, "epochs": epochs, **kept, "evidence": evidence, "seconds": seconds}


def table(rows: list[dict[str, Any]]) -> str:
    """Means over seeds as Markdown, +- the standard deviation of several."""
    lines = [f"| objective | seeds | {' | '.join(COLUMNS.values())} |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for name in dict.fromkeys(row["objective"] for row in rows):
        group = [row for row in rows if row["objective"] == name]
        cells = [name, str(len(group))]
        for column in COLUMNS:
            values, digits = [row[column] for row in group], 4 if column == "co_bps" else 1
            spread = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", help="a recording with held-out channels and validation trials")
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--json", type=Path, help="file of results, which the benchmark goes on from")
    parser.add_argument("--run", nargs=2, metavar=("OBJECTIVE", "SEED"), help="one run in this process")
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(args.recording, args.run[0], int(args.run[1]), args.epochs)))
        return
    rows = json.loads(args.json.read_text()) if args.json and args.json.exists() else []
    for seed in args.seeds:
        for name in args.objectives:
            task = {"objective": name, "seed": seed, "epochs": args.epochs}
            if any(task.items() <= row.items() for row in rows):
                continue
            # A process of its own leaves no memory behind.
            command = [sys.executable, __file__, args.recording, "--epochs", str(args.epochs), "--run", name, str(seed)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"{name}, seed {seed}: failed", flush=True)
                continue
            rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1))
            print(f"{name}, seed {seed}: {rows[-1]['seconds']:.0f} s", flush=True)
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
