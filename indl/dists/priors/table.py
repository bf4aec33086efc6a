"""A prior around the mean of the sequence that a trial belongs to, one row of a table for each sequence."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.priors.base import Prior
from indl.registry import register

#: In the place of a row that has no part in a softmax.
_LEFT_OUT = -1e30


@register
class TablePrior(Prior):
    """p(f | i) = N(mu_i, init_std^2 I) with trained means mu_i ~ N(0, hyper_std^2 I), the prior of FHVAE.

    Hsu et al. 2017 (arXiv:1709.07902). A sequence is what several trials, or windows, have in common; `index` names
    the row of each trial's sequence. Called on a posterior and on index, it gives three terms; where `index` names no
    row they are NaN.

    Beside the trained table two variables say what is known of its rows: `n_segments`, the trials of each sequence,
    and `used`, whether training has some. A row that is not used has no part in the softmax over the sequences, but
    for trials of that very sequence.

    Args:
        size: size of f.
        n_seqs: rows of the table.
        init_std: standard deviation of p(f | i), fixed.
        hyper_std: standard deviation of the prior of every mean.
    """

    reads = "index"

    def __init__(self, size: int, n_seqs: int, init_std: float = 0.5, hyper_std: float = 1.0, **kwargs: Any):
        super().__init__(size, **kwargs)
        self.n_seqs = n_seqs
        self.init_std = init_std
        self.hyper_std = hyper_std
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.table = self.add_weight(shape=(self.n_seqs, self.size), initializer=normal, name="table")
        self.n_segments, self.used = (
            self.add_weight(shape=(self.n_seqs,), initializer="ones", trainable=False, name=name)
            for name in ("n_segments", "used")
        )
        self.built = True

    def call(self, q: Any, index: Any) -> tuple[Any, Any, Any]:
        """The terms of trials in nats, each (batch,).

        Args:
            q: posterior of f, (batch, F).
            index: row of each trial's sequence, (batch,).

        Returns:
            KL(q || p(f | i)); log p(mu_i) divided by the trials of the sequence; and log p(i | mean of q), the softmax
            of the densities of that mean under the rows in use.
        """
        q, row = as_gaussian(q), ops.cast(index, "int32")
        chosen = ops.one_hot(row, self.n_seqs, dtype=self.compute_dtype)
        mean = self._known(row, ops.matmul(chosen, self.table))
        segments = ops.maximum(ops.matmul(chosen, self.n_segments[:, None])[:, 0], 1.0)
        zero = ops.zeros_like(mean)
        log_p_mean = Gaussian(zero, zero + self.hyper_std).log_prob(mean) / segments
        return q.kl_divergence(self._around(mean)), log_p_mean, self._known(row, self._log_p_index(q.loc, chosen))

    def _log_p_index(self, loc: Any, chosen: Any) -> Any:
        # The square of loc is the same for all rows.
        distance = ops.matmul(loc, ops.transpose(self.table)) - ops.sum(ops.square(self.table), axis=-1) / 2
        logits = distance / self.init_std**2
        counted = ops.maximum(chosen, self.used[None]) > 0
        return ops.sum(chosen * logits, axis=-1) - ops.logsumexp(ops.where(counted, logits, _LEFT_OUT), axis=-1)

    def _known(self, row: Any, values: Any) -> Any:
        """NaN where a trial belongs to no row, which stops a training that such trials have slipped into."""
        known = ops.logical_and(row >= 0, row < self.n_seqs)
        return ops.where(known if len(values.shape) == 1 else known[:, None], values, float("nan"))

    def _around(self, mean: Any) -> Gaussian:
        return Gaussian(mean, ops.zeros_like(mean) + self.init_std)

    def gaussian(self, u: Any = None, like: Any = None) -> Gaussian:
        """p(f | i) of the rows `u`, (batch, F); or without them that of a sequence of which nothing is known, (F,).

        Args:
            u: rows, (batch,).
            like: a tensor whose axes between the trials and the last the rows lack.
        """
        if u is None:
            new = ops.full((self.size,), (self.init_std**2 + self.hyper_std**2) ** 0.5)
            return Gaussian(ops.zeros_like(new), new)
        row = ops.cast(ops.convert_to_tensor(u), "int32")
        mean = self._known(row, ops.matmul(ops.one_hot(row, self.n_seqs, dtype=self.compute_dtype), self.table))
        axes = tuple(range(1, 1 + (0 if like is None else len(like.shape) - 2)))
        return self._around(ops.expand_dims(mean, axes) if axes else mean)

    def draw(self, n: int, time: int | None = None, u: Any = None, seed: int = 0) -> Any:
        """Draws for trials of the sequences `u`, rows (n,); without them each of a new sequence."""
        shape = (n, self.size) if time is None else (n, time, self.size)
        noise = keras.random.normal(shape, seed=seed)
        p = self.gaussian(u, noise)
        return p.loc + p.scale * noise

    def log_prob(self, z: Any, u: Any = None) -> Any:
        z = ops.convert_to_tensor(z)
        return self.gaussian(u, z).log_prob(z)

    def kl_per_dimension(self, q: Any, u: Any = None) -> Any:
        q = as_gaussian(q)
        return q.kl_per_dimension(self.gaussian(u, q.loc))

    def count(self, index: Any, unseen: Any = ()) -> None:
        """Sets the trials of each sequence, and which sequences training has.

        Args:
            index: rows of the training trials, (trials,).
            unseen: rows of trials that are only scored; those of a sequence in training do not count.
        """
        trained, scored = (np.bincount(np.asarray(rows, int), minlength=self.n_seqs) for rows in (index, unseen))
        self.n_segments.assign(np.where(trained > 0, trained, scored))
        self.used.assign(trained > 0)

    def estimate(self, means: Any, index: Any, trained: bool = False) -> None:
        """Sets the rows that training does not use, as far as `index` names them, to :func:`map_means`.

        Args:
            means: means of the posteriors of trials, (trials, F).
            index: row of each, (trials,).
            trained: set those that training does use instead, of which `index` must then have all trials.
        """
        counts = np.bincount(np.asarray(index, int), minlength=self.n_seqs)
        chosen = (counts > 0) & ((np.asarray(self.used) > 0) == trained)
        found = map_means(means, index, self.n_seqs, self.init_std, self.hyper_std)
        self.table.assign(np.where(chosen[:, None], found, self.table))
        self.n_segments.assign(np.where(chosen, counts, self.n_segments))

    def __repr__(self) -> str:
        return f"TablePrior(event size {self.size}, {self.n_seqs} sequences)"

    def get_config(self) -> dict[str, Any]:
        config = {"n_seqs": self.n_seqs, "init_std": self.init_std, "hyper_std": self.hyper_std}
        return {**super().get_config(), **config}


def map_means(means: Any, index: Any, n_seqs: int, std: float = 0.5, hyper_std: float = 1.0) -> np.ndarray:
    """The likeliest mean of each sequence given the posterior means of its trials: their sum / (N + std^2 / hyper^2).

    Args:
        means: (trials, F).
        index: the sequence of each trial, (trials,), from 0 to n_seqs - 1.
        n_seqs: number of sequences.
        std: standard deviation of f around the mean of its sequence.
        hyper_std: standard deviation of the prior of these means.

    Returns:
        (n_seqs, F); 0, the mean of their prior, for a sequence without trials.
    """
    means, index = np.asarray(means, "float64"), np.asarray(index, int)
    sums = np.zeros((n_seqs, means.shape[-1]))
    np.add.at(sums, index, means)
    return sums / (np.bincount(index, minlength=n_seqs) + (std / hyper_std) ** 2)[:, None]
