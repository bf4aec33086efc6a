"""One model of several sessions: what each session owns, what they share, and one session more."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from indl import metrics
from indl.data import Trials, join_sessions, load_recording, pad_session
from indl.evaluation import evaluate
from indl.export import export_saved_model
from indl.model.assemble import build_sequential_vae
from indl.model.inputs.of_recording import inputs_of, session_inputs
from indl.params import preset
from indl.training.fit import fit_batches, make_model, params_for, train
from indl.training.pcr import condition_averages, principal_components_regression
from indl.training.sessions import add_session, init_sessions, set_session
from tests.checks import QUICK, TINY, assert_close, assert_same, gradients, saved_and_loaded
from tests.messages import faults

# What sessions own is around the core, which is therefore the one that is traced fastest.
PARAMS = {**QUICK, "input_factors": 3, "batch_size": 8, "epochs": 2, "patience": 0}
OWN = ("read_in", "readout")


def recording(channels, trials=12, seed=0, **how):
    rng = np.random.default_rng(seed)
    return Trials(rng.poisson(1.0, (trials, 6, channels)) + 0.0, 0.02, label=np.arange(trials) % 2).split(**how)


DAYS = {"a": recording(3), "b": recording(5, 20, seed=1)}


@pytest.fixture(scope="module")
def joined():
    return join_sessions(DAYS)


@pytest.fixture(scope="module")
def model(joined):
    return make_model(PARAMS, joined)


def with_channels(recording, which):
    """Some channels of a recording without held-out ones."""

    def part(split):
        counts = np.array(split.recon[..., which])
        return dataclasses.replace(split, encod=counts, recon=counts)

    return dataclasses.replace(
        recording,
        train=part(recording.train),
        valid=part(recording.valid),
        channel_ids=np.array(recording.channel_ids[which]),
    )


def refused(call, *words):
    """The call raises an error that is worded well and says all of `words`."""
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert not faults(message)


def own_parts(model):
    return {f"{name}/{v.name}": np.array(v) for name in OWN for v in model.get_layer(name).weights}


def test_read_outs_start_at_the_mean_rates_of_their_sessions(model, joined):
    readout = model.get_layer("readout")
    for name, (number, channels) in joined.sessions.items():
        mean = DAYS[name].train.recon.mean((0, 1))
        assert_close(np.exp(readout.bias[number])[channels], mean)
        # A channel that the session does not have has a constant rate of about nothing.
        absent = np.setdiff1d(np.arange(5), channels)
        assert not np.asarray(readout.kernel)[number][:, absent].any()
    rates = model.rates(inputs_of(model, joined.valid))[joined.valid.session == 0]
    assert_close(rates[..., 3:], np.full_like(rates[..., 3:], 1e-4))


def test_each_session_is_the_model_of_its_own_slices(model, joined):
    """A model of one session with the slices of session s gives the rates of session s."""
    x = inputs_of(model, joined.valid)
    found = joined.by_session(model.rates(x))
    for number, (name, day) in enumerate(DAYS.items()):
        n = day.n_channels
        alone = build_sequential_vae({**PARAMS, "out_dim": n}, None, n)
        layers = {layer.name: layer for layer in model.layers}
        for layer in alone.layers:
            if layer.name == "read_in":
                kernel, bias = layers["read_in"].weights
                layer.set_weights([kernel[number, :n], bias[number]])
            elif layer.name == "readout":
                kernel, bias = layers["readout"].weights
                layer.set_weights([kernel[number, :, :n], bias[number, :n]])
            elif layer.weights:
                layer.set_weights(layers[layer.name].get_weights())
        assert_close(alone.rates(day.valid.encod), found[name])
        given = session_inputs(model, day.valid.encod, number)
        assert_close(model.rates(given)[..., :n], found[name])
        terms, wanted = (
            one.loss_terms(y, one(z, training=False))
            for one, y, z in (
                (model, np.asarray(given["x"]), given),
                (alone, day.valid.recon, np.asarray(day.valid.encod)),
            )
        )
        for key in ("nll", "kl_f", "kl_z", "heldin_nll"):
            assert_close(terms[key], wanted[key], 2e-5)


def test_gradient_of_one_session_leaves_the_others(model, joined):
    only = joined.only("b").train
    found = gradients(model, {"x": only.encod, "session": only.session}, only.recon, training=False)
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        assert isinstance(gradient, tf.Tensor)
        if variable.path.startswith(OWN):
            assert not np.any(gradient[0]) and np.any(gradient[1]), variable.path


def test_padding_and_what_stands_there_do_not_matter(model, joined):
    """Weights of channels that a session does not have change nothing, nor do they get a gradient."""
    x = inputs_of(model, joined.valid)
    before = joined.by_session(model.rates(x)), model.evaluate(x, joined.valid.recon, verbose=0)
    kept = {name: model.get_layer(name).get_weights() for name in OWN}
    kernel, bias = (np.array(weight) for weight in kept["read_in"])
    kernel[0, 3:] = 7.0
    model.get_layer("read_in").set_weights([kernel, bias])
    kernel, bias = (np.array(weight) for weight in kept["readout"])
    kernel[0, :, 3:], bias[0, 3:] = -3.0, 2.0
    model.get_layer("readout").set_weights([kernel, bias])
    try:
        after = joined.by_session(model.rates(x)), model.evaluate(x, joined.valid.recon, verbose=0)
        found = gradients(model, x, joined.valid.recon, training=False)
    finally:
        for name, weights in kept.items():
            model.get_layer(name).set_weights(weights)
    assert_same(after, before)
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        if variable.path == "read_in/kernel":
            assert not np.any(gradient[0, 3:]) and np.any(gradient[0, :3])
        if variable.path == "readout/kernel":
            assert not np.any(gradient[0, :, 3:]) and np.any(gradient[0, :, :3])


def test_loss_is_the_mean_over_sessions_of_each_sessions_mean(joined):
    params = {**PARAMS, "loss_reduction": "mean", "kl_f_beta": 0.0, "kl_z_beta": 0.0, "gen_l2_reg": 0.0}
    model = build_sequential_vae(params_for(params, joined), None, 5)
    part = joined.train
    which = np.concatenate([np.flatnonzero(part.session == s)[:4] for s in (0, 1)])
    x, target = {"x": part.encod[which], "session": part.session[which]}, np.array(part.recon[which])
    target[1, 2:] = np.nan  # a sample that is missing within a session
    outputs = model(x, training=False)
    # Channels, and so samples, of both sessions differ: 3 and 5 a bin.
    rates = np.asarray(outputs["p_x"].mean(), "float64")
    elements = np.asarray(outputs["p_x"].log_prob(np.nan_to_num(target)), "float64")
    elements = np.where(np.isnan(target), np.nan, -elements)
    assert rates.shape == elements.shape
    wanted = np.mean([np.nanmean(elements[:4]), np.nanmean(elements[4:])])
    assert_close(model.compute_loss(x, target, outputs, training=False), wanted)


def test_sampling_decoding_and_generating_read_out_the_session(model, joined, tmp_path):
    x = inputs_of(model, joined.valid)
    # Samples of one trial do not depend on whose trials come with it.
    whole = model.rates(x, samples=3)
    assert_close(model.rates({key: value[:1] for key, value in x.items()}, samples=3)[0].shape, whole[0].shape)
    q = model.encode(x)
    again = model.decode(q["q_f"].loc, q["q_z"].loc, session=joined.valid.session).mean()
    assert_close(again, model.rates(x))
    assert_close(model.reconstruct(x), model.rates(x))
    latents = {"f": q["q_f"].loc[:1], "z": q["q_z"].loc[:1]}
    both = [model.generate(1, 6, session=s, **latents)["rates"] for s in (0, 1)]
    assert_close(both[0][0], np.asarray(model.decode(*latents.values(), session=[0]).mean())[0])
    assert not np.allclose(*both)
    refused(lambda: model.decode(**latents), "read-out for each session", "one for each trial")
    refused(lambda: model.rates({**x, "session": x["session"] + 1}), "does not have", "[1.0, 2.0]", "2 sessions")
    refused(lambda: model.rates(x["x"]), "more than one array", "session (trials,)")
    refused(lambda: session_inputs(model, np.ones((2, 6, 6)), 0), "more channels", "6 for 5", "held-in")
    export_saved_model(model, tmp_path / "m")
    loaded = tf.saved_model.load(tmp_path / "m")
    session = tf.constant(x["session"], tf.int32)
    assert_close(loaded.rates(tf.constant(x["x"]), session)["rates"], model.rates(x))


def test_posterior_samples_keep_their_session(model, joined):
    """Rates of samples are those of decoded draws: no other session's read-out comes in."""
    x = inputs_of(model, joined.valid)
    found = model.rates(x, samples=2, seed=3)[joined.valid.session == 0]
    assert_close(found[..., 3:], np.full_like(found[..., 3:], 1e-4))
    assert (found[..., :3] > 0.1).all()


