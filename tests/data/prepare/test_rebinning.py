"""Wider bins against the sums and means they stand for."""

import numpy as np
import pytest

from indl.data import ChopPlan, Recording, Split, Trials, chop, rebin


def example(n_times=12, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "counts": rng.poisson(1.0, (5, n_times, 3)) + 1,
        "behavior": rng.normal(size=(5, n_times, 2)),
        "ext_input": rng.normal(size=(5, n_times, 1)),
        "truth": rng.random((5, n_times, 3)),
        "latents": rng.normal(size=(5, n_times, 4)),
    }
    arrays |= changes
    return Trials(arrays.pop("counts"), 0.01, label=np.arange(5), start_s=np.arange(5.0), **arrays)


@pytest.mark.parametrize("factor", [1, 2, 3, 12])
def test_counts_are_summed_and_the_rest_averaged(factor):
    trials = example()
    wide = rebin(trials, factor)
    assert wide.bin_width_s == 0.01 * factor and wide.n_times == 12 // factor
    for t in range(12 // factor):
        bins = slice(t * factor, (t + 1) * factor)
        for name in ("counts", "truth"):
            assert np.allclose(getattr(wide, name)[:, t], getattr(trials, name)[:, bins].sum(axis=1), rtol=1e-6)
        for name in ("behavior", "ext_input", "latents"):
            assert np.allclose(getattr(wide, name)[:, t], getattr(trials, name)[:, bins].mean(axis=1), atol=1e-6)
    assert np.array_equal(wide.label, trials.label) and np.array_equal(wide.start_s, trials.start_s)
    assert wide.mean_rate_hz == pytest.approx(trials.mean_rate_hz)


def test_signals_are_averaged():
    signal = np.random.default_rng(0).normal(size=(5, 12, 3))
    wide = rebin(example(counts=signal, are_counts=False), 4)
    assert np.allclose(wide.counts, signal.reshape(5, 3, 4, 3).mean(axis=2), atol=1e-6)


def test_a_bin_with_a_missing_sample_is_missing():
    counts = np.ones((2, 6, 2))
    counts[0, 3, 1] = np.nan
    counts[1, 5:] = np.nan
    wide = rebin(Trials(counts, 0.01, missing=True), 2)
    assert np.array_equal(wide.counts[0], [[2, 2], [2, np.nan], [2, 2]], equal_nan=True)
    assert wide.lengths.tolist() == [3, 2]


def test_bins_left_over_are_said():
    with pytest.warns(UserWarning, match="fill no wide one.*Given: 2 of 12.*multiple of 5") as warned:
        wide = rebin(example(), 5)
    assert wide.n_times == 2 and warned[0].filename == __file__


def test_windows_in_wider_bins_forget_how_they_were_cut():
    windows = chop(Trials(np.ones((1, 40, 2)), 0.01), 8, 4)
    assert ChopPlan.of(windows.attrs) is not None and ChopPlan.of(rebin(windows, 2).attrs) is None


@pytest.mark.parametrize("factor", [0, 13, 2.5, True, "2"])
def test_what_is_no_factor(factor):
    with pytest.raises(ValueError, match="factor must be a whole number from 1 to 12. Given"):
        rebin(example(), factor)


def test_a_recording_keeps_its_parts_channels_and_forward_steps():
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (6, 12, 5)) + 1
    behavior = rng.normal(size=(6, 8, 2))
    parts = [Split(counts[part][:, :8, :3], counts[part], behavior=behavior[part]) for part in (slice(4), slice(4, 6))]
    wide = rebin(Recording(*parts, bin_width_s=0.005, channel_ids=np.arange(5)), 4)
    assert (wide.n_times, wide.forward_steps, wide.n_heldin, wide.bin_width_s) == (2, 1, 3, 0.02)
    assert np.array_equal(wide.train.recon, counts[:4].reshape(4, 3, 4, 5).sum(2))
    assert np.array_equal(wide.valid.encod, counts[4:, :8, :3].reshape(2, 2, 4, 3).sum(2))
    assert np.allclose(wide.valid.behavior, behavior[4:].reshape(2, 2, 4, 2).mean(2), atol=1e-6)
    with pytest.raises(ValueError, match=r"partly seen by the encoder.*8 bins of input and 4 forward steps"):
        rebin(Recording(*parts, bin_width_s=0.005, channel_ids=np.arange(5)), 3)
