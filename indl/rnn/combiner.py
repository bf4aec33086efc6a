"""The posterior of a deep Markov model: q(z_t | z_{t-1}, x), sampled bin after bin."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from indl.layers.scale_link import SCALE_FLOOR, ScaleLink, scale_link
from indl.registry import register
from indl.rnn.scan import Cell, Lane, product, scan
from indl.rnn.transition import TRANSITIONS, gated_transition
from indl.sampling.layer import Sampler
from indl.sampling.modes import current_sampling, repeated


class CombinerStep(Cell):
    """One step of the combiner (Krishnan et al. 2017, arXiv:1609.09869, section 4)::

        c = (a_t + tanh(z_{t-1} W + b)) / n
        loc, raw = c W_q + b_q;   z_t = loc + link(raw) noise_t

    State (z, loc, scale); inputs (a,), or (a, noise); weights (W, b, W_q, b_q). Without noise z is its mean.

    Args:
        terms: n, how many terms there are in the sum.
        link: from the raw scale to the standard deviation.
    """

    inputs_replaced = 1

    def __init__(self, terms: int, link: ScaleLink):
        self.terms = terms
        self.link = link

    def posterior(self, z: Any, x: tuple, weights: tuple) -> tuple[Any, Any, Any]:
        """Mean and scale of z_t given z_{t-1}, and the term of the latter, of any number of bins at once."""
        w, b, w_q, b_q = weights
        term = tf.tanh(tf.matmul(z, w) + b)
        loc, raw = tf.split(tf.matmul((x[0] + term) / self.terms, w_q) + b_q, 2, axis=-1)
        return loc, self.link.scale(raw), term

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        loc, scale, term = self.posterior(state[0], x, weights)
        return (loc + scale * x[1] if len(x) > 1 else loc, loc, scale), (term,)

    def backward(
        self, d_state: tuple, previous: tuple, state: tuple, kept: tuple, x: tuple, weights: tuple
    ) -> tuple[tuple, tuple, tuple]:
        (d_z, d_loc, d_scale), (term,) = d_state, kept
        if len(x) > 1:
            d_scale = d_scale + d_z * x[1]
        d_posterior = tf.concat([d_loc + d_z, d_scale * self.link.slope(state[2])], -1)
        d_a = tf.matmul(d_posterior, weights[2], transpose_b=True) / self.terms
        d_z = tf.matmul(d_a * (1 - term * term), weights[0], transpose_b=True)
        nothing = tf.zeros_like(d_loc)
        return (d_z, nothing, nothing), (d_a, None)[: len(x)], (d_posterior, term)

    def weight_gradients(self, previous: tuple, states: tuple, x: tuple, d_x: tuple, taps: tuple) -> Any:
        d_posterior, term = taps
        d_term = d_x[0] * (1 - term * term)
        return [
            product(previous[0], d_term),
            tf.reduce_sum(d_term, (0, 1)),
            product(x[0] + term, d_posterior) / self.terms,
            tf.reduce_sum(d_posterior, (0, 1)),
        ]


class ProductStep(Cell):
    """One step of the posterior that multiplies the transition with what the data say.

    Precisions add; the mean is weighted by them. State (z, loc, scale); inputs (mean and precision of the data's
    Gaussian), or these and noise; weights of the transition. It has no backward step of its own.

    Args:
        link: of the transition's scale.
        transition: one of :data:`~indl.rnn.transition.TRANSITIONS`.
    """

    def __init__(self, link: ScaleLink, transition: Any = gated_transition):
        self.link = link
        self.transition = transition

    def posterior(self, z: Any, x: tuple, weights: tuple) -> tuple[Any, Any]:
        """Mean and scale of z_t given z_{t-1}, of any number of bins at once."""
        p = self.transition(z, weights, self.link)
        prior, data = 1 / tf.square(p.scale), x[1]
        return (prior * p.loc + data * x[0]) / (prior + data), tf.math.rsqrt(prior + data)

    def forward(self, state: tuple, x: tuple, weights: tuple) -> tuple[tuple, tuple]:
        loc, scale = self.posterior(state[0], x, weights)
        return (loc + scale * x[2] if len(x) > 2 else loc, loc, scale), ()


@register
class CombinerPosterior(Sampler):
    """q(z_t | z_{t-1}, x[, f]) of every bin, along a path that is sampled bin after bin.

    Affine heads give mean and scale from the mean over all terms there are: the encoder's states, one term for each
    direction; ``tanh(W_z z_{t-1} + b_z)``; and ``tanh(W_f f + b_f)`` of a static latent, as in the factorial deep
    Markov model. z_0 is zero, or trained.

    With `transition_link` the posterior is instead the product of the transition p(z_t | z_{t-1}), in the first bin
    too, and a Gaussian that the same heads read from ``tanh(W_h h_t + b_h)`` (`use_generative_prior` of
    structuredinference).

    Args:
        size: size of z_t.
        directions: directions of the encoder, whose states stand side by side.
        init_std: standard deviation at the start.
        link, floor: from the raw scale to the standard deviation, see :class:`~indl.layers.scale_link.ScaleLink`.
        transition_link: link of the transition's scale, in the product; None: the combiner.
        transition: which transition it is, a key of :data:`~indl.rnn.transition.TRANSITIONS`.
        n: samples of every trial, on a new axis after the batch, where neither encoding nor f has one. None: one,
            without an axis.
        train_start: train z_0.
        at_test, draws, seed: see :class:`~indl.sampling.layer.Sampler`.
    """

    def __init__(
        self,
        size: int,
        directions: int = 1,
        init_std: float = 0.1,
        link: str = "softplus",
        floor: float = SCALE_FLOOR,
        transition_link: str | None = None,
        transition: str = "gated",
        n: int | None = None,
        train_start: bool = False,
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.size = size
        self.directions = directions
        self.init_std = init_std
        self.link = link
        self.floor = floor
        self.transition_link = transition_link
        self.transition = transition
        self.n = n
        self.train_start = train_start
        self.scale = scale_link(link, floor)

    def build(self, encoded_shape: Any, f_shape: Any = None, transition_shape: Any = None) -> None:
        width = encoded_shape[-1] // self.directions
        rows = {"h": encoded_shape[-1]} if self.transition_link else {"z": self.size}
        if f_shape is not None:
            rows["f"] = f_shape[-1]
        self.maps = {name: self._affine(name, size, width) for name, size in rows.items()}
        start = keras.initializers.Constant(self.scale.start(self.init_std))
        self.heads = [
            self._affine("loc", width, self.size, "zeros"),
            self._affine("raw_scale", width, self.size, start),
        ]
        if self.train_start:
            self.z_start = self.add_weight(shape=(self.size,), initializer="zeros", name="z_start")

    def _affine(self, name: str, rows: int, columns: int, start: Any = "zeros") -> tuple[Any, Any]:
        return (
            self.add_weight(shape=(rows, columns), initializer="glorot_uniform", name=f"{name}_kernel"),
            self.add_weight(shape=(columns,), initializer=start, name=f"{name}_bias"),
        )

    def call(self, encoded: Any, f: Any = None, transition: Any = (), training: bool | None = None) -> dict[str, Any]:
        """Runs the posterior.

        Args:
            encoded: states of the encoder, (batch[, S], time, directions * units).
            f: a sample of the static latent, (batch[, S], F).
            transition: of a product, the transition's weights, from :class:`~indl.dists.priors.gated.GatedPrior`.
            training: draw.

        Returns:
            ``loc``, ``scale`` and ``z``, the path that drives the generator: a sample, or at inference the means. And
            ``path_loc``, ``path_scale`` and ``path``: the same where it was drawn or given, else along a path that is
            drawn with a fixed seed. Each (batch[, S], time, size).
        """
        mode = current_sampling()
        if mode is not None:
            encoded, f = mode.fill(encoded), None if f is None else mode.fill(f)
        samples = self._samples(encoded, f)
        shape = (ops.shape(encoded)[0] * (samples or 1), ops.shape(encoded)[-2], self.size)
        encoded, f = _rows(encoded, shape[0], 2), None if f is None else _rows(f, shape[0], 1)
        cell, x, weights = self._step(encoded, f, transition)
        noise, given = self.drive(shape, self.compute_dtype, training)
        own = bool(training) and isinstance(cell, CombinerStep)
        if given is not None:
            found = path = self._along(cell, x, weights, _time_major(given, shape[0]))
        else:
            found = path = self._run(cell, x, weights, noise, shape[0], own)
            if noise is None and self.draws:
                seed = (self.seed or 0, 2)
                fixed = tf.random.stateless_normal(shape, seed, dtype=self.compute_dtype, alg="philox")
                path = self._run(cell, x, weights, fixed, shape[0], own)
        names = ("z", "loc", "scale", "path", "path_loc", "path_scale")
        values = {name: tf.transpose(value, (1, 0, 2)) for name, value in zip(names, (*found, *path), strict=True)}
        if samples is None:
            return values
        return {name: ops.reshape(value, (-1, samples, *ops.shape(value)[1:])) for name, value in values.items()}

    def _samples(self, encoded: Any, f: Any) -> int | None:
        """The length of the samples axis that encoding or f has, or that this layer makes."""
        if f is not None and len(f.shape) == 3:
            return f.shape[1]
        return encoded.shape[1] if len(encoded.shape) == 4 else self.n

    def _step(self, encoded: Any, f: Any, transition: tuple) -> tuple[Any, tuple, tuple]:
        """The step, its inputs (time, rows, width), and what all steps share."""
        maps = {name: [ops.cast(part, self.compute_dtype) for part in pair] for name, pair in self.maps.items()}
        heads = [ops.cast(part, self.compute_dtype) for pair in self.heads for part in pair]
        if self.transition_link:
            features = tf.tanh(tf.matmul(encoded, maps["h"][0]) + maps["h"][1])
            loc, raw = (tf.matmul(features, kernel) + bias for kernel, bias in (heads[:2], heads[2:]))
            x = (loc, 1 / tf.square(self.scale.scale(raw)))
            cell = ProductStep(scale_link(self.transition_link, self.floor), TRANSITIONS[self.transition])
            weights = tuple(transition)
        else:
            terms, total = self.directions + 1, tf.add_n(tf.split(encoded, self.directions, axis=-1))
            if f is not None:
                terms, total = terms + 1, total + tf.tanh(tf.matmul(f, maps["f"][0]) + maps["f"][1])[:, None]
            cell, x = CombinerStep(terms, self.scale), (total,)
            weights = (*maps["z"], tf.concat([heads[0], heads[2]], -1), tf.concat([heads[1], heads[3]], -1))
        return cell, tuple(tf.transpose(part, (1, 0, 2)) for part in x), weights

    def _start(self, rows: Any) -> Any:
        zeros = tf.zeros((rows, self.size), self.compute_dtype)
        return zeros + ops.cast(self.z_start, self.compute_dtype) if self.train_start else zeros

    def _run(self, cell: Any, x: tuple, weights: tuple, noise: Any, rows: Any, own: bool) -> tuple:
        """The path, its means and its scales, (time, rows, size); `noise` (rows, time, size), or None for the means."""
        x = x if noise is None else (*x, _time_major(noise, rows))
        start = (self._start(rows), *[tf.zeros((rows, self.size), self.compute_dtype)] * 2)
        return scan([Lane(cell, x, start, weights)], own_gradient=own)[0]

    def _along(self, cell: Any, x: tuple, weights: tuple, z: Any) -> tuple:
        """A given path (time, rows, size), with the means and scales along it, of all bins at once."""
        before = tf.concat([self._start(tf.shape(z)[1])[None], z[:-1]], 0)
        return (z, *cell.posterior(before, x, weights)[:2])

    def compute_output_spec(
        self, encoded: Any, f: Any = None, transition: Any = (), training: bool | None = None
    ) -> dict[str, Any]:
        samples = self._samples(encoded, f)
        shape = (encoded.shape[0], *(() if samples is None else (samples,)), encoded.shape[-2], self.size)
        names = ("loc", "scale", "z", "path_loc", "path_scale", "path")
        return {
            name: keras.KerasTensor(shape, self.compute_dtype, name=self.name if name == "z" else None)
            for name in names
        }

    def get_config(self) -> dict[str, Any]:
        names = ("size", "directions", "init_std", "link", "floor", "transition_link", "transition", "n", "train_start")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _rows(x: Any, rows: Any, axes: int) -> Any:
    """(batch[, S], ...) with so many axes at the end to (rows, ...); a batch of fewer rows is repeated."""
    return repeated(ops.reshape(x, (-1, *ops.shape(x)[-axes:])), rows)


def _time_major(x: Any, rows: Any) -> Any:
    """(batch[, S], time, D) to (time, rows, D)."""
    return tf.transpose(_rows(x, rows, 2), (1, 0, 2))
