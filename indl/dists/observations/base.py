"""What every read-out is: an affine map whose width belongs to its observation model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from indl.layers.session_read_in import each_session, of_trials
from indl.sampling.modes import rows_like


class Readout(keras.layers.Layer):
    """An affine map from factors to the parameters of an observation model of `n_channels` channels.

    The width is ``parameters_per_channel * n_channels``: a block of `n_channels` for each parameter, one after the
    other. A model of its own says in :meth:`observe` what the blocks mean, and in :meth:`bias_for` where to start.

    With `n_sessions` every session has a map of its own, kernels (n_sessions, F, width) and biases (n_sessions, width),
    and the layer is called on the factors and the session of each trial, integers (batch,).
    """

    parameters_per_channel = 1

    def __init__(
        self,
        n_channels: int,
        init_bias: float | list[float] | None = None,
        n_sessions: int | None = None,
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        if isinstance(init_bias, list) and len(init_bias) != n_channels:
            raise ValueError(
                f"The read-out bias needs one value a channel. Given: {len(init_bias)} values for "
                f"{n_channels} channels. Compute it from the target counts."
            )
        self.n_channels = n_channels
        self.init_bias = init_bias
        self.n_sessions = n_sessions

    @property
    def width(self) -> int:
        """Outputs of the affine map."""
        return self.parameters_per_channel * self.n_channels

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_own_weight((input_shape[-1], self.width), _kernel_start, name="kernel")
        self.bias = self.add_own_weight((self.width,), keras.initializers.Zeros, name="bias")
        if self.init_bias is not None:
            self.set_bias(self.init_bias)

    def add_own_weight(self, shape: tuple[int, ...], start: Any, **kwargs: Any) -> Any:
        """A weight that every session has for itself; `start` makes its initializer."""
        if self.n_sessions:
            return self.add_weight(shape=(self.n_sessions, *shape), initializer=each_session(start), **kwargs)
        return self.add_weight(shape=shape, initializer=start(), **kwargs)

    def own(self, weight: Any, session: Any, factors: Any) -> Any:
        """A weight of :meth:`add_own_weight` as it is; of several sessions, for each row of `factors` its own."""
        if not self.n_sessions:
            return weight
        if session is None:
            raise ValueError(
                f"A read-out of several sessions needs the session of each trial. Given: none, for {self.n_sessions} "
                "sessions. Call it with (factors, session), session being integers (batch,)."
            )
        rows = of_trials(weight, rows_like(session, factors))
        return rows[:, None] if len(factors.shape) == 4 else rows

    def set_bias(self, bias: Any) -> None:
        """Sets the bias: one value or one a channel for the first block, with zeros behind, or the whole of it.

        Of several sessions: for all alike, or one row a session.
        """
        bias = ops.cast(bias, self.bias.dtype)
        if bias.shape != self.bias.shape:
            first = ops.broadcast_to(bias, (*self.bias.shape[:-1], self.n_channels))
            bias = ops.concatenate([first, ops.zeros_like(self.bias[..., self.n_channels :])], axis=-1)
        self.bias.assign(bias)

    def bias_for(self, mean: Any) -> Any:
        """The bias, as :meth:`set_bias` takes it, at which zero factors give the means `mean`, one a channel.

        Of several sessions: (n_sessions, n_channels).
        """
        raise NotImplementedError

    def start_at(self, target: Any, session: Any = None) -> None:
        """Sets the bias to where zero factors give the means of `target` (trials, time, channels).

        Of several sessions, each has the mean over its own trials; `session` tells which, integers (trials,). A channel
        that a session never recorded has no weights there, so that its rate is constant, and as small as can be.
        """
        several = self.n_sessions
        if several and np.shape(session) != (len(target),):
            raise ValueError(
                f"The session of every trial of the target is needed. Given: {np.shape(session)} for {len(target)} "
                "trials. Pass recording.train.session."
            )
        number = np.asarray(session, "int64") if several else np.zeros(len(target), "int64")
        # Some trials at a time: the target may be larger than memory.
        total, recorded = np.zeros((2, several or 1, target.shape[-1]))
        for i in range(0, len(target), 256):
            part = np.asarray(target[i : i + 256], "float64")
            np.add.at(total, number[i : i + 256], np.nansum(part, 1))
            np.add.at(recorded, number[i : i + 256], (~np.isnan(part)).sum(1))
        mean = total / np.maximum(recorded, 1)
        if mean.shape[1] != self.n_channels:
            raise ValueError(
                f"The target must have the read-out's channels. Given: {mean.shape[1]} channels for a read-out "
                f"of {self.n_channels}. Pass the array that the model is trained on."
            )
        self.set_bias(self.bias_for(mean if several else mean[0]))
        if several:
            exists = np.tile(recorded > 0, self.parameters_per_channel)[:, None]
            self.kernel.assign(np.where(exists, np.asarray(self.kernel), 0))

    def affine(self, factors: Any, session: Any = None) -> Any:
        kernel, bias = self.own(self.kernel, session, factors), self.own(self.bias, session, factors)
        return ops.matmul(factors, kernel) + (bias[..., None, :] if self.n_sessions else bias)

    def observe(self, u: Any) -> Any:
        """The observation model of the affine map's output `u`, shape (..., width)."""
        raise NotImplementedError

    def call(self, factors: Any, session: Any = None) -> Any:
        return self.observe(self.affine(factors, session))

    def blocks(self, u: Any) -> list[Any]:
        """One array (..., n_channels) for each parameter.

        Raises:
            ValueError: `u` does not have the read-out's width.
        """
        if u.shape[-1] != self.width:
            raise ValueError(
                f"The output does not have the read-out's width. Given: {u.shape[-1]} values for {self.n_channels} "
                f"channels. Pass {self.parameters_per_channel} a channel, {self.width} in all."
            )
        n = self.n_channels
        return [u[..., i * n : (i + 1) * n] for i in range(self.parameters_per_channel)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_channels": self.n_channels,
            "init_bias": self.init_bias,
            "n_sessions": self.n_sessions,
        }


def _kernel_start() -> Any:
    return keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
