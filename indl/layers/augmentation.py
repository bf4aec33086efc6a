"""Augmentations of a batch, and what they do to the losses: functions without state.

Randomness is drawn by the functions whose names begin with `draw_`; the others take what was drawn. A `seed` is an
integer, which draws the same numbers at every call, or a `keras.random.SeedGenerator`, which goes on.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Seed = int | keras.random.SeedGenerator


def missing_loss(loss: Any, target: Any, rescale: bool = True) -> Any:
    """Losses without those of missing samples (selective backpropagation through time, Zhu et al. 2021).

    Args:
        loss: per-element losses (batch, time, channels), with any axes in between. They must be finite where the
            target is missing, too, or its gradients are NaN: compute them from a target whose gaps are filled
            (:class:`~indl.layers.missing.FillMissing`).
        target: what was reconstructed (batch, time, channels), NaN where a sample is missing.
        rescale: divide by the fraction of the batch that was observed, so that the mean over all elements is that over
            the observed ones.

    Returns:
        Losses of the same shape, zero where the target is missing.
    """
    observed = ops.logical_not(ops.isnan(target))
    loss = ops.where(_with_axes(observed, loss), loss, ops.zeros_like(loss))
    if not rescale:
        return loss
    observed = ops.cast(observed, loss.dtype)
    # A batch without any observed sample has no loss; it must not become 0 / 0.
    return loss * ops.cast(ops.size(observed), loss.dtype) / ops.maximum(ops.sum(observed), 1.0)


def draw_sample_validation_mask(shape: tuple[int, ...], rate: float, seed: Seed) -> Any:
    """Which samples stay visible in sample validation, bool: each with probability ``1 - rate``.

    Sample validation (Keshtkaran & Pandarinath 2019, arXiv:1908.07896) hides the same samples of a data set throughout
    training and watches their loss, since the loss of visible samples does not tell when a model copies spikes. So
    draw one mask for the training part and one for the validation part, once. At inference nothing is hidden.

    Args:
        shape: (trials, time, channels) of the encoder's input.
        rate: fraction of hidden samples, between 0 and 1.
        seed: seed of the draw.
    """
    _check_rate(rate)
    return keras.random.uniform(shape, seed=seed) >= rate


def sample_validation_input(x: Any, visible: Any, rate: float) -> Any:
    """The encoder's input without the hidden samples, divided by ``1 - rate`` to keep its sum.

    Args:
        x: (batch, time, channels).
        visible: bool, shape of x, the batch's part of :func:`draw_sample_validation_mask`.
        rate: fraction of hidden samples.
    """
    _check_rate(rate)
    return x * ops.cast(visible, x.dtype) / (1.0 - rate)


def sample_validation_losses(loss: Any, visible: Any, rate: float) -> tuple[Any, Any]:
    """Losses to train on, and the mean loss of the hidden samples to watch.

    Args:
        loss: per-element losses (batch, time, channels), with any axes in between.
        visible: bool (batch, input time, input channels).
        rate: fraction of hidden samples.

    Returns:
        Losses of the same shape, zero at hidden samples and divided by ``1 - rate`` at visible ones; what the encoder
        never sees (held-out channels, later bins) is unchanged. And the mean over the input's samples of
        ``loss * hidden / rate``, a scalar. All means estimate that of `loss`.
    """
    _check_rate(rate)
    time, channels = ops.shape(visible)[1:]
    box = loss[..., :time, :channels]
    visible = ops.cast(visible, loss.dtype)
    beyond = ((0, 0), (0, ops.shape(loss)[-2] - time), (0, ops.shape(loss)[-1] - channels))
    weight = ops.pad(visible / (1.0 - rate), beyond, constant_values=1.0)
    return loss * _with_axes(weight, loss), ops.mean(box * _with_axes((1.0 - visible) / rate, box))


def draw_shift(shape: tuple[int, int], std: float = 3.0, max_shift: int = 6, *, seed: Seed) -> Any:
    """A shift in bins for every trial and channel: normal draws, rounded and bounded, int32.

    Args:
        shape: (batch, channels).
        std: standard deviation of the draws in bins.
        max_shift: largest shift in either direction.
        seed: seed of the draw. Input and target are shifted independently: draw twice, from one generator.
    """
    return round_shift(std * keras.random.normal(shape, seed=seed), max_shift)


def round_shift(raw: Any, max_shift: int = 6) -> Any:
    """Whole bins, int32, from real ones: rounded, then bounded by `max_shift` in either direction."""
    return ops.cast(ops.clip(ops.round(raw), -max_shift, max_shift), "int32")


def temporal_shift(x: Any, shift: Any) -> Any:
    """Moves every channel of every trial in time; its first or last value fills the end left free.

    For signals such as EMG envelopes. (lfads-torch draws one shift for the input and another for the target.)

    Args:
        x: (batch, time, channels).
        shift: bins by which each is moved later, int (batch, channels).
    """
    time = ops.shape(x)[1]
    source = ops.arange(time, dtype="int32")[None, :, None] - ops.cast(shift, "int32")[:, None, :]
    return ops.take_along_axis(x, ops.clip(source, 0, time - 1), axis=1)


def draw_moves(counts: Any, width: int = 2, *, seed: Seed) -> Any:
    """How many spikes of each bin move by each of -width .. width bins, every spike on its own and all alike likely.

    Args:
        counts: spike counts (batch, time, channels), whole and without gaps.
        width: largest move in bins.
        seed: seed of the draw.

    Returns:
        Counts (2 * width + 1, batch, time, channels); they sum to `counts` over the first axis.
    """
    n_moves = 2 * width + 1
    # Equal seeds would draw equal numbers for every move.
    seeds = [seed] * n_moves
    if isinstance(seed, int):
        seeds = [int(state) for state in np.random.SeedSequence(seed).generate_state(n_moves)]
    left, moves = ops.convert_to_tensor(counts), []
    for remaining, one in zip(range(n_moves, 1, -1), seeds, strict=False):
        # Of the spikes that have not moved yet, a binomial share takes this move: together they are multinomial.
        moves.append(keras.random.binomial(ops.shape(left), left, 1.0 / remaining, dtype=left.dtype, seed=one))
        left = left - moves[-1]
    return ops.stack([*moves, left])


def move_spikes(moves: Any) -> Any:
    """Counts after the moves that :func:`draw_moves` drew; no spike is lost.

    A spike that would leave the trial is reflected at its first or last bin: from bin 0, one bin earlier is bin 1.

    Args:
        moves: (2 * width + 1, batch, time, channels).

    Raises:
        ValueError: if a trial is not longer than the moves.
    """
    width, time = moves.shape[0] // 2, ops.shape(moves)[2]
    if isinstance(time, int) and width >= time:
        raise ValueError(
            f"Spike jitter must be shorter than a trial. Given: up to {width} bins in trials of {time} bins. Lower "
            "width."
        )
    bins = ops.arange(time, dtype="int32")
    to = ops.abs(bins + ops.arange(-width, width + 1, dtype="int32")[:, None])
    to = ops.minimum(to, 2 * (time - 1) - to)
    # One 0/1 matrix a move, from each bin to the one its spikes end in.
    arrives = ops.cast(to[:, :, None] == bins, moves.dtype)
    return ops.einsum("mbtc,mts->bsc", moves, arrives)


def jitter_spikes(counts: Any, width: int = 2, *, seed: Seed) -> Any:
    """Moves every spike by a whole number of bins, uniform from -width to width, reflected at the trial's ends.

    Args:
        counts: spike counts (batch, time, channels), whole and without gaps.
        width: largest move in bins.
        seed: seed of the draw.

    Returns:
        Counts of the same shape and, for each trial and channel, the same sum.
    """
    return move_spikes(draw_moves(counts, width, seed=seed))


def _with_axes(values: Any, loss: Any) -> Any:
    """`values` (batch, time, channels) with axes of size one where `loss` has others between batch and time."""
    for _ in range(len(loss.shape) - 3):
        values = values[:, None]
    return values


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(
            f"Sample validation hides a fraction of the samples. Given: a rate of {rate!r}. Use one between 0 and 1, "
            "such as 0.2, or leave sample validation out."
        )
