"""Figure of latents of bins with labels: the true ones, and what models recovered of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from indl.data.checks.masks import as_array
from indl.metrics.identifiability import aligned, check_period, recovery_r2
from indl.plots import style
from indl.text import shown


def plot_recovered_latents(
    truth: np.ndarray,
    recovered: np.ndarray | Mapping[str, np.ndarray],
    label: np.ndarray,
    path: str | os.PathLike | None = None,
    *,
    dims: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    truth_name: str = "true",
    label_name: str = "label",
    period: float | None = None,
    max_points: int = 4000,
) -> Figure:
    """Draw true latents and, beside them, recovered ones after the affine map that takes them nearest to the truth.

    Points have the colour of their label. The map is fitted by least squares on the rows that are given, and R2 in the
    titles is :func:`indl.metrics.recovery_r2` of the same rows, the mean over all true latents. Of a single true latent
    the recovered one is drawn over the true one.

    Args:
        truth: True latents, (n, latents). Rows with a value that is not finite, here or in what was recovered, are
            left out.
        recovered: Recovered latents of the same rows, (n, any number), or several by name, such as
            ``{"posterior mean": ..., "encoder mean": ...}``.
        label: Label of each row, (n,) or (n, 1). Whole numbers, truth values and text are discrete and have a colour
            each; other numbers are continuous and have a colour bar.
        path: Where to write the figure. None: nowhere.
        dims: Which two latents are drawn, where there are more.
        names: Names of the latents, (latents,). None: numbers.
        truth_name: What the first panel holds, where it is no known truth but what the others are compared with.
        label_name: What the label is, with its unit, for the legend or colour bar.
        period: Where continuous labels are on a circle, its length in their unit (360, 2 pi): colours then come round.
        max_points: How many rows are drawn at most, evenly chosen over the labels.

    Returns:
        The figure: the true latents, then one panel for each set of recovered ones.

    Raises:
        ValueError: If arrays, labels, names or `dims` do not fit, or no row is left.

    Example:
        >>> import numpy as np
        >>> from indl import plots
        >>> z = np.random.default_rng(0).normal(size=(50, 2))
        >>> figure = plots.plot_recovered_latents(z, {"encoder mean": -2 * z}, z[:, 0] > 0)
        >>> figure.axes[1].get_title()
        'encoder mean, R² 1.00'
    """
    recovered = recovered if isinstance(recovered, Mapping) else {"recovered": recovered}
    truth, recovered, label = _finite_rows(truth, recovered, label)
    n_rows, n_latents = truth.shape
    names = style.names_of(names, [f"latent {i}" for i in range(n_latents)])
    panels = {truth_name: truth}
    for name, codes in recovered.items():
        panels[f"{style.short(name)}, {_r2_text(codes, truth)}"] = aligned(codes, truth) if n_rows > 1 else truth
    if n_latents == 1:
        del panels[truth_name]
        points = {title: np.hstack([truth, values]) for title, values in panels.items()}
        axis_names = [f"{truth_name} {names[0]}", f"recovered {names[0]}"]
    else:
        dims = _checked_dims(dims, n_latents)
        points = {title: values[:, dims] for title, values in panels.items()}
        axis_names = [names[dim] for dim in dims]
    colors, scale, groups = _colors(label, period)
    # Evenly over labels: labels that come in turn would be missed by every k-th row.
    chosen = np.sort(np.argsort(label, kind="stable")[style.evenly(n_rows, max_points)])

    figure = style.new_figure(2.5 * len(points) + 1.4, 2.9)
    axes = figure.subplots(1, len(points), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (title, values) in zip(axes, points.items(), strict=True):
        if n_latents == 1:
            axis.axline((truth.mean(),) * 2, slope=1, color="black", lw=0.8, ls="--")
        # A picture of the points: thousands of them as shapes would make a large file.
        axis.scatter(*values[chosen].T, c=colors[chosen], s=5, lw=0, alpha=0.7, rasterized=True)
        style.label(axis, title, x=axis_names[0])
        style.tidy(axis)
    style.label(axes[0], y=axis_names[1])
    if len(chosen) < n_rows:
        figure.suptitle(f"rows: {style.how_many(len(chosen), n_rows)}", fontsize=9)
    if scale is not None:
        style.color_bar(figure, scale, list(axes), label_name)
    elif 1 < len(groups) <= style.MAX_LEGEND:
        dots = [Line2D([], [], color=color, marker="o", ms=4, ls="") for color in style.colors(len(groups))]
        style.legend(figure, dots, groups, title=label_name, loc="outside right upper")
    return style.finish(figure, path)


def _colors(label: np.ndarray, period: float | None) -> tuple[np.ndarray, ScalarMappable | None, np.ndarray]:
    """The colour of each row, what a colour bar is made of (continuous labels), and the different labels."""
    if label.dtype.kind in "OSU" or (label.dtype.kind != "f" and period is None):
        groups, group = style.conditions(label, len(label))
        return style.colors(len(groups))[group], None, groups
    if period is None:
        scale = ScalarMappable(Normalize(label.min(), label.max()), colormaps["viridis"])
        return scale.to_rgba(label), scale, label[:0]
    scale = ScalarMappable(Normalize(0, check_period(period)), _cyclic())
    return scale.to_rgba(np.mod(label, period)), scale, label[:0]


def _cyclic() -> Colormap:
    """A colour map without ends; darker than matplotlib's, whose yellow is hard to see on white."""
    shades = colormaps["hsv"](np.linspace(0, 1, 256))
    shades[:, :3] *= 0.85
    return ListedColormap(shades)


