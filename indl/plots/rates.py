"""Figures of inferred rates: beside the spikes of a trial, and against true rates."""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

from indl.data.checks.arrays import check_bin_width
from indl.plots import style

# In none of the two colour maps, so that a missing bin does not look like a count of zero.
_MISSING = "#c6dbef"


def raster_with_rates(counts, rates, trial=0, *, bin_width_s, truth=None, path=None, are_counts=True):
    """Draw the spikes of one trial beside its inferred rates, and the true rates where they are known.

    A signal is drawn beside its reconstruction, in its own unit and on one scale.

    Channels are in the order of the data. All images share the channel axis; rates and true rates share one scale,
    which is cut at the 99.5th percentile so that single bursts do not darken the rest. Bins with NaN are light blue.

    Args:
        counts: Spike counts, (trials, time, channels).
        rates: Inferred rates in expected counts per bin, (trials, time, channels).
        trial: Which trial to draw.
        bin_width_s: Bin width in seconds.
        truth: True rates in expected counts per bin, (trials, time, channels).
        path: Where to write the figure. None: nowhere.
        are_counts: False for a real-valued signal, of which `rates` are the means.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or there is no such trial.
    """
    bin_width_s = check_bin_width(bin_width_s)
    arrays = style.as_trials(counts=counts, rates=rates, **({} if truth is None else {"truth": truth}))
    style.check_trial(trial, len(arrays["counts"]))
    per_s = bin_width_s if are_counts else 1.0
    counts, hz = arrays.pop("counts")[trial], {k: a[trial] / per_s for k, a in arrays.items()}
    titles = {"rates": "inferred rates" if are_counts else "reconstruction", "truth": "true rates"}
    figure = style.new_figure(3.4 * (1 + len(hz)) + 0.8, 3.6)
    figure.get_layout_engine().set(wspace=0.05)
    axes = figure.subplots(1, 1 + len(hz), sharex=True, sharey=True)
    n_times, n_channels = counts.shape
    extent = (0.0, n_times * bin_width_s, n_channels - 0.5, -0.5)
    image = {"aspect": "auto", "extent": extent, "interpolation": "nearest"}
    greys, magma = (colormaps[name].with_extremes(bad=_MISSING) for name in ("Greys", "magma"))
    if not are_counts:
        known = np.concatenate([a[np.isfinite(a)] for a in (counts, *hz.values())])
        norm = Normalize(*(np.percentile(known, (0.5, 99.5)) if known.size else (0.0, 1.0)))
        for axis, name, values in zip(axes, ("signal", *map(titles.get, hz)), (counts, *hz.values()), strict=True):
            shown = axis.imshow(np.ma.masked_invalid(values.T), cmap=magma, norm=norm, **image)
            style.label(axis, name)
        style.color_bar(figure, shown, list(axes), "value", extend="both")
        return _with_axes(figure, axes, path)
    norm = Normalize(0, style.highest(counts))
    spikes = axes[0].imshow(np.ma.masked_invalid(counts.T), cmap=greys, norm=norm, **image)
    style.label(axes[0], "spikes")
    style.color_bar(figure, spikes, axes[0], "spikes per bin", ticks=MaxNLocator(5, integer=True))
    shown_hz = np.concatenate([a[np.isfinite(a)] for a in hz.values()])
    top = (np.percentile(shown_hz, 99.5) if shown_hz.size else 0.0) or 1.0
    for axis, (name, values) in zip(axes[1:], hz.items(), strict=True):
        shown = axis.imshow(np.ma.masked_invalid(values.T), cmap=magma, norm=Normalize(0, top), **image)
        style.label(axis, titles[name])
    extend = "max" if style.highest(shown_hz) > top else "neither"
    style.color_bar(figure, shown, list(axes[1:]), "rate (Hz)", extend=extend)
    return _with_axes(figure, axes, path)


def _with_axes(figure, axes, path):
    """The images with their common axes named."""
    style.label(axes[0], y="channel")
    axes[0].yaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    for axis in axes:
        style.label(axis, x="time (s)")
    return style.finish(figure, path)


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
    bin_width_s = check_bin_width(bin_width_s)
    arrays = style.as_trials(rates=rates, truth=truth)
    style.check_trial(trial, len(arrays["rates"]))
    rates, truth = (arrays[name] / bin_width_s for name in ("rates", "truth"))
    n_traces = min(4, truth.shape[2])
    # Channels that change in this trial show more than the first ones do.
    channels = np.sort(style.most_modulated(truth[trial], n_traces))
    time = (np.arange(truth.shape[1]) + 0.5) * bin_width_s
    figure = style.new_figure(8.6, 3.8)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1))
    axes = left.subplots(n_traces, 1, sharex=True, squeeze=False)[:, 0]
    line = {"marker": style.marker(len(time))}
    for axis, channel in zip(axes, channels, strict=True):
        axis.plot(time, truth[trial, :, channel], color=style.TRUTH, lw=2.5, label="true", **line)
        axis.plot(time, rates[trial, :, channel], color=style.VALID, lw=1.5, label="inferred", **line)
        highest = max(style.highest(values[trial, :, channel]) for values in (truth, rates))
        axis.set(xlim=(0, len(time) * bin_width_s), ylim=(0, 1.08 * highest))
        style.label(axis, f"channel {channel}", loc="left", pad=2)
        style.tidy(axis)
    place = {"ncols": 2, "loc": "lower right", "bbox_to_anchor": (1, 0.95), "borderaxespad": 0}
    style.legend(axes[0], *axes[0].get_legend_handles_labels(), **place)
    style.label(axes[-1], x=f"time in trial {trial} (s)")
    left.supylabel("rate (Hz)", fontsize=9)
    both = np.isfinite(rates) & np.isfinite(truth)
    _draw_density(right, rates[both], truth[both])
    return style.finish(figure, path)


def _draw_density(figure, rates, truth):
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
        style.log_ticks(direction, high / low)
    style.label(axis, "all trials and channels", x="true rate (Hz)", y="inferred rate (Hz)")
    style.tidy(axis)
    style.color_bar(figure, shown, axis, "number of bins")
