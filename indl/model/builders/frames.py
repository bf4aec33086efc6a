"""The convolutional encoder and decoder of films: trials whose channels are the pixels of a frame."""

from __future__ import annotations

import math
from typing import Any

from keras import layers

from indl.layers.frames import FrameDecoder, FrameEncoder
from indl.model.builders.shared import Params
from indl.params import as_list, validate_params


def create_frame_encoder(params: Params, x: Any, name: str = "") -> Any:
    """Frames to features, bin by bin, which the encoders of f and z then read in place of pixels.

    Li & Mandt 2018 (arXiv:1803.02991), with convolutions of the size of the frames.

    Keys: frame_shape, frame_filters, frame_features.

    Args:
        params: parameters.
        x: (batch, time, H * W * C), frames in the order of their axes: colours next to each other.
        name: prefix of the names of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        (batch, time, frame_features); `x` itself where frame_shape is None.

    Raises:
        ValueError: the channels are not the pixels of such a frame.
    """
    p = validate_params(params)
    if not p["frame_shape"]:
        return x
    check_frame(p, x.shape[-1])
    filters = as_list(p["frame_filters"])
    return FrameEncoder(p["frame_shape"], filters, p["frame_features"], name=f"{name}frame_encoder")(x)


def create_frame_decoder(params: Params, factors: Any, name: str = "") -> Any:
    """Factors to maps of the size of a frame, of which the read-out makes colours, pixel by pixel.

    Keys: frame_shape, frame_filters.

    Args:
        params: parameters.
        factors: (batch[, S], time, n_factors).
        name: prefix of the names of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        (batch[, S], time, H * W, frame_filters[0]); the factors themselves where frame_shape is None.
    """
    p = validate_params(params)
    if not p["frame_shape"]:
        return factors
    return FrameDecoder(p["frame_shape"], as_list(p["frame_filters"]), name=f"{name}frame_decoder")(factors)


def flat_frames(observed: Any, name: str = "") -> Any:
    """The observation model of colours (batch[, S], time, H * W, C) as one of channels (batch[, S], time, H * W * C).

    Args:
        observed: a value of :mod:`indl.dists.observations`.
        name: prefix of the names of its layers.
    """
    _, *samples, _, pixels, colours = observed[0].shape
    flat = [
        layers.Reshape((*samples, -1, pixels * colours), name=f"{name}flat_{field}")(part)
        for field, part in zip(observed._fields, observed, strict=True)
    ]
    return type(observed)(*flat)


def check_frame(p: Params, n_channels: int) -> None:
    """Refuses channels that are not the pixels of a frame.

    Args:
        p: complete params with a frame_shape.
        n_channels: channels of the input, or of the target.

    Raises:
        ValueError: they are not.
    """
    if math.prod(p["frame_shape"]) != n_channels:
        raise ValueError(
            f"The channels are not the pixels of such frames. Given: frame_shape={p['frame_shape']}, which has "
            f"{math.prod(p['frame_shape'])} values, for {n_channels} channels. Set frame_shape to height, width and "
            "colours of the frames, and hold no channels out."
        )
