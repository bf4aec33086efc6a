"""Every objective in a model: its loss, a step, saving, and what it leaves alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from indl.data.simulate.lorenz import lorenz
from indl.dists import Gaussian
from indl.export import export_saved_model
from indl.model.assemble import build_sequential_vae
from indl.model.families import family_of
from indl.model.memory import sequence_memory
from indl.model.steps.guarded_adam import GuardedAdam
from indl.model.steps.side_by_side import divisible
from indl.objectives.batch_latents import across_trials
from indl.params import preset
from indl.training.checkpoint import Checkpoint
from indl.training.fit import first_epoch, make_callbacks, train
from indl.training.schedules import BetaSchedule, WeightSchedule
from tests.checks import PLAIN, QUICK, assert_close, assert_same, counts, gradients, saved_and_loaded
from tests.messages import faults

X = counts(6)
#: Of both latents, none of which comes in a loop over time.
BOTH = {**QUICK, "z_latent_size": 2, "gen_cell_type": "Dense", "f_to_gen": "tile", "z2_type": None}
F = {**PLAIN, "coordinated_dropout_rate": 0.0}
SMALL = {"factor_units": [6, 5]}
OBJECTIVES = {
    "elbo": F,
    "beta_tcvae": {**F, "n_data": 9},
    "factor_vae": {**F, **SMALL},
    "dip_vae_i": F,
    "dip_vae_ii": F,
    "capacity": {**BOTH, "capacity_on": "both"},
}
WEIGHTS = {
    "elbo": {},
    "beta_tcvae": {"tc_alpha": 2.0, "tc_beta": 3.0, "tc_gamma": 0.5},
    "factor_vae": {"factor_gamma": 7.0},
    "dip_vae_i": {"dip_off_diagonal": 2.0, "dip_diagonal": 3.0},
    "dip_vae_ii": {"dip_off_diagonal": 2.0, "dip_diagonal": 3.0},
    "capacity": {"capacity_gamma": 10.0, "capacity": 40.0},
}


def made(params, **changes):
    """A model at its start, compiled for steps that are not traced."""
    keras.utils.set_random_seed(0)
    model = build_sequential_vae({**params, **changes}, 8, 5)
    model.compile(GuardedAdam(1e-2), run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def step(model, x=X):
    model.train_step((tf.constant(x), tf.constant(x)))


def terms_of(model, training=False, x=X):
    outputs = model(x, training=training)
    return {name: np.asarray(value) for name, value in model.loss_terms(x, outputs).items()}


def by_hand(objective, t, outputs, w):
    """The mean loss of weights `w`, from terms that are not of the objective alone as far as there are such."""
    plain = t["nll"].mean() + t["kl_f"].mean() + t["kl_z"].mean() + t["penalty"]
    if objective == "beta_tcvae":
        parts = [t[f"{name}_f"].mean() for name in ("mi", "tc", "dw")]
        assert sum(parts) == pytest.approx(t["kl_f"].mean(), rel=1e-5)
        return plain - sum(parts) + w["tc_alpha"] * parts[0] + w["tc_beta"] * parts[1] + w["tc_gamma"] * parts[2]
    if objective == "factor_vae":
        return plain + w["factor_gamma"] * t["tc_f"].mean()
    if objective.startswith("dip"):
        loc, scale = (np.asarray(part, "float64") for part in outputs["q_f"][:2])
        c = np.cov(loc.T, bias=True) + (np.diag((scale**2).mean(0)) if objective == "dip_vae_ii" else 0)
        on = np.diag(c)
        off = (c**2).sum() - (on**2).sum()
        return plain + w["dip_off_diagonal"] * off + w["dip_diagonal"] * ((on - 1) ** 2).sum()
    if objective == "capacity":
        kl = (t["kl_f"] + t["kl_z"]).mean()
        return plain - kl + w["capacity_gamma"] * abs(kl - w["capacity"])
    return plain


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_in_a_model(objective):
    """Its loss is its formula at any weights; a step lowers nothing but is finite; a saved model goes on alike."""
    model = made(OBJECTIVES[objective], objective=objective)
    for name, value in WEIGHTS[objective].items():
        getattr(model, name).assign(value)
    outputs = model(X, training=False)
    found = terms_of(model)
    loss = by_hand(objective, found, outputs, WEIGHTS[objective])
    assert_close(found["loss"].mean(), loss)
    assert divisible(model) == (objective == "elbo")
    assert set(found) >= set(model.objective.parts)
    before = model.get_weights()
    step(model)
    assert model.finite_terms.numpy().all() and np.isfinite(terms_of(model)["loss"]).all()
    moved = [np.any(a != b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert sum(moved) > len(model.trainable_variables) / 2
    loaded = saved_and_loaded(model)
    assert loaded.objective == model.objective and loaded.params == model.params
    for name in WEIGHTS[objective]:
        assert float(getattr(loaded, name)) == WEIGHTS[objective][name]
    step(model)
    step(loaded)
    assert_same(loaded.get_weights(), model.get_weights())
    assert_same(*([v.numpy() for v in m.optimizer_variables] for m in (loaded, model)))


def test_weights_of_one_give_the_bound():
    model = made(OBJECTIVES["beta_tcvae"], objective="beta_tcvae", tc_beta=1.0)
    found = terms_of(model, training=True)
    assert_close(found["loss"], found["neg_elbo"])


def test_z_is_taken_apart_bin_by_bin():
    """With samples of f, which each have a z of their own."""
    model = made(BOTH, objective="beta_tcvae", tc_on="both", n_data=9, q_f_samples=2, f_to_z="z1", fz_mi_weight=1.0)
    outputs = model(X, training=True)
    found = {name: np.asarray(value) for name, value in model.loss_terms(X, outputs).items()}
    q, z = Gaussian(*(np.asarray(part, "float64") for part in outputs["q_z"][:2])), np.asarray(outputs["z"], "float64")
    others, odd = 1 / 5, 4 / 45
    weights = np.full((6, 6), others)
    weights[np.arange(6), (np.arange(6) + 1) % 6] = odd
    np.fill_diagonal(weights, 1 / 9)
    tc = np.zeros(6)
    for i in range(6):
        for s in range(2):
            for t in range(z.shape[2]):
                loc, scale = q.loc[:, s, t], q.scale[:, s, t]
                density = np.exp(-0.5 * ((z[i, s, t] - loc) / scale) ** 2) / scale
                tc[i] += np.log(weights[i] @ density.prod(1)) - np.log(weights[i] @ density).sum()
    assert_close(found["tc_z"], tc / 2, 1e-4)
    assert_close(found["mi_z"] + found["tc_z"] + found["dw_z"], found["kl_z"], 1e-4)
    assert found["fz_mi"].shape == (6,) and (found["fz_mi"] >= 0).all() and found["fz_mi"].max() > 0


def test_information_that_f_and_z_share_is_paid_for():
    model = made(BOTH, fz_mi_weight=2.0, n_data=6)
    found = terms_of(model)
    assert_close(found["loss"].mean(), (found["neg_elbo"] + 2.0 * found["fz_mi"]).mean() + found["penalty"])
    model.fz_mi_weight.assign(0.0)
    assert_close(terms_of(model)["loss"].mean(), found["neg_elbo"].mean() + found["penalty"])


def test_free_bits_are_paid_and_the_kl_is_logged():
    some = {"f_free_bits": 1e-6, "z_free_bits": 1e-6}
    outputs = made(BOTH, **some)(X, training=False)
    each = {name: np.asarray(outputs[f"kl_{name}_dimensions"]) for name in "fz"}
    mean = {name: part.mean(tuple(range(part.ndim - 1))) for name, part in each.items()}
    # As much as the middle of the dimensions has.
    floor = {name: float(part.mean()) for name, part in mean.items()}
    found = terms_of(made(BOTH, f_free_bits=floor["f"], z_free_bits=floor["z"]))
    assert_close(each["f"].sum(-1), found["kl_f"])
    assert_close(each["z"].sum((1, 2)), found["kl_z"])
    paid = np.maximum(mean["f"], floor["f"]).sum() + 8 * np.maximum(mean["z"], floor["z"]).sum()
    assert paid > found["kl_f"].mean() + found["kl_z"].mean() + 0.1
    assert_close(found["loss"].mean(), found["nll"].mean() + paid + found["penalty"], 1e-4)
    assert_close(found["neg_elbo"], found["nll"] + found["kl_f"] + found["kl_z"])


@pytest.mark.parametrize("settings", [{}, {"z_prior_process": "GRU", "z_prior_units": 3}])
def test_a_balanced_kl_has_the_same_value_and_shares_of_the_gradient(settings):
    """With a prior of each bin alone, and one that follows the path of the bins before."""
    models = {balance: made({**BOTH, **settings}, kl_balance=balance) for balance in (None, 0.8)}
    models[0.8].set_weights(models[None].get_weights())
    found = {}
    for balance, model in models.items():
        with tf.GradientTape() as tape:
            # Of posterior means, both draw the same.
            outputs = model(X, training=False)
            kl = tf.reduce_mean(outputs["kl_f"]) + tf.reduce_mean(outputs["kl_z"])
        variables = model.trainable_variables
        slopes = tape.gradient(kl, [v.value for v in variables], unconnected_gradients="zero")
        found[balance] = {v.path: slope for v, slope in zip(variables, slopes, strict=True)}, outputs
    for name in ("kl_f", "kl_z"):
        assert_same(found[None][1][name], found[0.8][1][name])
    shares = [0.8 if "prior" in path else 0.2 for path in found[None][0]]
    assert {0.2, 0.8} == set(shares)
    for share, plain, balanced in zip(shares, found[None][0].values(), found[0.8][0].values(), strict=True):
        np.testing.assert_allclose(balanced, share * plain, rtol=1e-4, atol=1e-7)


def test_a_fixed_prior_is_not_balanced():
    models = [made(BOTH, f_prior_type="standard", kl_balance=balance) for balance in (None, 0.8)]
    for model in models:
        assert not [layer for layer in model.layers if "scale_gradient" in layer.name and "kl_f" in layer.name]
    slopes = []
    for model in models:
        with tf.GradientTape() as tape:
            kl = tf.reduce_mean(model(X, training=False)["kl_f"])
        slopes.append(tape.gradient(kl, [v.value for v in model.trainable_variables], unconnected_gradients="zero"))
    for plain, balanced in zip(*slopes, strict=True):
        np.testing.assert_allclose(plain, balanced, rtol=1e-6)


# --- the opponent -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def factor():
    return made(F, objective="factor_vae", **SMALL)


def weights_of(model):
    """Weights of the model proper, and of its opponent."""
    return [v.numpy() for v in model.trainable_variables], [v.numpy() for v in model.opponent.network.weights]


def test_the_opponent_stands_still_while_the_model_steps(factor, monkeypatch):
    own, opposed = weights_of(factor)
    monkeypatch.setattr(factor.opponent, "train_step", lambda latent: None)
    step(factor)
    assert_same(weights_of(factor)[1], opposed)
    assert any((a != b).any() for a, b in zip(weights_of(factor)[0], own, strict=True))


def test_the_model_stands_still_while_the_opponent_steps(factor):
    own, opposed = weights_of(factor)
    factor.opponent.train_step(factor(X, training=True)["f"])
    assert_same(weights_of(factor)[0], own)
    assert any((a != b).any() for a, b in zip(weights_of(factor)[1], opposed, strict=True))


def test_the_opponent_is_none_of_the_models_trained_variables(factor):
    paths = [variable.path for variable in factor.trainable_variables]
    assert not [path for path in paths if "discriminator" in path or "hidden_" in path]
    held = {id(variable) for variable in factor.variables}
    assert all(id(variable) in held for variable in factor.opponent.network.variables)
    assert len(factor.optimizer_variables) > len(factor.optimizer.variables)
    # Its estimate reaches the encoder.
    slopes = gradients(factor, X)
    factor.factor_gamma.assign(0.0)
    without = gradients(factor, X)
    factor.factor_gamma.assign(10.0)
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(slopes, without, strict=True))


def test_the_loss_of_the_opponent_is_logged(factor):
    factor.reset_metrics()
    found = factor.test_step((tf.constant(X), tf.constant(X)))
    assert 0.5 < float(found["opponent_loss"]) < 1 and factor.metrics_names[-1] == "opponent_loss"
    again = factor.opponent.network.loss(factor(X, training=False)["f"], training=False)
    assert_close(found["opponent_loss"], again)


def test_a_checkpoint_holds_the_opponent(factor, tmp_path):
    """With its moments and the state of its permutations."""
    checkpoint = Checkpoint(tmp_path / "state.npz", {}, {})
    checkpoint.set_model(factor)
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    other = made(F, objective="factor_vae", seed=5, **SMALL)
    step(other)
    assert Checkpoint(tmp_path / "state.npz", {}, {}).resume(other) == 1
    for model in (factor, other):
        step(model)
    for held in ("variables", "optimizer_variables"):
        assert_same(*([v.numpy() for v in getattr(model, held)] for model in (factor, other)))


def test_an_export_leaves_the_opponent_behind(factor, tmp_path):
    # One of unknown length, as all are whose numbers of bins vary.
    path = export_saved_model(factor, tmp_path / "export")
    sizes = {tuple(variable.shape) for variable in tf.saved_model.load(path)._all_variables}
    assert (5, 4) in sizes and (6, 5) not in sizes and (5, 2) not in sizes


# --- training ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording():
    return lorenz(n_neurons=6, n_conditions=2, n_trials=10, n_bins=6)


@pytest.mark.parametrize("objective", ["beta_tcvae", "factor_vae"])
def test_a_compiled_step_is_like_any_other(objective):
    """Of a model that draws next to nothing, so that the generator of the numbers is no matter."""
    models = [made(OBJECTIVES[objective], objective=objective, q_f_init_std=1e-4) for _ in range(2)]
    models[1].compile(GuardedAdam(1e-2), jit_compile=True)
    models[1].optimizer.build(models[1].trainable_variables)
    step(models[0])
    models[1].train_on_batch(X, X)
    for a, b in zip(*(model.trainable_variables for model in models), strict=True):
        assert_close(a.numpy(), b.numpy(), 2e-3)
    assert all(np.isfinite(v.numpy()).all() for v in models[1].variables)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["beta_tcvae", "factor_vae"])
def test_a_compiled_run_goes_on_to_the_numbers_of_an_unbroken_one(objective, recording, tmp_path):
    """The number of trials comes from the recording."""
    p = preset("default", **{**F, **SMALL}, objective=objective, jit_compile="on", batch_size=8, seed=3)
    whole = train(p, recording, epochs=2)
    train(p, recording, epochs=1, folder=tmp_path)
    again = train(p, recording, epochs=2, folder=tmp_path)
    assert again.history == whole.history and np.isfinite(whole.history["val_loss"]).all()
    assert_same(again.model.get_weights(), whole.model.get_weights())
    assert whole.model.jit_compile and whole.model.batch_parts == 1
    if objective == "beta_tcvae":
        assert whole.model.objective.n_data == len(recording.train.encod) == again.model.params["n_data"]


def test_the_number_of_trials_is_taken_where_it_is_needed(recording):
    for changes, wanted in (({}, None), ({"objective": "beta_tcvae"}, len(recording.train.encod))):
        p = preset("default", **F, **changes)
        assert family_of(p).params_for(p, recording)["n_data"] == wanted


def test_the_capacity_rises_by_steps(recording):
    p = preset("default", **F, objective="capacity", capacity_max=12.0, capacity_steps=9, batch_size=4)
    steps = family_of(p).steps_per_epoch(p, recording)
    assert first_epoch(p, recording) == -(-9 // steps)
    schedule = make_callbacks(p, recording)["capacity"]
    model = made(F, objective="capacity")
    schedule.set_model(model)
    schedule.set_params({"steps": steps})
    for epoch, batch, wanted in ((0, 0, 0.0), (0, 3, 4.0), (1, 1, 12.0 * min(9, steps + 1) / 9), (9, 0, 12.0)):
        schedule.on_epoch_begin(epoch)
        schedule.on_train_batch_begin(batch)
        assert float(model.capacity) == pytest.approx(wanted)
    logs = {}
    schedule.on_epoch_end(0, logs)
    assert logs == {"capacity": 12.0}


def test_a_schedule_counts_epochs_or_steps():
    with pytest.raises(ValueError, match="epochs or steps") as error:
        WeightSchedule("capacity", BetaSchedule(), "hour")
    assert not faults(str(error.value))


def test_posteriors_that_do_not_allow_it_are_refused_where_a_graph_is_ones_own():
    loc, scale = np.zeros((3, 4, 2)), np.ones((3, 4, 2))
    full = np.broadcast_to(np.eye(2), (3, 4, 2, 2))
    for q, why in ((Gaussian(loc, scale, loc), "its own path"), (Gaussian(loc, full), "a full covariance")):
        with pytest.raises(ValueError, match=why) as error:
            across_trials({"q_z": q, "z": loc}, "z")
        assert not faults(str(error.value))


def test_memory_of_what_is_compared_and_of_the_discriminator():
    def memory(**changes):
        return sequence_memory(preset("default", **BOTH, **changes), 64, 8, 5)

    plain, network = memory(), memory(objective="factor_vae")
    assert network.weights - plain.weights == 4 * 1000 + 5 * 1001 * 1000 + 1001 * 2
    assert memory(objective="beta_tcvae", tc_on="z").step - plain.step > 64**2 * 2 * 8
    assert memory(fz_mi_weight=1.0).step > memory(objective="beta_tcvae").step
