"""The affine head of a Gaussian posterior."""

import numpy as np
import pytest
import tensorflow as tf

from indl.dists import GaussianHead
from tests.checks import assert_close, check_layer

FEATURES = np.random.default_rng(0).normal(size=(4, 6, 5)).astype("float32")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("features", [FEATURES, FEATURES[:, 0]])
def test_suite(full, features):
    check_layer(lambda: GaussianHead(3, 0.2, full=full), features)


@pytest.mark.parametrize("init_std", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("full", [False, True])
def test_scale_is_init_std_where_the_raw_scale_is_zero(init_std, full):
    q = GaussianHead(3, init_std, full=full)(np.zeros((2, 5), "float32"))
    expected = np.full((2, 3), init_std) if not full else np.broadcast_to(init_std * np.eye(3), (2, 3, 3))
    np.testing.assert_allclose(q.scale, expected, rtol=1e-3, atol=1e-7)
    assert_close(q.loc, np.zeros((2, 3)))


def test_diagonal_head_is_affine_in_the_mean_and_softplus_in_the_scale():
    head = GaussianHead(3, 0.2)
    q = head(FEATURES)
    assert_close(q.loc, FEATURES @ np.asarray(head.loc.kernel) + np.asarray(head.loc.bias))
    raw = FEATURES @ np.asarray(head.raw_scale.kernel)
    assert_close(q.scale, np.logaddexp(0, raw + np.log(np.expm1(0.2 - 1e-5))) + 1e-5)


def test_full_head_fills_a_lower_triangle_with_free_signs():
    head = GaussianHead(3, 0.2, full=True)
    head(FEATURES)
    # With a unit input each raw entry is its own index, so every place in the triangle can be told apart.
    raw = np.array([0.1, -0.7, 0.3, 0.5, -0.9, 0.2], "float32")
    head.raw_scale.kernel.assign(np.zeros(head.raw_scale.kernel.shape))
    head.raw_scale.bias.assign(raw)
    scale = np.asarray(head(FEATURES).scale)[0, 0]
    assert np.array_equal(scale, np.tril(scale))
    assert_close(scale[np.tril_indices(3, -1)], raw[[1, 3, 4]])
    assert_close(np.diag(scale), np.logaddexp(0, raw[[0, 2, 5]] + np.log(np.expm1(0.2 - 1e-5))) + 1e-5)
    covariance = scale @ scale.T
    assert covariance[1, 0] < 0 and (np.linalg.eigvalsh(covariance) > 0).all()


@pytest.mark.parametrize("full", [False, True])
def test_scale_stays_positive_far_out(full):
    q = GaussianHead(3, 0.2, full=full)(1e4 * FEATURES)
    diagonal = tf.linalg.diag_part(q.scale) if full else q.scale
    assert np.isfinite(q.scale).all() and np.min(diagonal) > 0


@pytest.mark.parametrize("link", ["softplus", "log_variance", "softplus_variance"])
def test_networks_of_their_own_for_mean_and_scale(link):
    head = GaussianHead(3, 0.2, scale_link=link, hidden=[7, 4], activation="leaky_relu_0.1")
    q = head(FEATURES)
    x = {"loc": FEATURES, "raw_scale": FEATURES}
    for name, network in (("loc", head.loc), ("raw_scale", head.raw_scale)):
        for i, dense in enumerate(network.dense):
            x[name] = x[name] @ np.asarray(dense.kernel) + np.asarray(dense.bias)
            x[name] = np.where(x[name] > 0, x[name], 0.1 * x[name]) if i < 2 else x[name]
    assert_close(q.loc, x["loc"])
    assert_close(q.scale, head.link.scale(x["raw_scale"] + head.link.start(0.2)))
    assert_close(GaussianHead.from_config(head.get_config()).hidden, [7, 4])