def _finite_rows(truth, recovered, label):
    """Everything in the rows in which all numbers are finite, float64 but for discrete labels."""
    truth = as_array(truth, np.float64)
    recovered = {name: as_array(values, np.float64) for name, values in recovered.items()}
    arrays = [truth, *recovered.values()]
    if not recovered or any(a.ndim != 2 or len(a) != len(truth) or not a.shape[1] for a in arrays):
        raise ValueError(
            "True and recovered latents must be (rows, dimensions) with the same rows. Given: "
            f"{truth.shape} and {[a.shape for a in arrays[1:]]}. Join trials and bins in one axis with "
            "reshape(-1, dimensions)."
        )
    label = np.asarray(label)
    label = label.astype(str) if label.dtype == object else label
    label = label[:, 0] if label.ndim == 2 and label.shape[1] == 1 else label
    if label.shape != truth.shape[:1]:
        raise ValueError(
            f"There must be one label a row. Given: shape {label.shape} for {len(truth)} rows. Choose one dimension of "
            "the label, label[:, i], to colour by."
        )
    kept = np.all([np.isfinite(a).all(axis=1) for a in arrays], axis=0)
    if label.dtype.kind == "f":
        kept &= np.isfinite(label)
    if not kept.any():
        raise ValueError(
            f"There is nothing to draw. Given: {len(truth)} rows, in none of which everything is finite. Check the "
            "selection of rows, and whether the model diverged."
        )
    return truth[kept], {name: values[kept] for name, values in recovered.items()}, label[kept]


def _checked_dims(dims, n_latents):
    dims = list(dims)
    if len(dims) != 2 or not all(isinstance(dim, int | np.integer) and 0 <= dim < n_latents for dim in dims):
        raise ValueError(
            f"A panel shows two latents. Given: dims={shown(dims)} of {n_latents} latents. Give two numbers from 0 to "
            f"{n_latents - 1}."
        )
    return dims


def _r2_text(codes, truth):
    r2 = recovery_r2(codes, truth).r2 if len(truth) > 1 else np.nan
    return f"R² {r2:.2f}" if np.isfinite(r2) else "R² undefined"