@pytest.mark.slow
def test_training_resumes_and_is_saved(joined, tmp_path):
    params = {**PARAMS, "coordinated_dropout_rate": 0.3, "loss_reduction": "mean"}
    result = train(params, joined)
    assert np.isfinite(list(result.history.values())).all()
    # 16 trials of the longer session, 4 of them a batch.
    assert fit_batches(params_for(params, joined), joined)["steps_per_epoch"] == 4
    x = inputs_of(result.model, joined.valid)
    loaded = saved_and_loaded(result.model)
    assert_same(loaded.rates(x), result.model.rates(x))
    assert loaded.params["n_sessions"] == 2
    kept = train(params, joined, folder=tmp_path).model
    again = train(params, joined, folder=tmp_path).model
    assert_same(again.rates(x), kept.rates(x))
    scores = evaluate(result.model, joined.only("a"), samples=0)
    # Averages of trials that are noise have no score.
    assert np.isfinite([value for name, value in scores.items() if name != "psth_r2"]).all()


def test_model_of_several_sessions_needs_a_read_in_and_sessions(joined):
    refused(lambda: params_for(TINY, joined), "share a core", "n_sessions=2, input_factors=0", "Set input_factors")
    refused(lambda: fit_batches(params_for({**PARAMS, "n_sessions": 2}, DAYS["a"]), DAYS["a"]), "session of each")


