"""Labels and latents are the published ones; what is drawn on top of them follows its recipe."""

import functools

import numpy as np
import pytest

from indl.data import LabelledData, pi_vae_continuous, pi_vae_discrete, tcl
from indl.data.simulate.labelled import _mixing, _networks, _scale_and_shift
from indl.metrics.r2 import r2_per_column
from tests.messages import faults

# The published sizes, made once.
discrete, continuous = (functools.cache(make) for make in (pi_vae_discrete, pi_vae_continuous))
BOTH = pytest.mark.parametrize("make, gain", [(discrete, 2.0), (continuous, 2.2)], ids=["discrete", "continuous"])
MEANS = [[3.5956, -3.3543, -0.1652, 4.2103, -0.7144], [-4.4254, 4.2501, 1.5760, -3.6705, 0.3345]]


def joined(data, name):
    return np.concatenate([getattr(part, name) for part in data[:3]])


def test_discrete_labels_and_latents_are_the_published_ones():
    data = discrete()
    train = data.train
    assert data.n_labels == 5 and train.u.dtype == np.int64 and train.u[:7].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert np.allclose(train.label_mean[:5].T, MEANS, atol=5e-5)
    assert train.z[0] == pytest.approx([3.2032, -6.7991], abs=5e-5)
    variance = joined(data, "label_variance")
    u, z, mean = (joined(data, name) for name in ("u", "z", "label_mean"))
    assert 0.5 <= variance.min() and variance.max() <= 3.0
    for label in range(5):
        assert len(np.unique(variance[u == label], axis=0)) == 1
        # 2000 rows: a variance is known to 3.2 %, a mean to 2.2 % of the standard deviation.
        assert z[u == label].var(axis=0) == pytest.approx(variance[label], rel=0.13)
        assert np.all(np.abs(z[u == label].mean(axis=0) - mean[label]) < 0.09 * np.sqrt(variance[label]))


def test_continuous_labels_and_latents_are_the_published_ones():
    data = continuous()
    train = data.train
    assert data.n_labels is None and train.u.shape == (12_000, 1) and train.u.dtype == np.float32
    assert train.u[0, 0] == pytest.approx(0.959215, abs=5e-7)
    assert train.z[0] == pytest.approx([1.25858, 1.69837], abs=5e-6)
    u, z, mean, variance = (joined(data, name) for name in ("u", "z", "label_mean", "label_variance"))
    assert np.allclose(mean, np.hstack([u, 2 * np.sin(u)]), atol=1e-6)
    assert np.allclose(variance[:, 1], 0.15 * np.abs(mean[:, 1])) and np.allclose(variance.sum(axis=1), 0.6)
    standard = (z - mean) / np.sqrt(variance)
    assert np.allclose(standard.std(axis=0), 1, atol=0.025) and np.allclose(standard.mean(axis=0), 0, atol=0.035)


@pytest.mark.parametrize("make, expected", [(discrete, [0.838, 0.845]), (continuous, [0.889, 0.914])])
def test_the_label_alone_explains_this_much(make, expected):
    assert r2_per_column(joined(make(), "z"), joined(make(), "label_mean")) == pytest.approx(expected, abs=1e-3)


@BOTH
def test_counts_are_poisson_draws_of_the_rates(make, gain):
    data = make()
    x, rates = joined(data, "x").astype(float), joined(data, "rates")
    assert x.shape == rates.shape == (len(x), 100) and data.train.x.dtype == np.float32
    assert np.exp(-gain) <= rates.min() < 1.1 * np.exp(-gain) and 0.9 * np.exp(gain) < rates.max() <= np.exp(gain)
    # A million counts; squares of standardised ones have variance 2 + 1 / rate.
    standard = (x - rates) / np.sqrt(rates)
    assert abs(standard.mean()) < 5e-3
    assert np.square(standard).mean() == pytest.approx(1, abs=0.012)
    assert np.array_equal(x, np.round(x)) and x.min() == 0
    # Channel by channel and over the counts themselves, so that no channel has another's rate.
    assert x.mean(axis=0) == pytest.approx(rates.mean(axis=0), abs=0.1)


