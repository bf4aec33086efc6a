"""Trials, and recordings, in wider bins."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.values.channel_attrs import without_bins
from indl.data.values.chop_plan import PREFIX
from indl.data.values.recording import Recording, Split
from indl.data.values.trials import Trials

_SUMMED, _AVERAGED = ("counts", "encod", "recon", "truth"), ("behavior", "ext_input", "latents")


def rebin(trials: Trials | Recording, factor: int) -> Any:
    """Join every `factor` successive bins into one.

    Counts, and true rates in counts per bin, are summed (averaged where they are a signal); behaviour, external input
    and latents are averaged. A bin of which a sample is missing is missing, so a shorter trial loses its last,
    incomplete bin.

    Args:
        trials: Trials, or a recording; what its encoder sees, and what comes after it, must each fill wide bins.
        factor: Number of bins that become one.

    Returns:
        The same with bins of ``factor * trials.bin_width_s``. Bins at the end that fill no wide one are dropped.

    Raises:
        ValueError: If `factor` is no whole number from 1 to the number of bins, nothing of a trial remains, or a wide
            bin of a recording would be partly seen by the encoder.

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
            f"The last bins fill no wide one and are dropped. Given: {left} of {trials.n_times}. Cut the trials to a "
            f"multiple of {factor} bins if that matters.",
            UserWarning,
            stacklevel=2,
        )
    wide = {"bin_width_s": trials.bin_width_s * factor}
    if isinstance(trials, Recording):
        if left and trials.forward_steps:
            raise ValueError(
                f"A wide bin would be partly seen by the encoder. Given: {trials.n_times} bins of input and "
                f"{trials.forward_steps} forward steps for a factor of {factor}. Cut the input to a multiple of it."
            )
        for name in ("train", "valid"):
            part = getattr(trials, name)
            wide[name] = replace(part, **_joined(part, factor, trials.are_counts))
    else:
        wide |= _joined(trials, factor, trials.are_counts)
    # How trials were cut into windows was said in narrow bins.
    attrs = {name: value for name, value in without_bins(trials.attrs).items() if not name.startswith(PREFIX)}
    return replace(trials, attrs=attrs, **wide)


def _joined(trials: Trials | Split, factor: int, are_counts: bool) -> dict[str, Any]:
    """The arrays of `trials` that have a time axis, in wide bins."""
    found: dict[str, Any] = {}
    for name in _SUMMED + _AVERAGED:
        values = getattr(trials, name, None)
        if values is not None:
            values = np.asarray(values)
            whole = values.shape[1] // factor * factor
            groups = values[:, :whole].reshape(len(values), -1, factor, values.shape[2])
            found[name] = groups.sum(axis=2) if name in _SUMMED and are_counts else groups.mean(axis=2)
    return found
