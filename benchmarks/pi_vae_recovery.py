"""pi-VAE on simulations of known truth: how much of the true latents comes back, seed by seed.

Both simulated sets of Zhou & Wei (2020), the batches in their published order, weights of the lowest validation loss;
runs have one thread each. Every variant fits the same data::

    python benchmarks/pi_vae_recovery.py --json bench_pi_vae_recovery.json
    python benchmarks/pi_vae_recovery.py --variants "alpha 0.5" --seeds 0 --sets discrete
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

#: What differs from the layout of pi-vae-pytorch 1.1. Without labels there is one learnt Gaussian for all rows.
VARIANTS: dict[str, dict[str, Any]] = {
    "alpha 0.5": {"alpha": 0.5},
    "alpha 0": {"alpha": 0.0},
    "alpha 0.5 to 0": {"alpha": 0.5},
    "no labels": {"alpha": 0.0},
}
EPOCHS = {"discrete": 600, "continuous": 1000}
BATCHES = {"discrete": 200, "continuous": 300}
PATIENCE = 80
#: Epochs in which alpha falls from a half to nothing, in the variant of that name.
FALL = (100, 200)
SCORES = ("gap", "r2_posterior", "r2_encoder", "mcc_weak", "mcc_strong", "r2_label", "label_error")


def fit(kind: str, seed: int, variant: str, epochs: int | None = None) -> tuple[Any, Any, Any]:
    """A fitted model, the data, and the Keras history."""
    import keras
    import numpy as np
    import tensorflow as tf

    from indl.data import pi_vae_continuous, pi_vae_discrete
    from indl.model.pi_vae import build_pi_vae
    from indl.params import preset
    from indl.training import BetaSchedule, WeightSchedule

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data = (pi_vae_discrete if kind == "discrete" else pi_vae_continuous)(seed)
    labelled = variant != "no labels"
    discrete = kind == "discrete" or not labelled
    params = preset(
        "pi_vae_port_1_1", discrete_labels=discrete, batch_size=BATCHES[kind], seed=seed, **VARIANTS[variant]
    )
    n_labels = 1 if kind == "continuous" or not labelled else 5
    keras.utils.set_random_seed(seed)
    model = build_pi_vae(params, 100, n_labels)
    train, valid = (
        (part.x, part.u if labelled else np.zeros(len(part.x), "int64")) for part in (data.train, data.valid)
    )
    how = {"patience": PATIENCE, "restore_best_weights": True, "mode": "min"}
    callbacks = [keras.callbacks.EarlyStopping("val_loss", **how)]
    if variant == "alpha 0.5 to 0":
        fall = BetaSchedule("linear", 0.0, FALL[0], FALL[1] - FALL[0], begin=0.5)
        # The loss before the end of the fall is another one.
        stop = keras.callbacks.EarlyStopping("val_neg_elbo", start_from_epoch=FALL[1], **how)
        callbacks = [WeightSchedule("alpha", fall), stop]
    with warnings.catch_warnings():
        # One label cannot identify latents: that is what the variant is for.
        warnings.simplefilter("ignore" if not labelled else "default")
        history = model.fit(
            train, validation_data=valid, epochs=epochs or EPOCHS[kind], shuffle=False, verbose=0, callbacks=callbacks
        )
    return model, data, history.history


def run(kind: str, seed: int, variant: str, epochs: int | None = None) -> dict[str, Any]:
    """Scores of one fit on the test rows."""
    import numpy as np

    from indl.metrics import label_error, label_error_rate, mcc, recovery_r2

    model, data, history = fit(kind, seed, variant, epochs)
    test = data.test
    u = test.u if variant != "no labels" else np.zeros(len(test.x), "int64")
    posterior, encoder = model.encode(test.x, u), model.encode(test.x)
    truth = float((test.rates - test.x * np.log(test.rates)).sum(1).mean())
    prior = model.label_statistics(u)
    found = {
        "gap": float(model.neg_elbo(test.x, u).mean()) - truth,
        "r2_posterior": recovery_r2(posterior, test.z).r2,
        "r2_encoder": recovery_r2(encoder, test.z).r2,
        "mcc_weak": mcc(posterior, test.z, form="weak").mcc,
        "mcc_strong": mcc(posterior, test.z).mcc,
        "r2_label": recovery_r2(test.label_mean, test.z).r2,
        "loss_at_true_rates": truth,
        "best_epoch": int(np.argmin(history["val_loss"])) + 1,
        "prior_sd": [float(value) for value in np.quantile(prior.stddev(), [0, 1])],
        "encoder_sd": float(np.median(model.posterior(test.x).stddev())),
    }
    if variant != "no labels" and kind == "discrete":
        found["label_error"] = label_error_rate(test.u, model.label_posterior(test.x).argmax(1))
    elif variant != "no labels":
        grid = np.linspace(0, 2 * np.pi, 101)[:, None]
        decoded = grid[model.label_posterior(test.x, grid).argmax(1)]
        found["label_error"] = float(np.ravel(label_error(test.u, decoded))[0])
    return {"set": kind, "seed": seed, "variant": variant, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", nargs=3, metavar=("SET", "SEED", "VARIANT"), help="one run in this process")
    args = parser.parse_args()
    if args.run:
        kind, seed, variant = args.run
        print(json.dumps(run(kind, int(seed), variant)))
        return

    def one(task: tuple[str, int, str]) -> dict[str, Any]:
        command = [sys.executable, __file__, "--run", *map(str, task)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(out.strip().splitlines()[-1])
        shown = ", ".join(f"{name} {found[name]:.3f}" for name in SCORES if name in found)
        print(f"{found['set']:<11} {found['variant']:<14} seed {found['seed']}: {shown}", flush=True)
        return found

    tasks = [(kind, seed, variant) for kind in args.sets for variant in args.variants for seed in args.seeds]
    with ThreadPoolExecutor(args.processes) as pool:
        rows = list(pool.map(one, tasks))
    for kind in args.sets:
        for variant in args.variants:
            group = [row for row in rows if (row["set"], row["variant"]) == (kind, variant)]
            shown = (
                f"{name} {statistics.median(row[name] for row in group):.3f}" for name in SCORES if name in group[0]
            )
            print(f"{kind:<11} {variant:<14} median: {', '.join(shown)}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
