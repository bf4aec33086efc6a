"""A recurrent prior: an RNN reads z_<t and gives the Gaussian of z_t."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.dists.gaussian import Gaussian
from indl.dists.head import GaussianHead
from indl.dists.priors.base import SequencePrior
from indl.registry import register
from indl.rnn.stack import make_cell


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
        kl_mode, rollout, seed: see :class:`~indl.dists.priors.base.SequencePrior`.
    """

    def __init__(
        self,
        size: int,
        cell_type: str = "LSTM",
        units: int = 8,
        init_std: float = 1.0,
        clip_value: float = 5.0,
        **kwargs: Any,
    ):
        super().__init__(size, **kwargs)
        self.cell_type = cell_type
        self.units = units
        self.init_std = init_std
        self.clip_value = clip_value
        self.cell = make_cell(cell_type, units, clip_value=clip_value)
        self.head = GaussianHead(size, init_std, name="head")
        self.teacher = keras.layers.RNN(self.cell, return_sequences=True, name="teacher")
        self.free = keras.layers.RNN(FreeRunningCell(self.cell, self.head), return_sequences=True, name="free")
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.teacher.build((None, None, self.size))
            self.head.build((None, self.units))
            self.free.build((None, None, self.size))

    def conditional(self, z: Any) -> Gaussian:
        previous = ops.concatenate([ops.zeros_like(z[..., :1, :]), z[..., :-1, :]], axis=-2)
        states = self.teacher(_fold(previous))
        return Gaussian(*(_unfold(part, z) for part in self.head(states)))

    def rollout(self, noise: Any) -> Any:
        return _unfold(self.free(_fold(noise)), noise)

    def __repr__(self) -> str:
        return (
            f"RecurrentPrior(event size {self.size}, {self.cell_type} of {self.units} units, "
            f"kl {self.kl_mode}, {self.rollout_mode})"
        )

    def get_config(self) -> dict[str, Any]:
        config = {name: getattr(self, name) for name in ("cell_type", "units", "init_std", "clip_value")}
        return {**super().get_config(), **config}


class FreeRunningCell(keras.layers.Layer):
    """Feeds each draw back: input is the step's noise, state is [z_{t-1}, *state of the cell], output z_t.

    It lives inside :class:`RecurrentPrior` only, which re-creates it.
    """

    def __init__(self, cell: Any, head: GaussianHead, **kwargs: Any):
        super().__init__(**kwargs)
        self.cell = cell
        self.head = head
        sizes = cell.state_size
        self.state_size = [head.size, *(sizes if isinstance(sizes, list | tuple) else [sizes])]
        self.output_size = head.size

    def build(self, input_shape: Any) -> None:
        """The cell and the head are built by the prior."""

    def call(self, noise: Any, states: Any, training: bool | None = None) -> Any:
        output, new_states = self.cell(states[0], list(states[1:]))
        step = self.head(output)
        z = step.loc + step.scale * noise
        return z, [z, *new_states]


def _fold(x: Any) -> Any:
    """(batch, S, time, D) to (batch * S, time, D); rank 3 passes."""
    return x if len(x.shape) == 3 else ops.reshape(x, (-1, *ops.shape(x)[-2:]))


def _unfold(x: Any, like: Any) -> Any:
    """Back to the leading axes of `like`."""
    return x if len(like.shape) == 3 else ops.reshape(x, (*ops.shape(like)[:-1], x.shape[-1]))
