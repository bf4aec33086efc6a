"""The clipped gated recurrent unit of LFADS."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from indl.registry import register


@register
class GRUClipCell(keras.layers.Layer):
    """One step of the clipped GRU.

    ``z, r = sigmoid(x W + b + h U)``, ``n = tanh(x W_n + b_n + (r h) U_n)``,
    ``h' = clip(z h + (1 - z) n, -c, c)``: the reset gate acts before the recurrent product and the clip
    acts on the new state alone. Columns of the kernels are in the order z, r, n; one bias, which starts at
    1 for z and r and at 0 for n (Sussillo et al. 2016, arXiv:1608.06315, section 4.2). An input of width
    0 makes an autonomous cell.

    Args:
        units: size of the state.
        clip_value: bound c of every entry of the state.
        recurrent_regularizer: penalty on the recurrent kernel.
    """

    def __init__(self, units: int, clip_value: float = 5.0, recurrent_regularizer: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        if units < 1 or clip_value <= 0:
            raise ValueError(
                "A clipped GRU needs at least one unit and a positive clip value. "
                f"Given: units={units!r}, clip_value={clip_value!r}. LFADS uses clip_value=5."
            )
        self.units = units
        self.clip_value = clip_value
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.state_size = units
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        scaled = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
        gates = 3 * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], gates), initializer=scaled, trainable=input_shape[-1] > 0, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, gates),
            initializer=scaled.clone(),
            regularizer=self.recurrent_regularizer,
            name="recurrent_kernel",
        )
        self.bias = self.add_weight(shape=(gates,), initializer=_gate_bias, name="bias")

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> Any:
        h = states[0] if isinstance(states, list | tuple) else states
        two = 2 * self.units
        # A product over zero columns aborts the process on CPU, and an autonomous cell needs none.
        x = ops.matmul(inputs, self.kernel) + self.bias if self.kernel.shape[0] else self.bias[None]
        z, r = ops.split(ops.sigmoid(x[:, :two] + ops.matmul(h, self.recurrent_kernel[:, :two])), 2, axis=-1)
        n = ops.tanh(x[:, two:] + ops.matmul(r * h, self.recurrent_kernel[:, two:]))
        h = ops.clip(z * h + (1.0 - z) * n, -self.clip_value, self.clip_value)
        return h, [h] if isinstance(states, list | tuple) else h

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype)]

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "clip_value": self.clip_value,
            "recurrent_regularizer": keras.regularizers.serialize(self.recurrent_regularizer),
        }
        return {**super().get_config(), **config}


@register
class GRUClip(keras.layers.RNN):
    """A layer of :class:`GRUClipCell`: (batch, time, features) to states (batch, time, units), or the last.

    Args:
        units, clip_value, recurrent_regularizer: see :class:`GRUClipCell`.
        **kwargs: arguments of ``keras.layers.RNN``: `return_sequences`, `return_state`, `go_backwards`,
            `stateful`, `unroll`.
    """

    def __init__(self, units: int, clip_value: float = 5.0, recurrent_regularizer: Any = None, **kwargs: Any):
        cell = GRUClipCell(units, clip_value, recurrent_regularizer, name="cell", dtype=kwargs.get("dtype"))
        super().__init__(cell, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        cell = self.cell.get_config()
        return {**config, **{key: cell[key] for key in ("units", "clip_value", "recurrent_regularizer")}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GRUClip:
        return cls(**config)


def _gate_bias(shape: Any, dtype: Any = None) -> Any:
    """Ones on the update and reset gates, zeros on the candidate."""
    units = shape[0] // 3
    return ops.concatenate([ops.ones((2 * units,), dtype), ops.zeros((units,), dtype)])
