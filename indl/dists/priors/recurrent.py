"""A recurrent prior: an RNN reads z_<t and gives the Gaussian of z_t."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.priors.base import SequencePrior
from indl.layers.scale_link import SCALE_FLOOR
from indl.registry import register
from indl.rnn.recurrent import Recurrent
from indl.rnn.scan import Cell, Lane, scan


@register
class RecurrentPrior(SequencePrior):
    """p(z_t | z_<t) = N(affine(cell(z_{t-1}, h_{t-1}))), with z_0 = 0 and h_0 = 0.

    The dynamic prior of the disentangled sequential auto-encoder (Li & Mandt 2018, arXiv:1803.02991).

    Args:
        size: size of z_t.
        cell_type: ``"LSTM"``, ``"GRU"``, ``"GRUClip"`` or ``"SimpleRNN"``.
        units: units of the cell.
        init_std: standard deviation of a step at the start.
        clip_value: bound of a GRUClip state.
        link, floor: from the raw scale to the standard deviation, see :class:`~indl.layers.scale_link.ScaleLink`.
        kl_mode, rollout, seed: see :class:`~indl.dists.priors.base.SequencePrior`.
    """

    def __init__(
        self,
        size: int,
        cell_type: str = "LSTM",
        units: int = 8,
        init_std: float = 1.0,
        clip_value: float = 5.0,
        link: str = "softplus",
        floor: float = SCALE_FLOOR,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        self.cell_type = cell_type
        self.units = units
        self.init_std = init_std
        self.clip_value = clip_value
        self.rnn = Recurrent(units, cell_type, clip_value=clip_value, name="rnn", dtype=self.dtype_policy)
        self.link = link
        self.floor = floor
        self.head = GaussianHead(size, init_std, scale_link=link, floor=floor, name="head", dtype=self.dtype_policy)
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.rnn.build((None, None, self.size))
            self.head.build((None, self.units))

    def conditional(self, z: Any) -> Gaussian:
        previous = ops.concatenate([ops.zeros_like(z[..., :1, :]), z[..., :-1, :]], axis=-2)
        p = self.head(self.rnn(_fold(previous)))
        return Gaussian(_unfold(p.loc, z), _unfold(p.scale, z))

    def rollout(self, noise: Any) -> Any:
        folded = tf.transpose(_fold(ops.convert_to_tensor(noise)), [1, 0, 2])
        kernel, bias, shared = self.rnn.packed()
        rows = tf.shape(folded)[1]
        start = (tf.zeros((rows, self.size), folded.dtype), *self.rnn.start(rows))
        # Automatic differentiation reaches the head's variables, and this path is for comparison and for drawing.
        lane = Lane(FreeRunningStep(self.rnn.cell, self.head), (folded,), start, (kernel, bias, *shared))
        (states,) = scan([lane], own_gradient=False)
        return _unfold(tf.transpose(states[0], [1, 0, 2]), noise)

    def __repr__(self) -> str:
        return (
            f"RecurrentPrior(event size {self.size}, {self.cell_type} of {self.units} units, "
            f"kl {self.kl_mode}, {self.rollout_mode})"
        )

    def get_config(self) -> dict[str, Any]:
        config = {
            name: getattr(self, name) for name in ("cell_type", "units", "init_std", "clip_value", "link", "floor")
        }
        return {**super().get_config(), **config}


class FreeRunningStep(Cell):
    """Feeds each draw back: state (z_{t-1}, *state of the cell), input (noise,), weights (W, b, *those of the cell).

    It has no backward step of its own.

    Args:
        cell: the step of the recurrence.
        head: maps its output to the Gaussian of z_t.
    """

    def __init__(self, cell: Cell, head: GaussianHead):
        self.cell = cell
        self.head = head

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        kernel, bias, *shared = weights
        states, _ = self.cell.forward(state[1:], (tf.matmul(state[0], kernel) + bias,), tuple(shared))
        p = self.head(states[0])
        return (p.loc + p.scale * x[0], *states), ()


def _fold(x: Any) -> Any:
    """(batch, S, time, D) to (batch * S, time, D); rank 3 passes."""
    return x if len(x.shape) == 3 else ops.reshape(x, (-1, *ops.shape(x)[-2:]))


def _unfold(x: Any, like: Any) -> Any:
    """Back to the leading axes of `like`."""
    return x if len(like.shape) == 3 else ops.reshape(x, (*ops.shape(like)[:-1], x.shape[-1]))
