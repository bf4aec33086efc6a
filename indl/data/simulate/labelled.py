"""Seeded data sets of independent bins whose latents depend on a label, with everything that made them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.text import shown

N_BATCHES = 50
_TRAIN_BATCHES, _VALID_BATCHES = 40, 5
_N_CLASSES, _N_BLOCKS, _LAYERS_PER_BLOCK = 5, 4, 2
_N_CANDIDATES = 10_000
_SOURCES = ("gaussian", "laplace")
_STD_LOW, _STD_HIGH = 0.5, 3.0
_SLOPE = 0.1


class LabelledPart(NamedTuple):
    """Rows of independent bins.

    Attributes:
        x: Observations, (n, channels) float32: counts per bin, or real values of :func:`tcl`.
        u: Labels: (n,) int64 where discrete, (n, label dimensions) float32 where continuous.
        z: True latents, (n, latents).
        rates: Expected counts per bin, (n, channels); None where `x` are no counts.
        label_mean: Mean of p(z | u) at the label of each row, (n, latents): all that the label alone tells of `z`.
        label_variance: Variance of p(z | u) at the label of each row, (n, latents).
    """

    x: np.ndarray
    u: np.ndarray
    z: np.ndarray
    rates: np.ndarray | None
    label_mean: np.ndarray
    label_variance: np.ndarray


class LabelledData(NamedTuple):
    """A data set in parts for training (80 %), validation and test (10 % each).

    Attributes:
        train: Part to fit on.
        valid: Part to choose epochs and settings by.
        test: Part to score.
        n_labels: Number of discrete labels 0, 1, ...; None where labels are continuous.
    """

    train: LabelledPart
    valid: LabelledPart
    test: LabelledPart
    n_labels: int | None


def pi_vae_discrete(seed: int = 0, n: int = 10_000, x_dim: int = 100, z_seed: int = 888) -> LabelledData:
    """Poisson counts of two latents in five overlapping clusters, the discrete simulation of pi-VAE.

    Labels are 0, 1, 2, 3, 4 in turn. Given the label the latents are Gaussian, with means U(-5, 5) and variances
    U(0.5, 3) (Zhou and Wei 2020). The lift of :func:`pi_vae_continuous` makes `x_dim` rates exp(2 tanh f).

    Args:
        seed: Seed of the lift's weights, then of the counts. Another seed is another data set of the same `u` and `z`:
            the published one did not seed its lift, so its counts cannot be had.
        n: Number of rows, a multiple of 50. They are 50 batches in a row: 40 for training, 5 for validation, 5 to test.
        x_dim: Number of channels, at least 4.
        z_seed: Seed of `u` and `z`, in numpy's legacy generator; 888 with 10,000 rows gives the published ones.

    Returns:
        A `LabelledData` with 5 labels.

    Raises:
        ValueError: If `n` is no multiple of 50, there are too few channels, or a seed is no whole number.

    Example:
        >>> from indl.data import pi_vae_discrete
        >>> part = pi_vae_discrete(n=100, x_dim=8).train
        >>> part.x.shape, part.u[:6].tolist(), part.label_mean[0].round(4).tolist()
        ((80, 8), [0, 1, 2, 3, 4, 0], [3.5956, -4.4254])
    """
    random, n = _legacy(z_seed, n)
    mean = random.uniform(-5.0, 5.0, (2, _N_CLASSES)).T
    variance = random.uniform(0.5, 3.0, (2, _N_CLASSES)).T
    u = np.arange(n) % _N_CLASSES
    mean, variance = mean[u], variance[u]
    # All values of one latent, then all of the other: the order of the draws is part of the recipe.
    z = np.stack([random.normal(mean[:, k], np.sqrt(variance[:, k])) for k in range(2)], axis=1)
    return _with_counts(seed, x_dim, 2.0, _N_CLASSES, u=u, z=z, label_mean=mean, label_variance=variance)


def pi_vae_continuous(seed: int = 0, n: int = 15_000, x_dim: int = 100, z_seed: int = 777) -> LabelledData:
    """Poisson counts of two latents on a noisy sine, the continuous simulation of pi-VAE.

    The label is U(0, 2 pi). Given it the latents are Gaussian with means (u, 2 sin u) and variances
    (0.6 - v, v), v = 0.15 |2 sin u| (Zhou and Wei 2020).

    The lift: the latents, padded with zeros to `x_dim`, pass four blocks of two RealNVP couplings, and a fixed
    permutation before every block but the first. A coupling takes the first half a and the second half b to
    (b exp(0.1 tanh s) + t, a), where s and t come of a through two hidden ReLU layers of x_dim // 4 units (Glorot
    uniform weights, no bias). It is one to one, and never trained. Rates are exp(2.2 tanh f).

    Args:
        seed: Seed of the lift's weights, then of the counts. Another seed is another data set of the same `u` and `z`:
            the published one did not seed its lift, so its counts cannot be had.
        n: Number of rows, a multiple of 50. They are 50 batches in a row: 40 for training, 5 for validation, 5 to test.
        x_dim: Number of channels, at least 4.
        z_seed: Seed of `u` and `z`, in numpy's legacy generator; 777 with 15,000 rows gives the published ones.

    Returns:
        A `LabelledData` with labels (n, 1).

    Raises:
        ValueError: If `n` is no multiple of 50, there are too few channels, or a seed is no whole number.

    Example:
        >>> from indl.data import pi_vae_continuous
        >>> part = pi_vae_continuous(n=100, x_dim=8).valid
        >>> part.x.shape, part.u.shape, part.rates.shape
        ((10, 8), (10, 1), (10, 8))
    """
    random, n = _legacy(z_seed, n)
    u = random.uniform(0.0, 2.0 * np.pi, (n, 1))
    mean = np.hstack([u, 2.0 * np.sin(u)])
    second = 0.15 * np.abs(mean[:, 1:])
    variance = np.hstack([0.6 - second, second])
    z = random.normal(0.0, 1.0, (n, 2)) * np.sqrt(variance) + mean
    return _with_counts(seed, x_dim, 2.2, None, u=u.astype(np.float32), z=z, label_mean=mean, label_variance=variance)


def tcl(
    seed: int = 0,
    n_segments: int = 40,
    n_per_segment: int = 1000,
    n_sources: int = 2,
    x_dim: int = 4,
    *,
    sources: str = "gaussian",
    n_layers: int = 3,
) -> LabelledData:
    """Mixed sources whose spread changes from segment to segment, the data of time-contrastive learning and iVAE.

    The label is the segment. Sources have mean zero and, in each segment, a standard deviation of their own from
    U(0.5, 3). A mixing layer is a matrix with columns of norm 1 and a condition number below the 25th percentile of
    10,000 random ones; tanh(x) + 0.1 x follows every layer but the last (Hyvarinen and Morioka 2016; Khemakhem et al.
    2020). As the means do not vary, :func:`indl.metrics.identifiability_findings` says so.

    Args:
        seed: Seed of all that is drawn: standard deviations, sources, mixing, split.
        n_segments: Number of labels.
        n_per_segment: Rows of each label.
        n_sources: Number of latents.
        x_dim: Number of channels, at least `n_sources`, so that nothing is lost.
        sources: ``"gaussian"`` or ``"laplace"``.
        n_layers: Number of mixing layers; 1 mixes linearly.

    Returns:
        A `LabelledData` of real-valued `x` without `rates`. Rows are in random order.

    Raises:
        ValueError: If a size cannot be, there are fewer than 10 rows, or the kind of source is unknown.

    Example:
        >>> from indl.data import tcl
        >>> data = tcl(n_segments=5, n_per_segment=20)
        >>> data.train.x.shape, data.test.z.shape, data.n_labels
        ((80, 4), (10, 2), 5)
    """
    sizes = {"n_segments": n_segments, "n_per_segment": n_per_segment, "n_sources": n_sources, "n_layers": n_layers}
    n_segments, n_per_segment, n_sources, n_layers = (check_whole(size, name, 1) for name, size in sizes.items())
    x_dim = check_whole(x_dim, "x_dim", n_sources)
    n = n_segments * n_per_segment
    if n < 10:
        raise ValueError(
            f"A split in 80, 10 and 10 % needs 10 rows. Given: {n_segments} segments of {n_per_segment} rows. Raise "
            "n_per_segment."
        )
    if sources not in _SOURCES:
        raise ValueError(
            f"Sources have no such kind. Given: sources={shown(sources)}. Choose one of {', '.join(_SOURCES)}."
        )
    rng = np.random.default_rng(check_whole(seed, "seed"))
    u = np.repeat(np.arange(n_segments), n_per_segment)
    std = rng.uniform(_STD_LOW, _STD_HIGH, (n_segments, n_sources))[u]
    # A Laplace distribution of scale b has the standard deviation sqrt(2) b.
    unit = rng.standard_normal(std.shape) if sources == "gaussian" else rng.laplace(0.0, math.sqrt(0.5), std.shape)
    z = unit * std
    matrices = _mixing(n_sources, x_dim, n_layers, rng)
    x = z @ matrices[0]
    for matrix in matrices[1:]:
        x = (np.tanh(x) + _SLOPE * x) @ matrix
    order = rng.permutation(n)
    arrays = {"x": x.astype(np.float32), "u": u, "z": z, "label_mean": np.zeros_like(z), "label_variance": std**2}
    return _split(n_segments, **{name: values[order] for name, values in arrays.items()})


def _legacy(z_seed: int, n: int) -> tuple[np.random.RandomState, int]:
    """The generator of `u` and `z` and the number of rows, after a check of both."""
    n = check_whole(n, "n", N_BATCHES)
    if n % N_BATCHES:
        raise ValueError(
            f"The rows must fill {N_BATCHES} batches of one size. Given: n={n}. Give a multiple of {N_BATCHES}."
        )
    return np.random.RandomState(check_whole(z_seed, "z_seed", 0, 2**32 - 1)), n


def _with_counts(seed: int, x_dim: int, gain: float, n_labels: int | None, **arrays: np.ndarray) -> LabelledData:
    """The data set of these labels and latents, with rates through a lift and counts, both drawn with `seed`."""
    rng = np.random.default_rng(check_whole(seed, "seed"))
    x_dim = check_whole(x_dim, "x_dim", 4)
    networks = _networks(x_dim, rng)
    rates = np.exp(gain * np.tanh(_lift(arrays["z"], x_dim, networks)))
    return _split(n_labels, x=rng.poisson(rates).astype(np.float32), rates=rates, **arrays)


def _networks(x_dim: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Weights of the network of every coupling, in the order of the couplings."""
    half, hidden = x_dim // 2, x_dim // 4
    sizes = (half, hidden, hidden, 2 * (x_dim - half))

    def glorot(n_in, n_out):
        limit = math.sqrt(6.0 / (n_in + n_out))
        return rng.uniform(-limit, limit, (n_in, n_out))

    n_couplings = _N_BLOCKS * _LAYERS_PER_BLOCK
    return [[glorot(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)] for _ in range(n_couplings)]


