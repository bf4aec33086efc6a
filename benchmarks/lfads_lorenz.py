"""LFADS on the Lorenz benchmark: recovered rates, and wall time beside a plain PyTorch loop, in one run.

The setting is that of the reference numbers: no controller, 29 neurons, seed 0, 240 epochs (about 15 minutes for both
on two cores)::

    python benchmarks/lfads_lorenz.py --torch-python torch_env/bin/python --json bench_lfads_lorenz.json

Without --torch-python ours alone is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EPOCHS = 240
HERE = Path(__file__).parent
#: The same in both: sizes and constants of the reference run.
OURS = {
    "f_latent_size": 64, "gen_n_hidden": [100], "n_factors": 8, "dropout_rate": 0.05, "kl_f_beta": 1e-4,
    "l2_gen_scale": 1e-3, "batch_size": 208, "patience": 0, "monitor": "val_neg_elbo",
}  # fmt: skip
TORCH = ("--no-controller --enc 64 --ic 64 --gen 100 --factors 8 --dropout 0.05 --cd-rate 0.3 --kl-ic 1e-4 "
         "--l2-gen 1e-3 --batch 208 --lr 4e-3 --select plain").split()  # fmt: skip


def train_ours(epochs: int, seed: int) -> dict[str, Any]:
    """Our training: seconds of every epoch with its validation, and R2 of rates every 20 epochs."""
    import keras

    from indl import metrics
    from indl.data import lorenz
    from indl.evaluation import evaluate
    from indl.params import preset
    from indl.training import train

    recording = lorenz(seed=0)
    seconds, r2 = [], {}

    class Probe(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.begin)
            if (epoch + 1) % 20 == 0:
                rates = self.model.rates(recording.valid.encod)
                r2[epoch + 1] = metrics.rate_r2_per_channel(rates, recording.valid.truth)
                print(f"ours  epoch {epoch + 1}: R2 {r2[epoch + 1]:.3f}, {sum(seconds):.0f} s", flush=True)

    begin = time.perf_counter()
    params = preset("lfads_no_controller", seed=seed, **OURS)
    # Neither of the two validates on hidden samples as it goes.
    result = train(params, recording, epochs=epochs, hidden_every=epochs, callbacks=[Probe()])
    whole = time.perf_counter() - begin
    scores = evaluate(result.model, recording, samples=50)
    return {
        "r2_by_epoch": r2, "scores": scores, "epochs_s": sum(seconds), "wall_s": whole,
        "best_epoch": result.best_epoch, "compiled": result.model.params["jit_compile"],
        "parts": result.model.params["batch_parts"],
    }  # fmt: skip


def train_torch(python: str, epochs: int, seed: int) -> dict[str, Any]:
    """PyTorch's training on the same arrays."""
    import numpy as np

    from indl.data import lorenz

    recording = lorenz(seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lorenz.npz"
        np.savez(path, train_encod=recording.train.encod, train_recon=recording.train.recon,
                 valid_encod=recording.valid.encod, valid_recon=recording.valid.recon,
                 valid_truth=recording.valid.truth)  # fmt: skip
        command = [python, HERE / "torch_lfads.py", "train", "--data", path, "--out", Path(folder) / "out.npz",
                   "--epochs", epochs, "--seed", seed, *TORCH]  # fmt: skip
        begin = time.perf_counter()
        out = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {**json.loads(out.strip().splitlines()[-1]), "process_s": time.perf_counter() - begin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="a Python with torch 2.13.0")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0, help="of weights and draws; the data keep seed 0")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        print(json.dumps(train_ours(args.epochs, args.seed)))
        return
    command = [sys.executable, __file__, "--ours", "--epochs", str(args.epochs), "--seed", str(args.seed)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ours"):
                print(line, end="", flush=True)
    found = {"ours": json.loads(lines[-1])}
    ours = found["ours"]
    print(
        f"ours: R2 at the best epoch, 50 samples {ours['scores']['rate_r2_per_channel']:.3f}; "
        f"{ours['epochs_s']:.0f} s in epochs, {ours['wall_s']:.0f} s in all (compiled: {ours['compiled']}, "
        f"parts: {ours['parts']})"
    )
    if args.torch_python:
        found["torch"] = torch = train_torch(args.torch_python, args.epochs, args.seed)
        epochs_s = sum(torch[f"{part}_wall_s"]["total"] for part in ("train", "valid"))
        print(
            f"PyTorch: R2 {torch['sampled']['r2_channel']:.3f}, {epochs_s:.0f} s in epochs; ours takes "
            f"{ours['epochs_s'] / epochs_s:.2f} of it, with tracing and compilation {ours['wall_s'] / epochs_s:.2f}"
        )
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
