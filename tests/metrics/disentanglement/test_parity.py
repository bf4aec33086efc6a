"""Scores equal to those of disentanglement_lib and icebeem, by the stored draws, whatever the size of the data."""

import numpy as np
import pytest

from indl.metrics import (
    beta_vae_score,
    code_dependence,
    dci,
    discretized,
    explicitness,
    factor_vae_score,
    importance_scores,
    irs,
    mcc,
    mig,
    modularity,
    pair_differences,
    sap_r2,
    sap_svc,
)
from indl.metrics.disentanglement.modularity import modularity_of_information
from tests.conftest import parity_files

pytestmark = pytest.mark.parity


def files(stem):
    return parity_files(stem) or [pytest.param(None, marks=pytest.mark.skip(f"no file {stem}*.npz"))]


def loaded(path):
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(params=files("disentanglement_metrics"), ids=lambda path: path.stem)
def recorded(request):
    return loaded(request.param)


@pytest.fixture
def data(recorded):
    return [recorded[f"in/{name}"] for name in ("codes", "factors", "codes_test", "factors_test")]


def close(value, tolerance=1e-10):
    return pytest.approx(np.asarray(value, float), rel=tolerance, abs=tolerance)


def test_mig(recorded, data):
    found = mig(*data[:2])
    assert np.array_equal(discretized(data[0]), recorded["mig/discretized"])
    assert found.information == close(recorded["mig/mutual_information"])
    assert found.entropy == close(recorded["mig/entropy"])
    assert found.score == close(recorded["mig/score"])


def test_importance_scores(recorded):
    found = importance_scores(recorded["dci/importance"])
    for name, value in (("disentanglement", found.per_code), ("completeness", found.per_factor)):
        one = "code" if name == "disentanglement" else "factor"
        assert value == close(recorded[f"dci/{name}_per_{one}"])
        assert getattr(found, name) == close(recorded[f"dci/{name}"])


@pytest.mark.slow
def test_importances_of_trees(recorded, data):
    found = dci(*data)
    assert found.importance == pytest.approx(recorded["dci/importance"], abs=0.02)
    assert found.informativeness == pytest.approx(float(recorded["dci/accuracy_test"]), abs=0.03)
    assert found.train_accuracy == pytest.approx(float(recorded["dci/accuracy_train"]), abs=0.03)


def test_sap(recorded, data):
    found, one = sap_svc(*data), 1.001 / len(data[2])
    assert found.predictability == pytest.approx(recorded["sap/svc_matrix"], abs=one)
    assert found.score == pytest.approx(float(recorded["sap/svc_score"]), abs=2 * one)
    found = sap_r2(*data[:2])
    assert found.predictability == close(recorded["sap/r2_matrix"])
    assert found.score == close(recorded["sap/r2_score"])


def test_modularity_and_explicitness(recorded, data):
    recorded = {key.partition("/")[2]: value for key, value in recorded.items() if key.startswith("modularity")}
    assert modularity(*data[:2]).score == close(recorded["modularity"])
    dead = modularity_of_information(recorded["dead_mutual_information"])
    assert dead.mean() == close(recorded["dead_modularity"])
    found = explicitness(*data)
    assert found.per_factor == close(recorded["converged_auc_train_test"][:, 1], 1e-6)
    assert found.score == close(recorded["converged_explicitness_test"], 1e-6)
    assert found.train_score == close(recorded["converged_explicitness_train"], 1e-6)
    assert found.score == close(recorded["explicitness_test"], 1e-3)


def test_irs(recorded, data):
    found = irs(*data[:2])
    for name in ("matrix", "per_code", "max_deviation", "score"):
        assert getattr(found, name) == close(recorded[f"irs/{name}"])
    assert found.factor.tolist() == recorded["irs/parents"].tolist()
    assert irs(*data[:2], quantile=1).score == close(recorded["irs/score_max"])


def test_dependence_of_codes(recorded, data):
    found = code_dependence(data[0])
    recorded = {key.partition("/")[2]: value for key, value in recorded.items() if key.startswith("unsupervised")}
    assert found.total_correlation == close(recorded["gaussian_total_correlation"], 1e-8)
    assert found.wasserstein == close(recorded["gaussian_wasserstein_correlation"], 1e-8)
    assert found.wasserstein_share == close(recorded["gaussian_wasserstein_correlation_norm"], 1e-8)
    assert found.information == close(recorded["mutual_information_score"], 1e-8)


@pytest.mark.parametrize("case", ["factor_vae", "factor_vae_dead"])
def test_factor_vae_score(recorded, case):
    given = {key.partition("/")[2]: value for key, value in recorded.items() if key.startswith(f"{case}/")}
    codes, batches, held = (given[name] for name in ("codes_for_variance", "batch_codes", "fixed_factor"))
    # The reference's own threshold of 0 lets a constant code take every vote; here it never votes.
    for threshold in (float(given["threshold"]), 0.0):
        found = factor_vae_score(codes, batches, held, int(given["n_train"]), threshold=threshold)
        assert found.score == float(given["eval_accuracy"])
        assert found.train_accuracy == float(given["train_accuracy"])
        assert found.used.tolist() == (np.ptp(codes, axis=0) > 0).tolist()


def test_beta_vae_score(recorded):
    given = {key.partition("/")[2]: value for key, value in recorded.items() if key.startswith("beta_vae/")}
    differences = pair_differences(given["codes_1"], given["codes_2"])
    assert differences == close(given["features"])
    n_train, shared = int(given["n_train"]), given["shared_factor"]
    found = beta_vae_score(differences, shared, n_train)
    assert found.score == pytest.approx(float(given["eval_accuracy"]), abs=1.001 / (len(shared) - n_train))
    assert found.train_accuracy == pytest.approx(float(given["train_accuracy"]), abs=1.001 / n_train)


@pytest.mark.parametrize("path", files("ivae"), ids=lambda path: getattr(path, "stem", "none"))
def test_mean_correlation(path):
    recorded = loaded(path)
    codes, truth, codes_test, truth_test, wide = (
        recorded[f"mcc/in/{name}"] for name in ("codes", "truth", "codes_test", "truth_test", "codes_wide")
    )
    fitted = {"codes_fit": codes, "truth_fit": truth}
    expected = {key.removeprefix("mcc/out/"): value for key, value in recorded.items() if key.startswith("mcc/out/")}
    for name, settings in {
        "pearson": {},
        "spearman": {"method": "spearman"},
        "weak_affine": {"form": "weak"},
        "weak_cca": {"form": "cca"},
    }.items():
        assert mcc(codes, truth, **settings).mcc == close(expected[name], 1e-5)
        out_of_sample = mcc(codes_test, truth_test, **settings, **fitted).mcc
        assert out_of_sample == close(expected[f"{name}_out_of_sample"], 1e-5)
    assert mcc(codes, truth).code.tolist() == expected["code_of_latent"].tolist()
    assert mcc(wide, truth).mcc == close(expected["pearson_wide"], 1e-5)
    assert mcc(wide, truth).code.tolist() == expected["wide_code_of_latent"].tolist()
