"""Missing data, sample validation and coordinated dropout in one model: losses and gradients element by element."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import gammaln

from indl.data.batches.sample_mask import SampleMask
from indl.dists.observations import PoissonObservation
from indl.export import export_saved_model
from indl.model.assemble import build_sequential_vae
from indl.model.beta_vae import prepare_inputs
from indl.params import validate_params
from tests.checks import PLAIN, TINY, assert_close, assert_mean, parity_cases, saved_and_loaded, tiny_model
from tests.checks import counts as draw_counts
from tests.conftest import parity_files

LFADS_LOSS = {"coordinated_dropout_rescale": False, "loss_reduction": "mean", "gen_l2_reg": 0.0, "dropout_rate": 0.0}


def lfads(x, target, **changes):
    """A model for such arrays with the loss of the reference for the parity files, which bring their own log rates."""
    forward = target.shape[1] - x.shape[1]
    return tiny_model(
        None, x.shape[2], forward_steps=forward, out_dim=target.shape[2], **{**PLAIN, **LFADS_LOSS, **changes}
    )


def loss_and_gradient(model, log_rates, target, **outputs):
    """The objective of given log rates and its gradient."""
    target = target.astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(log_rates := tf.constant(log_rates, tf.float32))
        out = {"p_x": PoissonObservation(log_rates), "sample_mask": np.ones((len(target), 1, 1)), **outputs}
        loss = model.compute_loss(y=target, y_pred=out)
    return loss, tape.gradient(loss, log_rates)


@pytest.mark.parity
@pytest.mark.parametrize("path", parity_files("lfads_augmentations"), ids=lambda path: path.stem)
def test_missing_and_hidden_samples_train_the_model_as_in_the_reference(path):
    with np.load(path) as file:
        rate = json.loads(str(file["config"]))["sv_rate"]
        data = {key: file[key] for key in file.files if key != "config"}
    x, keep = data["sample_validation/encod_data"].astype("float32"), data["sample_validation/keep_mask"]
    bins, channels = x.shape[1:]
    model = lfads(x, data["missing/recon_data"], missing_data=True, sample_validation_rate=rate)
    for case, outputs in {"missing": {}, "sample_validation": {"sample_mask": keep}}.items():
        given = {key.removeprefix(f"{case}/"): value for key, value in data.items() if key.startswith(f"{case}/")}
        target = given["recon_data"]
        loss, gradient = loss_and_gradient(model, given["logrates"], target, **outputs)
        assert_close(gradient, given["grad_logrates"], 1e-4)
        # The files leave out log n!, which here has the weight of its element.
        weight = ~np.isnan(target) + 0.0
        if outputs:
            weight[:, :bins, :channels] = keep / (1 - rate)
        constant = np.where(np.isnan(target), 0, gammaln(np.nan_to_num(target) + 1)) * weight
        share = 1.0 if outputs else np.mean(~np.isnan(target))
        wanted = given["heldin_loss_mean" if outputs else "loss_mean"]
        assert_close(loss - constant.mean() / share, wanted)
    hidden = model.loss_terms(
        target.astype("float32"),
        {"p_x": PoissonObservation(tf.constant(given["logrates"], tf.float32)), "sample_mask": keep},
    )["sample_nll"]
    box = gammaln(target[:, :bins, :channels] + 1) * (1 - keep) / rate
    # In nats a trial, where the reference has the mean over bins and channels.
    assert_close(np.mean(hidden) / (bins * channels) - box.mean(), given["heldout_loss_mean"])
    seen = keras.Model(model.inputs, model.get_layer("sample_validation").output)
    assert_close(seen({"x": x, "sample_mask": keep.astype("float32")}), given["network_input"])


@pytest.mark.parity
@pytest.mark.parametrize(
    "config, case", [c for c in parity_cases("lfads_coordinated_dropout") if "ic_segment" not in c.id]
)
def test_trap_06_what_the_encoder_sees_does_not_train_the_model(config, case):
    """Coordinated dropout without the gradient block is ordinary dropout."""
    mask, target = case["gradient_mask"].astype(bool), case["target"]
    bins, channels = case["x"].shape[1:]
    loss, gradient = loss_and_gradient(lfads(case["x"], target), case["logrates"], target, cd_mask=mask)
    assert_close(gradient, case["grad_logrates"], 1e-4)
    assert_close(loss - gammaln(target + 1).mean(), case["loss_mean"])
    assert not np.any(np.asarray(gradient)[:, :bins, :channels][~mask]), "visible to the encoder"
    beyond = np.asarray(gradient)[:, bins:], np.asarray(gradient)[:, :, channels:]
    assert all(np.all(part) for part in beyond), "always trained"


SHARED = {"coordinated_dropout_rate": 0.4, "sample_validation_rate": 0.3, "dropout_rate": 0.2, "out_dim": 7}
STACKS = {
    "mean": {"forward_steps": 2, "missing_data": True, "loss_reduction": "mean", "loss_scale": 100.0},
    "sum": {"forward_steps": 2, "missing_data": True, "coordinated_dropout_pass_rate": 0.3},
    "segment": {"forward_steps": 2, "f_enc_input_samps": 3, "loss_reduction": "mean"},
    "segment, sum, missing": {"f_enc_input_samps": 3, "missing_data": True, "coordinated_dropout_rescale": False},
    "samples": {"q_f_samples": 2, "forward_steps": 1},
    "no coordinated dropout": {"coordinated_dropout_rate": 0.0, "missing_data": True},
}


def batch_for(p, trials=6):
    """Input, mask and target: held-out channels, forward steps and, where they may be, gaps and a shorter trial."""
    bins, forward = 8, p["forward_steps"]
    target = draw_counts(trials, bins + forward, p["out_dim"], seed=3)
    if p["missing_data"]:
        target[np.random.default_rng(4).random(target.shape) < 0.2] = np.nan
        target[-1, 6:] = np.nan
    return {"x": target[:, :bins, :5], "sample_mask": SampleMask((trials, bins, 5), 0.3, 1)[:]}, target


@pytest.mark.parametrize("stack", STACKS)
def test_gradient_of_a_whole_stack_flows_where_it_should(stack):
    model = tiny_model(None, 5, **{**PLAIN, **SHARED, **STACKS[stack]})
    p = model.params
    inputs, target = batch_for(p)
    with tf.GradientTape() as tape:
        out = model(inputs, training=True)
        loss = model.compute_loss(inputs, target, out, training=True)
    log_rates = out["p_x"].log_rate
    gradient, terms = tape.gradient(loss, log_rates), model.loss_terms(target, out)
    rates, cd_mask = np.exp(np.asarray(log_rates, "float64")), np.asarray(out["cd_mask"])
    rate, passed = p["coordinated_dropout_rate"], p["coordinated_dropout_pass_rate"]
    rescale = 1 / (rate + (1 - rate) * passed) if rate and p["coordinated_dropout_rescale"] else 1.0
    scale = p["loss_scale"] / len(target)
    if p["loss_reduction"] == "mean":
        scale /= target[0].size * np.mean(~np.isnan(target))
    expected, nll, hidden_nll = np.zeros_like(rates), np.zeros(len(target)), np.zeros(len(target))
    for index in np.ndindex(*rates.shape):
        b, t, c = index[0], *index[-2:]
        y = target[b, t, c]
        if np.isnan(y):
            continue
        share = 1 / 2 if rates.ndim == 4 else 1.0
        loss_here = share * (rates[index] - y * np.log(rates[index]) + gammaln(y + 1))
        weight = trained = 1.0
        if p["f_enc_input_samps"] <= t < 8 and c < 5:
            hidden = not inputs["sample_mask"][b, t, c]
            weight = 0.0 if hidden else 1 / 0.7
            trained = rescale if cd_mask[b, t, c] else 0.0
            hidden_nll[b] += hidden * loss_here / 0.3
        nll[b] += weight * loss_here
        expected[index] = scale * share * weight * trained * (rates[index] - y)
    assert_close(gradient, expected, 1e-4)
    assert_close(terms["nll"], nll, 1e-4)
    assert_close(terms["sample_nll"], hidden_nll, 1e-4)


def test_hidden_samples_reach_neither_rates_nor_weights():
    model = tiny_model(None, 5, sample_validation_rate=0.3, forward_steps=1, missing_data=True)
    inputs, target = batch_for({**model.params, "out_dim": 5}, trials=3)
    changed, other = {**inputs, "x": inputs["x"].copy()}, target.copy()
    hidden = ~inputs["sample_mask"] & ~np.isnan(inputs["x"])
    changed["x"][hidden] += 7
    other[:, :8][hidden] += 7
    variables = [v.value for v in model.trainable_variables]
    found = []
    for x, y in ((inputs, target), (changed, other)):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=False), training=True)
        found.append([loss, *tape.gradient(loss, variables, unconnected_gradients="zero")])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(model(inputs["x"])["factors"], model(changed["x"])["factors"]), "without a mask they do"


def test_input_keeps_its_expectation():
    """Over masks of sample validation and draws of both dropouts, an encoder sees the input on average."""
    params = validate_params({**TINY, **SHARED, "out_dim": 5, "f_enc_input_samps": 3})
    x, mask = keras.Input((8, 5)), keras.Input((8, 5))
    f_in, z_in, _ = prepare_inputs(params, x, mask)
    model = keras.Model([x, mask], [f_in, z_in])
    one = draw_counts(1)
    many = np.repeat(one, 20000, axis=0)
    segment, after = model([many, SampleMask(many.shape, 0.3, 2)[:].astype("float32")], training=True)
    assert_mean(segment, one[0, :3])
    assert_mean(after[:, 3:], one[0, 3:])
    segment, after = model([one, np.ones_like(one)])
    np.testing.assert_array_equal(np.concatenate([segment, after[:, 3:]], axis=1), one)


@pytest.fixture(scope="module")
def pair():
    """A model that hides samples, and one with the same weights that does not."""
    return tiny_model(8, 5, **PLAIN, sample_validation_rate=0.3), tiny_model(8, 5, **PLAIN)


def test_nothing_is_hidden_at_inference(pair, tmp_path):
    hides, plain = pair
    x = draw_counts()
    ones = {"x": x, "sample_mask": np.ones_like(x)}
    assert hides.input_names == plain.input_names == ("x",)
    rates = plain.rates(x)
    for found in (hides.rates(x), hides.rates(ones), hides.rates({"x": x}), saved_and_loaded(hides).rates(x)):
        np.testing.assert_array_equal(found, rates)
    np.testing.assert_array_equal(hides.rates(x, samples=3, seed=1), plain.rates(x, samples=3, seed=1))
    np.testing.assert_array_equal(hides.reconstruct(x, swap="f"), plain.reconstruct(x, swap="f"))
    for model in pair:
        model.compile()
    terms, expected = (model.evaluate(x, x, verbose=0, return_dict=True) for model in pair)
    assert terms.pop("sample_nll") == 0 and terms == expected
    export_saved_model(hides, tmp_path / "m")
    loaded = tf.saved_model.load(tmp_path / "m")
    assert_close(loaded.rates(x)["rates"], rates)


def test_masks_are_needed_in_training_and_must_fit(pair):
    hides, x = pair[0], draw_counts()
    hides.compile("adam")
    for arguments, words in (({"x": x}, "x without"), ({"x": {"x": x}, "y": x}, "x without")):
        with pytest.raises(ValueError, match=f"Given: {words} sample_mask"):
            hides.fit(**arguments)
    full = {"x": x, "sample_mask": np.ones(x.shape, bool)}
    with pytest.raises(ValueError, match="validation x without sample_mask"):
        hides.fit(full, x, validation_data=(x, x))
    with pytest.raises(ValueError, match=r"sample_mask does not fit.*shape \(6, 8, 4\)"):
        hides.rates({**full, "sample_mask": full["sample_mask"][..., :4]})
    with pytest.raises(ValueError, match="sample_validation_rate=0.3, no mask"):
        prepare_inputs({**TINY, "sample_validation_rate": 0.3}, keras.Input((8, 5)))
    with pytest.raises(ValueError, match="sample_validation_rate=0, a mask"):
        prepare_inputs(TINY, keras.Input((8, 5)), keras.Input((8, 5)))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"monitor": "val_sample_nll"}, "Only sample validation logs val_sample_nll"),
        ({"spike_jitter_width": 2, "missing_data": True}, "were not recorded. Given: spike_jitter_width=2"),
    ],
)
def test_combinations_that_cannot_work(changes, words):
    with pytest.raises(ValueError, match=words):
        build_sequential_vae({**TINY, **changes}, 8, 5)
