"""One page to look at before a recording is used: channels, trials, correlations, drift."""

import textwrap

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import uniform_filter1d

from indl.data.checks.arrays import check_bin_width
from indl.plots import style

_MAX_LINES = 24
_MAX_LISTED = 24
_LINE = 160


def data_overview(
    counts,
    bin_width_s,
    lengths=None,
    label=None,
    channel_ids=None,
    findings=None,
    path=None,
    *,
    duplicate_correlation=0.99,
):
    """Draw a page about spike counts: rates, trial lengths, correlations, drift, and what is suspicious.

    Args:
        counts: Spike counts, (trials, time, channels); NaN where there is no bin (padding) or no sample.
        bin_width_s: Bin width in seconds.
        lengths: Bins of each trial, (trials,); later bins are left out. None: up to the last bin with a count.
        label: Condition of each trial, (trials,).
        channel_ids: Names of the channels, (channels,). None: numbers.
        findings: Lines of text to list, as a check of the data found them.
        path: Where to write the figure. None: nowhere.
        duplicate_correlation: Channels whose counts correlate at least so much are listed as duplicated.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit.
    """
    bin_width_s = check_bin_width(bin_width_s)
    counts = style.as_trials(counts=counts)["counts"]
    n_trials, n_times, n_channels = counts.shape
    ids = style.names_of(channel_ids, range(n_channels))
    if lengths is None:
        there = np.isfinite(counts).any(axis=2)
        lengths = np.where(there.any(axis=1), n_times - np.argmax(there[:, ::-1], axis=1), 0)
    else:
        lengths = _check_lengths(lengths, n_trials, n_times)
        counts = np.where(np.arange(n_times)[:, None] < lengths[:, None, None], counts, np.nan)
    rates = style.mean(counts.reshape(-1, n_channels), axis=0) / bin_width_s
    silent = np.flatnonzero(~(np.isfinite(counts) & (counts != 0)).any(axis=(0, 1)))
    correlation = _correlation(counts)
    pairs = np.argwhere(np.triu(np.nan_to_num(correlation) >= duplicate_correlation, k=1))
    lines = _lines(ids, silent, pairs, findings)
    text_height = 0.18 * len(lines) + 0.1
    figure = style.new_figure(11.0, 5.0 + text_height)
    top, bottom = figure.subfigures(2, 1, height_ratios=(5.0, text_height))
    second = ["drift", "conditions"] if label is not None else ["drift", "drift"]
    axes = top.subplot_mosaic(
        [["rates", "lengths", "correlation"], [*second, "correlation"]], width_ratios=(1.3, 1, 1.5)
    )
    _draw_rates(axes["rates"], rates, len(silent))
    _draw_lengths(axes["lengths"], lengths * bin_width_s)
    _draw_drift(axes["drift"], style.mean(counts.reshape(n_trials, -1), axis=1) / bin_width_s)
    _draw_correlation(top, axes["correlation"], correlation, pairs)
    if label is not None:
        _draw_conditions(axes["conditions"], *style.conditions(label, n_trials))
    top.suptitle(
        f"{style.count(n_trials, 'trial')}, {style.count(n_times, 'bin')} of {1000 * bin_width_s:g} ms, "
        f"{style.count(n_channels, 'channel')}, mean rate "
        f"{style.mean(counts.ravel(), axis=0) / bin_width_s:.3g} Hz, "
        f"{100 * np.isnan(counts).mean():.2g} % of the bins missing",
        fontsize=10,
    )
    bottom.text(0.01, 0.95, "\n".join(lines), fontsize=9, va="top", linespacing=1.3)
    return style.finish(figure, path)


def _draw_rates(axis, rates, n_silent):
    """Rates in descending order, silent channels marked."""
    rates = np.sort(np.nan_to_num(rates))[::-1]
    position = np.arange(len(rates))
    axis.bar(position, rates, width=0.85 if len(rates) <= 60 else 1.0, color=style.TRAIN)
    if n_silent:
        axis.plot(position[-n_silent:], np.zeros(n_silent), "x", color=style.ALARM, ms=5, clip_on=False, label="silent")
        style.legend(axis, *axis.get_legend_handles_labels(), loc="upper right")
    axis.set_ylim(0, 1.05 * style.highest(rates))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    style.label(axis, f"channels ({n_silent} silent)", x="rank of the channel", y="rate (Hz)")
    style.tidy(axis)


def _draw_lengths(axis, seconds):
    values = np.unique(seconds)
    if len(values) == 1:
        width = 0.1 * max(values[0], 1e-3)
        axis.bar(values, len(seconds), width=width, color=style.TRAIN)
        axis.set_xlim(values[0] - 5 * width, values[0] + 5 * width)
        title = f"all trials {values[0]:.3g} s"
    else:
        axis.hist(seconds, bins=min(30, 2 * len(values)), color=style.TRAIN)
        title = f"{seconds.min():.3g} to {seconds.max():.3g} s, median {np.median(seconds):.3g} s"
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label(axis, title, x="trial length (s)", y="trials")
    style.tidy(axis)