@pytest.mark.parametrize("readout", ["pinv", pytest.param("transpose", marks=pytest.mark.slow)])
def test_sessions_start_at_their_principal_components_regression(model, joined, readout):
    averages = [condition_averages(day.train.encod, day.train.label, 0.02) for day in DAYS.values()]
    alignment = principal_components_regression(averages, 3, readout=readout)
    fresh = make_model(PARAMS, joined)
    init_sessions(fresh, alignment)
    read_in, read_out = (fresh.get_layer(name) for name in OWN)
    for number, (day, weights) in enumerate(zip(DAYS.values(), alignment.sessions, strict=True)):
        n = day.n_channels
        assert_close(read_in.kernel[number, :n], weights.readin_weight)
        assert not np.asarray(read_in.kernel)[number, n:].any()
        # Mean counts are read in as zero, and zero factors are read out as mean rates.
        mean = np.zeros((1, 1, 5), "float32")
        mean[..., :n] = averages[number].mean((0, 1))
        assert_close(read_in(mean, np.array([number])), np.zeros((1, 1, 3)), 1e-5)
        assert_close(read_out(np.zeros((1, 1, 3), "float32"), np.array([number])).mean()[..., :n], mean[..., :n], 1e-5)
        back = np.linalg.pinv(weights.readin_weight) if readout == "pinv" else weights.readin_weight.T
        assert_close(read_out.kernel[number, :, :n], back)
    assert not read_in.trainable and fresh.params["read_in_trainable"] is False
    assert read_out.trainable and saved_and_loaded(fresh).get_layer("read_in").trainable is False


def test_frozen_read_ins_stay_in_training(joined):
    params = {**PARAMS, "z_latent_size": 0, "gen_cell_type": "Dense", "f_to_gen": "tile"}
    model = make_model(params, joined)
    averages = [condition_averages(day.train.encod, day.train.label, 0.02) for day in DAYS.values()]
    init_sessions(model, principal_components_regression(averages, 3))
    before = own_parts(model)
    after = own_parts(train(params, joined, model=model, epochs=1).model)
    for name in before:
        assert np.array_equal(before[name], after[name]) == name.startswith("read_in"), name
    refused(lambda: init_sessions(model, principal_components_regression(averages[:1], 3)), "every session", "1 for 2")
    few = principal_components_regression(averages, 2).sessions[0]
    refused(lambda: set_session(model, 0, few), "do not fit", "2 components", "input_factors=3")


