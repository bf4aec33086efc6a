"""The complex cell of LFADS: controller, inferred inputs, generator and factors in one recurrence."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.layers.masks import dropout_mask
from indl.registry import register
from indl.rnn.cells import GRUClipStep
from indl.rnn.recurrent import project
from indl.rnn.scan import Cell, Lane, product, scan
from indl.sampling.layer import Sampler
from indl.sampling.modes import current_sampling, repeated

#: The state of a complex cell by name, in the order of :class:`ComplexStep`.
STATE = ("gen_states", "con_states", "factors", "z_loc", "z_scale", "z")


class ComplexStep(Cell):
    """One step of controller, inferred input, generator and factors (Sussillo et al. 2016, arXiv:1608.06315).

    With the projected encoding a and external input e::

        c_t = GRU(a_t + (f_{t-1} m^f_t) K_f, c_{t-1})
        mu, log v = c_t W_u + b_u;   u_t = mu + sqrt(v) eps_t
        g_t = GRU(e_t + u_t K_u, g_{t-1})
        f_t = (g_t m^g_t) W_f

    State: (g, c, f, mu, standard deviation, u). Weights: (K_f, W_u, b_u, K_u, W_f), then the two of
    the controller's and the two of the generator's recurrence.

    Args:
        clip_value: bound of both GRU states.
        dropout: whether the masks m^f and m^g are among the inputs.
        inputs: what u is: ``"mean"`` (mu), ``"noise"`` (the last input is eps) or ``"given"`` (the last input is u).
    """

    inputs_replaced = 2
    gradients_replaced = 3

    def __init__(self, clip_value: float, dropout: bool, inputs: str):
        self.gru = GRUClipStep(clip_value)
        self.dropout = dropout
        self.inputs = inputs

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        g, c, f = state[:3]
        encoded, external, on_f, on_g, driven = self._parts(x)
        k_f, w_u, b_u, k_u, w_f = weights[:5]
        c, gates_c = self.gru.step(c, encoded + tf.matmul(_times(f, on_f), k_f), weights[5:7])
        mu, log_variance = tf.split(tf.matmul(c, w_u) + b_u, 2, axis=-1)
        std = tf.exp(0.5 * log_variance)
        u = mu if driven is None else driven if self.inputs == "given" else mu + std * driven
        g, gates_g = self.gru.step(g, external + tf.matmul(u, k_u), weights[7:])
        return (g, c, tf.matmul(_times(g, on_g), w_f), mu, std, u), (gates_c, gates_g)

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        d_g, d_c, d_f, d_mu, d_std, d_u = d_state
        _, _, on_f, on_g, driven = self._parts(x)
        k_f, w_u, _, k_u, w_f = weights[:5]
        d_g = d_g + _times(tf.matmul(d_f, w_f, transpose_b=True), on_g)
        d_g, d_external, reset_g = self.gru.step_back(d_g, previous[0], state[0], kept[1], weights[7:])
        d_u = d_u + tf.matmul(d_external, k_u, transpose_b=True)
        if self.inputs == "noise":
            d_std = d_std + d_u * driven
        d_mu = d_mu if self.inputs == "given" else d_mu + d_u
        d_posterior = tf.concat([d_mu, 0.5 * d_std * state[4]], -1)
        d_c = d_c + tf.matmul(d_posterior, w_u, transpose_b=True)
        d_c, d_encoded, reset_c = self.gru.step_back(d_c, previous[1], state[1], kept[0], weights[5:7])
        d_previous_f = _times(tf.matmul(d_encoded, k_f, transpose_b=True), on_f)
        nothing = tf.zeros_like(d_mu)
        taps = (reset_g, reset_c, d_f, d_posterior)
        d_x = (d_encoded, d_external, *([None] * (len(x) - 3)), d_u if self.inputs == "given" else None)
        return (d_g, d_c, d_previous_f, nothing, nothing, nothing), d_x[: len(x)], taps

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        _, _, on_f, on_g, _ = self._parts(x)
        d_encoded, d_external = d_x[:2]
        reset_g, reset_c, d_f, d_posterior = taps
        return [
            product(_times(previous[2], on_f), d_encoded),
            product(states[1], d_posterior),
            tf.reduce_sum(d_posterior, (0, 1)),
            product(states[5], d_external),
            product(_times(states[0], on_g), d_f),
            *self.gru.kernel_gradients(previous[1], reset_c, d_encoded),
            *self.gru.kernel_gradients(previous[0], reset_g, d_external),
        ]

    def _parts(self, x: tuple) -> tuple[Any, Any, Any, Any, Any]:
        """Encoding, external input, both masks, and what drives u; None for what is not there."""
        encoded, external, *rest = x
        on_f, on_g = rest[:2] if self.dropout else (None, None)
        return encoded, external, on_f, on_g, None if self.inputs == "mean" else rest[-1]


@register
class ComplexGenerator(Sampler):
    """The generator of LFADS with its controller, or without one, as a layer.

    Without an encoding there is no controller: the generator is autonomous, or driven by external inputs alone.
    The factor matrix enters with each column scaled to unit L2 norm. Dropout acts on the encoding and the factors
    that the controller reads, on external inputs, and on the generator state where it becomes factors; never on
    the states themselves. Initial states are not clipped.

    Args:
        units: units of the generator.
        n_factors: number of factors.
        controller_units: units of the controller.
        size: size of the inferred input.
        init_std: standard deviation of the inferred input's posterior at the start.
        clip_value: bound of both GRU states.
        dropout_rate: ordinary dropout.
        generator_regularizer, controller_regularizer: penalties on the recurrent kernels.
        at_test, draws, seed: see :class:`~indl.sampling.layer.Sampler`.
    """

    def __init__(
        self,
        units: int,
        n_factors: int,
        controller_units: int = 0,
        size: int = 0,
        init_std: float = 1.0,
        clip_value: float = 5.0,
        dropout_rate: float = 0.0,
        generator_regularizer: Any = None,
        controller_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if min(units, n_factors) < 1 or (controller_units > 0) != (size > 0) or min(controller_units, size) < 0:
            raise ValueError(
                "The complex cell needs a generator and factors, and a controller together with inferred inputs or "
                f"neither. Given: units={units!r}, n_factors={n_factors!r}, controller_units={controller_units!r}, "
                f"size={size!r}. Set both of the last two to 0 for an autonomous generator."
            )
        if clip_value <= 0:
            raise ValueError(
                f"The bound that clips the states must be above zero. Given: clip_value={clip_value!r}. LFADS uses 5."
            )
        self.units = units
        self.n_factors = n_factors
        self.controller_units = controller_units
        self.size = size
        self.init_std = init_std
        self.clip_value = clip_value
        self.dropout_rate = dropout_rate
        self.generator_regularizer = keras.regularizers.get(generator_regularizer)
        self.controller_regularizer = keras.regularizers.get(controller_regularizer)
        self.gru = GRUClipStep(clip_value)

    def build(self, initial_shape: Any, encoded_shape: Any = None, external_shape: Any = None) -> None:
        if (encoded_shape is None) != (self.size == 0):
            raise ValueError(
                "A controller reads the encoding of every bin, and an autonomous generator none. Given: size="
                f"{self.size} with an encoding of shape {encoded_shape}. Pass the z-encoder's output, or size=0."
            )
        self.n_external = 0 if external_shape is None else external_shape[-1]
        self.generator = self._gru("generator", self.size + self.n_external, self.units, self.generator_regularizer)
        self.factors_kernel = self._kernel("factors_kernel", self.units, self.n_factors)
        if self.size:
            width = encoded_shape[-1] + self.n_factors
            self.controller = self._gru("controller", width, self.controller_units, self.controller_regularizer)
            self.controller_state = self.add_weight(
                shape=(self.controller_units,), initializer="zeros", name="controller_initial_state"
            )
            self.posterior_kernel = self._kernel("posterior_kernel", self.controller_units, 2 * self.size)
            self.posterior_bias = self.add_weight(
                shape=(2 * self.size,), initializer=self._posterior_bias, name="posterior_bias"
            )

    def _kernel(self, name: str, rows: int, columns: int, **kwargs: Any) -> Any:
        scaled = keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
        return self.add_weight(shape=(rows, columns), initializer=scaled, trainable=rows > 0, name=name, **kwargs)

    def _gru(self, name: str, width: int, units: int, regularizer: Any) -> dict[str, Any]:
        return {
            "kernel": self._kernel(f"{name}_kernel", width, 3 * units),
            "recurrent_kernel": self._kernel(f"{name}_recurrent_kernel", units, 3 * units, regularizer=regularizer),
            "bias": self.add_weight(shape=(3 * units,), initializer=self.gru.initial_bias, name=f"{name}_bias"),
        }

    def _posterior_bias(self, shape: Any, dtype: Any = None) -> Any:
        """Means of zero, and log variances at which the standard deviation is `init_std`."""
        level = 2 * ops.log(ops.cast(self.init_std, dtype))
        return ops.concatenate([ops.zeros((self.size,), dtype), ops.zeros((self.size,), dtype) + level])

    def call(
        self, initial: Any, encoded: Any = None, external: Any = None, steps: Any = None, training: bool | None = None
    ) -> dict[str, Any]:
        """Runs the generator.

        Args:
            initial: initial state of the generator, (batch[, S], units).
            encoded: what the controller reads, (batch[, S], time, E).
            external: observed external input, (batch, time, D).
            steps: number of bins, where neither of the two tells it.
            training: dropout and sampling on.

        Returns:
            ``gen_states`` (batch[, S], time, units) and ``factors`` (batch[, S], time, n_factors); with a controller
            also ``con_states``, ``z_loc``, ``z_scale`` and ``z``, the sample that has driven the generator.
        """
        self._check(encoded, external)
        samples = initial.shape[1] if len(initial.shape) == 3 else None
        mode = current_sampling()
        if mode is not None:
            initial = mode.fill(initial)
        rows = ops.shape(initial)[0] * (samples or 1)
        initial = ops.reshape(initial, (rows, self.units))
        encoded, external = (None if part is None else _time_major(part, rows) for part in (encoded, external))
        found = encoded if encoded is not None else external
        steps = ops.shape(found)[0] if found is not None else steps
        if self.size:
            states = self._controlled(initial, encoded, external, steps, training)
        else:
            states = self._autonomous(initial, external, steps, training)
        states = {name: ops.transpose(value, (1, 0, 2)) for name, value in states.items()}
        if samples is None:
            return states
        return {name: ops.reshape(value, (-1, samples, *ops.shape(value)[1:])) for name, value in states.items()}

    def _check(self, encoded: Any, external: Any) -> None:
        width = 0 if external is None else external.shape[-1]
        bins = [part.shape[-2] for part in (encoded, external) if part is not None]
        if width != self.n_external or len({size for size in bins if size is not None}) > 1:
            raise ValueError(
                "The external input does not fit the generator. Given: "
                f"{width} dimensions for {self.n_external}, bins {bins} of encoding and external input. Pass (batch, "
                "time, dimensions) as the layer was built for, with the bins of the encoding."
            )

    def start(self, initial: Any) -> dict[str, Any]:
        """The state before the first bin, for :meth:`step`.

        Args:
            initial: initial state of the generator, (rows, units).

        Returns:
            By the names of :data:`STATE`, ``gen_states`` and ``factors``, and with a controller ``con_states``; what
            has been inferred, ``z_loc``, ``z_scale`` and ``z``, is zero.
        """
        initial = ops.cast(initial, self.compute_dtype)
        factors = ops.matmul(initial, self.normalized_factors())
        if not self.size:
            return {"gen_states": initial, "factors": factors}
        return dict(zip(STATE, self._state(initial, factors), strict=True))

    def step(
        self, state: dict[str, Any], encoded: Any = None, external: Any = None, noise: Any = None
    ) -> dict[str, Any]:
        """The state after one more bin: what :meth:`call` does for all bins at once, at inference.

        Args:
            state: from :meth:`start` or this method.
            encoded: what the controller reads, (rows, E).
            external: observed external input, (rows, D).
            noise: standard normal draws (rows, size) for the inferred input. Default: its mean.

        Returns:
            What :meth:`call` returns, for this bin.

        Raises:
            ValueError: a layer that is not built, or an encoding, external input or noise that it does not take.
        """
        parts = [None if part is None else ops.cast(part, self.compute_dtype) for part in (encoded, external, noise)]
        widths = tuple(0 if part is None else part.shape[-1] for part in parts)
        wanted = (self._n_encoded(), self.n_external, self.size if noise is not None else 0) if self.built else None
        if widths != wanted:
            raise ValueError(
                "A bin does not fit the generator. Given: encoding, external input and noise of the widths "
                f"{widths}, for {wanted or 'a layer that is not built'}. Pass (rows, width) of each that the layer was "
                "built for, and noise only with a controller."
            )
        state = {name: ops.cast(value, self.compute_dtype) for name, value in state.items()}
        encoded, external, noise = parts
        driven = self._external(None if external is None else external[None], 1, False)[0]
        if not self.size:
            (states,), _ = self.gru.forward((state["gen_states"],), (driven,), self._packed())
            return {"gen_states": states, "factors": ops.matmul(states, self.normalized_factors())}
        cell = ComplexStep(self.clip_value, False, "mean" if noise is None else "noise")
        x = (self._encoding(encoded[None], False)[0], driven, *(() if noise is None else (noise,)))
        states, _ = cell.forward(tuple(state[name] for name in STATE), x, self._packed())
        return dict(zip(STATE, states, strict=True))

    def _n_encoded(self) -> int:
        return self.controller["kernel"].shape[0] - self.n_factors if self.size else 0

    def _cast(self, variable: Any) -> Any:
        return ops.cast(variable, self.compute_dtype)

    def _packed(self) -> tuple:
        """What every step shares: the weights of :class:`ComplexStep`, or without a controller those of the GRU."""
        generator = self.gru.shared(self._cast(self.generator["recurrent_kernel"]), self._cast(self.generator["bias"]))
        if not self.size:
            return generator
        kernel, recurrent, bias = (self._cast(self.controller[name]) for name in ("kernel", "recurrent_kernel", "bias"))
        return (
            kernel[-self.n_factors :],
            self._cast(self.posterior_kernel),
            self._cast(self.posterior_bias),
            self._cast(self.generator["kernel"])[: self.size],
            self.normalized_factors(),
            *self.gru.shared(recurrent, bias),
            *generator,
        )

    def _state(self, initial: Any, factors: Any) -> tuple:
        """The state of :class:`ComplexStep` before the first bin."""
        rows = ops.shape(initial)[0]
        empty = tf.zeros((rows, self.size), initial.dtype)
        controller = ops.broadcast_to(self._cast(self.controller_state), (rows, self.controller_units))
        return initial, controller, factors, empty, empty, empty

    def _encoding(self, encoded: Any, training: bool | None) -> Any:
        """Projected encoding of all bins, with the controller's bias; (steps, rows, 3 controller units)."""
        kernel, bias = (self._cast(self.controller[name]) for name in ("kernel", "bias"))
        return project(self._dropped(encoded, training), kernel[: -self.n_factors], bias)

    def _external(self, external: Any, steps: Any, training: bool | None) -> Any:
        """Projected external input of all bins, with the generator's bias; (steps, 1 or rows, 3 units)."""
        kernel, bias = (self._cast(self.generator[name]) for name in ("kernel", "bias"))
        if external is None:
            return ops.broadcast_to(bias, (steps, 1, 3 * self.units))
        return project(self._dropped(external, training), kernel[self.size :], bias)

    def _autonomous(self, initial: Any, external: Any, steps: Any, training: bool | None) -> dict[str, Any]:
        lane = Lane(self.gru, (self._external(external, steps, training),), (initial,), self._packed())
        ((states,),) = scan([lane], own_gradient=bool(training))
        factors = ops.matmul(self._dropped(states, training), self.normalized_factors())
        return {"gen_states": states, "factors": factors}

    def _controlled(
        self, initial: Any, encoded: Any, external: Any, steps: Any, training: bool | None
    ) -> dict[str, Any]:
        rows, dropping = ops.shape(initial)[0], bool(training and self.dropout_rate)
        x = [self._encoding(encoded, training), self._external(external, steps, training)]
        if dropping:
            x += [self._mask((steps, rows, width), initial.dtype) for width in (self.n_factors, self.units)]
        noise, given = self.drive((rows, steps, self.size), initial.dtype, training)
        inputs = "mean" if noise is None and given is None else "given" if noise is None else "noise"
        if inputs != "mean":
            x.append(_time_major(given if noise is None else noise, rows))
        weights, before = self._packed(), self._mask((rows, self.units), initial.dtype) if dropping else None
        state = self._state(initial, ops.matmul(_times(initial, before), weights[4]))
        cell = ComplexStep(self.clip_value, dropping, inputs)
        (states,) = scan([Lane(cell, tuple(x), state, weights)], own_gradient=bool(training))
        return dict(zip(STATE, states, strict=True))

    def normalized_factors(self) -> Any:
        """The factor matrix, each column divided by its L2 norm (at least 1e-12)."""
        kernel = self._cast(self.factors_kernel)
        # The bound comes before the root, whose slope at 0 is infinite.
        square = ops.maximum(ops.sum(ops.square(kernel), axis=0, keepdims=True), 1e-24)
        return kernel * ops.rsqrt(square)

    def _dropped(self, x: Any, training: bool | None) -> Any:
        return x * self._mask(ops.shape(x), x.dtype) if training and self.dropout_rate else x

    def _mask(self, shape: Any, dtype: Any) -> Any:
        return dropout_mask(shape, self.dropout_rate, self.seed_generator, dtype)

    def compute_output_spec(
        self, initial: Any, encoded: Any = None, external: Any = None, steps: Any = None, training: bool | None = None
    ) -> dict[str, Any]:
        found = encoded if encoded is not None else external
        steps = found.shape[-2] if found is not None else steps if isinstance(steps, int) else None
        widths = {"gen_states": self.units, "factors": self.n_factors}
        if self.size:
            widths |= {"con_states": self.controller_units, "z_loc": self.size, "z_scale": self.size, "z": self.size}
        return {
            name: keras.KerasTensor(
                (*initial.shape[:-1], steps, width), self.compute_dtype, name=self.name if name == "z" else None
            )
            for name, width in widths.items()
        }

    def get_config(self) -> dict[str, Any]:
        names = ("units", "n_factors", "controller_units", "size", "init_std", "clip_value", "dropout_rate")
        penalties = {
            name: keras.regularizers.serialize(getattr(self, name))
            for name in ("generator_regularizer", "controller_regularizer")
        }
        return {**super().get_config(), **{name: getattr(self, name) for name in names}, **penalties}


def _times(x: Any, mask: Any) -> Any:
    return x if mask is None else x * mask


def _time_major(x: Any, rows: Any) -> Any:
    """(batch[, S], time, D) to (time, rows, D); a batch of fewer rows is repeated for its samples."""
    x = repeated(ops.reshape(x, (-1, *ops.shape(x)[-2:])), rows)
    return ops.transpose(x, (1, 0, 2))
