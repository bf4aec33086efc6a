"""The recipe of the spikes with a static and a dynamic part, and what an observer who knows all would score."""

import functools

import numpy as np
import pytest

from indl.data import StaticDynamicSimulator, static_dynamic, static_dynamic_poisson, style_and_content
from indl.metrics import bits_per_spike
from tests.messages import faults

# The published sizes, made once.
draw = functools.cache(static_dynamic_poisson)
LEVELS = {"additive": 0.489, "gain": 0.663, "mlp": 0.664}


def weights(param_seed=0):
    """The weights by the recipe, in the order of its draws."""
    rng = np.random.default_rng(param_seed)
    a, b, g = (rng.normal(0, sd, (50, 2)) for sd in (0.4, 0.5, 1.0))
    w1, b1 = rng.normal(0, 1, (32, 4)), rng.normal(0, 0.5, 32)
    return a, b, g, w1, b1, rng.normal(0, 1.4 / np.sqrt(32), (50, 32)), np.log(0.3) + rng.normal(0, 0.3, 50)


def log_rate(level, s, z):
    """Log rates of one trial in one bin."""
    a, b, g, w1, b1, w2, bias = weights()
    if level == "mlp":
        return bias + w2 @ np.tanh(w1 @ np.concatenate([s, z]) + b1)
    gain = 1 + 0.8 * np.tanh(g @ s) if level == "gain" else 1
    return bias + a @ s + (b @ z) * gain


@pytest.mark.parametrize("level", LEVELS)
def test_rates_follow_the_recipe(level):
    simulator = StaticDynamicSimulator(level)
    rng = np.random.default_rng(0)
    s, z = rng.normal(size=(3, 2)), rng.normal(size=(3, 4, 2))
    rates = simulator.rates(s, z)
    assert rates.shape == (3, 4, 50)
    assert np.log(rates[2, 1]) == pytest.approx(log_rate(level, s[2], z[2, 1]))
    # Far out they are clipped: none is above ten a bin.
    far = np.log(simulator.rates(100 * s, 100 * z))
    assert far.max() == pytest.approx(2.3) and (level == "mlp" or far.min() == pytest.approx(-6.0))


@pytest.mark.parametrize("level", LEVELS)
def test_the_true_rates_reach_the_bits_per_spike_of_the_oracle(level):
    train, test = draw(level, 2000, 1), draw(level, 1000, 2)
    null = train.counts.mean((0, 1), dtype=float)
    assert bits_per_spike(test.rates, test.counts, null) == pytest.approx(LEVELS[level], abs=5e-4)
    assert np.array_equal(StaticDynamicSimulator(level).rates(test.s, test.z), test.rates)
    assert 0.4 < test.counts.mean() < 0.6


def test_latents_of_every_level_are_the_same():
    additive, mlp = draw("additive", 1000, 2), draw("mlp", 1000, 2)
    for name in ("s", "z", "style", "content"):
        assert np.array_equal(getattr(additive, name), getattr(mlp, name))
    assert not np.array_equal(additive.counts, mlp.counts)


def test_static_latents_lie_around_six_places():
    trials = draw("gain", 2000, 1)
    assert np.array_equal(np.unique(trials.style), range(6)) and np.array_equal(np.unique(trials.content), range(3))
    angle = np.pi * trials.style / 3
    noise = trials.s - np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert noise.std(axis=0) == pytest.approx([0.15, 0.15], rel=0.06) and np.abs(noise.mean(axis=0)).max() < 0.012
    # Style and content are drawn apart.
    table = np.zeros((6, 3))
    np.add.at(table, (trials.style, trials.content), 1)
    assert np.abs(table - 2000 / 18).max() < 4 * np.sqrt(2000 / 18)


def test_dynamic_latents_turn_at_the_rate_of_their_content():
    trials = draw("gain", 2000, 1)
    for content, hz in enumerate((1.0, 2.0, 3.5)):
        z = trials.z[trials.content == content]
        assert z[:, 0].std() == pytest.approx(1, abs=0.06) and z[:, -1].std() == pytest.approx(1, abs=0.06)
        angle = 2 * np.pi * hz * 0.02
        turn = 0.98 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        before, after = z[:, :-1].reshape(-1, 2), z[:, 1:].reshape(-1, 2)
        assert np.linalg.lstsq(before, after)[0].T == pytest.approx(turn, abs=0.006)
        assert (after - before @ turn.T).std() == pytest.approx(np.sqrt(1 - 0.98**2), rel=0.02)


def test_seeds():
    first, again, other = (draw("gain", 20, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.s, other.s) and not np.array_equal(first.counts, other.counts)
    moved = static_dynamic_poisson("gain", 20, 1, param_seed=1)
    assert np.array_equal(moved.z, first.z) and not np.allclose(moved.rates, first.rates)


def test_a_recording_holds_both_parts_and_their_truth():
    recording = static_dynamic("gain", 30, 10, param_seed=3)
    for part, n, seed in ((recording.train, 30, 1), (recording.valid, 10, 2)):
        trials = static_dynamic_poisson("gain", n, seed, param_seed=3)
        assert np.array_equal(part.encod, trials.counts) and part.encod is part.recon
        assert np.allclose(part.truth, trials.rates)
        assert np.allclose(part.latents[:, 7, :2], trials.s) and np.allclose(part.latents[..., 2:], trials.z)
        style, content = style_and_content(part.label)
        assert np.array_equal(style, trials.style) and np.array_equal(content, trials.content)
    assert np.intersect1d(recording.train.inds, recording.valid.inds).size == 0
    assert recording.bin_width_s == 0.02 and recording.n_channels == recording.n_times == 50


@pytest.mark.parametrize(
    "call, names",
    [
        (lambda: static_dynamic_poisson("gian", 5, 1), ["gian", "'gain'"]),
        (lambda: static_dynamic_poisson(3, 5, 1), ["level=3", "additive, gain, mlp"]),
        (lambda: static_dynamic_poisson("gain", 0, 1), ["n must be", "0"]),
        (lambda: static_dynamic_poisson("gain", 5, -1), ["seed", "-1"]),
        (lambda: StaticDynamicSimulator("gain", 0.5), ["param_seed", "0.5"]),
        (lambda: static_dynamic("gain", 5, 2.5), ["n_valid", "2.5"]),
        (lambda: static_dynamic("gain", 5, 5, train_seed=2), ["same trials", "valid_seed=2"]),
        (lambda: StaticDynamicSimulator("gain").rates(np.zeros((3, 2)), np.zeros((4, 5, 2))), ["(3, 2)", "(4, 5, 2)"]),
        (lambda: StaticDynamicSimulator("gain").rates(np.zeros((3, 4)), np.zeros((3, 5, 2))), ["(3, 4)"]),
    ],
)
def test_what_cannot_be_simulated_is_told(call, names):
    with pytest.raises(ValueError) as error:
        call()
    message = str(error.value)
    assert all(name in message for name in names) and not faults(message), (message, faults(message))
