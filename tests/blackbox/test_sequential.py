"""A sequential model as two objects: its own densities, its own evidence, and training by their losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.blackbox import RWS, VIMCO, DReG, QSleep, SequentialGenerator, SequentialInference, log_evidence, update
from indl.model.densities import latent_densities
from tests.checks import PLAIN, assert_close, counts, tiny_model
from tests.messages import faults
from tests.model.test_many_samples import BOTH, COMPLEX

X = counts(6)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**BOTH)


def sides(model):
    return SequentialInference(model), SequentialGenerator(model, n_dreams=5)


def test_densities_are_the_models_own(model):
    inf, gen = sides(model)
    latents = inf([X]).sample()
    again = inf([X]).sample()
    assert latents[0].shape == (6, 3, 3) and latents[1].shape == (6, 3, 8, 2)
    assert np.abs(latents[0] - again[0]).min() > 0
    log_q, log_p = inf.log_prob(latents), gen([X], latents).log_prob([X], latents)
    out = {**gen._out, "f": latents[0], "z": latents[1]}
    found = latent_densities(model, out, {"x": X})
    assert_close(log_q, found["log_q_f"] + found["log_q_z"])
    likelihood = gen.p_x_.log_prob(X[:, None])
    assert_close(log_p, np.sum(likelihood, (-2, -1)) + found["log_p_f"] + found["log_p_z"], 1e-4)


@pytest.mark.slow
def test_the_evidence_is_the_models_own():
    model = tiny_model(**{**PLAIN, "q_f_init_std": 1.0, "f_prior_init_std": 0.7, "q_f_samples": 400})
    assert_close(log_evidence(VIMCO(*sides(model)), [X], 4000), model.log_evidence(X, n_samples=4000), 2e-3)


@pytest.mark.parametrize("params", [BOTH, pytest.param(COMPLEX, marks=pytest.mark.slow), {**BOTH, "q_f_samples": 1}])
def test_every_variable_belongs_to_one_side(params):
    model = tiny_model(**params)
    inf, gen = sides(model)
    of_q, of_p = ({v.path for v in side.trainable_variables} for side in (inf, gen))
    assert not of_q & of_p and of_q | of_p == {v.path for v in model.trainable_variables}
    with tf.GradientTape() as tape:
        loss = QSleep(inf, gen)([X])
    found = tape.gradient(loss, [v.value for v in model.trainable_variables])
    reached = {v.path for v, slope in zip(model.trainable_variables, found, strict=True) if slope is not None}
    # A controller reads the factors of its generator; else what q(f, z | x) is made of is its side alone.
    assert of_q <= reached and (params is COMPLEX or reached == of_q)


def test_losses_train_it(model):
    x = counts(24, seed=3)
    loss, adam = DReG(*sides(model)), keras.optimizers.Adam(0.02)
    for _ in range(8):
        update([x], (loss, adam))
    assert np.mean(loss.bound_history_[-3:]) > np.mean(loss.bound_history_[:3]) + 1
    sleep = RWS(*sides(model), phi="both")
    update([x], (sleep, keras.optimizers.Adam(1e-3)))
    assert np.isfinite(sleep.loss_history_[0])


def test_dreams_have_one_density_each(model):
    inf, gen = sides(model)
    (x,), latents = gen.sample()
    assert x.shape == (5, 8, 5) and inf([x]).log_prob(latents).shape == (5, 1)


def test_dreams_are_as_long_as_the_data():
    model = tiny_model(None, **BOTH)
    inf, gen = sides(model)
    with pytest.raises(ValueError) as told:
        gen.sample()
    assert not faults(str(told.value)) and "Pass n_times" in str(told.value)
    latents = inf([X[:, :6]]).sample()
    gen([X[:, :6]], latents)
    assert gen.sample()[0][0].shape == (5, 6, 5)


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError) as told:
        SequentialInference(keras.Sequential())
    assert not faults(str(told.value)) and "build_sequential_vae" in str(told.value)
