"""Whether a model with labels found the true latents, and whether its priors allow that at all.

Here data are rows of independent bins, (n, dimensions), and not trials.
"""

from __future__ import annotations

import math
import numbers
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.linear_model import LinearRegression

from indl.data.checks.masks import as_array
from indl.metrics.r2 import r2_per_column
from indl.text import shown

# In standard deviations of the prior, or in log variance: the tables of a prior start with less.
_LEAST_RANGE = 0.1
FORMS = ("strong", "weak", "cca")
METHODS = ("pearson", "spearman")


class RecoveryR2(NamedTuple):
    """Result of `recovery_r2`.

    Attributes:
        r2: Mean of `r2_per_dim`.
        r2_per_dim: R2 of each true latent, (latents,).
    """

    r2: float
    r2_per_dim: np.ndarray


class MeanCorrelation(NamedTuple):
    """Result of `mcc`.

    Attributes:
        mcc: Mean of `per_dim`.
        per_dim: Absolute correlation of each true latent with its code, (latents,); 0 for one that got no code.
        code: Which code each true latent is matched with, (latents,); -1 for none.
    """

    mcc: float
    per_dim: np.ndarray
    code: np.ndarray


def aligned(
    codes: np.ndarray, truth: np.ndarray, codes_fit: np.ndarray | None = None, truth_fit: np.ndarray | None = None
) -> np.ndarray:
    """Codes after the affine map that takes them nearest to the true latents, by least squares.

    Args:
        codes: Codes to map, (n, codes).
        truth: True latents of the same rows, (n, latents). A row with NaN here is mapped, but not fitted on.
        codes_fit: Codes to fit the map on, (m, codes). None: those above.
        truth_fit: True latents of the rows of `codes_fit`.

    Returns:
        The mapped codes, (n, latents).

    Raises:
        ValueError: If rows or columns do not fit, a code is not finite, fewer than two rows have true latents, or one
            of `codes_fit` and `truth_fit` is given without the other.
    """
    (codes, _), (codes_fit, truth_fit) = _pairs(codes, truth, codes_fit, truth_fit)
    return _affine(codes_fit, truth_fit).predict(codes)


def recovery_r2(
    codes: np.ndarray, truth: np.ndarray, codes_fit: np.ndarray | None = None, truth_fit: np.ndarray | None = None
) -> RecoveryR2:
    """R2 of the true latents from an affine map of the codes (least squares with intercept).

    A high value does not prove identifiability: the label alone may tell much (score E[z | u] beside it), and so may a
    model without labels. For trials there is :func:`latent_r2`.

    Args:
        codes: Codes to score, (n, codes): posterior means, say, or means of the encoder alone.
        truth: True latents of the same rows, (n, latents); rows with NaN are left out.
        codes_fit: Codes to fit the map on, (m, codes). None: the rows that are scored, as published scores do.
        truth_fit: True latents of the rows of `codes_fit`.

    Returns:
        A `RecoveryR2`.

    Raises:
        ValueError: As :func:`aligned`.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import recovery_r2
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> round(recovery_r2(z @ [[1.0, 2.0], [0.5, -1.0]] + 3.0, z).r2, 6)
        1.0
    """
    predicted = aligned(codes, truth, codes_fit, truth_fit)
    known = ~np.isnan(as_array(truth, np.float64)).any(axis=1, keepdims=True)
    r2 = r2_per_column(np.where(known, truth, np.nan), predicted)
    return RecoveryR2(float(r2.mean()), r2)


