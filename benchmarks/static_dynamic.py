"""Models of static and dynamic latents on simulated spikes of known truth: what each latent tells, and what swaps give.

Every model has the same sizes, data and budget: 40 epochs of 2000 trials in batches of 64, Adam at 2e-3 and at 5e-4 in
the last third, gradients clipped at 5, KL weights that rise from 0 to 1 over the first 30 % of the steps. The epoch is
chosen by the bound on 500 further trials, and all scores are of 1000 others. A run takes some minutes on two cores;
what a file of results holds already is not run again, so that an interrupted benchmark goes on::

    python benchmarks/static_dynamic.py --json bench_static_dynamic.json
    python benchmarks/static_dynamic.py --levels gain --models "DSAE full, Z=2" --seeds 0 --json bench_gain.json

The columns: style and content told from f (style should be 1, content chance: .333) and from z (style: chance, .167);
R2 of the true latents from f and from z; R2 of the rates, of all trials and channels together, decoded from a trial's
own f and z, and from f of one trial and z of another of other style and content, against the true rates of that swap;
-ELBO in nats a trial with the model's own prior at weights of one, whose z and f are *drawn* from the posterior, one
sample a trial (at posterior means the number would be some 20 nats too small, and no bound), and its two KL terms; and
the processor's seconds of training. Of the truth, bits per spike of the true rates are printed too; the rival are
principal components.
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
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LEVELS = ("additive", "gain", "mlp")
EPOCHS = 40
LEARNING_RATES = (2e-3, 5e-4)
#: Steps over which the weights of the KL terms rise, of about 1240.
RAMP = 372
N_TRAIN, N_VALID, N_TEST = 2000, 500, 1000
SEEDS = {"train": 1, "test": 2, "valid": 3}

BUDGET = {
    "learning_rate": LEARNING_RATES[0], "lr_schedule": "constant", "max_grad_norm": 5.0, "batch_size": 64,
    "patience": 0, "kl_f_beta": 1.0, "kl_z_beta": 1.0, "kl_f_schedule": "linear", "kl_z_schedule": "linear",
    "kl_f_ramp": RAMP, "kl_z_ramp": RAMP, "kl_unit": "step", "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0,
    "input_transform": "log1p", "monitor": "val_neg_elbo", "sample_at_test": True,
}  # fmt: skip
NO_F = {"f_latent_size": 0}
NO_Z = {"z_latent_size": 0}
F = {"f_units": [64], "f_latent_size": 8}
Z = {"z1_units": [64], "z_latent_size": 4, "z_prior_units": 32}
GENERATOR = {"gen_n_hidden": [64], "gen_activation": "tanh"}
FULL = {**F, **Z, **GENERATOR, "z2_units": 64}
FACTORIZED = {**F, **Z, **GENERATOR}
GATED = {**Z, **GENERATOR, "z_prior_units": 64}
#: The loss of LFADS as a bound, in sizes of the others.
LFADS = {
    **F, **Z, "z2_units": 64, "gen_n_hidden": [64], "n_factors": 8, "loss_reduction": "sum", "loss_scale": 1.0,
    "l2_gen_scale": 0.0, "l2_con_scale": 0.0, "q_f_min_var": 0.0,
}  # fmt: skip


class Model(NamedTuple):
    """A preset and what differs from it.

    Attributes:
        preset: name of the preset.
        changes: parameters, beside those of the budget.
        window: bins of the windows that trials are cut into, each trial a sequence of them; None: whole trials.
    """

    preset: str
    changes: dict[str, Any]
    window: int | None = None


MODELS = {
    "DSAE full": Model("dsae_full", FULL),
    "DSAE full, Z=2": Model("dsae_full", {**FULL, "z_latent_size": 2}),
    "DSAE full, free-running prior": Model("dsae_full", {**FULL, "z_prior_rollout": "free"}),
    "DSAE full, AR(1) prior": Model("dsae_full", {**FULL, "z_prior_process": "AR1"}),
    "DSAE full, KL(z) times 4": Model("dsae_full", {**FULL, "kl_z_beta": 4.0}),
    "DSAE factorized": Model("dsae_factorized", FACTORIZED),
    "FHVAE": Model("fhvae", {**F, **Z, "gen_n_hidden": [64], "f_prior_sequence": "label", "batch_size": 320}, 10),
    "FDMM": Model("fdmm", {**F, **GATED}),
    "FDMM, Z=2": Model("fdmm", {**F, **GATED, "z_latent_size": 2}),
    "DMM": Model("dmm", {**GATED, **NO_F}),
    "beta-VAE": Model("beta_vae", {**F, **NO_Z, "gen_n_hidden": [64], "n_factors": 8}),
    "LFADS": Model("lfads", LFADS),
}
TRUTH, RIVAL = "truth", "principal components"
COLUMNS = {
    "style_f": "style\\|f", "content_f": "content\\|f", "style_z": "style\\|z (leak)", "content_z": "content\\|z",
    "r2_s": "R2 s\\|f", "r2_z": "R2 z\\|z", "rate_r2": "rate R2", "swap_r2": "swap rate R2",
    "neg_elbo": "-ELBO", "kl_f": "KL_f", "kl_z": "KL_z", "seconds": "CPU seconds",
}  # fmt: skip
WHOLE = ("neg_elbo", "kl_f", "kl_z", "seconds")


def probed(latents: list[tuple[Any, Any]], parts: list[Any]) -> dict[str, float]:
    """What f and z of training and test trials tell."""
    from indl.metrics import LatentTrials, static_dynamic_probes

    trials = [
        LatentTrials(f, z, part.style, part.content, part.s, part.z)
        for (f, z), part in zip(latents, parts, strict=True)
    ]
    found = static_dynamic_probes(*trials)
    accuracies = {name: getattr(found, name).accuracy for name in ("style_f", "content_f", "style_z", "content_z")}
    return {**accuracies, "r2_s": found.r2_s, "r2_z": found.r2_z}


def known(level: str) -> list[dict[str, Any]]:
    """The rows of the truth and of principal components, which need no training."""
    from indl.data import static_dynamic_poisson
    from indl.metrics import bits_per_spike, pca_codes

    train, test = parts = drawn(static_dynamic_poisson, level)
    bits = bits_per_spike(test.rates, test.counts, train.counts.mean((0, 1), dtype=float))
    truth = probed([(part.s, part.z) for part in parts], parts)
    rival = probed(list(pca_codes(train.counts, test.counts)), parts)
    return [
        {"level": level, "model": TRUTH, "seed": 0, **truth, "rate_r2": 1.0, "swap_r2": 1.0, "bits_per_spike": bits},
        {"level": level, "model": RIVAL, "seed": 0, **rival},
    ]


def drawn(draw: Any, level: str) -> list[Any]:
    """Training and test trials."""
    return [draw(level, n, SEEDS[part]) for part, n in (("train", N_TRAIN), ("test", N_TEST))]


class Coder:
    """Encodes and decodes whole trials with a model of trials or of windows, whichever latents it has.

    A latent that the model lacks is zeros. Of windows, f is the mean over those of a trial, and z is constant in each.
    """

    def __init__(self, model: Any, window: int | None):
        self.model = model
        self.window = window

    def encode(self, counts: Any) -> tuple[Any, Any]:
        """Posterior means f (trials, F) and z (trials, time, Z)."""
        import numpy as np

        n, n_times = counts.shape[:2]
        q = self.model.encode(cut(counts, self.window))
        f = np.asarray(q["q_f"].loc) if "q_f" in q else np.zeros((n, 1))
        z = np.asarray(q["q_z"].loc) if "q_z" in q else np.zeros((n, n_times, 1))
        if self.window:
            f, z = f.reshape(n, -1, f.shape[-1]).mean(axis=1), np.repeat(z.reshape(n, -1, z.shape[-1]), self.window, 1)
        return f, z

    def decode(self, f: Any, z: Any) -> Any:
        """Rates (trials, time, channels) of latents of whole trials."""
        import numpy as np

        n, n_times = z.shape[:2]
        if self.window:
            f, z = np.repeat(f, n_times // self.window, axis=0), z[:, :: self.window].reshape(-1, z.shape[-1])
        latents = {name: {"f": f, "z": z}[name] for name in self.model.latent_names}
        rates = np.asarray(self.model.decode(**latents, n_times=self.window or n_times).mean())
        return rates.reshape(n, n_times, -1)


def cut(counts: Any, window: int | None) -> Any:
    """Trials (trials, time, channels), or their windows (trials * windows, window, channels)."""
    return counts.reshape(-1, window, counts.shape[-1]) if window else counts


def windows_of(recording: Any, window: int) -> Any:
    """The recording with windows for trials, each labelled with the number of its trial."""
    from dataclasses import replace

    import numpy as np

    from indl.data import Split

    def part(split: Any) -> Any:
        counts = cut(split.recon, window)
        return Split(counts, counts, label=np.repeat(split.inds, split.recon.shape[1] // window))

    return replace(recording, train=part(recording.train), valid=part(recording.valid))


def bound(model: Any, counts: Any, window: int | None) -> dict[str, float]:
    """-ELBO and its KL terms of test trials, in nats a trial."""
    import numpy as np

    n_windows = counts.shape[1] // window if window else 1
    x = cut(counts, window)
    if window:
        # Rows behind those of training and validation are left for the sequences of the test.
        x = {"x": x, "index": np.repeat(N_TRAIN + N_VALID + np.arange(len(counts)), n_windows)}
    terms = model.evaluate(x, verbose=0, return_dict=True, batch_size=model.rows_at_once())
    return {name: n_windows * float(terms.get(name, 0.0)) for name in ("neg_elbo", "kl_f", "kl_z")}


def run(level: str, name: str, seed: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Scores of one trained model."""
    import keras
    import numpy as np

    from indl.data import StaticDynamicSimulator, static_dynamic, static_dynamic_poisson
    from indl.metrics import rate_r2_flat, swap_partners, swap_rate_r2
    from indl.params import preset
    from indl.training import train

    which = MODELS[name]
    changes = {**BUDGET, **which.changes, "epochs": epochs, "seed": seed}
    recording = static_dynamic(level, N_TRAIN, N_VALID, train_seed=SEEDS["train"], valid_seed=SEEDS["valid"])
    if which.window:
        recording = windows_of(recording, which.window)
        changes["f_prior_n_seqs"] = N_TRAIN + N_VALID + N_TEST
    begin = time.process_time()
    slower = keras.callbacks.LearningRateScheduler(lambda epoch: LEARNING_RATES[epoch >= 2 * epochs / 3])
    model = train(preset(which.preset, **changes), recording, callbacks=[slower]).model
    seconds = time.process_time() - begin
    parts = drawn(static_dynamic_poisson, level)
    coder, test = Coder(model, which.window), parts[1]
    latents = [coder.encode(part.counts) for part in parts]
    f, z = latents[1]
    truth = StaticDynamicSimulator(level), test.s, test.z
    return {
        "level": level, "model": name, "seed": seed, "epochs": epochs, **probed(latents, parts),
        "rate_r2": rate_r2_flat(coder.decode(f, z), test.rates),
        "swap_r2": swap_rate_r2(coder.decode, f, z, *truth, swap_partners(test.style, test.content), form="flat"),
        **bound(model, test.counts, which.window), "seconds": seconds, "parameters": int(model.count_params()),
        "latents": [int(np.shape(part)[-1]) for part in (f, z)],
    }  # fmt: skip


