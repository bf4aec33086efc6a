"""Baselines of co-smoothing: what each method predicts, how its settings are chosen, and published figures."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.decomposition import FactorAnalysis

from indl.data import Trials, gaussian_smooth, load_recording
from indl.metrics import bits_per_spike, cosmoothing_baseline, poisson_nll, psth
from indl.metrics.cosmoothing_baselines import METHODS, choose


def simulate(n_trials=60, n_times=20, seed=0, labelled=True):
    """Eight channels driven by two signals, one of them set by the condition; two channels are held out."""
    rng = np.random.default_rng(seed)
    label = np.arange(n_trials) % 2
    shared = gaussian_smooth(rng.normal(size=(n_trials, n_times, 1)), 2)[..., 0]
    own = np.sin(np.linspace(0, 2 * np.pi, n_times)) * np.where(label, 1, -1)[:, None]
    loading = np.array([[1, -1, 0.5, 0, 1, -0.5, 0.8, -0.6], [0, 0.5, 1, -1, 0.5, 1, -0.7, 0.7]])
    counts = rng.poisson(np.exp(np.stack([2 * shared, 0.7 * own], axis=-1) @ loading))
    return Trials(counts, 0.05, label=label if labelled else None).split(heldout=[6, 7], seed=seed)


@pytest.fixture(scope="module")
def recording():
    return simulate()


def one(**settings):
    return {name: (value,) for name, value in settings.items()}


def rows(values):
    return values.reshape(-1, values.shape[-1]).astype(float)


def ridge_poisson(x, y, x_new, penalty):
    """By a general minimiser: mean deviance in units of the mean count, plus half the squared weights."""
    predicted = []
    for counts in (y / y.mean(axis=0)).T:

        def loss(w, counts=counts):
            eta = x @ w[1:] + w[0]
            residual = (np.exp(eta) - counts) / len(x)
            value = (np.exp(eta) - counts * eta).mean() + 0.5 * penalty * (w[1:] ** 2).sum()
            return value, np.r_[residual.sum(), x.T @ residual + penalty * w[1:]]

        w = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, tol=1e-12).x
        predicted.append(np.exp(x_new @ w[1:] + w[0]))
    return np.stack(predicted, axis=-1) * y.mean(axis=0)


@pytest.mark.parametrize(
    "method, features",
    [("GLM", lambda x: gaussian_smooth(x, 1.5)), ("smoothed spikes", lambda x: np.log(gaussian_smooth(x, 1.5) + 1e-4))],
)
def test_regressions_equal_a_general_minimiser(recording, method, features):
    found = cosmoothing_baseline(recording, method, grids=one(sd_s=0.075, penalty=0.2))
    x_train, x_valid = (rows(features(part.encod)) for part in (recording.train, recording.valid))
    mean, sd = x_train.mean(axis=0), x_train.std(axis=0)
    y = rows(recording.train.recon[..., 6:])
    rates = ridge_poisson((x_train - mean) / sd, y, (x_valid - mean) / sd, 0.2)
    target = recording.valid.recon[..., 6:]
    assert found.co_bps == pytest.approx(bits_per_spike(rates.reshape(target.shape), target), abs=1e-4)
    assert found.chosen == {"penalty": 0.2, "sd_s": 0.075}


def test_factors_equal_those_of_all_rows(recording):
    """Factor analysis sees a root of the covariance; the rows themselves take the same steps, and as many of them.

    The likelihood whose gain ends the steps grows with the rows, so the tolerance does, too.
    """
    found = cosmoothing_baseline(recording, "FA", grids=one(sd_s=0.05, n_factors=2, penalty=0.01))
    x_train, x_valid = (rows(gaussian_smooth(part.encod, 1.0)) for part in (recording.train, recording.valid))
    mean, sd = x_train.mean(axis=0), x_train.std(axis=0)
    model = FactorAnalysis(2, svd_method="lapack", tol=1e-2 * len(x_train) / 12).fit((x_train - mean) / sd)
    factors = [model.transform((x - mean) / sd) for x in (x_train, x_valid)]
    scale = factors[0].std(axis=0)
    rates = ridge_poisson(factors[0] / scale, rows(recording.train.recon[..., 6:]), factors[1] / scale, 0.01)
    target = recording.valid.recon[..., 6:]
    assert found.co_bps == pytest.approx(bits_per_spike(rates.reshape(target.shape), target), abs=1e-4)


def test_psth_is_the_average_of_the_trials_own_condition(recording):
    found = cosmoothing_baseline(recording, "PSTH", grids=one(sd_s=0.1))
    target = recording.valid.recon[..., 6:]
    averages = psth(recording.train.recon[..., 6:], recording.train.label, 2.0)
    assert found.co_bps == pytest.approx(bits_per_spike(averages[recording.valid.label], target))
    # A condition that training lacks: the average over all trials.
    strange = replace(recording, valid=replace(recording.valid, label=np.full(len(recording.valid), "new")))
    overall = np.broadcast_to(gaussian_smooth(recording.train.recon[..., 6:], 2.0).mean(axis=0), target.shape)
    found = cosmoothing_baseline(strange, "PSTH", grids=one(sd_s=0.1))
    assert found.co_bps == pytest.approx(bits_per_spike(overall, target), abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_settings_are_chosen_on_the_training_part_alone(recording, method):
    found = cosmoothing_baseline(recording, method)
    assert found.name == method
    assert found.co_bps > 0.01
    again = cosmoothing_baseline(recording, method)
    assert found == again
    other = recording.valid.recon.copy()
    other[..., 6:] = other[::-1, :, 6:]
    shuffled = replace(recording, valid=replace(recording.valid, recon=other))
    worse = cosmoothing_baseline(shuffled, method)
    assert worse.chosen == found.chosen
    assert worse.co_bps < found.co_bps


def test_the_settings_are_those_of_least_cross_validated_loss(recording):
    """Three folds over trials by hand, for two penalties of which one is absurd."""
    assert (
        cosmoothing_baseline(recording, "GLM", grids={"sd_s": (0.05,), "penalty": (0.03, 50.0)}).chosen["penalty"]
        == 0.03
    )
    sds = (0.02, 0.1, 0.6)
    losses = {}
    for sd_s in sds:
        grids = one(sd_s=sd_s, penalty=0.1)
        losses[sd_s] = 0.0
        folds = np.array_split(np.random.default_rng(1).permutation(len(recording.train)), 3)
        for fold in folds:
            rest = np.setdiff1d(np.arange(len(recording.train)), fold)
            part = recording.train
            fitted = replace(
                recording,
                train=replace(part, **{n: getattr(part, n)[rest] for n in ("encod", "recon", "label", "inds")}),
                valid=replace(part, **{n: getattr(part, n)[fold] for n in ("encod", "recon", "label", "inds")}),
            )
            target = fitted.valid.recon[..., 6:]
            # The loss is the score without its null: bits back into nats.
            null = np.broadcast_to(target.mean(axis=(0, 1)), target.shape)
            bits = cosmoothing_baseline(fitted, "GLM", grids=grids).co_bps
            losses[sd_s] += poisson_nll(null, target) - bits * target.sum() * np.log(2)
    found = cosmoothing_baseline(recording, "GLM", grids={"sd_s": sds, "penalty": (0.1,)})
    assert found.chosen["sd_s"] == min(losses, key=losses.get)


@pytest.mark.parametrize("method, settings", [("GLM", {}), ("smoothed spikes", {}), ("FA", {"n_factors": (10,)})])
def test_noise_is_not_fitted(method, settings):
    """Channels that know nothing of each other: only trials that took no part in a fit tell that."""
    noise = Trials(np.random.default_rng(0).poisson(1.0, (15, 8, 20)), 0.02).split(heldout=2)
    grids = {"sd_s": (0.02,), "penalty": (1e-4, 10.0), **settings}
    assert cosmoothing_baseline(noise, method, grids=grids).chosen["penalty"] == 10.0


def test_a_few_channels_may_choose_for_all(recording):
    settings = {"grids": {"penalty": (0.01, 0.1)}, "n_choosing": 1, "seed": 3}
    some = cosmoothing_baseline(recording, "GLM", **settings)
    assert some.co_bps == cosmoothing_baseline(recording, "GLM", grids=one(**some.chosen), seed=3).co_bps


def test_choosing_walks_to_the_lowest_place_of_a_bowl():
    visited = []

    def loss(settings):
        visited.append(tuple(settings.values()))
        return (settings["a"] - 7) ** 2 + (settings["b"] - 2) ** 2 + 0.5 * (settings["a"] - 7) * (settings["b"] - 2)

    found = choose(loss, {"a": tuple(range(10)), "b": (0, 1, 2, 3)})
    assert found == {"a": 7, "b": 2}
    assert len(visited) == len(set(visited)) < 15
    assert choose(lambda settings: 0.0, {"a": (1, 2, 3), "b": (5,)}) == {"a": 2, "b": 5}


def test_missing_samples_are_left_out(recording):
    """A channel's missing targets leave its fit; a missing input is filled from its neighbours."""
    rng = np.random.default_rng(0)
    recon = recording.train.recon.copy()
    recon[:9, :, 6] = np.nan
    gaps = replace(recording, train=replace(recording.train, recon=recon))
    for method, settings in (("GLM", {"sd_s": 0.05, "penalty": 0.1}), ("PSTH", {"sd_s": 0.05})):
        found = cosmoothing_baseline(gaps, method, grids=one(**settings))
        recon[:9, :, 6] = 1000
        assert cosmoothing_baseline(gaps, method, grids=one(**settings)) == found
    parts = {}
    for name in ("train", "valid"):
        part = getattr(recording, name)
        recon = np.where(rng.random(part.recon.shape) < 0.1, np.nan, part.recon)
        recon[0, :, 2], recon[1, -5:] = np.nan, np.nan
        parts[name] = replace(part, recon=recon, encod=recon[..., :6])
    for method in METHODS:
        whole = cosmoothing_baseline(recording, method)
        found = cosmoothing_baseline(replace(recording, **parts), method)
        assert found.co_bps == pytest.approx(whole.co_bps, abs=4 * whole.se)
        assert found.co_bps > 0


