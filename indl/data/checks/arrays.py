"""Checks of trial arrays and bin widths before they reach a model.

Nothing is repaired: an array that cannot be right raises `ValueError`, one that is only
suspicious warns with `UserWarning`. Every message says what is wrong, what came (how many and
where first), and what to do. :func:`~indl.data.examine` lists the same findings, and more, without raising.
"""

import math
import numbers
import sys
import warnings
from collections.abc import Iterator

import numpy as np

from indl.data.checks.findings import Finding, listed
from indl.data.checks.masks import as_array
from indl.text import shown

_MAX_BIN_WIDTH_S = 10.0
_WIDE_BIN_S = 1.0
#: No bin holds more spikes: what is larger was converted wrongly.
_MAX_COUNT = 1e6
_MAX_RATE_HZ = 1000.0
#: What a channel of a signal of about unit scale spans; at unit variance it is about 7.
_SPANS = (0.7, 70.0)
_AXES = ("trials", "time steps", "channels")
# Values looked at together: small enough for the masks to stay in the processor's cache.
_PIECE = 2**20


def check_trials(x, y=None, *, counts=True, missing=False, names=("x", "y"), stacklevel=2):
    """Check an array of trials, and optionally the target that belongs to it.

    Args:
        x: What the encoder sees, (trials, time, channels), counts per bin or a signal. An array that is read where it
            is sliced (of an HDF5 file) is gone through in pieces.
        y: What is reconstructed, (trials, at least x's time, at least x's channels), or None.
            Its values may differ from those of `x`.
        counts: True for spike counts, which must be whole and not negative. False for
            real-valued signals, which must only be finite.
        missing: Whether NaN marks samples that were not recorded, and is let pass.
        names: What to call `x` and `y` in messages.
        stacklevel: Passed to `warnings.warn`; 2 points at the caller.

    Raises:
        ValueError: If an array is not numeric, not (trials, time, channels), empty, holds NaN,
            inf, negative or fractional counts, or if `x` and `y` do not belong together.

    Warns:
        UserWarning: If channels are silent, or trials are all zero.
    """
    for finding in trial_findings(x, y, counts=counts, missing=missing, names=names):
        if finding.severity == "error":
            raise ValueError(finding.message)
        warnings.warn(finding.message, UserWarning, stacklevel=stacklevel)


def check_positive(array, name, floor=0.0, zeros=False):
    """Check the target of a Gamma, or of a zero-inflated Gamma, observation model.

    Args:
        array: Trials that passed :func:`check_trials`; NaN is let pass.
        name: What to call it in messages.
        floor: What every value must be above.
        zeros: True lets zeros pass, which mean that there was no event.

    Raises:
        ValueError: If the array holds a value that the model rules out.
    """
    wrong = _Tally()
    for start, piece in pieces(array):
        wrong.add((piece <= floor) & (piece != 0) if zeros else piece <= floor, piece, start)
    if wrong.count:
        rule = f"must be {'0 or ' if zeros else ''}above {floor:g}, which the observation model's Gamma needs"
        advice = (
            "Set what is no event to 0, or lower gamma_loc."
            if zeros
            else "Use a zero-inflated Gamma where zeros mean no event, a Gaussian for signals of both signs."
        )
        raise ValueError(wrong.finding("not-positive", array, name, rule, "too small", advice).message)


def check_binary(array, name):
    """Check the target of a Bernoulli observation model.

    Args:
        array: Trials that passed :func:`check_trials`; NaN is let pass.
        name: What to call it in messages.

    Raises:
        ValueError: If the array holds a value below 0 or above 1.
    """
    wrong = _Tally()
    for start, piece in pieces(array):
        wrong.add((piece < 0) | (piece > 1), piece, start)
    if wrong.count:
        rule = "must be from 0 to 1, as of spike or none in a bin"
        advice = "Use narrower bins, np.minimum(counts, 1), or a Poisson observation model."
        raise ValueError(wrong.finding("not-binary", array, name, rule, "outside", advice).message)


def check_bin_width(value, stacklevel=3):
    """Check a bin width and return it as a float.

    Args:
        value: Bin width in seconds.
        stacklevel: Passed to `warnings.warn`.

    Returns:
        The bin width in seconds, a float in (0, 10].

    Raises:
        ValueError: If the value is not a number, not finite, not positive, or so large that it
            must be in milliseconds.

    Warns:
        UserWarning: If it is more than 1 s.
    """
    finding = bin_width_finding(value)
    if finding:
        raise ValueError(finding.message)
    if value > _WIDE_BIN_S:
        warnings.warn(
            f"Bins of more than {_WIDE_BIN_S:g} s are rare. Given: {value:g} s. If that is milliseconds, give "
            f"{value / 1000:g}.",
            stacklevel=stacklevel,
        )
    return float(value)


