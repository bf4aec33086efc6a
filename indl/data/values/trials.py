"""The value that every reader returns: trials of one recording, before they are split for training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_bin_width, check_rates, check_trials, check_whole
from indl.data.checks.masks import as_array
from indl.data.values.channel_attrs import of_channels
from indl.data.values.chop_plan import PREFIX, ChopPlan
from indl.data.values.forms import one_label_each, with_dimensions
from indl.data.values.recording import Recording, Split, frozen, own_attrs
from indl.data.values.splitting import choose_heldout, leave_out_shared, split_trials
from indl.text import shown

#: Fields with one entry a trial, in the order of the files.
PER_TRIAL = ("inds", "start_s", "label", "behavior", "ext_input", "truth", "latents")
_SEQUENCES = ("behavior", "ext_input", "truth", "latents")


@dataclass(frozen=True, eq=False, repr=False)
class Trials:
    """Trials of one recording with what belongs to them. Immutable: all arrays are read-only.

    NaN in `counts` marks a sample that was not recorded; a trial that is shorter than the others ends in bins that
    are NaN in every channel (:attr:`mask`, :attr:`lengths`).

    Args:
        counts: Counts per bin (or a signal), (trials, time, channels), kept as float32.
        bin_width_s: Width of one bin in seconds.
        channel_ids: Id of each channel, (channels,). None: 0, 1, ...
        inds: Index of each trial in the session, (trials,). None: 0, 1, ...
        start_s: Start of each trial's first bin in the session, in seconds, (trials,).
        label: Condition of each trial, (trials,); also as a column (trials, 1) or one-hot rows (trials, conditions).
        behavior: Behaviour in the same bins, (trials, time, dimensions); NaN where there is none. Of one dimension it,
            `ext_input` and `latents` may lack the last axis.
        ext_input: Observed external input, e.g. a stimulus, in the same bins, (trials, time, dimensions).
        truth: True rates in expected counts per bin, shape of `counts`. Synthetic data.
        latents: True latents, (trials, time, dimensions). Synthetic data.
        attrs: Whatever else is known (species, area, task, licence, ...).
        source: Where it came from: a path, or the call that made it.
        are_counts: False for a real-valued signal.
        missing: Whether NaN in `counts` is meant; False refuses it.

    Raises:
        ValueError: If `counts` does not pass :func:`~indl.data.check_trials`, a trial is NaN throughout, or an array
            does not fit the trials.

    Example:
        >>> import numpy as np
        >>> from indl.data import Trials
        >>> counts = np.random.default_rng(0).poisson(0.5, (20, 10, 4))
        >>> Trials(counts, 0.02, label=np.arange(20) % 2)
        Trials(arrays, 20 trials, 10 bins of 20 ms, 4 channels, mean 26.4 Hz, 2 conditions)
    """

    counts: np.ndarray
    bin_width_s: float
    channel_ids: np.ndarray | None = None
    inds: np.ndarray | None = None
    start_s: np.ndarray | None = None
    label: np.ndarray | None = None
    behavior: np.ndarray | None = None
    ext_input: np.ndarray | None = None
    truth: np.ndarray | None = None
    latents: np.ndarray | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    source: str = "arrays"
    are_counts: bool = True
    missing: bool = False

    def __post_init__(self) -> None:
        check_trials(
            self.counts, counts=self.are_counts, missing=self.missing, names=("counts", "counts"), stacklevel=4
        )
        self._set("bin_width_s", check_bin_width(self.bin_width_s))
        self._set("attrs", own_attrs(self.attrs))
        n_trials, n_times, n_channels = np.shape(self.counts)
        if self.inds is None:
            self._set("inds", np.arange(n_trials))
        if self.channel_ids is None:
            self._set("channel_ids", np.arange(n_channels))
        for name in ("counts", *_SEQUENCES):
            self._set(name, frozen(getattr(self, name), np.float32, name))
        for name in ("behavior", "ext_input", "latents"):
            self._set(name, with_dimensions(getattr(self, name), n_trials, (n_times,)))
        for name in ("channel_ids", "inds", "start_s", "label"):
            self._set(name, frozen(getattr(self, name), name=name))
        self._set("label", frozen(one_label_each(self.label)))
        if self.are_counts:
            check_rates(self.counts, self.bin_width_s, stacklevel=4)
        self._require("channel_ids", (n_channels,), "one id a channel")
        for name in ("inds", "start_s", "label"):
            self._require(name, (n_trials,), "one value a trial")
        for name in _SEQUENCES:
            self._require(name, (n_trials, n_times, None), "one row a bin of every trial")
        self._require("truth", self.counts.shape, "expected counts for every count")

    @classmethod
    def from_list(cls, trials: Sequence[Any], bin_width_s: float, *, empty: str = "raise", **kwargs: Any) -> Trials:
        """Trials of different length, padded at their ends with NaN.

        Args:
            trials: One array a trial, (time of the trial, channels).
            bin_width_s: Width of one bin in seconds.
            empty: "raise" a ValueError for trials without a bin, or "drop" them with a warning, and with them their
                entries in all other arguments; `inds` then tells which remain.
            **kwargs: As for :class:`Trials`; `behavior`, `ext_input`, `truth` and `latents` are lists of arrays
                (time of the trial, dimensions), too.

        Raises:
            ValueError: If a trial is empty, or a list does not have the bins of its trials.

        Warns:
            UserWarning: If empty trials are left out.
        """
        if empty not in ("raise", "drop"):
            raise ValueError(f"Unknown treatment of empty trials. Given: {shown(empty)}. Choose one of raise, drop.")
        if not isinstance(trials, Sequence | np.ndarray):
            raise ValueError(
                f"trials must be a list with one array a trial. Given: {type(trials).__name__}. Give arrays (time, "
                "channels)."
            )
        trials = [as_array(trial) for trial in trials]
        filled = np.array([trial.shape[:1] != (0,) for trial in trials], bool)
        if empty == "drop" and filled.any() and not filled.all():
            warnings.warn(
                f"Left out: {np.count_nonzero(~filled)} of {len(trials)} trials are empty, the first is trial "
                f"{np.argmin(filled)}.",
                UserWarning,
                stacklevel=2,
            )
            trials, kwargs = _only(filled, trials, kwargs)
        bins = [trial.shape[0] if trial.ndim == 2 else 0 for trial in trials]
        if not bins or min(bins) == 0:
            raise ValueError(
                "Every trial must be (time, channels) with at least one bin. Given: shapes "
                f"{[trial.shape for trial in trials][:10]}. Leave out empty trials, or say empty='drop'."
            )
        sequences = {name: kwargs[name] for name in _SEQUENCES if kwargs.get(name) is not None}
        for name, values in sequences.items():
            found = [len(value) if np.ndim(value) else 0 for value in values] if np.iterable(values) else []
            if found != bins:
                first = next(
                    (i for i, (a, b) in enumerate(zip(found, bins, strict=False)) if a != b), min(len(found), len(bins))
                )
                raise ValueError(
                    f"{name} must have the bins of every trial. Given: {len(found)} trials for {len(bins)}; they "
                    f"differ first at trial {first}. Cut both alike."
                )
        padded = {name: pad_trials([_columns(value) for value in values]) for name, values in sequences.items()}
        short = min(bins) < max(bins)
        return cls(
            pad_trials(trials), bin_width_s, **{**kwargs, **padded, "missing": short or kwargs.get("missing", False)}
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Trials]) -> Trials:
        """The trials of several parts of one session, one after the other, padded to the longest trial.

        Args:
            parts: Trials with the same bins and channels that hold the same optional arrays.

        Returns:
            Trials with those `attrs` that are the same in all parts. `inds` are kept if no two are equal, else
            numbered anew.

        Raises:
            ValueError: If the parts do not fit together.
        """
        if not parts:
            raise ValueError("There must be something to concatenate. Given: no trials. Give a list of Trials.")
        first = parts[0]
        for name in ("bin_width_s", "channel_ids", "are_counts"):
            values = [getattr(part, name) for part in parts]
            if not all(np.array_equal(value, values[0]) for value in values):
                raise ValueError(
                    f"Parts of one session must have the same {name}. Given: {values[:5]}. Rebin them or "
                    "select channels."
                )
        longest = max(part.n_times for part in parts)
        joined: dict[str, Any] = {}
        for name in ("counts", *PER_TRIAL):
            values = [getattr(part, name) for part in parts]
            there = [value is not None for value in values]
            if any(there) and not all(there):
                raise ValueError(
                    f"All parts must hold the same arrays. Given: {name} in {sum(there)} of {len(parts)} parts. Add or "
                    "remove it."
                )
            if all(there):
                joined[name] = np.concatenate([lengthened(value, longest) for value in values])
        if len(np.unique(joined["inds"])) < len(joined["inds"]):
            joined["inds"] = None
        attrs = {
            name: value
            for name, value in first.attrs.items()
            # How a part was cut into windows holds for that part alone.
            if not name.startswith(PREFIX) and all(_same(value, part.attrs.get(name)) for part in parts)
        }
        sources = dict.fromkeys(part.source for part in parts)
        missing = any(part.missing for part in parts) or any(part.n_times < longest for part in parts)
        return replace(first, **joined, attrs=attrs, source=" + ".join(sources), missing=missing)

    @property
    def mask(self) -> np.ndarray:
        """Which bins belong to the trial, (trials, time) bool: False in the padding at the end of a shorter trial."""
        return time_mask(self.counts)

    @property
    def lengths(self) -> np.ndarray:
        """Number of bins of each trial without its padding, (trials,)."""
        return self.mask.sum(axis=1)

    @property
    def n_times(self) -> int:
        """Number of bins of the longest trial."""
        return self.counts.shape[1]

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.counts.shape[2]

    @property
    def mean_rate_hz(self) -> float:
        """Mean of all recorded samples in Hz."""
        return float(np.nanmean(self.counts, dtype=np.float64)) / self.bin_width_s

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.counts)

    def __getitem__(self, which: Any) -> Trials:
        """Some of the trials, by slice, indices or a bool mask."""
        which = np.atleast_1d(np.arange(len(self))[which])
        found = {name: getattr(self, name) for name in ("counts", *PER_TRIAL)}
        return replace(self, **{name: None if value is None else value[which] for name, value in found.items()})

    def channels(self, which: Any) -> Trials:
        """Some of the channels, by indices, slice or a bool mask, in that order; `attrs` that index channels follow."""
        truth = None if self.truth is None else self.truth[:, :, which]
        attrs = of_channels(self.attrs, np.arange(self.n_channels)[which], self.n_channels)
        return replace(
            self, counts=self.counts[:, :, which], channel_ids=self.channel_ids[which], truth=truth, attrs=attrs
        )

    def split(
        self,
        valid_fraction: float = 0.2,
        *,
        valid: Any = None,
        heldout: Any = 0,
        forward_steps: int = 0,
        block: int = 1,
        seed: int = 0,
    ) -> Recording:
        """A recording to train on: a seeded split into two parts, with channels and bins held out from the encoder.

        Args:
            valid_fraction: Fraction of the trials that go to the validation part, stratified by `label`.
            valid: Indices (or a bool mask) of the validation trials, instead of drawing them.
            heldout: How many channels to hold out from the encoder, or which fraction of them (rounded, at least one),
                drawn with `seed`; or the indices of the channels, negative ones from the end; or a bool a channel.
            forward_steps: Number of bins at the end that are reconstructed but not seen by the encoder.
            block: Deal blocks of this many successive trials to the parts, for trials that are windows of one
                continuous recording and therefore not independent. 1: single trials.
            seed: Seed of the split and of the drawn channels.

        Returns:
            A :class:`~indl.data.Recording` whose channels are ordered held-in first. Of windows that :func:`chop` made
            with an overlap, the training part has none that shares a bin with a window of the validation part.

        Raises:
            ValueError: If the trials cannot be split or held out as asked.

        Warns:
            UserWarning: If more than a quarter of the training windows are left out for that.
        """
        rng = np.random.default_rng(check_whole(seed, "seed"))
        heldin, heldout = choose_heldout(heldout, self.n_channels, rng)
        forward_steps = check_whole(forward_steps, "forward_steps")
        if not 0 <= forward_steps < self.n_times:
            raise ValueError(
                f"forward_steps must leave at least one bin for the encoder. Given: {forward_steps} of {self.n_times} "
                f"bins. Give a number from 0 to {self.n_times - 1}."
            )
        parts = split_trials(len(self), self.label, valid_fraction, rng, valid=valid, block=block)
        plan = ChopPlan.of(self.attrs)
        if plan is not None:
            parts = leave_out_shared(*parts, self.inds, plan)
        order, seen = np.concatenate([heldin, heldout]), self.n_times - forward_steps

        def part(which: np.ndarray) -> Split:
            recon = np.take(self.counts[which], order, axis=2)
            recon.flags.writeable = False
            encod = recon if recon.shape[1:] == (seen, len(heldin)) else recon[:, :seen, : len(heldin)]
            unseen = which[np.isnan(encod).all(axis=(1, 2))]
            if unseen.size:
                raise ValueError(
                    f"The encoder must see something of every trial. Given: {unseen.size} trials without a sample in "
                    f"the held-in channels and the first {seen} bins, the first is trial {unseen[0]}. Leave those "
                    "trials out, or hold out less."
                )
            if self.missing:
                _require_same_ends(which, time_mask(encod), time_mask(recon[:, :seen]))
            found = {name: getattr(self, name) for name in PER_TRIAL}
            found = {name: value[which] for name, value in found.items() if value is not None}
            if "truth" in found:
                found["truth"] = found["truth"][:, :, order]
            return Split(encod=encod, recon=recon, **found)

        return Recording(
            train=part(parts[0]),
            valid=part(parts[1]),
            bin_width_s=self.bin_width_s,
            channel_ids=self.channel_ids[order],
            attrs=of_channels(self.attrs, order, self.n_channels),
            source=self.source,
            are_counts=self.are_counts,
        )

    def __repr__(self) -> str:
        parts = [
            self.source or "unnamed",
            f"{len(self)} trials",
            f"{self.n_times} bins of {1000 * self.bin_width_s:g} ms",
        ]
        parts += [f"{self.n_channels} channels"]
        parts += [f"mean {self.mean_rate_hz:.1f} Hz"] if self.are_counts else ["a signal"]
        lengths = self.lengths
        if lengths.min() < self.n_times:
            parts.append(f"lengths {lengths.min()} to {lengths.max()} bins")
        unrecorded = np.count_nonzero(np.isnan(self.counts[self.mask]))
        parts += [f"{unrecorded} samples missing"] if unrecorded else []
        parts += [f"{len(np.unique(self.label))} conditions"] if self.label is not None else []
        for name in ("behavior", "ext_input"):
            value = getattr(self, name)
            parts += [f"{name} ({value.shape[2]} dims)"] if value is not None else []
        parts += [name for name in ("truth", "latents") if getattr(self, name) is not None]
        return f"Trials({', '.join(parts)})"

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _require(self, name: str, shape: Sequence[int | None], what: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        fits = value.ndim == len(shape) and all(b in (None, a) for a, b in zip(value.shape, shape, strict=True))
        if not fits:
            wanted = ", ".join("dimensions" if size is None else str(size) for size in shape)
            raise ValueError(
                f"{name} does not fit the trials. Given: shape {value.shape} for counts {self.counts.shape}. Give "
                f"{what}: shape ({wanted}{',' if len(shape) == 1 else ''})."
            )


def _require_same_ends(which: np.ndarray, held_in: np.ndarray, every: np.ndarray) -> None:
    """Refuses trials that go on in held-out channels only: the encoder knows nothing of such bins."""
    longer = which[(held_in != every).any(axis=1)]
    if longer.size:
        raise ValueError(
            f"Held-in and held-out channels of a trial must end in the same bin. Given: {longer.size} trials that go "
            f"on in held-out channels alone, the first is trial {longer[0]}. Make those bins NaN in every channel, or "
            "hold out other channels."
        )


def time_mask(counts: np.ndarray) -> np.ndarray:
    """Which bins of (trials, time, channels) belong to each trial: all up to the last one with a recorded channel."""
    recorded = ~np.isnan(counts).all(axis=2)
    return np.logical_or.accumulate(recorded[:, ::-1], axis=1)[:, ::-1]


def _only(
    which: np.ndarray, trials: list[np.ndarray], fields: Mapping[str, Any]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Some of the trials in a list, and what has an entry for each of them; `inds` tells which they are."""
    found = {"inds": np.arange(len(trials)), **{name: value for name, value in fields.items() if value is not None}}
    for name in set(PER_TRIAL) & set(found):
        if len(found[name]) == len(trials):
            found[name] = [value for value, kept in zip(found[name], which, strict=True) if kept]
    return [trial for trial, kept in zip(trials, which, strict=True) if kept], found


