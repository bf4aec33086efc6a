"""Figure of decoded behaviour: traces over time and trajectories by condition."""

import numpy as np
from matplotlib.lines import Line2D
from sklearn.metrics import r2_score

from indl.data.checks.arrays import check_bin_width
from indl.plots import style

_MAX_ROWS = 6


def decoding(
    behavior,
    predicted,
    bin_width_s,
    label=None,
    lag_bins=0,
    path=None,
    *,
    r2=None,
    names=None,
    n_trials=4,
    max_conditions=12,
):
    """Draw true and decoded behaviour: traces of a few trials, and mean trajectories where there are two dimensions.

    Args:
        behavior: True behaviour, (trials, time, dimensions); NaN where it is unknown.
        predicted: Decoded behaviour, same shape and unit.
        bin_width_s: Bin width in seconds.
        label: Condition of each trial, (trials,). The trials of the traces are then taken from different conditions,
            and trajectories are means of conditions; without labels they are single trials.
        lag_bins: Bins by which behaviour is later than what it was decoded from: `predicted[:, t]` is drawn with
            `behavior[:, t + lag_bins]`, as in :func:`indl.metrics.ridge_decoding`. 0: they are aligned.
        path: Where to write the figure. None: nowhere.
        r2: R2 of each dimension, (dimensions,). None: computed from all bins in which both are finite.
        names: Names of the dimensions with their unit, (dimensions,). None: numbers.
        n_trials: How many trials the traces are from.
        max_conditions: How many conditions (or trials) have a trajectory at most, evenly chosen.

    Returns:
        The figure, with traces of the first 6 dimensions.

    Raises:
        ValueError: If the arrays do not fit, or the lag is not shorter than a trial.
    """
    bin_width_s = check_bin_width(bin_width_s)
    arrays = style.as_trials(behavior=behavior, predicted=predicted)
    behavior, predicted = arrays["behavior"], _shifted(arrays["predicted"], lag_bins)
    n_dims = behavior.shape[2]
    names = style.names_of(names, [f"dimension {i}" for i in range(n_dims)])
    groups, group = style.conditions(np.arange(len(behavior)) if label is None else label, len(behavior))
    r2 = _r2(behavior, predicted) if r2 is None else np.asarray(r2, np.float64)
    if r2.shape != (n_dims,):
        raise ValueError(
            f"r2 must hold one value a dimension. Given: shape {r2.shape} for {n_dims} dimensions. Give "
            "ridge_decoding(...).r2_per_dim, or None."
        )
    # Ordered by condition, evenly chosen trials are of different conditions.
    trials = np.argsort(group, kind="stable")[style.evenly(len(group), n_trials)]
    titles = [f"trial {trial}" for trial in trials]
    if label is not None:
        titles = [
            f"{title}\n{style.short(f'condition {groups[group[i]]}')}" for title, i in zip(titles, trials, strict=True)
        ]
    n_rows = min(n_dims, _MAX_ROWS)
    widths, height = [1.5 * len(trials) + 1.6, 3.4], 1.65 * n_rows + 1.0
    figure = style.new_figure(sum(widths) if n_dims == 2 else widths[0], height)
    left, right = figure.subfigures(1, 2, width_ratios=widths) if n_dims == 2 else (figure, None)
    axes = left.subplots(n_rows, len(trials), squeeze=False, sharex=True, sharey="row")
    for dim, row in enumerate(axes):
        for axis, trial in zip(row, trials, strict=True):
            _draw_trace(axis, behavior[trial, :, dim], predicted[trial, :, dim], bin_width_s)
        style.label(row[0], y=f"{names[dim]}\n{_r2_text(r2[dim])}")
    for axis, title in zip(axes[0], titles, strict=True):
        style.label(axis, title)
    for axis in axes[-1]:
        style.label(axis, x="time (s)")
    if n_rows < n_dims:
        left.suptitle(f"dimensions: {style.how_many(n_rows, n_dims)}", fontsize=9)
    style.legend(left, *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    if n_dims == 2:
        chosen = style.evenly(len(groups), max_conditions)
        what = "single trials" if label is None else "condition means"
        axis = right.subplots()
        _draw_trajectories(axis, [(behavior[group == i], predicted[group == i]) for i in chosen])
        title = f"{what} ({style.how_many(len(chosen), len(groups))}); dots: first bin"
        style.label(axis, title, x=names[0], y=names[1])
    return style.finish(figure, path)


def _draw_trace(axis, true, decoded, bin_width_s):
    time = (np.arange(len(true)) + 0.5) * bin_width_s
    for values, text, color, width in ((true, "true", style.TRUTH, 2.5), (decoded, "decoded", style.VALID, 1.5)):
        axis.plot(time, values, color=color, lw=width, label=text, marker=style.marker(len(time)))
    axis.set_xlim(0, len(time) * bin_width_s)
    style.tidy(axis)


def _draw_trajectories(axis, parts):
    """Mean true and decoded trajectories in the plane, one colour a condition."""
    looks = {"true": {"lw": 2.2, "alpha": 0.55}, "decoded": {"lw": 1.2, "ls": "--"}}
    for color, (true, decoded) in zip(style.colors(len(parts)), parts, strict=True):
        # Means of the same bins, or the trajectories would differ where nothing is wrong.
        both = np.isfinite(true) & np.isfinite(decoded)
        for values, look in zip((true, decoded), looks.values(), strict=True):
            mean = style.mean(np.where(both, values, np.nan), axis=0)
            axis.plot(*mean.T, color=color, **look)
            axis.plot(*mean[np.isfinite(mean).all(axis=1)][:1].T, "o", color=color, ms=4)
    axis.set_aspect("equal", adjustable="datalim")
    style.tidy(axis)
    style.legend(axis, [Line2D([], [], color="black", **look) for look in looks.values()], list(looks), loc="best")


def _shifted(predicted, lag_bins):
    """`predicted` moved to the bins of the behaviour it belongs to; NaN where there is none."""
    n_times = predicted.shape[1]
    if abs(lag_bins) >= n_times:
        raise ValueError(
            f"The lag must be shorter than a trial. Given: {lag_bins} bins and trials of {n_times} bins. Divide the "
            "lag in seconds by the bin width in seconds."
        )
    bins = np.arange(n_times) - lag_bins
    there = (bins >= 0) & (bins < n_times)
    return np.where(there[:, None], predicted[:, np.clip(bins, 0, n_times - 1)], np.nan)


def _r2(behavior, predicted):
    """R2 of each dimension over the bins in which both are finite; NaN with fewer than two."""
    r2 = np.full(behavior.shape[2], np.nan)
    for dim in range(len(r2)):
        true, decoded = behavior[..., dim], predicted[..., dim]
        both = np.isfinite(true) & np.isfinite(decoded)
        if both.sum() > 1:
            r2[dim] = r2_score(true[both], decoded[both])
    return r2


def _r2_text(r2):
    return f"R² {r2:.2f}".replace("-", "−") if np.isfinite(r2) else "R² undefined"
