"""A training run: selection of weights, hidden validation, and breakdowns."""

import numpy as np
import pytest
from scipy.special import gammaln

from indl.data.simulate.lorenz import lorenz
from indl.data.values.trials import Trials
from indl.params import preset
from indl.training.fit import make_model, monitor_of, train
from indl.training.hidden import hidden_nll
from indl.training.history import best_epoch
from tests.checks import PLAIN, QUICK
from tests.restarted import Restarted


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=12, n_conditions=8, n_trials=10, n_bins=20, seed=1, heldout=3)


@pytest.fixture(scope="module")
def restarted(recording):
    """An untrained model with both latents, at its start whenever it is asked for."""
    return Restarted(preset("default", **QUICK), recording)


@pytest.fixture(scope="module")
def plain(recording):
    """The same of a model without a loop."""
    return Restarted(preset("default", **PLAIN), recording)


@pytest.mark.slow
def test_best_weights_wait_for_the_schedules(recording, restarted):
    p = preset("default", **QUICK, kl_f_schedule="linear", kl_z_schedule="linear", kl_f_ramp=3, kl_z_ramp=4, patience=0)
    result = train(p, recording, epochs=7, hidden_every=1, model=restarted())
    assert result.first_epoch == 4
    values = result.history["val_hidden_nll"]
    assert len(values) == 7
    expected = 4 + int(np.argmin(values[4:]))
    assert best_epoch(result.history, result.monitor, result.first_epoch) == expected
    # The kept weights reproduce the score of the chosen epoch.
    assert hidden_nll(result.model, recording.valid.encod) == pytest.approx(values[expected], rel=1e-5)


@pytest.mark.slow
def test_same_seed_gives_the_same_run_and_another_seed_another(recording, plain):
    p, runs = preset("default", **PLAIN), []
    for seed in (3, 3, 4):
        changed = {**p, "seed": seed}
        model = plain.like(make_model(changed, recording))
        runs.append(train(changed, recording, epochs=2, model=model).history["nll"])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_readout_starts_at_the_mean_counts(recording, restarted):
    model = restarted()
    np.testing.assert_allclose(
        np.exp(model.get_layer("readout").bias.numpy()), np.maximum(recording.train.recon.mean((0, 1)), 1e-4), rtol=1e-5
    )


def test_hidden_nll_equals_a_loop_over_the_sets(recording, restarted):
    model = restarted()
    x = np.array(recording.valid.encod[:6])
    fold = np.random.default_rng(5).integers(3, size=x.shape)
    total = 0.0
    for k in range(3):
        rates = model.rates(np.where(fold == k, 0, x * 1.5).astype("float32"))[..., : x.shape[-1]]
        total += (rates - x * np.log(rates) + gammaln(x + 1))[fold == k].sum()
    assert hidden_nll(model, x, folds=3, seed=5) == pytest.approx(total / 6, rel=1e-4)


def test_monitor_is_free_of_beta_and_of_held_out_channels(recording, restarted):
    assert monitor_of(preset("default")) == "val_hidden_nll"
    assert monitor_of(preset("dsae_full")) == "val_neg_elbo"
    model = restarted()
    before = hidden_nll(model, recording.valid.encod)
    model.beta_z.assign(50.0)
    readout = model.get_layer("readout")
    readout.bias.assign(readout.bias.numpy() + np.r_[np.zeros(recording.n_heldin), np.ones(recording.n_heldout)])
    assert hidden_nll(model, recording.valid.encod) == before


def test_real_recording_trains_end_to_end(recording_path):
    """A short run on a real recording beats the mean rates on held-out neurons."""
    from indl.data.files.hdf5 import load_recording
    from indl.metrics import cosmoothing

    real = load_recording(recording_path("adan_day0.h5"))
    # The sizes of the preset, with the one loop over time that a step of training cannot do without.
    no_loop = {"f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "Dense", "z2_units": 0, "dropout_rate": 0}
    p = preset("default", **no_loop, kl_f_beta=0.1, kl_z_beta=0.1, coordinated_dropout_rate=0.3, learning_rate=8e-3)
    result = train(p, real, epochs=15)
    scored = cosmoothing(result.model.rates(real.valid.encod), real.valid.recon, real.n_heldin)
    assert scored > 0.06, "untrained models score about 0; this run reached more when the bound was set"
    assert result.history["val_nll"][-1] < result.history["val_nll"][0]


def test_arrays_alone_are_enough():
    counts = np.random.default_rng(0).poisson(0.4, (30, 10, 5))
    result = train(preset("beta_vae", **PLAIN), Trials(counts, 0.02).split(), epochs=1)
    assert np.isfinite(result.history["loss"]).all()


def test_hidden_samples_are_hidden_as_in_training(recording):
    """Dropout acts on the transformed input, and never on the segment of the f-encoder."""
    p = preset("default", **QUICK, input_transform="log1p", f_enc_input_samps=4)
    model = make_model(p, recording)
    x = np.array(recording.valid.encod[:5])
    fold = np.random.default_rng(0).integers(4, size=x.shape)
    total = 0.0
    for k in range(4):
        hidden = np.expm1(np.where(fold == k, 0, np.log1p(x) / 0.75)).astype("float32")
        hidden[:, :4] = x[:, :4]
        rates = model.rates(hidden)[..., : x.shape[-1]]
        elements = rates - x * np.log(rates) + gammaln(x + 1)
        total += elements[:, 4:][fold[:, 4:] == k].sum()
    assert hidden_nll(model, x) == pytest.approx(total / 5, rel=1e-4)


def test_score_is_fresh_at_the_first_epoch_that_counts(recording, plain):
    p = preset("default", **PLAIN, kl_f_schedule="linear", kl_f_ramp=2, patience=0)
    result = train(p, recording, epochs=4, hidden_every=10, model=plain())
    assert result.first_epoch == 2
    values = result.history["val_hidden_nll"]
    assert values[0] == values[1] != values[2]


def test_segment_as_long_as_the_trials_is_refused(recording):
    with pytest.raises(ValueError, match="f_enc_input_samps=20, 20 bins"):
        train(preset("default", **QUICK, f_enc_input_samps=20), recording, epochs=1)
