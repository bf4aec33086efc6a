"""Trials in wider bins."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from indl.data.checks import check_whole
from indl.data.chop_plan import PREFIX
from indl.data.trials import Trials

_SUMMED, _AVERAGED = ("counts", "truth"), ("behavior", "ext_input", "latents")


def rebin(trials: Trials, factor: int) -> Trials:
    """Join every `factor` successive bins into one.

    Counts, and true rates in counts per bin, are summed (averaged where they are a signal); behaviour, external input
    and latents are averaged. A bin of which a sample is missing is missing, so a shorter trial loses its last,
    incomplete bin.

    Args:
        trials: The trials.
        factor: Number of bins that become one.

    Returns:
        Trials with bins of ``factor * trials.bin_width_s``. Bins at the end that fill no wide one are dropped.

    Raises:
        ValueError: If `factor` is no whole number from 1 to the number of bins, or nothing of a trial remains.

    Warns:
        UserWarning: If bins are dropped at the end.

    Example:
        >>> import numpy as np
        >>> from indl.data import Trials, rebin
        >>> wide = rebin(Trials(np.ones((2, 6, 3)), 0.01), 2)
        >>> wide.bin_width_s, wide.counts[0, :, 0].tolist()
        (0.02, [2.0, 2.0, 2.0])
    """
    factor = check_whole(factor, "factor", 1, trials.n_times)
    left = trials.n_times % factor
    if left:
        warnings.warn(
            f"The last bins fill no wide one and are dropped. Got {left} of {trials.n_times}. Cut the trials to a "
            f"multiple of {factor} bins if that matters.",
            UserWarning,
            stacklevel=2,
        )
    found: dict[str, Any] = {}
    for name in _SUMMED + _AVERAGED:
        values = getattr(trials, name)
        if values is not None:
            groups = values[:, : trials.n_times - left].reshape(len(trials), -1, factor, values.shape[2])
            summed = name in _SUMMED and trials.are_counts
            found[name] = groups.sum(axis=2) if summed else groups.mean(axis=2)
    # How trials were cut into windows was said in narrow bins.
    attrs = {name: value for name, value in trials.attrs.items() if not name.startswith(PREFIX)}
    return replace(trials, bin_width_s=trials.bin_width_s * factor, attrs=attrs, **found)
