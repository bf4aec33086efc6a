"""Seeded spikes with a static and a dynamic part of known truth: the test of models that tell the two apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.values.recording import Recording, Split
from indl.text import nearest, shown

LEVELS = ("additive", "gain", "mlp")
N_STYLES, N_CONTENTS = 6, 3
N_TIMES, N_CHANNELS, BIN_WIDTH_S = 50, 50, 0.02
_CONTENT_HZ = np.array([1.0, 2.0, 3.5])
_N_HIDDEN = 32
_STYLE_SD, _DECAY, _GAIN = 0.15, 0.98, 0.8
_LOG_RATES = (-6.0, 2.3)
_MOST_TRIALS = 100_000


class StaticDynamicTrials(NamedTuple):
    """Trials with all that made them.

    Attributes:
        counts: Spike counts a bin, (trials, 50 bins, 50 channels) float32.
        rates: Expected counts a bin, the shape of `counts`.
        s: Static latent, (trials, 2).
        z: Dynamic latent, (trials, 50, 2).
        style: Class of `s`, (trials,) integers 0 to 5.
        content: Class of `z`, (trials,) integers 0 to 2.
    """

    counts: np.ndarray
    rates: np.ndarray
    s: np.ndarray
    z: np.ndarray
    style: np.ndarray
    content: np.ndarray


@dataclass(frozen=True)
class StaticDynamicSimulator:
    """The population that answers to a static and a dynamic latent, and draws trials of it.

    Args:
        level: How log rates depend on both: ``"additive"``, the sum of a part of each; ``"gain"``, `s` scales what `z`
            does to each channel; ``"mlp"``, a random network of both.
        param_seed: Seed of the weights, which all levels share.

    Raises:
        ValueError: If the level is unknown, or the seed is no whole number.

    Example:
        >>> import numpy as np
        >>> from indl.data import StaticDynamicSimulator
        >>> simulator = StaticDynamicSimulator("gain")
        >>> a = simulator.draw(4, seed=1)
        >>> np.allclose(simulator.rates(a.s, a.z), a.rates)
        True
    """

    level: str
    param_seed: int = 0
    _weights: dict[str, np.ndarray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.level, str) or self.level not in LEVELS:
            raise ValueError(
                f"The latents do not act in such a way. Given: level={shown(self.level)}.{nearest(self.level, LEVELS)} "
                f"Choose one of {', '.join(LEVELS)}."
            )
        rng = np.random.default_rng(check_whole(self.param_seed, "param_seed"))
        # The order of the draws is part of the recipe.
        draws: dict[str, tuple[float, tuple[int, ...]]] = {
            "static": (0.4, (N_CHANNELS, 2)),
            "dynamic": (0.5, (N_CHANNELS, 2)),
            "gain": (1.0, (N_CHANNELS, 2)),
            "hidden": (1.0, (_N_HIDDEN, 4)),
            "hidden_bias": (0.5, (_N_HIDDEN,)),
            "out": (1.4 / math.sqrt(_N_HIDDEN), (N_CHANNELS, _N_HIDDEN)),
            "bias": (0.3, (N_CHANNELS,)),
        }
        weights = {name: rng.normal(0.0, sd, shape) for name, (sd, shape) in draws.items()}
        object.__setattr__(self, "_weights", {**weights, "bias": weights["bias"] + math.log(0.3)})

    def rates(self, s: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The expected counts a bin of any static latent with any dynamic one, e.g. those of two different trials.

        Args:
            s: Static latents, (trials, 2).
            z: Dynamic latents, (trials, time, 2).

        Returns:
            (trials, time, 50), between exp(-6) and exp(2.3).

        Raises:
            ValueError: If the shapes do not fit.
        """
        s, z = np.asarray(s), np.asarray(z)
        if s.ndim != 2 or z.ndim != 3 or len(s) != len(z) or (s.shape[-1], z.shape[-1]) != (2, 2):
            raise ValueError(
                f"Latents must belong to the same trials and have two dimensions each. Given: s of shape {s.shape}, z "
                f"of shape {z.shape}. Give s (trials, 2) and z (trials, time, 2)."
            )
        w = self._weights
        if self.level == "mlp":
            both = np.concatenate([np.broadcast_to(s[:, None], z.shape), z], axis=-1)
            log_rates = np.tanh(both @ w["hidden"].T + w["hidden_bias"]) @ w["out"].T
        elif self.level == "gain":
            gain = 1.0 + _GAIN * np.tanh(s @ w["gain"].T)
            log_rates = (s @ w["static"].T)[:, None] + (z @ w["dynamic"].T) * gain[:, None]
        else:
            log_rates = (s @ w["static"].T)[:, None] + z @ w["dynamic"].T
        return np.exp(np.clip(w["bias"] + log_rates, *_LOG_RATES))

    def draw(self, n: int, seed: int) -> StaticDynamicTrials:
        """Draws trials: classes, latents, counts.

        Args:
            n: Number of trials, 100,000 at most.
            seed: Seed of everything but the weights.

        Raises:
            ValueError: If `n` or `seed` is no whole number in its range.
        """
        n = check_whole(n, "n", 1, _MOST_TRIALS)
        rng = np.random.default_rng(check_whole(seed, "seed"))
        style, content = rng.integers(0, N_STYLES, n), rng.integers(0, N_CONTENTS, n)
        angle = 2.0 * np.pi * style / N_STYLES
        s = np.stack([np.cos(angle), np.sin(angle)], axis=1) + _STYLE_SD * rng.standard_normal((n, 2))
        z = _rotations(2.0 * np.pi * _CONTENT_HZ[content] * BIN_WIDTH_S, rng)
        rates = self.rates(s, z)
        return StaticDynamicTrials(rng.poisson(rates).astype(np.float32), rates, s, z, style, content)