def mcc(
    codes: np.ndarray,
    truth: np.ndarray,
    form: str = "strong",
    method: str = "pearson",
    codes_fit: np.ndarray | None = None,
    truth_fit: np.ndarray | None = None,
) -> MeanCorrelation:
    """Mean correlation coefficient: absolute correlations of true latents and codes under the best matching.

    Every true latent gets a code of its own, such that the sum of their absolute correlations is largest (Hungarian
    method). Codes beyond the number of latents stay unmatched. Latents that depend on each other through the label
    raise the score of codes that mix them.

    Args:
        codes: Codes to score, (n, codes).
        truth: True latents of the same rows, (n, latents); rows with NaN are left out.
        form: ``"strong"``: codes as they are, which asks for the latents up to order and scale. ``"weak"``: codes after
            the map of :func:`aligned`, which asks for them up to an affine map. ``"cca"``: canonical variates of both,
            which asks for the space they span; `per_dim` and `code` are then those of pairs of variates, the most
            correlated first.
        method: ``"pearson"``, or ``"spearman"``, which any monotonic function of a single code passes.
        codes_fit: Codes that matching and map are found on, (m, codes). None: the rows that are scored, which flatters
            codes without meaning where rows are few.
        truth_fit: True latents of the rows of `codes_fit`.

    Returns:
        A `MeanCorrelation`. A constant code or latent has the correlation 0.

    Raises:
        ValueError: As :func:`aligned`, or if there is no such form or method.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import mcc
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> mcc(z[:, ::-1] * [-2.0, 1.0], z).code.tolist()
        [1, 0]
    """
    for name, value, choices in (("form", form, FORMS), ("method", method, METHODS)):
        if value not in choices:
            raise ValueError(
                f"MCC has no such {name}. Given: {name}={shown(value)}. Choose one of {', '.join(choices)}."
            )
    (codes, truth), (codes_fit, truth_fit) = _pairs(codes, truth, codes_fit, truth_fit)
    if form == "weak":
        affine = _affine(codes_fit, truth_fit)
        codes, codes_fit = affine.predict(codes), affine.predict(codes_fit)
    n_latents = truth.shape[1]
    if form == "cca":
        of_codes, of_truth = _canonical(codes_fit, truth_fit)
        codes, codes_fit = codes @ of_codes, codes_fit @ of_codes
        truth, truth_fit = truth @ of_truth, truth_fit @ of_truth
    code, latent = linear_sum_assignment(absolute_correlations(codes_fit, truth_fit, method), maximize=True)
    per_dim, matched = np.zeros(n_latents), np.full(n_latents, -1)
    per_dim[latent] = absolute_correlations(codes, truth, method)[code, latent]
    matched[latent] = code
    return MeanCorrelation(float(per_dim.mean()), per_dim, matched)


def circular_distance(a: np.ndarray, b: np.ndarray, period: float) -> np.ndarray:
    """How far values on a circle are apart, the shorter way round.

    Args:
        a: Values in any unit, any shape.
        b: Values in the same unit, a shape that broadcasts.
        period: Length of the circle in that unit: 2 pi for radians, 360 for degrees.

    Returns:
        Distances in that unit, from 0 to half a period.

    Raises:
        ValueError: If the period is not a positive number.
    """
    period = check_period(period)
    around = np.mod(as_array(a, np.float64) - as_array(b, np.float64), period)
    return np.minimum(around, period - around)


def check_period(period: float) -> float:
    """The length of a circle as a float.

    Raises:
        ValueError: If it is not a positive number.
    """
    if not isinstance(period, numbers.Real) or not 0 < period < math.inf:
        raise ValueError(
            f"The period must be a positive number. Given: period={shown(period)}. Use 360 for degrees, 2 * numpy.pi "
            "for radians."
        )
    return float(period)


