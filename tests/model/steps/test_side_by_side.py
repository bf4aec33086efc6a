"""The parts of a batch, computed side by side: the gradient, the means and the steps of the whole batch."""

import numpy as np
import pytest
import tensorflow as tf

from indl.model import passes
from indl.model.assemble import build_sequential_vae
from indl.model.steps.side_by_side import SideBySide, divisible, parts_for
from indl.params import preset
from indl.training.fit import make_optimizer

X = np.random.default_rng(0).poisson(0.4, (7, 6, 5)).astype("float32")


# The plainest network with a sampled latent traces and compiles fastest.
DENSE = preset(
    "default", f_rnn_type="Dense", f_enc_reduce="mean", f_units=4, f_latent_size=3, z_latent_size=0, gen_n_hidden=4,
    gen_cell_type="Dense", f_to_gen="tile", n_factors=0, dropout_rate=0.0, coordinated_dropout_rate=0.0,
)  # fmt: skip
# The loops of one encoder, in both directions, and of the generator with its controller.
LFADS = preset(
    "lfads_small", f_units=[4], z1_rnn_type="Dense", z1_units=[4], z2_units=4, gen_n_hidden=[5], n_factors=3,
    f_latent_size=3, z_latent_size=2, dropout_rate=0.0, coordinated_dropout_rate=0.0,
)  # fmt: skip


def make(params=DENSE, **kwargs):
    model = build_sequential_vae({**params, **kwargs}, 6, 5)
    model.compile(make_optimizer(model.params, len(X)), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def quiet():
    """A model that draws nothing, so that the parts of a batch must give what the whole gives."""
    return make(variational=False)


def in_graph(function):
    return tf.function(function, autograph=False)


@pytest.mark.parametrize("parts", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 9, "LFADS"))])
def test_gradient_and_means_are_those_of_the_whole_batch(quiet, parts):
    """Also of more parts than trials, and with the loops of LFADS."""
    x = X
    if parts == "LFADS":
        # Equal parts, which are compiled once; those of unequal size are in the other cases.
        quiet, parts, x = make(LFADS, variational=False), 2, X[:6]
    weight = tf.constant(np.arange(1.0, len(x) + 1), tf.float32)
    quiet.reset_metrics()
    with tf.GradientTape() as tape:
        loss = quiet.compute_loss(x, x, quiet(x, training=True), weight, training=True)
    expected = tape.gradient(loss, [v.value for v in quiet.trainable_variables], unconnected_gradients="zero")
    terms = {name: float(value) for name, value in quiet.term_means.result().items()}
    quiet.reset_metrics()
    found = in_graph(SideBySide(quiet, parts).gradient)(tf.constant(x), tf.constant(x), weight)
    for ours, whole in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max() + 1e-12)
    for name, value in quiet.term_means.result().items():
        np.testing.assert_allclose(value, terms[name], rtol=1e-5)


def test_evaluation_in_parts_is_that_of_the_whole():
    model = make(dropout_rate=0.4)
    whole = model.evaluate(X, batch_size=4, verbose=0, return_dict=True)
    model.batch_parts = 2
    model.make_test_function(force=True)
    found = model.evaluate(X, batch_size=4, verbose=0, return_dict=True)
    assert found.keys() == whole.keys() and found["nll"] > 0
    np.testing.assert_allclose(list(found.values()), list(whole.values()), rtol=1e-5)
    assert model.finite_terms.numpy().all()


