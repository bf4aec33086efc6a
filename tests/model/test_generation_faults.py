"""Latents that do not fit what they are decoded, drawn or moved with: each is told in words."""

import numpy as np
import pytest

from indl.model.traversal import traverse
from tests.checks import QUICK, counts, tiny_model
from tests.messages import faults

X = counts(4)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**{**QUICK, "z_latent_size": 2, "input_transform": "log1p", "n_factors": 3})


F, Z = np.zeros((4, 3), "float32"), np.zeros((4, 8, 2), "float32")
NAN = np.full((4, 3), np.nan, "float32")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: m.generate(4, 8, fix_f=F[:1]), ["value of one trial", "(1, 3)", "loc[0]"]),
        (lambda m: m.generate(4, 8, fix_z=Z[:1]), ["value of one trial", "(1, 8, 2)"]),
        (lambda m: m.generate(4, 8, fix_z=np.zeros(2)), ["value of one trial", "(time, Z)"]),
        (lambda m: m.generate(4, 8, fix_f="yes"), ["fix_f", "numeric"]),
        (lambda m: m.generate(3, 8, f=F), ["n=3", "(4, 3)"]),
        (lambda m: m.generate(4, 8, z=Z[:, :5]), ["time=8", "(4, 5, 2)"]),
        (lambda m: m.decode(f=F[:, None], z=Z), ["same trials", "(4, 1, 3)"]),
        (lambda m: m.decode(f=F, z=Z[:, None]), ["same trials", "(4, 1, 8, 2)"]),
        (lambda m: m.decode(f=NAN, z=Z), ["finite", "12 values of f"]),
        (lambda m: m.decode(f="a", z=Z), ["f must", "numeric"]),
        (lambda m: m.reconstruct(X, "f", np.array([0.0, 1.0, 2.0, 3.0])), ["order", "whole numbers"]),
        (lambda m: m.reconstruct(X, "f", ["a", "b", "c", "d"]), ["order", "whole numbers"]),
        (lambda m: m.rates(X - 1.0), ["log(1 + x)", "down to -1"]),
        (lambda m: traverse(m, X, dimensions=[True, False, True]), ["whole number", "True"]),
        (lambda m: traverse(m, X, dimensions=[1.7]), ["whole number", "1.7"]),
        (lambda m: traverse(m, X, dimensions="a"), ["whole number", "'a'"]),
        (lambda m: traverse(m, X, span=np.nan), ["finite", "nan"]),
        (lambda m: traverse(m, X, span="2"), ["finite", "'2'"]),
        (lambda m: traverse(m, X, trial=1.5), ["whole number", "1.5"]),
    ],
)
def test_what_does_not_fit_is_told(model, call, words):
    with pytest.raises(ValueError) as told:
        call(model)
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)


def test_one_dimension_by_its_number(model):
    assert traverse(model, X, dimensions=1).dimensions.tolist() == [1]
