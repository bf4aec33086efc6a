"""Figures of latents: trajectories of factors, and their memory beside that of the prior."""

import numpy as np

from indl.data.checks.arrays import check_bin_width
from indl.metrics.autocorrelation import mean_autocorrelation
from indl.plots import style

_MAX_PANELS = 12


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
    factors = style.as_trials(factors=factors)["factors"]
    groups, group = style.conditions(np.arange(len(factors)) if label is None else label, len(factors))
    paths, name = _principal(factors)
    chosen = style.evenly(len(groups), max_trajectories)
    n_times, n_dims = paths.shape[1:]
    figure = style.new_figure(5.6, 4.4)
    axis = figure.add_subplot(projection="3d" if n_dims == 3 else None)
    lines = []
    for color, index in zip(style.colors(len(chosen)), chosen, strict=True):
        mean = style.mean(paths[group == index], axis=0).T
        points = mean if n_dims > 1 else np.stack([np.arange(n_times), mean[0]])
        lines += axis.plot(*points, color=color, lw=1.4, alpha=0.9)
        axis.plot(*points[:, :1], color=color, marker="o", ms=4)
    style.label(axis, x=f"{name} 1" if n_dims > 1 else "time (bins)", y=f"{name} 2" if n_dims > 1 else f"{name} 1")
    if n_dims == 3:
        axis.set_zlabel(f"{name} 3", fontsize=9)
        axis.tick_params(pad=0)
        axis.locator_params(nbins=5)
        axis.view_init(elev=20, azim=-60)
        axis.set_box_aspect((1, 1, 0.8), zoom=0.95)
    else:
        style.tidy(axis)
    what = "single trials" if label is None else "condition means"
    style.label(axis, f"{what} ({style.how_many(len(chosen), len(groups))}); dots: first bin")
    if 1 < len(chosen) <= style.MAX_LEGEND:
        kind = "trial" if label is None else "condition"
        style.legend(figure, lines, groups[chosen], title=kind, loc="outside right upper")
    return style.finish(figure, path)


def autocorrelation(posterior, prior, bin_width_s, path=None, *, tau_s=None, names=None, max_lag_s=None):
    """Draw how long each latent dimension remembers, under the posterior and under the prior.

    Where the two differ the prior does not describe the data: generated latents are too smooth or too rough. The
    estimator is :func:`indl.metrics.mean_autocorrelation` (unbiased, one mean over all trials and bins). Without
    memory, the autocorrelation is 0 from the first lag on.

    Args:
        posterior: Samples of z given the data, (trials, time, dimensions). Posterior means are smoother than samples
            and cannot be compared with the prior's samples.
        prior: Samples of z from the prior, (any trials, time, dimensions), or None.
        bin_width_s: Bin width in seconds.
        path: Where to write the figure. None: nowhere.
        tau_s: Time constants of an AR(1) prior in seconds, one number or (dimensions,): exp(-lag / tau_s) is drawn as
            well.
        names: Names of the dimensions, (dimensions,). None: numbers.
        max_lag_s: Longest lag in seconds. None: half a trial.

    Returns:
        The figure, of the first 12 dimensions.

    Raises:
        ValueError: If arrays, names or time constants do not fit.
    """
    bin_width_s = check_bin_width(bin_width_s)
    samples = style.as_trials(posterior=posterior) | ({} if prior is None else style.as_trials(prior=prior))
    n_times, n_dims = samples["posterior"].shape[1:]
    if prior is not None and samples["prior"].shape[2] != n_dims:
        raise ValueError(
            f"Posterior and prior must have the same dimensions. Given: {n_dims} and {samples['prior'].shape[2]}. Draw "
            "both from one model."
        )
    names = style.names_of(names, [f"dimension {i}" for i in range(n_dims)])
    tau_s = None if tau_s is None else np.broadcast_to(_positive(tau_s, n_dims), n_dims)
    n_lags = n_times // 2 if max_lag_s is None else int(round(max_lag_s / bin_width_s))
    found = {
        name: mean_autocorrelation(values, min(max(n_lags, 0), values.shape[1] - 1)) for name, values in samples.items()
    }
    n_shown = min(n_dims, _MAX_PANELS)
    n_columns = min(n_shown, 4)
    n_rows = -(-n_shown // n_columns)
    figure = style.new_figure(max(2.2 * n_columns + 1.3, 4.6), 1.9 * n_rows + 0.5)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
    for dim, axis in enumerate(axes[:n_shown]):
        axis.axhline(0, color="#bdbdbd", lw=0.8)
        for name, color, width in (("prior", style.TRUTH, 2.5), ("posterior", style.VALID, 1.5)):
            if name in found:
                values = found[name][:, dim]
                lags = np.arange(len(values)) * bin_width_s
                axis.plot(lags, values, color=color, lw=width, label=name, marker=style.marker(len(values)))
        if tau_s is not None:
            lags = np.linspace(0, max(len(values) for values in found.values()) - 1, 100) * bin_width_s
            text = "AR(1) in closed form"
            axis.plot(lags, np.exp(-lags / tau_s[dim]), color="black", lw=1, ls="--", label=text)
        style.label(axis, names[dim])
        style.tidy(axis)
    for axis in axes[n_shown:]:
        axis.set_visible(False)
    for axis in axes[max(0, n_shown - n_columns) : n_shown]:
        style.label(axis, x="lag (s)")
        axis.tick_params(labelbottom=True)
    figure.supylabel("autocorrelation", fontsize=9)
    if n_shown < n_dims:
        figure.suptitle(f"dimensions: {style.how_many(n_shown, n_dims)}", fontsize=9)
    style.legend(figure, *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return style.finish(figure, path)


def _principal(factors):
    """The factors, or their first three principal components, and what to call them."""
    n_factors = factors.shape[2]
    if n_factors <= 3:
        return factors, "factor"
    complete = factors[np.isfinite(factors).all(axis=2)]
    if not len(complete):
        raise ValueError(
            "Principal components need bins in which every factor is finite. Given: none in an array of shape "
            f"{factors.shape}. Leave out the factors that are NaN throughout."
        )
    mean = complete.mean(axis=0)
    components = np.linalg.svd(complete - mean, full_matrices=False)[2][:3]
    return (factors - mean) @ components.T, "factor PC"


def _positive(tau_s, n_dims):
    tau_s = np.asarray(tau_s, dtype=np.float64)
    if tau_s.shape not in ((), (n_dims,)) or not (tau_s > 0).all():
        raise ValueError(
            f"tau_s must be positive, one number or one a dimension. Given: {tau_s.tolist()} for {n_dims} dimensions. "
            "Multiply time constants in bins by the bin width."
        )
    return tau_s