def test_forward_steps_take_no_part(recording):
    parts = {}
    for name in ("train", "valid"):
        part = getattr(recording, name)
        recon = np.concatenate([part.recon, np.full_like(part.recon, 99)[:, :3]], axis=1)
        parts[name] = replace(part, recon=recon)
    for method in METHODS:
        settings = one(sd_s=0.1, penalty=0.1, n_factors=2)
        longer = cosmoothing_baseline(replace(recording, **parts), method, grids=settings)
        assert longer == cosmoothing_baseline(recording, method, grids=settings)


@pytest.mark.parametrize(
    "make, method, words",
    [
        (lambda: simulate(), "SLDS", "Given: 'SLDS'. Choose one of smoothed spikes, FA, GLM, PSTH"),
        (lambda: simulate().as_full(), "GLM", "Co-smoothing by GLM needs held-out channels"),
        (lambda: simulate(labelled=False), "PSTH", "labels for PSTH"),
        (lambda: Trials(np.ones((3, 8, 3)), 0.02).split(0.34, heldout=1), "GLM", "Given: 1 trials"),
    ],
)
def test_bad_arguments(make, method, words):
    with pytest.raises(ValueError, match=words):
        cosmoothing_baseline(make(), method)


PUBLISHED = {
    "adan_day0": {"FA": (0.125, 0.003), "GLM": (0.1255, 0.003)},
    "reach_day31": {"FA": (0.065, 0.009), "GLM": (0.071, 0.009), "PSTH": (0.050, 0.009)},
    "mc_maze_small_5ms": {"FA": (0.095, 0.0195), "GLM": (0.111, 0.018)},
    "head_direction_20ms": {"FA": (0.680, 0.076), "GLM": (0.880, 0.076)},
}
SLOW = ("adan_day0", "head_direction_20ms", "mc_maze_small_5ms")


@pytest.mark.parametrize(
    "name, method",
    [
        pytest.param(name, method, marks=[pytest.mark.slow] if name in SLOW or method == "FA" else [])
        for name, methods in PUBLISHED.items()
        for method in methods
    ],
)
def test_published_figures_are_reproduced_within_their_errors(recording_path, name, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        recording = load_recording(recording_path(f"{name}.h5"))
    expected, error = PUBLISHED[name][method]
    assert cosmoothing_baseline(recording, method).co_bps == pytest.approx(expected, abs=error)


def test_published_psth_is_the_plain_average_of_trials(recording_path):
    """0.110 without smoothing; the smoothing that cross-validation chooses does better by about its error."""
    recording = load_recording(recording_path("adan_day0.h5"))
    plain = cosmoothing_baseline(recording, "PSTH", grids={"sd_s": (0.0,)})
    assert plain.co_bps == pytest.approx(0.110, abs=0.0005)
    assert plain.co_bps < cosmoothing_baseline(recording, "PSTH").co_bps < plain.co_bps + 1.1 * plain.se
