"""Memory of a training step, measured beside what `indl.model.memory` says beforehand.

Each case runs in a process of its own: a step of the whole batch, after one of a few trials that has loaded what every
step needs. The peak of the process rises by what the step holds, the gradients of the weights among it; weights and
Adam's moments are there before::

    python benchmarks/memory.py --json bench_memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_MIB = 2**20
#: Preset, what is changed in it, trials of a batch, bins, channels.
CASES: tuple[tuple[str, dict[str, Any], int, int, int], ...] = (
    ("default", {}, 256, 200, 100),
    ("default", {"jit_compile": "on"}, 256, 200, 100),
    ("default", {"q_f_samples": 8}, 64, 100, 100),
    ("dsae_full", {}, 256, 200, 100),
    ("lfads", {}, 256, 140, 137),
    ("lfads", {"jit_compile": "on"}, 256, 140, 137),
    ("lfads_no_controller", {}, 256, 140, 137),
    ("ivae", {}, 512, 200, 100),
    ("pi_vae_sequence", {}, 256, 200, 100),
    ("default", {"z_latent_size": 500}, 64, 200, 100),
    ("default", {"f_units": [2048]}, 16, 50, 50),
    ("pi_vae", {}, 50_000, 1, 100),
)


def measure(name: str, changes: dict[str, Any], batch: int, n_times: int, n_channels: int) -> dict[str, float]:
    """Estimated and measured MiB of a step."""
    import numpy as np

    from indl.data.values.trials import Trials
    from indl.model.families import family_of
    from indl.params import preset
    from indl.training.fit import make_model, params_for

    labels = {"u_dim": 4} if name in ("ivae", "pi_vae_sequence") else {}
    counts = np.random.default_rng(0).poisson(1.0, (batch + 4, n_times, n_channels)) + 1
    recording = Trials(counts, 0.02, label=np.arange(batch + 4) % 4).split(valid=range(batch, batch + 4))
    p = params_for(preset(name, **{"jit_compile": "off", **changes, **labels, "batch_size": batch}), recording)
    model, family = make_model(p, recording), family_of(p)
    few = Trials(counts[:8], 0.02, label=np.arange(8) % 4).split(valid=range(4, 8))
    model.jit_compile = p["jit_compile"] == "on"
    for part in (few, recording):
        given = family.batches(p, part)
        given.pop("validation_data")
        before = _reset_peak()
        model.fit(**given, epochs=1, verbose=0)
    found = family.memory(p, recording)
    return {"estimate_mib": 4 * (found.step + found.weights) / _MIB, "measured_mib": _memory("VmHWM") - before}


def _memory(what: str) -> float:
    """A line of the process's state, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def _reset_peak() -> float:
    """Begins the peak anew; the memory in use, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(*json.loads(arguments.case))))
        return
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--case", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"case": case, **json.loads(done.stdout.splitlines()[-1])})
        found = rows[-1]
        ratio = found["estimate_mib"] / found["measured_mib"]
        print(f"{case}: {found['estimate_mib']:.0f} MiB estimated, {found['measured_mib']:.0f} measured, {ratio:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
