"""The Keras model that trains what the builders assemble."""

from __future__ import annotations

import contextlib
import itertools
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl.data.checks.arrays import as_trials, check_positive, check_trials, check_whole
from indl.data.values.recording import Recording, Split
from indl.data.values.trials import Trials
from indl.dists.gaussian import Gaussian, as_gaussian
from indl.dists.observations import OBSERVATIONS, PoissonObservation
from indl.layers.coordinated_dropout import block_gradient
from indl.layers.sample_validation import sample_validation_losses
from indl.model.inputs.labels import LabelForm
from indl.model.steps import guarded_adam  # noqa: F401  a saved model names its optimizer
from indl.model.steps.side_by_side import SideBySide, parts_for
from indl.model.steps.term_means import TermMeans
from indl.registry import register
from indl.sampling.draws import compiled
from indl.sampling.layer import Sampler
from indl.sampling.modes import GivenLatents, PosteriorSamples, sampling

#: What the loss is the weighted sum of, and what is logged.
PARTS = ("nll", "kl_f", "kl_z", "penalty")
TERMS = (*PARTS, "neg_elbo", "heldin_nll", "loss")


#: What a model may read beside x.
_READS = {
    "ext_input": "what was applied or measured in every bin of the target, not the inferred inputs z",
    "sample_mask": "1 for each sample of x that sample validation leaves visible, 0 for the hidden ones",
    "session": "the number of each trial's session, counted from 0",
    "u": "the label of each trial, or of each bin of the target: a class counted from 0, or a vector",
}