def label_error(true: np.ndarray, predicted: np.ndarray, period: float | None = None) -> float | np.ndarray:
    """Median absolute error of continuous labels. (Discrete ones: :func:`label_error_rate`.)

    Args:
        true: True labels in any unit, (n,) or (n, label dimensions); NaN is left out.
        predicted: Predicted labels in the same unit, same shape.
        period: Where labels are on a circle, its length in that unit (360, 2 pi): errors are then
            :func:`circular_distance`. None: they are on a line. It holds for all dimensions; score those of different
            kinds one by one.

    Returns:
        The median in the unit of the labels, a number, or (label dimensions,) as the labels have.

    Raises:
        ValueError: If the shapes differ, labels are not numeric or none is left, or the period is not positive.

    Example:
        >>> from indl.metrics import label_error
        >>> label_error([10.0, 350.0], [350.0, 10.0], period=360)
        20.0
    """
    true, predicted = _label_pair(true, predicted, np.float64, ndims=(1, 2))
    known = ~np.isnan(true)
    wrong = known & ~(np.isfinite(true) & np.isfinite(predicted))
    if wrong.any() or not known.any(axis=0).all():
        raise ValueError(
            f"Labels must be finite, and some of every dimension known. Given: {int(known.sum())} of {known.size} true "
            f"labels that are not NaN, {int(wrong.sum())} of them infinite or without a finite prediction. NaN in the "
            "true labels alone leaves a pair out."
        )
    error = np.abs(true - predicted) if period is None else circular_distance(true, predicted, period)
    median = np.nanmedian(np.where(known, error, np.nan), axis=0)
    return median if median.ndim else float(median)


def label_error_rate(true: np.ndarray, predicted: np.ndarray) -> float:
    """Fraction of discrete labels that are wrong. (Continuous ones: :func:`label_error`.)

    Args:
        true: True labels of any kind, (n,).
        predicted: Predicted labels, (n,).

    Returns:
        A number from 0 to 1; guessing among L labels that are as frequent gives 1 - 1 / L.

    Raises:
        ValueError: If the shapes differ or there is no label.
    """
    true, predicted = _label_pair(true, predicted, None, ndims=(1,))
    return float(np.mean(true != predicted))


def identifiability_findings(
    label_mean: np.ndarray, label_log_variance: np.ndarray, labels: np.ndarray, *, tolerance: float = 1e-5
) -> list[str]:
    """What keeps Gaussian priors p(z | u) from identifying Z latents, in plain words.

    The theory of iVAE (Khemakhem et al. 2020) finds every latent up to order and a function of its own if the decoder
    is one to one and the natural parameters (mean * precision, precision) of all latents, taken as differences from
    one label to the others, span 2 Z dimensions. So there must be 2 Z + 1 labels, and mean and variance of every latent
    must vary. Where the mean of all latents is constant the variance alone may do (that theory has a case for it, not
    checked here), where the variance is, latents are found at best up to an affine map.

    A mean that varies by less than a tenth of the prior's standard deviation, or a variance by less than a tenth of
    itself, counts as one that does not. The span is the numerical rank of the rows (1, natural parameters), less 1,
    after rows and columns are scaled to norm 1: neither units of the latents nor a very narrow prior at one label
    change it.

    Ask it of fitted priors. A network of continuous labels that cover a short range is nearly affine before it is
    trained, which is told as too small a span.

    Args:
        label_mean: Mean of p(z | u) of some rows, (n, latents).
        label_log_variance: Log variance of p(z | u) of the same rows, (n, latents).
        labels: Labels of the rows, (n,) or (n, label dimensions). The first row of each label counts.
        tolerance: Singular values below this share of the largest count as none.

    Returns:
        One text a finding; empty where the conditions hold. They are necessary for the theory, and no proof that a
        fitted model found the latents.

    Raises:
        ValueError: If the shapes do not fit, a value is not finite, or the tolerance is not in (0, 1).
    """
    mean, log_variance, n_labels = _statistics(label_mean, label_log_variance, labels)
    if not 0 < tolerance < 1:
        raise ValueError(
            f"The tolerance is a share, more than 0 and less than 1. Given: tolerance={shown(tolerance)}. Use 1e-5."
        )
    n_latents = mean.shape[1]
    findings = []
    if n_labels < 2 * n_latents + 1:
        findings.append(
            f"There are too few different labels to identify the latents. Given: {n_labels} of them for {n_latents} "
            f"latents, which need {2 * n_latents + 1}. Use labels that tell more conditions apart, or fewer latents."
        )
    # Centred and in units of the prior's own spread, where neither offset nor scale costs digits.
    log_scale = log_variance.mean(axis=0)
    mean, log_variance = (mean - mean.mean(axis=0)) / np.exp(log_scale / 2), log_variance - log_scale
    parts = {"mean": mean, "variance": log_variance}
    constant = {name: np.ptp(part, axis=0) < _LEAST_RANGE for name, part in parts.items()}
    advice = {
        "mean": "Let it depend on the label, unless zero means are part of the model.",
        "variance": "Let it depend on the label: without, latents are found at best up to an affine map.",
    }
    for name, found in constant.items():
        if n_labels > 1 and found.any():
            where = f"{int(found.sum())} of {n_latents} latents ({_listed(np.flatnonzero(found))})"
            findings.append(
                f"The prior's {name} does not vary with the label in every latent. Given: {n_labels} labels with one "
                f"{name} in {where}. {advice[name]}"
            )
    rank = _span(mean, log_variance, tolerance)
    # Each of the findings above takes a dimension away; only what they do not explain is news.
    explained = min(n_labels - 1, 2 * n_latents - sum(int(found.sum()) for found in constant.values()))
    if rank < explained:
        findings.append(
            "The priors of the labels do not differ in enough ways to identify the latents. Given: differences of "
            f"natural parameters that span {rank} of {2 * n_latents} dimensions over {n_labels} labels. Look for "
            "latents or labels whose means and variances go together, and use fewer latents or more labels."
        )
    return findings


