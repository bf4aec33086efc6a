"""What all figures share: sizes, colours, labels, and the checks of what is drawn.

Sizes are set on each figure and not through matplotlib's settings: those are global, and ticks that are made when a
returned figure is shown would read them too late.
"""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from indl.data.checks.masks import as_array
from indl.files import atomic, figure_metadata, output_file
from indl.files.marks import FIGURE

TRAIN, VALID, TRUTH, MODEL, ALARM = "#4878a8", "#d1603d", "#8c8c8c", "#1f5f8b", "#c1121f"
MISSING = "#d9d9d9"
MAX_LEGEND = 12
_TEXT, _SMALL = 9, 8
_MAX_NAME = 21


def new_figure(width, height):
    """An empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def finish(figure, path):
    """Sets the size of every tick label, writes the figure to a path or an open file, if there is one; returns it."""
    for axis in figure.axes:
        axis.tick_params(which="both", labelsize=_SMALL)
        for direction in (axis.xaxis, axis.yaxis):
            direction.get_offset_text().set_fontsize(_SMALL)
    if hasattr(path, "write"):
        figure.savefig(path)
    elif path is not None:
        path = Path(path)
        path = output_file(path if path.suffix else path.with_suffix(".png"), FIGURE)
        with atomic(path) as temporary:
            figure.savefig(temporary, metadata=figure_metadata(path))
    return figure


def label(axis, title=None, x=None, y=None, **options):
    """Title (with `options` of `set_title`) and axis labels, those that are given."""
    if title is not None:
        axis.set_title(title, fontsize=_TEXT, **options)
    if x is not None:
        axis.set_xlabel(x, fontsize=_TEXT)
    if y is not None:
        axis.set_ylabel(y, fontsize=_TEXT)


def legend(parent, handles, names, title=None, **options):
    """A legend without a frame on an axis or figure, long names cut."""
    names = [short(name) for name in names]
    parent.legend(handles, names, title=title, frameon=False, fontsize=_SMALL, title_fontsize=_SMALL, **options)


def color_bar(figure, image, axis, text, **options):
    """A colour bar without a frame."""
    bar = figure.colorbar(image, ax=axis, **options)
    bar.set_label(text, fontsize=_TEXT)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.outline.set_visible(False)


def log_ticks(direction, span):
    """Ticks as plain numbers on a logarithmic axis (`axis.xaxis`, say) whose ends have the ratio `span`."""
    direction.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if span < 100 else (1.0,)))
    direction.set_major_formatter(StrMethodFormatter("{x:g}"))
    direction.set_minor_formatter(NullFormatter())


def tidy(axis):
    """Takes the upper and the right line of an axis away."""
    axis.spines[["top", "right"]].set_visible(False)


def colors(n):
    """`n` colours that can be told apart, in the order of the conditions."""
    shades = colormaps["turbo"](np.linspace(0.05, 0.95, n) if n > 1 else [0.15])
    # Yellow and light green are hard to see on white.
    shades[:, :3] *= 0.88
    return shades


def short(name):
    """A name as text, cut in the middle where it is long: its ends tell channels and conditions apart."""
    name = str(name)
    half = (_MAX_NAME - 1) // 2
    return name if len(name) <= _MAX_NAME else f"{name[:half]}…{name[-half:]}"


def marker(n_points):
    """The marker of a line of so many points: a line of one or two would not be seen."""
    return "o" if n_points < 3 else None


def evenly(n, at_most):
    """Indices of at most so many of `n` things, evenly chosen."""
    return np.unique(np.linspace(0, n - 1, min(n, at_most)).round().astype(int))


def how_many(shown, total):
    """`3 of 9`, or `9` where all are shown."""
    return f"{shown} of {total}" if shown < total else f"{total}"


def count(n, noun):
    """`1 trial`, `2 trials`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def highest(values):
    """Largest finite value; 1 where none is above zero, so that an axis from zero can end there."""
    return float(np.max(values, where=np.isfinite(values), initial=0.0)) or 1.0


def mean(values, axis):
    """Mean over an axis without NaN; NaN where nothing is left."""
    n_values = np.isfinite(values).sum(axis=axis)
    return np.where(n_values > 0, np.nansum(values, axis=axis) / np.maximum(n_values, 1), np.nan)


def most_modulated(values, n):
    """The `n` channels of (..., channels) that vary most, the most varying first; NaN is left out."""
    values = values.reshape(-1, values.shape[-1])
    variance = mean(np.square(values - mean(values, axis=0)), axis=0)
    return np.argsort(-np.where(np.isnan(variance), -1.0, variance), kind="stable")[:n]


def as_trials(**arrays):
    """The arrays as float64 with NaN for what is not finite, after a check that they are trials of one shape.

    Raises:
        ValueError: If an array is not (trials, time, channels), empty, without a finite value, or of another shape.
    """
    arrays = {name: as_array(a, dtype=np.float64) for name, a in arrays.items()}
    shapes = {name: a.shape for name, a in arrays.items()}
    first = next(iter(arrays.values()))
    if first.ndim != 3 or first.size == 0 or len(set(shapes.values())) > 1:
        raise ValueError(
            f"Arrays to draw must be (trials, time, channels) of one shape and not empty. Given: {shapes}. Use "
            "array[None] for a single trial and select the same channels for all."
        )
    for name, values in arrays.items():
        finite = np.isfinite(values)
        if not finite.any():
            raise ValueError(
                f"{name} has nothing to draw. Given: {values.size} values, none of them finite. Check the selection of "
                "trials and bins."
            )
        arrays[name] = np.where(np.isinf(values), np.nan, values)
    return arrays


def check_trial(trial, n_trials):
    """Raises `ValueError` unless there is such a trial."""
    if not 0 <= trial < n_trials:
        raise ValueError(
            f"There is no such trial. Given: trial {trial} of {n_trials}. Give a number from 0 to {n_trials - 1}."
        )


def check_channels(channels, n_channels):
    """The channels to draw as an array; raises `ValueError` unless there are such."""
    channels = np.atleast_1d(channels)
    if (
        channels.ndim != 1
        or not len(channels)
        or channels.dtype.kind not in "iu"
        or not (0 <= channels.min() <= channels.max() < n_channels)
    ):
        raise ValueError(
            f"channels must hold indices of channels. Given: {channels.tolist()} for {n_channels} channels. Give "
            f"numbers from 0 to {n_channels - 1}."
        )
    return channels


def names_of(names, default):
    """The given names as text, or the default ones.

    Raises:
        ValueError: If there are not as many names.
    """
    names = default if names is None else names
    if np.shape(names) != (len(default),):
        raise ValueError(
            f"There must be one name for each of {len(default)} dimensions or channels. Given: names of shape "
            f"{np.shape(names)}. Give a list of that length, or None for numbers."
        )
    return [short(name) for name in names]


def conditions(label, n_trials):
    """The different conditions in ascending order, and which of them each trial is.

    Raises:
        ValueError: If `label` does not hold one condition a trial.
    """
    if np.shape(label) != (n_trials,):
        raise ValueError(
            f"label must hold one condition a trial. Given: shape {np.shape(label)} for {n_trials} trials. Select "
            "the same trials for both."
        )
    label = np.asarray(label)
    return np.unique(label.astype(str) if label.dtype == object else label, return_inverse=True)
