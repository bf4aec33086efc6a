"""Probes of static and dynamic latents: what each of them tells of style and of content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.metrics.disentanglement.codes_and_factors import (
    as_numbers,
    check_same_trials,
    checked_codes,
    factor_levels,
    scored_labels,
)
from indl.metrics.disentanglement.dynamic_summary import LAGS, dynamic_summary
from indl.metrics.r2 import r2_per_column


class LatentTrials(NamedTuple):
    """Latents of trials, and what is known of them.

    Attributes:
        f: Static latents, (trials, F): posterior means; of a model without any, a column of zeros.
        z: Dynamic latents, (trials, time, Z): posterior means.
        style: What stays the same within a trial: a class a trial, (trials,), of any kind.
        content: What kind of dynamics a trial has: a class a trial, (trials,).
        s: True static latents, (trials, S); None where they are not known.
        z_true: True dynamic latents, (trials, time, Z'); None where they are not known.
    """

    f: np.ndarray
    z: np.ndarray
    style: np.ndarray
    content: np.ndarray
    s: np.ndarray | None = None
    z_true: np.ndarray | None = None


class Probe(NamedTuple):
    """What one latent tells of one label on test trials.

    Attributes:
        accuracy: Fraction of trials whose label is told.
        chance: Fraction that is told by always saying the label most frequent in training.
        leak: (accuracy - chance) / (1 - chance): 0 by chance, 1 if all is told; below 0 for less than chance.
    """

    accuracy: float
    chance: float
    leak: float


class StaticDynamicProbes(NamedTuple):
    """Result of `static_dynamic_probes`.

    Attributes:
        style_f: Style told from f, which should be 1.
        content_f: Content told from f, which should be chance.
        style_z: Style told from z, which should be chance.
        content_z: Content told from z, which should be as good as from the true dynamics.
        r2_s: R2 of the true static latents from f; NaN where they are not known.
        r2_z: R2 of the true dynamic latents from z, bin by bin; NaN where they are not known.
    """

    style_f: Probe
    content_f: Probe
    style_z: Probe
    content_z: Probe
    r2_s: float
    r2_z: float

    def as_dict(self) -> dict[str, float]:
        """The numbers of a table by their names there, both leaks among them."""
        return {
            "style | f": self.style_f.accuracy,
            "content | f": self.content_f.accuracy,
            "style | z": self.style_z.accuracy,
            "content | z": self.content_z.accuracy,
            "leak of style into z": self.style_z.leak,
            "leak of content into f": self.content_f.leak,
            "R2 s | f": self.r2_s,
            "R2 z | z": self.r2_z,
        }


def static_dynamic_probes(
    train: LatentTrials, test: LatentTrials, *, lags: Sequence[int] = LAGS
) -> StaticDynamicProbes:
    """What f and z tell of style and content: fitted on training trials, scored on test trials.

    Labels are told by logistic regression (C = 1) on standardised features: f as it is, z as
    :func:`~indl.metrics.disentanglement.dynamic_summary.dynamic_summary`. True latents are predicted by ridge
    regression (penalty 1) on standardised latents.

    A probe that finds nothing does not prove that nothing is there. The leak of style into z moves by .1 between seeds
    of a model: compare several seeds, or swaps (:func:`~indl.metrics.disentanglement.swaps.swap_test`). The summary of
    z has Z + 5 Z^2 features, which a large Z overfits. Where a label was an input of the encoder, its probe is
    circular: encode without it.

    Args:
        train: Trials to fit the probes on.
        test: Trials to score. A label that training does not have is never told.
        lags: Lags of the summary in bins.

    Returns:
        A `StaticDynamicProbes`.

    Raises:
        ValueError: If shapes do not fit, latents are not finite, training has a single style or content or values of
            them that do not recur, or true latents are given for one part alone.
    """
    of_f = [checked_codes(train.f, "training"), checked_codes(test.f, "test")]
    of_z = [dynamic_summary(train.z, lags), dynamic_summary(test.z, lags)]
    styles, contents = (_labels(train, test, name) for name in ("style", "content"))
    bins = [as_numbers(part.z, "Dynamic latents").reshape(-1, np.shape(part.z)[2]) for part in (train, test)]
    return StaticDynamicProbes(
        _probe(of_f, styles),
        _probe(of_f, contents),
        _probe(of_z, styles),
        _probe(of_z, contents),
        _ridge_r2(of_f, _truth(train.s, test.s, "s", of_f, 2)),
        _ridge_r2(bins, _truth(train.z_true, test.z_true, "z_true", bins, 3)),
    )


def _probe(features, labels):
    (x_train, x_test), (y_train, y_test) = features, labels
    _check_features(x_train, x_test)
    check_same_trials(x_train, y_train, "training")
    check_same_trials(x_test, y_test, "test")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    with threadpool_limits(limits=1):
        accuracy = float(np.mean(model.fit(x_train, y_train).predict(x_test) == y_test))
    values, counts = np.unique(y_train, return_counts=True)
    chance = float(np.mean(y_test == values[counts.argmax()]))
    return Probe(accuracy, chance, (accuracy - chance) / (1 - chance) if chance < 1 else float("nan"))


def _ridge_r2(features, truth):
    if truth is None:
        return float("nan")
    (x_train, x_test), (y_train, y_test) = features, truth
    with threadpool_limits(limits=1):
        predicted = make_pipeline(StandardScaler(), Ridge()).fit(x_train, y_train).predict(x_test)
    return float(r2_per_column(y_test, predicted.reshape(y_test.shape)).mean())


def _check_features(x_train, x_test):
    if x_train.shape[1] != x_test.shape[1]:
        raise ValueError(
            f"Both parts must have the same latents. Given: features {x_train.shape} to train on and {x_test.shape} to "
            "test on. Take both from one model, with trials of one length."
        )


def _labels(train, test, name):
    found = [np.asarray(getattr(part, name)) for part in (train, test)]
    if any(label.ndim != 1 for label in found):
        raise ValueError(
            f"Labels must be one a trial. Given: {name} of {found[0].shape} and {found[1].shape}. Give a vector of "
            "classes."
        )
    factor_levels(found[0][:, None])
    return [found[0], scored_labels(found[1], found[0])]


def _truth(train, test, name, rows, ndim):
    """True latents of both parts as rows; None: not known."""
    if train is None and test is None:
        return None
    found = [np.zeros(0) if part is None else as_numbers(part, "True latents") for part in (train, test)]
    flat = [part.reshape(-1, part.shape[-1]) if part.ndim == ndim and part.size else part for part in found]
    fits = all(
        part.ndim == 2 and len(part) == len(x) and np.isfinite(part).all() for part, x in zip(flat, rows, strict=True)
    )
    if not fits or flat[0].shape[1] != flat[1].shape[1]:
        raise ValueError(
            f"True latents must be finite, and of the same trials and bins in both parts. Given: {name} of "
            f"{found[0].shape} to train on and {found[1].shape} to test on. Give them for both parts or for none."
        )
    return flat
