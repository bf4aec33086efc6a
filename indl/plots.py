"""Figures of recordings and models: training curves, rasters with rates, rates against truth, factors.

Every function takes numpy arrays and returns a `matplotlib.figure.Figure`; with `path` it also writes the file. No
global state of pyplot is touched, so that figures can be drawn in a loop, a thread or a test. To see a returned figure
in a notebook, run `%matplotlib inline` once.
"""

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

_TRAIN, _VALID, _TRUTH, _MODEL = "#4878a8", "#d1603d", "#8c8c8c", "#1f5f8b"
_TITLES = {
    "loss": "loss",
    "nll": "reconstruction",
    "kl_f": "KL of f (static latent)",
    "kl_z": "KL of z (dynamic latent)",
    "beta_f": "weight of the KL of f",
    "beta_z": "weight of the KL of z",
}
_MAX_LEGEND = 12
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.8,
}


@matplotlib.rc_context(_STYLE)
def training_curves(history, path=None):
    """Draw every loss term over epochs, training and validation in one panel.

    Args:
        history: What `fit` returns, or its `history`: a dict of lists, one value an epoch. Drawn are `loss`, `nll`,
            `kl_f`, `kl_z`, `beta_f` and `beta_z`, as far as they are there, and their `val_` partners.
        path: Where to write the figure. None: nowhere.

    Returns:
        The figure.

    Raises:
        ValueError: If the history holds none of these terms.
    """
    history = {name: np.asarray(v, float).ravel() for name, v in getattr(history, "history", history).items()}
    names = [name for name in _TITLES if name in history or f"val_{name}" in history]
    if not names:
        raise ValueError(
            f"The history has no loss term to draw. Got {sorted(history) or 'an empty history'}. Give what fit "
            f"returns; it should hold some of {', '.join(_TITLES)}."
        )
    n_columns = min(len(names), 3)
    n_rows = -(-len(names) // n_columns)
    figure = _figure(3.0 * n_columns, 2.2 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for axis, name in zip(axes, names, strict=False):
        drawn = []
        for key, label, color in ((name, "training", _TRAIN), (f"val_{name}", "validation", _VALID)):
            values = history.get(key, np.empty(0))
            if values.size:
                epochs = np.arange(1, values.size + 1)
                axis.plot(epochs, values, color=color, label=label, lw=1.5, marker="o" if values.size < 3 else None)
                drawn.append(values)
        finite = np.concatenate([values[np.isfinite(values)] for values in drawn] or [np.empty(0)])
        if not name.startswith("beta") and finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
            axis.set_yscale("log")
        axis.set_title(_TITLES[name])
        axis.set_ylabel("weight" if name.startswith("beta") else "nats per trial")
        _tidy(axis)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(names) - n_columns) : len(names)]:
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axis.tick_params(labelbottom=True)
    axes[0].legend(frameon=False)
    return _finish(figure, path)


@matplotlib.rc_context(_STYLE)
def raster_with_rates(counts, rates, trial=0, *, bin_width_s, truth=None, path=None):
    """Draw the spikes of one trial beside its inferred rates, and the true rates where they are known.

    Channels are in the order of the data. All images share the channel axis; rates and true rates share one scale,
    which is cut at the 99.5th percentile so that single bursts do not darken the rest.

    Args:
        counts: Spike counts, (trials, time, channels).
        rates: Inferred rates in expected counts per bin, (trials, time, channels).
        trial: Which trial to draw.
        bin_width_s: Bin width in seconds.
        truth: True rates in expected counts per bin, (trials, time, channels).
        path: Where to write the figure. None: nowhere.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or there is no such trial.
    """
    arrays = {"counts": counts, "rates": rates} | ({} if truth is None else {"truth": truth})
    arrays = _trials(arrays, trial)
    counts, hz = arrays.pop("counts")[trial], {k: a[trial] / bin_width_s for k, a in arrays.items()}
    titles = {"rates": "inferred rates", "truth": "true rates"}
    figure = _figure(3.4 * (1 + len(hz)) + 0.8, 3.6)
    axes = figure.subplots(1, 1 + len(hz), sharex=True, sharey=True)
    n_times, n_channels = counts.shape
    extent = (0.0, n_times * bin_width_s, n_channels - 0.5, -0.5)
    image = {"aspect": "auto", "extent": extent, "interpolation": "nearest"}
    spikes = axes[0].imshow(counts.T, cmap="Greys", norm=Normalize(0, max(1.0, counts.max())), **image)
    axes[0].set_title("spikes")
    _color_bar(figure, spikes, axes[0], "spikes per bin", ticks=MaxNLocator(5, integer=True))
    top = max(np.percentile(np.concatenate([a.ravel() for a in hz.values()]), 99.5), 1e-9)
    for axis, (name, values) in zip(axes[1:], hz.items(), strict=True):
        shown = axis.imshow(values.T, cmap="magma", norm=Normalize(0, top), **image)
        axis.set_title(titles[name])
    highest = max(values.max() for values in hz.values())
    _color_bar(figure, shown, list(axes[1:]), "rate (Hz)", extend="max" if highest > top else "neither")
    axes[0].set_ylabel("channel")
    axes[0].yaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    for axis in axes:
        axis.set_xlabel("time (s)")
    return _finish(figure, path)