def _columns(values: Any) -> np.ndarray:
    """A sequence of one trial as (time, dimensions), of which one dimension may come without its axis."""
    values = as_array(values)
    return values[:, None] if values.ndim == 1 else values


def pad_trials(trials: Sequence[Any]) -> np.ndarray:
    """One float32 array (trials, longest time, channels) from arrays (time, channels), NaN after each trial's end."""
    trials = [as_array(trial) for trial in trials]
    widths = {trial.shape[1:] for trial in trials}
    if len(widths) != 1 or trials[0].ndim != 2:
        raise ValueError(
            f"All trials must have the same channels. Given: shapes {[trial.shape for trial in trials][:10]}. Give "
            "(time, channels) arrays with the same channels in the same order."
        )
    padded = np.full((len(trials), max(map(len, trials)), *widths.pop()), np.nan, np.float32)
    for row, trial in zip(padded, trials, strict=True):
        row[: len(trial)] = trial
    return padded


def lengthened(values: np.ndarray, n_times: int) -> np.ndarray:
    """An array of trials with NaN up to a number of bins; what has one value a trial stays."""
    if values.ndim == 1 or values.shape[1] == n_times:
        return values
    return np.pad(values, ((0, 0), (0, n_times - values.shape[1]), (0, 0)), constant_values=np.nan)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return type(a) is type(b) and np.array_equal(a, b)
