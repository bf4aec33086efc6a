"""Which trials go to the validation part, and which channels are held out from the encoder."""

import numbers
import warnings

import numpy as np
from sklearn.model_selection import train_test_split

from indl.data.checks.arrays import check_whole
from indl.text import shown


def choose_heldout(heldout, n_channels, rng):
    """Return the indices of held-in and held-out channels, each ascending or as given.

    Args:
        heldout: How many channels, or which fraction of them, to draw; or indices; or a bool a channel.
        n_channels: Number of channels.
        rng: Generator that channels are drawn with.
    """
    given = np.asarray(heldout)
    if given.ndim == 0:
        chosen = np.sort(rng.permutation(n_channels)[: _how_many(heldout, n_channels)])
    elif given.dtype == bool:
        chosen = np.flatnonzero(given)
    elif given.dtype.kind in "iu":
        chosen = np.where(given < 0, given.astype(np.int64) + n_channels, given)
    else:
        chosen = given if given.size else given.astype(np.int64)
    wrong = (
        chosen.dtype.kind not in "iu"
        or given.ndim > 1
        or (given.dtype == bool and given.shape != () and len(given) != n_channels)
        or len(np.unique(chosen)) != len(chosen)
        or len(chosen) >= n_channels
        or (chosen.size and (chosen.min() < 0 or chosen.max() >= n_channels))
    )
    if wrong:
        raise ValueError(
            "heldout must hold different channel indices and leave at least one channel. Given: "
            f"{shown(heldout)} for {n_channels} channels. Give indices from 0 to {n_channels - 1}, or a bool a channel."
        )
    return np.setdiff1d(np.arange(n_channels), chosen), chosen


def _how_many(heldout, n_channels):
    """The number of held-out channels of a number or a fraction."""
    number = np.asarray(heldout)
    if number.dtype.kind == "f" and number == 1:
        raise ValueError(
            f"A fraction of 1.0 would hold out all channels. Given: {shown(heldout)} of {n_channels} channels. Give "
            "the int 1 for one channel, or a fraction below 1."
        )
    if number.dtype.kind == "f" and 0 < number < 1:
        number = np.asarray(max(round(float(number) * n_channels), 1))
    if number.dtype.kind not in "iuf" or number != np.rint(number) or not 0 <= number < n_channels:
        raise ValueError(
            f"heldout must leave at least one channel for the encoder. Given: {shown(heldout)} of "
            f"{n_channels} channels. Give a number from 0 to {n_channels - 1}, a fraction of them, or indices."
        )
    return int(number)


def split_trials(n_trials, label, valid_fraction, rng, *, valid=None, block=1):
    """Return ascending indices of training and validation trials, of which each part has at least one.

    Args:
        n_trials: Number of trials.
        label: Condition of each trial, by which the split is stratified, or None.
        valid_fraction: Fraction of the trials in the validation part.
        rng: Generator that the split is drawn with.
        valid: Indices or a bool mask of the validation trials, instead of drawing them.
        block: Deal blocks of this many successive trials; then no condition is looked at.
    """
    if valid is not None:
        return _given_split(n_trials, valid)
    block = check_whole(block, "block", 1)
    if not isinstance(valid_fraction, numbers.Real):
        raise ValueError(
            f"valid_fraction must be a number between 0 and 1. Given: {shown(valid_fraction)}. Give for example 0.2."
        )
    n_items = -(-n_trials // block)
    n_valid = int(np.ceil(n_items * valid_fraction)) if 0 < valid_fraction < 1 else 0
    if n_valid == 0 or n_valid >= n_items:
        blocks = f" in {n_items} blocks" if block > 1 else ""
        raise ValueError(
            f"Both parts of a recording need at least one trial. Given: {n_trials} trials{blocks} and "
            f"valid_fraction {valid_fraction}. Give at least 2 trials and a fraction between "
            "0 and 1."
        )
    stratify = None if label is None or block > 1 else _strata(np.asarray(label), n_trials, n_valid)
    _, chosen = train_test_split(
        np.arange(n_items), test_size=n_valid, stratify=stratify, random_state=int(rng.integers(2**31))
    )
    is_valid = np.isin(np.arange(n_trials) // block, chosen)
    return np.flatnonzero(~is_valid), np.flatnonzero(is_valid)


def _strata(label, n_trials, n_valid):
    """The labels if every part can have every condition; else None, with a warning."""
    if label.dtype.kind == "f" and np.isnan(label).any():
        raise ValueError(
            f"label must name the condition of every trial. Given: NaN in {np.isnan(label).sum()} of {len(label)} "
            "trials. Leave those trials out, or give them a condition of their own."
        )
    _, sizes = np.unique(label, return_counts=True)
    if sizes.min() >= 2 and len(sizes) <= min(n_valid, n_trials - n_valid):
        return label
    warnings.warn(
        f"The split is not stratified by label: that needs 2 trials of each condition "
        f"and a trial of each in both parts. Given: {len(sizes)} conditions, the smallest "
        f"with {sizes.min()} trials, and {n_valid} validation trials. Merge conditions "
        "or change valid_fraction if it matters.",
        UserWarning,
        stacklevel=5,
    )
    return None


def _given_split(n_trials, valid):
    """The split with the validation trials `valid`."""
    is_valid = np.zeros(n_trials, bool)
    try:
        is_valid[np.asarray(valid) if np.size(valid) else []] = True
    except IndexError as error:
        raise ValueError(
            f"valid must hold indices of trials, or a bool for each. Given: {shown(valid)} for {n_trials} trials "
            f"({error}). Give indices from 0 to {n_trials - 1}."
        ) from error
    if is_valid.all() or not is_valid.any():
        raise ValueError(
            f"Both parts of a recording need at least one trial. Given: {int(is_valid.sum())} validation trials of "
            f"{n_trials}. Choose some of the trials."
        )
    return np.flatnonzero(~is_valid), np.flatnonzero(is_valid)


def leave_out_shared(train, valid, inds, plan):
    """Return the split without the training windows that share bins with validation windows.

    Args:
        train: Positions of the training windows.
        valid: Positions of the validation windows.
        inds: Index of every window in the plan.
        plan: The :class:`~indl.data.ChopPlan` that the windows were cut by.
    """
    shared = plan.share_bins(inds[train], inds[valid])
    if shared.all():
        raise ValueError(
            f"No training window is free of bins of the validation windows. Given: {len(train)} and {len(valid)} "
            f"windows that overlap by {plan.overlap_bins} bins. Give a larger block."
        )
    if shared.mean() > 0.25:
        warnings.warn(
            "Training windows that share bins with validation windows are left out. "
            f"Given: {shared.sum()} of {len(train)}. Give a larger block to keep more.",
            UserWarning,
            stacklevel=3,
        )
    return train[~shared], valid
