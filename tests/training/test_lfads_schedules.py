"""Ramp, plateau and clipping equal to what a reference implementation recorded."""

import json

import keras
import numpy as np
import pytest

from indl.params import preset
from indl.training.fit import make_optimizer
from indl.training.plateau import PlateauRate
from indl.training.schedules import BetaSchedule
from tests.conftest import parity_files

pytestmark = pytest.mark.parity
FILES = parity_files("lfads_schedules") or [pytest.param(None, marks=pytest.mark.skip("no file lfads_schedules*.npz"))]


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def recorded(request):
    with np.load(request.param) as file:
        found = {key: file[key] for key in file.files}
    return {**found, "config": json.loads(str(found["config"]))}


def test_ramp(recorded):
    c = recorded["config"]
    schedule = BetaSchedule("ramp", 1.0, c["ramp_start"], c["ramp_increase"])
    found = [schedule(epoch) for epoch in recorded["epoch"].tolist()]
    np.testing.assert_allclose(found, recorded["ramp"], rtol=0, atol=1e-12)


def test_plateau(recorded):
    c = recorded["config"]
    # The file has the smoothing as the weight of the old value, or none.
    callback = PlateauRate(c["lr_patience"], c["lr_decay"], c["lr_stop"], 1 - (c["smoothing"] or 0), "metric")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(make_optimizer(preset("default", lr_schedule="plateau", learning_rate=c["lr_init"]), 1))
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in zip(recorded["epoch"].tolist(), recorded["metric"].tolist(), strict=True):
        callback.on_epoch_end(epoch, {"metric": value})
        rates.append(float(model.optimizer.learning_rate))
    # The rate is a float32 variable: each fall rounds it once.
    np.testing.assert_allclose(rates, recorded["learning_rate_after_epoch"], rtol=1e-6)


def test_clipping(recorded):
    """What reaches Adam is in its first moment, (1 - beta_1) times the clipped gradient after one step."""
    n = sum(key.startswith("clip/in") for key in recorded)
    gradients = [recorded[f"clip/in{i}"] for i in range(n)]
    variables = [keras.Variable(np.zeros(g.shape), name=f"v{i}") for i, g in enumerate(gradients)]
    optimizer = make_optimizer(preset("default", max_grad_norm=recorded["config"]["max_norm"]), 1)
    optimizer.build(variables)
    optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients], variables)
    moments = {v.path.rpartition("/")[2]: np.asarray(v) for v in optimizer.variables}
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    assert norm == pytest.approx(float(recorded["clip/global_norm"]), rel=1e-12)
    for i in range(n):
        clipped = moments[f"v{i}_momentum"] / (1 - optimizer.beta_1)
        np.testing.assert_allclose(clipped, recorded[f"clip/out{i}"], rtol=1e-5, atol=1e-5)
