"""Recovery of latents against closed forms and brute force; conditions on priors, each broken in turn."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from indl.data import pi_vae_continuous, pi_vae_discrete, tcl
from indl.metrics import (
    aligned,
    circular_distance,
    identifiability_findings,
    label_error,
    label_error_rate,
    latent_r2,
    mcc,
    recovery_r2,
)
from tests.messages import faults

N_FACTORS = 4
HALF = np.sqrt(0.5)
TURN = np.kron(np.eye(2), [[HALF, HALF], [-HALF, HALF]])


def factors(n, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (n, N_FACTORS)).astype(float)


# --- codes against latents ----------------------------------------------------------------------


def test_r2_of_noisy_codes_has_its_closed_form():
    """Codes z + noise of variance s^2 explain 1 / (1 + s^2) of z with variance 1."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200_000, 2))
    codes = z + rng.normal(size=z.shape) * [0.5, 2.0]
    mixed = codes @ [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]] + [100, -5, 7]
    found = recovery_r2(mixed, z)
    assert found.r2_per_dim == pytest.approx([1 / 1.25, 1 / 5], abs=0.005)
    assert found.r2 == pytest.approx(found.r2_per_dim.mean())
    assert recovery_r2(codes, z).r2_per_dim == pytest.approx(found.r2_per_dim)


def test_map_of_one_part_is_scored_on_the_other():
    rng = np.random.default_rng(0)
    fit, z_fit, x, z = (rng.normal(size=(60, 2)) for _ in range(4))
    weights, *_ = np.linalg.lstsq(np.c_[fit, np.ones(60)], z_fit, rcond=None)
    mapped, mapped_fit = (np.c_[values, np.ones(60)] @ weights for values in (x, fit))
    assert aligned(x, z, fit, z_fit) == pytest.approx(mapped)
    weak = mcc(x, z, "weak", codes_fit=fit, truth_fit=z_fit)
    assert weak.per_dim == pytest.approx(mcc(mapped, z, codes_fit=mapped_fit, truth_fit=z_fit).per_dim)
    assert recovery_r2(x, z, fit, z_fit).r2_per_dim == pytest.approx(
        latent_r2(fit[None], z_fit[None], x[None], z[None])
    )
    assert recovery_r2(x, z, fit, z_fit).r2 < recovery_r2(x, z).r2


def test_rows_without_latents_are_left_out():
    rng = np.random.default_rng(0)
    codes, z = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    missing = z.copy()
    missing[:10, 0], missing[45:, 1] = np.nan, np.nan
    kept = slice(10, 45)
    assert recovery_r2(codes, missing).r2_per_dim == pytest.approx(recovery_r2(codes[kept], z[kept]).r2_per_dim)
    for form in ("strong", "weak"):
        assert mcc(codes, missing, form).mcc == pytest.approx(mcc(codes[kept], z[kept], form).mcc)


@pytest.mark.parametrize(
    "encode, strong, weak",
    [
        (lambda v, rng: v + 0.05 * rng.normal(size=v.shape), 0.999, 0.999),
        (lambda v, rng: v @ TURN + 0.05 * rng.normal(size=v.shape), 0.707, 0.999),
        (lambda v, rng: np.repeat(v, 2, axis=1) + 0.05 * rng.normal(size=(len(v), 8)), 0.999, 1.0),
    ],
    ids=["noisy", "rotated pairs", "twice"],
)
def test_reference_table_of_mcc(encode, strong, weak):
    rng = np.random.default_rng(0)
    v_fit, v = factors(4000), factors(1000, 1)
    codes_fit, codes = encode(v_fit, rng), encode(v, rng)
    for form, expected in (("strong", strong), ("weak", weak)):
        wanted = pytest.approx(expected, abs=0.03 if expected < 0.9 else 0.002)
        assert mcc(codes, v, form, codes_fit=codes_fit, truth_fit=v_fit).mcc == wanted
        assert mcc(codes, v, form).mcc == wanted


def test_noise_has_almost_no_mcc():
    """The table has .02 and .06. A fit on the scored rows alone lifts both; on rows of their own they are equal."""
    rng = np.random.default_rng(0)
    noise, v = rng.normal(size=(4000, N_FACTORS)), factors(4000)
    assert mcc(noise, v).mcc == pytest.approx(0.02, abs=0.03)
    assert mcc(noise[:1000], v[:1000], "weak").mcc == pytest.approx(0.06, abs=0.03)
    for form in ("strong", "weak"):
        assert mcc(noise[:1000], v[:1000], form, "pearson", noise[1000:], v[1000:]).mcc < 0.05


