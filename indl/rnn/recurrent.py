"""The recurrent layer: one direction or both, of any cell, on the loop of :mod:`indl.rnn.scan`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.registry import register
from indl.rnn.cells import CELLS
from indl.rnn.scan import Lane, scan


@register
class Recurrent(keras.layers.Layer):
    """Runs a recurrent cell over (batch, time, features) and returns the states of every bin.

    Args:
        units: size of the state of each direction.
        cell: ``"GRUClip"`` (the clipped GRU of LFADS), ``"GRU"``, ``"LSTM"``, ``"SimpleRNN"`` or ``"ReLURNN"`` (its
            rectified form), all but the first with the formulas and weights of Keras.
        directions: ``"forward"``, ``"backward"``, or ``"both"``: two recurrences with weights of their own, in one
            loop.
        clip_value: bound of every entry of a GRUClip state.
        train_state: learn the initial state of each direction, from zero, where the call gives none.
        joint_init: kernels start with variance 1 / (features + units), the encoders of LFADS; else as the cell says.
        recurrent_regularizer: penalty on the recurrent kernels.
    """

    def __init__(
        self,
        units: int,
        cell: str = "GRUClip",
        directions: str = "forward",
        clip_value: float = 5.0,
        train_state: bool = False,
        joint_init: bool = False,
        recurrent_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if units < 1 or clip_value <= 0 or cell not in CELLS or directions not in ("forward", "backward", "both"):
            raise ValueError(
                "A recurrent layer needs at least one unit, a positive clip value, a cell and its directions. Given: "
                f"units={units!r}, clip_value={clip_value!r}, cell={cell!r}, directions={directions!r}. Cells are "
                f"{', '.join(CELLS)}; directions are forward, backward and both."
            )
        self.units = units
        self.cell_type = cell
        self.directions = directions
        self.clip_value = clip_value
        self.train_state = train_state
        self.joint_init = joint_init
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.cell = CELLS[cell](clip_value) if cell == "GRUClip" else CELLS[cell]()
        self.supports_masking = True

    @property
    def ways(self) -> tuple[str, ...]:
        """The directions that run."""
        return ("forward", "backward") if self.directions == "both" else (self.directions,)

    def build(self, input_shape: Any) -> None:
        features, width = input_shape[-1], self.cell.gates * self.units
        self.weights_of = {}
        for way in self.ways:
            self.weights_of[way] = self._direction(way, features, width)

    def _direction(self, way: str, features: int, width: int) -> dict[str, Any]:
        """The variables of one direction."""
        initializer, recurrent_initializer = self.cell.initializers()
        if self.joint_init:
            initializer = keras.initializers.RandomNormal(stddev=(features + self.units) ** -0.5)
            recurrent_initializer = initializer.clone()
        weights = {
            "kernel": self.add_weight(
                shape=(features, width), initializer=initializer, trainable=features > 0, name=f"{way}_kernel"
            ),
            "recurrent_kernel": self.add_weight(
                shape=(self.units, width),
                initializer=recurrent_initializer,
                regularizer=self.recurrent_regularizer,
                name=f"{way}_recurrent_kernel",
            ),
            "bias": self.add_weight(
                shape=self.cell.bias_shape(self.units), initializer=self.cell.initial_bias, name=f"{way}_bias"
            ),
        }
        if self.train_state:
            weights["initial_state"] = self.add_weight(
                shape=(self.cell.n_states, self.units), initializer="zeros", name=f"{way}_initial_state"
            )
        return weights

    def packed(self, way: str = "forward") -> tuple[Any, Any, tuple]:
        """Kernel (features, columns) and bias of the input, and what every step of a direction shares."""
        weights = {name: ops.cast(value, self.compute_dtype) for name, value in self.weights_of[way].items()}
        shared = self.cell.shared(weights["recurrent_kernel"], weights["bias"])
        return weights["kernel"], self.cell.input_bias(weights["bias"]), shared

    def start(self, rows: Any, way: str = "forward") -> tuple:
        """The state before the first bin of so many trials: the trained one, or zeros.

        Args:
            rows: number of trials.
            way: the direction, ``"forward"`` or ``"backward"``.

        Returns:
            The components of the state, each (rows, units).
        """
        zeros = tf.zeros((rows, self.units), self.compute_dtype)
        if not self.train_state:
            return (zeros,) * self.cell.n_states
        trained = ops.cast(self.weights_of[way]["initial_state"], self.compute_dtype)
        return tuple(part + zeros for part in tf.split(trained, self.cell.n_states))

    def step(self, state: tuple, x: Any) -> tuple:
        """The state after one more bin: what :meth:`call` does for all bins at once, at inference.

        Args:
            state: the components of the state before the bin, each (batch, units), from :meth:`start` or this method.
            x: the bin, an array or tensor (batch, features).

        Returns:
            The components of the state after it; the first one is the layer's output.

        Raises:
            ValueError: a layer that is not built, or that does not run forward in time alone.
        """
        if self.directions != "forward" or not self.built:
            raise ValueError(
                "Only a layer that is built and runs forward goes on bin by bin. Given: "
                f"directions={self.directions!r}, {'built' if self.built else 'not built'}. Call it on whole trials "
                "first; one that reads later bins needs them all."
            )
        kernel, bias, shared = self.packed()
        state = tuple(ops.cast(part, self.compute_dtype) for part in state)
        return self.cell.forward(state, (project(ops.cast(x, self.compute_dtype)[None], kernel, bias)[0],), shared)[0]

    def call(self, x: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        """States of every bin, in the order of the bins.

        Args:
            x: (batch, time, features).
            initial_state: for each direction in turn the components of its state, (batch, units) each. Default: the
                trained one, or zeros.
            mask: bool (batch, time); bins where it is False pass the state on unchanged.
            training: keeps what the own gradient needs. False: nothing is kept, gradients are still right.

        Returns:
            (batch, time, units); for both directions a tuple of forward and backward states.
        """
        x = tf.transpose(ops.convert_to_tensor(x), [1, 0, 2])
        mask = None if mask is None else tf.transpose(mask)[..., None]
        n = self.cell.n_states
        # A state of one row is that of every trial.
        given = tuple(part + tf.zeros((tf.shape(x)[1], 1), x.dtype) for part in initial_state or ())
        lanes = []
        for i, way in enumerate(self.ways):
            kernel, bias, shared = self.packed(way)
            start = given[i * n : (i + 1) * n] if given else self.start(tf.shape(x)[1], way)
            lanes.append(Lane(self.cell, (project(x, kernel, bias),), start, shared, way == "backward", mask))
        # The first component of a state is the cell's output.
        found = [tf.transpose(states[0], [1, 0, 2]) for states in scan(lanes, own_gradient=bool(training))]
        return tuple(found) if self.directions == "both" else found[0]

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        """None: masks travel as tensors of their own, since attached ones are lost in sampling and reshaping."""
        return None

    def compute_output_spec(
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        states = [keras.KerasTensor((*x.shape[:2], self.units), self.compute_dtype) for _ in self.ways]
        return tuple(states) if self.directions == "both" else states[0]

    def get_config(self) -> dict[str, Any]:
        names = ("units", "directions", "clip_value", "train_state", "joint_init")
        config = {name: getattr(self, name) for name in names}
        config["cell"] = self.cell_type
        config["recurrent_regularizer"] = keras.regularizers.serialize(self.recurrent_regularizer)
        return {**super().get_config(), **config}


def project(x: Any, kernel: Any, bias: Any) -> Any:
    """``x W + b`` of all bins at once, (time, batch, columns)."""
    if not kernel.shape[0]:
        # A product over zero columns aborts the process on CPU; a sum over them is zero, and x keeps a gradient.
        return tf.cast(tf.reduce_sum(x, -1, keepdims=True), bias.dtype) + bias
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel) + bias
    return tf.reshape(flat, (*tf.unstack(tf.shape(x)[:2]), kernel.shape[1]))
