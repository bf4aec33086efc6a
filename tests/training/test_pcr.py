"""Principal components regression: against recorded values, other solvers, and what it is for."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from indl.data import gaussian_smooth, lorenz
from indl.training.pcr import condition_averages, principal_components_regression
from tests.conftest import parity_files
from tests.messages import faults

FILES = parity_files("lfads_pcr") or [pytest.param(None, marks=pytest.mark.skip("no file lfads_pcr*.npz"))]


@pytest.mark.parity
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_equals_what_was_recorded(path):
    with np.load(path) as file:
        recorded = {key: file[key] for key in file.files}
    c = json.loads(str(recorded["config"]))
    psths = [recorded[f"session{i}/psth"] for i in range(len(c["sessions"]))]
    found = principal_components_regression(psths, c["components"], penalty=c["ridge_alpha"], bias="mean")
    # A component and its negative are the same to a regression.
    components = found.components.reshape(-1, c["components"])
    signs = np.sign((components * recorded["global_components"]).sum(axis=0))
    np.testing.assert_allclose(components * signs, recorded["global_components"], rtol=0, atol=1e-10)
    assert len(found.sessions) == len(psths)
    for i, weights in enumerate(found.sessions):
        wanted = {key: recorded[f"session{i}/{key}"] for key in weights._fields}
        np.testing.assert_allclose(weights.readin_weight * signs, wanted["readin_weight"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(weights.readin_bias * signs, wanted["readin_bias"], rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            weights.readout_weight * signs[:, None], wanted["readout_weight"], rtol=0, atol=1e-10
        )
        np.testing.assert_allclose(weights.readout_bias, wanted["readout_bias"], rtol=0, atol=1e-12)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def averages(rng, sizes=(7, 5), shape=(4, 6), k=3):
    """Condition averages that share k latents, plus a little noise."""
    latents = rng.normal(size=(*shape, k))
    return [np.exp(0.15 * latents @ rng.normal(size=(k, n)) + 0.02 * rng.normal(size=(*shape, n)) - 1) for n in sizes]


@pytest.mark.parametrize("penalty", [1.0, 1e-3])
def test_equals_other_solvers(rng, penalty):
    psths = averages(rng)
    found = principal_components_regression(psths, 3, penalty=penalty)
    flat = [p.reshape(-1, p.shape[-1]) for p in psths]
    pca = PCA(3, svd_solver="full").fit(np.hstack(flat))
    target = pca.transform(np.hstack(flat))
    signs = np.sign((found.components.reshape(-1, 3) * target).sum(axis=0))
    np.testing.assert_allclose(found.components.reshape(-1, 3), target * signs, atol=1e-10)
    np.testing.assert_allclose(found.explained, pca.explained_variance_ratio_, rtol=1e-10)
    for x, weights in zip(flat, found.sessions, strict=True):
        ridge = Ridge(penalty, fit_intercept=False).fit(x - x.mean(0), target * signs)
        np.testing.assert_allclose(weights.readin_weight, ridge.coef_.T, atol=1e-8)
        # Read in, the mean is the origin; read out, the origin is the mean.
        np.testing.assert_allclose(x.mean(0) @ weights.readin_weight + weights.readin_bias, 0, atol=1e-12)
        np.testing.assert_allclose(np.exp(weights.readout_bias), x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(weights.readout_weight @ weights.readin_weight, np.eye(3), atol=1e-8)


def test_sessions_agree_on_the_factors(rng):
    """Two sessions of other channels are read in to nearly the same components, which is what they are for."""
    psths = averages(rng, sizes=(30, 25), shape=(10, 20))
    found = principal_components_regression(psths, 3)
    read = [p @ w.readin_weight + w.readin_bias for p, w in zip(psths, found.sessions, strict=True)]
    for one in read:
        assert 1 - np.var(one - found.components) / np.var(found.components) > 0.98
    assert found.explained.sum() > 0.9
    back = read[0] @ found.sessions[1].readout_weight + psths[1].mean(axis=(0, 1))
    assert 1 - np.var(back - psths[1]) / np.var(psths[1]) > 0.9, "what one session reads in, the other reads out"


def test_transposed_readout(rng):
    psths = averages(rng)
    pinv, transpose = (principal_components_regression(psths, 2, readout=kind) for kind in ("pinv", "transpose"))
    for a, b in zip(pinv.sessions, transpose.sessions, strict=True):
        np.testing.assert_array_equal(a.readin_weight, b.readin_weight)
        np.testing.assert_array_equal(b.readout_weight, b.readin_weight.T)
        np.testing.assert_array_equal(a.readout_bias, b.readout_bias)


def test_components_have_one_sign(rng):
    """The largest loading is positive, so a rotation of the joined channels' order changes nothing."""
    psths = averages(rng)
    a = principal_components_regression(psths, 3)
    b = principal_components_regression(psths[::-1], 3)
    np.testing.assert_allclose(a.components, b.components, atol=1e-10)
    for weights, other in zip(a.sessions, b.sessions[::-1], strict=True):
        np.testing.assert_allclose(weights.readin_weight, other.readin_weight, atol=1e-10)