@pytest.mark.slow
def test_session_more_leaves_the_others_to_the_last_bit(model, joined):
    x = inputs_of(model, joined.valid)
    rates, latents = model.rates(x), model.encode(x)
    new, added = add_session(model, recording(4, seed=7), "c")
    assert (new.params["n_sessions"], added.sessions["c"].number) == (3, 2)
    assert_same(new.rates(x), rates)
    assert_same(new.encode(x), latents)
    mean = added.by_session(added.train.recon, "train")["c"].mean((0, 1))
    assert_close(np.exp(new.get_layer("readout").bias[2, :4]), mean)
    before, start = own_parts(new), new.rates(inputs_of(new, added.valid))
    trained = train(new.params, added, model=new).model
    assert_same(trained.rates(x), rates)
    assert_same(trained.encode(x), latents)
    after = own_parts(trained)
    for name in before:
        assert_same(after[name][:2], before[name][:2])
        assert not np.array_equal(after[name][2], before[name][2]), name
    assert not np.allclose(trained.rates(inputs_of(new, added.valid)), start)
    refused(lambda: add_session(model, recording(4, forward_steps=1)), "predicts and reads", "1 forward steps", "alike")


@pytest.mark.parametrize("kind", ["Poisson", pytest.param("ZeroInflatedGamma", marks=pytest.mark.slow)])
def test_wider_session_makes_room_on_both_sides(kind):
    """Held-in and held-out channels of the others keep their weights where the new session has more of both."""
    days = {"a": recording(4, heldout=[1]), "b": recording(5, seed=1, heldout=[0, 1])}
    joined = join_sessions(days)
    model = make_model({**PARAMS, "output_dist": kind, "gamma_loc": 0.5}, joined)
    new, added = add_session(model, recording(9, seed=2, heldout=[0, 1, 2, 3]))
    assert (new.x.shape[-1], new.params["out_dim"]) == (5, 9)
    wide = join_sessions({**days, "c": recording(9, seed=2, heldout=[0, 1, 2, 3])})
    found = wide.by_session(new.rates(inputs_of(new, wide.valid)))
    wanted = joined.by_session(model.rates(inputs_of(model, joined.valid)))
    for name in days:
        assert_close(found[name], wanted[name], 1e-6)


def test_single_session_gets_company():
    """A model of one session with a read-in becomes one of two."""
    day, other = DAYS["b"], DAYS["a"]
    alone = make_model(PARAMS, day)
    new, added = add_session(alone, other, train_core=True)
    assert new.params["n_sessions"] == 2 and new.params["core_trainable"]
    assert_close(new.rates(session_inputs(new, day.valid.encod, 0)), alone.rates(day.valid.encod), 1e-6)
    padded = pad_session(other, 1, 5)
    np.testing.assert_array_equal(added.train.recon, padded.train.recon)
    refused(lambda: add_session(make_model({**PARAMS, "input_factors": 0}, day), other), "with a read-in", "0")


@pytest.mark.slow
def test_halves_of_a_recording_train_in_one_model(recording_path):
    """Two sessions of 48 and 30 channels of one recording; a third, of 18, is added and leaves them as they are."""
    whole = load_recording(recording_path("adan_day0.h5")).as_full()
    channels = np.random.default_rng(0).permutation(96)
    days = {
        name: with_channels(whole, np.sort(which))
        for name, which in zip("abc", np.split(channels, [48, 78]), strict=True)
    }
    joined = join_sessions({name: days[name] for name in "ab"})
    params = preset("lfads_small", input_factors=16, epochs=60, patience=0, kl_f_ramp=20, kl_z_ramp=20, l2_ramp=20)
    model = train(params, joined).model
    x = inputs_of(model, joined.valid)
    rates = model.rates(x)
    for name, found in joined.by_session(rates).items():
        assert metrics.bits_per_spike(found, days[name].valid.recon) > 0.05
    new, added = add_session(model, days["c"], "c")
    new = train({**new.params, "epochs": 60}, added, model=new).model
    assert_same(new.rates(x), rates)
    own = added.by_session(new.rates(inputs_of(new, added.valid)))["c"]
    assert metrics.bits_per_spike(own, days["c"].valid.recon) > 0.05
