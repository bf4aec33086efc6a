"""How rows repeat over the samples of a mode; the modes themselves are tested with the layers that draw in them."""

import numpy as np
import pytest
import tensorflow as tf

from indl.sampling.modes import GivenLatents, PosteriorSamples, repeated, rows_like, sampling

X = np.arange(6, dtype="float32").reshape(2, 3)


def test_rows_follow_those_that_a_mode_has_repeated():
    like = np.zeros((8, 5), "float32")
    assert rows_like(X, like) is X
    with sampling(PosteriorSamples(8, 0)):
        assert np.array_equal(rows_like(X, like), X[[0, 0, 0, 0, 1, 1, 1, 1]])
        # What has been repeated already stays, whatever it meets.
        assert rows_like(like, X) is like and rows_like(X, X) is X
    with sampling(GivenLatents({})):
        assert np.array_equal(rows_like(X[:, 0], like), [0, 0, 0, 0, 3, 3, 3, 3])


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("rows, wanted", [(6, [0, 0, 0, 1, 1, 1]), (2, [0, 1]), (1, [0, 1])])
def test_numbers_of_rows_need_not_be_known_before(rows, wanted, jit):
    unknown = [tf.TensorSpec((None, 3)), tf.TensorSpec((None, 4))]
    traced = tf.function(lambda x, like: repeated(x, tf.shape(like)[0]), input_signature=unknown, jit_compile=jit)
    found = traced(X, np.zeros((rows, 4), "float32"))
    assert np.array_equal(found, X[wanted])
    assert np.array_equal(repeated(X, rows), found)
