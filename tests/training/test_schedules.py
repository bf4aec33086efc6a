"""Beta schedules against their formulas, and the callback within training."""

import math

import keras
import numpy as np
import pytest

from indl.model.assemble import build_sequential_vae
from indl.params import preset
from indl.training.schedules import BetaSchedule, BetaSchedules
from tests.checks import QUICK
from tests.restarted import Restarted

FORMULAS = {
    "constant": lambda s: 2.0,
    "linear": lambda s: 2.0 * min(max((s - 4) / 10, 0), 1),
    "ramp": lambda s: 2.0 * min(max((s - 3) / 11, 0), 1),
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


def test_ramp_is_not_zero_in_the_first_epoch_and_ends_exactly():
    schedule = BetaSchedule("ramp", beta=0.3, start=0, ramp=6)
    assert [schedule(s) for s in (0, 1)] == pytest.approx([0.3 / 7, 0.6 / 7], rel=1e-15)
    assert schedule(5) < 0.3 and {schedule(s) for s in range(6, 50)} == {0.3}


def test_linear_can_begin_above_zero():
    schedule = BetaSchedule("linear", beta=1.0, start=0, ramp=4, begin=0.2)
    np.testing.assert_allclose([schedule(s) for s in range(6)], [0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


@pytest.mark.parametrize("change", [{"kind": "liner"}, {"ramp": 0}, {"start": -1}, {"beta": -1.0}, {"ratio": 0.0}])
def test_impossible_schedule_is_refused(change):
    with pytest.raises(ValueError, match="Given"):
        BetaSchedule(**{"kind": "linear", **change})


@pytest.fixture(scope="module")
def restarted():
    model = build_sequential_vae(preset("default", **QUICK), 6, 3)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.optimizer.build(model.trainable_variables)
    return Restarted.of(model)


@pytest.fixture
def model(restarted):
    """An untrained model whose weights stay."""
    return restarted()


@pytest.fixture
def x():
    return np.random.default_rng(0).poisson(0.5, (12, 6, 3)).astype("float32")


def test_epoch_schedules_are_applied_and_logged_apart(model, x):
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


def test_step_schedule_counts_absolute_steps_over_epochs_and_resumes(model, x):
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.beta_z))

    schedules = BetaSchedules(BetaSchedule(), BetaSchedule("linear", 1.0, 0, 10), unit="step")
    assert schedules.end_epoch(steps_per_epoch=3) == 4
    model.fit(x, epochs=2, batch_size=4, verbose=0, callbacks=[schedules, Spy()])
    model.fit(x, epochs=4, initial_epoch=2, batch_size=4, verbose=0, callbacks=[schedules, Spy()])
    np.testing.assert_allclose(seen, [min(1, s / 10) for s in range(12)], atol=1e-6)


class Weights:
    """What the callback needs of a model."""

    def __init__(self):
        self.beta_f, self.beta_z, self.l2_weight = (keras.Variable(9.0, trainable=False) for _ in range(3))


def logged(schedules, epochs, steps=1):
    """What the callback logs at the end of each epoch."""
    schedules.set_model(Weights())
    schedules.set_params({"steps": steps})
    found = []
    for epoch in range(epochs):
        schedules.on_epoch_begin(epoch)
        for step in range(steps):
            schedules.on_train_batch_begin(step)
        logs = {}
        schedules.on_epoch_end(epoch, logs)
        found.append(logs)
    return found


def test_penalty_follows_its_own_schedule():
    p = preset("default", l2_schedule="ramp", l2_start=1, l2_ramp=3, kl_f_schedule="linear", kl_f_ramp=2)
    schedules = BetaSchedules.from_params(p)
    assert schedules.end_epoch(steps_per_epoch=7) == 4, "the choice of weights waits for the penalty too"
    found = logged(schedules, 6)
    assert [logs["l2_weight"] for logs in found] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1])
    assert [logs["beta_f"] for logs in found] == pytest.approx([0, 0.5, 1, 1, 1, 1])
    assert [logs["beta_z"] for logs in found] == [1] * 6


def test_penalty_counts_steps_where_the_others_do():
    p = preset("default", l2_schedule="linear", l2_ramp=8, kl_unit="step")
    schedules = BetaSchedules.from_params(p)
    assert schedules.end_epoch(steps_per_epoch=3) == 3
    assert [logs["l2_weight"] for logs in logged(schedules, 4, steps=3)] == pytest.approx([2 / 8, 5 / 8, 1, 1])


def test_constant_weight_of_the_penalty_is_set_and_not_logged():
    schedules = BetaSchedules.from_params(preset("default"))
    assert all(logs.keys() == {"beta_f", "beta_z"} for logs in logged(schedules, 2))
    assert float(schedules.model.l2_weight) == 1.0
