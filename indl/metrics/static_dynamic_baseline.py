"""The trivial rival of models with a static and a dynamic latent: principal components, and their means over time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.data.checks.arrays import check_trials, check_whole
from indl.data.prepare.smoothing import gaussian_smooth

#: Added to a count before its square root, which makes the variance of Poisson counts nearly constant (Anscombe 1948).
_ANSCOMBE = 3.0 / 8.0


class StaticDynamicCodes(NamedTuple):
    """A static and a dynamic code of each trial.

    Attributes:
        f: (trials, size).
        z: (trials, time, size).
    """

    f: np.ndarray
    z: np.ndarray


def pca_codes(
    train: np.ndarray, test: np.ndarray, size: int = 8, sd_bins: float = 2.0
) -> tuple[StaticDynamicCodes, StaticDynamicCodes]:
    """Codes that need no model: principal components of smoothed counts, cut into time mean and what is left.

    Square roots of counts + 3/8 are smoothed with a Gaussian and projected on the principal components of the training
    trials; `f` is the mean of a trial over time, and `z` the difference to it. On simulated spikes `f` tells the style
    of a trial as well as trained models do; `z` tells it, too, as the size of fluctuations changes with it. What a
    model gains is judged against that, by the leak of style into `z` and by exchanging latents.

    Args:
        train: Counts that the components are of, (trials, time, channels).
        test: Counts of further trials, the same channels.
        size: Number of components, at most that of channels.
        sd_bins: Standard deviation of the smoothing in bins.

    Returns:
        Codes of the training trials, and of the test trials.

    Raises:
        ValueError: If the counts are not whole trials of the same channels, or a setting is out of range.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import pca_codes
        >>> counts = np.random.default_rng(0).poisson(0.5, (30, 20, 6))
        >>> codes, _ = pca_codes(counts[:20], counts[20:], size=2)
        >>> codes.f.shape, codes.z.shape, bool(np.allclose(codes.z.mean(axis=1), 0))
        ((20, 2), (20, 20, 2), True)
    """
    for counts, name in ((train, "train"), (test, "test")):
        check_trials(counts, names=(name, name))
    n_channels = np.shape(train)[2]
    if np.shape(test)[2] != n_channels:
        raise ValueError(
            f"Both parts must have the same channels. Given: {n_channels} in train and {np.shape(test)[2]} in test. "
            "Take them from one recording."
        )
    size = check_whole(size, "size", 1, n_channels)
    train, test = (gaussian_smooth(np.sqrt(np.asarray(x, float) + _ANSCOMBE), sd_bins) for x in (train, test))
    rows = train.reshape(-1, n_channels)
    centre = rows.mean(axis=0)
    # The eigenvectors of the covariance, the largest last: the rows are many and the channels few.
    components = np.linalg.eigh(np.cov(rows.T).reshape(n_channels, n_channels))[1][:, ::-1][:, :size]
    return _codes((train - centre) @ components), _codes((test - centre) @ components)


def _codes(paths: np.ndarray) -> StaticDynamicCodes:
    mean = paths.mean(axis=1, keepdims=True)
    return StaticDynamicCodes(mean[:, 0], paths - mean)
