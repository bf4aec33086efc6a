"""Probes and swaps of latents whose truth is known: perfect ones, leaking ones, and those that a decoder ignores."""

import numpy as np
import pytest

from indl.metrics import (
    LatentTrials,
    TrialJudge,
    counterfactual_rate_r2,
    dynamic_summary,
    generation_scores,
    prior_swap_scores,
    rate_r2_flat,
    rate_r2_per_channel,
    static_dynamic_probes,
    swap_partners,
    swap_rate_r2,
    swap_test,
)
from indl.metrics.disentanglement.judge import told
from indl.metrics.disentanglement.prior_swaps import balanced_trials
from tests.messages import faults, raw_words

N_STYLES, N_CONTENTS = 6, 3


def latents(n, seed, n_times=50, bin_width_s=0.02):
    """Style around a circle, and a noisy rotation at one of three frequencies, of random phase."""
    rng = np.random.default_rng(seed)
    style, content = rng.integers(0, N_STYLES, n), rng.integers(0, N_CONTENTS, n)
    angle = 2 * np.pi * style / N_STYLES
    s = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.15 * rng.normal(size=(n, 2))
    turn = 0.98 * np.exp(2j * np.pi * np.array([1.0, 2.0, 3.5])[content] * bin_width_s)
    noise = rng.normal(size=(n, n_times, 2)) @ [1, 1j]
    z = np.empty((n, n_times), complex)
    z[:, 0] = noise[:, 0]
    for t in range(1, n_times):
        z[:, t] = turn * z[:, t - 1] + np.sqrt(1 - 0.98**2) * noise[:, t]
    return LatentTrials(s, np.stack([z.real, z.imag], axis=2), style, content, s, np.stack([z.real, z.imag], axis=2))


class Simulator:
    """Log rates that are linear in z, with a gain that depends on s."""

    def __init__(self, n_channels=30):
        rng = np.random.default_rng(0)
        self.of_s, self.of_z, self.gain = (scale * rng.normal(size=(2, n_channels)) for scale in (0.4, 0.5, 1.0))

    def rates(self, s, z):
        return np.exp((s @ self.of_s)[:, None] + (z @ self.of_z) * (1 + 0.8 * np.tanh(s @ self.gain))[:, None])


TRAIN, TEST = latents(600, 1), latents(400, 2)
SIMULATOR = Simulator()


@pytest.fixture(scope="module")
def judges():
    rates = SIMULATOR.rates(TRAIN.s, TRAIN.z)
    return TrialJudge(rates, TRAIN.style), TrialJudge(rates, TRAIN.content)


# --- summary ------------------------------------------------------------------------------------


def test_summary_is_means_and_moments_of_each_lag():
    z = np.random.default_rng(0).normal(size=(2, 4, 2))
    found = dynamic_summary(z, lags=(0, 3, 4))
    for trial in range(2):
        zero = sum(np.outer(z[trial, t], z[trial, t]) for t in range(4)) / 4
        three = np.outer(z[trial, 0], z[trial, 3])
        expected = np.concatenate([z[trial].mean(axis=0), zero.ravel(), three.ravel()])
        assert found[trial] == pytest.approx(expected)


# --- probes -------------------------------------------------------------------------------------


def test_probes_of_the_truth():
    """The reference values of true latents, to the accuracy of as many trials as they are of."""
    found = static_dynamic_probes(latents(2000, 1), latents(1000, 2)).as_dict()
    assert found["style | f"] == pytest.approx(1, abs=0.005)
    assert found["content | f"] == pytest.approx(0.34, abs=0.03)
    assert found["style | z"] == pytest.approx(0.167, abs=0.03)
    assert found["content | z"] == pytest.approx(0.984, abs=0.015)
    assert found["leak of style into z"] == pytest.approx(0, abs=0.04)
    assert found["leak of content into f"] == pytest.approx(0, abs=0.05)
    assert found["R2 s | f"] == pytest.approx(1, abs=1e-4) and found["R2 z | z"] == pytest.approx(1, abs=1e-4)