@matplotlib.rc_context(_STYLE)
def rates_against_truth(rates, truth, bin_width_s, path=None, *, trial=0):
    """Draw inferred and true rates: traces of the most modulated channels, and the density of all bins.

    Args:
        rates: Inferred rates in expected counts per bin, (trials, time, channels).
        truth: True rates in expected counts per bin, (trials, time, channels).
        bin_width_s: Bin width in seconds.
        path: Where to write the figure. None: nowhere.
        trial: Which trial the traces are from.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or there is no such trial.
    """
    arrays = _trials({"rates": rates, "truth": truth}, trial)
    rates, truth = (arrays[name] / bin_width_s for name in ("rates", "truth"))
    n_traces = min(4, truth.shape[2])
    # Channels that change in this trial show more than the first ones do.
    channels = np.sort(np.argsort(truth[trial].std(axis=0), kind="stable")[::-1][:n_traces])
    time = (np.arange(truth.shape[1]) + 0.5) * bin_width_s
    figure = _figure(8.6, 3.8)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1))
    axes = left.subplots(n_traces, 1, sharex=True, squeeze=False)[:, 0]
    marker = "o" if len(time) < 3 else None
    for axis, channel in zip(axes, channels, strict=True):
        axis.plot(time, truth[trial, :, channel], color=_TRUTH, lw=2.5, label="true", marker=marker)
        axis.plot(time, rates[trial, :, channel], color=_VALID, lw=1.5, label="inferred", marker=marker)
        axis.set_ylim(bottom=0)
        axis.set_title(f"channel {channel}", loc="left", pad=2)
        _tidy(axis)
    axes[0].legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.95), borderaxespad=0)
    axes[-1].set_xlabel(f"time in trial {trial} (s)")
    left.supylabel("rate (Hz)", fontsize=9)
    _density(right, rates.ravel(), truth.ravel())
    return _finish(figure, path)


@matplotlib.rc_context(_STYLE)
def factors_3d(factors, label=None, path=None, *, max_trajectories=12):
    """Draw factors as trajectories, one colour a condition.

    More than 3 factors are reduced to their first 3 principal components; 2 are drawn in a plane, 1 over time.

    Args:
        factors: Factors, (trials, time, factors).
        label: Condition of each trial, (trials,). Drawn is the mean trajectory of each condition; without labels,
            single trials.
        path: Where to write the figure. None: nowhere.
        max_trajectories: How many conditions (or trials) are drawn at most, evenly chosen.

    Returns:
        The figure.

    Raises:
        ValueError: If factors are not (trials, time, factors) or labels not one a trial.
    """
    factors = _trials({"factors": factors}, 0)["factors"]
    if label is not None and np.shape(label) != factors.shape[:1]:
        raise ValueError(
            f"label must hold one condition a trial. Got shape {np.shape(label)} for {len(factors)} trials. Select "
            "the same trials for both."
        )
    paths, name = _principal(factors)
    groups, group = np.unique(np.arange(len(paths)) if label is None else np.asarray(label), return_inverse=True)
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), max_trajectories)).round().astype(int))
    n_dims = paths.shape[2]
    figure = _figure(5.6, 4.4)
    axis = figure.add_subplot(projection="3d" if n_dims == 3 else None)
    colors = _colors(len(chosen))
    for color, index in zip(colors, chosen, strict=True):
        mean = paths[group == index].mean(axis=0).T
        line = mean if n_dims > 1 else np.stack([np.arange(mean.shape[1]), mean[0]])
        axis.plot(*line, color=color, lw=1.4, alpha=0.9, label=f"{groups[index]}")
        axis.plot(*line[:, :1], color=color, marker="o", ms=4)
    kind = "trial" if label is None else "condition"
    axis.set_xlabel(f"{name} 1" if n_dims > 1 else "time (bins)")
    axis.set_ylabel(f"{name} 2" if n_dims > 1 else f"{name} 1")
    if n_dims == 3:
        axis.set_zlabel(f"{name} 3")
        axis.tick_params(labelsize=7, pad=0)
        axis.locator_params(nbins=5)
        axis.view_init(elev=20, azim=-60)
        axis.set_box_aspect((1, 1, 0.8), zoom=0.95)
    else:
        _tidy(axis)
    shown = f"{len(chosen)} of {len(groups)}" if len(chosen) < len(groups) else f"{len(groups)}"
    what = "single trials" if label is None else "condition means"
    axis.set_title(f"{what} ({shown}); dots: first bin")
    if 1 < len(chosen) <= _MAX_LEGEND:
        figure.legend(*axis.get_legend_handles_labels(), title=kind, frameon=False, loc="outside right upper")
    return _finish(figure, path)


