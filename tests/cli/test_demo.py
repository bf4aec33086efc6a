"""The demo's settings: both latents carry what is theirs."""

import numpy as np
import pytest

from indl.cli.app import DEMO_SETTINGS
from indl.data import lorenz
from indl.metrics import rate_r2_flat
from indl.params import preset
from indl.training import train


@pytest.mark.slow
def test_f_is_the_start_of_a_trial_and_z_what_follows():
    recording = lorenz(seed=0, heldout=5)
    params = preset("default", **DEMO_SETTINGS, gen_n_hidden=100, f_units=64, jit_compile="off")
    model = train(params, recording, epochs=22, hidden_every=22).model
    x, truth = recording.valid.encod, recording.valid.truth
    terms = model.evaluate(x, recording.valid.recon, verbose=0, return_dict=True)
    assert terms["kl_f"] > 1 and terms["kl_z"] > 5
    order = np.random.default_rng(0).permutation(len(x))
    swapped = model.reconstruct(x, swap="z", order=order)
    first, last = slice(0, 2), slice(25, None)
    # Trials that keep f and take another z begin as themselves and go on as the other.
    assert rate_r2_flat(swapped[:, first], truth[:, first]) > rate_r2_flat(swapped[:, first], truth[order][:, first])
    assert rate_r2_flat(swapped[:, last], truth[order][:, last]) > rate_r2_flat(swapped[:, last], truth[:, last]) + 0.5