def table(rows: list[dict[str, Any]], level: str) -> str:
    """Means over seeds as Markdown, +- the standard deviation of several, models in the order of their first row."""
    rows = [row for row in rows if row["level"] == level]
    lines = [f"| {level} | seeds | {' | '.join(COLUMNS.values())} |", "| --- " * (len(COLUMNS) + 2) + "|"]
    for name in dict.fromkeys(row["model"] for row in rows):
        group = [row for row in rows if row["model"] == name]
        cells = [name, str(len(group)) if name in MODELS else ""]
        for column in COLUMNS:
            values = [row[column] for row in group if column in row]
            digits = 1 if column in WHOLE else 3
            spread = f" +- {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.{digits}f}{spread}" if values else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--json", type=Path, help="file of results, which the benchmark goes on from")
    parser.add_argument("--run", nargs=3, metavar=("LEVEL", "MODEL", "SEED"), help="one run in this process")
    args = parser.parse_args()
    if args.run:
        level, name, seed = args.run
        print(json.dumps(run(level, name, int(seed), args.epochs)))
        return
    rows = json.loads(args.json.read_text()) if args.json and args.json.exists() else []

    def keep(new: list[dict[str, Any]]) -> None:
        rows.extend(new)
        if args.json:
            args.json.write_text(json.dumps(rows, indent=1))

    for level in args.levels:
        if not any(row["level"] == level and row["model"] == TRUTH for row in rows):
            keep(known(level))
        for name in args.models:
            for seed in args.seeds:
                task = {"level": level, "model": name, "seed": seed, "epochs": args.epochs}
                if any(task.items() <= row.items() for row in rows):
                    continue
                # A process of its own leaves no memory behind.
                command = [sys.executable, __file__, "--epochs", str(args.epochs), "--run", level, name, str(seed)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
                if done.returncode:
                    print(f"{level}, {name}, seed {seed}: failed", flush=True)
                    continue
                keep([json.loads(done.stdout.strip().splitlines()[-1])])
                print(f"{level}, {name}, seed {seed}: {rows[-1]['seconds']:.0f} s", flush=True)
    for level in args.levels:
        bits = next(row["bits_per_spike"] for row in rows if row["level"] == level and row["model"] == TRUTH)
        print(f"\nTrue rates: {bits:.3f} bits/spike\n\n{table(rows, level)}")


if __name__ == "__main__":
    main()
