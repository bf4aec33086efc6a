"""Missing samples and trials of different length: what is not there changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import gammaln

from indl.export import export_saved_model
from indl.model.assemble import build_sequential_vae
from indl.params import preset
from indl.sampling.modes import PosteriorSamples, sampling
from tests.checks import assert_close, gradients, saved_and_loaded

SMALL = {"f_units": 8, "z1_units": 8, "z2_units": 8, "gen_n_hidden": 16, "n_factors": 6, "f_latent_size": 3}
# A masked loop in the encoder of f and one in the generator, where the whole network is not what is tested.
FEW_LOOPS = {"z1_rnn_type": "Dense", "z2_units": 0}
VARIANTS = {
    "default": {},
    "lag": {"z1_lag": 2},
    "trained initial states": {"encoder_state_trainable": True, "z1_lag": 2},
    "complex": {"gen_cell_type": "Complex", "z2_type": "GRUClip", "encoder_state_trainable": True, "z1_lag": 1},
    "both directions": {"gen_cell_type": "BidirectionalGRU", "f_to_gen": "tile"},
    "samples of f": {"f_to_z": "z1", "q_f_samples": 3},
    "two layers": {"f_units": [8, 6], "z1_units": [8, 6], "f_enc_reduce": "all_last"},
    "mean": {"f_enc_reduce": "mean"},
    "segment": {"f_enc_input_samps": 3},
    "LSTM": {"f_rnn_type": "LSTM", "z1_rnn_type": "LSTM"},
    "forward": {"forward_steps": 2},
    "log": {"input_transform": "log1p"},
}


def make(seed=0, **extra):
    model = build_sequential_vae(preset("default", **{**SMALL, **extra}, missing_data=True), None, 5)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * rng.normal(size=variable.shape))
    return model


def counts(trials=6, bins=8, seed=0):
    return np.random.default_rng(seed).poisson(1.0, (trials, bins, 5)).astype("float32")


#: Variants of what "default", "trained initial states", "samples of f" and "complex" reach.
FURTHER = ("lag", "both directions", "two layers", "mean", "LSTM", "log")


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=[pytest.mark.slow] if name in FURTHER else []) for name in VARIANTS]
)
def test_padded_trials_are_encoded_decoded_and_scored_as_short_ones(variant):
    extra = VARIANTS[variant]
    model, x, forward = make(**extra), counts(), extra.get("forward_steps", 0)
    padded, target = x.copy(), np.pad(x, ((0, 0), (0, forward), (0, 0)))
    padded[2:, 5:] = target[2:, 5:] = np.nan
    # Nothing is to be predicted beyond the end of a short trial.
    short = np.pad(x[2:, :5], ((0, 0), (0, forward), (0, 0)), constant_values=np.nan)
    together, alone = model(padded, training=False), model(x[2:, :5], training=False)
    for part, wanted in zip(together["q_f"][:2], alone["q_f"][:2], strict=True):
        assert_close(part[2:], wanted)
    for part, wanted in zip(together["q_z"][:2], alone["q_z"][:2], strict=True):
        assert_close(part[2:, ..., :5, :], wanted[..., :5, :])
    assert_close(together["p_x"].mean()[2:, ..., :5, :], alone["p_x"].mean()[..., :5, :])
    together, alone = model.loss_terms(target, together), model.loss_terms(short, alone)
    assert_close(together["nll"][2:], alone["nll"])
    assert_close(together["kl_f"][2:], alone["kl_f"])
    if not forward:  # a whole trial pays for its forward steps, one that ended before has none
        assert_close(together["kl_z"][2:], alone["kl_z"])


def test_inference_of_padded_trials_is_that_of_short_ones():
    model, x = make(), counts()
    padded = x.copy()
    padded[2:, 5:] = np.nan
    found, wanted = model.encode(padded), model.encode(x[2:, :5])
    for part, alone in zip(found["q_f"][:2], wanted["q_f"][:2], strict=True):
        assert_close(part[2:], alone)
    for part, alone in zip(found["q_z"][:2], wanted["q_z"][:2], strict=True):
        assert_close(part[2:, :5], alone)
    assert_close(model.rates(padded)[2:, :5], model.rates(x[2:, :5]))


@pytest.mark.parametrize("to_f", [{"f_to_z": "z1"}, {"gen_cell_type": "BidirectionalSimpleRNN"}], ids=["z1", "gen"])
def test_samples_of_padded_trials_are_those_of_short_ones(to_f):
    """Noise of f is that of a trial, whatever its length; its samples repeat the rows that the mask has."""
    recurrent = {"f_rnn_type": "Dense", "f_enc_reduce": "mean", "z1_rnn_type": "BidirectionalSimpleRNN", "z2_units": 0}
    others = {"f_to_gen": "tile", "gen_cell_type": "Dense", "z_prior_process": "standard", "variational": True}
    model = make(**{**recurrent, **others, **to_f})
    short = counts(3, 5)
    padded = np.pad(short, ((0, 0), (0, 3), (0, 0)), constant_values=np.nan)

    drawn = {"f": model._graph_outputs["f"], "z": model._graph_outputs["q_z"].loc}
    graph = keras.Model(model.reads.symbols, drawn)

    def sampled(x):
        with sampling(PosteriorSamples(6, 1, layers=[drawn["f"].name])):
            return graph({"x": x})

    found, wanted = sampled(padded), sampled(short)
    assert_close(found["f"], wanted["f"])
    assert found["z"].shape == (6 if "f_to_z" in to_f else 3, 8, 4)
    assert_close(found["z"][:, :5], wanted["z"])
    assert model.rates(padded, samples=2).shape == (3, 8, 5)


def test_gradient_of_a_padded_batch_is_that_of_its_trials():
    model, x = make(gen_l2_reg=0.0), counts()
    padded = x.copy()
    padded[2:, 5:] = np.nan
    found = gradients(model, padded, training=False)
    whole, short = gradients(model, x[:2], training=False), gradients(model, x[2:, :5], training=False)
    for together, a, b in zip(found, whole, short, strict=True):
        assert_close(together, (2 * np.asarray(a) + 4 * np.asarray(b)) / 6, 1e-4)


def test_missing_samples_leave_the_loss_and_look_like_zeros_to_the_encoder():
    model, x = make(), counts()
    missing = np.random.default_rng(1).random(x.shape) < 0.3
    missing[:, -1] = False  # gaps, no ends
    holes = np.where(missing, np.nan, x).astype("float32")
    rates = model.rates(np.where(missing, 0, x))
    assert_close(model.rates(holes), rates)
    terms = model.loss_terms(holes, model(holes, training=False))
    elements = rates - x * np.log(rates) + gammaln(x + 1)
    assert_close(terms["nll"], np.where(missing, 0, elements).sum((1, 2)), 1e-4)


def test_gap_in_a_trial_keeps_its_kl():
    model, x = make(), counts()
    gap = x.copy()
    gap[:, 4:6] = np.nan
    zeros = np.where(np.isnan(gap), 0, gap)
    assert_close(model(gap, training=False)["kl_z"], model(zeros, training=False)["kl_z"])


@pytest.mark.slow
def test_model_with_missing_data_trains_and_is_saved():
    x = counts(8)
    x[3:, 6:] = np.nan
    x[0, 2, 1] = np.nan
    model = make(**FEW_LOOPS)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(x, epochs=8, batch_size=8, validation_data=(x, x), verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert np.isfinite(model.rates(x)).all()
    assert_close(saved_and_loaded(model).rates(x), model.rates(x))


@pytest.mark.slow
def test_export_takes_missing_data(tmp_path):
    model, x = make(**FEW_LOOPS), counts()
    x[2:, 5:] = np.nan
    export_saved_model(model, tmp_path / "m")
    loaded = tf.saved_model.load(tmp_path / "m")
    assert_close(loaded.rates(x)["rates"], model.rates(x))


def test_read_out_starts_at_the_mean_of_what_was_recorded():
    model, x = make(), counts()
    x[2:, 5:] = np.nan
    model.init_readout(x)
    assert_close(np.exp(model.get_layer("readout").bias), np.nanmean(x, (0, 1)))


def test_nan_is_refused_where_it_was_not_announced():
    model = build_sequential_vae(preset("default", **SMALL), None, 5)
    x = counts()
    x[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="missing_data=True"):
        model.rates(x)
    infinite = counts()
    infinite[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="1 values that are not finite"):
        make().rates(infinite)
