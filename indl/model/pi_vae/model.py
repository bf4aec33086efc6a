"""The Keras model that trains pi-VAE, and what a trained one is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy.special import gammaln, logsumexp, softmax

from indl.data.checks.arrays import check_whole
from indl.data.values.recording import Recording
from indl.dists.log_gaussian import LogGaussian
from indl.feed.batch_stacks import batch_stacks, train_on_stack
from indl.feed.tf_data import untuned
from indl.metrics.identifiability import identifiability_findings
from indl.model.latent_model import LatentModel
from indl.model.pi_vae.rows import RowInputs, check_rows
from indl.objectives import Context, PiVAEBound
from indl.objectives.pi_vae_bound import reconstruction_nll
from indl.params.pi_vae import PI_VAE
from indl.registry import register
from indl.sampling.draws import compiled

#: Names of the outputs in later releases of the PyTorch port.
OTHER_NAMES = {
    "firing_rate": "posterior_firing_rate",
    "lambda_mean": "label_mean",
    "lambda_log_variance": "label_log_variance",
    "z_mean": "encoder_mean",
    "z_log_variance": "encoder_log_variance",
    "z_sample": "posterior_z_sample",
}
#: The parts of the graph: where each begins, and what it gives.
_ENDS = {
    "encoder": ("x", ("z_mean", "z_log_variance")),
    "prior": ("u", ("lambda_mean", "lambda_log_variance")),
    "decoder": ("z_sample", ("firing_rate",)),
}
#: Options of Keras's fit that stacks of batches cannot follow.
_NOT_OF_ARRAYS = {"steps_per_epoch", "validation_split", "sample_weight", "class_weight"}
_ROWS = 4096


@register
class PiVAE(LatentModel):
    """pi-VAE over tensors that the builders, or the user, have made.

    Its loss, in nats a row, is that of :class:`~indl.objectives.pi_vae_bound.PiVAEBound`, whose weights `alpha` and
    `beta_z` (the params' kl_weight at the start) are variables. A call draws one sample of each row, in training and
    at inference alike. All methods but :meth:`fit` and :meth:`evaluate` draw with numpy, by their own seed.

    Where a method takes observations, a recording stands for its validation trials, and a part of one for its own: the
    rows are their bins one after the other, those left out of which a channel was not recorded. Labels that are classes
    are what :attr:`classes` calls them, and also one-hot; in ``{"x": x, "u": u}`` of a call they are their numbers.

    Args:
        inputs: ``{"x": (rows, X), "u": (rows,) classes or (rows, U)}``.
        outputs: a dict with ``firing_rate``, ``lambda_mean``, ``lambda_log_variance``, ``posterior_mean``,
            ``posterior_log_variance``, ``z_mean``, ``z_log_variance``, ``z_sample``, and ``noise_log_variance`` of a
            layer named ``observation_noise`` for Gaussian observations.
        params: the params dict that the model was built from.
    """

    # Keras keeps the graph of a sub-class in its file if it takes *args and **kwargs.
    def __init__(self, *args: Any, params: Mapping[str, Any] | None = None, **kwargs: Any):
        if params is None or not {"inputs", "outputs"} <= kwargs.keys():
            raise ValueError(
                f"A PiVAE takes its tensors and params by name. Given: {len(args)} positional arguments, "
                f"{sorted(kwargs)}. Write PiVAE(inputs=..., outputs=..., params=...), or call build_pi_vae; "
                "PiVAE.from_config(model.get_config()) is a copy of a model with fresh weights."
            )
        params = PI_VAE.validate(params)
        discrete = params["discrete_labels"]
        super().__init__(
            *args,
            objective=PiVAEBound(params["alpha"], params["kl_weight"]),
            context=Context(n_classes=params["u_dim"] if discrete else None),
            params=params,
            **kwargs,
        )
        self._symbols = {**dict(kwargs["inputs"]), **dict(kwargs["outputs"])}
        counts = params["decoder_observation_model"] == "poisson"
        self._rows = RowInputs(params["x_dim"], params["u_dim"], discrete, counts, params["classes"])
        self._passes: dict[str, Any] = {}

    def __call__(self, inputs: Any, u: Any = None, **kwargs: Any) -> dict[str, Any]:
        """``model(x, u)``, or ``model({"x": x, "u": u})``; see the class for the outputs."""
        if u is not None:
            u = ops.convert_to_tensor(u if tf.is_tensor(u) or not self.discrete else self._rows.labels(u))
            inputs = {"x": ops.convert_to_tensor(inputs), "u": ops.reshape(u, (-1,)) if self.discrete else u}
        return super().__call__(inputs, **kwargs)

    @property
    def discrete(self) -> bool:
        """Whether labels are classes."""
        return self.params["discrete_labels"]

    @property
    def classes(self) -> np.ndarray | None:
        """What the classes are called, (classes,), in the order of the columns of :meth:`label_posterior`.

        Whole numbers from 0 on, unless the labels that it was trained on, or the params, say otherwise; None of a model
        of continuous labels.
        """
        return self._rows.candidates(None) if self.discrete else None

    @property
    def decoder_observation_model(self) -> str:
        """``"poisson"`` or ``"gaussian"``."""
        return self.params["decoder_observation_model"]

    @property
    def observation_noise_model(self) -> Any:
        """The layer that owns the log variances of Gaussian observations; None for counts."""
        return None if "noise_log_variance" not in self._symbols else self.get_layer("observation_noise")

    # --- training -------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Any:
        """One step of ``fit``, or one for each batch of a stack; see :mod:`indl.feed.batch_stacks`."""
        if not isinstance(data, tuple) or len(data) != 2 or len(data[0]["x"].shape) != 3:
            return super().train_step(data)
        self.finite_terms.assign(ops.ones_like(self.finite_terms))
        with compiled(bool(self.jit_compile)):
            train_on_stack(lambda batch: keras.Model.train_step(self, (batch,)), *data)
        return self.get_metrics_result()

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any) -> Any:
        """``keras.Model.fit`` on ``(x, u)``, or ``{"x": x, "u": u}``; arrays are checked first.

        Args:
            x: observations (rows, X) and labels: classes (rows,), or real labels (rows, U); or a part of a recording;
                or a data set of batches ``(x, u)`` or ``({"x": x, "u": u},)``, which passes unseen. A model without
                :attr:`classes` takes their names from labels that are not numbered from 0.
            y: None.
            batch_size: rows. Default: that of the params.
            **kwargs: of ``keras.Model.fit``; `validation_data` is like `x`.

        Raises:
            ValueError: arrays that the model cannot be trained on.

        Warns:
            UserWarning: the labels, or the prior after training, do not identify the latents.
        """
        self.check_compiled()
        if isinstance(x, Recording):
            raise ValueError(
                "A recording has trials to train on and others to score. Given: all of it. Pass recording.train, with "
                "validation_data=recording.valid, or call indl.train(params, recording)."
            )
        rows = self._rows.named(x)
        x, labels = rows.for_keras(x, y), None
        if isinstance(x, Mapping):
            unfit = sorted(_NOT_OF_ARRAYS & {name for name, value in kwargs.items() if value is not None})
            if unfit:
                raise ValueError(
                    f"Arrays are put into batches here. Given: {', '.join(unfit)}. Leave it out, or pass a data set of "
                    "batches ({'x': x, 'u': u},), to which Keras's own rules apply."
                )
            labels = np.unique(x["u"], axis=0)
            batch_size = check_whole(self.params["batch_size"] if batch_size is None else batch_size, "batch_size", 1)
            if self.distribute_strategy.num_replicas_in_sync == 1:
                order = kwargs.get("shuffle", True), self.params["seed"], kwargs.get("initial_epoch", 0)
                x, kwargs["steps_per_epoch"] = batch_stacks(x, batch_size, *order)
                batch_size, kwargs["shuffle"] = None, False
        given = kwargs.get("validation_data")
        if given is not None:
            # As Keras writes it: (inputs,) or (inputs, None).
            if isinstance(given, tuple | list) and given and all(part is None for part in given[1:]):
                given = given[0]
            given = rows.for_keras(given, name="validation x")
            if isinstance(given, Mapping):
                given = tf.data.Dataset.from_tensor_slices((given,))
                given = untuned(given.batch(kwargs.pop("validation_batch_size", None) or _ROWS))
            kwargs["validation_data"] = given
        self._rows, self.params["classes"] = rows, rows.classes
        history = super().fit(x, batch_size=batch_size, **kwargs)
        # Of the prior of a run that broke down nothing can be said.
        if labels is not None and all(np.isfinite(part).all() for part in self._prior_of(labels)):
            for finding in self._findings(labels):
                warnings.warn(finding, UserWarning, stacklevel=2)
        return history

    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """``keras.Model.evaluate`` on ``(x, u)``: means of one draw of each row; see :meth:`neg_elbo`."""
        return super().evaluate(self._rows.for_keras(x, y), **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        """``keras.Model.predict`` on ``(x, u)``: the outputs of a call, as arrays."""
        return super().predict(self._rows.for_keras(x), **kwargs)

    def identifiability_findings(self, u: Any) -> list[str]:
        """Which conditions of identifiable latents the prior at the labels `u` breaks, in words; none: [].

        See :func:`indl.metrics.identifiability.identifiability_findings`.
        """
        return self._findings(np.unique(self._rows.labels(u), axis=0))

    def _findings(self, labels: np.ndarray) -> list[str]:
        # A few hundred labels show the rank; a continuous set has as many as rows.
        labels = labels[:: max(1, len(labels) // 500)]
        prior = self._prior_of(labels)
        return identifiability_findings(prior.loc, prior.log_variance, labels)

    # --- inference ------------------------------------------------------------------------------

    def posterior(self, x: Any, u: Any = None) -> LogGaussian:
        """q(z | x, u), or q(z | x) where no label is given, as arrays (rows, Z)."""
        q = LogGaussian(*self._run("encoder", self._rows.observations(x)))
        return q if u is None else _joint(q, self.label_statistics(u))

    def encode(self, x: Any, u: Any = None, sample: bool = False, seed: int = 0) -> np.ndarray:
        """Latents of observations, (rows, Z).

        Args:
            x: observations (rows, X).
            u: labels; None: the encoder alone.
            sample: a draw from the posterior instead of its mean.
            seed: seed of the draw.
        """
        q = self.posterior(x, u)
        return _draw(q, (), seed) if sample else q.loc

    def decode(self, z: Any) -> np.ndarray:
        """Expected counts, or means of signals, of latents: (..., Z) to (..., X)."""
        z = np.asarray(z, "float32")
        if not z.size or z.shape[-1:] != (self.params["z_dim"],) or not np.isfinite(z).all():
            raise ValueError(
                f"Latents do not fit the model. Given: shape {z.shape}, {(~np.isfinite(z)).sum()} values that are not "
                f"finite. Pass (..., {self.params['z_dim']}), as encode returns them."
            )
        return self._run("decoder", z.reshape(-1, z.shape[-1]))[0].reshape(*z.shape[:-1], -1)

    def label_statistics(self, u: Any) -> LogGaussian:
        """p(z | u) of labels, as arrays (labels, Z)."""
        return self._prior_of(self._rows.labels(u))

    def sample(self, u: Any, n_samples: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
        """Draws from the model at given labels.

        Args:
            u: one label, or several.
            n_samples: draws of each.
            seed: seed of all draws.

        Returns:
            ``z`` (n_samples, labels, Z), ``rates`` and ``x``, counts or signals, (n_samples, labels, X). A single
            label (an integer, or one real vector) has no labels axis.
        """
        n, rng = check_whole(n_samples, "n_samples", 1), np.random.default_rng(check_whole(seed, "seed"))
        prior = self.label_statistics(u)
        z = _draw(prior, (n,), rng)
        rates = self.decode(z)
        if self.decoder_observation_model == "poisson":
            x = rng.poisson(np.minimum(rates, 1e9)).astype("float32")
        else:
            x = rates + np.exp(0.5 * self._noise()) * rng.standard_normal(rates.shape, dtype="float32")
        found = {"z": z, "rates": rates, "x": x}
        return {name: value[:, 0] for name, value in found.items()} if self._rows.is_one_label(u) else found

    def infer(self, x: Any, u: Any = None, seed: int = 0) -> dict[str, np.ndarray]:
        """Every output at once, under the names of both versions of the PyTorch port.

        Beside the outputs of a call there are a sample of q(z | x) alone and its rates, ``encoder_z_sample`` and
        ``encoder_firing_rate``; without labels there are only the four entries of the encoder.

        Args:
            x: observations (rows, X).
            u: labels, or None.
            seed: seed of both samples.
        """
        rng, q = np.random.default_rng(check_whole(seed, "seed")), self.posterior(x)
        found = {"z_mean": q.loc, "z_log_variance": q.log_variance, "encoder_z_sample": _draw(q, (), rng)}
        found["encoder_firing_rate"] = self.decode(found["encoder_z_sample"])
        if u is not None:
            prior = self.label_statistics(u)
            q = _joint(q, prior)
            found |= {"lambda_mean": prior.loc, "lambda_log_variance": prior.log_variance}
            found |= {"posterior_mean": q.loc, "posterior_log_variance": q.log_variance, "z_sample": _draw(q, (), rng)}
            found["firing_rate"] = self.decode(found["z_sample"])
        return {**found, **{other: found[name] for name, other in OTHER_NAMES.items() if name in found}}

    # --- likelihoods and labels -----------------------------------------------------------------

    def neg_elbo(self, x: Any, u: Any = None, n_samples: int = 50, seed: int = 0) -> np.ndarray:
        """The negative bound on log p(x | u) of each row in nats, averaged over samples; constants of x dropped.

        Args:
            x: observations (rows, X).
            u: labels. None: those of the recording that `x` is.
            n_samples: draws of each row.
            seed: seed of the draws.
        """
        x, u = self._rows.with_labels(x, u)
        x, n = self._rows.observations(x), check_whole(n_samples, "n_samples", 1)
        q, prior, rng = self.posterior(x), self.label_statistics(u), np.random.default_rng(check_whole(seed, "seed"))
        both = _joint(q, prior)
        noise = None if self.observation_noise_model is None else self._noise()
        total, together = np.zeros(len(x)), max(1, _ROWS // len(x))
        for i in range(0, n, together):
            mean = self.decode(_draw(both, (min(together, n - i),), rng))
            total += np.asarray(reconstruction_nll(x, mean, noise)).sum(0)
        return total / n + np.asarray(q.product_kl(prior))

    def label_log_likelihood(self, x: Any, labels: Any = None, n_samples: int = 1000, seed: int = 0) -> np.ndarray:
        """log p(x | u) of each row at each of some labels, in nats: the log mean over draws of p(z | u).

        Args:
            x: observations (rows, X).
            labels: candidates; None: all classes.
            n_samples: draws of each label.
            seed: seed of the draws.

        Returns:
            Shape (rows, labels), with all constants.

        Raises:
            ValueError: no candidates for continuous labels.
        """
        x, prior = self._rows.observations(x).astype("float64"), self.label_statistics(self._rows.candidates(labels))
        z = _draw(prior, (check_whole(n_samples, "n_samples", 1),), seed)
        found = np.empty((len(x), z.shape[1]))
        poisson = self.decoder_observation_model == "poisson"
        if poisson:
            constant = gammaln(x + 1).sum(1)
        else:
            noise = self._noise().astype("float64")
            precision = np.exp(-noise)
            constant = 0.5 * (np.square(x) @ precision + noise.sum() + len(noise) * np.log(2 * np.pi))
        for label in range(z.shape[1]):
            mean = self.decode(z[:, label]).astype("float64")
            if poisson:
                inner = x @ np.log(mean).T - mean.sum(1)
            else:
                inner = x @ (mean * precision).T - 0.5 * np.square(mean) @ precision
            found[:, label] = logsumexp(inner, axis=1) - np.log(len(z)) - constant
        return found

    def log_likelihood(self, x: Any, labels: Any = None, n_samples: int = 1000, seed: int = 0) -> np.ndarray:
        """log p(x) of each row in nats, labels being equally likely; arguments as :meth:`label_log_likelihood`."""
        found = self.label_log_likelihood(x, labels, n_samples, seed)
        return logsumexp(found, axis=1) - np.log(found.shape[1])

    def label_posterior(self, x: Any, labels: Any = None, n_samples: int = 1000, seed: int = 0) -> np.ndarray:
        """p(u | x) over candidates that are equally likely before; arguments as :meth:`label_log_likelihood`."""
        return softmax(self.label_log_likelihood(x, labels, n_samples, seed), axis=1)

    def predict_labels(self, x: Any, n_samples: int | None = None, seed: int = 0) -> np.ndarray:
        """Probabilities of classes by the distance of latents, (rows, classes): the decoder of the PyTorch port.

        The logit of a class is minus the expected squared distance between a latent of q(z | x) and one of p(z | u).
        It is no likelihood: :meth:`label_posterior` is, and is the better decoder.

        Args:
            x: observations (rows, X).
            n_samples: None: the exact expectation. Else, as in the port, the mean over so many draws of each class,
                from one draw of q(z | x).
            seed: seed of the draws.

        Raises:
            ValueError: labels are continuous.
        """
        if not self.discrete:
            raise ValueError(
                "Only classes have probabilities by distance. Given: a model of continuous labels. Call "
                "label_posterior(x, labels) with candidates."
            )
        q, prior = self.posterior(x), self.label_statistics(self._rows.candidates(None))
        if n_samples is None:
            # The variance of q adds the same to every class.
            mean, log_variance = (part.astype("float64") for part in prior)
            distance = np.square(q.loc[:, None] - mean).sum(-1) + np.exp(np.minimum(log_variance, 600)).sum(-1)
            return softmax(-distance, axis=1)
        rng = np.random.default_rng(check_whole(seed, "seed"))
        z = _draw(q, (), rng)
        return distance_probabilities(z, _draw(prior, (check_whole(n_samples, "n_samples", 1),), rng))

    def inference_function(self, what: str) -> tuple[Any, list[tf.TensorSpec]]:
        """A function of x without labels, on the encoder's mean, for export, and its signature.

        `what` is ``"rates"`` or ``"encode"``.
        """
        encoder, decoder = self._part("encoder"), self._part("decoder")

        def encode(x: Any) -> dict[str, Any]:
            return dict(zip(("z_mean", "z_log_variance"), encoder(x), strict=True))

        def rates(x: Any) -> dict[str, Any]:
            return {"rates": decoder(encoder(x)[0])[0]}

        return {"encode": encode, "rates": rates}[what], [tf.TensorSpec((None, self.params["x_dim"]), name="x")]

    # --- internals ------------------------------------------------------------------------------

    def _part(self, name: str) -> Any:
        """One part of the graph, as a function of a tensor that gives a list."""
        begin, outputs = _ENDS[name]
        part = keras.Model(self._symbols[begin], [self._symbols[output] for output in outputs])
        return lambda given: tf.nest.flatten(part(given, training=False))

    def _run(self, name: str, rows: np.ndarray) -> list[np.ndarray]:
        """One part of the graph on all rows, some thousands at a time."""
        if name not in self._passes:
            begin = self._symbols[_ENDS[name][0]]
            signature = [tf.TensorSpec(begin.shape, begin.dtype)]
            self._passes[name] = tf.function(self._part(name), autograph=False, input_signature=signature)
        found = [self._passes[name](rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]
        return [np.concatenate(pieces) for pieces in zip(*found, strict=True)]

    def _prior_of(self, labels: np.ndarray) -> LogGaussian:
        """p(z | u) of numbers of classes, or of real labels."""
        return LogGaussian(*self._run("prior", labels))

    def _noise(self) -> np.ndarray:
        return np.asarray(self.observation_noise_model.log_variance)


def _joint(q: LogGaussian, prior: LogGaussian) -> LogGaussian:
    """q(z | x, u) of each row and its label, as arrays."""
    check_rows(len(q.loc), len(prior.loc))
    return LogGaussian(*map(np.asarray, q.product(prior)))


def distance_probabilities(z: np.ndarray, label_samples: np.ndarray) -> np.ndarray:
    """Softmax over classes of minus the mean squared distance.

    Args:
        z: latents (rows, Z).
        label_samples: draws of every class, (draws, classes, Z).
    """
    distance = np.square(z[:, None, None].astype("float64") - label_samples).sum(-1).mean(1)
    return softmax(-distance, axis=1)


def _draw(q: LogGaussian, shape: tuple[int, ...], seed: Any) -> np.ndarray:
    """Draws (*shape, rows, Z) with numpy; `seed` is one, or a generator to go on with."""
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_whole(seed, "seed"))
    noise = rng.standard_normal((*shape, *np.shape(q.loc)), dtype="float32")
    return np.asarray(q.loc + np.asarray(q.stddev()) * noise)
