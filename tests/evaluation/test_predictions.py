"""Predictions of new trials: the model's own numbers, in the order of the trials, for the channels it knows."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from indl import load_model
from indl.data import Trials, chop, load_recording, merge
from indl.evaluation.predictions import predict, save_predictions
from indl.files import OutputError

GOLDEN = Path(__file__).parents[1] / "golden" / "1"


@pytest.fixture(scope="module")
def model():
    return load_model(GOLDEN / "run")


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(0)
    # As the golden run: 5 channels held in, 1 held out.
    return Trials(rng.poisson(0.5, (7, 6, 6)), 0.02, channel_ids=np.array(list("abcdef")), label=np.arange(7) % 2)


def test_rates_and_posteriors_are_those_of_the_model(model, trials):
    found = predict(model, trials)
    x = trials.counts[..., :5]
    np.testing.assert_array_equal(found["rates"], model.rates(x))
    np.testing.assert_array_equal(found["factors"], model.factors(x))
    q = model.encode(x)
    for name in "fz":
        if f"q_{name}" in q:
            np.testing.assert_array_equal(found[f"{name}_mean"], q[f"q_{name}"].loc)
            np.testing.assert_array_equal(found[f"{name}_sd"], q[f"q_{name}"].scale)
    assert set(found) == {"rates", "factors", *(f"{name[-1]}_{part}" for name in q for part in ("mean", "sd"))}
    averaged = predict(model, trials, samples=4, seed=3)["rates"]
    np.testing.assert_array_equal(averaged, model.rates(x, 4, 3))


def test_channels_are_found_by_their_ids_in_any_order(model, trials):
    """faults.md, predict: another order of channels, or a file of more, must not give other rates."""
    heldin = list("abcde")
    expected = predict(model, trials, heldin)
    mixed = trials.channels([5, 2, 0, 4, 1, 3])
    for name, values in predict(model, mixed, heldin).items():
        np.testing.assert_array_equal(values, expected[name])
    with pytest.raises(ValueError, match="without 1 of 5, such as 'c'"):
        predict(model, trials.channels([0, 1, 3, 4, 5]), heldin)
    with pytest.raises(ValueError, match="2 channels called 'a'"):
        predict(model, trials.channels([0, 0, 1, 2, 3, 4]), heldin)
    with pytest.raises(ValueError, match="reads spike counts"):
        predict(model, Trials(trials.counts, 0.02, are_counts=False))
    with pytest.raises(ValueError, match="more channels than there are"):
        predict(model, trials.channels([0, 1]))


def test_nothing_is_said_of_bins_after_the_end_of_a_trial():
    other = load_model(GOLDEN / "models" / "squared_error_missing.keras")
    counts = np.random.default_rng(0).poisson(0.5, (3, 8, other.x.shape[-1])).astype(float)
    counts[2, 4:] = np.nan
    found = predict(other, Trials(counts, 0.02, missing=True))
    assert np.isnan(found["rates"][2, 4:]).all() and not np.isnan(found["rates"][2, :4]).any()
    assert not np.isnan(found["rates"][:2]).any()


def test_windows_are_merged_to_the_recording_that_they_were_cut_from(model):
    counts = np.random.default_rng(1).poisson(0.5, (2, 20, 6))
    windows = chop(Trials(counts, 0.02), 6, 2)
    found = predict(model, windows)
    assert found["rates"].shape == (2, 20, 6)
    np.testing.assert_array_equal(found["rates"], merge(model.rates(windows.counts[..., :5]), windows))


def test_pi_vae_gives_rates_of_recorded_bins():
    model = load_model(GOLDEN / "models" / "pi_vae.keras")
    n = model.params["x_dim"]
    counts = np.random.default_rng(0).poisson(1.0, (3, 5, n)).astype(float)
    counts[1, 2, 0] = np.nan
    found = predict(model, Trials(counts, 0.02, missing=True))
    assert np.isnan(found["rates"][1, 2]).all()
    rows = counts[0]
    np.testing.assert_allclose(found["rates"][0], model.decode(model.encode(rows)), rtol=1e-6)
    np.testing.assert_allclose(found["z_mean"][0], model.encode(rows), rtol=1e-6)


def test_the_file_holds_them_in_order_and_replaces_no_other(model, trials, tmp_path):
    found = predict(model, trials)
    save_predictions(tmp_path / "rates.h5", found, trials, samples=0)
    with h5py.File(tmp_path / "rates.h5") as file:
        np.testing.assert_array_equal(file["rates"], found["rates"])
        np.testing.assert_array_equal(file["label"], trials.label)
        assert (file.attrs["bin_width_s"], file.attrs["samples"]) == (0.02, 0)
    save_predictions(tmp_path / "rates.h5", found, trials)
    (tmp_path / "mine.h5").write_text("mine")
    with pytest.raises(OutputError):
        save_predictions(tmp_path / "mine.h5", found, trials)
    assert (tmp_path / "mine.h5").read_text() == "mine"


def test_the_golden_run_scores_what_it_predicts(model):
    """Rates of a recording's validation trials are the same by either way."""
    recording = load_recording(GOLDEN / "recording.h5")
    every = Trials(recording.valid.recon, 0.02, channel_ids=recording.channel_ids)
    found = predict(model, every, list("01234"))
    np.testing.assert_array_equal(found["rates"], model.rates(recording.valid.encod))
