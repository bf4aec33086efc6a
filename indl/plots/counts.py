"""Figure of how well predicted rates are calibrated: observed counts and their spread at each predicted rate."""

import numpy as np

from indl.plots import style


def calibration(rates, counts, path=None, *, n_bins=20):
    """Draw the counts that were observed where a rate was predicted, and how much they scatter.

    All bins of all trials and channels are sorted by predicted rate into groups of equal size (equal rates stay
    together). Left, the mean count of each group over its mean rate: on the diagonal the rates are right on average.
    Right, the dispersion of each group, sum((count - rate)^2) / sum(rate): 1 for Poisson counts, larger where counts
    scatter more than that or rates are wrong, smaller where they scatter less. Error bars are one standard error for
    Poisson counts of the predicted rates.

    Args:
        rates: Predicted rates in expected counts per bin, (trials, time, channels).
        counts: Spike counts, (trials, time, channels); NaN is left out.
        path: Where to write the figure. None: nowhere.
        n_bins: How many groups, at most.

    Returns:
        The figure.

    Raises:
        ValueError: If the arrays do not fit, or rates are negative.
    """
    arrays = style.as_trials(rates=rates, counts=counts)
    scored = np.isfinite(arrays["rates"]) & np.isfinite(arrays["counts"])
    rates, counts = arrays["rates"][scored], arrays["counts"][scored]
    if not rates.size or rates.min() < 0:
        raise ValueError(
            f"Calibration needs bins with a rate and a count, and no negative rate. Given: {rates.size} such bins, "
            f"smallest rate {rates.min() if rates.size else None}. Give expected counts per bin, not log rates."
        )
    groups = _by_rate(rates, n_bins)
    size = np.bincount(groups)
    predicted, observed = (np.bincount(groups, values) / size for values in (rates, counts))
    square = np.bincount(groups, np.square(counts - rates)) / size
    # (count - rate)^2 of a Poisson count has variance rate + 2 rate^2.
    square_se = np.sqrt(np.bincount(groups, rates + 2 * np.square(rates))) / size
    figure = style.new_figure(7.4, 3.3)
    left, right = figure.subplots(1, 2)
    bars = {"fmt": "o", "ms": 3.5, "lw": 1, "color": style.MODEL, "ecolor": style.MODEL}
    left.errorbar(predicted, observed, np.sqrt(predicted / size), **bars)
    low, high = min(predicted.min(), observed.min()), max(predicted.max(), observed.max())
    wide = low > 0 and high > 10 * low
    if wide:
        left.set(xscale="log", yscale="log")
        right.set_xscale("log")
        for direction in (left.xaxis, left.yaxis, right.xaxis):
            style.log_ticks(direction, high / low)
    high = high or 1.0
    # On linear axes a margin below zero shows points at zero whole.
    ends = (low / 1.3, high * 1.3) if wide else (-0.03 * high, 1.1 * high)
    left.plot(ends, ends, color="black", lw=0.8, ls="--", label="calibrated")
    left.set(xlim=ends, ylim=ends)
    some = predicted > 0
    right.errorbar(predicted[some], square[some] / predicted[some], square_se[some] / predicted[some], **bars)
    right.axhline(1, color="black", lw=0.8, ls="--", label="Poisson")
    right.set_xlim(left.get_xlim())
    right.set_ylim(0, 1.25 * max(right.get_ylim()[1], 1.0))
    total = f"{np.square(counts - rates).sum() / rates.sum():.3g}" if rates.sum() else "undefined"
    x = "predicted rate (counts per bin)"
    style.label(left, f"mean counts, {style.count(rates.size, 'bin')}", x=x, y="observed count per bin")
    style.label(right, f"dispersion, {total} overall", x=x, y="squared deviation / rate")
    for axis in (left, right):
        style.legend(axis, *axis.get_legend_handles_labels(), loc="upper left")
        style.tidy(axis)
    return style.finish(figure, path)


def _by_rate(rates, n_groups):
    """The group 0, 1, ... of each rate: quantiles, of which equal rates share one."""
    edges = np.quantile(rates, np.linspace(0, 1, n_groups + 1)[1:-1])
    return np.unique(np.searchsorted(edges, rates, side="left"), return_inverse=True)[1]
