"""Seconds of a training step of a deep Markov model in plain PyTorch, the other side of `dmm_step.py`.

The encoder is ``torch.nn.LSTM``; combiner and sampling are the loop over bins that published codes have; the
transition and the emission of all bins are computed at once. It is not part of the package and runs in an environment
of its own. It prints one line of JSON::

    python -m venv torch_env && torch_env/bin/pip install numpy torch==2.13.0
    torch_env/bin/python benchmarks/torch_dmm.py --sizes 64 100 100 16 4 8 256
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class DMM(nn.Module):
    """Backward LSTM, combiner, gated transition, and an emission of two layers to Poisson rates."""

    def __init__(self, channels: int, units: int, size: int, transition: int, emission: int):
        super().__init__()
        self.lstm = nn.LSTM(channels, units, batch_first=True)
        self.combine, self.loc, self.raw = nn.Linear(size, units), nn.Linear(units, size), nn.Linear(units, size)
        self.gate = nn.Sequential(nn.Linear(size, transition), nn.ReLU(), nn.Linear(transition, size), nn.Sigmoid())
        self.proposal = nn.Sequential(nn.Linear(size, transition), nn.ReLU(), nn.Linear(transition, size))
        self.linear, self.variance = nn.Linear(size, size), nn.Linear(size, size)
        layers = [nn.Linear(size, emission), nn.ReLU(), nn.Linear(emission, emission), nn.ReLU()]
        self.emission = nn.Sequential(*layers, nn.Linear(emission, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """-ELBO, a mean over trials."""
        states = self.lstm(torch.log1p(x).flip(1))[0].flip(1)
        z, found = torch.zeros(len(x), self.loc.out_features), []
        noise = torch.randn(x.shape[1], *z.shape)
        for t in range(x.shape[1]):
            combined = 0.5 * (torch.tanh(self.combine(z)) + states[:, t])
            loc, scale = self.loc(combined), torch.sqrt(functional.softplus(self.raw(combined)))
            z = loc + scale * noise[t]
            found.append((z, loc, scale))
        z, loc, scale = (torch.stack(part, 1) for part in zip(*found, strict=True))
        before = z[:, :-1]
        gate, proposal = self.gate(before), self.proposal(before)
        p_loc = (1 - gate) * self.linear(before) + gate * proposal
        p_scale = torch.sqrt(functional.softplus(self.variance(torch.relu(proposal))))
        p_loc = torch.cat([torch.zeros_like(p_loc[:, :1]), p_loc], 1)
        p_scale = torch.cat([torch.ones_like(p_scale[:, :1]), p_scale], 1)
        normal = torch.distributions.Normal
        kl = torch.distributions.kl_divergence(normal(loc, scale), normal(p_loc, p_scale)).sum((1, 2))
        nll = functional.poisson_nll_loss(self.emission(z), x, reduction="none").sum((1, 2))
        return (nll + kl).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=7, required=True)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    batch, time_, channels, *sizes = args.sizes
    x = torch.from_numpy(np.random.default_rng(0).poisson(0.3, (batch, time_, channels)).astype("float32"))
    model = DMM(channels, *sizes)
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-4)
    seconds = []
    for _ in range(args.repeats + 2):
        begin = time.perf_counter()
        optimizer.zero_grad()
        model(x).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"median_s": statistics.median(seconds[2:]), "min_s": min(seconds[2:]), "peak_mib": peak}))


if __name__ == "__main__":
    main()