@pytest.mark.parametrize("method", ["pearson", "spearman"])
@pytest.mark.parametrize("n_codes", [2, 3, 5])
def test_matching_is_the_best_of_all(n_codes, method):
    rng = np.random.default_rng(n_codes)
    truth = rng.normal(size=(40, 3))
    codes = np.exp(truth @ rng.normal(size=(3, n_codes)) + rng.normal(size=(40, n_codes)))
    if method == "spearman":
        every = np.abs(spearmanr(codes, truth).statistic[:n_codes, n_codes:])
    else:
        every = np.abs(np.corrcoef(codes.T, truth.T)[:n_codes, n_codes:])
    few = min(n_codes, 3)
    best = max(
        sum(every[c, k] for c, k in zip(chosen, latents, strict=True))
        for chosen in itertools.permutations(range(n_codes), few)
        for latents in itertools.combinations(range(3), few)
    )
    found = mcc(codes, truth, method=method)
    # A latent without a code counts as not recovered.
    assert found.mcc == pytest.approx(best / 3)
    got = found.code >= 0
    assert len(set(found.code[got])) == few and np.allclose(found.per_dim[~got], 0)
    assert found.per_dim[got] == pytest.approx(every[found.code[got], np.flatnonzero(got)])


def test_matching_is_found_on_the_fitted_part():
    rng = np.random.default_rng(0)
    z_fit, z = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    found = mcc(z[:, ::-1], z, codes_fit=z_fit, truth_fit=z_fit)
    across = np.abs(np.corrcoef(z.T))[0, 1]
    assert found.code.tolist() == [0, 1] and found.per_dim == pytest.approx([across, across])
    assert mcc(z[:, ::-1], z).code.tolist() == [1, 0]


def test_a_monotonic_function_of_each_code_passes_spearman_only():
    z = np.random.default_rng(0).normal(size=(500, 2))
    assert mcc(-np.exp(3 * z), z, method="spearman").mcc == pytest.approx(1)
    assert mcc(-np.exp(3 * z), z).mcc < 0.8


def test_what_is_constant_has_no_correlation():
    z = np.random.default_rng(0).normal(size=(50, 2))
    for method in ("pearson", "spearman"):
        found = mcc(np.c_[z[:, 1], np.full(50, 0.1)], z, method=method)
        assert found.per_dim == pytest.approx([0, 1]) and found.mcc == pytest.approx(0.5)


# --- labels -------------------------------------------------------------------------------------


def test_median_error_on_a_line_and_on_a_circle():
    true, predicted = np.array([0.0, 10.0, 350.0, 180.0]), np.array([359.0, 350.0, 10.0, 0.0])
    assert circular_distance(true, predicted, 360) == pytest.approx([1, 20, 20, 180])
    assert label_error(true, predicted, 360) == pytest.approx(20)
    assert label_error(true, predicted) == pytest.approx(340)
    assert label_error(np.deg2rad(true), np.deg2rad(predicted), 2 * np.pi) == pytest.approx(np.deg2rad(20))


def test_circular_distance_is_that_of_points_on_a_circle():
    a, b = np.random.default_rng(0).uniform(-20, 20, (2, 500))
    angle = np.angle(np.exp(2j * np.pi * (a - b) / 3.0))
    assert circular_distance(a, b, 3.0) == pytest.approx(np.abs(angle) * 3.0 / (2 * np.pi))


def test_error_of_each_label_dimension_where_it_is_known():
    true = np.array([[0.0, 5.0], [1.0, np.nan], [2.0, 7.0]])
    assert label_error(true, true + [[1.0, 4.0], [2.0, np.nan], [-4.0, 6.0]]).tolist() == [2.0, 5.0]


def test_error_rate():
    assert label_error_rate(["a", "b", "c", "a"], ["a", "c", "c", "b"]) == 0.5
    assert label_error_rate(np.arange(8), np.arange(8)) == 0.0


# --- conditions on priors -----------------------------------------------------------------------


def priors(n_labels=5, n_latents=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_labels, n_latents)), rng.normal(size=(n_labels, n_latents)), np.arange(n_labels)


def test_conditions_hold_for_priors_that_differ():
    for seed in range(20):
        assert identifiability_findings(*priors(seed=seed)) == []
    for data in (pi_vae_discrete(n=500, x_dim=4), pi_vae_continuous(n=500, x_dim=4)):
        part = data.train
        assert identifiability_findings(part.label_mean, np.log(part.label_variance), part.u) == []


