"""Scores equal to those that a reference implementation recorded, whatever the size of its data."""

import numpy as np
import pytest

from indl.metrics import bits_per_spike, poisson_nll, psth_r2, rate_r2_per_channel, velocity_r2
from tests.conftest import parity_files

pytestmark = pytest.mark.parity
FILES = parity_files("lfads_metrics") or [pytest.param(None, marks=pytest.mark.skip("no file lfads_metrics*.npz"))]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recorded(request):
    with np.load(request.param) as file:
        return {key: file[key] for key in file.files}


def close(value):
    return pytest.approx(float(value), rel=1e-9, abs=1e-10)


def test_likelihood(recorded):
    assert poisson_nll(recorded["bps/rates"], recorded["bps/spikes"]) == close(recorded["bps/nll"])


@pytest.mark.parametrize("case", ["bps", "bps_nan"])
def test_bits_per_spike(recorded, case):
    rates, spikes = recorded[f"{case}/rates"], recorded[f"{case}/spikes"]
    before = rates.copy()
    assert bits_per_spike(rates, spikes) == close(recorded[f"{case}/value"])
    assert np.array_equal(rates, before)


def test_rates(recorded):
    assert rate_r2_per_channel(recorded["r2/predicted"], recorded["r2/true"]) == close(recorded["r2/value"])


def test_trial_averages(recorded):
    arguments = (recorded[f"psth/{name}"] for name in ("rates", "condition", "psth"))
    assert psth_r2(*arguments) == close(recorded["psth/value"])


@pytest.mark.parametrize("case, penalty", [("value_grid", None), ("value_fixed", 1e-2)])
def test_velocity(recorded, case, penalty):
    names = ("train_rates", "train_behavior", "eval_rates", "eval_behavior", "train_mask", "eval_mask")
    found = velocity_r2(*(recorded[f"velocity/{name}"] for name in names), penalty=penalty)
    assert found.r2 == close(recorded[f"velocity/{case}"])
