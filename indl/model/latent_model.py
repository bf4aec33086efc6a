"""What every model of latents shares: an objective, its weights as variables, its terms as metrics, and its steps."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from indl import __version__
from indl.files import OutputError, atomic, expanded
from indl.model.steps import guarded_adam  # noqa: F401  a saved model names its optimizer
from indl.model.steps.callbacks import direct, listed
from indl.model.steps.opponent import Opponent, evaluate_both, train_both
from indl.model.steps.side_by_side import SideBySide
from indl.model.steps.term_means import TermMeans
from indl.objectives import Context, Objective
from indl.sampling.draws import compiled

#: Under this name the random states stand in a file, beside Keras's numbered variables.
_RANDOM_STATES = "random_states"
#: Trials that are computed at once where memory is no matter.
_ROWS = 256
#: What ``keras.Model.compile`` takes and an objective of one's own makes idle.
_OF_KERAS = ("loss", "loss_weights", "metrics", "weighted_metrics")


class LatentModel(keras.Model):
    """A Functional model that is trained with an :class:`~indl.objectives.base.Objective`.

    The weights of the objective are variables of the model under their names (``model.beta_z``): callbacks change them
    without a new trace. Every term is logged, as a mean over trials. A training step with a part that is not finite is
    left out of all means, and ``finite_terms`` tells which of ``objective.parts`` it was.

    Args:
        objective: what is minimised.
        context: what the objective depends on beside tensors.
        params: the params dict that the model was built from, kept for saving, tuning and training.
        **kwargs: ``inputs``, ``outputs`` and ``name`` of ``keras.Model``.
    """

    # Keras keeps the graph of a sub-class in its file if it takes *args and **kwargs.
    def __init__(
        self, *args: Any, objective: Objective, context: Context, params: Mapping[str, Any] | None = None, **kwargs: Any
    ):
        super().__init__(*args, **kwargs)
        self.objective = objective
        self.context = context
        self.params = None if params is None else dict(params)
        for name, value in objective.weights.items():
            setattr(self, name, keras.Variable(value, trainable=False, dtype="float32", name=name))
        # Replicas disagree where only some saw the value: the mean tells.
        self.finite_terms = keras.Variable(
            np.ones(len(objective.parts)), trainable=False, dtype="float32", aggregation="mean", name="finite_terms"
        )
        self.term_means = TermMeans(objective.logged)
        network = objective.opponent()
        self.opponent = None if network is None else Opponent(network, name="opponent")
        #: Above 1, a training step computes so many parts of a batch side by side, each compiled.
        self.batch_parts = 1
        self._side_by_side: SideBySide | None = None

    @property
    def weights_of_terms(self) -> dict[str, Any]:
        """The variables that weight the terms, by name."""
        return {name: getattr(self, name) for name in self.objective.weights}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "params": self.params, "indl": __version__}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> LatentModel:
        """As in Keras, without what a file says of itself."""
        return super().from_config({name: value for name, value in config.items() if name != "indl"}, custom_objects)

    def rows_at_once(self, batch_size: int | None = None) -> int:
        """How many trials inference computes at once, where `batch_size` does not say.

        Four times a batch of training, which keeps gradients too, and 256 at most.
        """
        return min(_ROWS, 4 * (self.params or {}).get("batch_size", _ROWS)) if batch_size is None else batch_size

    @property
    def random_states(self) -> list[keras.Variable]:
        """The states of the random generators of all layers."""
        return [variable for variable in self.non_trainable_variables if variable.name == "seed_generator_state"]

    def save_own_variables(self, store: Any) -> None:
        """As in Keras, with the random states, which it leaves out: a loaded model draws the numbers that come next."""
        super().save_own_variables(store)
        if self.random_states:
            store[_RANDOM_STATES] = np.stack([np.asarray(state) for state in self.random_states])

    def load_own_variables(self, store: Any) -> None:
        """As in Keras, with the random states; a model with other generators than the saved one keeps its own."""
        values = {name: store[name] for name in store.keys()}
        states = values.pop(_RANDOM_STATES, ())
        super().load_own_variables(values)
        if len(states) == len(self.random_states):
            for variable, state in zip(self.random_states, states, strict=True):
                variable.assign(state)

    def get_compile_config(self) -> dict[str, Any]:
        """As in Keras, with the mode that training has chosen, in which other noise is drawn than in another."""
        config = super().get_compile_config()
        return config and {**config, "jit_compile": bool(self.jit_compile), "batch_parts": self.batch_parts}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """As in Keras, in the mode of the saved model."""
        self.batch_parts = config.get("batch_parts", 1)
        # Keras leaves a model uncompiled whose class has a `compile` of its own.
        found = keras.saving.deserialize_keras_object(
            {name: value for name, value in config.items() if name != "batch_parts"}
        )
        self.compile(**found)
        if self.built:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics_names(self) -> list[str]:
        """Names of what ``evaluate`` returns as a list."""
        own = [] if self.opponent is None else [self.opponent.mean_loss.name]
        return ["loss", *sorted(set(self.objective.logged) - {"loss"}), *own]

    @property
    def optimizer_variables(self) -> list[keras.Variable]:
        """The variables of the optimizer, and of that of an opponent."""
        own = [] if self.opponent is None else self.opponent.optimizer.variables
        return [*self.optimizer.variables, *own]

    def loss_terms(self, target: Any, outputs: Mapping[str, Any], inputs: Any = None) -> dict[str, Any]:
        """Each term per trial, and the loss, in nats, shape (batch,), or a scalar where all trials share it.

        Args:
            target: what is reconstructed.
            outputs: what the model gives.
            inputs: what it was given, by name, as far as the objective depends on it.
        """
        beside = {"penalty": sum(self.losses)} if self.losses else {}
        beside |= {} if self.opponent is None else {"opponent": self.opponent}
        terms = self.objective.terms({**outputs, **beside, "inputs": inputs or {}}, target, self.context)
        return {**terms, "loss": self.objective.combine(terms, self.weights_of_terms, self.context)}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The training objective; called by ``fit`` and ``evaluate``."""
        inputs = x if isinstance(x, Mapping) else {"x": x}
        terms = self.loss_terms(inputs["x"] if y is None else y, y_pred, inputs)
        if sample_weight is not None:
            terms["loss"] = self.objective.combine(terms, self.weights_of_terms, self.context, sample_weight)
        finite = True
        if training:
            found = self.objective.finite(terms)
            # One of several batches in a step, or a step by itself, which begins with ones.
            self.finite_terms.assign(self.finite_terms * ops.cast(found, "float32"))
            finite = ops.all(found)
        self.term_means.update_state(terms, finite)
        # Replicas are summed, so each gives its share.
        return ops.mean(terms["loss"]) / tf.distribute.get_strategy().num_replicas_in_sync

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As in Keras; callbacks that monitor a term, or ``val_hidden_nll``, know that the less is the better."""
        if callbacks is not None:
            direct(listed(callbacks), {*self.metrics_names, "hidden_nll"})
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    # --- steps ----------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Any:
        """One step of ``fit``, in the chosen mode; see :class:`~indl.training.mode.Mode`."""
        self.finite_terms.assign(ops.ones_like(self.finite_terms))
        if self.batch_parts > 1:
            gradients = self.side_by_side().gradient(*keras.utils.unpack_x_y_sample_weight(data))
            gradients = [self.optimizer.scale_loss(gradient) for gradient in gradients]
            weights = self.trainable_variables
            tf.function(lambda given: self.optimizer.apply(given, weights), jit_compile=True, autograph=False)(
                gradients
            )
            return self.get_metrics_result()
        # Noise is drawn with the generator that is fast in the mode.
        with compiled(bool(self.jit_compile)):
            if self.opponent is None:
                return super().train_step(data)
            train_both(self, *keras.utils.unpack_x_y_sample_weight(data))
            return self.get_metrics_result()

    def test_step(self, data: Any) -> Any:
        """One step of ``evaluate``."""
        if self.batch_parts > 1:
            self.side_by_side().evaluate(*keras.utils.unpack_x_y_sample_weight(data))
            return self.get_metrics_result()
        if self.opponent is not None:
            evaluate_both(self, *keras.utils.unpack_x_y_sample_weight(data))
            return self.get_metrics_result()
        return super().test_step(data)

    def side_by_side(self) -> SideBySide:
        """What computes the parts of a batch; the same one, with what it has compiled, as long as the weights are."""
        found, weights = self._side_by_side, [id(variable) for variable in self.trainable_variables]
        if found is None or found.parts != self.batch_parts or [id(variable) for variable in found.weights] != weights:
            found = self._side_by_side = SideBySide(self, self.batch_parts)
        return found

    def forget_steps(self) -> None:
        """Makes training and evaluation trace their steps anew, after the mode or settings of layers changed."""
        self.train_function = self.test_function = self._side_by_side = None

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

    def compile(self, optimizer: Any = "rmsprop", **kwargs: Any) -> None:
        """As in Keras; the loss is the objective, whose terms are what is logged.

        Raises:
            ValueError: a loss or metrics of Keras, which would have no part in it; or computation in another precision
                than float32 by default, for which the objective is not made.
        """
        unused = {name: kwargs[name] for name in _OF_KERAS if kwargs.get(name) is not None}
        if unused:
            raise ValueError(
                f"The model has an objective of its own, and logs {', '.join(sorted(self.objective.logged))}. Given: "
                f"{', '.join(f'{name}={value!r}' for name, value in unused.items())}. Leave it out."
            )
        if keras.config.floatx() != "float32":
            raise ValueError(
                f"Models are trained in float32. Given: keras.config.floatx() = {keras.config.floatx()!r}. Call "
                "keras.config.set_floatx('float32') before the model is built."
            )
        super().compile(optimizer, **kwargs)

    def check_compiled(self) -> None:
        """Refuses to train what was never compiled.

        Raises:
            ValueError: it was not.
        """
        if not self.compiled:
            raise ValueError(
                "The model is not compiled. Given: fit before compile. Call model.compile(optimizer) first, or "
                "indl.train(params, recording), which does."
            )

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """As in Keras, as ``.keras`` alone; a file on this machine appears whole or not at all.

        Args:
            filepath: the file; a leading ``~`` is the home of the user.
            overwrite: replace a file that is there; False: Keras asks.
            **kwargs: as in Keras.

        Raises:
            ValueError: another ending: older formats do not hold these models.
            WriteError: the disk is full, or otherwise refuses; a file that was there stays as it was.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(
                f"A model is saved as a .keras file. Given: {filepath}. Write model.save('model.keras'), or call "
                "indl.export_saved_model(model, folder) for use without this library."
            )
        path = expanded(filepath)
        if "://" in str(filepath) or (path.exists() and not overwrite):
            super().save(filepath, overwrite, **kwargs)
            return
        if path.is_file() and not zipfile.is_zipfile(path):
            raise OutputError(
                f"The model would replace a file that is none. Given: {path}. Choose another path, or move the file "
                "away first."
            )
        with atomic(path) as temporary:
            super().save(temporary, **kwargs)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Refused: a flat SavedModel, on posterior means, needs :func:`indl.export.export_saved_model`."""
        raise TypeError(
            f"A {type(self).__name__} has outputs, or draws, that Keras's own export cannot write. "
            "Given: model.export(...). Call indl.export.export_saved_model(model, path) instead."
        )
