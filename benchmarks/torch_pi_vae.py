"""Seconds of a training step and of an epoch of pi-vae-pytorch, the other side of `pi_vae_step.py`.

It is not part of the package and runs in an environment of its own. It prints one line of JSON::

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.13.0 pi-vae-pytorch
    torch_env/bin/python benchmarks/torch_pi_vae.py --batch 200 --labels discrete
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch
from pi_vae_pytorch import ELBOLoss, PiVAE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--labels", choices=("discrete", "continuous"), default="discrete")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    discrete, rows = args.labels == "discrete", 40 * args.batch
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.poisson(1.0, (rows, 100)).astype("float32"))
    u = torch.from_numpy(rng.integers(0, 5, rows) if discrete else rng.random((rows, 1), "float32"))
    model = PiVAE(
        x_dim=100, u_dim=5 if discrete else 1, z_dim=2, discrete_labels=discrete, encoder_hidden_layer_dim=120,
        label_prior_hidden_layer_dim=20,
    )  # fmt: skip
    loss_of = ELBOLoss(alpha=0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        out = model(batch, labels)
        names = (
            "posterior_firing_rate", "label_mean", "label_log_variance", "posterior_mean", "posterior_log_variance",
            "encoder_mean", "encoder_log_variance",
        )  # fmt: skip
        loss_of(x=batch, **{name: out[name] for name in names}).backward()
        optimizer.step()

    seconds = []
    for i in range(args.repeats + 5):
        begin = time.perf_counter()
        step(x[: args.batch], u[: args.batch])
        if i >= 5:
            seconds.append(time.perf_counter() - begin)
    epochs = {"loop": [], "loader": []}
    data = torch.utils.data.TensorDataset(x, u)
    for _ in range(args.epochs):
        begin = time.perf_counter()
        order = torch.randperm(rows)
        for i in range(0, rows, args.batch):
            chosen = order[i : i + args.batch]
            step(x[chosen], u[chosen])
        epochs["loop"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for batch, labels in torch.utils.data.DataLoader(data, batch_size=args.batch, shuffle=True):
            step(batch, labels)
        epochs["loader"].append(time.perf_counter() - begin)
    found = {"step_s": statistics.median(seconds), "step_min_s": min(seconds)}
    for name, values in epochs.items():
        found |= {f"{name}_epoch_s": statistics.median(values), f"{name}_epoch_min_s": min(values)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
