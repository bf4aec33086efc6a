"""Parts of error messages."""

import numpy as np
import pytest

from indl.text import nearest, shown


@pytest.mark.parametrize(
    "value, text",
    [
        (np.float32(0.5), "0.5"),
        (np.eye(2), "[[1.0, 0.0], [0.0, 1.0]]"),
        (np.zeros((100, 100)), "an array of shape (100, 100)"),
        (np.int64(3), "3"),
        ("a\nb", "'a\\nb'"),
        ([None, "x"], "[None, 'x']"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_values_are_shown_in_a_line(value, text):
    assert shown(value) == text


def test_long_values_are_cut():
    assert shown("x" * 1000) == f"'{'x' * 75} ..."
    assert shown(list(range(100))) == f"{repr(list(range(100)))[:76].rstrip(' ,')} ..."
    assert shown("x" * 78) == repr("x" * 78)


def test_the_nearest_name_is_named_alone():
    names = ["f_latent_size", "z_latent_size", "label"]
    assert nearest("f_latent_sise", names) == " Did you mean 'f_latent_size'?"
    assert nearest("batches", names) == ""
    assert nearest(3, [3, "label"]) == " Did you mean '3'?"
    assert nearest("a", []) == ""
