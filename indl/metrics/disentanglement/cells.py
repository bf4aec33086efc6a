"""Trials drawn anew within the cells of a design, in the place of a generator that makes trials of given factors.

A cell holds the trials in which all factors have the same values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Groups(NamedTuple):
    """Items sorted by group, so that many can be drawn at once; see :func:`grouped`.

    Attributes:
        items: Numbers of all items, group after group.
        first: Where each group begins in `items`, (groups,).
        size: How many items each group has, (groups,).
    """

    items: np.ndarray
    first: np.ndarray
    size: np.ndarray

    def draw(self, group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An item of each of the given groups, all of a group being as likely; the shape of `group`."""
        return self.items[self.first[group] + rng.integers(self.size[group])]


def grouped(group: np.ndarray) -> Groups:
    """The items of each group.

    Args:
        group: Group of each item, (items,), whole numbers from 0 without gaps.
    """
    size = np.bincount(group)
    return Groups(np.argsort(group, kind="stable"), np.cumsum(size) - size, size)


def fixed_factor_draws(
    levels: np.ndarray, n_batches: int, batch_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Batches of trials in which one factor has one value and the others vary.

    A batch draws a factor, a value of it, then cells with that value and a trial of each: values and cells are as
    likely as each other, however many trials they have.

    Args:
        levels: Factors as whole numbers from 0 without gaps, (n, K).
        n_batches: Number of batches.
        batch_size: Trials of a batch, drawn with replacement.
        rng: Source of the draws.

    Returns:
        The factor that is held in each batch, (n_batches,), and the trials, (n_batches, batch_size).
    """
    cells, trials_of = _cells(levels)
    held = rng.integers(levels.shape[1], size=n_batches)
    trials = np.empty((n_batches, batch_size), int)
    for k in range(levels.shape[1]):
        batches = held == k
        value = rng.integers(cells[:, k].max() + 1, size=(batches.sum(), 1))
        cell = grouped(cells[:, k]).draw(np.repeat(value, batch_size, axis=1), rng)
        trials[batches] = trials_of.draw(cell, rng)
    return held, trials


def shared_factor_draws(
    levels: np.ndarray, n_points: int, batch_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batches of pairs of trials that share the value of one factor, another value from pair to pair.

    Args:
        levels: Factors as whole numbers from 0 without gaps, (n, K).
        n_points: Number of batches.
        batch_size: Pairs of a batch.
        rng: Source of the draws.

    Returns:
        The factor that is shared in each batch, (n_points,), and both trials of each pair, (n_points, batch_size) each.
    """
    cells, trials_of = _cells(levels)
    shared = rng.integers(levels.shape[1], size=n_points)
    first = rng.integers(len(cells), size=(n_points, batch_size))
    second = np.empty_like(first)
    for k in range(levels.shape[1]):
        points = shared == k
        second[points] = grouped(cells[:, k]).draw(cells[first[points], k], rng)
    return shared, trials_of.draw(first, rng), trials_of.draw(second, rng)


def _cells(levels):
    """The different rows of levels, and the trials of each."""
    cells, cell = np.unique(levels, axis=0, return_inverse=True)
    return cells, grouped(cell)