def test_latents_that_hold_the_other_part_leak():
    def leaking(part):
        frequency = np.random.default_rng(0).normal(part.content[:, None], 0.1)
        return part._replace(f=np.c_[part.s, frequency], z=np.concatenate([part.z, part.s[:, None] + 0 * part.z], 2))

    found = static_dynamic_probes(leaking(TRAIN), leaking(TEST))
    assert found.style_z.accuracy > 0.97 and found.style_z.leak > 0.95
    assert found.content_f.accuracy > 0.97 and found.content_f.leak > 0.95
    assert found.style_f.accuracy > 0.97


def test_latents_of_noise_tell_nothing():
    rng = np.random.default_rng(0)
    parts = [p._replace(f=rng.normal(size=p.f.shape), z=rng.normal(size=p.z.shape)) for p in (TRAIN, TEST)]
    found = static_dynamic_probes(*parts)
    for probe in found[:4]:
        assert probe.leak == pytest.approx(0, abs=0.1)
    assert found.r2_s == pytest.approx(0, abs=0.03) and found.r2_z == pytest.approx(0, abs=0.01)


def test_chance_is_the_label_most_frequent_in_training():
    style = np.array([0] * 5 + [1] * 3 + [2] * 2)
    rng = np.random.default_rng(0)
    train = LatentTrials(rng.normal(size=(10, 2)), rng.normal(size=(10, 4, 1)), style, np.arange(10) % 2)
    test = train._replace(style=np.array([1] * 6 + [0] * 4))
    found = static_dynamic_probes(train, test)
    assert found.style_f.chance == 0.4 and found.content_f.chance == 0.5
    assert found.style_f.leak == pytest.approx((found.style_f.accuracy - 0.4) / 0.6)
    assert np.isnan([found.r2_s, found.r2_z]).all()
    assert np.isnan(static_dynamic_probes(train, train._replace(style=np.zeros(10, int))).style_f.leak)


def test_units_and_offsets_of_f_change_nothing():
    moved = [part._replace(f=part.f * [1e4, 1e-4] + 3) for part in (TRAIN, TEST)]
    found, before = (static_dynamic_probes(*parts, lags=[]) for parts in (moved, (TRAIN, TEST)))
    assert found[:2] == before[:2] and found.r2_s == pytest.approx(before.r2_s)


# --- swaps --------------------------------------------------------------------------------------


def test_partners_differ_in_both_and_all_are_used():
    other = swap_partners(TEST.style, TEST.content, seed=3)
    assert (TEST.style[other] != TEST.style).all() and (TEST.content[other] != TEST.content).all()
    assert np.array_equal(other, swap_partners(TEST.style, TEST.content, seed=3))
    assert len(set(zip(TEST.style[other], TEST.content[other], strict=True))) == N_STYLES * N_CONTENTS
    # A trial of (0, a) has partners in (1, b), one, and in (2, b), many: both as likely.
    style, content = np.array([0] * 500 + [1, 1] + [2] * 500), np.array(["a"] * 500 + ["b"] * 502)
    share = np.mean(style[swap_partners(style, content)[:500]] == 1)
    assert share == pytest.approx(0.5, abs=0.1)


def test_swaps_of_the_truth_take_style_from_one_and_content_from_the_other(judges):
    found = swap_test(SIMULATOR.rates, TEST.s, TEST.z, TEST.style, TEST.content, *judges)
    assert found.style > 0.97 and found.content > 0.85
    assert found.style_of_z < 0.03 and found.content_of_f < 0.1
    assert found.style_unswapped > 0.97 and found.content_unswapped > 0.85
    partners = swap_partners(TEST.style, TEST.content)
    assert swap_rate_r2(SIMULATOR.rates, TEST.s, TEST.z, SIMULATOR, TEST.s, TEST.z, partners) == pytest.approx(1)


