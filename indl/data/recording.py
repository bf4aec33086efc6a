"""The value that holds one recording: a training part, a validation part, and what they mean."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.model_selection import train_test_split

from indl.data.checks import check_bin_width, check_trials


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part (training or validation) of a recording. All arrays are read-only.

    Args:
        encod: What the encoder sees, (trials, time, held-in channels), kept as float32.
        recon: What is reconstructed, (trials, time_recon >= time, channels), held-in channels
            first, then held-out ones; kept as float32.
        inds: Index of each trial in the session, (trials,) integers.
        label: Condition of each trial, (trials,).
        behavior: Behaviour in the same bins, (trials, time or time_recon, dimensions), float32.
        truth: True rates in expected counts per bin, shape of `recon`, float32. Synthetic data.
        latents: True latents, (trials, time or time_recon, dimensions), float32. Synthetic data.

    Raises:
        ValueError: If the arrays do not have the same trials, or a shape does not fit `recon`.
    """

    encod: np.ndarray
    recon: np.ndarray
    inds: np.ndarray | None = None
    label: np.ndarray | None = None
    behavior: np.ndarray | None = None
    truth: np.ndarray | None = None
    latents: np.ndarray | None = None

    def __post_init__(self):
        for name in ("encod", "recon", "behavior", "truth", "latents"):
            self._freeze(name, np.float32)
        for name in ("inds", "label"):
            self._freeze(name, None)
        n_trials, n_times, _ = self.encod.shape
        n_recon = self.recon.shape[1]
        self._require("recon", self.recon.shape[0] == n_trials, f"({n_trials}, ...)")
        for name in ("inds", "label"):
            value = getattr(self, name)
            if value is not None:
                self._require(name, value.shape == (n_trials,), f"({n_trials},)")
        if self.truth is not None:
            self._require("truth", self.truth.shape == self.recon.shape, f"{self.recon.shape}")
        for name in ("behavior", "latents"):
            value = getattr(self, name)
            if value is not None:
                fits = value.ndim == 3 and value.shape[0] == n_trials and value.shape[1] in (n_times, n_recon)
                self._require(name, fits, f"({n_trials}, {n_times} or {n_recon}, dimensions)")

    def __len__(self):
        """Number of trials."""
        return self.encod.shape[0]

    def __repr__(self):
        parts = [
            f"{name} {getattr(self, name).shape}"
            for name in ("encod", "recon", "inds", "label", "behavior", "truth", "latents")
            if getattr(self, name) is not None
        ]
        return f"Split({', '.join(parts)})"

    def _freeze(self, name, dtype):
        """Keep a read-only copy, so that neither the owner nor a user can change a recording."""
        value = getattr(self, name)
        if value is None:
            return
        frozen = np.asarray(value, dtype=dtype)
        if frozen.flags.writeable:
            # A converted array is new already; one that came as it is still belongs to its owner.
            frozen = frozen.copy() if isinstance(value, np.ndarray) and np.may_share_memory(frozen, value) else frozen
            frozen.flags.writeable = False
        object.__setattr__(self, name, frozen)

    def _require(self, name, holds, expected):
        if not holds:
            raise ValueError(
                f"{name} does not fit the trials of this part. Got shape "
                f"{getattr(self, name).shape}, with encod {self.encod.shape} and recon "
                f"{self.recon.shape}. Give shape {expected}."
            )


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """A recording cut into trials and split into a training and a validation part.

    Args:
        train: Trials to fit on.
        valid: Trials to score on.
        bin_width_s: Width of one bin in seconds.
        channel_ids: Original ids of the channels in the order of `recon`, (channels,).
        attrs: Whatever else is known (species, area, task, licence, ...).
        source: Where it came from: a path, or the call that made it.

    Raises:
        ValueError: If the two parts do not have the same bins and channels, or the bin width or
            the number of channel ids is wrong.
    """

    train: Split
    valid: Split
    bin_width_s: float
    channel_ids: np.ndarray
    attrs: dict = field(default_factory=dict)
    source: str = ""

    def __post_init__(self):
        object.__setattr__(self, "bin_width_s", check_bin_width(self.bin_width_s))
        object.__setattr__(self, "channel_ids", np.array(self.channel_ids))
        object.__setattr__(self, "attrs", dict(self.attrs))
        self.channel_ids.flags.writeable = False
        for name in ("encod", "recon"):
            train, valid = getattr(self.train, name).shape, getattr(self.valid, name).shape
            if train[1:] != valid[1:]:
                raise ValueError(
                    f"The training and validation parts of {name} must have the same bins and "
                    f"channels. Got {train[1:]} and {valid[1:]}. Cut both parts alike."
                )
        if self.channel_ids.shape != (self.n_channels,):
            raise ValueError(
                f"channel_ids must name every channel of recon. Got shape "
                f"{self.channel_ids.shape} for {self.n_channels} channels. Give one id a channel, "
                "held-in channels first."
            )

    @property
    def n_heldin(self):
        """Number of channels the encoder sees."""
        return self.train.encod.shape[2]

    @property
    def n_heldout(self):
        """Number of channels that are only reconstructed (co-smoothing)."""
        return self.n_channels - self.n_heldin

    @property
    def n_channels(self):
        """Number of reconstructed channels, held-in and held-out."""
        return self.train.recon.shape[2]

    @property
    def n_times(self):
        """Number of bins the encoder sees."""
        return self.train.encod.shape[1]

    @property
    def forward_steps(self):
        """Number of bins that are reconstructed after the last one the encoder sees."""
        return self.train.recon.shape[1] - self.n_times

    @property
    def mean_rate_hz(self):
        """Mean over trials, bins and channels of the training counts, in Hz."""
        return float(self.train.recon.mean(dtype=np.float64)) / self.bin_width_s

    def as_full(self):
        """The same recording with an encoder that sees every reconstructed channel and bin.

        For work without co-smoothing and forward prediction.
        """
        return replace(
            self, train=replace(self.train, encod=self.train.recon), valid=replace(self.valid, encod=self.valid.recon)
        )

    def __repr__(self):
        bins = f"{self.n_times} bins of {1000 * self.bin_width_s:g} ms"
        if self.forward_steps:
            bins += f" + {self.forward_steps} forward"
        channels = f"{self.n_heldin} channels held-in"
        if self.n_heldout:
            channels += f" + {self.n_heldout} held-out"
        extras = []
        if self.train.label is not None:
            extras.append(f"{len(np.unique(self.train.label))} conditions")
        if self.train.behavior is not None:
            extras.append(f"behavior ({self.train.behavior.shape[2]} dims)")
        extras += [name for name in ("truth", "latents") if getattr(self.train, name) is not None]
        return (
            f"Recording({', '.join([self.source or 'unnamed', *self._sizes(bins, channels)])}"
            f"{', ' if extras else ''}{', '.join(extras)})"
        )

    def _sizes(self, bins, channels):
        trials = f"{len(self.train)} train + {len(self.valid)} valid trials"
        return trials, bins, channels, f"mean {self.mean_rate_hz:.1f} Hz"

    @classmethod
    def from_arrays(
        cls,
        counts,
        bin_width_s,
        *,
        label=None,
        behavior=None,
        truth=None,
        latents=None,
        heldout=0,
        valid_fraction=0.2,
        seed=0,
        channel_ids=None,
        attrs=None,
        source="arrays",
        are_counts=True,
    ):
        """Make a recording from arrays in memory, with a seeded split.

        Args:
            counts: Counts per bin, (trials, time, channels).
            bin_width_s: Width of one bin in seconds.
            label: Condition of each trial, (trials,); the split is stratified by it.
            behavior: Behaviour in the same bins, (trials, time, dimensions).
            truth: True rates in expected counts per bin, shape of `counts`.
            latents: True latents, (trials, time, dimensions).
            heldout: How many channels to hold out from the encoder (drawn with `seed`), or
                their indices. 0: none.
            valid_fraction: Fraction of the trials that go to the validation part.
            seed: Seed of the split and of the drawn held-out channels.
            channel_ids: Id of each channel of `counts`, (channels,). None: 0, 1, ...
            attrs: Whatever else is known.
            source: Where the arrays came from.
            are_counts: False for real-valued signals instead of counts.

        Returns:
            A `Recording` whose channels are ordered held-in first.

        Raises:
            ValueError: If the arrays do not pass `check_trials`, do not belong together, or
                cannot be split and held out as asked.

        Example:
            >>> import numpy as np
            >>> from indl.data import Recording
            >>> counts = np.random.default_rng(0).poisson(1.0, (20, 10, 4))
            >>> recording = Recording.from_arrays(counts, 0.02, heldout=[0])
            >>> recording.n_heldin, recording.n_heldout, len(recording.valid)
            (3, 1, 4)
            >>> recording.channel_ids.tolist()
            [1, 2, 3, 0]
        """
        check_trials(counts, counts=are_counts, names=("counts", "counts"), stacklevel=3)
        counts = np.asarray(counts)
        n_trials, _, n_channels = counts.shape
        rng = np.random.default_rng(seed)
        heldin, heldout = _choose_heldout(heldout, n_channels, rng)
        order = np.concatenate([heldin, heldout])
        train, valid = _split_trials(n_trials, label, valid_fraction, rng)
        ids = np.arange(n_channels) if channel_ids is None else np.asarray(channel_ids)
        if ids.shape != (n_channels,):
            raise ValueError(
                f"channel_ids must name every channel of counts. Got shape {ids.shape} for {n_channels} channels. "
                "Give one id a channel."
            )
        per_trial = {"label": label, "behavior": behavior, "latents": latents, "truth": truth}
        per_trial = {k: np.asarray(v) for k, v in per_trial.items() if v is not None}
        for name, value in per_trial.items():
            if value.ndim == 0 or len(value) != n_trials:
                raise ValueError(
                    f"{name} must have one entry a trial. Got shape {value.shape} for {n_trials} "
                    "trials. Select the same trials for both."
                )
        if "truth" in per_trial:
            if per_trial["truth"].shape != counts.shape:
                raise ValueError(
                    f"truth must have the shape of counts. Got {per_trial['truth'].shape} and "
                    f"{counts.shape}. Give expected counts per bin for every bin."
                )
            per_trial["truth"] = per_trial["truth"][:, :, order]

        def part(inds):
            return Split(
                encod=counts[inds][:, :, heldin],
                recon=counts[inds][:, :, order],
                inds=inds,
                **{name: value[inds] for name, value in per_trial.items()},
            )

        return cls(
            train=part(train),
            valid=part(valid),
            bin_width_s=bin_width_s,
            channel_ids=ids[order],
            attrs=attrs or {},
            source=source,
        )