@register
class SequentialVAE(keras.Model):
    """A sequential variational auto-encoder over tensors that the builders, or the user, have made.

    The loss, in nats per trial, is ``nll + beta_f kl_f + beta_z kl_z + l2_weight penalty``. Each term is logged under
    its name, and `neg_elbo` is the sum of the first three at beta = 1, which no schedule touches; `heldin_nll` is the
    part of `nll` in the bins and channels of the input. In sample validation these are over visible samples, scaled to
    all of them, and `sample_nll` is over hidden ones, scaled likewise. With ``loss_reduction="mean"`` the loss takes
    the mean of the likelihood over bins and channels instead of `nll`, and all of it is multiplied by `loss_scale`:
    gradients are clipped after that. A training step with a term that is not finite is left out of all means;
    `finite_terms` tells which of `loss_parts` it was. The betas are variables: callbacks change them without a new
    trace. So is `alpha`, where the params' is above 0: the share in the loss of what the encoders of product posteriors
    alone would pay. Dropout acts in training only; inference runs on posterior means.

    Args:
        inputs: the input tensor (batch, time, channels); or a dict of ``x`` and what else the model reads
            (``ext_input``, ``sample_mask``, ``session``, ``u``), whose keys are then those of the arrays that all
            methods take. Without a ``sample_mask`` nothing is hidden. Labels ``u`` are needed in training and by
            ``evaluate``; elsewhere only by a model with ``q_cond="concat"``, and unknown ones are -1 or NaN.
        outputs: a dict with ``p_x`` (the observation model), and any of ``q_f``, ``f`` (its sample), ``kl_f``
            (batch,), ``q_z``, ``z``, ``kl_z`` (batch, time), ``kl_f_encoder`` and ``kl_z_encoder`` of the same shapes,
            ``factors``, ``gen_out``, ``cd_mask``, ``sample_mask``.
        params: the params dict that the model was built from, kept for saving, tuning and training.
        beta_f, beta_z: weights of the KL terms before any schedule.
        gradient_rescale: factor on the reconstruction gradient of coordinated dropout.
    """

    def __init__(
        self,
        *args: Any,
        params: Mapping[str, Any] | None = None,
        beta_f: float = 1.0,
        beta_z: float = 1.0,
        gradient_rescale: float = 1.0,
        observation: str | None = None,
        **kwargs: Any,
    ):
        if "outputs" not in kwargs:
            raise ValueError(
                f"A SequentialVAE takes its tensors by name. Given: {len(args)} positional arguments. "
                "Write SequentialVAE(inputs=..., outputs={'p_x': ...})."
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
        super().__init__(*args, **{**kwargs, "outputs": outputs})
        given = kwargs["inputs"]
        self._named_inputs = dict(given) if isinstance(given, Mapping) else {"x": tf.nest.flatten(given)[0]}
        labels = self._named_inputs.get("u")
        #: The form of the labels that the model learns from; None: it reads none.
        self.labels = None if labels is None else LabelForm.of(labels, params["u_dim"] if params else 0)
        self._graph_outputs = outputs
        self._rates = outputs["p_x"].mean()
        self.params = None if params is None else dict(params)
        self.gradient_rescale = gradient_rescale
        self.observation = kind.__name__
        self._initial_betas = {"beta_f": beta_f, "beta_z": beta_z}
        self.beta_f = keras.Variable(beta_f, trainable=False, dtype="float32", name="beta_f")
        self.beta_z = keras.Variable(beta_z, trainable=False, dtype="float32", name="beta_z")
        self.l2_weight = keras.Variable(1.0, trainable=False, dtype="float32", name="l2_weight")
        if params and params.get("alpha"):
            self.alpha = keras.Variable(params["alpha"], trainable=False, dtype="float32", name="alpha")
        self.loss_parts = PARTS
        # Replicas disagree where only some saw the value: the mean tells.
        self.finite_terms = keras.Variable(
            np.ones(len(PARTS)), trainable=False, dtype="float32", aggregation="mean", name="finite_terms"
        )
        terms = (*TERMS, "sample_nll") if outputs.get("sample_mask") is not None else TERMS
        self.term_means = TermMeans(terms)
        #: Above 1, a training step computes so many parts of a batch side by side, each compiled.
        self.batch_parts = 1
        self._may_miss = bool(params and params["missing_data"])
        self._passes: dict[str, Any] = {}

    @property
    def x(self) -> Any:
        """The symbolic input (batch, time, channels)."""
        return self._named_inputs["x"]

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the model must be given: ``"x"``, and perhaps ``"ext_input"``; labels where it cannot do without."""
        optional = {"sample_mask"} if self.needs_labels else {"sample_mask", "u"}
        return tuple(name for name in self._named_inputs if name not in optional)

    @property
    def needs_labels(self) -> bool:
        """Whether the encoders read labels, so that nothing can be inferred without."""
        return self.labels is not None and (not self.params or self.params["q_cond"] == "concat")

    @property
    def metrics_names(self) -> list[str]:
        """Names of what ``evaluate`` returns as a list."""
        return ["loss", *sorted(set(self.term_means.terms) - {"loss"})]

    def get_config(self) -> dict[str, Any]:
        config = {"params": self.params, "gradient_rescale": self.gradient_rescale, "observation": self.observation}
        return {**super().get_config(), **config, **self._initial_betas}

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(self._complete(inputs), *args, **kwargs)

    # --- training -------------------------------------------------------------------------------

    def loss_terms(self, target: Any, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Each term per trial, in nats, shape (batch,); `penalty` is a scalar."""
        target = self._with_samples_axis(target, outputs["p_x"][0])
        constant = {}
        if self.params and isinstance(outputs["p_x"], PoissonObservation):
            constant = {"log_factorial": self.params.get("log_factorial", "exact")}
        if self._may_miss:
            missing = ops.isnan(target)
            # Filled before the density: a NaN that is cut off afterwards still spoils the gradient.
            likelihood = outputs["p_x"].log_prob(ops.where(missing, ops.zeros_like(target), target), **constant)
            likelihood = ops.where(missing, ops.zeros_like(likelihood), likelihood)
        else:
            likelihood = outputs["p_x"].log_prob(target, **constant)
        if outputs.get("cd_mask") is not None:
            segment = self.params["f_enc_input_samps"] if self.params else 0
            likelihood = block_gradient(likelihood, outputs["cd_mask"], self.gradient_rescale, segment)
        found = {}
        if outputs.get("sample_mask") is not None:
            rate, segment = self.params["sample_validation_rate"], self.params["f_enc_input_samps"]
            likelihood, found["sample_nll"] = sample_validation_losses(
                likelihood, outputs["sample_mask"], rate, segment
            )
        found |= {"nll": likelihood, "heldin_nll": likelihood[..., : self._steps(), : self.x.shape[-1]]}
        found = {name: -ops.sum(part, axis=(-2, -1)) for name, part in found.items()}
        found = {name: ops.mean(part, axis=1) if len(part.shape) == 2 else part for name, part in found.items()}
        zero = ops.zeros_like(found["nll"])
        found |= {"kl_f": zero, "kl_z": zero}
        for name in ("kl_f", "kl_z", "kl_f_encoder", "kl_z_encoder"):
            if name in outputs:
                found[name] = ops.sum(outputs[name], axis=-1) if name.startswith("kl_z") else outputs[name]
        return {**found, "penalty": self.l2_weight * sum(self.losses) if self.losses else ops.zeros(())}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The training objective; called by ``fit`` and ``evaluate``."""
        if self.labels is not None and not (isinstance(x, Mapping) and "u" in x):
            raise self.labels.missing("x")
        target = y if y is not None else x["x"] if isinstance(x, Mapping) else x
        terms = self.loss_terms(target, y_pred)
        terms["neg_elbo"] = terms["nll"] + terms["kl_f"] + terms["kl_z"]
        scale = self._per_element(target, x.get("session") if isinstance(x, Mapping) else None)
        trial = terms["nll"] * scale + self.beta_f * self._paid(terms, "kl_f") + self.beta_z * self._paid(terms, "kl_z")
        if sample_weight is not None:
            trial = trial * ops.cast(sample_weight, trial.dtype)
        terms["loss"] = (trial + terms["penalty"]) * (self.params["loss_scale"] if self.params else 1.0)
        finite = True
        if training:
            found = ops.stack([ops.all(ops.isfinite(terms[name])) for name in PARTS])
            self.finite_terms.assign(ops.cast(found, "float32"))
            finite = ops.all(found)
        self.term_means.update_state(terms, finite)
        # Replicas are summed, so each gives its share.
        return ops.mean(terms["loss"]) / tf.distribute.get_strategy().num_replicas_in_sync

    def _paid(self, terms: Mapping[str, Any], name: str) -> Any:
        """A divergence as the loss has it: a share of it is that of the encoder alone, where there is one."""
        own = terms.get(f"{name}_encoder")
        return terms[name] if own is None else self.alpha * own + (1 - self.alpha) * terms[name]

    def _steps(self) -> int | None:
        """Bins of the target that the encoder sees; None: all."""
        forward = self.params["forward_steps"] if self.params else 0
        return -forward if forward else None

    def _per_element(self, target: Any, session: Any = None) -> Any:
        """The factor that makes a trial's log-likelihood a mean over bins and channels, where that is asked for."""
        if not self.params or self.params["loss_reduction"] == "sum":
            return 1.0
        shape = ops.shape(target)
        if not self._may_miss:
            return 1.0 / ops.cast(shape[1] * shape[2], "float32")
        # As in lfads-torch, the mean is over what was recorded, in all trials that the batch holds of a session.
        recorded = ops.sum(ops.cast(ops.logical_not(ops.isnan(target)), "float32"), axis=(1, 2))
        if session is None:
            return 1.0 / ops.maximum(ops.mean(recorded), 1e-8)
        alike = ops.cast(ops.equal(session[:, None], session[None]), "float32")
        return ops.sum(alike, axis=1) / ops.maximum(ops.sum(alike * recorded, axis=1), 1e-8)

    def side_by_side(self) -> SideBySide:
        """What computes the parts of a batch; the same one, with what it has compiled, as long as the weights are."""
        key, weights = f"parts:{self.batch_parts}", [id(variable) for variable in self.trainable_variables]
        found = self._passes.get(key)
        if found is None or [id(variable) for variable in found.weights] != weights:
            found = self._passes[key] = SideBySide(self, self.batch_parts)
        return found

    def forget_steps(self) -> None:
        """Makes training and evaluation trace their steps anew, after the mode or settings of layers changed."""
        self.train_function = self.test_function = None
        for key in [key for key in self._passes if key.startswith("parts:")]:
            del self._passes[key]

    def train_step(self, data: Any) -> Any:
        """One step of ``fit``, in the chosen mode; see :class:`~indl.training.mode.Mode`."""
        if self.batch_parts > 1:
            gradients = self.side_by_side().gradient(*keras.utils.unpack_x_y_sample_weight(data))
            gradients = [self.optimizer.scale_loss(gradient) for gradient in gradients]
            weights = self.trainable_variables
            tf.function(lambda given: self.optimizer.apply(given, weights), jit_compile=True, autograph=False)(
                gradients
            )
            return self.get_metrics_result()
        # Dropout draws with the generator that is fast in the mode.
        with compiled(bool(self.jit_compile)):
            return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        """One step of ``evaluate``."""
        if self.batch_parts > 1:
            self.side_by_side().evaluate(*keras.utils.unpack_x_y_sample_weight(data))
            return self.get_metrics_result()
        return super().test_step(data)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras, but of a batch in parts each is compiled by itself."""
        with self._parts_compiled_alone():
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        """As in Keras, but of a batch in parts each is compiled by itself."""
        with self._parts_compiled_alone():
            return super().make_test_function(force)

    @contextlib.contextmanager
    def _parts_compiled_alone(self) -> Iterator[None]:
        setting, self.jit_compile = self.jit_compile, self.jit_compile and self.batch_parts == 1
        try:
            yield
        finally:
            self.jit_compile = setting

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.fit``; without `y` the input is its own target. Arrays are checked first.

        Raises:
            ValueError: the arrays hold NaN, negative or fractional counts, the wrong rank or width, or no trials; or
                the model hides samples and is not told which.
        """
        self.check_arrays(x, y)
        self._check_mask(x, "x")
        self.check_labels(x, "x")
        validation = kwargs.get("validation_data")
        if isinstance(validation, np.ndarray):
            raise ValueError(
                f"validation_data must be a tuple. Given: one array of shape {validation.shape}. Pass (x,) or (x, y)."
            )
        if validation is not None and isinstance(validation, tuple | list):
            self.check_arrays(*validation[:2], names=("validation x", "validation y"))
            self._check_mask(validation[0], "validation x")
            self.check_labels(validation[0], "validation x")
        if kwargs.get("batch_size") is not None:
            check_whole(kwargs["batch_size"], "batch_size", 1)
        if self.optimizer is not None and not self.optimizer.built:
            # Built before the first step, the train function is traced once, and slots can be restored.
            self.optimizer.build(self.trainable_variables)
        return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """``keras.Model.evaluate``; without `y` the input is its own target. Labels are checked first."""
        self.check_labels(x, "x")
        return super().evaluate(x, y, *args, **kwargs)

    def check_arrays(self, x: Any, y: Any = None, names: tuple[str, str] = ("x", "y")) -> None:
        """Refuses arrays that this model cannot be trained on, in words; data sets and tensors pass unseen."""
        if isinstance(x, Mapping):
            x = self._as_inputs(x, names[0])["x"]
        if x is None or isinstance(x, str | list | tuple | Recording | Split | Trials):
            raise ValueError(
                f"{names[0]} must be an array (trials, time, channels) or a data set. Given: {type(x).__name__}. Pass "
                "numpy.asarray of lists, and recording.train.encod and .recon of a recording."
            )
        if isinstance(x, np.ndarray):
            support = getattr(type(self._graph_outputs["p_x"]), "support", "real")
            counts = support == "counts"
            check_trials(
                x, y if isinstance(y, np.ndarray) else None, counts=counts, missing=self._may_miss, names=names
            )
            target, name = (x, names[0]) if y is None else (y, names[1])
            if support in ("positive", "events") and isinstance(target, np.ndarray):
                events = support == "events"
                check_positive(target, name, self.params["gamma_loc"] if events and self.params else 0.0, events)
            self._check_width(x, names[0])

    def check_labels(self, x: Any, name: str = "x") -> None:
        """Refuses arrays without labels, or with unknown ones, where the model learns from them; data sets pass."""
        if self.labels is None or not isinstance(x, Mapping | np.ndarray):
            return
        if not isinstance(x, Mapping) or "u" not in x:
            raise self.labels.missing(name)
        arrays = self._as_inputs(x, name)
        self.labels.check(
            arrays["u"], len(arrays["x"]), arrays["x"].shape[1] + self._forward_steps, f"{name}['u']", known=True
        )

    def init_readout(self, target: Any, session: Any = None) -> None:
        """Sets the read-out bias to the mean of `target` (trials, time, channels): the log mean count a bin.

        Of several sessions, each has the mean over its own trials; `session` tells which, integers (trials,). A channel
        that a session never recorded has no weights there, so that its rate is constant, and as small as can be.
        """
        readout = self.get_layer("readout")
        several = readout.n_sessions
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
        if mean.shape[1] != readout.n_channels:
            raise ValueError(
                f"The target must have the read-out's channels. Given: {mean.shape[1]} channels for a read-out "
                f"of {readout.n_channels}. Pass the array that the model is trained on."
            )
        readout.set_bias(readout.bias_for(mean if several else mean[0]))
        if several:
            exists = np.tile(recorded > 0, readout.parameters_per_channel)[:, None]
            readout.kernel.assign(np.where(exists, np.asarray(readout.kernel), 0))

    # --- inference ------------------------------------------------------------------------------

    def encode(self, x: Any, batch_size: int = 256) -> dict[str, Any]:
        """Posteriors of the trials `x` (trials, time, channels): ``{"q_f": Gaussian, "q_z": Gaussian}`` of arrays."""
        names = [name for name in ("q_f", "q_z") if name in self._graph_outputs]
        found = self._run(names, x, batch_size)
        # Where f enters the z-encoder, q(z) has the samples axis; at the mean of f all its entries are alike.
        ranks = {"q_f": 2, "q_z": 3}
        return {
            name: Gaussian(*(part[:, 0] if q[0].ndim > ranks[name] else part for part in q[:2]))
            for name, q in found.items()
        }

    def rates(
        self, x: Any, samples: int = 0, seed: int = 0, batch_size: int = 256, compiled: bool = False
    ) -> np.ndarray:
        """Expected counts a bin (trials, time, channels).

        Args:
            x: trials (trials, time, channels).
            samples: 0: one pass with posterior means. K: the average of the rates of K posterior samples, with
                dropout off; each trial is encoded once.
            seed: seed of the samples.
            batch_size: trials, or trials times samples, computed at once.
            compiled: compile the pass with XLA, once for each number of trials in a batch and of samples, and deal
                the trials of a batch to the cores: some seconds, after which it takes about half the time. Worth it
                for thousands of trials times samples. Draws differ from those of the plain pass.
        """
        return self.outputs_of(x, ("rates",), samples, seed, batch_size, compiled)["rates"]

    def factors(
        self, x: Any, samples: int = 0, seed: int = 0, batch_size: int = 256, compiled: bool = False
    ) -> np.ndarray:
        """Factors (trials, time, n_factors); arguments as in :meth:`rates`."""
        return self.outputs_of(x, ("factors",), samples, seed, batch_size, compiled)["factors"]

    def outputs_of(
        self,
        x: Any,
        names: tuple[str, ...],
        samples: int = 0,
        seed: int = 0,
        batch_size: int = 256,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """Several outputs in one pass: `"rates"`, `"factors"`, `"gen_out"`, `"f"`, `"z"`; see :meth:`rates`."""
        if not isinstance(samples, numbers.Integral) or samples < 0:
            raise ValueError(
                f"The number of posterior samples must be whole and not negative. Given: samples={samples!r}. "
                "Use 0 for posterior means."
            )
        known = ["rates", *(name for name in ("factors", "gen_out", "f", "z") if name in self._graph_outputs)]
        if not set(names) <= set(known):
            raise ValueError(f"An output is not known. Given: {list(names)}. Choose from {known}.")
        values = self._run(list(names), x, batch_size, samples, seed, compiled)
        return {name: _drop_samples_axis(value, 2 if name == "f" else 3) for name, value in values.items()}

    def log_prob(self, x: Any, target: Any = None, batch_size: int = 256) -> np.ndarray:
        """Log-likelihood in nats of every element of `target` (default: x), from posterior means of `x`.

        Returns:
            Shape (trials, time, channels) of the target.
        """
        p_x = self._run(["p_x"], x, batch_size)["p_x"]
        observed = type(self._graph_outputs["p_x"])(*(_drop_samples_axis(part) for part in p_x))
        target = _numbers((x["x"] if isinstance(x, Mapping) else x) if target is None else target, "target")
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
        forward = self.params["forward_steps"] if self.params else 0
        bins = self.x.shape[1]
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
        if "decode" not in self._passes:
            self._passes["decode"] = self._trace_decoder()
        # The input only lends its shape: nothing but the given latents reaches the generator.
        n = len(given[names[0]])
        shapes = {"x": (n, bins or max(steps - forward, 1), self.x.shape[-1])}
        if "ext_input" in self._named_inputs:
            shapes["ext_input"] = (n, steps, self._named_inputs["ext_input"].shape[-1])
        if "session" in self._named_inputs:
            shapes["session"] = (n,)
            if session is None:
                raise ValueError(
                    "This model has a read-out for each session. Given: session=None. Pass the number of one, or an "
                    "array with one for each trial."
                )
        inputs = {name: tf.zeros(size) for name, size in shapes.items()}
        if "session" in inputs:
            inputs["session"] = np.broadcast_to(session, (n,))
        if ext_input is not None:
            inputs["ext_input"] = ops.convert_to_tensor(ext_input, "float32")
        if self.needs_labels:
            inputs["u"] = np.zeros(self.labels.shape(n, shapes["x"][1] + self._forward_steps))
        inputs = self._as_inputs(inputs if len(inputs) > 1 else inputs["x"], check_bins=False)
        latents = {name: ops.convert_to_tensor(given[name], "float32") for name in names}
        return self._passes["decode"](inputs, latents)

    @property
    def latent_names(self) -> list[str]:
        """Which of ``"f"`` and ``"z"`` the model has."""
        return [name for name in ("f", "z") if name in self._graph_outputs]

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
        if self.params and not self.params["variational"] and any(given[name] is None for name in names):
            raise ValueError(
                "An auto-encoder without priors cannot draw latents. Given: a model with variational=False. Pass its "
                f"latents {names} (from encode), or train with variational=True."
            )
        if u is not None:
            if self.labels is None:
                raise ValueError(
                    "This model knows no labels. Given: u. Leave it out, or build the model with u_dim > 0."
                )
            u = self.labels.spread(_numbers(u, "u"), n, time)
        if "f" in names and f is None:
            given["f"] = self.get_layer("f_prior").draw(n, u=u, seed=seeds[0])
        if "z" in names and z is None:
            given["z"] = self.get_layer("z_prior").draw(n, time, u, seeds[1])
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
        forward = self.params["forward_steps"] if self.params else 0
        inputs = self._as_inputs(x)
        external, session = (
            inputs.get(key) if isinstance(inputs, Mapping) else None for key in ("ext_input", "session")
        )
        steps = np.shape(inputs["x"] if isinstance(inputs, Mapping) else inputs)[1] + forward
        return np.asarray(self.decode(latents.get("f"), latents.get("z"), steps, external, session).mean())

    def inference_function(self, what: str) -> tuple[Any, list[tf.TensorSpec]]:
        """A function of the inputs with flat outputs, on posterior means, for export, and its signature.

        `what` is `"rates"` (and factors) or `"encode"`.
        """
        if what == "rates":
            names = [name for name in ("rates", "factors") if name == "rates" or name in self._graph_outputs]
            symbols = {name: self._symbol(name) for name in names}
            many = {name for name, symbol in symbols.items() if len(symbol.shape) == 4}
        else:
            q = {name: self._graph_outputs[name] for name in ("q_f", "q_z") if name in self._graph_outputs}
            symbols = {f"{name}_{field}": getattr(q[name], field) for name in q for field in ("loc", "scale")}
            many = {"q_z_loc", "q_z_scale"} if "q_z" in q and len(q["q_z"].loc.shape) == 4 else set()
        part = keras.Model(self._symbols(), symbols)

        names = self.input_names

        def endpoint(*arrays: Any) -> dict[str, Any]:
            given = dict(zip(names, arrays, strict=True)) if len(names) > 1 else arrays[0]
            with sampling(GivenLatents({})):
                found = part(self._complete(given), training=False)
            # On means all entries of the model's own samples axis are alike.
            return {name: value[:, 0] if name in many else value for name, value in found.items()}

        symbols = self._named_inputs
        return endpoint, [tf.TensorSpec(symbols[name].shape, symbols[name].dtype, name=name) for name in names]

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a flat SavedModel needs :func:`indl.export.export_saved_model`."""
        raise TypeError(
            "A SequentialVAE has nested outputs, which Keras's own export cannot write. "
            "Given: model.export(...). Call indl.export.export_saved_model(model, path) instead."
        )

    # --- internals ------------------------------------------------------------------------------

    def _with_samples_axis(self, target: Any, parameter: Any) -> Any:
        # In a traced step the loop over time may have forgotten how long it is.
        built = self._graph_outputs["p_x"][0].shape
        expected = [parameter.shape[axis] or built[axis] for axis in (-2, -1)]
        for size, wanted, axis in zip(target.shape[1:], expected, ("bins", "channels"), strict=True):
            if None not in (size, wanted) and size != wanted:
                raise ValueError(
                    f"The target does not fit the read-out. Given: {size} {axis}, while the model "
                    f"reconstructs {wanted}. Build it with out_dim and forward_steps of the target."
                )
        return target[:, None] if len(parameter.shape) == 4 else target

    def _symbols(self) -> Any:
        """The symbolic inputs, in the form that the model is called with."""
        # Keras tracks dicts by a type of its own, which signatures do not take.
        return dict(self._named_inputs) if len(self._named_inputs) > 1 else self.x

    def _complete(self, x: Any) -> Any:
        """The model's input with a mask that hides nothing, and unknown labels, where it reads them and has none."""
        absent = {"sample_mask", "u"} & self._named_inputs.keys() - (x.keys() if isinstance(x, Mapping) else {"x"})
        if not absent or (absent == {"u"} and self.needs_labels):
            return x
        given = dict(x) if isinstance(x, Mapping) else {"x": x}
        if "sample_mask" in absent:
            # A view on a single number costs no memory.
            is_array = isinstance(given["x"], np.ndarray)
            ones = np.broadcast_to(np.float32(1), given["x"].shape) if is_array else ops.ones_like(given["x"])
            given["sample_mask"] = ones
        if "u" in absent and not self.needs_labels:
            given["u"] = self.labels.unknown(given["x"], self._forward_steps)
        return given

    @property
    def _forward_steps(self) -> int:
        return self.params["forward_steps"] if self.params else 0

    def _check_mask(self, x: Any, name: str) -> None:
        given = x if isinstance(x, Mapping) else {"x": x}
        if "sample_mask" in self._named_inputs and "sample_mask" not in given and isinstance(given["x"], np.ndarray):
            raise ValueError(
                f"A model with sample validation is trained with a fixed mask. Given: {name} without sample_mask. Pass "
                "{'x': x, 'sample_mask': SampleMask(x.shape, rate, seed)[:]} of indl.data.batches.sample_mask, with "
                "another seed for the validation trials; or call indl.training.train."
            )

    def _as_inputs(self, x: Any, name: str = "x", check_bins: bool = True) -> Any:
        """The model's input as float32: an array, or a dict of arrays for a model that reads more than x."""
        names = set(self.input_names)
        if not isinstance(x, Mapping):
            if len(names) > 1:
                raise ValueError(
                    f"This model reads more than one array. Given: {type(x).__name__} alone. Pass a dict with the keys "
                    f"{sorted(names)}: x (trials, time, channels), ext_input (trials, time, dimensions), session "
                    "(trials,), u the labels."
                )
            x = _numbers(x, name)
            self._check_width(x, name, check_bins)
            return self._complete(x)
        if not names <= set(x) <= set(self._named_inputs):
            raise ValueError(
                f"The arrays are not those that the model reads. Given: {sorted(x)}. Pass {sorted(names)}."
            )
        arrays = {key: _numbers(x[key], f"{name}[{key!r}]") for key in self._named_inputs if key in x}
        self._check_width(arrays["x"], f"{name}['x']", check_bins)
        trials, bins = arrays["x"].shape[:2]
        if "u" in arrays:
            self.labels.check(arrays["u"], trials, bins + self._forward_steps, f"{name}['u']", known=self.needs_labels)
        for key in arrays.keys() - {"x", "u"}:
            steps = bins + self._forward_steps if key == "ext_input" else bins
            wanted = (trials, *(steps if size is None else size for size in self._named_inputs[key].shape[1:]))
            if arrays[key].shape != wanted or not np.isfinite(arrays[key]).all():
                raise ValueError(
                    f"{key} does not fit x and the model. Given: shape {arrays[key].shape}, "
                    f"{(~np.isfinite(arrays[key])).sum()} values that are not finite. It must be finite and of shape "
                    f"{wanted}: {_READS[key]}."
                )
        if "session" in arrays:
            self._check_session(arrays["session"])
        return self._complete(arrays if len(arrays) > 1 else arrays["x"])

    def _check_session(self, session: np.ndarray) -> None:
        n = self.params["n_sessions"]
        if session.min() < 0 or session.max() >= n or (session != np.round(session)).any():
            raise ValueError(
                f"A trial belongs to a session that the model does not have. Given: {np.unique(session)[:8].tolist()} "
                f"for {n} sessions. Count them from 0; add_session makes a model of one more."
            )

    def _check_width(self, x: np.ndarray, name: str = "x", check_bins: bool = True) -> None:
        _, bins, width = self.x.shape
        if check_bins and x.ndim == 3 and bins is not None and x.shape[1] != bins:
            raise ValueError(
                f"{name} does not fit the model's input. Given: {x.shape[1]} bins for an input of {bins}. "
                "Cut the trials to that length, or build the model with n_times=None."
            )
        bad = np.isinf(x) if self._may_miss else ~np.isfinite(x)
        if x.ndim != 3 or x.shape[-1] != width or len(x) == 0 or bad.any():
            raise ValueError(
                f"{name} does not fit the model's input. Given: shape {x.shape}, {bad.sum()} values that "
                f"are not finite. It must be (trials, time, {width}), finite, with at least one trial: select the "
                "held-in channels that the model was built for; for NaN where samples are missing, build it with "
                "missing_data=True."
            )

    def _run(
        self, names: list[str], x: Any, batch_size: int, samples: int = 0, seed: int = 0, compiled: bool = False
    ) -> dict[str, Any]:
        """Outputs `names` of all trials, batch by batch, averaged over posterior samples where asked."""
        x = self._as_inputs(x)
        batch_size, seed = check_whole(batch_size, "batch_size", 1), check_whole(seed, "seed", 0, 2**31 - 1)
        if samples:
            self._require_sampled_latents()
        n = len(tf.nest.flatten(x)[0])
        trials = min(n, max(1, batch_size // max(samples, 1)))
        parts = min(trials, parts_for(trials * max(samples, 1))) if compiled else 0
        key = f"{samples if compiled else 'sampled' if samples else 'mean'}:{parts}:{','.join(names)}"
        if key not in self._passes:
            self._passes[key] = self._trace_parts(names, samples, parts) if parts else self._trace(names, bool(samples))
        found = []
        for i in range(0, n, trials):
            # What is compiled is so for one number of trials: the last batch begins where it is full.
            begin = min(i, n - trials) if compiled else i
            batch = tf.nest.map_structure(lambda part, begin=begin: part[begin : begin + trials], x)
            values = self._passes[key](batch, tf.constant(samples), tf.constant([seed, begin], tf.int32))
            found.append(tf.nest.map_structure(lambda value, new=i - begin: np.asarray(value)[new:], values))
        return {name: _concatenate([part[name] for part in found]) for name in names}

    def _symbol(self, name: str) -> Any:
        """The graph's tensor of an output; the rates are the mean of the observation model."""
        return self._rates if name == "rates" else self._graph_outputs[name]

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

    def _trace(self, names: list[str], sampled: bool) -> Any:
        # With its signature fixed, a pass is traced once, whatever the number of trials.
        samples, seed = tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.int32)
        inputs = tf.nest.map_structure(lambda symbol: tf.TensorSpec(symbol.shape, tf.float32), self._symbols())
        return tf.function(self._pass(names, sampled), autograph=False, input_signature=[inputs, samples, seed])

    def _trace_parts(self, names: list[str], samples: int, parts: int) -> Any:
        """A pass over parts of the trials side by side, each compiled."""
        values = self._pass(names, bool(samples))
        # How many samples there are is part of the compiled shapes.
        one = tf.function(lambda x, seed: values(x, samples, seed), jit_compile=True, autograph=False)

        def side_by_side(x: Any, _: Any, seed: Any) -> dict[str, Any]:
            n = tf.nest.flatten(x)[0].shape[0]
            cuts = [n * i // parts for i in range(parts + 1)]
            found = [
                one(tf.nest.map_structure(lambda part, a=a, b=b: part[a:b], x), seed + [0, a])
                for a, b in itertools.pairwise(cuts)
            ]
            return tf.nest.map_structure(lambda *values: tf.concat(values, 0), *found)

        return tf.function(side_by_side, autograph=False)

    def _pass(self, names: list[str], sampled: bool) -> Callable[[Any, Any, Any], dict[str, Any]]:
        """Outputs as a function of inputs, number of samples and seed."""
        part = keras.Model(self._symbols(), {name: self._symbol(name) for name in names})

        def values(x: Any) -> dict[str, Any]:
            return part(x, training=False)

        def mean_pass(x: Any, samples: Any, seed: Any) -> dict[str, Any]:
            # Means, also of a model whose layers sample at test.
            with sampling(GivenLatents({})):
                return values(x)

        def sampled_pass(x: Any, samples: Any, seed: Any) -> dict[str, Any]:
            first = tf.nest.flatten(x)[0]
            # Shapes that are known make a compiled pass much faster.
            trials = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
            with sampling(PosteriorSamples(trials * samples, seed[0], seed[1], self._sample_layers())):
                result = values(x)
            return {
                name: tf.reduce_mean(tf.reshape(value, tf.concat([[trials, -1], tf.shape(value)[1:]], 0)), 1)
                for name, value in result.items()
            }

        return sampled_pass if sampled else mean_pass

    def _trace_decoder(self) -> Any:
        part = keras.Model(self._symbols(), {"p_x": self._graph_outputs["p_x"]})
        kind = type(self._graph_outputs["p_x"])

        def decode(x: Any, latents: dict[str, Any]) -> Any:
            values = {self._graph_outputs[name].name: value for name, value in latents.items()}
            with sampling(GivenLatents(values)):
                parameters = tf.nest.flatten(part(x, training=False))
            # All samples of one given latent decode alike: the first stands for them.
            return kind(*(value[:, 0] if len(value.shape) == 4 else value for value in parameters))

        return tf.function(decode, autograph=False, reduce_retracing=True)


def _numbers(values: Any, name: str) -> np.ndarray:
    """Values as float32, if they are numbers."""
    array, finding = as_trials(values, name)
    if finding is not None and finding.code == "not-numeric":
        raise ValueError(finding.message)
    return np.asarray(values if array is None else array, "float32")


def _concatenate(parts: list[Any]) -> Any:
    """Joins batches of arrays, or of tuples of arrays, along the trials."""
    if isinstance(parts[0], tuple | list):
        return type(parts[0])(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
    return np.concatenate(parts)


def _drop_samples_axis(value: Any, rank: int = 3) -> Any:
    """Averages the model's own samples axis, the second, away from a value that has `rank` axes without it."""
    return value.mean(1) if value.ndim > rank else value