def test_style_that_z_carries_moves_with_z(judges):
    """A decoder that reads style from a z that holds it is perfect on its own trials, and found out by swaps."""
    z = np.concatenate([TEST.z, np.repeat(TEST.s[:, None], TEST.z.shape[1], axis=1)], axis=2)

    def decode(f, z):
        return SIMULATOR.rates(z[:, 0, 2:], z[..., :2])

    found = swap_test(decode, TEST.s, z, TEST.style, TEST.content, *judges)
    assert found.style_unswapped > 0.97 and found.style < 0.03 and found.style_of_z > 0.97 and found.content > 0.85
    partners = swap_partners(TEST.style, TEST.content)
    r2 = [swap_rate_r2(decode, TEST.s, z, SIMULATOR, TEST.s, TEST.z, of) for of in (np.arange(len(partners)), partners)]
    assert r2[0] == pytest.approx(1) and r2[1] < 0.8


def test_a_decoder_that_ignores_z_keeps_style_alone(judges):
    found = swap_test(lambda f, z: SIMULATOR.rates(f, 0 * z), TEST.s, TEST.z, TEST.style, TEST.content, *judges, seed=1)
    assert found.content < 0.5 and found.style > found.style_of_z


def test_counts_are_drawn_for_judges_of_counts():
    rng = np.random.default_rng(0)
    judge = TrialJudge(rng.poisson(SIMULATOR.rates(TRAIN.s[:300], TRAIN.z[:300])), TRAIN.style[:300], n_components=4)
    few = (part[:100] for part in (TEST.s, TEST.z, TEST.style, TEST.content))
    arguments = (SIMULATOR.rates, *few, judge, judge)
    first, again, other = (swap_test(*arguments, as_counts=True, seed=seed) for seed in (0, 0, 1))
    assert first == again != other and first.style > 0.9


def test_counterfactual_r2_is_that_of_rates():
    rng = np.random.default_rng(0)
    truth = rng.gamma(2.0, size=(5, 6, 3)) * [1.0, 5.0, 20.0]
    rates = truth + rng.normal(size=truth.shape)
    assert counterfactual_rate_r2(rates, truth) == rate_r2_per_channel(rates, truth)
    assert counterfactual_rate_r2(rates, truth, "flat") == rate_r2_flat(rates, truth)


# --- judges and draws from the priors -----------------------------------------------------------


def test_judge_tells_real_trials_and_names_its_classes(judges):
    rates = SIMULATOR.rates(TEST.s, TEST.z)
    assert judges[0].accuracy(rates, TEST.style) > 0.97 and judges[1].accuracy(rates, TEST.content) > 0.85
    names = np.array(["slow", "middle", "fast"])
    judge = TrialJudge(SIMULATOR.rates(TRAIN.s, TRAIN.z), names[TRAIN.content])
    assert judge.classes.tolist() == ["fast", "middle", "slow"]
    assert judge.accuracy(rates, names[TEST.content]) == judges[1].accuracy(rates, TEST.content)
    assert judge.probabilities(rates).sum(axis=1) == pytest.approx(1)


def test_judge_of_signals_takes_no_roots():
    judge = TrialJudge(TRAIN.z, TRAIN.content, root=False, sd_bins=0)
    assert judge.accuracy(TEST.z, TEST.content) > 0.9
    # As many components as channels, unsmoothed, are a rotation of the latents that a probe of z sees.
    probe = static_dynamic_probes(TRAIN, TEST).content_z
    assert judge.accuracy(TEST.z, TEST.content) == pytest.approx(probe.accuracy, abs=0.03)


def test_any_classifier_can_be_a_judge():
    class Certain:
        classes = np.array(["left", "right"])

        def probabilities(self, trials):
            return np.eye(2)[(trials.mean(axis=(1, 2)) > 0).astype(int)]

    trials = np.array([1.0, -1.0, 1.0])[:, None, None]
    assert told(Certain(), trials, ["right", "left", "left"]) == pytest.approx(2 / 3)


