"""Figures of what latents do: one dimension moved, and static and dynamic latents exchanged between trials."""

import numpy as np
from matplotlib.colors import Normalize, PowerNorm

from indl.data.checks.arrays import check_bin_width
from indl.plots import style

_N_COLUMNS = 4


def latent_traversal(rates, offsets, bin_width_s, dimensions=None, channels=None, path=None, *, names=None, latent="f"):
    """Draw the rates of one trial as each dimension of a latent moves: a row a dimension, a column a channel.

    Args:
        rates: Expected counts per bin, (dimensions, steps, time, channels), of `indl.model.traversal.traverse`.
        offsets: Where each step is, in standard deviations over trials, (steps,).
        bin_width_s: Bin width in seconds.
        dimensions: Numbers of the dimensions, (dimensions,). None: from 0.
        channels: Which channels to draw. None: the four whose rates vary most as the dimensions move.
        path: Where to write the figure. None: nowhere.
        names: Names of all channels, (channels,). None: numbers.
        latent: Name of the latent.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or there is no such channel.
    """
    bin_width_s, rates = check_bin_width(bin_width_s), np.asarray(rates, float)
    dimensions = np.arange(len(rates)) if dimensions is None else np.asarray(dimensions)
    if rates.ndim != 4 or rates.size == 0 or np.shape(offsets) != rates.shape[1:2] or len(dimensions) != len(rates):
        raise ValueError(
            "A traversal has rates (dimensions, steps, time, channels), an offset a step and a number a dimension. "
            f"Given: shapes {rates.shape}, {np.shape(offsets)} and {np.shape(dimensions)}. Pass one traversal."
        )
    n_steps, n_times, n_channels = rates.shape[1:]
    names = style.names_of(names, [f"channel {i}" for i in range(n_channels)])
    if channels is None:
        moved = rates - style.mean(rates, axis=1)[:, None]
        channels = style.most_modulated(moved, _N_COLUMNS)
    channels = style.check_channels(channels, n_channels)
    time = (np.arange(n_times) + 0.5) * bin_width_s
    figure = style.new_figure(max(2.0 * len(channels) + 1.5, 4.4), 1.5 * len(rates) + 0.9)
    axes = figure.subplots(len(rates), len(channels), squeeze=False, sharex=True, sharey="col")
    for i, (row, of_dimension, dimension) in enumerate(zip(axes, rates, dimensions, strict=True)):
        for axis, channel in zip(row, channels, strict=True):
            lines = []
            for color, values in zip(style.colors(n_steps), of_dimension[..., channel], strict=True):
                lines += axis.plot(time, values / bin_width_s, color=color, lw=1.2, marker=style.marker(n_times))
            style.tidy(axis)
            style.label(axis, None if i else names[channel], x="time (s)" if i == len(rates) - 1 else None)
        style.label(row[0], y=f"{latent} {dimension}: rate (Hz)")
    axes[0, 0].set_xlim(0, n_times * bin_width_s)
    shown = style.evenly(n_steps, style.MAX_LEGEND)
    style.legend(figure, [lines[i] for i in shown], [f"{offsets[i]:+.1f} sd" for i in shown], loc="outside right upper")
    return style.finish(figure, path)


def latent_swaps(rates, bin_width_s, path=None, *, f_names=None, z_names=None):
    """Draw the rates of every pair of a static latent (rows) and a dynamic one (columns), channels by their mean.

    On the diagonal, where both are of one trial, stands what the model reconstructs.

    Args:
        rates: Expected counts per bin of f of trial i and z of trial j, (trials, trials, time, channels).
        bin_width_s: Bin width in seconds.
        path: Where to write the figure. None: nowhere.
        f_names: What each row has its f from, such as the condition of its trial. None: numbers.
        z_names: What each column has its z from. None: numbers.

    Returns:
        The figure.

    Raises:
        ValueError: If the rates are not of all pairs of trials.
    """
    bin_width_s, rates = check_bin_width(bin_width_s), np.asarray(rates, float)
    if rates.ndim != 4 or rates.size == 0 or rates.shape[0] != rates.shape[1]:
        raise ValueError(
            f"Swaps are of all pairs of trials. Given: rates of shape {rates.shape}. Pass (trials, "
            "trials, time, channels)."
        )
    n, _, n_times, n_channels = rates.shape
    f_names, z_names = (style.names_of(names, [f"trial {i}" for i in range(n)]) for names in (f_names, z_names))
    order = np.argsort(-style.mean(rates.reshape(-1, n_channels), axis=0), kind="stable")
    figure = style.new_figure(1.7 * n + 1.6, 1.3 * n + 0.9)
    axes = figure.subplots(n, n, squeeze=False, sharex=True, sharey=True)
    least = float(np.min(rates, where=np.isfinite(rates), initial=0.0)) / bin_width_s
    highest = style.highest(rates) / bin_width_s
    # Of rates, a root shows the small ones beside the large; signals of both signs have none.
    scale = PowerNorm(0.5, 0, highest) if least == 0 else Normalize(least, highest)
    for (i, j), axis in np.ndenumerate(axes):
        image = axis.imshow(
            rates[i, j][:, order].T / bin_width_s, aspect="auto", norm=scale, cmap="viridis",
            extent=(0, n_times * bin_width_s, n_channels - 0.5, -0.5), interpolation="nearest",
        )  # fmt: skip
        for line in axis.spines.values():
            line.set(visible=i == j, color=style.VALID, linewidth=2)
        style.label(
            axis,
            f"z of {z_names[j]}" if i == 0 else None,
            x="time (s)" if i == n - 1 else None,
            y=f"f of {f_names[i]}" if j == 0 else None,
        )
    figure.supylabel("channel, by its mean rate", fontsize=9)
    style.color_bar(figure, image, axes, "rate (Hz)")
    return style.finish(figure, path)
