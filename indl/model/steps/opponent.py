"""A network that is trained against the model, beside it: FactorVAE's discriminator."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from indl.model.steps.guarded_adam import GuardedAdam


class Opponent(keras.layers.Layer):
    """A network with an optimizer of its own, both saved with the model, whose trained variables it does not join.

    The mean of its loss is logged as ``opponent_loss``.

    Args:
        network: a built layer with `latent`, the output of the model that it is called on, `adam`, the arguments of its
            optimizer, and ``loss(latent, training)``; see :class:`~indl.objectives.factor.Discriminator`.
    """

    def __init__(self, network: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.network = network
        self._trained = list(network.trainable_variables)
        self.optimizer = GuardedAdam(**network.adam)
        self.optimizer.build(self._trained)
        self.mean_loss = keras.metrics.Mean(name="opponent_loss")
        # What the model's optimizer takes is what is trainable of the model.
        self.trainable = False

    def call(self, latent: Any) -> Any:
        return self.network(latent)

    def train_step(self, latent: Any) -> None:
        """One step of its optimizer on the latents of a batch, none where they are not finite."""
        values = [variable.value for variable in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = self.network.loss(latent, training=True)
        self.optimizer.apply(tape.gradient(loss, values), self._trained)
        self._log(loss)

    def test_step(self, latent: Any) -> None:
        """Adds its loss on the latents of a batch to the mean."""
        self._log(self.network.loss(latent, training=False))

    def _log(self, loss: Any) -> None:
        counted = tf.math.is_finite(loss)
        self.mean_loss.update_state(tf.where(counted, loss, 0.0), tf.cast(counted, loss.dtype))


def train_both(model: Any, x: Any, y: Any = None, sample_weight: Any = None) -> None:
    """One step of a model, during which its opponent stands still, then one of the opponent, on the same latents."""
    weights = model.trainable_variables
    values = [variable.value for variable in weights]
    with tf.GradientTape() as tape:
        outputs = model(x, training=True)
        loss = model.optimizer.scale_loss(model.compute_loss(x, y, outputs, sample_weight, training=True))
    model.optimizer.apply(tape.gradient(loss, values), weights)
    model.opponent.train_step(outputs[model.opponent.network.latent])


def evaluate_both(model: Any, x: Any, y: Any = None, sample_weight: Any = None) -> None:
    """Adds the losses of a batch, of the model and of its opponent, to their means."""
    outputs = model(x, training=False)
    model.compute_loss(x, y, outputs, sample_weight, training=False)
    model.opponent.test_step(outputs[model.opponent.network.latent])