def test_scores_of_what_is_generated_have_their_closed_forms():
    sure = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    found = generation_scores(sure, ["a", "b", "c", "a", "b", "a"], ["a", "b", "c"])
    assert found == pytest.approx((5 / 6, 3.0, 0.0, np.log(3)))
    unsure = np.full((6, 3), 1 / 3)
    assert generation_scores(unsure, list("aabbcc"), list("abc"))[1:] == pytest.approx((1.0, np.log(3), np.log(3)))
    # One class alone: sure, but without variety.
    assert generation_scores(sure[:1], ["b"], list("abc")) == pytest.approx((0.0, 1.0, 0.0, 0.0))
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    divergence = (p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()
    assert generation_scores(p, np.zeros(50), np.arange(4)).inception_score == pytest.approx(np.exp(divergence))


def test_draws_from_the_priors_keep_what_is_kept(judges):
    drawn = latents(400, 9)
    arguments = (TEST.s, TEST.z, drawn.s, drawn.z, TEST.style, TEST.content)
    seen = []

    def decode(f, z):
        seen.append((f, z))
        return SIMULATOR.rates(f, z)

    found = prior_swap_scores(decode, *arguments, *judges)
    for (f, z), label, of_f, of_z in zip(
        seen, (TEST.content, TEST.style), (drawn.s, TEST.s), (TEST.z, drawn.z), strict=True
    ):
        kept = balanced_trials(label)
        assert np.array_equal(f, of_f[kept]) and np.array_equal(z, of_z[kept])
    assert found.content.accuracy > 0.85 and found.style.accuracy > 0.97
    assert 5 < found.style.inception_score <= 6 and found.style.marginal_entropy == pytest.approx(np.log(6), abs=0.01)
    # A decoder that takes style from another place loses it.
    lost = prior_swap_scores(lambda f, z: SIMULATOR.rates(np.roll(f, 1, axis=0), z), *arguments, *judges)
    assert lost.style.accuracy < 0.35 and lost.content.accuracy > 0.85


def test_balanced_trials_are_as_many_of_each_class():
    label = np.array(["a"] * 5 + ["b"] * 2 + ["c"] * 9)
    kept = balanced_trials(label, seed=1)
    assert len(set(kept)) == 6 and np.unique(label[kept], return_counts=True)[1].tolist() == [2, 2, 2]


# --- what cannot be tested ----------------------------------------------------------------------

SMALL = latents(30, 0, n_times=6)
RATES = SIMULATOR.rates(SMALL.s, SMALL.z)


class Fair:
    classes = np.arange(3)

    def probabilities(self, trials):
        return np.full((len(trials), 3), 1 / 3)


def swapped(decode=SIMULATOR.rates, f=SMALL.s, z=SMALL.z, style=SMALL.style, content=SMALL.content, **settings):
    return swap_test(decode, f, z, style, content, Fair(), Fair(), **settings)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: dynamic_summary(SMALL.f), r"Given: \(30, 2\)"),
        (lambda: dynamic_summary([[["a"]]]), "Dynamic latents must be numbers"),
        (lambda: TrialJudge([[["a"]]], [0]), "Trials to judge must be numbers"),
        (lambda: swapped(lambda f, z: [["a"]]), "Rates must be numbers"),
        (lambda: dynamic_summary(SMALL.z * np.nan), "360 values of them not finite"),
        (lambda: dynamic_summary(SMALL.z, [-1]), "A lag in bins must be a whole number from 0"),
        (lambda: static_dynamic_probes(SMALL._replace(f=SMALL.f * np.nan), SMALL), "60 of 60 in the training part"),
        (
            lambda: static_dynamic_probes(SMALL, SMALL._replace(f=SMALL.f[:, :1])),
            r"\(30, 2\) to train on and \(30, 1\)",
        ),
        (lambda: static_dynamic_probes(SMALL._replace(style=np.zeros(30)), SMALL), r"\[1\] different values in 30"),
        (lambda: static_dynamic_probes(SMALL._replace(content=SMALL.f), SMALL), r"content of \(30, 2\)"),
        (lambda: static_dynamic_probes(SMALL, SMALL._replace(style=SMALL.style[1:])), r"\(30, 2\) and \(29,\)"),
        (lambda: static_dynamic_probes(SMALL._replace(s=None), SMALL), "s of .* for both parts or for none"),
        (lambda: static_dynamic_probes(SMALL, SMALL._replace(z_true=SMALL.z[:, 1:])), "z_true of"),
        (lambda: TrialJudge(RATES, SMALL.style[1:]), r"\(29,\) labels for 30 trials"),
        (lambda: TrialJudge(RATES, np.zeros(30)), r"\[1\] different values"),
        (lambda: TrialJudge(-RATES, SMALL.style), "Use root=False"),
        (lambda: TrialJudge(RATES[:, 0], SMALL.style), r"\(30, 30\)"),
        (lambda: TrialJudge(RATES, SMALL.style).probabilities(RATES[..., 1:]), "29 channels instead of 30"),
        (lambda: TrialJudge(RATES, SMALL.style).accuracy(RATES, SMALL.style[1:]), r"\(29,\) for 30 trials"),
        (
            lambda: TrialJudge(RATES, SMALL.style).accuracy(RATES, np.where(SMALL.style > 1, np.nan, SMALL.style)),
            "of 30 that are NaN",
        ),
        (lambda: TrialJudge(RATES, SMALL.style).accuracy(RATES, SMALL.style.astype(str)), "None of the labels"),
        (lambda: TrialJudge(np.tile(RATES, (1, 5, 1)), SMALL.style).accuracy(RATES, SMALL.style), "another length"),
        (
            lambda: static_dynamic_probes(SMALL, SMALL._replace(style=SMALL.style.astype(str))),
            "numbers as numbers and names as names",
        ),
        (lambda: generation_scores(np.eye(2), [0, np.nan], [0, 1]), "1 of 2 that are NaN"),
        (lambda: swap_partners(SMALL.style, SMALL.content[1:]), r"\(30,\) and \(29,\)"),
        (lambda: swap_partners([0, 0, 1, 1], [0, 0, 0, 1]), "none for style 0 with content 1|none for style 1"),
        (lambda: swap_partners([0, 0, 1, 1], [0, 0, 0, 0]), r"\[1\] different values"),
        (lambda: swapped(f=SMALL.s[1:]), r"\(29, 2\) and \(30, 6, 2\)"),
        (lambda: swapped(f=SMALL.s[1:], z=SMALL.z[1:]), "29 and 30 of them"),
        (lambda: swapped(lambda f, z: f), r"Given: \(30, 2\) for 30 trials"),
        (lambda: swapped(lambda f, z: -RATES, as_counts=True), "5400 of 5400 that are not"),
        (lambda: counterfactual_rate_r2(RATES, RATES, "channel"), "Did you mean 'channels'"),
        (lambda: counterfactual_rate_r2(RATES, RATES[1:]), "one shape"),
        (
            lambda: swap_rate_r2(SIMULATOR.rates, SMALL.s, SMALL.z, SIMULATOR, SMALL.s, SMALL.z, np.arange(31)),
            "30, 30 and partners int64",
        ),
        (lambda: generation_scores(np.ones((2, 2)), [0, 1], [0, 1]), "rows that add up to 1"),
        (lambda: generation_scores(np.eye(2), [0], [0, 1]), r"\(1,\) labels"),
        (
            lambda: prior_swap_scores(
                SIMULATOR.rates, SMALL.s, SMALL.z, SMALL.s[1:], SMALL.z, SMALL.style, SMALL.content, Fair(), Fair()
            ),
            r"\(29, 2\) drawn",
        ),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert not faults(str(raised.value)) and not raw_words(str(raised.value))