def _draw_drift(axis, rates):
    """Mean rate of each trial over the session, and its running mean."""
    axis.plot(np.arange(len(rates)), rates, ".", ms=3, color=style.TRAIN, label="trial")
    width = max(len(rates) // 20, 1)
    if width > 1:
        used = np.isfinite(rates)
        smooth, weight = (
            uniform_filter1d(values, 2 * width + 1, mode="constant")
            for values in (np.where(used, rates, 0.0), used.astype(np.float64))
        )
        running = np.divide(smooth, weight, out=np.full_like(smooth, np.nan), where=weight > 1e-9)
        axis.plot(running, color=style.VALID, lw=1.5, label=f"mean of {2 * width + 1} trials")
        style.legend(axis, *axis.get_legend_handles_labels(), loc="best", ncols=2)
    axis.set_ylim(0, 1.25 * style.highest(rates))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    style.label(axis, "drift over the session", x="trial", y="rate per channel (Hz)")
    style.tidy(axis)


def _draw_conditions(axis, groups, group):
    n_trials = np.bincount(group, minlength=len(groups))
    position = np.arange(len(groups))
    axis.bar(position, n_trials, width=0.85 if len(groups) <= 60 else 1.0, color=style.TRAIN)
    shown = style.evenly(len(groups), 8)
    names = [style.short(name) for name in groups[shown]]
    long = max(len(name) for name in names) > 4
    axis.set_xticks(shown, names, rotation=40 if long else 0, ha="right" if long else "center")
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    style.label(axis, f"trials of {style.count(len(groups), 'condition')}", x="condition", y="trials")
    style.tidy(axis)


def _draw_correlation(figure, axis, correlation, pairs):
    """Correlations between channels on a scale that their largest sets, duplicated pairs in circles."""
    off = correlation[~np.eye(len(correlation), dtype=bool)]
    top = min(max(np.percentile(np.abs(off[np.isfinite(off)]), 99), 0.05) if np.isfinite(off).any() else 1.0, 1.0)
    image = axis.imshow(
        np.ma.masked_invalid(np.where(np.eye(len(correlation), dtype=bool), np.nan, correlation)),
        cmap=colormaps["RdBu_r"].with_extremes(bad=style.MISSING),
        norm=Normalize(-top, top),
        interpolation="nearest",
    )
    if len(pairs):
        both = np.concatenate([pairs, pairs[:, ::-1]])
        axis.plot(both[:, 1], both[:, 0], "o", mfc="none", color="black", ms=6, mew=1, ls="none")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    title = "correlation of counts" + "; circles: duplicated" * bool(len(pairs))
    style.label(axis, title, x="channel index", y="channel index")
    extend = "both" if np.nanmax(np.abs(off), initial=0.0) > top else "neither"
    style.color_bar(figure, image, axis, "correlation", extend=extend, shrink=0.6)


def _correlation(counts):
    """Correlation of every pair of channels over the bins in which both have a count; NaN for constant channels."""
    n_channels = counts.shape[2]
    # Without the mean the sums below lose no digits; it cancels in the covariance.
    center = style.mean(counts.reshape(-1, n_channels), axis=0)
    sums = np.zeros((4, n_channels, n_channels))
    for trial in counts:
        used = np.isfinite(trial)
        values = np.where(used, trial - center, 0.0)
        used = used.astype(np.float64)
        sums += [used.T @ used, values.T @ used, np.square(values).T @ used, values.T @ values]
    n_common = np.maximum(sums[0], 1.0)
    means, squares, products = sums[1:] / n_common
    variances = squares - np.square(means)
    scale = np.sqrt(np.maximum(variances * variances.T, 0.0))
    return np.divide(products - means * means.T, scale, out=np.full_like(scale, np.nan), where=scale > 1e-12)


def _lines(ids, silent, pairs, findings):
    """What is suspicious, in lines that fit the page."""
    duplicated = [f"{ids[i]} = {ids[j]}" for i, j in pairs]
    items = [
        f"Silent channels ({len(silent)}): {_listed([ids[i] for i in silent])}",
        f"Duplicated channels ({len(duplicated)}): {_listed(duplicated)}",
        *([findings] if isinstance(findings, str) else findings or []),
    ]
    lines = [line for item in items for line in textwrap.wrap(str(item), _LINE, subsequent_indent="    ")]
    more = len(lines) - _MAX_LINES
    return lines if more <= 0 else [*lines[: _MAX_LINES - 1], f"... and {more + 1} more lines"]


def _listed(names):
    more = f", ... ({len(names) - _MAX_LISTED} more)" if len(names) > _MAX_LISTED else ""
    return (", ".join(names[:_MAX_LISTED]) or "none") + more


def _check_lengths(lengths, n_trials, n_times):
    lengths = np.asarray(lengths)
    if lengths.shape != (n_trials,) or lengths.dtype.kind not in "iu" or lengths.min() < 0 or lengths.max() > n_times:
        raise ValueError(
            f"lengths must hold the bins of each trial, whole numbers from 0 to {n_times}. Given: shape "
            f"{lengths.shape}, dtype {lengths.dtype} for {n_trials} trials. Give bins, not seconds."
        )
    return lengths
