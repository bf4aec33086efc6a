"""What principal components reach where a static and a dynamic part are to be told apart."""

import numpy as np
import pytest

from indl.data import static_dynamic_poisson
from indl.metrics import LatentTrials, pca_codes, static_dynamic_probes
from tests.messages import faults

COLUMNS = ("style | f", "content | f", "style | z", "content | z", "R2 s | f", "R2 z | z")
TABLE = {
    "additive": [0.997, 0.354, 0.806, 0.916, 0.974, 0.860],
    "gain": [0.987, 0.358, 0.943, 0.924, 0.939, 0.828],
    "mlp": [0.995, 0.352, 0.958, 0.949, 0.970, 0.840],
}
LEVELS = {"additive": pytest.mark.slow, "gain": (), "mlp": pytest.mark.slow}


def test_codes_are_components_of_smoothed_roots():
    counts = np.random.default_rng(0).poisson(2.0, (40, 9, 5))
    (f, z), (f_test, z_test) = pca_codes(counts[:30], counts[30:], size=2, sd_bins=0)
    roots = np.sqrt(counts + 0.375)
    rows = roots[:30].reshape(-1, 5)
    _, _, directions = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    paths = (roots - rows.mean(0)) @ directions[:2].T
    # A direction has no sign of its own.
    sign = np.sign(np.sum((f[:, None] + z) * paths[:30], axis=(0, 1)))
    assert (f[:, None] + z) * sign == pytest.approx(paths[:30])
    assert f_test * sign == pytest.approx(paths[30:].mean(axis=1))
    assert z_test.mean(axis=1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("level", [pytest.param(level, marks=marks) for level, marks in LEVELS.items()])
def test_the_published_table(level):
    """Style and content from f, both from z, R2 of both latents: of components, and of the truth."""
    parts = [static_dynamic_poisson(level, n, seed) for n, seed in ((2000, 1), (1000, 2))]

    def scores(codes):
        latents = [
            LatentTrials(f, z, part.style, part.content, part.s, part.z)
            for (f, z), part in zip(codes, parts, strict=True)
        ]
        found = static_dynamic_probes(*latents).as_dict()
        return [found[name] for name in COLUMNS]

    # The leak depends most on what is summed in which order.
    assert scores(pca_codes(*(part.counts for part in parts))) == pytest.approx(TABLE[level], abs=0.012)
    oracle = scores((part.s, part.z) for part in parts)
    assert oracle == pytest.approx([1.0, 0.34, 1 / 6, 0.984, 1.0, 1.0], abs=0.006)


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"test": np.zeros((2, 4, 2))}, ["3 in train and 2 in test"]),
        ({"size": 4}, ["size", "4"]),
        ({"sd_bins": -1}, ["-1"]),
        ({"train": np.full((2, 4, 3), np.nan)}, ["train"]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_has_no_codes_is_told(changes, names):
    counts = np.random.default_rng(0).poisson(2.0, (6, 4, 3)).astype(float)
    with pytest.raises(ValueError) as error:
        pca_codes(**{"train": counts, "test": counts, "size": 2, **changes})
    message = str(error.value)
    assert all(name in message for name in names) and not faults(message), (message, faults(message))
