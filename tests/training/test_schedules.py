"""Beta schedules against their formulas, and the callback within training."""

import math

import keras
import numpy as np
import pytest

from indl.model.sequential_vae import build_sequential_vae
from indl.params import preset
from indl.training.schedules import BetaSchedule, BetaSchedules

FORMULAS = {
    "constant": lambda s: 2.0,
    "linear": lambda s: 2.0 * min(max((s - 4) / 10, 0), 1),
    "cosine": lambda s: 2.0 * (1 - math.cos(math.pi * min(max((s - 4) / 10, 0), 1))) / 2,
    "sigmoid": lambda s: 2.0 / (1 + math.exp(-(s - 9))) if s < 14 else 2.0,
    # Two cycles of five steps, each rising over its first half.
    "cyclical": lambda s: 0.0 if s < 4 else 2.0 * min(1, ((s - 4) % 5) / 2.5) if s < 14 else 2.0,
    "monotonic": lambda s: 0.0 if s < 4 else 2.0 * min(1, (s - 4) / 5) if s < 14 else 2.0,
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_schedule_follows_its_formula(kind):
    schedule = BetaSchedule(kind, beta=2.0, start=4, ramp=10, cycles=2, ratio=0.5)
    steps = range(20)
    np.testing.assert_allclose([schedule(s) for s in steps], [FORMULAS[kind](s) for s in steps], atol=1e-12)
    assert schedule(schedule.end) == 2.0, "the weight is final at the end of the ramp"


def test_linear_can_begin_above_zero():
    schedule = BetaSchedule("linear", beta=1.0, start=0, ramp=4, begin=0.2)
    np.testing.assert_allclose([schedule(s) for s in range(6)], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("change", [{"kind": "liner"}, {"ramp": 0}, {"start": -1}, {"beta": -1.0}, {"ratio": 0.0}])
def test_impossible_schedule_is_refused(change):
    with pytest.raises(ValueError, match="Given"):
        BetaSchedule(**{"kind": "linear", **change})


def tiny_model():
    p = preset("default", f_units=4, z1_units=4, z2_units=4, gen_n_hidden=4, n_factors=3, f_latent_size=2)
    model = build_sequential_vae(p, 6, 3)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    return model, np.random.default_rng(0).poisson(0.5, (12, 6, 3)).astype("float32")


def test_epoch_schedules_are_applied_and_logged_apart():
    model, x = tiny_model()
    schedules = BetaSchedules(BetaSchedule("linear", 1.0, 0, 4), BetaSchedule("cosine", 3.0, 1, 2))
    history = model.fit(x, epochs=6, batch_size=4, verbose=0, callbacks=[schedules]).history
    np.testing.assert_allclose(history["beta_f"], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    np.testing.assert_allclose(history["beta_z"], [0, 0, 1.5, 3, 3, 3], atol=1e-6)
    expected = [
        n + f * a + z * b + p
        for n, a, b, f, z, p in zip(
            *(history[k] for k in ("nll", "kl_f", "kl_z", "beta_f", "beta_z", "penalty")), strict=True
        )
    ]
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-4)


def test_step_schedule_counts_absolute_steps_over_epochs_and_resumes():
    model, x = tiny_model()
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.beta_z))

    schedules = BetaSchedules(BetaSchedule(), BetaSchedule("linear", 1.0, 0, 10), unit="step")
    assert schedules.end_epoch(steps_per_epoch=3) == 4
    model.fit(x, epochs=2, batch_size=4, verbose=0, callbacks=[schedules, Spy()])
    model.fit(x, epochs=4, initial_epoch=2, batch_size=4, verbose=0, callbacks=[schedules, Spy()])
    np.testing.assert_allclose(seen, [min(1, s / 10) for s in range(12)], atol=1e-6)