@BOTH
def test_parts_are_40_and_5_and_5_batches_in_a_row(make, gain):
    data = make()
    n = 200 if make is discrete else 300
    assert [len(part.x) for part in data[:3]] == [40 * n, 5 * n, 5 * n]
    again = np.random.RandomState(888 if make is discrete else 777)
    if make is discrete:
        again.uniform(size=(2, 2, 5))
        first = again.normal(size=50 * n)
        standard = (joined(data, "z") - joined(data, "label_mean")) / np.sqrt(joined(data, "label_variance"))
        assert np.allclose(standard[:, 0], first)
    else:
        assert np.allclose(joined(data, "u"), again.uniform(0, 2 * np.pi, (50 * n, 1)))
    for part in data[:3]:
        lengths = {len(values) for values in part}
        assert len(lengths) == 1


@BOTH
def test_the_lift_can_be_undone(make, gain):
    """Backwards through couplings and permutations the rates lead to the latents and to zeros: nothing is lost."""
    z = make().test.z
    h = np.arctanh(np.log(make().test.rates) / gain)
    # Where tanh is flat its digits are gone.
    kept = np.abs(h).max(axis=1) < 6
    h = h[kept]
    networks = _networks(100, np.random.default_rng(0))
    for i in reversed(range(8)):
        a = h[:, 50:]
        s, t = _scale_and_shift(a, networks[i])
        assert np.abs(s).max() <= 0.1 and np.abs(s).max() > 0
        h = np.hstack([a, (h[:, :50] - t) * np.exp(-s)])
        if i in (2, 4, 6):
            before = np.empty_like(h)
            before[:, np.random.RandomState(i // 2 - 1).permutation(100)] = h
            h = before
    assert kept.mean() > 0.5
    assert np.allclose(h[:, :2], z[kept], atol=1e-6) and np.allclose(h[:, 2:], 0, atol=1e-6)


def test_networks_of_the_lift():
    networks = _networks(100, np.random.default_rng(0))
    assert len(networks) == 8 and len({w.tobytes() for network in networks for w in network}) == 24
    assert [w.shape for w in networks[0]] == [(50, 25), (25, 25), (25, 100)]
    for weights in zip(*networks, strict=True):
        limit = np.sqrt(6 / sum(weights[0].shape))
        assert 0.98 * limit < np.abs(weights).max() <= limit
    a, (first, second, last) = np.random.default_rng(1).normal(size=(1, 50)), networks[3]
    out = [sum(max(v, 0) * w for v, w in zip(np.maximum(a @ first, 0)[0] @ second, row, strict=True)) for row in last.T]
    s, t = _scale_and_shift(a, networks[3])
    assert s[0] == pytest.approx(0.1 * np.tanh(out[:50])) and t[0] == pytest.approx(out[50:])


@pytest.mark.parametrize("make", [pi_vae_discrete, pi_vae_continuous])
def test_seeds(make):
    first, again, other, moved = (make(seed, 200, 9, z_seed=z) for seed, z in ((1, 3), (1, 3), (2, 3), (1, 4)))
    for name in ("x", "u", "z", "rates", "label_mean", "label_variance"):
        assert np.array_equal(joined(first, name), joined(again, name))
        assert np.array_equal(joined(first, name), joined(other, name)) == (name not in ("x", "rates"))
    assert not np.array_equal(joined(first, "z"), joined(moved, "z"))
    # 9 channels: one half is longer than the other, and the longer one is transformed.
    assert joined(first, "x").shape == (200, 9) and np.ptp(joined(first, "rates"), axis=0).min() > 0


@pytest.mark.parametrize("sources, kurtosis", [("gaussian", 3.0), ("laplace", 6.0)])
def test_sources_of_tcl_have_the_spread_of_their_segment(sources, kurtosis):
    data = tcl(seed=2, sources=sources)
    u, z, mean, variance = (joined(data, name) for name in ("u", "z", "label_mean", "label_variance"))
    assert [len(part.x) for part in data[:3]] == [32_000, 4000, 4000] and data.n_labels == 40
    assert u.dtype == np.int64 and np.array_equal(np.bincount(u), [1000] * 40) and not mean.any()
    std = np.sqrt(np.array([variance[u == segment][0] for segment in range(40)]))
    assert 0.5 <= std.min() < 0.8 and 2.7 < std.max() <= 3.0 and len(np.unique(std)) == 80
    assert np.array_equal(np.sqrt(variance), std[u])
    # 1000 rows: a standard deviation is known to 2.2 % (Laplace: 3.5 %); the worst of 80.
    found = np.array([z[u == segment].std(axis=0) for segment in range(40)])
    assert found == pytest.approx(std, rel=0.14 if sources == "laplace" else 0.09)
    assert (z**4 / variance**2).mean() == pytest.approx(kurtosis, rel=0.05)


def test_mixing_of_tcl():
    matrices = _mixing(2, 4, 3, np.random.default_rng(0))
    assert [matrix.shape for matrix in matrices] == [(2, 4), (4, 4), (4, 4)]
    for matrix in matrices:
        assert np.allclose(np.square(matrix).sum(axis=0), 1)
        others = np.random.default_rng(5).uniform(-1, 1, (4000, *matrix.shape))
        better = np.mean(
            [np.linalg.cond(other / np.linalg.norm(other, axis=0)) < np.linalg.cond(matrix) for other in others]
        )
        assert better < 0.27
    assert [matrix.shape for matrix in _mixing(1, 1, 2, np.random.default_rng(0))] == [(1, 1)] * 2


def test_observations_of_tcl_are_the_mixed_sources():
    """Undone layer by layer; one layer is a matrix alone, and noise there is none."""
    linear = tcl(n_segments=5, n_per_segment=40, n_layers=1)
    z, x = (joined(linear, name) for name in ("z", "x"))
    weights, residual, *_ = np.linalg.lstsq(z, x, rcond=None)
    assert np.allclose(np.linalg.norm(weights, axis=0), 1, atol=1e-6) and residual.max() < 1e-10
    deep = tcl(n_segments=5, n_per_segment=40, n_layers=2)
    z, x = (joined(deep, name) for name in ("z", "x"))
    # The first matrix is the one of the linear mixing: layers are drawn one after the other.
    hidden = z @ weights
    residual = np.linalg.lstsq(np.tanh(hidden) + 0.1 * hidden, x, rcond=None)[1]
    assert residual.max() < 1e-9 and np.linalg.lstsq(z, x, rcond=None)[1].min() > 0.1
    assert deep.train.rates is None and x.dtype == np.float32


def test_tcl_follows_its_seed_and_mixes_its_rows():
    first, again, other = (tcl(seed, 6, 50) for seed in (1, 1, 2))
    assert all(np.array_equal(joined(first, name), joined(again, name)) for name in ("x", "u", "z"))
    assert not np.array_equal(first.train.label_variance, other.train.label_variance)
    assert set(first.test.u) == set(range(6)) and isinstance(first, LabelledData)
    assert len(np.unique(joined(first, "z"), axis=0)) == 300


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: pi_vae_discrete(n=120), "multiple of 50"),
        (lambda: pi_vae_continuous(n=0), "n must be a whole number from 50"),
        (lambda: pi_vae_discrete(n=100, x_dim=3), "x_dim must be a whole number from 4"),
        (lambda: pi_vae_discrete(seed=-1, n=100), "seed must be"),
        (lambda: pi_vae_continuous(n=100, z_seed=2**32), "z_seed must be"),
        (lambda: tcl(n_segments=0), "n_segments must be"),
        (lambda: tcl(n_sources=3, x_dim=2), "x_dim must be a whole number from 3"),
        (lambda: tcl(n_segments=3, n_per_segment=3), "needs 10 rows"),
        (lambda: tcl(n_segments=2, n_per_segment=5, sources="cauchy"), "gaussian, laplace"),
    ],
)
def test_impossible_data_sets_are_refused(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert not faults(str(raised.value))
