"""A keras-tuner hyper-model over any preset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras_tuner as kt

from indl.data.values.provenance import digest
from indl.data.values.recording import Recording
from indl.model.families import family_of
from indl.model.latent_model import LatentModel
from indl.params import preset as preset_params
from indl.training.fit import first_epoch, fit_batches, make_callbacks, make_model, monitor_of, params_for
from indl.training.history import best_epoch
from indl.tuning.space import declare, search_names

#: The entry of the hyper-parameters that says which data the scores are of.
DATA = "data"


class SequentialHyperModel(kt.HyperModel):
    """Builds and trains a model of any family from hyper-parameters; works with every keras-tuner tuner.

    Args:
        recording: what the trials train and validate on.
        preset: name of the preset that gives all other parameters.
        tune: names of the parameters to vary, ``"all"``, or None for
            :data:`~indl.tuning.space.DEFAULT_SEARCH`.
        fixed: parameters that differ from the preset in every trial.

    Example:
        ```python
        hypermodel = SequentialHyperModel(recording, tune=["kl_z_beta", "kl_z_schedule", "learning_rate"])
        tuner = kt.RandomSearch(hypermodel, objective=hypermodel.objective, max_trials=10, directory="search")
        tuner.search(epochs=40)
        ```
    """

    def __init__(
        self,
        recording: Recording,
        preset: str = "default",
        tune: Iterable[str] | str | None = None,
        fixed: Mapping[str, Any] | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.recording = recording
        base = params_for(preset_params(preset, **(fixed or {})), recording)
        # One metric for all trials: a varied coordinated dropout must not change what is compared.
        self.base = {**base, "monitor": monitor_of(base)}
        self.names = search_names(tune, self.base)

    @property
    def objective(self) -> kt.Objective:
        """The beta-free validation metric, to be minimised."""
        return kt.Objective(self.base["monitor"], "min")

    def params(self, hp: kt.HyperParameters) -> dict[str, Any]:
        """The complete params dict of one trial."""
        return dict(params_for({**self.base, **declare(hp, self.names, self.base)}, self.recording))

    def build(self, hp: kt.HyperParameters) -> LatentModel:
        """The compiled model of one trial.

        Raises:
            FatalValueError: `hp` is of a search over other data, whose scores cannot be compared; it ends the search.
        """
        ours = digest(self.recording)
        if hp.Fixed(DATA, ours) != ours:
            raise kt.errors.FatalValueError(
                f"The search began with other data. Given: {self.recording!r}, hash {ours[:12]}; its trials had "
                f"{hp.get(DATA)[:12]}. Choose another directory or project_name."
            )
        return make_model(self.params(hp), self.recording)

    def fit(
        self,
        hp: kt.HyperParameters,
        model: LatentModel,
        callbacks: Sequence[Any] = (),
        epochs: int | None = None,
        initial_epoch: int = 0,
        verbose: int = 0,
        hidden_every: int = 1,
        **kwargs: Any,
    ) -> Any:
        """Trains one trial with its beta schedules, which count absolute epochs.

        Returns:
            The metrics of the best epoch after both schedules have ended.
        """
        p = self.params(hp)
        epochs = epochs or p["epochs"]
        if initial_epoch == 0:
            # A falling step size spans the epochs of this search, which `build` does not know.
            family_of(p).compile(model, p, len(self.recording.train), epochs)
        parts = make_callbacks(p, self.recording, hidden_every)
        history = model.fit(
            **fit_batches(p, self.recording, initial_epoch),
            epochs=epochs,
            verbose=verbose,
            callbacks=[*parts.values(), *callbacks],
            **kwargs,
        ).history
        first = max(0, first_epoch(p, self.recording) - initial_epoch)
        best = best_epoch(history, self.base["monitor"], first)
        return {name: values[best] for name, values in history.items()}
