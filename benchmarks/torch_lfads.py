"""LFADS in plain PyTorch: the other side of the speed and learning comparisons.

This is the model as a PyTorch user writes it: modules, a Python loop over clipped GRU cells, autograd, AdamW, with
no compiler. Nothing in it is slowed down: the encoders project their inputs for all steps at once, slices come from
`unbind`, outputs are stacked once. It is not part of the package and runs in an environment of its own that
holds PyTorch and NumPy. Every command prints one line of JSON on stdout, progress goes to stderr. On a busy machine
use `--threads 1` or OMP_WAIT_POLICY=PASSIVE: two threads that wait for each other spin, which wall and CPU time count::

    python benchmarks/torch_lfads.py --check tests/fixtures
    python benchmarks/torch_lfads.py step --batch 256 --time 140 --channels 137 --gen 200 --factors 100
    python benchmarks/torch_lfads.py train --data lorenz.npz --epochs 160 --out out.npz
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import resource
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

CHECK_TOLERANCE = 1e-9  # float64; relative to 1 + |expected|


@dataclass
class Config:
    """Sizes and scales of the model; widths of 0 for `ci_enc`, `con` or `co` switch the controller off."""

    n_encod: int
    n_recon: int
    t_recon: int
    ic_enc: int = 64
    ci_enc: int = 64
    con: int = 64
    gen: int = 100
    factors: int = 40
    ic: int = 64
    co: int = 1
    ext: int = 0
    lag: int = 1
    cell_clip: float = 5.0
    dropout: float = 0.05
    cd_rate: float = 0.3
    ic_prior_var: float = 0.1
    ic_post_var_min: float = 1e-4
    tau: float = 10.0
    noise_var: float = 0.1
    kl_ic: float = 1e-4
    kl_co: float = 1e-4
    l2_ic_enc: float = 0.0
    l2_ci_enc: float = 0.0
    l2_gen: float = 1e-3
    l2_con: float = 1e-3
    loss_scale: float = 1e4

    @property
    def use_controller(self) -> bool:
        return min(self.ci_enc, self.con, self.co) > 0


def normal_linear(n_in: int, n_out: int, bias: bool = True) -> nn.Linear:
    """Affine layer with N(0, 1/n_in) weights and zero bias."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    nn.init.normal_(layer.weight, std=n_in**-0.5)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class ClippedGRUCell(nn.Module):
    """GRU cell with the reset before the recurrent product and a clipped new state; gate order update, reset, new."""

    def __init__(self, n_in: int, n_units: int, clip: float, joint_fan_in: bool = False) -> None:
        super().__init__()
        self.n_units, self.clip = n_units, clip
        std_in, std_h = (n_in + n_units if joint_fan_in else max(n_in, 1)), (n_in * joint_fan_in + n_units)
        self.weight_in = nn.Parameter(torch.randn(3 * n_units, n_in) * std_in**-0.5)
        # The gates and the candidate have separate products, so their matrices are separate parameters.
        self.weight_gates = nn.Parameter(torch.randn(2 * n_units, n_units) * std_h**-0.5)
        self.weight_new = nn.Parameter(torch.randn(n_units, n_units) * std_h**-0.5)
        self.bias = nn.Parameter(torch.cat([torch.ones(2 * n_units), torch.zeros(n_units)]))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """Contribution of the input to the gates and the candidate: (..., n_in) to (..., 3 n_units)."""
        return F.linear(x, self.weight_in, self.bias)

    def step(self, projected: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """Next state from a projected input."""
        x_gates, x_new = projected.split((2 * self.n_units, self.n_units), dim=-1)
        # `addmm` and `lerp` do in one operation what `linear` and plain sums do in several.
        z, r = torch.sigmoid(torch.addmm(x_gates, h, self.weight_gates.T)).chunk(2, dim=-1)
        new = torch.tanh(torch.addmm(x_new, r * h, self.weight_new.T))
        return torch.lerp(new, h, z).clamp(-self.clip, self.clip)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return self.step(self.project(x), h)

    def recurrent_square_sum(self) -> torch.Tensor:
        return self.weight_gates.square().sum() + self.weight_new.square().sum()

    def n_recurrent(self) -> int:
        return 3 * self.n_units**2


class BidirectionalGRU(nn.Module):
    """Two clipped GRUs, one on reversed time, with trainable initial states."""

    def __init__(self, n_in: int, n_units: int, clip: float) -> None:
        super().__init__()
        self.fwd = ClippedGRUCell(n_in, n_units, clip, joint_fan_in=True)
        self.bwd = ClippedGRUCell(n_in, n_units, clip, joint_fan_in=True)
        self.initial = nn.Parameter(torch.zeros(2, n_units))

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """States of both directions, each in its own order of processing: T tensors (B, n_units), from x (T, B, N)."""
        outputs = []
        for cell, h, steps in (
            (self.fwd, self.initial[0], self.fwd.project(x).unbind(0)),
            (self.bwd, self.initial[1], self.bwd.project(x).unbind(0)[::-1]),
        ):
            h, states = h.expand(x.shape[1], -1), []
            for projected in steps:
                h = cell.step(projected, h)
                states.append(h)
            outputs.append(states)
        return outputs[0], outputs[1]


class LFADS(nn.Module):
    """Latent factor analysis via dynamical systems, with or without a controller."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = self.config = config
        self.dropout = nn.Dropout(c.dropout)
        self.ic_encoder = BidirectionalGRU(c.n_encod, c.ic_enc, c.cell_clip)
        self.ic_posterior = normal_linear(2 * c.ic_enc, 2 * c.ic)
        self.ic_prior_mean = nn.Parameter(torch.zeros(c.ic))
        if c.use_controller:
            self.ci_encoder = BidirectionalGRU(c.n_encod, c.ci_enc, c.cell_clip)
            self.controller = ClippedGRUCell(2 * c.ci_enc + c.factors, c.con, c.cell_clip)
            self.con_initial = nn.Parameter(torch.zeros(c.con))
            self.co_posterior = normal_linear(c.con, 2 * c.co)
            self.log_tau = nn.Parameter(torch.full((c.co,), math.log(c.tau)))
            self.log_noise_var = nn.Parameter(torch.full((c.co,), math.log(c.noise_var)))
        self.gen_init = normal_linear(c.ic, c.gen)
        self.generator = ClippedGRUCell((c.co if c.use_controller else 0) + c.ext, c.gen, c.cell_clip)
        self.factors = normal_linear(c.gen, c.factors, bias=False)
        self.readout = normal_linear(c.factors, c.n_recon)

    def encode(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Posterior of the initial condition, and the controller input, from counts x (B, T_e, N_e)."""
        c = self.config
        x = self.dropout(x).transpose(0, 1).contiguous()  # time first: each step is one block of memory
        fwd, bwd = self.ic_encoder(x)
        mean, log_var = self.ic_posterior(self.dropout(torch.cat([fwd[-1], bwd[-1]], dim=-1))).chunk(2, dim=-1)
        encoded = {"ic_mean": mean, "ic_std": torch.sqrt(log_var.exp() + c.ic_post_var_min)}
        if c.use_controller:
            fwd, bwd = self.ci_encoder(x)
            extra = c.t_recon - len(fwd)
            # Step t sees the data up to t - lag and from t + lag on; forward prediction has no evidence at all.
            past = F.pad(torch.stack(fwd[: len(fwd) - c.lag]), (0, 0, 0, 0, c.lag, extra))
            future = F.pad(torch.stack(bwd[: len(bwd) - c.lag][::-1]), (0, 0, 0, 0, 0, c.lag + extra))
            encoded["ci"] = torch.cat([past, future], dim=-1)
        return encoded

    def decode(
        self,
        ic: torch.Tensor,
        ci: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
        ext: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """Run the generator.

        Args:
            ic: Initial condition, (B, D_ic).
            ci: Controller input, (T_r, B, 2 H); None without a controller.
            noise: Standard normal draws of the inferred inputs, (T_r, B, D_u); None feeds their means.
            ext: External inputs, (T_r, B, D_ext), or None.

        Returns:
            `factors` (B, T_r, F), `log_rates` (B, T_r, N), `co_mean` and `co_std` (B, T_r, D_u) with a controller,
            and the states of each step as lists.
        """
        c = self.config
        factor_weight = F.normalize(self.factors.weight, dim=1)
        g = gen_init = self.gen_init(ic)
        ext = [] if ext is None else self.dropout(ext).unbind(0)
        gens, cons, posteriors, inputs = [], [], [], []
        if c.use_controller:
            h = self.con_initial.expand(len(ic), -1)
            f = F.linear(self.dropout(g), factor_weight)
            draws = [None] * c.t_recon if noise is None else noise.unbind(0)
            factors = []
            for t, (evidence, draw) in enumerate(zip(ci.unbind(0), draws, strict=True)):
                h = self.controller(self.dropout(torch.cat([evidence, f], dim=-1)), h)
                posterior = self.co_posterior(h)
                u, log_var = posterior.chunk(2, dim=-1)
                if draw is not None:
                    u = u + torch.exp(0.5 * log_var) * draw
                if ext:
                    u = torch.cat([u, ext[t]], dim=-1)
                g = self.generator(u, g)
                f = F.linear(self.dropout(g), factor_weight)
                for kept, value in ((gens, g), (cons, h), (posteriors, posterior), (inputs, u), (factors, f)):
                    kept.append(value)
            factors = torch.stack(factors, dim=1)
            co_mean, co_log_var = torch.stack(posteriors, dim=1).chunk(2, dim=-1)
            out = {"co_mean": co_mean, "co_std": torch.exp(0.5 * co_log_var)}
        else:
            # Nothing feeds back, so one projection of the (perhaps empty) input serves all steps.
            steps = self.generator.project(torch.stack(ext) if ext else ic.new_zeros(1, 1, 0)).unbind(0)
            for projected in steps if ext else steps * c.t_recon:
                g = self.generator.step(projected, g)
                gens.append(g)
            factors = F.linear(self.dropout(torch.stack(gens, dim=1)), factor_weight)
            out = {}
        out |= {"factors": factors, "log_rates": self.readout(factors), "gen_init": gen_init}
        return out | {"gen_states": gens, "con_states": cons, "gen_inputs": inputs}

    def forward(
        self,
        x: torch.Tensor,
        sample: bool = True,
        noise_ic: torch.Tensor | None = None,
        noise_co: torch.Tensor | None = None,
        ext: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """Encode and decode counts x (B, T_e, N_e), with one posterior sample or with the posterior means."""
        c, encoded = self.config, self.encode(x)
        ic = encoded["ic_mean"]
        if sample:
            ic = ic + encoded["ic_std"] * (torch.randn_like(ic) if noise_ic is None else noise_ic)
            if c.use_controller and noise_co is None:
                noise_co = x.new_empty(c.t_recon, len(x), c.co).normal_()
        return encoded | {"ic_used": ic} | self.decode(ic, encoded.get("ci"), noise_co if sample else None, ext)

    def kl_ic(self, out: dict) -> torch.Tensor:
        prior = Normal(self.ic_prior_mean, math.sqrt(self.config.ic_prior_var))
        return kl_divergence(Normal(out["ic_mean"], out["ic_std"]), prior).sum(-1).mean()

    def kl_co(self, out: dict, noise: torch.Tensor | None = None) -> torch.Tensor:
        """One-sample KL divergence from the stationary AR(1) prior, with a draw of its own."""
        posterior = Normal(out["co_mean"], out["co_std"])
        u = posterior.rsample() if noise is None else out["co_mean"] + out["co_std"] * noise
        alpha, noise_var = torch.exp(-torch.exp(-self.log_tau)), torch.exp(self.log_noise_var)
        first = Normal(torch.zeros_like(alpha), torch.sqrt(noise_var / (1 - alpha**2))).log_prob(u[:, 0])
        later = Normal(alpha * u[:, :-1], torch.sqrt(noise_var)).log_prob(u[:, 1:])
        log_q = posterior.log_prob(u).sum((1, 2))
        return (log_q - first.sum(-1) - later.sum((1, 2))).mean()

    def l2(self) -> torch.Tensor:
        """Penalty of the recurrent matrices, per weight over all cells whose scale is above zero."""
        c = self.config
        cells = [(c.l2_ic_enc, self.ic_encoder.fwd), (c.l2_ic_enc, self.ic_encoder.bwd), (c.l2_gen, self.generator)]
        if c.use_controller:
            cells += [(c.l2_ci_enc, self.ci_encoder.fwd), (c.l2_ci_enc, self.ci_encoder.bwd)]
            cells += [(c.l2_con, self.controller)]
        cells = [(scale, cell) for scale, cell in cells if scale > 0]
        size = sum(cell.n_recurrent() for _, cell in cells) + 1e-8
        return sum((0.5 * scale * cell.recurrent_square_sum() for scale, cell in cells), torch.zeros(())) / size

    def loss(
        self,
        out: dict,
        y: torch.Tensor,
        kl_ramp: float = 1.0,
        l2_ramp: float = 1.0,
        trained: torch.Tensor | None = None,
        noise_kl: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scaled loss for the counts y (B, T_r, N_r); `trained` marks the elements that pass the gradient."""
        c = self.config
        nll = F.poisson_nll_loss(out["log_rates"], y, full=True, reduction="none")
        if trained is not None:
            nll = torch.where(trained, nll, nll.detach())
        kl = c.kl_ic * self.kl_ic(out)
        if c.use_controller:
            kl = kl + c.kl_co * self.kl_co(out, noise_kl)
        return c.loss_scale * (nll.mean() + l2_ramp * self.l2() + kl_ramp * kl)

    @torch.no_grad()
    def posterior_average(self, x: torch.Tensor, n_samples: int, fold: int = 1) -> torch.Tensor:
        """Rates (B, T_r, N_r) averaged over posterior samples, `fold` samples of all trials a decoder pass.

        The encoders are deterministic without dropout, so they run once.
        """
        c, encoded = self.config, self.encode(x)
        total, done = 0.0, 0
        while done < n_samples:
            k = min(fold, n_samples - done)
            mean, std = encoded["ic_mean"].repeat(k, 1), encoded["ic_std"].repeat(k, 1)
            ci = noise = None
            if c.use_controller:
                ci, noise = encoded["ci"].repeat(1, k, 1), torch.randn(c.t_recon, k * len(x), c.co)
            rates = self.decode(mean + std * torch.randn_like(mean), ci, noise)["log_rates"].exp()
            total = total + rates.unflatten(0, (k, len(x))).sum(0)
            done += k
        return total / n_samples


def coordinated_dropout(x: torch.Tensor, rate: float, t_recon: int, n_recon: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Thinned encoder input, and the mask (B, T_r, N_r) of elements that train: those not seen or not encoded."""
    if rate == 0:
        return x, torch.ones(len(x), t_recon, n_recon, dtype=torch.bool)
    keep = torch.rand_like(x) >= rate
    trained = F.pad(~keep, (0, n_recon - x.shape[2], 0, t_recon - x.shape[1]), value=True)
    return x * keep / (1 - rate), trained


def train_step(
    model: LFADS,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    kl_ramp: float = 1.0,
    l2_ramp: float = 1.0,
    clip_norm: float = 200.0,
) -> torch.Tensor:
    """One optimisation step; returns the loss."""
    thinned, trained = coordinated_dropout(x, model.config.cd_rate, y.shape[1], y.shape[2])
    loss = model.loss(model(thinned), y, kl_ramp, l2_ramp, trained)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    return loss.detach()


# --- step ---


def run_step(args: argparse.Namespace) -> dict:
    """Time of a training step, or of inference, on random counts."""
    config = model_config(args, args.channels, args.channels, args.time)
    base = peak_mib()
    model = LFADS(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    x = torch.poisson(torch.full((args.batch, args.time, args.channels), 0.3))
    if args.inference is None:

        def run() -> None:
            train_step(model, optimizer, x, x)
    else:
        model.eval()
        kind, _, count = args.inference.partition(":")

        @torch.no_grad()
        def run() -> None:
            if kind == "means":
                model(x, sample=False)["log_rates"].exp()
            else:
                model.posterior_average(x, int(count or 50), args.fold)

    for _ in range(args.warmup):
        run()
    wall, cpu = [], []
    for _ in range(args.repeats):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    return {
        "what": args.inference or "train_step",
        "median_s": float(np.median(wall)),
        "min_s": min(wall),
        "max_s": max(wall),
        "cpu_median_s": float(np.median(cpu)),
        "cpu_min_s": min(cpu),
        "peak_mib": peak_mib(),
        "before_model_mib": base,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "repeats": args.repeats,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- train ---


class Smoothed:
    """Running value `0.3 old + 0.7 new`, its best, and the epoch of the best."""

    def __init__(self) -> None:
        self.value, self.best, self.best_epoch = None, math.inf, -1

    def update(self, new: float, epoch: int) -> bool:
        """Take in a new value; True if it made a new best."""
        self.value = new if self.value is None else 0.3 * self.value + 0.7 * new
        if improved := self.value < self.best:
            self.best, self.best_epoch = self.value, epoch
        return improved


class Clock:
    """Wall and CPU seconds spent within `with` blocks, one entry a block."""

    def __init__(self) -> None:
        self.wall, self.cpu = [], []

    def __enter__(self) -> None:
        self.begin = time.perf_counter(), time.process_time()

    def __exit__(self, *_) -> None:
        self.wall.append(time.perf_counter() - self.begin[0])
        self.cpu.append(time.process_time() - self.begin[1])


def ramp(epoch: int, start: int, increase: int) -> float:
    """Weight of a ramped term in epoch 0, 1, ...: linear, above zero from the first epoch after `start`."""
    return min(max((epoch + 1 - start) / (increase + 1), 0.0), 1.0)


def log_rates(model: LFADS, x: torch.Tensor, batch: int, sample: bool) -> torch.Tensor:
    return torch.cat([model(part, sample=sample)["log_rates"] for part in x.split(batch)])


@torch.no_grad()
def validate(model: LFADS, x: torch.Tensor, y: torch.Tensor, batch: int, n_masks: int) -> tuple[float, float]:
    """NLL of held-in elements from one posterior sample: all of them, and each while hidden from the encoder.

    Masks are fixed and complementary, so every element is hidden once; with `n_masks` 0 the second is NaN.
    """
    model.eval()
    t, n = x.shape[1:]

    def nll(seen: torch.Tensor) -> torch.Tensor:
        found = log_rates(model, seen, batch, sample=True)[:, :t, :n]
        return F.poisson_nll_loss(found, y[:, :t, :n], full=True, reduction="none")

    plain, hidden = nll(x).mean().item(), 0.0
    group = torch.randint(max(n_masks, 1), x.shape, generator=torch.Generator().manual_seed(0))
    for k in range(n_masks):
        out = group == k
        hidden += (nll(x * ~out * (n_masks / (n_masks - 1))) * out).sum().item()
    return plain, hidden / x.numel() if n_masks else math.nan


def rate_r2(rates: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """R2 of rates (B, T, N): mean over channels, and over all elements at once."""
    error = np.square(truth - rates).sum((0, 1))
    per_channel = 1 - error / np.square(truth - truth.mean((0, 1))).sum((0, 1))
    return {
        "r2_channel": float(per_channel.mean()),
        "r2_flat": float(1 - error.sum() / np.square(truth - truth.mean()).sum()),
    }


def bits_per_spike(rates: np.ndarray, counts: np.ndarray) -> float:
    """Gain over the channel means of the scored counts, in bits per spike."""
    null = np.broadcast_to(counts.mean((0, 1)), counts.shape)

    def log_likelihood(r: np.ndarray) -> float:
        return float((counts * np.log(np.maximum(r, 1e-9)) - r).sum())

    return (log_likelihood(rates) - log_likelihood(null)) / (float(counts.sum()) * math.log(2))


def score(rates: np.ndarray, y: np.ndarray, n: int, t: int, truth: np.ndarray | None) -> dict[str, float]:
    """Scores of validation rates: bits per spike of held-in, held-out and later elements, and R2 if truth is known."""
    found = {"bps": bits_per_spike(rates[:, :t, :n], y[:, :t, :n])}
    if n < y.shape[2]:
        found["co_bps"] = bits_per_spike(rates[:, :t, n:], y[:, :t, n:])
    if t < y.shape[1]:
        found["fp_bps"] = bits_per_spike(rates[:, t:], y[:, t:])
    return found if truth is None else found | rate_r2(rates, truth)


def run_train(args: argparse.Namespace) -> dict:
    """Train on a file of trials, keep the best weights, save rates averaged over posterior samples."""
    with np.load(args.data) as file:
        arrays = {key: file[key].astype("float32") for key in file.files if key.startswith(("train_", "valid_"))}
    truth = arrays.pop("valid_truth", None)
    x, y, x_valid, y_valid = (
        torch.from_numpy(arrays[key]) for key in ("train_encod", "train_recon", "valid_encod", "valid_recon")
    )
    model = LFADS(model_config(args, x.shape[2], y.shape[2], y.shape[1]))
    if args.readout_bias == "log-mean":
        model.readout.bias.data.copy_(torch.log(y.mean((0, 1)).clamp(min=1e-4)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=args.lr_decay, patience=args.lr_patience, threshold=0.0, min_lr=args.lr_stop
    )
    plain, hidden = Smoothed(), Smoothed()
    watched = hidden if args.select == "hidden" else plain
    n_masks = args.hidden_masks if args.select == "hidden" else 0
    train_clock, valid_clock, history, r2_history = Clock(), Clock(), [], []
    best, stopped, begin = None, "epochs", time.perf_counter()
    for epoch in range(args.epochs):
        kl_ramp, l2_ramp = ramp(epoch, 0, args.kl_ramp), ramp(epoch, 0, args.l2_ramp)
        for group in optimizer.param_groups:
            group["weight_decay"] = args.weight_decay * l2_ramp
        with train_clock:
            model.train()
            losses = [
                train_step(model, optimizer, x[rows], y[rows], kl_ramp, l2_ramp, args.clip_norm)
                for rows in torch.randperm(len(x)).split(args.batch)
            ]
            loss = torch.stack(losses).mean().item()
        if not math.isfinite(loss):
            stopped = "nan"
            break
        with valid_clock:
            nll, nll_hidden = validate(model, x_valid, y_valid, args.batch, n_masks)
            improved = plain.update(nll, epoch)
            if n_masks:
                improved = hidden.update(nll_hidden, epoch)
            if improved:
                best = copy.deepcopy(model.state_dict())
            if args.plateau:
                plateau.step(plain.value)
        history.append((loss, nll, nll_hidden, optimizer.param_groups[0]["lr"], time.perf_counter() - begin))
        if truth is not None and (epoch + 1) % args.r2_every == 0:
            with torch.no_grad():
                rates = log_rates(model, x_valid, args.batch, sample=False).exp().numpy()
            r2_history.append({"epoch": epoch + 1, **rate_r2(rates, truth), "train_cpu_s": sum(train_clock.cpu)})
            print(f"epoch {epoch + 1}: NLL {nll:.4f} {r2_history[-1]}", file=sys.stderr, flush=True)
        if args.patience and epoch - max(watched.best_epoch, max(args.kl_ramp, args.l2_ramp)) >= args.patience:
            stopped = "patience"
            break
        if args.max_seconds and time.perf_counter() - begin > args.max_seconds:
            stopped = "time"
            break
    if args.select != "last" and best is not None:
        model.load_state_dict(best)
    model.eval()
    n, t = x.shape[2], x.shape[1]
    with torch.no_grad():
        means = log_rates(model, x_valid, args.batch, sample=False).exp().numpy()
    sampled = average_rates(model, x_valid, args)
    saved = {"valid_rates": sampled, "valid_rates_mean_pass": means, "history": np.array(history)}
    if args.train_rates:
        saved["train_rates"] = average_rates(model, x, args)
    np.savez(args.out, **saved, valid_cpu_s=valid_clock.cpu, train_cpu_s=train_clock.cpu, train_wall_s=train_clock.wall)
    return {
        "what": "train",
        "epochs_run": len(history),
        "best_epoch": watched.best_epoch + 1,
        "stopped": stopped,
        "smoothed_nll": plain.best,
        "smoothed_nll_hidden": hidden.best if n_masks else None,
        "last_lr": optimizer.param_groups[0]["lr"],
        **{
            f"{part}_{kind}_s": {"total": sum(values), "median_epoch": float(np.median(values))}
            for part, clock in (("train", train_clock), ("valid", valid_clock))
            for kind, values in (("wall", clock.wall), ("cpu", clock.cpu))
        },
        "samples": args.samples,
        "sampled": score(sampled, y_valid.numpy(), n, t, truth),
        "mean_pass": score(means, y_valid.numpy(), n, t, truth),
        "r2_history": r2_history,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "peak_mib": peak_mib(),
        "seed": args.seed,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def average_rates(model: LFADS, x: torch.Tensor, args: argparse.Namespace) -> np.ndarray:
    parts = [model.posterior_average(part, args.samples, args.fold) for part in x.split(args.batch)]
    return torch.cat(parts).numpy()


# --- check against recorded outputs ---


def roles(model: LFADS) -> dict[str, list[torch.Tensor]]:
    """Parameters by role; several ones make up their role's columns. Matrices are transposed in the files."""

    def gru(name: str, cell: ClippedGRUCell) -> dict[str, list[torch.Tensor]]:
        return {
            f"{name}/kernel": [cell.weight_in],
            f"{name}/recurrent_kernel": [cell.weight_gates, cell.weight_new],
            f"{name}/bias": [cell.bias],
        }

    def affine(name: str, layer: nn.Linear) -> dict[str, list[torch.Tensor]]:
        return {f"{name}/kernel": [layer.weight], f"{name}/bias": [layer.bias]}

    found = {"ic_encoder/initial_state": [model.ic_encoder.initial], "factors/kernel": [model.factors.weight]}
    found |= {"ic_prior/mean": [model.ic_prior_mean]}
    found |= gru("ic_encoder/forward", model.ic_encoder.fwd) | gru("ic_encoder/backward", model.ic_encoder.bwd)
    found |= affine("ic_posterior", model.ic_posterior) | affine("generator_initial_state", model.gen_init)
    found |= gru("generator", model.generator) | affine("readout", model.readout)
    if model.config.use_controller:
        found |= gru("ci_encoder/forward", model.ci_encoder.fwd) | gru("ci_encoder/backward", model.ci_encoder.bwd)
        found |= gru("controller", model.controller) | affine("co_posterior", model.co_posterior)
        found |= {"ci_encoder/initial_state": [model.ci_encoder.initial]}
        found |= {"controller/initial_state": [model.con_initial]}
        found |= {"co_prior/log_tau": [model.log_tau], "co_prior/log_noise_variance": [model.log_noise_var]}
    return found


def check_file(path: Path) -> dict[str, float]:
    """Largest error, relative to 1 + |expected|, by kind of recorded value."""
    file = dict(np.load(path))
    c = json.loads(str(file.pop("config")))
    config = Config(
        n_encod=c["encod_data_dim"],
        n_recon=c["recon_data_dim"],
        t_recon=c["recon_seq_len"],
        ic_enc=c["ic_enc_dim"],
        ci_enc=c["ci_enc_dim"],
        con=c["con_dim"],
        gen=c["gen_dim"],
        factors=c["fac_dim"],
        ic=c["ic_dim"],
        co=c["co_dim"],
        ext=c["ext_input_dim"],
        lag=c["ci_lag"],
        dropout=0.0,
        cd_rate=0.0,
        ic_prior_var=c["ic_prior_variance"],
        kl_ic=c["kl_ic_scale"],
        kl_co=c["kl_co_scale"],
        **{key: c[key] for key in ("cell_clip", "ic_post_var_min", "loss_scale")},
        **{f"l2_{part}": c[f"l2_{part}_scale"] for part in ("ic_enc", "ci_enc", "gen", "con")},
    )
    data = {key: torch.from_numpy(value) for key, value in file.items()}
    model = LFADS(config)
    for role, parameters in roles(model).items():
        value, is_matrix = data[f"weights/{role}"], role.endswith("kernel")
        pieces = value.T.split([len(p) for p in parameters]) if is_matrix else [value]
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.data.copy_(piece)
    noise_co = data["in/noise_co"].transpose(0, 1) if config.use_controller else None
    ext = data["in/ext_input"]
    ext = F.pad(ext, (0, 0, 0, config.t_recon - ext.shape[1])).transpose(0, 1) if config.ext else None
    errors: dict[str, float] = {}

    def compare(kind: str, found: torch.Tensor, expected: torch.Tensor) -> None:
        if found.shape != expected.shape:
            raise ValueError(f"shape of {kind} differs in {path.name}. Given: {found.shape}, recorded {expected.shape}")
        error = ((found.detach() - expected).abs() / (1 + expected.abs())).flatten().tolist()
        errors[kind] = max(errors.get(kind, 0.0), *error, 0.0)

    compare("l2", model.l2(), data["l2_penalty"])
    for mode in ("mean", "sample"):
        out = model(data["in/encod_data"], mode == "sample", data["in/noise_ic"], noise_co, ext)
        names = ["ic_mean", "ic_std", "ic_used", "gen_init", "gen_states", "factors"]
        if config.use_controller:
            names += ["con_states", "gen_inputs"]
            compare("outputs", out["ci"].transpose(0, 1), data[f"{mode}/ci"])
            compare("outputs", out["co_mean"], data[f"{mode}/co_means"])
            compare("outputs", out["co_std"], data[f"{mode}/co_stds"])
            compare("kl", model.kl_co(out, data["in/noise_kl_co"]), data[f"{mode}/kl_co"])
        for name in names:
            found = torch.stack(out[name], dim=1) if isinstance(out[name], list) else out[name]
            compare("outputs", found, data[f"{mode}/{name}"])
        compare("outputs", out["log_rates"], data[f"{mode}/logrates"])
        compare("kl", model.kl_ic(out), data[f"{mode}/kl_ic"])
        loss = model.loss(out, data["in/recon_data"], c["kl_ramp"], c["l2_ramp"], None, data.get("in/noise_kl_co"))
        compare("loss", loss, data[f"{mode}/loss"])
        model.zero_grad()
        loss.backward()
        for role, parameters in roles(model).items():
            grad = torch.cat([torch.zeros_like(p) if p.grad is None else p.grad for p in parameters])
            compare("gradients", grad.T if role.endswith("kernel") else grad, data[f"{mode}/grad/{role}"])
    return errors


def run_check(folder: Path) -> dict:
    """Compare every recorded whole-model case in a folder, in float64; a separate segment is not built here."""
    torch.set_default_dtype(torch.float64)
    found = {}
    for path in sorted(folder.glob("lfads_*.npz")):
        file = np.load(path)
        config = json.loads(str(file["config"])) if "config" in file.files else {}
        if "mean/loss" in file.files and config.get("ic_enc_seq_len") == 0:
            found[path.stem] = check_file(path)
    if not found:
        raise SystemExit(f"no recorded model to check. Given: {folder}. Name the folder that holds lfads_*.npz.")
    worst = max(max(errors.values()) for errors in found.values())
    return {"what": "check", "passed": worst <= CHECK_TOLERANCE, "worst": worst, "cases": found}


# --- command line ---


def model_config(args: argparse.Namespace, n_encod: int, n_recon: int, t_recon: int) -> Config:
    """Config from the command line."""
    values = {f.name: getattr(args, f.name) for f in fields(Config) if hasattr(args, f.name)}
    if args.enc is not None:
        values |= {"ic_enc": args.enc, "ci_enc": args.enc}
    if args.no_controller:
        values |= {"ci_enc": 0, "con": 0, "co": 0}
    return Config(n_encod=n_encod, n_recon=n_recon, t_recon=t_recon, **values)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="compare with recorded outputs and leave")
    commands = parser.add_subparsers(dest="command")
    step = commands.add_parser("step", help="time a training step, or inference", allow_abbrev=False)
    train = commands.add_parser("train", help="train on a file of trials", allow_abbrev=False)
    for command in (step, train):
        for field in fields(Config):
            # Sizes of the data come from the data; external inputs are only checked.
            if field.name not in ("n_encod", "n_recon", "t_recon", "ext"):
                name = "--" + field.name.replace("_", "-")
                command.add_argument(name, type=type(field.default), default=field.default)
        command.add_argument("--enc", type=int, help="width of both encoders")
        command.add_argument("--no-controller", action="store_true")
        command.add_argument("--fold", type=int, default=1, help="posterior samples a decoder pass")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--seed", type=int, default=0)
    for name, default in (("batch", 64), ("time", 100), ("channels", 100), ("repeats", 10), ("warmup", 3)):
        step.add_argument(f"--{name}", type=int, default=default)
    step.add_argument("--inference", help="`means` or `samples:K` instead of a training step")
    train.add_argument("--data", type=Path, required=True, help="{train,valid}_{encod,recon} [, valid_truth], by bin")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--epochs", type=int, default=240)
    train.add_argument("--batch", type=int, default=208)
    train.add_argument("--lr", type=float, default=4e-3)
    train.add_argument("--plateau", action=argparse.BooleanOptionalAction, default=True, help="lower the rate")
    train.add_argument("--lr-decay", type=float, default=0.95)
    train.add_argument("--lr-patience", type=int, default=6)
    train.add_argument("--lr-stop", type=float, default=1e-5)
    train.add_argument("--weight-decay", type=float, default=0.0)
    train.add_argument("--clip-norm", type=float, default=200.0)
    train.add_argument("--kl-ramp", type=int, default=80, help="epochs")
    train.add_argument("--l2-ramp", type=int, default=80, help="epochs")
    train.add_argument("--readout-bias", choices=("zero", "log-mean"), default="zero")
    train.add_argument("--select", choices=("plain", "hidden", "last"), default="plain", help="weights to keep")
    train.add_argument("--hidden-masks", type=int, default=4)
    train.add_argument("--patience", type=int, default=0, help="epochs without a best after the ramps; 0 is off")
    train.add_argument("--max-seconds", type=float, default=0.0, help="stop after so long; 0 is off")
    train.add_argument("--r2-every", type=int, default=20, help="epochs")
    train.add_argument("--samples", type=int, default=50)
    train.add_argument("--train-rates", action="store_true", help="save averaged rates of the training trials too")
    args = parser.parse_args()
    if not args.check and not args.command:
        parser.error("nothing to do. Given: no command. Name `step`, `train` or `--check FOLDER`.")
    return args


def main() -> None:
    args = parse()
    if args.check:
        result = run_check(args.check)
    else:
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        result = {"step": run_step, "train": run_train}[args.command](args)
    print(json.dumps(result))
    sys.exit(0 if result.get("passed", True) else 1)


if __name__ == "__main__":
    main()