def _principal(factors):
    """The factors, or their first three principal components, and what to call them."""
    n_trials, n_times, n_factors = factors.shape
    if n_factors <= 3:
        return factors, "factor"
    flat = factors.reshape(-1, n_factors)
    left, scale, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    return (left * scale)[:, :3].reshape(n_trials, n_times, -1), "factor PC"


def _density(figure, rates, truth):
    """Two-dimensional histogram of inferred against true rates, on logarithmic axes."""
    axis = figure.subplots()
    positive = np.concatenate([a[a > 0] for a in (rates, truth)])
    low, high = (positive.min(), positive.max()) if positive.size else (1e-3, 1.0)
    # Four decades are what a recording can tell; a rate near zero would stretch the axis without end.
    low = min(max(low, high * 1e-4), high / 10)
    low, high = low / 1.2, high * 1.2
    edges = np.geomspace(low, high, 60)
    clipped = (np.clip(a, low, high) for a in (truth, rates))
    histogram = np.histogram2d(*clipped, bins=edges)[0].T
    norm = LogNorm(1, max(histogram.max(), 10))
    shown = axis.pcolormesh(edges, edges, np.ma.masked_less(histogram, 1), cmap="viridis", norm=norm, rasterized=True)
    axis.plot([low, high], [low, high], color="black", lw=0.8, ls="--")
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_minor_formatter(NullFormatter())
    axis.set_xlabel("true rate (Hz)")
    axis.set_ylabel("inferred rate (Hz)")
    axis.set_title("all trials and channels")
    _tidy(axis)
    _color_bar(figure, shown, axis, "number of bins")


def _trials(arrays, trial):
    """The arrays as floats, after a check that they are trials of one shape."""
    arrays = {name: np.asarray(a, dtype=float) for name, a in arrays.items()}
    shapes = {name: a.shape for name, a in arrays.items()}
    first = next(iter(arrays.values()))
    if first.ndim != 3 or first.size == 0 or len(set(shapes.values())) > 1:
        raise ValueError(
            f"Arrays to draw must be (trials, time, channels) of one shape and not empty. Got {shapes}. Use "
            "array[None] for a single trial and select the same channels for all."
        )
    if not 0 <= trial < len(first):
        raise ValueError(
            f"There is no such trial. Got trial {trial} of {len(first)}. Give a number from 0 to {len(first) - 1}."
        )
    return arrays


def _colors(n):
    """`n` colours that can be told apart, in the order of the conditions."""
    return colormaps["turbo"](np.linspace(0.05, 0.95, n) if n > 1 else [0.15])


def _figure(width, height):
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def _color_bar(figure, image, axis, label, **options):
    bar = figure.colorbar(image, ax=axis, label=label, **options)
    bar.outline.set_visible(False)


def _tidy(axis):
    axis.spines[["top", "right"]].set_visible(False)


def _finish(figure, path):
    if path is not None:
        figure.savefig(path)
    return figure