def test_units_and_a_narrow_prior_change_nothing():
    mean, log_variance, labels = priors()
    scale = np.array([1e4, 1e-4])
    assert identifiability_findings(mean * scale + 1e5 * scale, log_variance + 2 * np.log(scale), labels) == []
    log_variance[1] = -12.0
    assert identifiability_findings(mean, log_variance, labels) == []
    # The rows of a label are one label, however many they are.
    rows = np.arange(50) % 4
    assert len(identifiability_findings(mean[rows], log_variance[rows], rows)) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_each_broken_condition_is_found(dtype):
    def found(mean, log_variance, labels):
        texts = identifiability_findings(mean.astype(dtype), log_variance.astype(dtype), labels)
        assert not [fault for text in texts for fault in faults(text)]
        return texts

    mean, log_variance, labels = priors()
    (few,) = found(mean[:4], log_variance[:4], labels[:4])
    assert "4 of them for 2 latents, which need 5" in few

    constant = mean.copy()
    constant[:, 1] = 3.7
    (text,) = found(constant, log_variance, labels)
    assert "prior's mean does not vary" in text and "in 1 of 2 latents (1)" in text

    constant = log_variance.copy()
    constant[:] = -2.3
    (text,) = found(mean, constant, labels)
    assert "prior's variance does not vary" in text and "in 2 of 2 latents (0, 1)" in text

    # The latents go together: one is the other, in other units.
    (text,) = found(mean[:, :1] * [1, 3] + [0, 2], log_variance[:, :1] + [0, np.log(9)], labels)
    assert "span 2 of 4 dimensions over 5 labels" in text

    # Six labels, but two pairs of them are the same.
    same = np.array([0, 1, 2, 3, 0, 1])
    (text,) = found(mean[same], log_variance[same], np.arange(6))
    assert "span 3 of 4 dimensions over 6 labels" in text

    assert len(found(mean[:1], log_variance[:1], labels[:1])) == 1


def test_natural_parameters_count_and_not_means():
    """Three labels of one latent are too few where mean * precision, not the mean, is affine in the precision."""
    precision, labels = np.array([[1.0], [2.0], [4.0]]), np.arange(3)
    assert identifiability_findings(precision, -np.log(precision), labels) == []
    (text,) = identifiability_findings(1 + 1 / precision, -np.log(precision), labels)
    assert "span 1 of 2 dimensions" in text


def test_sources_with_zero_means_are_said_to_have_them():
    part = tcl(n_segments=10, n_per_segment=20).train
    (text,) = identifiability_findings(part.label_mean, np.log(part.label_variance), part.u)
    assert "prior's mean does not vary" in text and "10 labels with one mean in 2 of 2 latents (0, 1)" in text


def test_labels_of_several_dimensions():
    mean, log_variance, _ = priors(6)
    labels = np.array([[0.0, 1.0], [0.5, 1.0], [0.0, 0.0], [0.5, 0.0], [0.7, 0.0], [0.0, 1.0]])
    assert identifiability_findings(mean, log_variance, labels) == []
    labels[4] = labels[3]
    assert "4 of them" in identifiability_findings(mean, log_variance, labels)[0]


A = np.random.default_rng(0).normal(size=(10, 2))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: recovery_r2(A, A[:9]), r"\(10, 2\) and \(9, 2\) of the scored part"),
        (lambda: recovery_r2(A[None], A[None]), "Join trials and bins"),
        (lambda: recovery_r2(A, A, A), "Give truth_fit as well"),
        (lambda: mcc(A, A, codes_fit=A[:, :1], truth_fit=A), "2 codes and 2 latents to score, 1 and 2 to fit on"),
        (lambda: mcc(A * np.nan, A), "20 codes"),
        (lambda: recovery_r2(A, A * np.nan), "0 of 10 rows without NaN"),
        (lambda: mcc(A, A, "best"), "strong, weak"),
        (lambda: mcc(A, A, method="kendall"), "pearson, spearman"),
        (lambda: label_error(A, A[:5]), "one shape"),
        (lambda: label_error(["left"], ["left"]), "Use label_error_rate"),
        (lambda: label_error(A, A * np.inf), "20 of them infinite"),
        (lambda: label_error(A, A, 0), "Use 360 for degrees"),
        (lambda: label_error_rate(A, A), r"must be \(n,\)"),
        (lambda: identifiability_findings(A, A[:, :1], A), r"\(10, 2\), \(10, 1\)"),
        (lambda: identifiability_findings(A, A * np.inf, A), "20 log variances"),
        (lambda: identifiability_findings(A, A, A, tolerance=1), "Use 1e-5"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert not faults(str(raised.value))
