"""The steps of the recurrent cells, forward and backward.

Columns of the kernels hold the gates side by side. Inputs arrive as pre-activations: ``x W`` and the input's bias are
added before the loop.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.rnn.scan import Cell, product


class RecurrentCell(Cell):
    """A step with the variables it needs: a kernel, a recurrent kernel and a bias.

    What is here is what most cells of Keras share.

    Attributes:
        gates: blocks of `units` columns in a kernel.
        n_states: components of the state, each of size `units`; the first one is the cell's output.
    """

    gates = 1
    n_states = 1

    def initializers(self) -> tuple[Any, Any]:
        """How the kernel and the recurrent kernel start: as in the layers of Keras."""
        return keras.initializers.GlorotUniform(), keras.initializers.Orthogonal()

    def bias_shape(self, units: int) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * units,)

    def initial_bias(self, shape: Any, dtype: Any = None) -> Any:
        """How the bias starts."""
        return ops.zeros(shape, dtype)

    def input_bias(self, bias: Any) -> Any:
        """The part of the bias that is added before the loop."""
        return bias

    def shared(self, recurrent_kernel: Any, bias: Any) -> tuple:
        """What every step reads."""
        return (recurrent_kernel,)


class GRUClipStep(RecurrentCell):
    """The clipped GRU: state (h,), input (x W + b,) with columns z, r, n, weights (U, U_n).

    ``z, r = sigmoid(a + h U)``, ``n = tanh(a_n + (r h) U_n)``, ``h' = clip(z h + (1 - z) n, -c, c)``: the reset gate
    acts before the recurrent product and the clip on the new state alone (Sussillo et al. 2016, arXiv:1608.06315,
    section 4.2).

    Args:
        clip_value: bound c of every entry of the state.
    """

    gates = 3
    inputs_replaced = gradients_replaced = 1

    def __init__(self, clip_value: float = 5.0):
        self.clip_value = clip_value

    def initializers(self) -> tuple[Any, Any]:
        """Both kernels normal, with variance 1 / (rows)."""
        scaled = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
        return scaled, scaled.clone()

    def initial_bias(self, shape: Any, dtype: Any = None) -> Any:
        """Ones on the update and reset gates, zeros on the candidate."""
        return ops.concatenate([ops.ones((shape[0] // 3 * 2,), dtype), ops.zeros((shape[0] // 3,), dtype)])

    def shared(self, recurrent_kernel: Any, bias: Any) -> tuple:
        """The recurrent kernel of both gates, and that of the candidate; taken apart once, not in every bin."""
        units = recurrent_kernel.shape[0]
        return tuple(tf.split(recurrent_kernel, [2 * units, units], axis=-1))

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        h, gates = self.step(state[0], x[0], weights)
        return (h,), (gates,)

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        d_h, d_a, reset = self.step_back(d_state[0], previous[0], state[0], kept[0], weights)
        return (d_h,), (d_a,), (reset,)

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        return self.kernel_gradients(previous[0], taps[0], d_x[0])

    def step(self, h: Any, a: Any, weights: tuple) -> tuple[Any, Any]:
        """The new state, and its gates z, r, n side by side."""
        units, (u, u_n) = h.shape[-1], weights
        # A split is one operation, a slice four; there are many cells in a graph.
        a_zr, a_n = tf.split(a, [2 * units, units], axis=-1)
        zr = tf.sigmoid(a_zr + tf.matmul(h, u))
        z, r = tf.split(zr, 2, axis=-1)
        n = tf.tanh(a_n + tf.matmul(r * h, u_n))
        return tf.clip_by_value(z * h + (1 - z) * n, -self.clip_value, self.clip_value), tf.concat([zr, n], -1)

    def step_back(self, d_h: Any, h: Any, new: Any, gates: Any, weights: tuple) -> tuple[Any, Any, Any]:
        """Gradients of the previous state `h` and of the pre-activations, and r h; `new` is the state after."""
        u, u_n = weights
        z, r, n = tf.split(gates, 3, axis=-1)
        d = tf.where(tf.abs(new) < self.clip_value, d_h, tf.zeros_like(d_h))
        d_n = d * (1 - z) * (1 - n * n)
        d_rh = tf.matmul(d_n, u_n, transpose_b=True)
        d_zr = tf.concat([d * (h - n) * z * (1 - z), d_rh * h * r * (1 - r)], -1)
        d_previous = d * z + d_rh * r + tf.matmul(d_zr, u, transpose_b=True)
        return d_previous, tf.concat([d_zr, d_n], -1), r * h

    @staticmethod
    def kernel_gradients(h: Any, reset: Any, d_a: Any) -> list[Any]:
        """The gradients of U and U_n from the stacks of previous states h, of r h and of pre-activation gradients."""
        units = h.shape[-1]
        d_zr, d_n = tf.split(d_a, [2 * units, units], axis=-1)
        return [product(h, d_zr), product(reset, d_n)]


class GRUStep(RecurrentCell):
    """The GRU of Keras: state (h,), input (x W + b_0,) with columns z, r, n, weights (U, b_1).

    ``z, r = sigmoid(a + h U + b_1)``, ``n = tanh(a_n + r (h U_n + b_1n))``, ``h' = z h + (1 - z) n``: the reset gate
    acts after the recurrent product, ``reset_after=True`` (Cho et al. 2014, arXiv:1406.1078v1). The bias has
    two rows, of the input and of the recurrent product.
    """

    gates = 3
    inputs_replaced = gradients_replaced = 1

    def bias_shape(self, units: int) -> tuple[int, ...]:
        return (2, 3 * units)

    def input_bias(self, bias: Any) -> Any:
        return bias[0]

    def shared(self, recurrent_kernel: Any, bias: Any) -> tuple:
        return recurrent_kernel, bias[1]

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        h, units = state[0], state[0].shape[-1]
        sizes = [2 * units, units]
        inner_zr, inner_n = tf.split(tf.matmul(h, weights[0]) + weights[1], sizes, axis=-1)
        x_zr, x_n = tf.split(x[0], sizes, axis=-1)
        zr = tf.sigmoid(x_zr + inner_zr)
        z, r = tf.split(zr, 2, axis=-1)
        reset = r * inner_n
        n = tf.tanh(x_n + reset)
        return (z * h + (1 - z) * n,), (tf.concat([zr, n], -1), reset)

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        d, h = d_state[0], previous[0]
        z, r, n = tf.split(kept[0], 3, axis=-1)
        reset = kept[1]
        d_n = d * (1 - z) * (1 - n * n)
        d_zr = tf.concat([d * (h - n) * z * (1 - z), d_n * reset * (1 - r)], -1)
        d_reset = d_n * r
        d_inner = tf.concat([d_zr, d_reset], -1)
        return (d * z + tf.matmul(d_inner, weights[0], transpose_b=True),), (tf.concat([d_zr, d_n], -1),), (d_reset,)

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        d_zr = d_x[0][..., : 2 * taps[0].shape[-1]]
        return [
            tf.concat([product(previous[0], part) for part in (d_zr, taps[0])], -1),
            tf.concat([tf.reduce_sum(part, (0, 1)) for part in (d_zr, taps[0])], -1),
        ]


class LSTMStep(RecurrentCell):
    """The LSTM of Keras: state (h, c), input (x W + b,) with columns i, f, g, o, weights (U,).

    ``i, f, o = sigmoid(a + h U)``, ``g = tanh(a_g + h U_g)``, ``c' = f c + i g``, ``h' = o tanh(c')`` (Hochreiter &
    Schmidhuber 1997; the bias of the forget gate starts at 1, Jozefowicz et al. 2015).
    """

    gates, n_states = 4, 2
    inputs_replaced = 1

    def initial_bias(self, shape: Any, dtype: Any = None) -> Any:
        """Ones on the forget gate, zeros elsewhere."""
        units = shape[0] // 4
        return ops.concatenate([ops.zeros((units,), dtype), ops.ones((units,), dtype), ops.zeros((2 * units,), dtype)])

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        h, c = state
        i, f, g, o = tf.split(x[0] + tf.matmul(h, weights[0]), 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        return (o * tf.tanh(c), c), (tf.concat([i, f, g, o], -1),)

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        i, f, g, o = tf.split(kept[0], 4, axis=-1)
        out = tf.tanh(state[1])
        d_c = d_state[1] + d_state[0] * o * (1 - out * out)
        d_i, d_f, d_g, d_o = d_c * g, d_c * previous[1], d_c * i, d_state[0] * out
        d_a = tf.concat([d_i * i * (1 - i), d_f * f * (1 - f), d_g * (1 - g * g), d_o * o * (1 - o)], -1)
        return (tf.matmul(d_a, weights[0], transpose_b=True), d_c * f), (d_a,), ()

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        return [product(previous[0], d_x[0])]


class SimpleRNNStep(RecurrentCell):
    """The plain recurrence of Keras: state (h,), input (x W + b,), weights (U,); ``h' = tanh(a + h U)``."""

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        return (tf.tanh(x[0] + tf.matmul(state[0], weights[0])),), ()

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        d_a = d_state[0] * (1 - state[0] * state[0])
        return (tf.matmul(d_a, weights[0], transpose_b=True),), (d_a,), ()

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        return [product(previous[0], d_x[0])]


class ReLURNNStep(SimpleRNNStep):
    """The plain recurrence with rectified units: ``h' = relu(a + h U)`` (pyro's deep Markov model)."""

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        return (tf.nn.relu(x[0] + tf.matmul(state[0], weights[0])),), ()

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        d_a = tf.where(state[0] > 0, d_state[0], tf.zeros_like(d_state[0]))
        return (tf.matmul(d_a, weights[0], transpose_b=True),), (d_a,), ()


CELLS = {"LSTM": LSTMStep, "GRU": GRUStep, "GRUClip": GRUClipStep, "SimpleRNN": SimpleRNNStep, "ReLURNN": ReLURNNStep}
