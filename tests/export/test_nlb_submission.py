"""Submissions to the Neural Latents Benchmark: what is written, and what its formulas make of it. faults.md D."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from scipy.special import gammaln
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import Trials, read_nlb
from indl.export import write_nlb_submission
from indl.files import OutputError
from indl.metrics import cosmoothing, forward_prediction
from indl.params import preset
from indl.training import train
from tests.checks import PLAIN
from tests.messages import faults
from tests.nlb_files import BINS, FORWARD, HELDIN, HELDOUT, N_EVAL, N_TRAIN, cut, written


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set whose evaluation trials are known, a model trained on it, and its submission."""
    folder = tmp_path_factory.mktemp("nlb")
    paths = written(folder)
    data = read_nlb(*paths)
    params = preset("default", **PLAIN, batch_size=8, jit_compile="off")
    model = train(params, data.recording(), epochs=2).model
    write_nlb_submission(model, data, folder / "submission.h5")
    return SimpleNamespace(data=data, model=model, paths=paths, submission=folder / "submission.h5")


def rates_in(path, group="mc_maze_small_20"):
    with h5py.File(path) as file:
        assert list(file) == [group]
        return {name: values[()].astype(float) for name, values in file[group].items()}


def bits(rates, spikes):
    """Bits per spike against each channel's own mean, by the benchmark's definition."""

    def nats(expected):
        return (expected - spikes * np.log(expected) + gammaln(spikes + 1)).sum()

    mean = np.broadcast_to(spikes.mean((0, 1), keepdims=True), spikes.shape)
    return (nats(mean) - nats(rates)) / spikes.sum() / np.log(2)


def test_rates_are_the_models_in_the_order_of_the_files(made):
    """faults.md D: submission files of nlb_tools."""
    found, data, model = rates_in(made.submission), made.data, made.model
    training = cut("train", "rates", model.rates(data.train.counts[:, :BINS, :HELDIN]))
    expected = cut("eval", "rates", model.rates(data.evaluation.counts[:, :BINS, :HELDIN]))
    expected |= {name: training[name] for name in ("train_rates_heldin", "train_rates_heldout")}
    assert found.keys() == expected.keys()
    for name, rates in expected.items():
        np.testing.assert_allclose(found[name], rates, rtol=1e-6, err_msg=name)
    assert found["eval_rates_heldout_forward"].shape == (N_EVAL, FORWARD, HELDOUT)
    assert found["train_rates_heldin"].shape == (N_TRAIN, BINS, HELDIN)


def test_the_benchmarks_formulas_give_the_librarys_scores(made):
    """faults.md D: what a submission scores, written out anew, is what evaluation says."""
    found = rates_in(made.submission)
    with h5py.File(made.paths[2]) as file:
        targets = {name: values[()] for name, values in file["mc_maze_small_20"].items() if "spikes" in name}
    valid = made.data.recording().valid
    rates = made.model.rates(valid.encod)
    held_out = bits(found["eval_rates_heldout"], targets["eval_spikes_heldout"])
    assert held_out == pytest.approx(cosmoothing(rates, valid.recon, HELDIN, BINS), abs=1e-6)
    forward, spikes = (
        np.concatenate([arrays[f"eval_{kind}_{side}_forward"] for side in ("heldin", "heldout")], axis=2)
        for arrays, kind in ((found, "rates"), (targets, "spikes"))
    )
    assert bits(forward, spikes) == pytest.approx(forward_prediction(rates, valid.recon, BINS), abs=1e-6)
    # Rates of other trials would score otherwise.
    assert abs(held_out - bits(found["eval_rates_heldout"][::-1], targets["eval_spikes_heldout"])) > 1e-4


def test_hidden_samples_stay_hidden(made, tmp_path):
    """faults.md D: a model gives the same rates whether the evaluation trials are known or not."""
    hidden = read_nlb(*made.paths[:2], bin_width_s=0.005)
    assert write_nlb_submission(made.model, hidden, tmp_path / "s.h5", name="mc_maze") == tmp_path / "s.h5"
    known, found = rates_in(made.submission), rates_in(tmp_path / "s.h5", "mc_maze")
    for name in known:
        np.testing.assert_array_equal(found[name], known[name], err_msg=name)


def test_samples_are_those_of_the_model(made, tmp_path):
    write_nlb_submission(made.model, made.data, tmp_path / "s.h5", samples=3, seed=5)
    expected = made.model.rates(made.data.evaluation.counts[:, :BINS, :HELDIN], samples=3, seed=5)
    np.testing.assert_allclose(
        rates_in(tmp_path / "s.h5")["eval_rates_heldout"], expected[:, :BINS, HELDIN:], rtol=1e-6
    )


def test_only_a_submission_is_replaced(made, tmp_path):
    """faults.md A: a user's own files are overwritten."""
    with pytest.raises(OutputError, match="not written as one of its kind"):
        write_nlb_submission(made.model, made.data, made.paths[0])
    before = made.submission.read_bytes()
    unfit = replace(made.data, n_heldin=HELDIN, forward_steps=0)
    with pytest.raises(ValueError, match=r"do not fit the data set. Given: shape \(9, 16, 7\)"):
        write_nlb_submission(made.model, unfit, made.submission)
    assert made.submission.read_bytes() == before
    write_nlb_submission(made.model, made.data, made.submission)
    assert rates_in(made.submission)["eval_rates_heldin"].shape == (N_EVAL, BINS, HELDIN)


def test_what_cannot_be_submitted_is_refused(made, tmp_path, monkeypatch):
    counts = Trials(np.ones((4, 8, 5)), 0.02)
    cases = {
        "Given: training trials alone": lambda: write_nlb_submission(
            made.model, replace(made.data, evaluation=None), tmp_path / "s.h5"
        ),
        "Given: Trials": lambda: write_nlb_submission(made.model, counts, tmp_path / "s.h5"),
        "Given: NLBData": lambda: write_nlb_submission(made.data, made.data, tmp_path / "s.h5"),
        "A data set needs a name": lambda: write_nlb_submission(
            made.model, replace(made.data, name=""), tmp_path / "s.h5"
        ),
        "There is no folder": lambda: write_nlb_submission(made.model, made.data, tmp_path / "none" / "s.h5"),
    }
    for words, call in cases.items():
        with pytest.raises((ValueError, TypeError, FileNotFoundError)) as raised:
            call()
        assert words in str(raised.value)
        assert not faults(str(raised.value), [tmp_path])
    monkeypatch.setattr(made.model, "observation", "GaussianObservation")
    with pytest.raises(ValueError, match=r"takes expected counts. Given: a model with GaussianObservation. Train"):
        write_nlb_submission(made.model, made.data, tmp_path / "s.h5")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_same_submission(made, tmp_path):
    made.model.save(tmp_path / "model.keras")
    arguments = ["submit", tmp_path / "model.keras", *made.paths, "--out", tmp_path / "s.h5", "--samples", 0, "--quiet"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--name", "mc_maze_small_20"])
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    found, expected = rates_in(tmp_path / "s.h5"), rates_in(made.submission)
    assert found.keys() == expected.keys()
    for name, rates in expected.items():
        np.testing.assert_allclose(found[name], rates, rtol=1e-5)