def _choose_heldout(heldout, n_channels, rng):
    """Return the indices of held-in and held-out channels, each ascending or as given."""
    chosen = np.atleast_1d(np.asarray(heldout))
    if np.ndim(heldout) == 0:
        n_heldout = int(heldout)
        if not 0 <= n_heldout < n_channels:
            raise ValueError(
                f"heldout must leave at least one channel for the encoder. Got {heldout} of "
                f"{n_channels} channels. Give a number from 0 to {n_channels - 1}."
            )
        chosen = np.sort(rng.permutation(n_channels)[:n_heldout])
    chosen = chosen.astype(np.int64) if chosen.size == 0 else chosen
    wrong = (
        chosen.dtype.kind not in "iu"
        or len(np.unique(chosen)) != len(chosen)
        or len(chosen) >= n_channels
        or (chosen.size and (chosen.min() < 0 or chosen.max() >= n_channels))
    )
    if wrong:
        raise ValueError(
            f"heldout must hold different channel indices and leave at least one channel. Got "
            f"{heldout!r} for {n_channels} channels. Give indices from 0 to {n_channels - 1}."
        )
    return np.setdiff1d(np.arange(n_channels), chosen), chosen


def _split_trials(n_trials, label, valid_fraction, rng):
    """Return ascending indices of training and validation trials."""
    n_valid = int(np.ceil(n_trials * valid_fraction)) if 0 < valid_fraction < 1 else 0
    if n_valid == 0 or n_valid >= n_trials:
        raise ValueError(
            f"Both parts of a recording need at least one trial. Got {n_trials} trials and "
            f"valid_fraction {valid_fraction}. Give at least 2 trials and a fraction between "
            "0 and 1."
        )
    stratify = None
    if label is not None and len(np.atleast_1d(label)) == n_trials:
        _, sizes = np.unique(label, return_counts=True)
        if sizes.min() >= 2 and len(sizes) <= min(n_valid, n_trials - n_valid):
            stratify = np.asarray(label)
        else:
            warnings.warn(
                f"The split is not stratified by label: that needs 2 trials of each condition "
                f"and a trial of each in both parts. Got {len(sizes)} conditions, the smallest "
                f"with {sizes.min()} trials, and {n_valid} validation trials. Merge conditions "
                "or change valid_fraction if it matters.",
                UserWarning,
                stacklevel=3,
            )
    train, valid = train_test_split(
        np.arange(n_trials), test_size=n_valid, stratify=stratify, random_state=int(rng.integers(2**31))
    )
    return np.sort(train), np.sort(valid)
