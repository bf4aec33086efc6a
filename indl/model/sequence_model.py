"""The Keras model that trains what the builders assemble, and what a trained one is asked for."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from indl.data.checks.arrays import check_binary, check_positive, check_trials, check_whole
from indl.data.values.recording import Recording, Split
from indl.data.values.trials import Trials
from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.observations import OBSERVATIONS
from indl.model.densities import latent_densities, of_many_samples
from indl.model.evidence import log_evidence
from indl.model.generation import Generation
from indl.model.inputs import arrays
from indl.model.inputs.arrays import ModelInputs
from indl.model.inputs.labels import LabelForm
from indl.model.inputs.of_recording import inputs_of, part_in
from indl.model.latent_model import LatentModel
from indl.model.parts import part_of
from indl.model.passes import Passes, first_entries
from indl.model.sequences import estimate
from indl.objectives import Context, ManySamples, Objective, objective_of
from indl.params import completed, validate_params
from indl.registry import register
from indl.sampling.layer import Sampler


@register
class SequentialVAE(Generation, LatentModel):
    """A sequential variational auto-encoder over tensors that the builders, or the user, have made.

    Its loss and the terms that are logged are those of its objective, by default
    :class:`~indl.objectives.elbo.Elbo`. Dropout acts in training only; inference runs on posterior means. Where a
    method of inference, or ``evaluate``, takes trials `x`, a recording stands for its validation trials, and a part of
    one for its own, with their external input, session, and labels where nothing can be inferred without.

    Args:
        inputs: the input tensor (batch, time, channels); or a dict of ``x`` and what else the model reads
            (``ext_input``, ``sample_mask``, ``session``, ``u``, ``index``), whose keys are then those of the arrays
            that all methods take. Without a ``sample_mask`` nothing is hidden. Labels ``u`` and the rows of sequences
            ``index`` are needed in training and by ``evaluate``; elsewhere only labels, by a model with
            ``q_cond="concat"``, and unknown ones are -1 or NaN.
        outputs: a dict with ``p_x`` (the observation model), and any of ``q_f``, ``f`` (its sample), ``kl_f``
            (batch,), ``q_z``, ``z``, ``kl_z`` (batch, time), ``kl_f_encoder``, ``kl_z_encoder``, ``kl_f_dimensions``
            and ``kl_z_dimensions`` (another axis), ``log_p_mean`` and ``log_p_index`` (batch,), ``factors``,
            ``gen_out``, ``cd_mask``, ``sample_mask``.
        params: the params dict that the model was built from, kept for saving, tuning and training.
        objective: what is minimised. Default: what the params ask for, or else the bound.
        gradient_rescale: factor on the reconstruction gradient of coordinated dropout.
        observation: name of the observation model; given where a saved model is read.
    """

    def __init__(
        self,
        *args: Any,
        params: Mapping[str, Any] | None = None,
        objective: Objective | None = None,
        gradient_rescale: float = 1.0,
        observation: str | None = None,
        **kwargs: Any,
    ):
        if "outputs" not in kwargs:
            raise ValueError(
                f"A SequentialVAE takes its tensors by name. Given: {len(args)} positional arguments. Write "
                "SequentialVAE(inputs=..., outputs={'p_x': ...}); SequentialVAE.from_config(model.get_config()) is a "
                "copy of a model with fresh weights."
            )
        outputs = dict(kwargs["outputs"])
        if "p_x" not in outputs:
            raise ValueError(
                f"A SequentialVAE needs the output 'p_x'. Given: {sorted(outputs)}. "
                "Add the value of output_dist(params, factors)."
            )
        # A reloaded graph hands plain lists: give the values their types back.
        for name in ("q_f", "q_z"):
            if name in outputs:
                outputs[name] = as_gaussian(outputs[name])
        kind = OBSERVATIONS[observation] if observation else type(outputs["p_x"])
        outputs["p_x"] = kind(*outputs["p_x"])
        given = kwargs["inputs"]
        symbols = dict(given) if isinstance(given, Mapping) else {"x": tf.nest.flatten(given)[0]}
        p = validate_params(params or {})
        super().__init__(
            *args,
            objective=objective or objective_of(p, [name for name in outputs if outputs[name] is not None]),
            context=Context(
                n_channels=symbols["x"].shape[-1],
                forward_steps=p["forward_steps"],
                segment=p["f_enc_input_samps"],
                gradient_rescale=gradient_rescale,
                sample_validation_rate=p["sample_validation_rate"],
                missing=p["missing_data"],
                log_factorial=p["log_factorial"],
                reduction=p["loss_reduction"],
                scale=p["loss_scale"],
            ),
            params=None if params is None else p,
            **{**kwargs, "inputs": symbols, "outputs": outputs},
        )
        labels = symbols.get("u")
        self.reads = ModelInputs(
            symbols,
            None if labels is None else LabelForm.of(labels, p["u_dim"]),
            # Of a model of one's own nobody knows.
            labels_needed=params is None or p["q_cond"] == "concat",
            forward_steps=p["forward_steps"],
            missing=p["missing_data"],
            n_sessions=p["n_sessions"],
            n_sequences=p["f_prior_n_seqs"],
            log1p=p["input_transform"] == "log1p",
        )
        #: Axes of each latent as methods give and take it, without samples.
        self.latent_ranks = {"f": 2, "z": 3 if p["z_per_step"] else 2}
        self.observation = kind.__name__
        self._graph_outputs = outputs
        self._decoder: Any = None
        named = {**outputs, "rates": outputs["p_x"].mean()}
        if "q_z" in outputs and len(outputs["q_z"].path):
            # A posterior on means, and the one along the path that divergences are taken along.
            named |= {"q_z": outputs["q_z"]._replace(path=()), "q_z_path": Gaussian(*outputs["q_z"].path)}
        self.passes = Passes(symbols, named, self._sample_layers())

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "gradient_rescale": self.context.gradient_rescale,
            "observation": self.observation,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SequentialVAE:
        objective = keras.saving.deserialize_keras_object(config["objective"], custom_objects)
        # Parameters that are younger than the file have their defaults.
        params = None if config["params"] is None else completed(config["params"])
        return super().from_config({**config, "objective": objective, "params": params}, custom_objects)

    @property
    def x(self) -> Any:
        """The symbolic input (batch, time, channels)."""
        return self.reads.symbols["x"]

    @property
    def labels(self) -> LabelForm | None:
        """The form of the labels that the model learns from; None: it reads none."""
        return self.reads.labels

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the model must be given: ``"x"``, and perhaps ``"ext_input"``; labels where it cannot do without."""
        return self.reads.names

    @property
    def needs_labels(self) -> bool:
        """Whether the encoders read labels, so that nothing can be inferred without."""
        return self.labels is not None and self.reads.labels_needed

    @property
    def latent_names(self) -> list[str]:
        """Which of ``"f"`` and ``"z"`` the model has."""
        return [name for name in ("f", "z") if name in self._graph_outputs]

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self.reads.complete(inputs), *args, **kwargs)

    # --- training -------------------------------------------------------------------------------

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The training objective; called by ``fit`` and ``evaluate``."""
        if self.labels is not None and not (isinstance(x, Mapping) and "u" in x):
            raise self.labels.missing("x")
        self.reads.check_has_index(x)
        if isinstance(self.objective, ManySamples):
            x = self.reads.complete(x)
            y_pred = of_many_samples(self, x, y_pred, training)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def loss_terms(self, target: Any, outputs: Mapping[str, Any], inputs: Any = None) -> dict[str, Any]:
        """Each term per trial, in nats, shape (batch,); `penalty` is a scalar."""
        # A traced step may have forgotten how long its loop over time is; the graph knows.
        for size, wanted, axis in zip(
            target.shape[1:], self._graph_outputs["p_x"][0].shape[-2:], ("bins", "channels"), strict=True
        ):
            if None not in (size, wanted) and size != wanted:
                raise ValueError(
                    f"The target does not fit the read-out. Given: {size} {axis}, while the model "
                    f"reconstructs {wanted}. Build it with out_dim and forward_steps of the target."
                )
        if isinstance(self.objective, ManySamples) and "densities" not in outputs:
            outputs = {
                **outputs,
                "densities": latent_densities(self, outputs, inputs or {"x": target}),
                "training": False,
            }
        return super().loss_terms(target, outputs, inputs)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.fit``; without `y` the input is its own target. Arrays are checked first.

        Raises:
            ValueError: the arrays hold NaN, negative or fractional counts, the wrong rank or width, or no trials; the
                model hides samples and is not told which, or is not compiled.
        """
        self.check_compiled()
        x, y = self.reads.tidy(x), self.reads.tidy(y)
        self.check_arrays(x, y)
        self.reads.check_for_training(x)
        validation = kwargs.get("validation_data")
        if isinstance(validation, np.ndarray):
            raise ValueError(
                f"validation_data must be a tuple. Given: one array of shape {validation.shape}. Pass (x,) or (x, y)."
            )
        if validation is not None and isinstance(validation, tuple | list):
            kwargs["validation_data"] = validation = tuple(map(self.reads.tidy, validation))
            self.check_arrays(*validation[:2], names=("validation x", "validation y"))
            self.reads.check_for_training(validation[0], "validation x")
        if kwargs.get("batch_size") is not None:
            check_whole(kwargs["batch_size"], "batch_size", 1)
        if self.optimizer is not None and not self.optimizer.built:
            # Built before the first step, the train function is traced once, and slots can be restored.
            self.optimizer.build(self.trainable_variables)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.evaluate``; without `y` the input is its own target. Labels are checked first.

        Of sequences that training has not, the means are estimated first; see :meth:`estimate_sequences`.
        """
        if (part := part_in(x)) is not None:
            x, y = inputs_of(self, part, labels=True), part.recon[:]
        x = self.reads.tidy(x)
        self.reads.check_labels(x)
        if "index" in self.reads.symbols:
            self.estimate_sequences(x)
        return super().evaluate(x, y, *args, **kwargs)

    def check_arrays(self, x: Any, y: Any = None, names: tuple[str, str] = ("x", "y")) -> None:
        """Refuses arrays that this model cannot be trained on, in words; data sets and tensors pass unseen."""
        if isinstance(x, Mapping):
            x = self.reads.checked(x, names[0])["x"]
        if x is None or isinstance(x, str | list | tuple | Recording | Split | Trials):
            raise ValueError(
                f"{names[0]} must be an array (trials, time, channels) or a data set. Given: {type(x).__name__}. Pass "
                "numpy.asarray of lists, and recording.train.encod and .recon of a recording."
            )
        if isinstance(x, np.ndarray):
            support = getattr(type(self._graph_outputs["p_x"]), "support", "real")
            counts = support == "counts"
            check_trials(
                x, y if isinstance(y, np.ndarray) else None, counts=counts, missing=self.context.missing, names=names
            )
            target, name = (x, names[0]) if y is None else (y, names[1])
            if support == "binary" and isinstance(target, np.ndarray):
                check_binary(target, name)
            if support in ("positive", "events") and isinstance(target, np.ndarray):
                events = support == "events"
                check_positive(target, name, (self.params or {}).get("gamma_loc", 0.0) if events else 0.0, events)
            self.reads.check_x(x, names[0])

    def init_readout(self, target: Any, session: Any = None) -> None:
        """Sets the read-out bias to the mean of `target`; see :meth:`indl.dists.observations.base.Readout.start_at`."""
        frame = (self.params or {}).get("frame_shape")
        if frame:
            # A colour has one bias for all pixels.
            target = np.reshape(target[:], (len(target), -1, frame[-1]))
        part_of(self, "readout").start_at(target, session)

    def init_sequences(self, index: Any, unseen: Any = ()) -> None:
        """Tells the prior of sequences what training has; see :meth:`indl.dists.priors.table.TablePrior.count`."""
        part_of(self, "f_prior").count(index, unseen)

    def estimate_sequences(self, x: Any, trained: bool = False) -> None:
        """Estimates the means of sequences that training has not; see :func:`indl.model.sequences.estimate`."""
        estimate(self, x, trained)

    # --- inference ------------------------------------------------------------------------------

    def encode(self, x: Any, batch_size: int | None = None, paths: bool = False) -> dict[str, Any]:
        """Posteriors of the trials `x` (trials, time, channels): ``{"q_f": Gaussian, "q_z": Gaussian}`` of arrays.

        They are of f (trials, F) and of z (trials, time, Z), or, where one z drives all bins, (trials, Z).

        Args:
            x: trials (trials, time, channels).
            batch_size: trials computed at once. Default: :meth:`rows_at_once`.
            paths: give a posterior with memory its `path` too, drawn with a fixed seed.
        """
        names = [name for name in ("q_f", "q_z") if name in self._graph_outputs]
        names += ["q_z_path"] if paths and "q_z_path" in self.passes.outputs else []
        found = self.passes.run(names, self._read(x), self.rows_at_once(batch_size))
        # Where f enters the z-encoder, q(z) has the samples axis; at the mean of f all its entries are alike.
        # The third letter of a name is that of the latent; what is empty has no axes.
        found = {
            name: [first_entries(part, q[0].ndim - self.latent_ranks[name[2]]) for part in q[:3] if len(part)]
            for name, q in found.items()
        }
        path = found.pop("q_z_path", ())
        return {name: Gaussian(*q[:2], path=path if name == "q_z" else ()) for name, q in found.items()}

    def rates(
        self, x: Any, samples: int = 0, seed: int = 0, batch_size: int | None = None, compiled: bool = False
    ) -> np.ndarray:
        """Expected counts a bin (trials, time, channels).

        Args:
            x: trials (trials, time, channels).
            samples: 0: one pass with posterior means. K: the average of the rates of K posterior samples, with
                dropout off; each trial is encoded once.
            seed: seed of the samples.
            batch_size: trials, or trials times samples, computed at once, on which the draws depend. Default:
                :meth:`rows_at_once`.
            compiled: compile the pass with XLA, once for each number of trials in a batch and of samples, and deal
                the trials of a batch to the cores: some seconds, after which it takes about half the time. Worth it
                for thousands of trials times samples. Draws differ from those of the plain pass.
        """
        return self.outputs_of(x, ("rates",), samples, seed, batch_size, compiled)["rates"]

    def factors(
        self, x: Any, samples: int = 0, seed: int = 0, batch_size: int | None = None, compiled: bool = False
    ) -> np.ndarray:
        """Factors (trials, time, n_factors); arguments as in :meth:`rates`."""
        return self.outputs_of(x, ("factors",), samples, seed, batch_size, compiled)["factors"]

    def outputs_of(
        self,
        x: Any,
        names: tuple[str, ...],
        samples: int = 0,
        seed: int = 0,
        batch_size: int | None = None,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """Several outputs in one pass: `"rates"`, `"factors"`, `"gen_out"`, `"f"`, `"z"`; see :meth:`rates`."""
        if not isinstance(samples, numbers.Integral) or isinstance(samples, bool) or samples < 0:
            raise ValueError(
                f"The number of posterior samples must be whole and not negative. Given: samples={samples!r}. "
                "Use 0 for posterior means."
            )
        known = ["rates", *(name for name in ("factors", "gen_out", "f", "z") if name in self._graph_outputs)]
        if not set(names) <= set(known):
            raise ValueError(f"An output is not known. Given: {list(names)}. Choose from {known}.")
        if samples:
            self._require_sampled_latents()
        values = self.passes.run(names, self._read(x), self.rows_at_once(batch_size), samples, seed, compiled)
        return {name: _drop_samples_axis(value, self.latent_ranks.get(name, 3)) for name, value in values.items()}

    def log_prob(self, x: Any, target: Any = None, batch_size: int | None = None) -> np.ndarray:
        """Log-likelihood in nats of every element of `target` (default: x), from posterior means of `x`.

        Returns:
            Shape (trials, time, channels) of the target.
        """
        p_x = self.passes.run(["p_x"], self._read(x), self.rows_at_once(batch_size))["p_x"]
        observed = type(self._graph_outputs["p_x"])(*(_drop_samples_axis(part) for part in p_x))
        return np.asarray(observed.log_prob(_target(x, target, observed[0].shape)))

    def log_evidence(
        self, x: Any, target: Any = None, n_samples: int = 500, seed: int = 0, batch_size: int = 2048
    ) -> np.ndarray:
        """log p(x) in nats of each trial, from below: the bound of many posterior samples (Burda et al. 2016).

        It grows with the samples towards the truth; that of one is the bound that is trained. Dropout is off, and
        weights of the divergences are one.

        Args:
            x: trials (trials, time, channels); with labels where the prior depends on them.
            target: what is reconstructed. Default: x.
            n_samples: samples a trial, at least.
            seed: seed of the samples.
            batch_size: trials times samples computed at once, on which the draws depend.

        Returns:
            Shape (trials,).

        Raises:
            ValueError: a model without divergences, or of sequences, or labels that are not given.
        """
        self._require_sampled_latents()
        n_samples, batch_size = check_whole(n_samples, "n_samples", 1), check_whole(batch_size, "batch_size", 1)
        if (part := part_in(x)) is not None:
            x, target = inputs_of(self, part, labels=True), part.recon[:] if target is None else target
        if "index" in self.reads.symbols or not (self.params or {"variational": True})["variational"]:
            raise ValueError(
                "The evidence is that of a model with one prior for all trials and divergences from it. Given: "
                f"f_prior_type={self.params['f_prior_type']!r}, variational={self.params['variational']}. Use "
                "evaluate, whose neg_elbo has the bound, or another prior."
            )
        self.reads.check_labels(x)
        given = self._read(x)
        shape = (
            *given["x"].shape[:1],
            given["x"].shape[1] + self.reads.forward_steps,
            self._graph_outputs["p_x"][0].shape[-1],
        )
        target = _target(x, target, shape)
        return log_evidence(self, given, target, n_samples, check_whole(seed, "seed", 0, 2**31 - 1), batch_size)

    def inference_function(self, what: str) -> tuple[Any, list[tf.TensorSpec]]:
        """A function of the inputs with flat outputs, on posterior means, for export, and its signature.

        `what` is `"rates"` (and factors) or `"encode"`.
        """
        if what == "rates":
            symbols = {name: self.passes.outputs[name] for name in ("rates", "factors") if name in self.passes.outputs}
            many = {name: len(symbol.shape) - 3 for name, symbol in symbols.items()}
        else:
            q = {name: self._graph_outputs[name] for name in ("q_f", "q_z") if name in self._graph_outputs}
            symbols = {f"{name}_{field}": getattr(q[name], field) for name in q for field in ("loc", "scale")}
            more = len(q["q_z"].loc.shape) - self.latent_ranks["z"] if "q_z" in q else 0
            many = dict.fromkeys(("q_z_loc", "q_z_scale"), more)
        values, names, reads = self.passes.endpoint(symbols, many), self.input_names, self.reads

        def endpoint(*given: Any, **named: Any) -> dict[str, Any]:
            return values(reads.complete({**dict(zip(names, given, strict=False)), **named}))

        # Under their names the arrays can be given to a loaded export, too.
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(name, kind) for name in names]
        )
        return endpoint, [
            tf.TensorSpec(reads.symbols[name].shape, reads.symbols[name].dtype, name=name) for name in names
        ]

    # --- internals ------------------------------------------------------------------------------

    def _read(self, x: Any) -> dict[str, np.ndarray]:
        """What a method was given as checked arrays by name."""
        part = part_in(x)
        return self.reads.checked(x if part is None else inputs_of(self, part))

    def _sample_layers(self) -> list[str]:
        return [layer.name for layer in self.layers if isinstance(layer, Sampler)]


def _target(x: Any, target: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a method of trials `x` compares with, of the read-out's shape."""
    if target is None:
        part = part_in(x)
        target = part.recon[:] if part is not None else x["x"] if isinstance(x, Mapping) else x
    target = arrays.numbers(target, "target")
    if target.shape != tuple(shape):
        raise ValueError(
            f"The target does not fit the read-out. Given: shape {target.shape} for {tuple(shape)}. "
            "Pass the trials that x was taken from, with every channel and bin that the model reconstructs."
        )
    return target


def _drop_samples_axis(value: Any, rank: int = 3) -> Any:
    """Averages the axes behind the trials away, samples or the one step of a z for all bins, until `rank` are left."""
    return value.mean(tuple(range(1, 1 + value.ndim - rank))) if value.ndim > rank else value
