"""What a model makes of held, exchanged and moved latents, against decoding by hand."""

import numpy as np
import pytest

from indl.model.traversal import traverse
from tests.checks import QUICK, assert_close, counts, tiny_model

X = counts()


@pytest.fixture(scope="module")
def model():
    """A model with both latents, whose posteriors differ from trial to trial."""
    built = tiny_model(None, **QUICK)
    for name in ("q_f", "q_z"):
        built.get_layer(name).loc.kernel.assign(3 * built.get_layer(name).loc.kernel)
    return built


@pytest.mark.parametrize("name", ["f", "z"])
def test_one_latent_is_held_while_the_other_is_drawn(model, name):
    other = {"f": "z", "z": "f"}[name]
    drawn = model.generate(4, 8, seed=3, **{f"fix_{name}": True})
    assert np.ptp(drawn[name], axis=0).max() == 0 and np.ptp(drawn[other], axis=0).min() > 0
    assert_close(drawn["rates"], model.decode(drawn["f"], drawn["z"]).mean())
    free = model.generate(4, 8, seed=3)
    # The first trial is the one whose draw all share.
    assert_close(drawn[name][0], free[name][0], 0)
    assert_close(drawn[other], free[other], 0)


@pytest.mark.parametrize("name", ["f", "z"])
def test_a_latent_is_held_at_a_trials_own(model, name):
    own = np.asarray(model.encode(X)[f"q_{name}"].loc)[2]
    drawn = model.generate(3, 8, **{f"fix_{name}": own})
    assert_close(drawn[name], np.stack([own] * 3))


def test_a_latent_is_held_or_given(model):
    with pytest.raises(ValueError, match="Given: fix_f for f too. Pass one of the two"):
        model.generate(2, 8, f=np.zeros((2, 3)), fix_f=True)
    with pytest.raises(ValueError, match=r"fix_z for a model of \['f'\]"):
        tiny_model(None, **QUICK, z_latent_size=0).generate(2, 8, fix_z=True)


def test_exchanged_latents_are_decoded(model):
    q = model.encode(X)
    f, z = (np.asarray(q[name].loc) for name in ("q_f", "q_z"))
    order = np.array([2, 0, 1, 5, 3, 4])
    assert_close(model.reconstruct(X, "f", order), model.decode(f[order], z).mean())
    assert_close(model.reconstruct(X, "z"), model.decode(f, z[::-1]).mean())
    assert_close(model.reconstruct(X), model.rates(X))


@pytest.mark.parametrize("latent", ["f", "z"])
def test_a_traversal_moves_one_dimension(model, latent):
    q = model.encode(X)
    own = {name: np.asarray(q[f"q_{name}"].loc) for name in ("f", "z")}
    spread = own[latent].reshape(-1, own[latent].shape[-1]).std(0)
    found = traverse(model, X, latent, [1, 0], trial=4, steps=3, span=1.5)
    assert_close(found.offsets, [-1.5, 0, 1.5])
    assert found.rates.shape == (2, 3, 8, 5) and found.dimensions.tolist() == [1, 0]
    assert_close(found.rates[:, 1], np.stack([model.rates(X)[4]] * 2))
    moved = {name: value[4:5].copy() for name, value in own.items()}
    moved[latent][..., 1] += 1.5 * spread[1]
    assert_close(found.rates[0, 2], model.decode(moved["f"], moved["z"]).mean()[0])


def test_dimensions_that_tell_most_come_first(model):
    q = model.encode(X)["q_f"]
    told = np.var(q.loc, axis=0) / np.mean(np.square(q.scale), axis=0)
    assert traverse(model, X).dimensions.tolist() == np.argsort(-told).tolist()


def test_what_cannot_be_moved_is_told(model):
    with pytest.raises(ValueError, match=r"latent='g'. Choose one of \['f', 'z'\]"):
        traverse(model, X, "g")
    for wrong in ({"dimensions": [3]}, {"trial": 6}, {"dimensions": []}):
        with pytest.raises(ValueError, match="Given: trial=.* for 6 trials and 3 dimensions"):
            traverse(model, X, **wrong)
