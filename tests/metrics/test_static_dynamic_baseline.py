"""What principal components reach where a static and a dynamic part are to be told apart."""

import numpy as np
import pytest

from indl.data import static_dynamic_poisson
from indl.metrics import pca_codes, recovery_r2
from tests.messages import faults


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


def test_components_tell_the_latents_of_simulated_spikes():
    train, test = (static_dynamic_poisson("gain", n, seed) for n, seed in ((2000, 1), (1000, 2)))
    fitted, scored = pca_codes(train.counts, test.counts)
    assert recovery_r2(scored.f, test.s).r2 == pytest.approx(0.939, abs=0.01)
    assert recovery_r2(scored.z.reshape(-1, 8), test.z.reshape(-1, 2)).r2 == pytest.approx(0.828, abs=0.01)
    assert fitted.z.shape == (2000, 50, 8)


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
