"""One traced model for many runs: most of a short run's time is the tracing of its steps."""

import numpy as np

from indl.training.fit import make_model


class Restarted:
    """A model whose every run begins at the same state; called, it gives the model in that state.

    What a run leaves must be copied before the next one begins.
    """

    def __init__(self, params, recording, epochs=None):
        self._begin_from(make_model(params, recording, epochs))

    @classmethod
    def of(cls, model):
        """Runs of a compiled model, each from the state that it has now."""
        restarted = cls.__new__(cls)
        restarted._begin_from(model)
        return restarted

    def _begin_from(self, model):
        self.model = model
        self.start = [np.array(variable) for variable in self._variables()]
        # The settings are those of the run before, so that its traced steps serve again.
        self.model.forget_steps = lambda: None

    def __call__(self):
        for variable, value in zip(self._variables(), self.start, strict=True):
            variable.assign(value)
        return self.model

    def like(self, new):
        """The model at its start, with the weights and random states of a new one of the same layers."""
        for variable, value in zip(self().variables, new.variables, strict=True):
            variable.assign(value)
        return self.model

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]
