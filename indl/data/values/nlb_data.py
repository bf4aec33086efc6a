"""Trials as the Neural Latents Benchmark divides them: some to train on, and some of which a part is predicted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width, check_whole
from indl.data.values.recording import Recording, frozen
from indl.data.values.trials import PER_TRIAL, Trials
from indl.text import nearest, shown

#: The data sets that the benchmark scores, and the widths of their bins in milliseconds.
DATA_SETS = ("mc_maze", "mc_rtt", "area2_bump", "dmfc_rsg", "mc_maze_large", "mc_maze_medium", "mc_maze_small")
WIDTHS_MS = (5, 20)
#: What target files may hold beside spikes.
EXTRAS = (
    "psth",
    *(f"{part}_{what}" for part in ("train", "eval") for what in ("cond_idx", "decode_mask", "jitter", "behavior")),
)


@dataclass(frozen=True, eq=False, repr=False)
class NLBData:
    """Training and evaluation trials of one data set of the Neural Latents Benchmark.

    The channels are in the order held-in, held-out. The last `forward_steps` bins are predicted from those before.

    Args:
        train: Trials to train on, (trials, bins + forward_steps, channels).
        evaluation: Trials whose rates are submitted, with the same bins and channels; NaN is what is hidden there.
            None: there are none.
        n_heldin: Number of held-in channels, the first ones.
        forward_steps: Number of bins at the end that no model sees.
        name: The data set as the benchmark calls it, e.g. "mc_maze_small"; with the ending "_20" or without.
        extras: What else belongs to the data, by its name in target files: `psth`, and of both parts (`train_...`,
            `eval_...`) `cond_idx`, `decode_mask`, `jitter`, and a `behavior` that has one row a trial.

    Raises:
        TypeError: If the parts are no :class:`~indl.data.Trials`.
        ValueError: If the two parts differ in bins or channels, or do not have so many held-in channels and bins; or
            `extras` has a name that the layout does not.

    Example:
        >>> import numpy as np
        >>> from indl.data import NLBData, Trials
        >>> counts = np.random.default_rng(0).poisson(1.0, (20, 12, 6))
        >>> hidden = counts[16:].astype("float32")
        >>> hidden[:, :, 4:] = np.nan  # the held-out channels
        >>> data = NLBData(Trials(counts[:16], 0.02), Trials(hidden, 0.02, missing=True), n_heldin=4)
        >>> data.seen(data.evaluation).shape, data.hidden
        ((4, 12, 4), ('heldout',))
    """

    train: Trials
    evaluation: Trials | None
    n_heldin: int
    forward_steps: int = 0
    name: str = ""
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = [self.train] if self.evaluation is None else [self.train, self.evaluation]
        wrong = [part for part in parts if not isinstance(part, Trials)]
        if wrong:
            raise TypeError(
                f"The parts of a data set are Trials. Given: {type(wrong[0]).__name__}. Make them with "
                "Trials(counts, bin_width_s)."
            )
        shapes = [(part.bin_width_s, *part.counts.shape[1:]) for part in parts]
        if shapes[0] != shapes[-1]:
            raise ValueError(
                "Training and evaluation trials must have the same bins and channels. Given: bin width, bins and "
                f"channels {shapes[0]} and {shapes[1]}. Cut both alike; NaN stands for what is hidden."
            )
        self._set("n_heldin", check_whole(self.n_heldin, "n_heldin", 1, self.train.n_channels))
        self._set("forward_steps", check_whole(self.forward_steps, "forward_steps", 0, self.train.n_times - 1))
        unknown = [name for name in self.extras if name not in EXTRAS]
        if unknown:
            raise ValueError(
                f"There is no array of that name in the layout of the benchmark. Given: {unknown[0]!r} in extras."
                f"{nearest(unknown[0], EXTRAS)} Choose from {', '.join(EXTRAS)}."
            )
        self._set("extras", {name: _frozen(value, name) for name, value in self.extras.items()})

    @property
    def n_times(self) -> int:
        """Number of bins that a model sees."""
        return self.train.n_times - self.forward_steps

    @property
    def hidden(self) -> tuple[str, ...]:
        """Which pieces of the evaluation trials have no sample; see :meth:`pieces`."""
        if self.evaluation is None:
            return ()
        pieces = self.pieces(self.evaluation.counts)
        return tuple(name for name, piece in pieces.items() if piece.size and np.isnan(piece).all())

    def seen(self, part: Trials) -> np.ndarray:
        """What a model sees of `train` or `evaluation`, (trials, n_times, n_heldin)."""
        return part.counts[:, : self.n_times, : self.n_heldin]

    def pieces(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """An array (trials, time, channels) of all bins and channels, cut as the files of the benchmark are.

        Returns:
            `heldin` and `heldout`, and with forward steps `heldin_forward` and `heldout_forward`.
        """
        now, later = values[:, : self.n_times], values[:, self.n_times :]
        found = {"heldin": now[..., : self.n_heldin], "heldout": now[..., self.n_heldin :]}
        if self.forward_steps:
            found["heldin_forward"] = later[..., : self.n_heldin]
            found["heldout_forward"] = later[..., self.n_heldin :]
        return found

    def recording(self, valid_fraction: float = 0.2, *, seed: int = 0) -> Recording:
        """A recording to train on.

        Its validation part is the evaluation part, if nothing of that is hidden, else a split of the training part.
        What only one of its two parts has (behaviour, labels) is left out. Training chooses its best epoch on the
        validation part: to choose on other trials than those that are scored, write
        `dataclasses.replace(data, evaluation=None).recording()`.

        Args:
            valid_fraction: Fraction of the training trials that a split puts into the validation part.
            seed: Seed of the split.

        Returns:
            A :class:`~indl.data.Recording` with the channels held out and the forward steps of the data set.
        """
        trials, valid = self.train, None
        if self.evaluation is not None and not self.hidden:
            trials = Trials.concatenate(alike(self.train, self.evaluation))
            valid = np.arange(len(self.train), len(trials))
        heldout = np.arange(self.n_heldin, self.train.n_channels)
        return trials.split(valid_fraction, valid=valid, heldout=heldout, forward_steps=self.forward_steps, seed=seed)

    def group(self, name: str = "") -> str:
        """The name of the data set in files of the benchmark, which tells 20 ms by its ending.

        Args:
            name: A name instead of the data set's own.

        Raises:
            ValueError: If there is no name, or it tells another width of bins.

        Warns:
            UserWarning: If the benchmark scores no data set of that name.
        """
        return group_name(name or self.name, self.train.bin_width_s)

    def __repr__(self) -> str:
        n_evaluation = 0 if self.evaluation is None else len(self.evaluation)
        parts = [self.name or "unnamed", f"{len(self.train)} training + {n_evaluation} evaluation trials"]
        parts += [f"{self.n_times} + {self.forward_steps} forward bins of {1000 * self.train.bin_width_s:g} ms"]
        parts += [f"{self.n_heldin} channels held-in + {self.train.n_channels - self.n_heldin} held-out"]
        parts += [f"hidden: {', '.join(self.hidden)}"] if self.hidden else []
        return f"NLBData({', '.join(parts)})"

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def width_told(name: str) -> float | None:
    """The width of bins in seconds that the name of a data set tells; None: it may be any."""
    return 0.02 if name.endswith("_20") else None


def group_name(name: str, bin_width_s: float) -> str:
    """The name of a data set with the ending that tells the width of its bins; see :meth:`NLBData.group`."""
    if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
        raise ValueError(
            f"A data set needs a name in files of the benchmark. Given: {shown(name)}. Say name=..., one of "
            f"{', '.join(DATA_SETS)}."
        )
    check_told(name, bin_width_s)
    milliseconds = round(1000 * bin_width_s, 6)
    ending = "" if milliseconds == WIDTHS_MS[0] else f"_{milliseconds:g}"
    stem = name.removesuffix(ending)
    if stem not in DATA_SETS or milliseconds not in WIDTHS_MS:
        warnings.warn(
            "The benchmark scores its own data sets in bins of 5 and 20 ms alone. Given: "
            f"{stem} in bins of {milliseconds:g} ms.{nearest(stem, DATA_SETS)} Choose from {', '.join(DATA_SETS)}, or "
            "score these files yourself.",
            UserWarning,
            stacklevel=4,
        )
    return f"{stem}{ending}"


def check_told(name: str, bin_width_s: float) -> float:
    """The width of bins in seconds, which the name of the data set must not contradict."""
    told = width_told(name)
    width = check_bin_width(bin_width_s)
    if told is not None and not np.isclose(width, told):
        raise ValueError(
            f"The name of the data set tells bins of {1000 * told:g} ms. Given: {name} with bins of "
            f"{1000 * width:g} ms. Correct the name or the bin width, which is in seconds."
        )
    return width


def alike(*parts: Trials) -> list[Trials]:
    """The parts without what not all of them have."""
    absent = [name for name in PER_TRIAL if any(getattr(part, name) is None for part in parts)]
    return [replace(part, **dict.fromkeys(absent)) for part in parts]


def _frozen(value: Any, name: str) -> np.ndarray:
    """A read-only array; rows of different length are an array of arrays."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return frozen(value, name=name)
    rows = np.empty(len(value), object)
    rows[:] = [frozen(row, name=name) for row in value]
    rows.flags.writeable = False
    return rows
