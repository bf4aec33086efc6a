"""A judge of trials: a classifier, trained on real ones, that says what generated ones look like."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from indl.data.checks.arrays import check_whole
from indl.data.prepare.smoothing import gaussian_smooth
from indl.metrics.disentanglement.codes_and_factors import as_numbers, factor_levels, scored_labels
from indl.metrics.disentanglement.dynamic_summary import dynamic_summary


class Judge(Protocol):
    """What swap tests ask of a classifier; :class:`TrialJudge` is one.

    Attributes:
        classes: The labels it tells apart, (classes,).
    """

    classes: np.ndarray

    def probabilities(self, trials: np.ndarray) -> np.ndarray:
        """Probability of each label for each trial, (trials, classes)."""


class TrialJudge:
    """Logistic regression on mean and lagged second moments of the principal components of smoothed trials.

    Counts and rates have other distributions: a judge trained on counts expects counts (draws from generated rates),
    one trained on rates expects rates. Its accuracy on real test trials bounds what generated ones can reach.

    Args:
        trials: Real trials, counts or rates, (trials, time, channels).
        label: A class a trial, (trials,).
        n_components: Principal components of the bins; at most as many as channels.
        sd_bins: Smoothing in bins before; 0 for none.
        root: Whether square roots are taken first, which evens out the noise of counts. False for signals that can be
            negative.

    Raises:
        ValueError: If trials are not (trials, time, channels), not finite, or negative where roots are taken, or labels
            are not one a trial or all the same.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import TrialJudge
        >>> label = np.arange(60) % 2
        >>> counts = np.random.default_rng(0).poisson(1 + 3 * label[:, None, None], (60, 10, 4))
        >>> TrialJudge(counts[:40], label[:40]).accuracy(counts[40:], label[40:])
        1.0
    """

    def __init__(
        self, trials: np.ndarray, label: np.ndarray, *, n_components: int = 8, sd_bins: float = 2.0, root: bool = True
    ):
        self._sd_bins, self._root = sd_bins, root
        smooth, label = self._smoothed(trials), np.asarray(label)
        if label.shape != smooth.shape[:1]:
            raise ValueError(
                f"A judge needs a label a trial. Given: {label.shape} labels for {len(smooth)} trials. Select the same "
                "trials for both."
            )
        factor_levels(label[:, None])
        n_components = min(check_whole(n_components, "n_components", 1), *smooth.reshape(-1, smooth.shape[2]).shape)
        with threadpool_limits(limits=1):
            self._components = PCA(n_components, random_state=0).fit(smooth.reshape(-1, smooth.shape[2]))
            self._classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
            self._classifier.fit(self._features(smooth), label)
        self.classes = self._classifier.classes_

    def probabilities(self, trials: np.ndarray) -> np.ndarray:
        """Probability of each label for each trial.

        Args:
            trials: Trials of the kind that it was trained on, (trials, time, channels).

        Returns:
            (trials, classes), in the order of `classes`.

        Raises:
            ValueError: If trials are not (trials, time, channels) with the channels of training, not finite, or
                negative.
        """
        with threadpool_limits(limits=1):
            return self._classifier.predict_proba(self._features(self._smoothed(trials)))

    def accuracy(self, trials: np.ndarray, label: np.ndarray) -> float:
        """Fraction of trials whose label is told.

        Args:
            trials: Trials, (trials, time, channels).
            label: Their labels, (trials,).

        Raises:
            ValueError: As :meth:`probabilities`, or if there is not one label a trial.
        """
        return told(self, trials, label)

    def _smoothed(self, trials):
        trials = as_numbers(trials, "Trials to judge")
        if trials.ndim != 3 or not trials.size or not np.isfinite(trials).all():
            raise ValueError(
                f"Trials to judge must be finite and (trials, time, channels). Given: {trials.shape}, "
                f"{int((~np.isfinite(trials)).sum())} values not finite. Leave out what was not recorded."
            )
        if self._root and trials.min() < 0:
            raise ValueError(
                f"Counts and rates are not negative. Given: values down to {trials.min():.3g}. Use root=False for "
                "signals of either sign."
            )
        return gaussian_smooth(np.sqrt(trials) if self._root else trials, self._sd_bins)

    def _features(self, smooth):
        n_channels = self._components.n_features_in_
        if smooth.shape[2] != n_channels:
            raise ValueError(
                f"The judge was trained on other channels. Given: {smooth.shape[2]} channels instead of {n_channels}. "
                "Give the channels of training, in their order."
            )
        components = self._components.transform(smooth.reshape(-1, n_channels))
        features = dynamic_summary(components.reshape(*smooth.shape[:2], -1))
        wanted = getattr(self._classifier, "n_features_in_", features.shape[1])
        if features.shape[1] != wanted:
            raise ValueError(
                f"The judge was trained on trials of another length. Given: {smooth.shape[1]} bins, which make "
                f"{features.shape[1]} features instead of {wanted}. Give trials of the length of training."
            )
        return features


def told(judge: Judge, trials: np.ndarray, label: np.ndarray) -> float:
    """Fraction of trials whose label a judge tells.

    Args:
        judge: The judge.
        trials: Trials, (trials, time, channels).
        label: Their labels, (trials,).

    Raises:
        ValueError: If there is not one label a trial, one is NaN, or none is one of the judge's.
    """
    said, label = judge.classes[np.argmax(judge.probabilities(trials), axis=1)], np.asarray(label)
    if label.shape != said.shape:
        raise ValueError(
            f"Labels must be one a trial. Given: {label.shape} for {len(said)} trials. Select the same trials for both."
        )
    return float(np.mean(said == scored_labels(label, judge.classes)))
