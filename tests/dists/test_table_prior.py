"""The prior around the means of sequences, against sums and optima that are written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, stats

from indl.dists import Gaussian, Prior, TablePrior
from indl.dists.priors.table import map_means
from tests.checks import assert_close, assert_mean, assert_same, saved_and_loaded

RNG = np.random.default_rng(0)
INDEX = np.array([2, 0, 2, 1, 0])
LOC = RNG.normal(size=(5, 3)).astype("float32")
SCALE = RNG.uniform(0.2, 1.2, (5, 3)).astype("float32")
Q = Gaussian(tf.constant(LOC), tf.constant(SCALE))


def made(**changes):
    """A table of four rows, the last of which is not used."""
    keras.utils.set_random_seed(1)
    prior = TablePrior(3, **{"n_seqs": 4, "init_std": 0.4, "hyper_std": 1.3, **changes})
    prior.count(INDEX)
    return prior


def test_terms_are_those_of_the_normal_densities():
    prior = made()
    assert isinstance(prior, Prior) and not prior.labelled
    table = np.asarray(prior.table, "float64")
    assert table.shape == (4, 3) and 0.3 < table.std() < 2
    kl, log_p_mean, log_p_index = prior(Q, INDEX)
    assert_close(
        kl, Gaussian(LOC, SCALE).kl_divergence(Gaussian(table[INDEX].astype("float32"), np.float32([0.4] * 3)))
    )
    segments = np.array([2, 1, 2])[INDEX]
    assert_close(log_p_mean, stats.norm.logpdf(table[INDEX], 0, 1.3).sum(-1) / segments)
    # By Bayes, over the three rows in use, all equally likely.
    density = np.array([[stats.norm.pdf(m, mu, 0.4).prod() for mu in table[:3]] for m in LOC.astype("float64")])
    assert_close(log_p_index, np.log(density[np.arange(5), INDEX] / density.sum(1)))


def test_rows_out_of_use_matter_to_their_own_trials_alone():
    prior = made()
    before = [np.asarray(part) for part in prior(Q, INDEX)]
    values = np.asarray(prior.table).copy()
    with tf.GradientTape() as tape:
        total = tf.add_n([tf.reduce_sum(part) for part in prior(Q, INDEX)])
    gradient = np.asarray(tape.gradient(total, prior.table.value))
    assert not gradient[3].any() and np.abs(gradient[:3]).min() > 0
    values[3] = LOC[0]
    prior.table.assign(values)
    for now, then in zip(prior(Q, INDEX), before, strict=True):
        assert_same(now, then)
    kl, _, log_p_index = prior(Q, np.array([3, 0, 2, 1, 0]))
    table = values.astype("float64")
    density = np.array([stats.norm.pdf(LOC[0], mu, 0.4).prod() for mu in table])
    assert_close(log_p_index[0], np.log(density[3] / density.sum()))
    assert_close(log_p_index[1:], before[2][1:])
    assert np.isfinite(np.asarray(kl)).all()


@pytest.mark.parametrize("index", [-1, 4])
def test_a_trial_of_no_row_has_no_terms(index):
    found = np.stack(made()(Q, np.array([0, 1, index, 2, 0])), -1)
    assert np.isnan(found[2]).all() and np.isfinite(np.delete(found, 2, 0)).all()


def test_without_a_row_a_trial_is_of_a_new_sequence():
    """Its f is the mean of a sequence and what lies around it, both normal."""
    prior, std = made(), np.hypot(0.4, 1.3)
    draws = np.asarray(prior.draw(4000, seed=3))
    assert draws.shape == (4000, 3)
    assert_mean(draws, np.zeros(3))
    assert_mean(draws**2, np.full(3, std**2))
    assert_close(prior.log_prob(LOC), stats.norm.logpdf(LOC, 0, std).sum(-1))
    assert_close(prior.kl_per_dimension(Q), Q.kl_per_dimension(Gaussian(np.zeros(3, "float32"), np.float32([std] * 3))))
    assert prior.draw(3, 5, seed=1).shape == (3, 5, 3)
    assert_same(prior.draw(3, seed=1), prior.draw(3, seed=1))


def test_with_rows_it_is_of_those():
    prior = made()
    mean = np.asarray(prior.table)[INDEX]
    assert_close(prior.log_prob(LOC, INDEX), stats.norm.logpdf(LOC, mean, 0.4).sum(-1))
    assert_close(np.sum(prior.kl_per_dimension(Q, INDEX), -1), prior(Q, INDEX)[0])
    rows = np.repeat(INDEX, 2000)
    draws = np.asarray(prior.draw(len(rows), u=rows, seed=3)).reshape(5, 2000, 3)
    assert_mean(draws, mean, axis=1)
    assert_mean((draws - mean[:, None]) ** 2, np.full((5, 3), 0.16), axis=1)
    # Floats, as arrays are read, and the axes of a sequence.
    assert_same(prior.log_prob(LOC[:, None], INDEX.astype("float32"))[:, 0], prior.log_prob(LOC, INDEX))


def test_the_likeliest_means():
    """Their closed form is where the density of trials and mean has its maximum."""
    found = map_means(LOC, INDEX, 4, std=0.4, hyper_std=1.3)
    for i in range(3):
        own = LOC[i == INDEX].astype("float64")

        def negative(mu, own=own):
            return -stats.norm.logpdf(own, mu, 0.4).sum() - stats.norm.logpdf(mu, 0, 1.3).sum()

        assert_close(found[i], optimize.minimize(negative, np.zeros(3), tol=1e-10).x, 1e-4)
    assert_close(found[0], LOC[[1, 4]].sum(0, dtype="float64") / (2 + 0.16 / 1.69))
    assert not found[3].any()
    assert_close(map_means(LOC[:1], [0], 1)[0], LOC[0] / 1.25)


def test_new_rows_are_estimated_and_the_others_kept():
    prior = made()
    before = np.asarray(prior.table)
    prior.estimate(LOC, [3, 3, 0, 0, 3])
    assert_close(prior.table[3], LOC[[0, 1, 4]].sum(0) / (3 + 0.16 / 1.69))
    assert_same(prior.table[:3], before[:3])
    assert np.array_equal(prior.n_segments, [2, 1, 2, 3]) and np.array_equal(prior.used, [1, 1, 1, 0])
    prior.count([0, 0, 1], unseen=[1, 3, 3])
    assert np.array_equal(prior.n_segments, [2, 1, 0, 2]) and np.array_equal(prior.used, [1, 1, 0, 0])


def test_it_is_saved_with_what_is_known_of_its_rows():
    prior = made()
    loc, scale, index = keras.Input((3,)), keras.Input((3,)), keras.Input((), dtype="int32")
    model = keras.Model([loc, scale, index], list(prior(Gaussian(loc, scale), index)))
    again = saved_and_loaded(model)
    assert_same(again([LOC, SCALE, INDEX]), model([LOC, SCALE, INDEX]))
    twin = next(layer for layer in again.layers if isinstance(layer, TablePrior))
    assert twin.get_config() == prior.get_config() and repr(twin) == "TablePrior(event size 3, 4 sequences)"
    assert [v.name for v in twin.trainable_variables] == ["table"]
