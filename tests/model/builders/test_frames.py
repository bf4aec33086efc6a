"""A model of films: convolutions for a read-in, and a read-out of every pixel."""

import keras
import numpy as np
import pytest

from indl.data import Trials
from indl.model import beta_vae
from indl.model.assemble import build_sequential_vae
from indl.model.memory import sequence_memory
from indl.params import preset, validate_params
from indl.training.fit import make_model, params_for, train
from tests.checks import PLAIN, QUICK, TINY, assert_same, check_model, saved_and_loaded
from tests.messages import faults

SHAPE = [8, 8, 3]
FILM = {
    **QUICK,
    **{"coordinated_dropout_rate": 0.0, "gen_cell_type": "Dense", "f_to_gen": "tile", "z_prior_process": "standard"},
    **{"frame_shape": SHAPE, "frame_filters": [8, 6], "frame_features": 16, "f_units": 16, "gen_n_hidden": 16},
}
SIGNALS = {"output_dist": "GaussianUnit"}


def films(n=12, n_frames=5, seed=0):
    """A bright square of one of three colours that walks through the frame: (n, frames, 8 * 8 * 3), and its colour."""
    x = np.random.default_rng(seed).uniform(0.0, 0.1, (n, n_frames, *SHAPE)).astype("float32")
    colour = np.arange(n) % 3
    for trial in range(n):
        for t in range(n_frames):
            x[trial, t, 3:6, t : t + 3, colour[trial]] = 4.0
    return x.reshape(n, n_frames, -1), colour


@pytest.mark.slow
def test_suite_of_the_published_model():
    x, _ = films()
    frames = {key: FILM[key] for key in ("frame_shape", "frame_filters", "frame_features")}
    model = check_model(preset("dsae_full", **{**TINY, **SIGNALS, **frames}, input_transform=None), x, steps=12)
    assert model.factors(x).shape == (12, 5, 3)
    q = model.encode(x)
    assert np.asarray(model.decode(q["q_f"].loc, q["q_z"].loc).loc) == pytest.approx(model.rates(x), abs=1e-5)


def test_training_starts_at_the_mean_colours_and_learns_the_film():
    x, colour = films(40)
    recording = Trials(x, 0.1, label=colour, are_counts=False).split(valid=range(30, 40))
    p = preset("dsae_full", **{**FILM, **SIGNALS}, input_transform=None, learning_rate=3e-2, batch_size=30)
    model = make_model(params_for(p, recording), recording)
    error = x - np.tile(x[:30].reshape(-1, 3).mean(0), 64)
    start = 0.5 * (np.square(error).sum((1, 2)).mean() + np.log(2 * np.pi) * x[0].size)
    assert model.evaluate(x, return_dict=True, verbose=0)["nll"] == pytest.approx(start, rel=0.02)
    train(p, recording, model=model, epochs=40, hidden_every=40)
    rates = model.rates(x)
    assert np.square(rates - x).mean() < 0.6 * np.square(error).mean()
    assert_same(saved_and_loaded(model).rates(x), rates)


def test_builders_pass_what_is_no_film():
    x = keras.Input((None, 9))
    assert beta_vae.create_frame_encoder({}, x) is x and beta_vae.create_frame_decoder({}, x) is x


def test_shapes_of_the_builders():
    p = {**FILM, "out_dim": 192}
    f_in, z_in, mask = beta_vae.prepare_inputs(p, keras.Input((5, 192)))
    assert f_in.shape == z_in.shape == (None, 5, 16) and mask.shape == (None, 5, 192)
    for dist, parts in (("GaussianUnit", 2), ("Gaussian", 2), ("Poisson", 1)):
        p_x = beta_vae.output_dist({**p, "output_dist": dist}, keras.Input((2, 5, 3)))
        assert len(p_x) == parts and all(part.shape == (None, 2, 5, 192) for part in p_x)


def test_a_pixel_keeps_its_place():
    """The last convolution moves with its input, so that a feature map shifted by one shifts the frame by two."""
    x = keras.Input((None, 3))
    p = {**FILM, "frame_filters": [4], "out_dim": 192, "output_dist": "GaussianUnit"}
    model = keras.Model(x, beta_vae.output_dist(p, x).loc)
    decoder = model.get_layer("frame_decoder")
    kernel, *others = decoder.get_weights()
    kernel[:] = 0
    places = kernel.reshape(3, 4, 4, 4)
    places[0, 1, 1, 2] = places[1, 1, 2, 2] = 1.0
    decoder.set_weights([kernel, *others])
    one, two = np.asarray(model(np.eye(3, dtype="float32")[None, :2])).reshape(2, *SHAPE)
    assert np.abs(one[1:5, 1:5]).max() > 0 and one[1:5, 1:5] == pytest.approx(two[1:5, 3:7], abs=1e-6)


@pytest.mark.parametrize("changes", [{}, {"frame_filters": [9, 5, 11]}, {"output_dist": "Gaussian"}])
def test_memory_counts_the_weights(changes):
    p = validate_params({**PLAIN, **FILM, "z_latent_size": 0, **changes})
    real, counted = build_sequential_vae(p, None, 192).count_params(), sequence_memory(p, 9, 9, 192)
    assert real <= counted.weights <= 1.1 * real + 500
    wide = sequence_memory({**p, "frame_filters": [64, 64]}, 9, 9, 192)
    assert wide.step > counted.step


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"frame_shape": [8, 8]}, ["frame_shape=[8, 8]", "[16, 16, 3]"]),
        ({"frame_shape": 64}, ["frame_shape=64"]),
        ({"frame_shape": [6, 8, 3]}, ["frame_filters=[8, 6]", "multiples of 4"]),
        ({"out_dim": 200}, ["192", "out_dim=200"]),
        ({"input_factors": 4}, ["input_factors=4", "frame_features"]),
        ({"n_sessions": 2, "input_factors": 4}, ["one session"]),
    ],
)
def test_what_cannot_be_combined_is_refused(changes, names):
    with pytest.raises(ValueError) as error:
        validate_params({**FILM, **changes})
    message = str(error.value)
    assert all(name in message for name in names) and not faults(message), (message, faults(message))


@pytest.mark.parametrize("n_channels, out_dim", [(100, None), (190, 192)])
def test_channels_must_be_the_pixels(n_channels, out_dim):
    with pytest.raises(ValueError) as error:
        build_sequential_vae({**FILM, "out_dim": out_dim}, None, n_channels)
    message = str(error.value)
    assert str(n_channels) in message and "192" in message and not faults(message), (message, faults(message))
