"""The label prior: values by hand, its start, and the layer's suite. KL and draws are tested with the models."""

import numpy as np
import pytest
import tensorflow as tf

from indl.dists.priors import LabelPrior
from tests.checks import assert_close, check_layer, untrained

VECTORS = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
CLASSES = np.array([0, 3, 1, 1, 2, 0])


@pytest.mark.parametrize(
    "factory, u",
    [
        (lambda: LabelPrior(2, 4), CLASSES),
        (lambda: LabelPrior(2, 3, "continuous", (5, 4), "relu"), VECTORS),
        (lambda: LabelPrior(2, 3, "continuous", (5,), min_variance=0.2), VECTORS),
        (lambda: LabelPrior(2, 3, "continuous"), np.stack([VECTORS] * 4, 1)),
    ],
    ids=["classes", "vectors", "floor", "steps"],
)
def test_suite(factory, u):
    check_layer(factory, u)


def test_classes_pick_rows():
    prior = LabelPrior(2, 4)
    mean, log_variance = (np.random.default_rng(i).normal(size=(4, 2)).astype("float32") for i in range(2))
    prior.mean_embedding.assign(mean)
    prior.log_variance_embedding.assign(log_variance)
    found = prior(CLASSES)
    np.testing.assert_array_equal(found.loc, mean[CLASSES])
    np.testing.assert_array_equal(found.log_variance, log_variance[CLASSES])
    steps = prior(np.stack([CLASSES, CLASSES[::-1]], 1))
    np.testing.assert_array_equal(steps.loc[:, 1], mean[CLASSES[::-1]])


def test_vectors_go_through_a_network_means_first():
    prior = LabelPrior(2, 3, "continuous", (5,), "tanh")
    first, second = prior.network.dense
    hidden = np.tanh(VECTORS @ np.asarray(first.kernel) + np.asarray(first.bias))
    wanted = hidden @ np.asarray(second.kernel) + np.asarray(second.bias)
    found = prior(VECTORS)
    assert_close(found.loc, wanted[:, :2])
    assert_close(found.log_variance, wanted[:, 2:])


def test_floor_is_added_to_the_variance():
    prior = LabelPrior(2, 4, min_variance=0.3)
    for raw in (-1e3, -5.0, 0.0, 2.0, 80.0):
        prior.log_variance_embedding.assign(np.full((4, 2), raw))
        assert_close(prior(np.array([1])).log_variance, np.full((1, 2), np.logaddexp(raw, np.log(0.3))))


def test_every_class_starts_near_a_standard_normal():
    prior = LabelPrior(20, 50)
    tables = [np.asarray(table) for table in (prior.mean_embedding, prior.log_variance_embedding)]
    for table in tables:
        assert np.abs(table).max() < 0.05 and table.std() == pytest.approx(0.05 / np.sqrt(3), rel=0.1)
    assert abs(np.corrcoef(tables[0].ravel(), tables[1].ravel())[0, 1]) < 0.2


def test_kind_of_label_is_checked():
    with pytest.raises(ValueError, match=r"Given: u_type='circular'. Use 'discrete'"):
        LabelPrior(2, 3, "circular")


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_labels_may_modulate_the_variance_alone(kind):
    prior = LabelPrior(2, 3, kind, (4,), "leaky_relu_0.1", train_mean=False)
    u = np.array([2, 0, 1]) if kind == "discrete" else np.eye(3, dtype="float32")
    loc, log_variance = prior(u)
    assert np.all(np.asarray(loc) == 0) and np.ptp(log_variance, axis=0).min() > 0
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(prior(u)[1] - 1.0))
    variables = prior.trainable_variables
    assert len(variables) == (1 if kind == "discrete" else 4)
    assert not untrained(variables, tape.gradient(loss, [v.value for v in variables]))
