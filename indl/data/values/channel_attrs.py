"""Attributes of a recording that speak of its channels or bins, kept true when those are chosen, sorted or joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Indices of channels.
_INDICES = ("heldout",)
#: Values by channel, on the first axis, of the tools whose files the library reads.
_BY_CHANNEL = ("signal_mean", "signal_sd", "readin_weight", "readout_bias", "alignment_matrix_cxf", "alignment_bias_c")
#: Values by bin.
_BY_BIN = ("psth", *(f"{part}_{name}" for part in ("train", "valid", "test") for name in ("decode_mask", "jitter")))


def of_channels(attrs: Mapping[str, Any], kept: np.ndarray, n_channels: int) -> dict[str, Any]:
    """The attributes where the channels `kept` of `n_channels` are left, in that order.

    Args:
        attrs: attributes of all channels.
        kept: indices of the channels that stay.
        n_channels: how many there were.
    """
    found = dict(attrs)
    for name in _INDICES:
        if name in found:
            found[name] = np.flatnonzero(np.isin(kept, found[name]))
    for name in _BY_CHANNEL:
        if name in found and np.shape(found[name])[:1] == (n_channels,):
            found[name] = np.asarray(found[name])[kept]
    return found


def without_bins(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes where bins are no longer what they were."""
    return {name: value for name, value in attrs.items() if name not in _BY_BIN}


def texts_of(channel_ids: np.ndarray) -> list[str]:
    """The ids of channels as texts, which files of any kind give back alike."""
    return [item.decode() if isinstance(item, bytes) else str(item) for item in channel_ids.tolist()]
