"""Frames are what the channels of a bin are, in the order of their axes, and each is seen by itself."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from indl.layers.frames import FrameDecoder, FrameEncoder
from tests.checks import check_layer

SHAPE = (8, 4, 3)
RNG = np.random.default_rng(0)
FRAMES = RNG.uniform(size=(3, 5, 8 * 4 * 3)).astype("float32")


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def test_encoder_suite():
    check_layer(lambda: FrameEncoder(SHAPE, [3, 5], 6), FRAMES)


def test_decoder_suite():
    check_layer(lambda: FrameDecoder(SHAPE, [3, 5]), RNG.normal(size=(3, 5, 6)).astype("float32"))


def test_encoder_convolves_frames():
    layer = FrameEncoder(SHAPE, [2], 4)
    found = np.asarray(layer(FRAMES))
    kernel, bias, dense, offset = (np.asarray(weight, float) for weight in layer.get_weights())
    frame = FRAMES[2, 3].reshape(SHAPE).astype(float)
    maps = np.zeros((4, 2, 2))
    for out in range(2):
        for colour in range(3):
            # A correlation with one pixel of padding on each side, every second pixel of it.
            whole = convolve2d(np.pad(frame[..., colour], 1), kernel[::-1, ::-1, colour, out], "valid")
            maps[..., out] += whole[::2, ::2]
    expected = leaky(leaky(maps + bias).ravel() @ dense + offset)
    assert found[2, 3] == pytest.approx(expected, abs=1e-5)


def test_decoder_spreads_what_the_encoder_gathers():
    """A transposed convolution is the gradient of a convolution: each map reaches 4 x 4 pixels around its place."""
    layer = FrameDecoder((8, 8, 1), [2])
    x = np.zeros((1, 1, 3), "float32")
    layer(x)
    dense, offset, kernel, bias = (np.zeros_like(weight) for weight in layer.get_weights())
    # The first feature is the first map at place (1, 2).
    dense.reshape(3, 4, 4, 2)[0, 1, 2, 0] = 1.0
    kernel[:, :, 1, 0] = np.arange(1, 17).reshape(4, 4)
    layer.set_weights([dense, offset, kernel, bias])
    x[0, 0, 0] = 2.0
    found = np.asarray(layer(x)).reshape(8, 8, 2)
    expected = np.zeros((8, 8))
    expected[1:5, 3:7] = 2.0 * np.arange(1, 17).reshape(4, 4)
    assert np.array_equal(found[..., 1], expected) and not found[..., 0].any()


def test_maps_of_the_decoder_are_those_of_the_encoder_in_reverse():
    layer = FrameDecoder((16, 16, 3), [4, 6, 8])
    assert layer(np.zeros((2, 7, 5, 9), "float32")).shape == (2, 7, 5, 256, 4)
    shapes = [weight.shape for weight in layer.get_weights()]
    assert shapes[::2] == [(9, 2 * 2 * 8), (4, 4, 6, 8), (4, 4, 4, 6), (4, 4, 4, 4)]
