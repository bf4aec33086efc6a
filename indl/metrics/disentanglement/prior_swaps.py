"""Swaps with draws from the priors, as C-DSVAE scores them: accuracy, inception score and entropies of a judge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.codes_and_factors import as_numbers, scored_labels
from indl.metrics.disentanglement.judge import Judge
from indl.metrics.disentanglement.swaps import Decode, judged_trials


class GenerationScores(NamedTuple):
    """Result of `generation_scores`.

    Attributes:
        accuracy: Fraction of trials that look like the label they should have. Chance is 1 / classes.
        inception_score: exp of the mean KL(p(y|x) || p(y)), from 1 to the number of classes.
        conditional_entropy: Mean entropy of p(y|x), in nats: low where the judge is sure.
        marginal_entropy: Entropy of the mean p(y), in nats: high, at most log classes, where all classes are generated.
    """

    accuracy: float
    inception_score: float
    conditional_entropy: float
    marginal_entropy: float


class PriorSwaps(NamedTuple):
    """Result of `prior_swap_scores`.

    Attributes:
        content: Content of trials that keep z and draw f.
        style: Style of trials that keep f and draw z.
    """

    content: GenerationScores
    style: GenerationScores


def generation_scores(probabilities: np.ndarray, label: np.ndarray, classes: np.ndarray) -> GenerationScores:
    """What a judge says of generated trials (Zhu et al. 2020, arXiv:2005.11437; Bai et al. 2021, arXiv:2110.12091).

    log IS = H(y) - H(y|x). The inception score does not ask whether the label is right: a judge that is sure of wrong
    labels scores as high. Its bound, like that of H(y), holds for classes that are as frequent as each other.

    Args:
        probabilities: p(y|x) of the judge, (trials, classes).
        label: The label that each trial should have, (trials,).
        classes: Labels of the columns, (classes,).

    Returns:
        A `GenerationScores`.

    Raises:
        ValueError: If rows are no probabilities, or shapes do not fit.
    """
    p, label, classes = as_numbers(probabilities, "Probabilities"), np.asarray(label), np.asarray(classes)
    fits = p.ndim == 2 and p.size and label.shape == p.shape[:1] and classes.shape == p.shape[1:]
    if not fits or not np.allclose(p.sum(axis=1), 1, atol=1e-5) or not p.min() >= 0:
        raise ValueError(
            "Probabilities must be (trials, classes), rows that add up to 1, with a label each. Given: "
            f"{p.shape}, {label.shape} labels and {classes.shape} classes. Take them from the judge's probabilities."
        )
    conditional, marginal = _entropy(p).mean(), _entropy(p.mean(axis=0))
    right = classes[p.argmax(axis=1)] == scored_labels(label, classes)
    return GenerationScores(
        float(right.mean()), float(np.exp(marginal - conditional)), float(conditional), float(marginal)
    )


def prior_swap_scores(
    decode: Decode,
    f: np.ndarray,
    z: np.ndarray,
    f_drawn: np.ndarray,
    z_drawn: np.ndarray,
    style: np.ndarray,
    content: np.ndarray,
    style_judge: Judge,
    content_judge: Judge,
    *,
    as_counts: bool = False,
    seed: int = 0,
) -> PriorSwaps:
    """The protocol of C-DSVAE (Bai et al. 2021, arXiv:2110.12091), on trials balanced over classes.

    Trials that keep z and draw f from its prior should keep their content, those that keep f and draw z should keep
    their style. A decoder that ignores what is drawn passes: score the variety of what is drawn as well (for a judge of
    style, the marginal entropy of trials whose f is drawn).

    Args:
        decode: Function of f (trials, F) and z (trials, time, Z) that returns rates, (trials, time, channels).
        f: Static latents of test trials, (trials, F): posterior means.
        z: Dynamic latents of the same trials, (trials, time, Z): posterior means.
        f_drawn: A draw of p(f) for each trial, shape of `f`.
        z_drawn: A draw of p(z) for each trial, shape of `z`.
        style: Style of each trial, (trials,).
        content: Content of each trial, (trials,).
        style_judge: Judge of style, as :class:`~indl.metrics.disentanglement.judge.TrialJudge`.
        content_judge: Judge of content.
        as_counts: Whether Poisson counts are drawn from the rates, for judges that were trained on counts.
        seed: Seed of the balanced choice of trials and of the counts.

    Returns:
        A `PriorSwaps`.

    Raises:
        ValueError: If latents, draws and labels do not have the same trials and sizes.
    """
    f, z, f_drawn, z_drawn = (as_array(latent) for latent in (f, z, f_drawn, z_drawn))
    style, content = np.asarray(style), np.asarray(content)
    drawn_alike = f.shape == f_drawn.shape and z.shape == z_drawn.shape
    if not drawn_alike or not f.shape[:1] == z.shape[:1] == style.shape == content.shape:
        raise ValueError(
            "Latents, draws and labels must be of the same trials. Given: "
            f"f {f.shape}, {f_drawn.shape} drawn, z {z.shape}, {z_drawn.shape} drawn, {style.shape} and "
            f"{content.shape} labels. Draw as many trials as there are."
        )
    scores = []
    for judge, label, static, dynamic in ((content_judge, content, f_drawn, z), (style_judge, style, f, z_drawn)):
        kept = balanced_trials(label, seed)
        trials = judged_trials(decode, static[kept], dynamic[kept], as_counts, seed)
        scores.append(generation_scores(judge.probabilities(trials), label[kept], judge.classes))
    return PriorSwaps(*scores)


def balanced_trials(label: np.ndarray, seed: int = 0) -> np.ndarray:
    """As many trials of each class as the rarest has, in order.

    Args:
        label: A class a trial, (trials,).
        seed: Seed of the choice.

    Returns:
        Numbers of the trials, (kept trials,).
    """
    values, index, counts = np.unique(label, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    of_class = [np.flatnonzero(index == i) for i in range(len(values))]
    return np.sort(np.concatenate([rng.choice(trials, counts.min(), replace=False) for trials in of_class]))


def _entropy(p):
    """Entropy of the last axis in nats."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