def _pairs(codes, truth, codes_fit, truth_fit):
    """Rows to score and rows to fit on, each as codes and true latents."""
    if (codes_fit is None) != (truth_fit is None):
        lacking = "codes_fit" if codes_fit is None else "truth_fit"
        raise ValueError(
            "The part to fit on needs codes and true latents. Given: one of the two. Give "
            f"{lacking} as well, or neither to fit on the scored rows."
        )
    scored = _rows(codes, truth, "scored")
    fitted = scored if codes_fit is None else _rows(codes_fit, truth_fit, "fitted")
    if any(a.shape[1] != b.shape[1] for a, b in zip(scored, fitted, strict=True)):
        raise ValueError(
            f"Both parts must have the same codes and latents. Given: {scored[0].shape[1]} codes and "
            f"{scored[1].shape[1]} latents to score, {fitted[0].shape[1]} and {fitted[1].shape[1]} to fit on. Take "
            "both from one model and one data set."
        )
    return scored, fitted


def _rows(codes, truth, part):
    codes, truth = as_array(codes, np.float64), as_array(truth, np.float64)
    fits = codes.ndim == truth.ndim == 2 and len(codes) == len(truth) and codes.shape[1] and truth.shape[1]
    if not fits:
        raise ValueError(
            f"Codes and true latents must be (rows, dimensions) with the same rows. Given: {codes.shape} and "
            f"{truth.shape} of the {part} part. Join trials and bins in one axis with reshape(-1, dimensions)."
        )
    known = ~np.isnan(truth).any(axis=1)
    if known.sum() < 2 or not np.isfinite(codes).all() or np.isinf(truth).any():
        raise ValueError(
            f"The {part} part needs finite codes and two rows with true latents. Given: {int(known.sum())} of "
            f"{len(known)} rows without NaN in the latents, {int((~np.isfinite(codes)).sum())} codes and "
            f"{int(np.isinf(truth).sum())} latents that are not finite. Only NaN in the latents leaves a row out."
        )
    return codes, truth


def _affine(codes, truth):
    """The least-squares map from the codes to the true latents, of the rows that have them."""
    known = ~np.isnan(truth).any(axis=1)
    return LinearRegression().fit(codes[known], truth[known])


