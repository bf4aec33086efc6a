"""Each score against closed forms and brute force, what it leaves unchanged, and what cannot be scored."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from sklearn.metrics import roc_auc_score

from indl.metrics import (
    code_dependence,
    dci,
    discretized,
    explicitness,
    importance_scores,
    irs,
    mcc,
    mig,
    modularity,
    sap_r2,
    sap_svc,
)
from indl.metrics.disentanglement.codes_and_factors import factor_levels
from indl.metrics.disentanglement.information import entropy, mutual_information
from indl.metrics.disentanglement.modularity import modularity_of_information
from tests.messages import faults

RNG = np.random.default_rng(0)
V = RNG.integers(0, 3, (300, 2))
CODES = V + 0.1 * RNG.normal(size=V.shape)
SPLIT = (CODES[:200], V[:200], CODES[200:], V[200:])


# --- information --------------------------------------------------------------------------------


def test_information_is_that_of_the_table_of_coincidences():
    a, b = RNG.integers(0, 4, (500, 2)), RNG.integers(0, 3, (500, 1))
    a[:, 1] = np.minimum(b[:, 0] + a[:, 1] // 3, 2)
    found = mutual_information(a, b)
    for j in range(2):
        joint = np.histogram2d(a[:, j], b[:, 0], bins=[range(5), range(4)])[0] / 500
        outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        assert found[j, 0] == pytest.approx(np.sum(joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])))
    shares = np.bincount(b[:, 0]) / 500
    assert entropy(b) == pytest.approx([-np.sum(shares * np.log(shares))])


def test_bins_have_equal_width_and_hold_the_largest_value():
    assert discretized(np.array([[0.0], [0.9], [1.0], [3.9], [4.0]]), 4).ravel().tolist() == [1, 1, 2, 4, 4]
    assert np.ptp(discretized(np.full((3, 1), 0.1))) == 0


def test_values_are_numbered_in_order_whatever_they_are():
    names = np.array([["up", "b"], ["down", "a"], ["up", "a"], ["down", "b"]])
    assert factor_levels(names).tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]
    assert mig(CODES, V).score == mig(CODES, np.array(["x", "y", "z"])[V]).score == mig(CODES, 10.5 - V).score


# --- compactness --------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [mig, sap_r2, lambda codes, v: sap_svc(codes[:200], v[:200], codes[200:], v[200:])])
def test_two_codes_of_a_factor_leave_no_gap(score):
    assert score(CODES, V).score > 0.25
    assert score(np.repeat(CODES, 2, axis=1), V).score == pytest.approx(0, abs=1e-12)
    # The gap of one factor alone is closed.
    found = score(np.c_[CODES, CODES[:, 1]], V).per_factor
    assert found[1] == pytest.approx(0, abs=1e-12) and found[0] > 0.25


def test_a_single_code_is_ahead_of_nothing():
    found = sap_r2(CODES[:, :1], V)
    assert found.per_factor == pytest.approx(np.corrcoef(np.c_[CODES[:, :1], V].T)[0, 1:] ** 2)
    assert mig(CODES[:, :1], V).per_factor[0] > 0.95


def test_r2_is_the_squared_correlation_and_takes_continuous_factors():
    truth = RNG.normal(size=(100, 2))
    codes = truth @ RNG.normal(size=(2, 3)) + RNG.normal(size=(100, 3))
    assert sap_r2(codes, truth).predictability == pytest.approx(np.corrcoef(codes.T, truth.T)[:3, 3:] ** 2)


# --- one factor a code --------------------------------------------------------------------------


def test_modularity_of_known_information():
    information = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert modularity_of_information(information) == pytest.approx([1.0, 0.0, 1 - 0.25 / 2, 0.0])
    assert modularity_of_information(information[:, :1]) == pytest.approx([1, 1, 1, 0])


def test_importances_of_known_tables():
    table = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    found = importance_scores(table)
    assert found.per_code == pytest.approx([0, 1, 0], abs=1e-9)
    # Half of the importance is in a code of both factors, half in a code of one.
    assert found.disentanglement == pytest.approx(0.5, abs=1e-9)
    third = 1 + (np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3) / np.log(3)
    assert found.per_factor == pytest.approx([third, 1], abs=1e-9)
    assert found.completeness == pytest.approx((3 * third + 1) / 4, abs=1e-9)
    assert importance_scores(np.zeros((2, 3)))[:2] == (0, 0)
    assert importance_scores(np.ones((1, 3))).per_factor.tolist() == [1, 1, 1]
    assert importance_scores([[1.0], [0.0]]).per_code.tolist() == [1, 0]


def test_trees_find_the_code_of_each_factor_among_others():
    x = np.c_[CODES[:, 1], RNG.normal(size=(300, 1)), CODES[:, 0], np.full(300, 0.1)]
    found = dci(x[:200], V[:200], x[200:], V[200:], n_trees=5)
    assert found.importance.argmax(axis=0).tolist() == [2, 0] and found.importance[3].tolist() == [0, 0]
    assert found.importance.sum(axis=0) == pytest.approx([1, 1])
    assert found.disentanglement > 0.95 and found.informativeness > 0.95


def test_robustness_of_known_codes():
    """A code that is its factor does not move while that is held; while the other is held, it moves by all it can."""
    v = np.stack(np.meshgrid([0, 1], [0, 1, 2]), axis=-1).reshape(-1, 2).repeat(2, axis=0)
    found = irs(v.astype(float), v, quantile=1)
    assert found.matrix == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert found.max_deviation == pytest.approx([0.5, 1.0]) and found.factor.tolist() == [0, 1]
    # The first code adds half of the second factor: held at 0, it moves by up to .5 of the largest 1.
    found = irs(np.c_[v[:, 0] + 0.5 * v[:, 1], v[:, 1]], v, quantile=1)
    assert found.matrix[0] == pytest.approx([0.5, 0.5])
    assert found.score == pytest.approx((0.5 * 1.0 + 1.0 * 1.0) / 2.0)


def test_values_of_a_factor_count_alike_however_rare():
    held = np.array([0] * 2 + [1] * 8)
    code = np.array([-1.0, 1.0] + [0.0, 0.0] * 4)
    other = np.arange(10) % 2
    assert irs(code[:, None], np.c_[held, other], quantile=1).matrix[0, 0] == pytest.approx(1 - (1 + 0) / 2)


def test_a_constant_code_has_no_robustness_and_no_weight():
    found = irs(np.c_[CODES, np.full(300, 0.1)], V)
    assert found.matrix[2].tolist() == [0, 0] and found.max_deviation[2] == 0
    assert found.score == pytest.approx(irs(CODES, V).score)
    assert irs(np.ones((300, 2)), V).score == 0


# --- all codes together -------------------------------------------------------------------------


def test_explicitness_does_not_mind_rotations_nor_units():
    mixed = CODES @ [[1.0, 2.0], [-2.0, 1.0]] + 50
    found = explicitness(*SPLIT)
    assert explicitness(mixed[:200], V[:200], mixed[200:], V[200:]).per_factor == pytest.approx(
        found.per_factor, abs=0.02
    )
    scaled = CODES * [1e-3, 1e3] + [5, -7]
    assert explicitness(scaled[:200], V[:200], scaled[200:], V[200:]).per_factor == pytest.approx(found.per_factor)


def test_explicitness_of_two_values_is_the_area_of_one_curve():
    v, x = RNG.integers(0, 2, (400, 1)), RNG.normal(size=(400, 1))
    x = x + v
    found = explicitness(x[:200], v[:200], x[200:], v[200:])
    assert found.score == pytest.approx(roc_auc_score(v[200:, 0], x[200:, 0]))
    assert found.train_score == pytest.approx(roc_auc_score(v[:200, 0], x[:200, 0]))


def test_explicitness_is_half_by_chance():
    noise = RNG.normal(size=(3000, 2))
    v = RNG.integers(0, 3, (3000, 2))
    assert explicitness(noise[:1500], v[:1500], noise[1500:], v[1500:]).score == pytest.approx(0.5, abs=0.03)


def test_values_that_only_one_part_has():
    v_test = V[200:].copy()
    v_test[:50, 0], v_test[50:, 0] = 0, 99
    found = explicitness(CODES[:200], V[:200], CODES[200:], v_test)
    assert 0 <= found.per_factor[0] <= 1 and found.score == pytest.approx(found.per_factor.mean())
    v_test[:, 0] = 1
    found = explicitness(CODES[:200], V[:200], CODES[200:], v_test)
    assert np.isnan(found.per_factor[0]) and found.score == found.per_factor[1]


def test_a_value_that_training_does_not_have_is_never_told():
    v_test = V[200:].copy()
    v_test[:, 0] = 99
    assert (sap_svc(*SPLIT[:3], v_test).predictability[:, 0] == 0).all()
    assert dci(*SPLIT[:3], v_test, n_trees=2).informativeness <= 0.5


# --- without factors ----------------------------------------------------------------------------


def test_dependence_of_two_correlated_codes_has_its_closed_form():
    x = RNG.normal(size=(400, 2)) @ [[1.0, 0.8], [0.0, 0.6]] * [1.0, 3.0]
    covariance = np.cov(x.T)
    rho = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    found = code_dependence(x)
    assert found.total_correlation == pytest.approx(-0.5 * np.log(1 - rho**2))
    root = sqrtm(np.diag(np.diag(covariance)) @ covariance)
    assert found.wasserstein == pytest.approx(2 * np.trace(covariance) - 2 * np.trace(root).real)
    assert found.wasserstein_share == pytest.approx(found.wasserstein / np.trace(covariance))
    bins = discretized(x)
    assert found.information == pytest.approx(mutual_information(bins[:, :1], bins[:, 1:])[0, 0])


def test_codes_that_do_not_vary_do_not_count():
    x = RNG.normal(size=(100, 3))
    found = code_dependence(np.c_[x, np.full(100, 0.1)])
    assert found[:4] == pytest.approx(code_dependence(x)[:4]) and found.used.tolist() == [True] * 3 + [False]
    assert code_dependence(x[:, :1])[:4] == code_dependence(np.ones((5, 9)))[:4] == (0, 0, 0, 0)


def test_a_code_that_others_give_depends_on_them_without_bound():
    x = RNG.normal(size=(100, 2))
    assert code_dependence(np.c_[x, x.sum(axis=1)]).total_correlation == np.inf
    assert np.isfinite(code_dependence(x).total_correlation)


# --- canonical variates -------------------------------------------------------------------------


def test_canonical_variates_do_not_mind_maps_on_either_side():
    truth = RNG.normal(size=(300, 3)) * [1.0, 2.0, 3.0]
    codes = truth @ RNG.normal(size=(3, 4)) + 0.5 * RNG.normal(size=(300, 4))
    found = mcc(codes, truth, "cca")
    maps = RNG.normal(size=(4, 4)), RNG.normal(size=(3, 3))
    assert mcc(codes @ maps[0] + 5, truth @ maps[1] - 7, "cca").per_dim == pytest.approx(found.per_dim)
    # A correlation that is squared is an eigenvalue of this product.
    c = np.cov(codes.T, truth.T)
    product = np.linalg.solve(c[:4, :4], c[:4, 4:]) @ np.linalg.solve(c[4:, 4:], c[4:, :4])
    squares = np.sort(np.linalg.eigvals(product).real)[:0:-1]
    assert found.per_dim == pytest.approx(np.sqrt(squares)) and found.code.tolist() == [0, 1, 2]


def test_canonical_variates_of_fewer_directions():
    truth = RNG.normal(size=(100, 3))
    once = truth[:, :1]
    found = mcc(np.c_[once, once * 2, np.full(100, 0.1)], truth, "cca")
    assert found.per_dim == pytest.approx([1, 0, 0]) and found.code.tolist() == [0, -1, -1]
    assert mcc(np.full((100, 2), 0.1), truth, "cca").mcc == 0
    missing = truth.copy()
    missing[:20, 0] = np.nan
    codes = truth + RNG.normal(size=truth.shape)
    assert mcc(codes, missing, "cca").mcc == pytest.approx(mcc(codes[20:], truth[20:], "cca").mcc)


# --- what cannot be scored ----------------------------------------------------------------------


def poked(array, value):
    array = array.astype(float)
    array[3, 1] = value
    return array


@pytest.mark.parametrize("score", [mig, modularity, irs])
@pytest.mark.parametrize(
    "codes, factors, words",
    [
        (CODES[:99], V, r"Given: \(99, 2\) and \(300, 2\)"),
        (CODES[:, 0], V, r"two trials or more. Given: \(300,\)"),
        (CODES[:, :0], V, r"\(300, 0\)"),
        (CODES[:1], V[:1], r"\(1, 2\)"),
        (poked(CODES, np.nan), V, "Codes must be finite. Given: 1 of 600"),
        (poked(CODES, np.inf), V, "1 of 600"),
        ([["a", "b"], ["c", "d"]], V, "Codes must be numbers"),
        (CODES, V[:, 0], r"Give a single factor as values\[:, None\]"),
        (CODES, V * 0, r"Given: \[1, 1\] different values in 300 trials"),
        (CODES, CODES, r"\[300, 300\] different values.*discretized"),
        (CODES, poked(V, np.nan), "1 of 600 values that are NaN"),
        (CODES, np.array([["a", 1], [2, "b"], [None, 1]] * 100, dtype=object), "of one kind"),
    ],
)
def test_bad_codes_and_factors(score, codes, factors, words):
    with pytest.raises(ValueError, match=words) as raised:
        score(codes, factors)
    assert not faults(str(raised.value))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: sap_svc(*SPLIT[:3], V[:5]), r"test part must have the same trials. Given: \(100, 2\) and \(5, 2\)"),
        (lambda: sap_svc(*SPLIT[:2], CODES[200:, :1], V[200:]), r"\(200, 2\) and \(200, 2\) to train on, \(100, 1\)"),
        (lambda: explicitness(CODES, V * 0, CODES, V), r"\[1, 1\] different values in 300"),
        (lambda: explicitness(CODES, V, poked(CODES, np.nan), V), "1 of 600 in the test part"),
        (lambda: dci(*SPLIT, n_trees=0), "n_trees must be a whole number from 1"),
        (lambda: importance_scores([[-1.0, 1.0]]), r"\[\[-1.0, 1.0\]\]. Use absolute values"),
        (lambda: importance_scores([1.0, 1.0]), r"\(codes, factors\)"),
        (lambda: mig(CODES, V, n_bins=0.5), "n_bins must be a whole number"),
        (lambda: sap_r2(CODES, V[:9]), r"\(300, 2\) and \(9, 2\)"),
        (lambda: sap_r2(CODES, np.array([["a", "b"]] * 300)), "Use sap_svc for factors that are names"),
        (lambda: sap_r2(CODES, poked(V, np.nan)), "1 of them not finite"),
        (lambda: irs(CODES, V, quantile=0), "quantile=0. Use 0.99"),
        (lambda: code_dependence(RNG.normal(size=(5, 5))), "5 trials and 5 codes that vary"),
        (lambda: mcc(CODES, V, "weakly"), "strong, weak, cca"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert not faults(str(raised.value))
