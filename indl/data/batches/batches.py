"""Batches of trials in an order that depends on the seed and the epoch alone, from memory or from disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from indl.data.batches.sample_mask import SampleMask
from indl.data.checks.arrays import check_whole
from indl.data.values.lazy import LazyArray


class Batches:
    """Trials dealt into batches, shuffled anew in every epoch.

    The order of an epoch depends on `seed` and the number of the epoch alone, so a run that starts again at epoch 7
    sees what the uninterrupted one saw. Arrays in memory are shuffled by a full permutation. Arrays that stay on disk
    are shuffled in blocks: blocks of neighbouring trials (whole chunks of the file, about 4 MiB) are permuted, every
    16 of them in turn form a window, and the trials of a window are permuted; so a batch is read from a few places of
    the file. Where all trials fit into one window that is a full permutation, the same as in memory.

    Args:
        arrays: Name to array, all with the same number of trials along their first axis: numpy arrays,
            :class:`~indl.data.LazyArray` or :class:`~indl.data.batches.sample_mask.SampleMask`.
        batch_size: Number of trials in a batch; the last batch of an epoch may be smaller.
        seed: Seed of the order, not negative.
        shuffle: False keeps the trials in their order, in every epoch.
        augment: Function of a batch (name to array, all of them) and a numpy generator, which gives the batch to use
            instead, such as :class:`~indl.data.batches.augmentation.Augmentation`. The generator's numbers depend on
            `seed`, the epoch and the number of the batch alone.
        session: Session of each trial, (trials,): every batch then holds as many trials of each, ``batch_size //
            sessions``. The session of most trials is gone through once an epoch, but for what fills no batch; the
            others begin anew, in another order, as often as it takes.

    Raises:
        ValueError: If there is no array, the arrays do not have the same trials or are not numeric, `batch_size`
            or `seed` is not such a number, or `batch_size` is smaller than the number of sessions.

    Example:
        >>> import numpy as np
        >>> from indl.data import Batches
        >>> batches = Batches({"encod": np.arange(5)[:, None, None]}, batch_size=2, seed=1)
        >>> len(batches), batches.order(0).tolist(), batches.order(1).tolist()
        (3, [4, 0, 1, 2, 3], [1, 4, 0, 3, 2])
        >>> batches.batch(0, 1)["encod"].ravel().tolist()
        [1.0, 2.0]
    """

    def __init__(
        self,
        arrays: Mapping[str, Any],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        augment: Callable[[dict[str, np.ndarray], np.random.Generator], dict[str, np.ndarray]] | None = None,
        session: np.ndarray | None = None,
    ):
        self.batch_size = check_whole(batch_size, "batch_size", 1)
        self.seed = check_whole(seed, "seed")
        same: dict[int, Any] = {}
        self.arrays = {name: same.setdefault(id(value), _as_array(name, value)) for name, value in arrays.items()}
        sizes = {name: len(value) for name, value in self.arrays.items()}
        if len(set(sizes.values())) != 1 or 0 in sizes.values():
            raise ValueError(
                f"Batches need arrays with the same trials, at least one. Given: {sizes or 'no array'} trials. Give "
                "the arrays of one part of a recording."
            )
        self.shuffle = shuffle
        self.augment = augment
        self.n_trials = next(iter(sizes.values()))
        self._last: tuple[int, np.ndarray] | None = None
        self.sessions = None if session is None else [np.flatnonzero(session == k) for k in np.unique(session)]
        if self.sessions:
            if sum(map(len, self.sessions)) != self.n_trials or self.batch_size < len(self.sessions):
                raise ValueError(
                    "Every batch holds trials of each session. Given: a batch_size of "
                    f"{self.batch_size} for {len(self.sessions)} sessions, of {np.size(session)} trials for "
                    f"{self.n_trials}. Raise batch_size, and give the session of each trial."
                )
            self.batch_size -= self.batch_size % len(self.sessions)

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        if self.sessions:
            return max(1, max(map(len, self.sessions)) * len(self.sessions) // self.batch_size)
        return -(-self.n_trials // self.batch_size)

    @property
    def fixed(self) -> bool:
        """Whether every epoch has the same batches: the trials in their order, as they are."""
        return not self.shuffle and self.augment is None and self.sessions is None

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the trials in the order in which the epoch takes them: of all once, or of sessions as needed."""
        if self.sessions and not self.shuffle:
            return self._deal(np.asarray)
        if not self.shuffle:
            return np.arange(self.n_trials)
        # Threads may ask for different epochs, so what is returned is not looked up again.
        last = self._last
        if last is None or last[0] != epoch:
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
            last = self._last = (epoch, self._deal(rng.permutation) if self.sessions else self._permutation(rng))
        return last[1]

    def batch(self, epoch: int, i: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The `i`-th batch of an epoch: name to float32 array, (trials of the batch, ...).

        Args:
            epoch: Number of the epoch, counted from 0.
            i: Number of the batch, counted from 0.
            names: Which arrays to return. None: all.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"There is no batch {i}. Given: {len(self)} batches in an epoch. Count from 0.")
        which = self.order(epoch)[i * self.batch_size : (i + 1) * self.batch_size]
        gathered: dict[int, np.ndarray] = {}
        found = {}
        names = list(self.arrays if names is None else names)
        # What is drawn must not depend on what is asked for.
        for name in names if self.augment is None else self.arrays:
            values = self.arrays[name]
            # An input that is its own target is gathered once.
            if id(values) not in gathered:
                gathered[id(values)] = np.asarray(values[which], np.float32)
            found[name] = gathered[id(values)]
        if self.augment is not None:
            # The last number keeps these draws apart from the order of the trials.
            found = self.augment(found, np.random.default_rng(np.random.SeedSequence([self.seed, epoch, i, 1])))
        return {name: found[name] for name in names}

    def epoch(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of one epoch."""
        return (self.batch(epoch, i) for i in range(len(self)))

    def _deal(self, permute: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Trials of each session in turn, batch after batch."""
        share = self.batch_size // len(self.sessions)
        wanted, dealt = len(self) * share, []
        for trials in self.sessions:
            rounds = [permute(trials) for _ in range(-(-wanted // len(trials)))]
            dealt.append(np.concatenate(rounds)[:wanted].reshape(-1, share))
        return np.concatenate(dealt, axis=1).ravel()

    def _permutation(self, rng: np.random.Generator) -> np.ndarray:
        lazy = [values.shuffle_blocks for values in self.arrays.values() if isinstance(values, LazyArray)]
        size, mixed = max((size for size, _ in lazy), default=1), min((mixed for _, mixed in lazy), default=1)
        if not lazy or self.n_trials <= size * mixed:
            return rng.permutation(self.n_trials)
        blocks = [np.arange(start, min(start + size, self.n_trials)) for start in range(0, self.n_trials, size)]
        dealt = rng.permutation(len(blocks))
        windows = (dealt[start : start + mixed] for start in range(0, len(dealt), mixed))
        return np.concatenate([rng.permutation(np.concatenate([blocks[k] for k in window])) for window in windows])


def _as_array(name: str, values: Any) -> Any:
    if isinstance(values, LazyArray | SampleMask):
        return values
    values = np.asarray(values)
    if values.dtype.kind not in "buif" or values.ndim == 0:
        raise ValueError(
            f"Batches hold numbers. Given: {name} with dtype {values.dtype} and shape {values.shape}. Give a numeric "
            "array with one entry a trial."
        )
    return values