def check_rates(counts, bin_width_s, stacklevel=3):
    """Question counts whose mean rate no neuron has.

    Args:
        counts: (trials, time, channels); NaN is left out. What lies on disk is not read for this.
        bin_width_s: Bin width in seconds.
        stacklevel: Passed to `warnings.warn`.

    Warns:
        UserWarning: If a channel's mean is above 1 kHz.
    """
    if not isinstance(counts, np.ndarray) or not counts.size:
        return
    recorded = np.maximum(np.isfinite(counts).sum((0, 1)), 1)
    highest = float((np.nansum(counts, (0, 1), dtype=np.float64) / recorded).max())
    if highest / bin_width_s > _MAX_RATE_HZ:
        warnings.warn(
            f"No neuron fires at more than {_MAX_RATE_HZ:g} Hz on average. Given: {highest / bin_width_s:.4g} Hz, a "
            f"mean of {highest:.4g} in bins of {1000 * bin_width_s:g} ms. Look at the units of bin width and counts.",
            stacklevel=stacklevel,
        )


def scale_finding(lowest, highest, means, name) -> Finding | None:
    """What is to be said of signals whose scale no model is made for, or None.

    Args:
        lowest, highest, means: Of each channel, (channels,).
        name: What to call them.
    """
    with np.errstate(invalid="ignore"):
        span = np.asarray(highest, np.float64) - np.asarray(lowest, np.float64)
    used = np.isfinite(span) & (span > 0)
    if not used.any():
        return None
    span, off = float(np.median(span[used])), float(np.median(np.abs(np.asarray(means)[used])))
    if _SPANS[0] <= span <= _SPANS[1] and off <= span:
        return None
    return Finding(
        "warning",
        "signal-scale",
        name,
        f"{name} is far from unit scale, for which Gaussian and squared-error outputs are made: little is learned.",
        f"Given: channels that span {span:.3g} around {off:.3g} (medians; at unit scale they span about 7 around 0).",
        "Call indl.data.standardized(recording), which keeps what undoes it.",
    )


def check_scale(recording, stacklevel=3):
    """Question signals whose scale no model is made for.

    Args:
        recording: A recording; one of counts passes.
        stacklevel: Passed to `warnings.warn`.

    Warns:
        UserWarning: If the training part is far from unit scale.
    """
    if recording.are_counts:
        return
    lowest, highest, total, number = np.inf, -np.inf, 0.0, 0
    with warnings.catch_warnings():
        # A channel without a sample in these trials.
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        for _, piece in pieces(recording.train.recon):
            lowest = np.fmin(lowest, np.nanmin(piece, (0, 1)))
            highest = np.fmax(highest, np.nanmax(piece, (0, 1)))
            total, number = total + np.nansum(piece, (0, 1), dtype=np.float64), number + np.isfinite(piece).sum((0, 1))
    finding = scale_finding(lowest, highest, total / np.maximum(number, 1), "The signal")
    if finding is not None:
        warnings.warn(finding.message, UserWarning, stacklevel=stacklevel)


def check_whole(value, name, low=0, high=math.inf):
    """Check a number of something and return it as an int.

    Args:
        value: The number; 3.0 counts as 3.
        name: What to call it in messages.
        low, high: The smallest and the largest that is allowed.

    Raises:
        ValueError: If the value is not a whole number in that range.
    """
    real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    value = value.item() if real and hasattr(value, "item") else value
    # A whole number may be larger than any float.
    if not real or not low <= value <= high or not abs(value) <= sys.float_info.max or value != int(value):
        bounds = f"from {low} to {high}" if math.isfinite(high) else f"from {low} on"
        raise ValueError(f"{name} must be a whole number {bounds}. Given: {shown(value)}. Give it as an int.")
    return int(value)


def bin_width_finding(value) -> Finding | None:
    """Why a value cannot be a bin width in seconds, or None."""
    example = "for example 0.02 for 20 ms."
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        problem, got = "The bin width must be a number of seconds.", f"Given: {shown(value)} ({type(value).__name__})."
        advice = f"Give {example}"
    elif not math.isfinite(value) or value <= 0:
        problem, got = "The bin width must be positive and finite.", f"Given: {float(value)!r} s."
        advice = f"Give the width of one bin in seconds, {example}"
    elif float(value) > _MAX_BIN_WIDTH_S:
        problem = f"The bin width is in seconds, and more than {_MAX_BIN_WIDTH_S:g} s cannot be a bin."
        got, advice = f"Given: {value:g}.", f"If that is milliseconds, give {value / 1000:g}."
    else:
        return None
    return Finding("error", "bin-width", "bin_width_s", problem, got, advice)


