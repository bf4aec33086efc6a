"""Labels beside a sequence."""

import numpy as np
import pytest

from indl.layers.append_labels import AppendLabels
from tests.checks import check_layer

X = np.random.default_rng(0).normal(size=(4, 6, 2)).astype("float32")
CLASSES = np.random.default_rng(1).integers(0, 3, (4, 8)).astype("int32")
VECTORS = np.random.default_rng(2).normal(size=(4, 8, 3)).astype("float32")


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("per_step", [True, False])
def test_labels_are_appended(discrete, per_step):
    u = CLASSES if discrete else VECTORS
    # A sequence takes the first of more labels, those of forward steps being the last.
    u = u if per_step else u[:, 0]
    features = np.eye(3, dtype="float32")[u] if discrete else u
    features = features[:, :6] if per_step else np.repeat(features[:, None], 6, axis=1)
    check_layer(
        lambda: AppendLabels(3, discrete, per_step),
        X,
        u,
        expected=np.concatenate([X, features], -1),
        dynamic_time=False,
    )