def test_silent_channel_has_a_finite_log_rate(rng):
    psths = averages(rng)
    psths[1][..., 2] = 0
    weights = principal_components_regression(psths, 2).sessions[1]
    assert weights.readout_bias[2] == pytest.approx(np.log(1e-4))
    np.testing.assert_allclose(weights.readin_weight[2], 0, atol=1e-15)
    assert all(np.isfinite(part).all() for part in weights)
    assert principal_components_regression(psths, 2, bias="mean").sessions[1].readout_bias[2] == 0


def test_averages_of_a_recording_by_hand():
    recording = lorenz(n_neurons=5, n_conditions=3, n_trials=6, n_bins=8, bin_width_s=0.01)
    counts, label = recording.train.encod, recording.train.label
    found = condition_averages(counts, label, recording.bin_width_s, smoothing_s=0.03)
    plain = np.stack([counts[label == c].astype("float64").mean(axis=0) for c in range(3)])
    np.testing.assert_allclose(found, gaussian_smooth(plain, 3.0), rtol=1e-12)
    np.testing.assert_allclose(condition_averages(counts, label, 0.01, 0), plain, rtol=1e-12)
    np.testing.assert_allclose(condition_averages(counts, label, 0.01), gaussian_smooth(plain, 2.0), rtol=1e-12)
    assert np.isnan(condition_averages(counts, label + 1, 0.01)[0]).all(), "a condition without trials"


def psths_of(change):
    psths = averages(np.random.default_rng(1))
    change(psths)
    return psths


def put(i, where, value):
    def change(psths):
        psths[i][where] = value

    return change


@pytest.mark.parametrize(
    "psths, options, words",
    [
        (psths_of(put(1, 2, np.nan)), {}, "lacks a condition.*condition 2 in session 1.*averages\\[shared\\]"),
        (psths_of(put(0, (1, 3, 4), np.nan)), {}, "session 0, condition 1, bin 3, channel 4"),
        (psths_of(put(0, (1, 3, 4), -0.5)), {}, "not negative.*-0.5 in session 0.*bias='mean'"),
        ([np.ones((4, 6, 2)), np.ones((3, 6, 2))], {}, "3 conditions of 6 bins in session 1.*Number the conditions"),
        ([np.ones((4, 6, 2)), np.ones((4, 5, 2))], {}, "4 conditions of 5 bins in session 1"),
        ([np.ones((4, 6))], {}, r"shape \(4, 6\) in session 0"),
        (np.ones((2, 4, 6, 3)), {}, "one array a session.*ndarray"),
        ([], {}, "one array a session"),
        (psths_of(len), {"n_components": 13}, "n_components=13 for 12 of 24 conditions and bins by 12 channels"),
        ([np.full((4, 6, 2), 0.3)], {}, "n_components=2 for 0 of"),
        (psths_of(len), {"n_components": 0}, "n_components must be"),
        (psths_of(len), {"readout": "inverse"}, "readout='inverse'.*pinv, transpose"),
        (psths_of(len), {"bias": "log"}, "bias='log'.*log_mean, mean"),
        (psths_of(len), {"penalty": 0}, "penalty=0"),
    ],
)
def test_messages(psths, options, words):
    with pytest.raises(ValueError, match=words) as error:
        principal_components_regression(psths, **{"n_components": 2, **options})
    assert faults(str(error.value)) == []


@pytest.mark.parametrize(
    "change, words",
    [
        ({"smoothing_s": -0.02}, "smoothing_s=-0.02"),
        ({"bin_width_s": 20}, "milliseconds"),
        ({"labels": [0, 1]}, "one index of a condition"),
    ],
)
def test_messages_of_averages(change, words):
    with pytest.raises(ValueError, match=words) as error:
        condition_averages(**{"counts": np.ones((3, 4, 2)), "labels": [0, 1, 1], "bin_width_s": 0.02, **change})
    assert faults(str(error.value)) == []
