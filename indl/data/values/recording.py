"""The value that holds one recording: a training part, a validation part, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from indl.data.checks.arrays import as_trials, check_bin_width, pieces
from indl.data.checks.masks import as_array
from indl.data.values.forms import one_label_each, with_dimensions
from indl.data.values.lazy import LazyArray
from indl.text import shown

#: What a part of a recording may have besides its counts.
OPTIONAL = ("inds", "start_s", "label", "behavior", "ext_input", "truth", "latents", "session")


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part (training or validation) of a recording. All arrays are read-only.

    Arrays with a time axis may be :class:`~indl.data.LazyArray`, which stay on disk. Where `encod` and `recon` are
    given as one array they stay one.

    Args:
        encod: What the encoder sees, (trials, time, held-in channels), kept as float32.
        recon: What is reconstructed, (trials, time_recon >= time, channels), held-in channels
            first, then held-out ones; kept as float32.
        inds: Index of each trial in the session, (trials,) integers.
        start_s: Start of each trial in the session, in seconds, (trials,).
        label: Condition of each trial, (trials,); also as a column (trials, 1) or one-hot rows (trials, conditions).
        behavior: Behaviour in the same bins, (trials, time or time_recon, dimensions), float32. Of one dimension it,
            `ext_input` and `latents` may lack the last axis.
        ext_input: Observed external input in the same bins, (trials, time or time_recon, dimensions), float32. Fewer
            bins: there is none for the first ones, the segment of the initial condition.
        truth: True rates in expected counts per bin, shape of `recon`, float32. Synthetic data.
        latents: True latents, (trials, time or time_recon, dimensions), float32. Synthetic data.
        session: Number of the session of each trial, (trials,) integers from 0 on; see
            :func:`~indl.data.prepare.joining.join_sessions`.

    Raises:
        ValueError: If the arrays do not have the same trials, or a shape does not fit `recon`.
    """

    encod: np.ndarray
    recon: np.ndarray
    inds: np.ndarray | None = None
    start_s: np.ndarray | None = None
    label: np.ndarray | None = None
    behavior: np.ndarray | None = None
    ext_input: np.ndarray | None = None
    truth: np.ndarray | None = None
    latents: np.ndarray | None = None
    session: np.ndarray | None = None

    def __post_init__(self):
        whole = self.encod is self.recon
        for name in ("encod", "recon", "behavior", "ext_input", "truth", "latents"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float32, name))
        if whole:
            object.__setattr__(self, "encod", self.recon)
        for name in ("inds", "start_s", "label", "session"):
            object.__setattr__(self, name, frozen(getattr(self, name), name=name))
        for name in ("encod", "recon"):
            _, finding = as_trials(getattr(self, name), name)
            if finding:
                raise ValueError(finding.message)
        n_trials, n_times, n_heldin = self.encod.shape
        n_recon = self.recon.shape[1]
        for name in ("behavior", "ext_input", "latents"):
            object.__setattr__(self, name, with_dimensions(getattr(self, name), n_trials, (n_times, n_recon)))
        object.__setattr__(self, "label", frozen(one_label_each(self.label)))
        fits = self.recon.shape[0] == n_trials and n_recon >= n_times and self.recon.shape[2] >= n_heldin
        self._require("recon", fits, f"({n_trials}, at least {n_times}, at least {n_heldin})")
        for name in ("inds", "start_s", "label", "session"):
            value = getattr(self, name)
            if value is not None:
                self._require(name, value.shape == (n_trials,), f"({n_trials},)")
        if self.session is not None and (self.session.dtype.kind not in "iu" or self.session.min() < 0):
            raise ValueError(
                f"Sessions are numbered from 0 on. Given: dtype {self.session.dtype} and {shown(self.session[:8])}. "
                "Make them with join_sessions."
            )
        if self.truth is not None:
            self._require("truth", self.truth.shape == self.recon.shape, f"{self.recon.shape}")
        for name in ("behavior", "ext_input", "latents"):
            value = getattr(self, name)
            if value is not None:
                fits = value.ndim == 3 and value.shape[0] == n_trials
                after_segment = name == "ext_input" and fits and 0 < value.shape[1] < n_times
                fits = fits and (value.shape[1] in (n_times, n_recon) or after_segment)
                self._require(name, fits, f"({n_trials}, {n_times} or {n_recon}, dimensions)")

    def __len__(self):
        """Number of trials."""
        return self.encod.shape[0]

    def __repr__(self):
        parts = [
            f"{name} {getattr(self, name).shape}"
            for name in ("encod", "recon", *OPTIONAL)
            if getattr(self, name) is not None
        ]
        return f"Split({', '.join(parts)})"

    def _require(self, name, holds, expected):
        if not holds:
            raise ValueError(
                f"{name} does not fit the trials of this part. Given: shape "
                f"{getattr(self, name).shape}, with encod {self.encod.shape} and recon "
                f"{self.recon.shape}. Give shape {expected}."
            )


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """A recording cut into trials and split into a training and a validation part.

    :meth:`Trials.split <indl.data.Trials.split>` makes one of arrays.

    Args:
        train: Trials to fit on.
        valid: Trials to score on.
        bin_width_s: Width of one bin in seconds.
        channel_ids: Original ids of the channels in the order of `recon`, (channels,).
        attrs: Whatever else is known (species, area, task, licence, ...).
        source: Where it came from: a path, or the call that made it.
        are_counts: False for a real-valued signal.

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
    are_counts: bool = True

    def __post_init__(self):
        object.__setattr__(self, "bin_width_s", check_bin_width(self.bin_width_s))
        object.__setattr__(self, "channel_ids", frozen(self.channel_ids, name="channel_ids"))
        object.__setattr__(self, "attrs", own_attrs(self.attrs))
        for name in ("train", "valid"):
            if not isinstance(getattr(self, name), Split):
                raise TypeError(
                    f"The parts of a recording are Split values. Given: {type(getattr(self, name)).__name__} as "
                    f"{name}. Make a recording of arrays with Trials.split."
                )
        for name in ("encod", "recon"):
            train, valid = getattr(self.train, name).shape, getattr(self.valid, name).shape
            if train[1:] != valid[1:]:
                raise ValueError(
                    f"The training and validation parts of {name} must have the same bins and "
                    f"channels. Given: {train[1:]} and {valid[1:]}. Cut both parts alike."
                )
        if self.channel_ids.shape != (self.n_channels,):
            raise ValueError(
                "channel_ids must name every channel of recon. Given: shape "
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

    @cached_property
    def mean_rate_hz(self):
        """Mean over all recorded samples of the training counts, in Hz."""
        total = n = 0
        for _, piece in pieces(self.train.recon):
            total, n = total + np.nansum(piece, dtype=np.float64), n + np.count_nonzero(~np.isnan(piece))
        return float(total / n) / self.bin_width_s

    @cached_property
    def has_missing(self):
        """Whether samples are missing (NaN), or trials end before the others."""
        parts = (self.train.recon, self.valid.recon)
        return any(np.isnan(piece).any() for recon in parts for _, piece in pieces(recon))

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
        if self.train.ext_input is not None:
            extras.append(f"ext_input ({self.train.ext_input.shape[2]} dims)")
        if self.has_missing:
            extras.append("missing samples")
        extras += [name for name in ("truth", "latents") if getattr(self.train, name) is not None]
        return (
            f"Recording({', '.join([self.source or 'unnamed', *self._sizes(bins, channels)])}"
            f"{', ' if extras else ''}{', '.join(extras)})"
        )

    def _sizes(self, bins, channels):
        trials = f"{len(self.train)} train + {len(self.valid)} valid trials"
        return trials, bins, channels, f"mean {self.mean_rate_hz:.1f} Hz" if self.are_counts else "a signal"


def frozen(value, dtype=None, name="An array"):
    """A read-only array of `value`, so that neither its owner nor a user can change what holds it.

    None stays None, and what lies on disk stays there.

    Args:
        value: Anything that numpy makes an array of.
        dtype: Numeric type to convert to. None: numbers, texts or times as they are.
        name: What to call it in messages.

    Raises:
        ValueError: If it is no array of numbers (or texts).
    """
    if value is None or isinstance(value, LazyArray):
        return value
    if dtype is None and np.ma.is_masked(value):
        raise ValueError(
            f"{name} needs every entry. Given: {int(np.ma.getmaskarray(value).sum())} that are masked. Remove what "
            "they belong to, or fill them."
        )
    try:
        array = as_array(value)
    except ValueError as error:
        raise ValueError(
            f"{name} cannot be made into an array. Given: {type(value).__name__} ({error}). Give one array; rows of "
            "different length need padding."
        ) from error
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        array = array.astype(np.str_)
    if array.dtype.kind not in ("buifSUM" if dtype is None else "buif"):
        raise ValueError(
            f"{name} must hold numbers{' or texts' if dtype is None else ''}. Given: {type(value).__name__} with dtype "
            f"{array.dtype}. Convert it, or leave it out."
        )
    array = array if dtype is None else array.astype(dtype, copy=False)
    if array.flags.writeable:
        # A converted array is new already; one that came as it is still belongs to its owner.
        array = array.copy() if isinstance(value, np.ndarray) and np.may_share_memory(array, value) else array
        array.flags.writeable = False
    return array


def own_attrs(attrs):
    """A copy of the attributes that a user gave.

    Raises:
        TypeError: If they are no mapping.
    """
    if not isinstance(attrs, Mapping):
        raise TypeError(
            f"attrs must be a mapping from names to values. Given: {shown(attrs)}. Give e.g. {{'species': 'mouse'}}."
        )
    return dict(attrs)
