"""Training on augmented batches: what reaches the model, resuming, and selection by hidden samples."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from indl.data.batches.sample_mask import SampleMask
from indl.data.simulate.lorenz import lorenz
from indl.data.values.trials import Trials
from indl.params import preset
from indl.training.fit import fit_batches, params_for, train
from tests.checks import PLAIN
from tests.restarted import Restarted

# Augmentations do not know what reads them.
SMALL = {**PLAIN, "f_units": 6, "f_latent_size": 3, "gen_n_hidden": 6, "batch_size": 16, "jit_compile": "off"}
AUGMENTED = {"spike_jitter_width": 1, "temporal_shift_std": 1.0, "sample_validation_rate": 0.25, "seed": 3}

pytestmark = pytest.mark.usefixtures("graphs_as_elsewhere")


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=10, n_conditions=8, n_trials=10, n_bins=12, seed=1, heldout=3)


def taken(arguments, epochs=1, name="x"):
    """The batches that `fit` would be fed in some epochs."""
    steps = epochs * arguments["steps_per_epoch"] if name == "x" else -1
    return list(arguments[name].take(steps).as_numpy_iterator())


def assert_equal_batches(found, expected):
    assert len(found) == len(expected)
    for (x, target), (wanted_x, wanted) in zip(found, expected, strict=True):
        assert x.keys() == wanted_x.keys() == {"x", "sample_mask"}
        for name in x:
            np.testing.assert_array_equal(x[name], wanted_x[name])
        np.testing.assert_array_equal(target, wanted)


def test_only_training_batches_are_augmented_and_a_resumed_run_gets_the_same(recording):
    p = params_for(preset("default", **SMALL, **AUGMENTED), recording)
    whole = taken(fit_batches(p, recording), 3)
    steps = len(whole) // 3
    assert_equal_batches(taken(fit_batches(p, recording, first=2)), whole[2 * steps :])
    masks = {
        part: SampleMask(getattr(recording, part).encod.shape, 0.25, seed=(3, i))
        for i, part in enumerate(("train", "valid"))
    }
    arguments = fit_batches(p, recording)
    valid = taken(arguments, name="validation_data")
    assert_equal_batches(valid, taken(arguments, name="validation_data"))
    joined = [np.concatenate(parts) for parts in zip(*((x["x"], x["sample_mask"], y) for x, y in valid), strict=True)]
    for found, wanted in zip(joined, (recording.valid.encod, masks["valid"][:], recording.valid.recon), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # The masks go with the trials, whatever was moved in them: without augmentation trials tell which is which.
    plain = taken(fit_batches({**p, "spike_jitter_width": 0, "temporal_shift_std": 0.0}, recording), 3)
    trials = {trial.tobytes(): i for i, trial in enumerate(np.asarray(recording.train.encod))}
    changed = 0
    for (x, target), (plain_x, plain_target) in zip(whole, plain, strict=True):
        wanted = masks["train"][[trials[trial.tobytes()] for trial in plain_x["x"]]]
        np.testing.assert_array_equal(x["sample_mask"], wanted)
        np.testing.assert_array_equal(plain_x["sample_mask"], wanted)
        np.testing.assert_array_equal(plain_target[..., : recording.n_heldin], plain_x["x"])
        changed += np.mean(x["x"] != plain_x["x"]) * np.mean(target != plain_target)
    assert changed > 0
    jittered = taken(fit_batches({**p, "temporal_shift_std": 0.0}, recording))
    for (x, target), (plain_x, _) in zip(jittered, plain, strict=False):
        np.testing.assert_array_equal(target[..., : recording.n_heldin], x["x"])
        np.testing.assert_array_equal(x["x"].sum(1), plain_x["x"].sum(1))


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    """Ends a run at the beginning of an epoch, as a crash would."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.at:
            raise Killed


@pytest.mark.slow
def test_killed_run_ends_at_the_same_numbers_and_is_chosen_by_hidden_samples(recording, tmp_path):
    p = preset("default", **SMALL, **AUGMENTED, monitor="val_sample_nll")
    model = Restarted(p, recording)
    result = train(p, recording, epochs=2, model=model())
    wanted = result.history
    with pytest.raises(Killed):
        train(p, recording, epochs=2, folder=tmp_path, callbacks=[KillAfter(1)], model=model())
    result = train(p, recording, epochs=2, folder=tmp_path, model=model())
    assert result.history == wanted
    best = int(np.argmin(result.history["val_sample_nll"]))
    assert result.monitor == "val_sample_nll" and result.best_epoch == best
    x = np.array(recording.valid.encod)
    visible = SampleMask(x.shape, 0.25, seed=(3, 1))[:]
    element = result.model.log_prob({"x": x, "sample_mask": visible}, recording.valid.recon)[..., : recording.n_heldin]
    assert result.history["val_sample_nll"][best] == pytest.approx(-element[~visible].sum() / 0.25 / len(x), rel=1e-4)
    assert result.history["val_heldin_nll"][best] == pytest.approx(-element[visible].sum() / 0.75 / len(x), rel=1e-4)


def test_missing_samples_are_shifted_but_not_jittered(recording):
    holes = [
        replace(part, encod=gaps[..., : recording.n_heldin], recon=gaps)
        for part in (recording.train, recording.valid)
        for gaps in [np.where(np.random.default_rng(0).random(part.recon.shape) < 0.1, np.nan, part.recon)]
    ]
    missing = replace(recording, train=holes[0], valid=holes[1])
    p = params_for(preset("default", **SMALL, temporal_shift_std=2.0), missing)
    for x, target in taken(fit_batches(p, missing)):
        assert 0 < np.isnan(x).mean() < 0.2 and 0 < np.isnan(target).mean() < 0.2
    with pytest.raises(ValueError, match="Given: spike_jitter_width=1, missing_data=True"):
        params_for(preset("default", **SMALL, spike_jitter_width=1), missing)


def test_signals_have_no_spikes_to_jitter():
    signals = Trials(np.random.default_rng(0).normal(size=(20, 8, 4)), 0.02, are_counts=False).split()
    p = params_for(preset("default", **SMALL, output_dist="Gaussian", spike_jitter_width=1), signals)
    with pytest.raises(ValueError, match="a recording of signals"):
        fit_batches(p, signals)