@pytest.mark.parametrize("cores", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_compiled_inference_is_that_of_the_graph(cores, monkeypatch):
    """7 trials in batches of 4: the last one, which must be full too, begins again in the one before."""
    monkeypatch.setattr(passes, "parts_for", lambda rows: cores)
    model = make(q_f_init_std=0.5, sample_at_test=True)
    plain, found = (model.outputs_of(X, ("rates", "f"), batch_size=4, compiled=on) for on in (False, True))
    for name, values in plain.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
    drawn = model.outputs_of(X, ("f",), samples=2000, batch_size=8000, compiled=True)["f"]
    scale = np.asarray(model.encode(X)["q_f"].scale)
    error = (drawn - plain["f"]) / scale * 2000**0.5
    assert np.abs(error).max() < 5 and 0.5 < error.std() < 1.6
    # No two trials share numbers.
    assert np.unique(np.round(error, 3)).size == error.size


def test_what_was_compiled_is_used_again_while_the_weights_are_the_same():
    model = make()
    model.batch_parts = 2
    first = model.side_by_side()
    assert model.side_by_side() is first
    model.get_layer("readout").trainable = False
    assert model.side_by_side() is not first
    assert len(model.side_by_side().weights) == len(first.weights) - 2


def test_steps_of_fit_are_those_of_the_whole_batch():
    """Two epochs of batches of 4 and 3 trials, with Adam's moments, for a model of several inputs."""
    found = []
    for parts in (1, 2):
        model = make(variational=False, ext_input_dim=2)
        if found:
            for variable, value in zip(model.trainable_variables, start, strict=True):  # noqa: F821
                variable.assign(value)
        start = [v.numpy() for v in model.trainable_variables]
        model.batch_parts = parts
        given = {"x": X, "ext_input": np.random.default_rng(1).normal(size=(7, 6, 2)).astype("float32")}
        history = model.fit(given, X, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        found.append((history, [v.numpy() for v in model.trainable_variables], start))
    for name, values in found[0][0].items():
        np.testing.assert_allclose(found[1][0][name], values, rtol=1e-4)
    for one, two, _ in zip(found[0][1], found[1][1], found[0][2], strict=True):
        np.testing.assert_allclose(two, one, atol=2e-4)
    assert any(np.abs(one - begin).max() > 1e-3 for one, begin in zip(found[0][1], found[0][2], strict=True))


@pytest.mark.slow
def test_parts_draw_numbers_of_their_own_and_go_on_with_others():
    """Twice the same trial: with common numbers both parts would have the same gradient, and so would two steps."""
    model = make(q_f_init_std=1.0)
    twice, once = tf.constant(np.repeat(X[:1], 2, 0)), tf.constant(X[:1])
    seeds = [v.numpy() for v in SideBySide(model, 2).seeds]
    assert seeds

    def rewind():
        for variable, value in zip(SideBySide(model, 2).seeds, seeds, strict=True):
            variable.assign(value)

    def flat(gradients):
        return np.concatenate([np.ravel(gradient) for gradient in gradients])

    run, alone = in_graph(SideBySide(model, 2).gradient), in_graph(SideBySide(model, 1).gradient)
    both, again = flat(run(twice)), flat(run(twice))
    rewind()
    first = flat(alone(once))
    moved = [v.numpy() for v in SideBySide(model, 2).seeds]
    rewind()
    np.testing.assert_allclose(flat(run(twice)), both, rtol=1e-4, atol=1e-5)
    # With common numbers the mean of both parts would be that of the first.
    assert np.abs(both - first).max() > 0.1
    assert np.abs(both - again).max() > 0.1
    # The states move on as those of one part do.
    assert any((a != b).any() for a, b in zip(moved, seeds, strict=True))


def test_a_batch_that_is_not_finite_in_one_part_is_left_out_whole(quiet):
    bad = X.copy()
    bad[-1, 2, 3] = np.inf
    before = [v.numpy() for v in quiet.trainable_variables]
    quiet.reset_metrics()
    quiet.batch_parts = 2
    try:
        step = in_graph(lambda x: quiet.train_step((x,)))
        logs = {name: float(value) for name, value in step(tf.constant(bad)).items()}
        assert set(logs.values()) == {0.0}
        assert quiet.finite_terms.numpy().tolist() == [0.0, 1.0, 1.0, 1.0]
        for variable, value in zip(quiet.trainable_variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
        good = {name: float(value) for name, value in step(tf.constant(X)).items()}
        assert good["nll"] > 0 and quiet.finite_terms.numpy().all()
    finally:
        quiet.batch_parts = 1


def test_parts_fill_the_cores_with_enough_trials_each(monkeypatch, quiet):
    monkeypatch.setattr(tf.config.threading, "get_inter_op_parallelism_threads", lambda: 4)
    assert [parts_for(batch) for batch in (1, 15, 31, 32, 64, 1000)] == [1, 1, 1, 2, 4, 4]
    assert divisible(quiet)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"])
    assert not divisible(quiet) and parts_for(1000) == 1
