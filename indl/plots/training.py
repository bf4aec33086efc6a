"""Figures of a training run: loss terms, and the KL of each latent dimension."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from indl.plots import style

_TITLES = {
    "loss": "loss",
    "nll": "reconstruction",
    "kl_f": "KL of f (static latent)",
    "kl_z": "KL of z (dynamic latent)",
    "beta_f": "weight of the KL of f",
    "beta_z": "weight of the KL of z",
}
_LATENTS = {"f": "f (static latent)", "z": "z (dynamic latent)"}
_MAX_NAMED = 32


def training_curves(history, path=None, *, per="trial"):
    """Draw every loss term over epochs, training and validation in one panel.

    Args:
        history: What `fit` returns, or its `history`: a dict of lists, one value an epoch. Drawn are `loss`, `nll`,
            `kl_f`, `kl_z`, `beta_f` and `beta_z`, as far as they are there, and their `val_` partners.
        path: Where to write the figure. None: nowhere.
        per: What the terms are means over: "trial", or "bin" for models of rows, whose one latent is z.

    Returns:
        The figure.

    Raises:
        ValueError: If the history holds none of these terms.
    """
    history = getattr(history, "history", history)
    known = [name for name in _TITLES if name in history or f"val_{name}" in history]
    if not known:
        raise ValueError(
            f"The history has no loss term to draw. Given: {sorted(history) or 'an empty history'}. Give what fit "
            f"returns; it should hold some of {', '.join(_TITLES)}."
        )
    n_columns = min(len(known), 3)
    n_rows = -(-len(known) // n_columns)
    figure = style.new_figure(3.0 * n_columns, 2.2 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for axis, name in zip(axes, known, strict=False):
        drawn = []
        for key, text, color in ((name, "training", style.TRAIN), (f"val_{name}", "validation", style.VALID)):
            values = np.asarray(history.get(key, []), dtype=np.float64).ravel()
            if values.size:
                axis.plot(_epochs(values), values, color=color, label=text, lw=1.5, marker=style.marker(values.size))
                drawn.append(values[np.isfinite(values)])
        finite = np.concatenate([*drawn, []])
        if name.startswith("beta"):
            axis.set_ylim(0, 1.1 * style.highest(finite))
        elif finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
            axis.set_yscale("log")
            style.log_ticks(axis.yaxis, finite.max() / finite.min())
        title = _TITLES[name] if per == "trial" else _TITLES[name].removesuffix(" (dynamic latent)")
        style.label(axis, title, y="weight" if name.startswith("beta") else f"nats per {per}")
        style.tidy(axis)
    for axis in axes[len(known) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(known) - n_columns) : len(known)]:
        _label_epochs(axis)
        axis.tick_params(labelbottom=True)
    style.legend(axes[0], *axes[0].get_legend_handles_labels())
    return style.finish(figure, path)


def kl_per_dimension(kl, names=None, path=None, *, epochs=None, threshold=0.1):
    """Draw the KL of each latent dimension over epochs, and its share of the total at the end.

    Dimensions are sorted by their last KL, the largest on top. A dimension whose last KL is below the threshold tells
    (next to) nothing about the data: its posterior has collapsed to the prior. Its bar is grey.

    Args:
        kl: KL in nats per trial, (epochs, dimensions); for z summed over the bins of a trial. Or a dict of such arrays
            by latent, `{"f": ..., "z": ...}`.
        names: Names of the dimensions, (dimensions,), or a dict of them by latent. None: numbers.
        path: Where to write the figure. None: nowhere.
        epochs: Number of the epoch of each row, counted from 0. None: 0, 1, ...
        threshold: Nats per trial from which on a dimension counts as in use.

    Returns:
        The figure.

    Raises:
        ValueError: If an array is not (epochs, dimensions) or empty, or names or epochs do not fit.
    """
    kl = {name: np.array(v, np.float64) for name, v in (kl if isinstance(kl, Mapping) else {"": kl}).items()}
    names = names if isinstance(names, Mapping) else dict.fromkeys(kl, names)
    shapes = [values.shape for values in kl.values()]
    if not kl or any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise ValueError(
            f"The KL must be (epochs, dimensions) and not empty. Given: shapes {shapes}. "
            "Stack one row of KL per dimension for each epoch."
        )
    if epochs is not None and any(shape[0] != len(epochs) for shape in shapes):
        raise ValueError(
            f"Every row of the KL belongs to an epoch. Given: shapes {shapes} for {len(epochs)} epochs. Record f and z "
            "in the same epochs."
        )
    for values in kl.values():
        values[~np.isfinite(values)] = np.nan
    # Images of few dimensions are kept low, those of many high enough for thin rows.
    heights = [min(max(1.7, 0.8 + 0.17 * values.shape[1]), 5.0) for values in kl.values()]
    figure = style.new_figure(8.2, sum(heights))
    rows = np.atleast_1d(figure.subfigures(len(kl), 1, height_ratios=heights))
    for part, (name, values) in zip(rows, kl.items(), strict=True):
        called = style.names_of(names.get(name), range(values.shape[1]))
        counted = range(len(values)) if epochs is None else epochs
        _draw_kl(part, _LATENTS.get(name, name), values, called, counted, threshold)
    return style.finish(figure, path)


def _draw_kl(figure, latent, kl, names, epochs, threshold):
    """Image of the KL over epochs beside the bars of its last value."""
    n_epochs, n_dims = kl.shape
    last = kl[-1]
    order = np.argsort(-last, kind="stable")
    last = last[order]
    image, bars = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    top = style.highest(kl)
    low = min(0.01, top / 10)
    colormap = colormaps["viridis"].with_extremes(bad=style.MISSING)
    shown = image.imshow(
        np.ma.masked_invalid(np.maximum(kl.T[order], low)),
        cmap=colormap,
        norm=LogNorm(low, top),
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, n_epochs + 0.5, n_dims - 0.5, -0.5),
    )
    style.color_bar(figure, shown, image, "KL (nats per trial)", location="left", pad=0.02)
    ticks = style.evenly(n_epochs, 8)
    image.set_xticks(ticks + 1, [f"{epochs[i] + 1}" for i in ticks])
    style.label(image, x="epoch")
    n_used = int((last >= threshold).sum())
    title = f"{n_used} of {style.count(n_dims, 'dimension')} ≥ {threshold:g} nats"
    style.label(image, f"{latent}: {title}" if latent else title)
    total = np.nansum(np.maximum(last, 0))
    share = 100 * np.maximum(last, 0) / total if total > 0 else np.zeros(n_dims)
    bars.barh(
        np.arange(n_dims),
        share,
        height=0.8 if n_dims <= 60 else 1.0,
        color=[style.MODEL if value >= threshold else "#bdbdbd" for value in last],
    )
    bars.set_xlim(0, min(100.0, 1.15 * style.highest(share)))
    if n_dims <= _MAX_NAMED:
        image.set_yticks(np.arange(n_dims), [names[i] for i in order])
    else:
        image.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.label(image, y="dimension" if n_dims <= _MAX_NAMED else "rank of the dimension")
    style.label(bars, f"last epoch, {total:.3g} nats", x="share of the KL (%)")
    style.tidy(bars)


def _epochs(values):
    return np.arange(1, len(values) + 1)


def _label_epochs(axis):
    style.label(axis, x="epoch")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
