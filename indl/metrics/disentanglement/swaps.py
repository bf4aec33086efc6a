"""Swap tests: what a trial looks like that takes its static latent from one trial, its dynamic one from another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from indl.data.checks.masks import as_array
from indl.metrics.disentanglement.cells import grouped
from indl.metrics.disentanglement.codes_and_factors import factor_levels
from indl.metrics.disentanglement.judge import Judge, told
from indl.metrics.rate_scores import rate_r2_flat, rate_r2_per_channel
from indl.text import nearest, shown

#: Makes rates (trials, time, channels) of static latents (trials, F) and dynamic latents (trials, time, Z).
Decode = Callable[[np.ndarray, np.ndarray], np.ndarray]
FORMS = {"channels": rate_r2_per_channel, "flat": rate_r2_flat}


class Simulator(Protocol):
    """What :func:`swap_rate_r2` asks of a simulator of known truth."""

    def rates(self, s: np.ndarray, z: np.ndarray) -> np.ndarray:
        """True rates, (trials, time, channels), of static latents (trials, S) and dynamic latents (trials, time, Z)."""


class SwapTest(NamedTuple):
    """Result of `swap_test`; all are accuracies of the judges.

    Attributes:
        style: Swapped trials that look like the style of the trial that gave f.
        content: Swapped trials that look like the content of the trial that gave z.
        style_of_z: Swapped trials that look like the style of the trial that gave z, which should be near 0.
        content_of_f: Swapped trials that look like the content of the trial that gave f, which should be near 0.
        style_unswapped: Trials decoded from their own f and z that look like their style: what swaps can reach.
        content_unswapped: The same of content.
    """

    style: float
    content: float
    style_of_z: float
    content_of_f: float
    style_unswapped: float
    content_unswapped: float


def swap_partners(style: np.ndarray, content: np.ndarray, seed: int = 0) -> np.ndarray:
    """For each trial another one that differs in style and in content.

    Args:
        style: A class a trial, (trials,).
        content: A class a trial, (trials,).
        seed: Seed of the choice: of the cells of style and content that differ in both one, then a trial of it.

    Returns:
        The number of the other trial, (trials,).

    Raises:
        ValueError: If labels are not one a trial, do not vary, or a trial has no partner.
    """
    style, content = np.asarray(style), np.asarray(content)
    if style.ndim != 1 or style.shape != content.shape:
        raise ValueError(
            f"Style and content must be one a trial. Given: {style.shape} and {content.shape}. Select the same trials "
            "for both."
        )
    levels = np.stack([factor_levels(label[:, None])[:, 0] for label in (style, content)], axis=1)
    cells, cell = np.unique(levels, axis=0, return_inverse=True)
    differ = (cells[:, None] != cells).all(axis=2)
    if not differ.any(axis=1).all():
        lonely = cells[~differ.any(axis=1)][0]
        raise ValueError(
            "Every trial needs another of another style and another content. Given: none for style "
            f"{shown(np.unique(style)[lonely[0]])} with content {shown(np.unique(content)[lonely[1]])}. Leave those "
            "trials out, or give more combinations."
        )
    rng = np.random.default_rng(seed)
    allowed = [np.flatnonzero(row) for row in differ]
    other = np.array([rng.choice(allowed[here]) for here in cell])
    return grouped(cell).draw(other, rng)


def swap_test(
    decode: Decode,
    f: np.ndarray,
    z: np.ndarray,
    style: np.ndarray,
    content: np.ndarray,
    style_judge: Judge,
    content_judge: Judge,
    *,
    as_counts: bool = False,
    seed: int = 0,
) -> SwapTest:
    """Decodes (f_i, z_j) of trials i and j that differ in style and content, and asks judges what that looks like.

    Style should be that of i, content that of j. Chance is one over the number of classes. A decoder that ignores z
    keeps the style and loses the content, one that ignores f the reverse: look at both. Judges are trained on real
    trials.

    Args:
        decode: Function of f (trials, F) and z (trials, time, Z) that returns rates, (trials, time, channels).
        f: Static latents of test trials, (trials, F): posterior means.
        z: Dynamic latents of the same trials, (trials, time, Z).
        style: Style of each trial, (trials,).
        content: Content of each trial, (trials,).
        style_judge: Judge of style, as :class:`~indl.metrics.disentanglement.judge.TrialJudge`.
        content_judge: Judge of content.
        as_counts: Whether Poisson counts are drawn from the rates, for judges that were trained on counts.
        seed: Seed of partners and counts.

    Returns:
        A `SwapTest`.

    Raises:
        ValueError: As :func:`swap_partners`, or if latents do not have the trials of the labels.
    """
    f, z = _latents(f, z)
    style, content = np.asarray(style), np.asarray(content)
    other = swap_partners(style, content, seed)
    if len(other) != len(f):
        raise ValueError(
            f"Latents and labels must be of the same trials. Given: {len(f)} and {len(other)} of them. Select the same "
            "trials for both."
        )
    swapped, own = (judged_trials(decode, f, z[of], as_counts, seed) for of in (other, slice(None)))
    return SwapTest(
        style=told(style_judge, swapped, style),
        content=told(content_judge, swapped, content[other]),
        style_of_z=told(style_judge, swapped, style[other]),
        content_of_f=told(content_judge, swapped, content),
        style_unswapped=told(style_judge, own, style),
        content_unswapped=told(content_judge, own, content),
    )


def judged_trials(decode: Decode, f: np.ndarray, z: np.ndarray, as_counts: bool = False, seed: int = 0) -> np.ndarray:
    """What judges see: rates of latents, or Poisson counts drawn from them, (trials, time, channels)."""
    rates = as_array(decode(f, z), np.float64)
    if rates.ndim != 3 or len(rates) != len(f):
        raise ValueError(
            f"decode must return rates, (trials, time, channels). Given: {rates.shape} for {len(f)} trials. Return "
            "expected counts a bin."
        )
    if not as_counts:
        return rates
    if not np.isfinite(rates).all() or rates.min() < 0:
        raise ValueError(
            "Counts can only be drawn from rates that are finite and not negative. Given: "
            f"{int((~(rates >= 0) | np.isinf(rates)).sum())} of {rates.size} that are not. Return expected counts a "
            "bin, or use as_counts=False."
        )
    return np.random.default_rng(seed).poisson(rates)


def counterfactual_rate_r2(rates_swapped: np.ndarray, true_rates: np.ndarray, form: str = "channels") -> float:
    """R2 of the rates of swapped latents against the true ones of that swap: the strongest test, of simulations only.

    1 for a model that separates what the simulator separates. Rates of trials that were not swapped can have a high R2
    beside a low one here, where z carries what belongs in f.

    Args:
        rates_swapped: Rates decoded from (f_i, z_j), (trials, time, channels).
        true_rates: Rates of the simulator at (s_i, z_j), in the same unit, same shape.
        form: ``"channels"``: mean over channels of their R2 (:func:`~indl.metrics.rate_scores.rate_r2_per_channel`);
            ``"flat"``: one R2 of all elements, which differences between channels raise.

    Returns:
        R2, at most 1.

    Raises:
        ValueError: If the shapes differ, values are not finite, or there is no such form.
    """
    if form not in FORMS:
        raise ValueError(
            f"There is no such form of R2. Given: form={shown(form)}.{nearest(form, FORMS)} Choose one of "
            f"{', '.join(FORMS)}."
        )
    return FORMS[form](rates_swapped, true_rates)


def swap_rate_r2(
    decode: Decode,
    f: np.ndarray,
    z: np.ndarray,
    simulator: Simulator,
    s: np.ndarray,
    z_true: np.ndarray,
    partners: np.ndarray,
    form: str = "channels",
) -> float:
    """:func:`counterfactual_rate_r2` of a decoder and a simulator.

    Args:
        decode: Function of f and z that returns rates, (trials, time, channels).
        f: Static latents of test trials, (trials, F): posterior means.
        z: Dynamic latents of the same trials, (trials, time, Z).
        simulator: Object whose `rates(s, z)` are the true rates, in the unit of `decode`.
        s: True static latents, (trials, S).
        z_true: True dynamic latents, (trials, time, Z').
        partners: The trial that gives the dynamics of each, (trials,), as :func:`swap_partners` chooses it.
        form: As for :func:`counterfactual_rate_r2`.

    Returns:
        R2; that of the true latents and rates is 1.

    Raises:
        ValueError: As :func:`counterfactual_rate_r2`, or if latents and partners do not have the same trials.
    """
    (f, z), (s, z_true), partners = _latents(f, z), _latents(s, z_true), np.asarray(partners)
    whole = partners.dtype.kind in "iu" and partners.ndim == 1 and 0 <= partners.min(initial=0)
    if not whole or not len(f) == len(s) == len(partners) > partners.max(initial=0):
        raise ValueError(
            "Latents, true latents and partners must be of the same trials. Given: "
            f"{len(f)}, {len(s)} and partners {partners.dtype} of {partners.shape}. Choose partners with swap_partners."
        )
    swapped = judged_trials(decode, f, z[partners])
    return counterfactual_rate_r2(swapped, simulator.rates(s, z_true[partners]), form)


def _latents(f, z):
    f, z = as_array(f), as_array(z)
    if f.ndim != 2 or z.ndim != 3 or len(f) != len(z):
        raise ValueError(
            f"Latents must be (trials, F) and (trials, time, Z) of the same trials. Given: {f.shape} and {z.shape}. "
            "Select the same trials for both."
        )
    return f, z
