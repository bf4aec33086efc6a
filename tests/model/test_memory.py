"""faults.md B5: what a model takes in memory is estimated, and told before any of it is taken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indl import machine
from indl.data.values.trials import Trials
from indl.model.assemble import build_sequential_vae
from indl.model.families import FAMILIES as MODELS
from indl.model.memory import Memory, check_memory, heaviest, pi_vae_memory, sequence_memory
from indl.model.pi_vae import build_pi_vae
from indl.params import FAMILIES, preset
from indl.runs import Run, execute
from indl.training.fit import make_model, train
from tests.checks import PLAIN, QUICK, TINY
from tests.messages import faults

ROOT = Path(__file__).parents[2]

#: Kinds of layers and posteriors that no preset has.
VARIANTS = {
    "": {},
    "sessions": {**PLAIN, "input_factors": 5, "n_sessions": 7},
    "full posteriors": {**QUICK, "f_latent_off_diag": True, "z_latent_off_diag": True},
    "labels": {**PLAIN, "f_prior_type": "cond", "u_dim": 4, "u_type": "discrete", "q_cond": "concat"},
    "vectors": {**PLAIN, "f_prior_type": "cond", "u_dim": 4, "u_type": "continuous"},
    "calcium": {**PLAIN, "output_dist": "ZeroInflatedGamma"},
    "stacks": {
        **{**TINY, "f_units": [4, 5], "f_enc_reduce": "all_last", "gen_n_hidden": [6, 7], "f_to_gen": "both"},
        **{"gen_cell_type": "LSTM", "z2_type": "LSTM", "f_to_z": "z2", "z_prior_process": "GRU"},
    },
}
FAST = ("default", "lfads", "ivae", "pi_vae_sequence", "pi_vae")
CASES = [("default", name) for name in VARIANTS if name]
CASES += [(name, "") for table in FAMILIES.values() for name in table.presets]


@pytest.fixture(scope="module")
def recording():
    counts = np.random.default_rng(0).poisson(1.0, (40, 50, 20)) + 1
    return Trials(counts, 0.02, label=np.arange(40) % 4).split(valid=range(36, 40))


def of_sequences(params):
    return sequence_memory(params, 1000, 200, 100)


def refused(params, memory_of=of_sequences, available=4 * 2**30):
    with pytest.raises(ValueError, match=r"about .* GiB in training, more than the .* GiB of this machine") as told:
        check_memory(params, memory_of, "data", available)
    assert not faults(str(told.value))
    return str(told.value)


@pytest.mark.parametrize(
    "name, variant",
    [
        pytest.param(
            *case, marks=[] if case[0] in FAST and case[1] != "stacks" else pytest.mark.slow, id="-".join(case)
        )
        for case in CASES
    ],
)
def test_the_count_of_weights_bounds_the_real_one(name, variant):
    p = preset(name, **VARIANTS[variant])
    if p["family"] == "pi_vae":
        real, counted = build_pi_vae(p, 100, 8).count_params(), pi_vae_memory({**p, "x_dim": 100, "u_dim": 8}, 9)
    else:
        real, counted = build_sequential_vae(p, None, 137).count_params(), sequence_memory(p, 9, 9, 137)
    assert real <= counted.weights <= 1.1 * real + 500


def test_what_grows_what():
    """Weights take 20 bytes; a step grows with each of trials, bins, samples and widths, but no more than there are."""
    assert Memory(10, 3).bytes == 4 * (5 * 10 + 3)
    p = preset("default")
    small = of_sequences(p)
    assert of_sequences({**p, "batch_size": 128}) == (small.weights, 2 * small.step)
    assert sequence_memory(p, 32, 200, 100).step == small.step / 2
    assert sequence_memory(p, 1000, 400, 100).step == pytest.approx(2 * small.step, rel=0.01)
    assert of_sequences({**p, "q_f_samples": 2}).step > 1.4 * small.step
    wide = of_sequences({**p, "gen_n_hidden": [512]})
    assert wide.weights > small.weights and wide.step > small.step
    rows = {**preset("pi_vae"), "x_dim": 100, "u_dim": 8}
    assert pi_vae_memory({**rows, "batch_size": 400}, 10**6).step == 2 * pi_vae_memory(rows, 10**6).step


@pytest.mark.parametrize(
    "changes, heaviest_first",
    [
        ({"z_latent_size": 16000}, "z_latent_size=16000, batch_size=64"),
        ({"q_f_samples": 10000}, "q_f_samples=10000, batch_size=64"),
        ({"z_latent_size": 900, "z_latent_off_diag": True}, "z_latent_size=900"),
        ({"n_sessions": 10000, "input_factors": 10000}, "input_factors=10000, n_sessions=10000"),
        ({"f_units": [16000, 16000]}, "f_units=[16000, 16000]"),
    ],
)
def test_what_weighs_most_is_named(changes, heaviest_first):
    """faults.md B5: such sizes took all memory, hung, or ended in a traceback."""
    assert f"Given: {heaviest_first}" in refused(preset("default", **changes))


def test_rows_of_pi_vae():
    p = {**preset("pi_vae", batch_size=10**6, encoder_hidden_layer_dim=5000), "x_dim": 100, "u_dim": 8}
    assert heaviest(p, lambda sizes: pi_vae_memory(sizes, 10**6))[:2] == ["batch_size", "encoder_hidden_layer_dim"]
    assert "batch_size=1000000" in refused(p, lambda sizes: pi_vae_memory(sizes, 10**6))
    # A batch has no more rows than there are.
    check_memory(p, lambda sizes: pi_vae_memory(sizes, 1000), "data", 4 * 2**30)


def test_it_is_told_before_anything_is_built_or_written(recording, tmp_path, monkeypatch):
    monkeypatch.setattr("indl.model.memory.memory", lambda: 2.0**28)
    monkeypatch.setattr(MODELS["sequence"], "build", lambda *_: pytest.fail("a model is built"))
    params = preset("default", z_latent_size=10000)
    words = r"Given: z_latent_size=10000, .* for Recording\(.*36 train"
    for call in (lambda: train(params, recording, folder=tmp_path / "a"), lambda: make_model(params, recording)):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match=words):
        execute(Run({"kind": "lorenz"}, params, epochs=1), tmp_path / "b", recording)
    assert not (tmp_path / "a").exists() and not (tmp_path / "b" / "run.json").exists()


def test_a_container_has_less_than_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_LIMITS", ())
    whole = machine.memory()
    assert whole > 2**28
    for content, wanted in (("max\n", whole), ("268435456\n", 2**28), (f"{2**62}\n", whole)):
        (tmp_path / "memory.max").write_text(content)
        monkeypatch.setattr(machine, "_LIMITS", (tmp_path / "none", tmp_path / "memory.max"))
        assert machine.memory() == wanted


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [("default", {}, 256, 100, 100), ("ivae", {}, 512, 200, 100)], ids=lambda case: case[0]
)
def test_the_estimate_is_of_the_order_of_the_real_peak(case):
    """What the peak of a process rises by in one step, in a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "memory.py"), "--case", json.dumps(case)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["measured_mib"] / 2 < found["estimate_mib"] < 2 * found["measured_mib"]