def _lift(z: np.ndarray, x_dim: int, networks: list[list[np.ndarray]]) -> np.ndarray:
    """The couplings on the latents padded with zeros, (n, x_dim)."""
    h = np.pad(z, ((0, 0), (0, x_dim - z.shape[1])))
    for i, network in enumerate(networks):
        block, place = divmod(i, _LAYERS_PER_BLOCK)
        if block and not place:
            h = h[:, np.random.RandomState(block - 1).permutation(x_dim)]
        a, b = h[:, : x_dim // 2], h[:, x_dim // 2 :]
        s, t = _scale_and_shift(a, network)
        h = np.hstack([b * np.exp(s) + t, a])
    return h


def _scale_and_shift(a: np.ndarray, network: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Log scale and shift of a coupling, from the half that it leaves as it is."""
    *hidden, last = network
    for weight in hidden:
        a = np.maximum(a @ weight, 0.0)
    s, t = np.split(a @ last, 2, axis=1)
    return 0.1 * np.tanh(s), t


def _mixing(n_sources: int, x_dim: int, n_layers: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The mixing matrices, (n_sources, x_dim) and then (x_dim, x_dim)."""
    matrices = []
    for n_in in [n_sources, *[x_dim] * (n_layers - 1)]:
        candidates = rng.uniform(-1.0, 1.0, (_N_CANDIDATES, n_in, x_dim))
        candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
        condition = np.linalg.cond(candidates)
        # The first that passes, not the best: the draw stays random. Of 1 x 1 matrices all are equal.
        matrices.append(candidates[np.argmax(condition <= np.percentile(condition, 25))])
    return matrices


def _split(n_labels: int | None, rates: np.ndarray | None = None, **arrays: np.ndarray) -> LabelledData:
    """The three parts of the rows as they stand."""
    n = len(arrays["z"])
    edges = [0, *(n * k // N_BATCHES for k in (_TRAIN_BATCHES, _TRAIN_BATCHES + _VALID_BATCHES)), n]
    parts = []
    for rows in map(slice, edges[:-1], edges[1:]):
        part = {name: values[rows] for name, values in arrays.items()}
        parts.append(LabelledPart(**part, rates=None if rates is None else rates[rows]))
    return LabelledData(*parts, n_labels)
