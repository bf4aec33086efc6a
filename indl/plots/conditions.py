"""Figure of trial averages by condition (PSTHs): smoothed spikes beside a model."""

import numpy as np

from indl.data.checks.arrays import check_bin_width
from indl.data.prepare.smoothing import gaussian_smooth
from indl.plots import style

_N_COLUMNS = 4


def psths(rates, counts, label, bin_width_s, channels=None, path=None, *, names=None, sd_s=0.05, max_conditions=12):
    """Draw the average over trials of each condition, from smoothed spikes and from a model, one column a channel.

    Both averages are over the same bins: where a count is NaN, the rate is left out as well.

    Args:
        rates: Inferred rates in expected counts per bin, (trials, time, channels).
        counts: Spike counts, (trials, time, channels).
        label: Condition of each trial, (trials,). None: all trials are one condition.
        bin_width_s: Bin width in seconds.
        channels: Which channels to draw. None: the four whose smoothed averages vary most over conditions and time.
        path: Where to write the figure. None: nowhere.
        names: Names of all channels, (channels,). None: numbers.
        sd_s: Standard deviation of the Gaussian that smooths the spikes, in seconds; 0 leaves them as they are.
        max_conditions: How many conditions are drawn at most, evenly chosen.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or there is no such channel.
    """
    bin_width_s = check_bin_width(bin_width_s)
    arrays = style.as_trials(rates=rates, counts=counts)
    rates, counts = arrays["rates"], arrays["counts"]
    n_trials, n_times, n_channels = counts.shape
    groups, group = style.conditions(np.zeros(n_trials) if label is None else label, n_trials)
    names = style.names_of(names, [f"channel {i}" for i in range(n_channels)])
    members = [group == index for index in range(len(groups))]
    observed = _smoothed_averages(counts, members, sd_s / bin_width_s) / bin_width_s
    rates = np.where(np.isnan(counts), np.nan, rates)
    model = np.stack([style.mean(rates[member], axis=0) for member in members]) / bin_width_s
    if channels is None:
        channels = style.most_modulated(observed, _N_COLUMNS)
    channels = style.check_channels(channels, n_channels)
    chosen = style.evenly(len(groups), max_conditions)
    n_columns = min(len(channels), _N_COLUMNS)
    n_blocks = -(-len(channels) // n_columns)
    time = (np.arange(n_times) + 0.5) * bin_width_s
    figure = style.new_figure(max(2.0 * n_columns + 1.5, 4.4), 3.6 * n_blocks + 0.3)
    axes = figure.subplots(2 * n_blocks, n_columns, squeeze=False, sharex=True)
    for i, channel in enumerate(channels):
        block, column = divmod(i, n_columns)
        above, below = axes[2 * block : 2 * block + 2, column]
        below.sharey(above)
        for axis, averages in ((above, observed), (below, model)):
            lines = []
            for color, index in zip(style.colors(len(chosen)), chosen, strict=True):
                values = averages[index, :, channel]
                lines += axis.plot(time, values, color=color, lw=1.3, marker=style.marker(n_times))
            style.tidy(axis)
        highest = max(style.highest(averages[chosen, :, channel]) for averages in (observed, model))
        above.set(xlim=(0, n_times * bin_width_s), ylim=(-0.02 * highest, 1.08 * highest))
        above.tick_params(labelbottom=False)
        below.tick_params(labelbottom=True)
        first = column == 0
        style.label(above, names[channel], y="smoothed spikes (Hz)" if first else None)
        style.label(below, x="time (s)", y="model (Hz)" if first else None)
    for axis in axes[-2:, len(channels) - (n_blocks - 1) * n_columns :].ravel():
        axis.set_visible(False)
    if len(chosen) < len(groups):
        figure.suptitle(f"conditions: {style.how_many(len(chosen), len(groups))}", fontsize=9)
    if 1 < len(chosen) <= style.MAX_LEGEND:
        style.legend(figure, lines, groups[chosen], title="condition", loc="outside right upper")
    return style.finish(figure, path)


def _smoothed_averages(counts, members, sd_bins):
    """Average of each condition over trials, smoothed without what is NaN, (conditions, time, channels)."""
    used = np.isfinite(counts)
    sums = np.stack([np.where(used[m], counts[m], 0.0).sum(axis=0) for m in members])
    n_used = np.stack([used[m].sum(axis=0) for m in members]).astype(np.float64)
    # The quotient weighs each bin by its trials; with all trials there it is the smoothed average.
    smoothed, weight = gaussian_smooth(sums, sd_bins), gaussian_smooth(n_used, sd_bins)
    return np.divide(smoothed, weight, out=np.full_like(smoothed, np.nan), where=n_used > 0)
