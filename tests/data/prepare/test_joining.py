"""Several recordings as one: where everything goes, how it is dealt, and how it comes apart again."""

import numpy as np
import pytest

from indl.data import Batches, Split, Trials, join_sessions, load_recording, pad_session, save_recording
from tests.messages import faults


def recording(trials, channels, seed, heldout=(), forward_steps=0, **kwargs):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, (trials, 6, channels)).astype("float32")
    given = {"label": np.arange(trials) % 2, "behavior": rng.normal(size=(trials, 6, 2)), "truth": counts + 0.5}
    return Trials(counts, 0.02, **{**given, **kwargs}).split(heldout=list(heldout), forward_steps=forward_steps)


def refused(call, *words):
    """The call raises an error that is worded well and says all of `words`."""
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert not faults(message)


DAYS = {"a": recording(10, 3, 0, [2]), "b": recording(25, 5, 1, [0, 1]), "c": recording(15, 2, 2)}


@pytest.fixture(scope="module")
def joined():
    return join_sessions(DAYS)


def test_held_in_and_held_out_channels_are_padded_apart(joined):
    assert (joined.n_heldin, joined.n_heldout, joined.has_missing) == (3, 2, True)
    layout = {"a": [0, 1, 3], "b": [0, 1, 2, 3, 4], "c": [0, 1]}
    for number, name in enumerate(DAYS):
        assert joined.sessions[name].number == number
        assert joined.sessions[name].channels.tolist() == layout[name]
        for part in ("train", "valid"):
            mine, its = getattr(joined, part), getattr(DAYS[name], part)
            which = mine.session == number
            for key in ("recon", "truth"):
                own = getattr(mine, key)[which]
                np.testing.assert_array_equal(own[..., layout[name]], getattr(its, key))
                assert np.isnan(np.delete(own, layout[name], axis=2)).all()
            own = mine.encod[which]
            np.testing.assert_array_equal(own[..., : DAYS[name].n_heldin], its.encod)
            assert np.isnan(own[..., DAYS[name].n_heldin :]).all()
            for key in ("label", "inds", "behavior"):
                np.testing.assert_array_equal(getattr(mine, key)[which], getattr(its, key))


def test_values_come_apart_again(joined):
    for part in ("train", "valid"):
        found = joined.by_session(getattr(joined, part).recon, part)
        latents = joined.by_session(getattr(joined, part).inds, part, channels=False)
        for name, one in DAYS.items():
            np.testing.assert_array_equal(found[name], getattr(one, part).recon)
            np.testing.assert_array_equal(latents[name], getattr(one, part).inds)
    only = joined.only("b")
    np.testing.assert_array_equal(only.by_session(only.valid.recon)["b"], DAYS["b"].valid.recon)
    assert set(only.valid.session.tolist()) == {1} and len(only.train) == len(DAYS["b"].train)
    refused(lambda: joined.only("d"), "no such session", "'d'", "'a', 'b', 'c'")
    refused(
        lambda: joined.by_session(joined.valid.recon[..., :2]),
        "not those of the valid trials",
        "channels",
        "channels=False",
    )


def test_first_trials_are_of_all_sessions(joined):
    # 8, 20 and 12 training trials: any stretch of ten has 2, 5 and 3, to one.
    for i in range(0, 40, 10):
        found = np.bincount(joined.train.session[i : i + 10], minlength=3)
        assert (np.abs(found - [2, 5, 3]) <= 1).all()


def test_encoder_that_sees_everything_stays_one_array():
    both = join_sessions({"a": DAYS["a"].as_full(), "b": DAYS["b"].as_full()})
    assert both.train.encod is both.train.recon and both.n_heldout == 0
    only = both.only("a")
    assert only.valid.encod is only.valid.recon
    assert join_sessions({"a": DAYS["a"]}).as_full().by_session(np.zeros((2, 3)))["a"].shape == (2, 3)


def test_what_sessions_do_not_share_is_left_out_or_refused():
    other = recording(10, 3, 3, behavior=None, label=np.array(["x", "y"] * 5))
    both = join_sessions({"a": DAYS["a"], "o": other})
    assert both.train.behavior is None and both.train.label is None and both.train.truth is not None
    external = recording(10, 3, 3, ext_input=np.zeros((10, 6, 1)))
    for given, words in (
        ({"a": DAYS["a"], "e": external}, ("same external inputs", "None", "Leave them out")),
        ({"a": DAYS["a"], "s": recording(10, 3, 3, forward_steps=2)}, ("same bins", "n_times 4 in 's', 6", "rebin")),
        ({}, ("joined by name", "dict of 0", "{'monday'")),
        ({"a": DAYS["a"].train}, ("Only recordings", "Split", "load_recording")),
    ):
        refused(lambda given=given: join_sessions(given), *words)
    refused(
        lambda: pad_session(DAYS["b"], 0, 2, 2), "more channels than there is room", "3 held-in and 2", "add_session"
    )
    refused(
        lambda: Split(np.ones((2, 3, 1)), np.ones((2, 3, 1)), session=np.array([0, -1])),
        "numbered from 0",
        "[0, -1]",
        "join_sessions",
    )


def test_file_keeps_the_sessions(joined, tmp_path):
    save_recording(joined, tmp_path / "joined.h5")
    loaded = load_recording(tmp_path / "joined.h5")
    for part in ("train", "valid"):
        np.testing.assert_array_equal(getattr(loaded, part).session, getattr(joined, part).session)
        np.testing.assert_array_equal(getattr(loaded, part).recon, getattr(joined, part).recon)


@pytest.mark.parametrize("batch_size", [3, 7, 12, 60])
def test_every_batch_holds_as_many_trials_of_each_session(batch_size):
    session = np.array([0] * 8 + [1] * 20 + [2] * 13)
    batches = Batches({"x": np.arange(41)}, batch_size, seed=4, session=session)
    share = batch_size // 3
    assert len(batches) == max(1, 20 // share)
    for epoch in range(3):
        drawn = {s: [] for s in range(3)}
        for batch in batches.epoch(epoch):
            trials = batch["x"].astype(int)
            assert np.bincount(session[trials]).tolist() == [share] * 3
            for s in range(3):
                drawn[s] += trials[session[trials] == s].tolist()
        for s, size in enumerate((8, 20, 13)):
            # Recycled: all trials of the session before any comes again.
            rounds = [drawn[s][i : i + size] for i in range(0, len(drawn[s]), size)]
            assert all(len(set(one)) == len(one) for one in rounds)
            assert all(len(one) == size for one in rounds[:-1])
        if len(rounds := [drawn[0][i : i + 8] for i in range(0, len(drawn[0]) - 7, 8)]) > 1:
            assert rounds[0] != rounds[1]
    # An epoch's order depends on seed and epoch alone.
    again = Batches({"x": np.arange(41)}, batch_size, seed=4, session=session)
    assert again.order(2).tolist() == batches.order(2).tolist() != batches.order(1).tolist()


def test_batches_too_small_for_the_sessions_are_refused():
    refused(
        lambda: Batches({"x": np.arange(4)}, 1, session=np.array([0, 0, 1, 1])),
        "trials of each session",
        "batch_size of 1 for 2",
        "Raise batch_size",
    )
    unshuffled = Batches({"x": np.arange(4)}, 2, session=np.array([0, 0, 1, 1]), shuffle=False)
    assert unshuffled.order(0).tolist() == [0, 2, 1, 3]
