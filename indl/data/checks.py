"""Checks of trial arrays and bin widths before they reach a model.

Nothing is repaired: an array that cannot be right raises `ValueError`, one that is only
suspicious warns with `UserWarning`. Every message says what is wrong, what came (how many and
where first), and what to do.
"""

import math
import numbers
import warnings

import numpy as np

_MAX_LISTED = 10
_MAX_BIN_WIDTH_S = 10.0


def check_trials(x, y=None, *, counts=True, missing=False, names=("x", "y"), stacklevel=2):
    """Check an array of trials, and optionally the target that belongs to it.

    Args:
        x: What the encoder sees, (trials, time, channels), counts per bin or a signal.
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
    x = _numeric_array(x, names[0])
    _check_shape(x, names[0])
    if y is not None:
        y = _numeric_array(y, names[1])
        _check_shape(y, names[1])
        _check_pair(x, y, names)
    _check_values(x, names[0], counts, missing)
    _warn_zeros(x, names[0], stacklevel)
    if y is not None and y is not x:
        _check_values(y, names[1], counts, missing)
        _warn_zeros(y, names[1], stacklevel)


def check_bin_width(value):
    """Check a bin width and return it as a float.

    Args:
        value: Bin width in seconds.

    Returns:
        The bin width in seconds, a float in (0, 10].

    Raises:
        ValueError: If the value is not a number, not finite, not positive, or so large that it
            must be in milliseconds.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise ValueError(
            f"The bin width must be a number of seconds. Got {value!r} "
            f"({type(value).__name__}). Give for example 0.02 for 20 ms."
        )
    value = float(value)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(
            f"The bin width must be positive and finite. Got {value!r} s. "
            "Give the width of one bin in seconds, for example 0.02 for 20 ms."
        )
    if value > _MAX_BIN_WIDTH_S:
        raise ValueError(
            f"The bin width is in seconds, and more than {_MAX_BIN_WIDTH_S:g} s cannot be a bin. "
            f"Got {value:g}. If that is milliseconds, give {value / 1000:g}."
        )
    return value


def _numeric_array(array, name):
    """Return `array` as a numeric numpy array, without copying one that already is."""
    advice = "Give one numeric array (trials, time, channels); pad or cut trials to one length."
    try:
        result = np.asarray(array)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} cannot be made into an array. Got {type(array).__name__} ({error}). {advice}"
        ) from error
    if result.dtype.kind not in "buif":
        raise ValueError(f"{name} must be numeric. Got {type(array).__name__} with dtype {result.dtype}. {advice}")
    return result


def _check_shape(array, name):
    if array.ndim != 3:
        raise ValueError(
            f"{name} must have 3 axes (trials, time, channels). Got {array.ndim} with shape "
            f"{array.shape}. Add or merge axes, e.g. array[None] for a single trial."
        )
    axes = zip(("trials", "time steps", "channels"), array.shape, strict=True)
    empty = [axis for axis, size in axes if size == 0]
    if empty:
        raise ValueError(
            f"{name} is empty: it has no {' and no '.join(empty)}. Got shape {array.shape}. "
            "Check the selection of trials, the window and the list of channels."
        )


def _check_pair(x, y, names):
    for axis, what in enumerate(("trials", "time steps", "channels")):
        if axis == 0 and x.shape[0] != y.shape[0]:
            raise ValueError(
                f"{names[0]} and {names[1]} must have the same trials. "
                f"Got {x.shape[0]} and {y.shape[0]}. Select the same trials for both."
            )
        if y.shape[axis] < x.shape[axis]:
            raise ValueError(
                f"{names[1]} must have at least the {what} of {names[0]}. Got {y.shape[axis]} in "
                f"{names[1]} and {x.shape[axis]} in {names[0]}. Check that they are not swapped: "
                f"{names[0]} is what the encoder sees, {names[1]} what is reconstructed."
            )


def _check_values(array, name, counts, missing):
    if array.dtype.kind == "f":
        # One sum finds NaN and inf without a mask; the mask is made only to word the error.
        with np.errstate(over="ignore", invalid="ignore"):
            suspicious = not np.isfinite(array.sum(dtype=np.float64))
        if suspicious and missing:
            _raise_if_any(
                np.isinf(array),
                array,
                name,
                "must be finite or NaN",
                "infinite",
                "Write NaN where nothing was recorded.",
            )
            _check_recorded(array, name)
        elif suspicious:
            _raise_if_any(
                ~np.isfinite(array),
                array,
                name,
                "must be finite",
                "NaN or infinite",
                "Drop those trials or channels, or say missing=True if NaN marks samples that were not recorded.",
            )
    if not counts:
        return
    if array.dtype.kind in "if":
        _raise_if_any(
            array < 0,
            array,
            name,
            "must hold counts",
            "negative",
            "Give spike counts, or use counts=False and a Gaussian observation model for signals.",
        )
    if array.dtype.kind == "f":
        _raise_if_any(
            (array != np.rint(array)) & ~np.isnan(array),
            array,
            name,
            "must hold whole counts",
            "fractional",
            "Give counts per bin, neither smoothed nor in Hz, or use counts=False and a Gaussian "
            "observation model for signals.",
        )


def _check_recorded(array, name):
    empty = np.flatnonzero(np.isnan(array).all(axis=(1, 2)))
    if empty.size:
        raise ValueError(
            f"{name} must hold something in every trial. Got {empty.size} of {len(array)} trials that are NaN "
            f"throughout, the first is trial {empty[0]}. Leave those trials out."
        )


def _raise_if_any(bad, array, name, rule, what, advice):
    n_bad = int(np.count_nonzero(bad))
    if n_bad:
        first = tuple(int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
        raise ValueError(
            f"{name} {rule}. Got {n_bad} {what} of {array.size} values, the first at "
            f"(trial, time, channel) {first}: {array[first]}. {advice}"
        )


def _warn_zeros(array, name, stacklevel):
    active = ((array != 0) & ~np.isnan(array)).any(axis=1)
    for along, what, why in (
        (0, "channels", "they carry no information; remove them unless their order matters"),
        (1, "trials", "an all-zero trial is usually a gap in the recording; remove it if so"),
    ):
        silent = np.flatnonzero(~active.any(axis=along))
        if silent.size:
            listed = ", ".join(str(i) for i in silent[:_MAX_LISTED])
            more = ", ..." if silent.size > _MAX_LISTED else ""
            total = active.shape[1 - along]
            warnings.warn(
                f"{name} has {what} that are zero everywhere. Got {silent.size} of {total}: "
                f"{listed}{more}. Check that this is meant: {why}.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
