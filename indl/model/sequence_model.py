"""The Keras model that trains what the builders assemble, and what a trained one is asked for."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl.data.checks.arrays import check_positive, check_trials, check_whole
from indl.data.values.recording import Recording, Split
from indl.data.values.trials import Trials
from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.observations import OBSERVATIONS
from indl.model.inputs import arrays
from indl.model.inputs.arrays import ModelInputs
from indl.model.inputs.labels import LabelForm
from indl.model.inputs.of_recording import inputs_of, part_in
from indl.model.latent_model import LatentModel
from indl.model.parts import part_of
from indl.model.passes import Passes
from indl.objectives import Context, Objective, objective_of
from indl.params import completed, validate_params
from indl.registry import register
from indl.sampling.layer import Sampler


@register
class SequentialVAE(LatentModel):
    """A sequential variational auto-encoder over tensors that the builders, or the user, have made.

    Its loss and the terms that are logged are those of its objective, by default
    :class:`~indl.objectives.elbo.Elbo`. Dropout acts in training only; inference runs on posterior means. Where a
    method of inference, or ``evaluate``, takes trials `x`, a recording stands for its validation trials, and a part of
    one for its own, with their external input, session, and labels where nothing can be inferred without.

    Args:
        inputs: the input tensor (batch, time, channels); or a dict of ``x`` and what else the model reads
            (``ext_input``, ``sample_mask``, ``session``, ``u``), whose keys are then those of the arrays that all
            methods take. Without a ``sample_mask`` nothing is hidden. Labels ``u`` are needed in training and by
            ``evaluate``; elsewhere only by a model with ``q_cond="concat"``, and unknown ones are -1 or NaN.
        outputs: a dict with ``p_x`` (the observation model), and any of ``q_f``, ``f`` (its sample), ``kl_f``
            (batch,), ``q_z``, ``z``, ``kl_z`` (batch, time), ``kl_f_encoder``, ``kl_z_encoder``, ``kl_f_dimensions``
            and ``kl_z_dimensions`` (another axis), ``factors``, ``gen_out``, ``cd_mask``, ``sample_mask``.
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
        )
        self.observation = kind.__name__
        self._graph_outputs = outputs
        self._decoder: Any = None
        self.passes = Passes(symbols, {**outputs, "rates": outputs["p_x"].mean()}, self._sample_layers())

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
        """``keras.Model.evaluate``; without `y` the input is its own target. Labels are checked first."""
        if (part := part_in(x)) is not None:
            x, y = inputs_of(self, part, labels=True), part.recon[:]
        x = self.reads.tidy(x)
        self.reads.check_labels(x)
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
            if support in ("positive", "events") and isinstance(target, np.ndarray):
                events = support == "events"
                check_positive(target, name, (self.params or {}).get("gamma_loc", 0.0) if events else 0.0, events)
            self.reads.check_x(x, names[0])

    def init_readout(self, target: Any, session: Any = None) -> None:
        """Sets the read-out bias to the mean of `target`; see :meth:`indl.dists.observations.base.Readout.start_at`."""
        part_of(self, "readout").start_at(target, session)

    # --- inference ------------------------------------------------------------------------------

    def encode(self, x: Any, batch_size: int | None = None) -> dict[str, Any]:
        """Posteriors of the trials `x` (trials, time, channels): ``{"q_f": Gaussian, "q_z": Gaussian}`` of arrays."""
        names = [name for name in ("q_f", "q_z") if name in self._graph_outputs]
        found = self.passes.run(names, self._read(x), self.rows_at_once(batch_size))
        # Where f enters the z-encoder, q(z) has the samples axis; at the mean of f all its entries are alike.
        ranks = {"q_f": 2, "q_z": 3}
        return {
            name: Gaussian(*(part[:, 0] if q[0].ndim > ranks[name] else part for part in q[:2]))
            for name, q in found.items()
        }

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
        return {name: _drop_samples_axis(value, 2 if name == "f" else 3) for name, value in values.items()}

    def log_prob(self, x: Any, target: Any = None, batch_size: int | None = None) -> np.ndarray:
        """Log-likelihood in nats of every element of `target` (default: x), from posterior means of `x`.

        Returns:
            Shape (trials, time, channels) of the target.
        """
        p_x = self.passes.run(["p_x"], self._read(x), self.rows_at_once(batch_size))["p_x"]
        observed = type(self._graph_outputs["p_x"])(*(_drop_samples_axis(part) for part in p_x))
        if target is None:
            part = part_in(x)
            target = part.recon[:] if part is not None else x["x"] if isinstance(x, Mapping) else x
        target = arrays.numbers(target, "target")
        if target.shape != observed[0].shape:
            raise ValueError(
                f"The target does not fit the read-out. Given: shape {target.shape} for {tuple(observed[0].shape)}. "
                "Pass the trials that x was taken from, with every channel and bin that the model reconstructs."
            )
        return np.asarray(observed.log_prob(target))

    def decode(
        self, f: Any = None, z: Any = None, n_times: int | None = None, ext_input: Any = None, session: Any = None
    ) -> Any:
        """The observation model of given latents, as eager values.

        Args:
            f: (trials, F), for a model with a static latent.
            z: (trials, time, Z), for a model with a dynamic latent.
            n_times: bins to generate where there is no z.
            ext_input: (trials, time, D), for a model with external inputs. Default: zeros.
            session: of a model of several sessions, the number of the one to be read out, or one for each trial.
        """
        names = self.latent_names
        given = {"f": f, "z": z}
        for name in names:
            if given[name] is None:
                raise ValueError(
                    f"This model's decoder needs {name}. Given: None. Take it from encode or from a prior."
                )
        steps = np.shape(z)[1] if "z" in names else n_times
        if steps is None:
            raise ValueError("The number of bins is not known. Given: f alone. Pass n_times.")
        forward, bins = self.context.forward_steps, self.x.shape[1]
        if bins is not None and "z" not in names and steps != bins + forward:
            raise ValueError(
                f"This model generates trials of its own length. Given: {steps} bins for a model of {bins + forward}. "
                "Build it with n_times=None for any number of bins."
            )
        self._require_sampled_latents()
        # A latent may keep the samples axis that its posterior has.
        shapes = {name: np.shape(given[name]) for name in names}
        wanted = {name: self._graph_outputs[name].shape[-1] for name in names}
        trials = {shape[0] for shape in shapes.values() if shape}
        if len(trials) != 1 or any(len(shapes[name]) < 2 or shapes[name][-1] != wanted[name] for name in names):
            raise ValueError(
                f"Latents must belong to the same trials and have the model's sizes. Given: shapes {shapes}, for "
                f"sizes {wanted}. Pass f (trials, size) and z (trials, time, size), as encode returns them."
            )
        # The input only lends its shape: nothing but the given latents reaches the generator.
        inputs = self.reads.blank(len(given[names[0]]), steps, {"ext_input": ext_input, "session": session})
        latents = {name: ops.convert_to_tensor(given[name], "float32") for name in names}
        if self._decoder is None:
            self._decoder = self.passes.decoded(["p_x"])
        p_x = self._decoder(inputs, latents)["p_x"]
        # All samples of one given latent decode alike: the first stands for them.
        kind = type(self._graph_outputs["p_x"])
        return kind(*(value[:, 0] if len(value.shape) == 4 else value for value in tf.nest.flatten(p_x)))

    def generate(
        self,
        n: int,
        time: int,
        seed: int = 0,
        f: Any = None,
        z: Any = None,
        ext_input: Any = None,
        session: Any = None,
        u: Any = None,
    ) -> dict[str, np.ndarray]:
        """Draws trials from the model: latents from their priors, then the generator.

        Args:
            n: trials.
            time: bins of each trial.
            seed: seed of all draws.
            f, z: latents to hold fixed, (n, F) and (n, time, Z), instead of drawing them.
            ext_input: external input, (n, time, D), for a model with one. Default: zeros.
            session: of a model of several sessions, the one to draw trials of, or one for each trial.
            u: for a model with label priors, the label of all trials (a class, or a vector), of each trial (n first),
                or, with ``u_per_step``, of each bin of each trial (n, time first).

        Raises:
            ValueError: the model is not variational, so it has no priors to draw from, and a latent is not given; or
                the prior of a latent that is not given depends on labels, and they are not given or do not fit.

        Returns:
            ``rates`` (n, time, channels), ``x`` (counts or signals drawn from them), and ``f``, ``z`` where present.
        """
        n, time, seed = check_whole(n, "n"), check_whole(time, "time", 1), check_whole(seed, "seed")
        names = self.latent_names
        given = {"f": f, "z": z}
        # A seed for each part, so that neighbouring seeds share no numbers.
        seeds = [int(child) for child in np.random.SeedSequence(seed).generate_state(3) >> 1]
        if u is not None:
            if self.labels is None:
                raise ValueError(
                    "This model knows no labels. Given: u. Leave it out, or build the model with u_dim > 0."
                )
            u = self.labels.spread(arrays.numbers(u, "u"), n, time)
        if "f" in names and f is None:
            given["f"] = self._prior("f").draw(n, u=u, seed=seeds[0])
        if "z" in names and z is None:
            given["z"] = self._prior("z").draw(n, time, u, seeds[1])
        p_x = self.decode(given["f"], given["z"], time, ext_input, session)
        out = {"rates": p_x.mean(), "x": p_x.sample(seeds[2]), **{name: given[name] for name in names}}
        return {name: np.asarray(value) for name, value in out.items()}

    def reconstruct(self, x: Any, swap: str | None = None, order: Any = None) -> np.ndarray:
        """Rates of trials whose static or dynamic latents were exchanged (swap test of disentanglement).

        Args:
            x: trials (trials, time, channels).
            swap: None: the trials' own latents. ``"f"``: trial i takes the static latent of trial order[i];
                ``"z"``: the dynamic one.
            order: indices into the trials. Default: the trials reversed.
        """
        q = self.encode(x)
        latents = {name[-1]: value.loc for name, value in q.items()}
        if swap is not None:
            if swap not in latents:
                raise ValueError(
                    f"Only a latent of the model can be swapped. Given: swap={swap!r}. Choose one of {sorted(latents)}."
                )
            n = len(latents[swap])
            order = np.arange(n)[::-1] if order is None else np.asarray(order)
            if order.shape != (n,) or order.min() < 0 or order.max() >= n:
                raise ValueError(
                    f"The order must name one trial for each. Given: {order.tolist()} for {n} trials. "
                    "Pass indices into x, for example np.random.default_rng(0).permutation(len(x))."
                )
            latents[swap] = latents[swap][order]
        inputs = self._read(x)
        steps = inputs["x"].shape[1] + self.context.forward_steps
        external, session = inputs.get("ext_input"), inputs.get("session")
        return np.asarray(self.decode(latents.get("f"), latents.get("z"), steps, external, session).mean())

    def inference_function(self, what: str) -> tuple[Any, list[tf.TensorSpec]]:
        """A function of the inputs with flat outputs, on posterior means, for export, and its signature.

        `what` is `"rates"` (and factors) or `"encode"`.
        """
        if what == "rates":
            symbols = {name: self.passes.outputs[name] for name in ("rates", "factors") if name in self.passes.outputs}
            many = {name for name, symbol in symbols.items() if len(symbol.shape) == 4}
        else:
            q = {name: self._graph_outputs[name] for name in ("q_f", "q_z") if name in self._graph_outputs}
            symbols = {f"{name}_{field}": getattr(q[name], field) for name in q for field in ("loc", "scale")}
            many = {"q_z_loc", "q_z_scale"} if "q_z" in q and len(q["q_z"].loc.shape) == 4 else set()
        values, names, reads = self.passes.endpoint(symbols, many), self.input_names, self.reads

        def endpoint(*given: Any) -> dict[str, Any]:
            return values(reads.complete(dict(zip(names, given, strict=True))))

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

    def _require_sampled_latents(self) -> None:
        layers = self._sample_layers()
        for name in self.latent_names:
            if self._graph_outputs[name].name not in layers:
                raise ValueError(
                    f"Only a latent that was sampled can be drawn or replaced. Given: the output {name!r}, which no "
                    f"Sample layer has made. Build the model with q_{name}.sample()."
                )

    def _prior(self, latent: str) -> Any:
        layer = part_of(self, f"{latent}_prior")
        if layer is None:
            raise ValueError(
                "An auto-encoder without priors cannot draw latents. Given: a model with variational=False. Pass its "
                f"latents {self.latent_names} (from encode), or train with variational=True."
            )
        return layer


def _drop_samples_axis(value: Any, rank: int = 3) -> Any:
    """Averages the model's own samples axis, the second, away from a value that has `rank` axes without it."""
    return value.mean(1) if value.ndim > rank else value