def _canonical(codes, truth):
    """Weights of the canonical variates of codes and true latents, (codes, r) and (latents, r).

    Orthonormal bases of both sets of centred columns, then the singular vectors of their product (Bjorck and Golub
    1973).
    """
    known = ~np.isnan(truth).any(axis=1)
    bases = []
    for values in (codes[known], truth[known]):
        left, size, right = np.linalg.svd(_centred(values), full_matrices=False)
        # Directions without variance have no place in a basis.
        kept = size > max(values.shape) * np.finfo(np.float64).eps * size[0]
        bases.append((left[:, kept], right[kept].T / size[kept]))
    (left, to_codes), (right, to_truth) = bases
    turn, _, back = np.linalg.svd(left.T @ right, full_matrices=False)
    return to_codes @ turn, to_truth @ back.T


def absolute_correlations(codes: np.ndarray, truth: np.ndarray, method: str = "pearson") -> np.ndarray:
    """Absolute correlation of each code with each true latent.

    Args:
        codes: Codes, (n, codes).
        truth: True latents of the same rows, (n, latents); rows with NaN are left out.
        method: ``"pearson"`` or ``"spearman"``.

    Returns:
        (codes, latents); 0 where one of the two is constant.
    """
    known = ~np.isnan(truth).any(axis=1)
    units = []
    for values in (codes[known], truth[known]):
        values = _centred(rankdata(values, axis=0) if method == "spearman" else values)
        norm = np.linalg.norm(values, axis=0)
        units.append(values / np.where(norm > 0, norm, 1.0))
    return np.abs(units[0].T @ units[1])


def _centred(values):
    # Of a constant nothing but rounding is left, which must not correlate.
    return np.where(np.ptp(values, axis=0) > 0, values - values.mean(axis=0), 0.0)


def _label_pair(true, predicted, dtype, ndims):
    try:
        true, predicted = as_array(true, dtype), as_array(predicted, dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Continuous labels must be numbers. Given: others ({error}). Use label_error_rate for names of conditions."
        ) from error
    if true.shape != predicted.shape or true.ndim not in ndims or not true.size:
        wanted = " or ".join(("(n,)", "(n, label dimensions)")[: len(ndims)])
        raise ValueError(
            f"True and predicted labels must be {wanted}, of one shape and not empty. Given: {true.shape} and "
            f"{predicted.shape}. Select the same rows for both, and drop an axis of length 1."
        )
    return true, predicted


def _statistics(label_mean, label_log_variance, labels):
    """Mean and log variance of the prior of each different label, and how many there are."""
    mean, log_variance = as_array(label_mean, np.float64), as_array(label_log_variance, np.float64)
    labels = np.asarray(labels)
    fits = mean.ndim == 2 and mean.size and mean.shape == log_variance.shape
    if not fits or labels.ndim not in (1, 2) or len(labels) != len(mean):
        raise ValueError(
            "Means and log variances must be (rows, latents), labels one a row. Given: "
            f"{mean.shape}, {log_variance.shape} and {labels.shape}. Take all three of the same rows."
        )
    if not (np.isfinite(mean).all() and np.isfinite(log_variance).all()):
        raise ValueError(
            f"Means and log variances must be finite. Given: {int((~np.isfinite(mean)).sum())} means and "
            f"{int((~np.isfinite(log_variance)).sum())} log variances that are not. Look where training diverged."
        )
    _, first = np.unique(labels, axis=0, return_index=True)
    return mean[first], log_variance[first], len(first)


def _span(mean, log_variance, tolerance):
    """How many dimensions the differences of the natural parameters span."""
    # Beyond e^100 there is nothing to tell, and norms would overflow.
    precision = np.exp(-np.clip(log_variance, -100.0, 100.0))
    rows = np.hstack([np.ones((len(mean), 1)), mean * precision, precision])
    for axis in (1, 0):
        norm = np.linalg.norm(rows, axis=axis, keepdims=True)
        rows = rows / np.where(norm > 0, norm, 1.0)
    values = np.linalg.svd(rows, compute_uv=False)
    return int((values > tolerance * values[0]).sum()) - 1


def _listed(indices):
    names = [str(i) for i in indices[:8]]
    return ", ".join(names) + (", ..." if len(indices) > 8 else "")
