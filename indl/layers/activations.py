"""Activations by the names that parameters have for them."""

from __future__ import annotations

from typing import Any

import keras


def activation(name: Any) -> Any:
    """What a layer of Keras takes for the name of a parameter's value; other things as they are.

    ``"leaky_relu_0.1"`` is the leaky rectifier of iVAE's code; Keras's own has a slope of 0.2.
    """
    return keras.layers.LeakyReLU(negative_slope=0.1) if isinstance(name, str) and name == "leaky_relu_0.1" else name