def trial_findings(x, y=None, *, counts=True, missing=False, names=("x", "y")) -> Iterator[Finding]:
    """What :func:`check_trials` raises and warns about, one finding after the other; same arguments."""
    usable = []
    for array, name in ((x, names[0]), (y, names[1])) if y is not None and y is not x else ((x, names[0]),):
        array, finding = as_trials(array, name)
        if finding is None:
            usable.append((array, name))
        else:
            yield finding
    if len(usable) == 2:
        yield from _pair_findings(*usable[0], *usable[1])
    for array, name in usable:
        yield from _value_findings(array, name, counts, missing)


def as_trials(array, name):
    """A numeric array (trials, time, channels) and None, or None and the finding that it is none."""
    advice = "Give one numeric array (trials, time, channels); pad or cut trials to one length."
    dtype = getattr(array, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind == "O" or np.ma.isMaskedArray(array):
        try:
            given, array = type(array).__name__, as_array(array)
        except (ValueError, TypeError) as error:
            problem = f"{name} cannot be made into an array."
            got = f"Given: {type(array).__name__} ({error})."
            return None, Finding("error", "not-numeric", name, problem, got, advice)
    else:
        given = type(array).__name__
    if array.dtype.kind not in "buif":
        got = f"Given: {given} with dtype {array.dtype}."
        return None, Finding("error", "not-numeric", name, f"{name} must be numeric.", got, advice)
    if len(array.shape) != 3:
        return None, Finding(
            "error",
            "wrong-axes",
            name,
            f"{name} must have 3 axes (trials, time, channels).",
            f"Given: {len(array.shape)} with shape {array.shape}.",
            "Add or merge axes, e.g. array[None] for a single trial.",
        )
    empty = [axis for axis, size in zip(_AXES, array.shape, strict=True) if size == 0]
    if empty:
        return None, Finding(
            "error",
            "empty",
            name,
            f"{name} is empty: it has no {' and no '.join(empty)}.",
            f"Given: shape {array.shape}.",
            "Check the selection of trials, the window and the list of channels.",
        )
    return array, None


def pieces(array) -> Iterator[tuple[int, np.ndarray]]:
    """Go through the trials of an array in order: the index of the first trial of a piece, and the piece."""
    step = max(1, _PIECE // max(1, math.prod(array.shape[1:])))
    # What lies in chunks of a file is read in whole chunks.
    chunk = (getattr(array, "chunks", None) or (1,))[0]
    step = -(-step // chunk) * chunk
    for start in range(0, array.shape[0], step):
        yield start, np.asarray(array[start : start + step])


def _pair_findings(x, x_name, y, y_name):
    names = f"{x_name} and {y_name}"
    if x.shape[0] != y.shape[0]:
        yield Finding(
            "error",
            "unequal-trials",
            names,
            f"{names} must have the same trials.",
            f"Given: {x.shape[0]} and {y.shape[0]}.",
            "Select the same trials for both.",
        )
    for axis in (1, 2):
        if y.shape[axis] < x.shape[axis]:
            what = _AXES[axis]
            yield Finding(
                "error",
                "unequal-shapes",
                names,
                f"{y_name} must have at least the {what} of {x_name}.",
                f"Given: {y.shape[axis]} in {y_name} and {x.shape[axis]} in {x_name}.",
                f"Check that they are not swapped: {x_name} is what the encoder sees, {y_name} what is reconstructed.",
            )


class _Tally:
    """How many values break a rule, and the first of them."""

    def __init__(self):
        self.count, self.first, self.value = 0, (), None

    def add(self, bad, piece, start):
        count = int(np.count_nonzero(bad))
        if count and not self.count:
            where = tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
            self.first, self.value = (where[0] + start, *where[1:]), piece[where]
        self.count += count

    def finding(self, code, array, name, rule, what, advice):
        size = math.prod(array.shape)
        got = f"Given: {self.count} {what} of {size} values, the first at (trial, time, channel) {self.first}: "
        return Finding(
            "error", code, name, f"{name} {rule}.", f"{got}{self.value}.", advice, self.count, size, self.first
        )


def _value_findings(array, name, counts, missing):
    n_trials, _, n_channels = array.shape
    infinite, unknown, negative, fractional, absurd = (_Tally() for _ in range(5))
    active = np.zeros((n_trials, n_channels), bool)
    seen = np.ones((n_trials, n_channels), bool)
    hint = ""
    for start, piece in pieces(array):
        rows = slice(start, start + len(piece))
        nan = None
        if piece.dtype.kind == "f":
            # One sum finds NaN and inf without a mask.
            with np.errstate(over="ignore", invalid="ignore"):
                suspicious = not np.isfinite(piece.sum(dtype=np.float64))
            nan = np.isnan(piece) if suspicious else None
            if suspicious:
                unknown.add(~np.isfinite(piece), piece, start)
                infinite.add(np.isinf(piece), piece, start)
                seen[rows] = ~nan.all(axis=1)
        if counts and piece.dtype.kind in "if":
            negative.add(piece < 0, piece, start)
        if counts and piece.dtype.kind in "uif":
            absurd.add(piece > _MAX_COUNT, piece, start)
        if counts and piece.dtype.kind == "f":
            broken = piece != np.rint(piece)
            fractional.add(broken if nan is None else broken & ~nan, piece, start)
            hint = hint or (_origin(piece) if fractional.count else "")
        active[rows] = (piece if nan is None else np.where(nan, 0, piece)).any(axis=1)
    if missing and infinite.count:
        advice = "Write NaN where nothing was recorded."
        yield infinite.finding("infinite", array, name, "must be finite or NaN", "infinite", advice)
    elif unknown.count and not missing:
        advice = "Drop those trials or channels, or say missing=True if NaN marks samples that were not recorded."
        yield unknown.finding("not-finite", array, name, "must be finite", "NaN or infinite", advice)
    if missing:
        yield from _unrecorded_trials(seen, name)
    if negative.count:
        advice = "Give spike counts, or say are_counts=False and use a Gaussian observation model for signals."
        yield negative.finding("negative", array, name, "must hold counts", "negative", advice)
    if absurd.count and not infinite.count:
        advice = "Look for a wrong unit, or for negative numbers in an unsigned type."
        yield absurd.finding("too-many", array, name, "must hold counts per bin", f"above {_MAX_COUNT:g}", advice)
    if fractional.count:
        advice = "Give counts per bin, neither smoothed nor in Hz, or say are_counts=False and use a Gaussian model"
        yield fractional.finding(
            "fractional", array, name, "must hold whole counts", "fractional", f"{hint}{advice} for signals."
        )
    yield from _zero_findings(active, seen, name)


def _origin(values):
    """What fractional or negative values look like, as a sentence."""
    values = values[np.isfinite(values)].astype(np.float64)
    step = np.min(values, where=values > 0, initial=np.inf)
    if values.size and values.min() >= 0 and np.isfinite(step):
        ratio = values / step
        if 1 < ratio.max() < 1000 and np.abs(ratio - np.rint(ratio)).max() < 1e-3:
            if step > 1:
                return f"All are multiples of {step:.6g}, as counts in Hz are with bins of {1000 / step:.4g} ms. "
            return f"All are multiples of {step:.6g}, as scaled counts are. "
    if values.size and values.min() < 0 and abs(values.mean()) < 0.1 and 0.5 < values.std() < 1.5:
        return "Their mean is near 0 and their standard deviation near 1, as z-scored values have. "
    return ""


def _unrecorded_trials(seen, name):
    empty = np.flatnonzero(~seen.any(axis=1))
    if empty.size:
        yield Finding(
            "error",
            "unrecorded-trials",
            name,
            f"{name} must hold something in every trial.",
            f"Given: {empty.size} of {len(seen)} trials that are NaN throughout, the first is trial {empty[0]}.",
            "Leave those trials out.",
            int(empty.size),
            len(seen),
            (int(empty[0]),),
        )


def _zero_findings(active, seen, name):
    for code, axis, what, why in (
        ("silent-channels", 0, "channels", "they carry no information; remove them unless their order matters"),
        ("silent-trials", 1, "trials", "an all-zero trial is usually a gap in the recording; remove it if so"),
    ):
        silent = np.flatnonzero(seen.any(axis=axis) & ~active.any(axis=axis))
        if silent.size:
            total = active.shape[1 - axis]
            yield Finding(
                "warning",
                code,
                name,
                f"{name} has {what} that are zero everywhere.",
                f"Given: {silent.size} of {total}: {listed(silent)}.",
                f"Check that this is meant: {why}.",
                int(silent.size),
                total,
                (int(silent[0]),),
                {what: silent},
            )
