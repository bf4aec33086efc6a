"""A signal with its own times, such as behaviour, and its values in the middle of bins."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indl.data.checks.masks import as_array
from indl.text import shown

# Without a stated longest gap: this many times the median interval.
_GAP_INTERVALS = 5.0


@dataclass(frozen=True, eq=False)
class Series:
    """A sampled signal, (samples,) or (samples, dimensions), with the time of each sample.

    Args:
        times_s: Time of each sample in seconds, ascending, (samples,).
        values: The signal; NaN where there is none.
        name: Name of the signal, or one a dimension.
        angle: Whether the values are angles in radians. Angles are not interpolated as numbers, which would be wrong
            where they wrap: their cosine and sine are, and two dimensions come of each.
        max_gap_s: Between samples further apart than this there are no values. None: five times the median interval.

    Raises:
        ValueError: If times and values do not belong together, are not numbers, or the times do not ascend.

    Example:
        >>> from indl.data import Series
        >>> Series([0.0, 0.1, 0.2, 1.0], [0.0, 1.0, 4.0, 5.0]).at([0.05, 0.2, 0.6]).ravel().tolist()
        [0.5, 4.0, nan]
    """

    times_s: np.ndarray
    values: np.ndarray
    name: str | Sequence[str] = "value"
    angle: bool = False
    max_gap_s: float | None = None

    def __post_init__(self) -> None:
        times, values = as_array(self.times_s), as_array(self.values)
        if times.dtype.kind not in "uif" or values.dtype.kind not in "buif":
            raise ValueError(
                f"The series {self.name!r} must be numeric. Given: times of {times.dtype} and values of "
                f"{values.dtype}. Convert them to numbers."
            )
        times, values = times.astype(np.float64), values.astype(np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if times.ndim != 1 or values.ndim != 2 or len(times) != len(values) or not values.size:
            raise ValueError(
                f"The series {self.name!r} must have one time a sample and one or two axes. Given: times {times.shape} "
                f"and values {np.shape(self.values)}. Give (samples,) and (samples,) or (samples, dimensions)."
            )
        bad = np.flatnonzero(~np.isfinite(times))
        bad = bad if bad.size else np.flatnonzero(np.diff(times) < 0) + 1
        if bad.size:
            raise ValueError(
                f"The times of the series {self.name!r} must be finite and ascend. Given: {bad.size} of {len(times)} "
                f"that do not, the first at index {bad[0]}: {times[bad[0]]:g}. Sort the samples or remove those."
            )
        if np.isinf(values).any():
            raise ValueError(
                f"The series {self.name!r} must be finite or NaN. Given: {np.count_nonzero(np.isinf(values))} infinite "
                "values. Write NaN where there is no value."
            )
        if not isinstance(self.name, str) and len(self.name) != values.shape[1]:
            raise ValueError(
                f"A series needs one name, or one a dimension. Given: {len(self.name)} names for {values.shape[1]} "
                "dimensions. Name them all."
            )
        if self.max_gap_s is not None and not (isinstance(self.max_gap_s, numbers.Real) and self.max_gap_s >= 0):
            raise ValueError(
                f"max_gap_s must be a number of seconds, not negative. Given: {shown(self.max_gap_s)}. Leave it out "
                "for five times the median interval."
            )
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "values", values)

    @property
    def columns(self) -> list[str]:
        """A name for each dimension that :meth:`at` returns."""
        n = self.values.shape[1]
        names = [self.name] if n == 1 and isinstance(self.name, str) else self.name
        names = [f"{names}_{i}" for i in range(n)] if isinstance(names, str) else [str(name) for name in names]
        return [f"{function}_{name}" for function in ("cos", "sin") for name in names] if self.angle else names

    def at(self, when_s: Any) -> np.ndarray:
        """Values at some times by linear interpolation, shape of `when_s` with an axis (dimensions) added.

        NaN before the first sample, after the last, in gaps longer than `max_gap_s`, and next to NaN. Angles give
        their cosines, then their sines, each pair on the unit circle.
        """
        when = np.asarray(when_s, dtype=np.float64)
        values = np.concatenate([np.cos(self.values), np.sin(self.values)], axis=1) if self.angle else self.values
        found = np.stack([np.interp(when, self.times_s, column, np.nan, np.nan) for column in values.T], axis=-1)
        after = np.searchsorted(self.times_s, when).clip(0, len(self.times_s) - 1)
        before = (np.searchsorted(self.times_s, when, side="right") - 1).clip(0)
        # A gap that is the longest allowed but for rounding is allowed.
        found[self.times_s[after] - self.times_s[before] > self._longest_gap() * (1 + 1e-6)] = np.nan
        if not self.angle:
            return found
        length = np.hypot(*np.split(found, 2, axis=-1))
        return found / np.tile(np.where(length > 1e-9, length, np.nan), 2)

    def _longest_gap(self) -> float:
        if self.max_gap_s is not None:
            return self.max_gap_s
        intervals = np.diff(self.times_s)
        return _GAP_INTERVALS * float(np.median(intervals[intervals > 0])) if intervals.any() else 0.0


def as_series(value: Any, name: str, max_gap_s: float | None = None) -> list[Series]:
    """The series in whatever may be given as behaviour or external input.

    Args:
        value: A :class:`Series`, a pair (times, values), an object with `t` and `values` (pynapple's Tsd and TsdFrame),
            a mapping from names to such, or a list of series.
        name: What to call what has no name.
        max_gap_s: Longest gap of what does not state its own.

    Raises:
        ValueError: If it is none of these; see also :class:`Series`.
    """
    if isinstance(value, Series):
        return [value]
    if isinstance(value, Mapping):
        return [series for key, item in value.items() for series in as_series(item, str(key), max_gap_s)]
    if isinstance(value, list) and value and all(isinstance(item, Series) for item in value):
        return value
    if hasattr(value, "t") and hasattr(value, "values"):
        columns = getattr(value, "columns", None)
        return [Series(value.t, value.values, name if columns is None else list(columns), max_gap_s=max_gap_s)]
    if isinstance(value, tuple) and len(value) == 2:
        return [Series(*value, name=name, max_gap_s=max_gap_s)]
    raise ValueError(
        f"{name} must be times with values. Given: {type(value).__name__}. Give a pair (times_s, values), a Series, a "
        "mapping from names to either, or a pynapple Tsd or TsdFrame."
    )


def sampled(
    value: Any, name: str, when_s: np.ndarray, padding: np.ndarray, max_gap_s: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Values (trials, time, dimensions) of what :func:`as_series` takes, NaN in the padding, and dimensions' names."""
    series = as_series(value, name, max_gap_s)
    values = np.concatenate([one.at(when_s) for one in series], axis=2)
    values[padding] = np.nan
    return values, np.array([column for one in series for column in one.columns])