def static_dynamic_poisson(level: str, n: int, seed: int, param_seed: int = 0) -> StaticDynamicTrials:
    """Spikes of 50 neurons that depend on what a trial is (style) and on how it goes on (content).

    Of six styles, one gives the static latent `s`: a place on the unit circle and N(0, 0.15^2) beside it. Of three
    contents, one gives the dynamic latent `z_t`: a rotation at 1, 2 or 3.5 Hz that decays by 0.98 a bin and is driven
    by noise, of variance one in every bin, so that `z` at one bin tells nothing of the content. Style and content are
    independent. Bins of 20 ms, some 0.45 spikes in each.

    log rate = b + A s + B z_t (``"additive"``), b + A s + (B z_t) (1 + 0.8 tanh(G s)) (``"gain"``) or
    b + W2 tanh(W1 [s, z_t] + b1) (``"mlp"``), clipped to [-6, 2.3].

    Args:
        level: ``"additive"``, ``"gain"`` or ``"mlp"``.
        n: Number of trials.
        seed: Seed of the trials; by convention 1 to train with n=2000, and 2 to test with n=1000.
        param_seed: Seed of the weights; trials of one population have it in common.

    Returns:
        A `StaticDynamicTrials`. The rates of exchanged latents are those of
        ``StaticDynamicSimulator(level, param_seed).rates(s, z)``.

    Raises:
        ValueError: If the level is unknown, or a number is no whole one in its range.

    Example:
        >>> from indl.data import static_dynamic_poisson
        >>> trials = static_dynamic_poisson("gain", n=3, seed=1)
        >>> trials.counts.shape, trials.s.shape, trials.z.shape
        ((3, 50, 50), (3, 2), (3, 50, 2))
    """
    return StaticDynamicSimulator(level, param_seed).draw(n, seed)


def static_dynamic(
    level: str = "gain",
    n_train: int = 2000,
    n_valid: int = 1000,
    *,
    train_seed: int = 1,
    valid_seed: int = 2,
    param_seed: int = 0,
) -> Recording:
    """Two draws of :func:`static_dynamic_poisson` as a recording: the training trials, and those to score on.

    Args:
        level: ``"additive"``, ``"gain"`` or ``"mlp"``.
        n_train, n_valid: Number of trials of each part.
        train_seed, valid_seed: Seeds of each part, which must differ.
        param_seed: Seed of the weights.

    Returns:
        A `Recording` with `truth` (expected counts a bin), `latents` (the static ones in every bin, then the dynamic
        ones, 4 dimensions) and `label`, 3 times the style plus the content: :func:`style_and_content` takes it apart.

    Raises:
        ValueError: If the level is unknown, a number is no whole one in its range, or both parts have one seed.

    Example:
        >>> from indl.data import static_dynamic
        >>> static_dynamic("gain", n_train=20, n_valid=10).valid.latents.shape
        (10, 50, 4)
    """
    if train_seed == valid_seed:
        raise ValueError(
            f"Both parts would hold the same trials. Given: train_seed={shown(train_seed)}, "
            f"valid_seed={shown(valid_seed)}. Give two different seeds."
        )
    simulator = StaticDynamicSimulator(level, param_seed)
    first = check_whole(n_train, "n_train", 1, _MOST_TRIALS)
    train = _split(simulator.draw(first, train_seed), 0)
    valid = _split(simulator.draw(check_whole(n_valid, "n_valid", 1, _MOST_TRIALS), valid_seed), first)
    attrs: dict[str, Any] = {"level": level, "param_seed": param_seed, "seeds": [train_seed, valid_seed]}
    source = f"static_dynamic({level!r}, param_seed={param_seed})"
    return Recording(train, valid, BIN_WIDTH_S, np.arange(N_CHANNELS), attrs, source)


def style_and_content(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both classes of each trial of :func:`static_dynamic`, from its label.

    Args:
        label: 3 times the style plus the content, integers (trials,).

    Returns:
        Style 0 to 5 and content 0 to 2, each (trials,).

    Example:
        >>> import numpy as np
        >>> from indl.data import style_and_content
        >>> [part.tolist() for part in style_and_content(np.array([0, 4, 17]))]
        [[0, 1, 5], [0, 1, 2]]
    """
    style, content = np.divmod(label, N_CONTENTS)
    return style, content


def _rotations(angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Paths that turn by `angle` (trials,) a bin, decay, and are driven by noise: (trials, bins, 2), variance one."""
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    z = np.empty((len(angle), N_TIMES, 2))
    z[:, 0] = rng.standard_normal((len(angle), 2))
    for t in range(1, N_TIMES):
        noise = rng.standard_normal((len(angle), 2))
        z[:, t] = _DECAY * np.einsum("nij,nj->ni", turn, z[:, t - 1]) + math.sqrt(1.0 - _DECAY**2) * noise
    return z


def _split(trials: StaticDynamicTrials, first: int) -> Split:
    """The trials as a part of a recording whose trials are numbered from `first` on."""
    latents = np.concatenate([np.broadcast_to(trials.s[:, None], trials.z.shape), trials.z], axis=-1)
    return Split(
        trials.counts,
        trials.counts,
        inds=first + np.arange(len(trials.s)),
        label=N_CONTENTS * trials.style + trials.content,
        truth=trials.rates,
        latents=latents,
    )
