"""Arrays of codes and factors as the scores of disentanglement take them.

Everywhere codes are (n, D), a row a trial, best posterior means; factors are (n, K), what was varied in that trial.
"""

from __future__ import annotations

import numpy as np

from indl.data.checks.masks import as_array
from indl.text import shown


def as_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """As float64; what is masked is NaN.

    Args:
        values: An array of any shape.
        name: What the message calls them.

    Raises:
        ValueError: If they are no numbers.
    """
    try:
        return as_array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be numbers, in rows of one length. Given: others. Convert them to a float array."
        ) from error


def checked_codes(codes: np.ndarray, part: str = "scored") -> np.ndarray:
    """Codes as float64.

    Args:
        codes: Codes, (n, D).
        part: What the message calls them.

    Raises:
        ValueError: If they are no finite numbers, are not (n, D), or have less than two rows.
    """
    codes = as_numbers(codes, "Codes")
    if codes.ndim != 2 or len(codes) < 2 or not codes.shape[1]:
        raise ValueError(
            f"Codes must be (trials, codes), two trials or more. Given: {codes.shape} in the {part} part. Use one row "
            "a trial: f as it is, z averaged over time."
        )
    if not np.isfinite(codes).all():
        raise ValueError(
            f"Codes must be finite. Given: {int((~np.isfinite(codes)).sum())} of {codes.size} in the {part} part that "
            "are not. Leave those trials out of codes and factors."
        )
    return codes


def factor_levels(factors: np.ndarray) -> np.ndarray:
    """Values of discrete factors as numbers from 0, in the order of the values.

    Args:
        factors: Factors, (n, K), numbers or names.

    Returns:
        Which of its different values each factor has, (n, K) int.

    Raises:
        ValueError: If they are not (n, K), a value is missing, a factor has a single value, or so many that most of
            them occur once.
    """
    factors = as_array(factors)
    if factors.ndim != 2 or not factors.shape[1]:
        raise ValueError(
            f"Factors must be (trials, factors). Given: {factors.shape}. Give a single factor as values[:, None]."
        )
    try:
        levels = np.stack([np.unique(column, return_inverse=True)[1] for column in factors.T], axis=1)
    except TypeError as error:
        raise ValueError(
            "The values of a factor must be of one kind. Given: numbers, names or gaps mixed in one column. Write all "
            "values of a factor as numbers, or all as text."
        ) from error
    missing = int((factors != factors).sum())
    if missing:
        raise ValueError(
            f"Every trial needs all factors. Given: {missing} of {factors.size} values that are NaN. Leave those "
            "trials out of codes and factors."
        )
    n_values = levels.max(axis=0, initial=0) + 1
    if n_values.min() < 2 or 2 * n_values.max() > len(levels):
        raise ValueError(
            "Discrete factors must vary, and their values must recur. Given: "
            f"{n_values.tolist()} different values in {len(levels)} trials. Leave out factors of one value, and "
            "bin continuous ones with discretized(factors, n_bins=5)."
        )
    return levels


def scored_labels(label: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Labels that predictions are compared with.

    Args:
        label: A class a trial, (trials,).
        known: The classes that are told apart.

    Raises:
        ValueError: If a label is missing, or none of them is known, as where numbers stand for names. Some that are not
            known are trials that nobody could tell.
    """
    label = as_array(label)
    missing = int((label != label).sum())
    if missing:
        raise ValueError(
            f"Every trial needs a label. Given: {missing} of {label.size} that are NaN. Leave those trials out."
        )
    classes = set(np.asarray(known).tolist())
    if label.size and not any(value in classes for value in label.ravel().tolist()):
        raise ValueError(
            f"None of the labels is one of those that are told apart. Given: {shown(np.unique(label))} for "
            f"{shown(np.asarray(known))}. Write them as in training, numbers as numbers and names as names."
        )
    return label


def codes_and_levels(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes, float64 (n, D), and levels of discrete factors, int (n, K).

    Raises:
        ValueError: As :func:`checked_codes` and :func:`factor_levels`, or if they do not have the same trials.
    """
    codes, levels = checked_codes(codes), factor_levels(factors)
    check_same_trials(codes, levels)
    return codes, levels


def train_and_test(
    codes_train: np.ndarray, factors_train: np.ndarray, codes_test: np.ndarray, factors_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both parts as codes and levels of discrete factors, one numbering of values for both.

    Raises:
        ValueError: As :func:`codes_and_levels`, for either part, or if codes or factors of the parts differ in number.
    """
    codes_train, codes_test = checked_codes(codes_train, "training"), checked_codes(codes_test, "test")
    factors_train, factors_test = as_array(factors_train), as_array(factors_test)
    check_same_trials(codes_train, factors_train, "training")
    check_same_trials(codes_test, factors_test, "test")
    if codes_train.shape[1] != codes_test.shape[1] or factors_train.shape[1:] != factors_test.shape[1:]:
        raise ValueError(
            f"Both parts must have the same codes and factors. Given: {codes_train.shape} and {factors_train.shape} to "
            f"train on, {codes_test.shape} and {factors_test.shape} to test on. Take both from one model and data set."
        )
    # What training has too few values of is told of training, whatever the test part adds.
    factor_levels(factors_train)
    levels = factor_levels(np.concatenate([factors_train, factors_test]))
    return codes_train, levels[: len(codes_train)], codes_test, levels[len(codes_train) :]


def top_two_gap(scores: np.ndarray) -> np.ndarray:
    """By how much the best code of each factor is ahead of the second best, which counts as 0 where there is one code.

    Args:
        scores: Score of each code for each factor, (D, K), not negative.

    Returns:
        Differences, (K,).
    """
    ordered = np.sort(np.vstack([scores, np.zeros_like(scores[:1])]), axis=0)
    return ordered[-1] - ordered[-2]


def check_same_trials(codes: np.ndarray, factors: np.ndarray, part: str = "scored") -> None:
    """Checks that codes and factors have as many rows.

    Raises:
        ValueError: If they do not.
    """
    if len(codes) != len(np.atleast_1d(factors)):
        raise ValueError(
            f"Codes and factors of the {part} part must have the same trials. Given: {codes.shape} and "
            f"{factors.shape}. Select the same trials for both."
        )
