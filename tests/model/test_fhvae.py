"""FHVAE: one f and one z a window, f around the mean of the window's sequence, from a recording to an export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from indl.data import Trials
from indl.dists.priors.table import map_means
from indl.evaluation import evaluate
from indl.evaluation.predictions import predict
from indl.export import export_saved_model
from indl.model import beta_vae
from indl.model.assemble import build_sequential_vae
from indl.model.inputs.of_recording import inputs_of
from indl.model.parts import part_of
from indl.model.roles.fhvae import fhvae_roles, load_fhvae_weights
from indl.objectives import FHVAEBound
from indl.params import preset
from indl.runs.report import save_figures
from indl.training import train
from indl.training.fit import make_callbacks
from indl.training.sessions import add_session
from tests.checks import (
    PLAIN,
    TINY,
    assert_close,
    assert_same,
    check_model,
    counts,
    gradients,
    saved_and_loaded,
    tiny_model,
    untrained,
)
from tests.messages import faults

T, N = 6, 4
SIZES = {"f_units": [4], "z1_units": [3], "gen_n_hidden": [5], "f_latent_size": 3, "z_latent_size": 2}
# The cell that is traced fastest; stacks of the preset's own are compared with the reference.
CELLS = dict.fromkeys(("f_rnn_type", "z1_rnn_type", "gen_cell_type"), "SimpleRNN")
PARAMS = preset("fhvae", **SIZES, **CELLS, batch_size=4, learning_rate=0.01, epochs=2, jit_compile="off")
#: One z a window, in a network whose loop is traced quickly.
ONE_Z = {"z_per_step": False, "z1_rnn_type": "SimpleRNN", "z2_type": None, "z2_units": 0, "gen_cell_type": "SimpleRNN"}


@pytest.fixture(scope="module")
def recording():
    """Four blocks of trials, the last of which is in the validation part alone."""
    label = np.repeat(["d", "a", "b", "c"], [2, 4, 3, 3])
    return Trials(counts(12, T, N), 0.02, label=label).split(valid=[0, 1, 2, 6])


@pytest.fixture(scope="module")
def result(recording):
    return train(PARAMS, recording, hidden_every=1)


@pytest.fixture(scope="module")
def model(result):
    return result.model


@pytest.fixture(scope="module")
def valid(model, recording):
    return inputs_of(model, recording.valid, labels=True)


def prior_of(model):
    return part_of(model, "f_prior")


def test_the_recording_says_what_the_sequences_are(model, valid):
    assert model.params["f_prior_sequences"] == ["a", "b", "c", "d"] and model.params["f_prior_n_seqs"] == 4
    assert valid["index"].tolist() == [3, 3, 0, 1]
    assert prior_of(model).n_segments.numpy().tolist() == [3, 2, 3, 2]
    assert prior_of(model).used.numpy().tolist() == [1, 1, 1, 0]


def test_every_variable_trains(model, recording):
    given = inputs_of(model, recording.train, labels=True)
    assert untrained(model.trainable_variables, gradients(model, given)) == []
    assert {v.path.split("/")[0] for v in model.trainable_variables} == {
        *("f_rnn_0", "q_f", "f_prior", "z1_0", "q_z", "gen_0", "readout")
    }


def test_the_mean_of_a_sequence_that_training_has_not_is_estimated(model, valid):
    q_f = model.encode(valid["x"])["q_f"].loc
    assert_close(np.asarray(prior_of(model).table)[3], map_means(q_f, valid["index"], 4)[3])


def test_means_of_sequences_in_training_are_estimated_before_every_epoch(result, model, recording):
    table, given = prior_of(model).table, inputs_of(model, recording.train, labels=True)
    wanted, kept = map_means(model.encode(given["x"])["q_f"].loc, given["index"], 4), table.numpy()
    again = make_callbacks(model.params, recording)["sequence_means"]
    again.set_model(model)
    again.on_epoch_begin(0)
    found = table.numpy()
    assert_close(found[:3], wanted[:3])
    assert_same(found[3], kept[3])
    assert np.abs(found[:3] - kept[:3]).max() > 1e-4 and prior_of(model).n_segments.numpy().tolist() == [3, 2, 3, 2]
    table.assign(kept)
    assert "sequence_means" not in make_callbacks({**model.params, "f_prior_refresh": False}, recording)


def test_the_bound_is_its_sum(model, recording, valid):
    """By hand, from what the model infers: on posterior means."""
    scores = evaluate(model, recording, samples=2)
    q = {name: [np.asarray(part, "float64") for part in value[:2]] for name, value in model.encode(valid["x"]).items()}
    mean = np.asarray(prior_of(model).table, "float64")

    def kl(loc, scale, mu, std):
        return (np.log(std / scale) + (scale**2 + (loc - mu) ** 2) / (2 * std**2) - 0.5).sum(-1).mean()

    own = mean[valid["index"]]
    segments = np.array([3, 2, 3, 2])[valid["index"]]
    assert_close(scores["nll"], -model.log_prob(valid["x"]).sum((1, 2)).mean(), 1e-4)
    assert_close(scores["kl_f"], kl(*q["q_f"], own, 0.5), 1e-4)
    assert_close(scores["kl_z"], kl(*q["q_z"], 0, 1), 1e-4)
    assert_close(scores["mean_nll"], -(stats.norm.logpdf(own).sum(-1) / segments).mean())
    parts = ("nll", "kl_f", "kl_z", "mean_nll")
    assert_close(scores["neg_elbo"], sum(scores[name] for name in parts), 1e-4)
    terms = model.evaluate(valid, verbose=0, return_dict=True)
    assert_close(terms["loss"], scores["neg_elbo"] + 10 * scores["index_nll"] + terms["penalty"], 1e-4)


def test_weights_of_the_terms():
    p = preset("fhvae", f_disc_alpha=3.0, kl_f_beta=0.5)
    bound = FHVAEBound.of(p, [])
    assert bound.weights == {"beta_f": 0.5, "beta_z": 1.0, "l2_weight": 1.0, "disc_alpha": 3.0}
    assert FHVAEBound.from_config(bound.get_config()) == bound
    terms = {name: tf.constant([2.0, 4.0]) for name in ("reconstruction", "kl_f", "kl_z", "mean_nll", "index_nll")}
    context = build_sequential_vae({**PLAIN}, T, N).context
    loss = bound.combine({**terms, "penalty": 1.0}, bound.weights, context, tf.constant([1.0, 0.5]))
    assert_close(loss, [2 * 6.5 + 1, 2 * 6.5 + 1])


def test_one_latent_a_window_drives_any_number_of_bins(model, valid):
    q = model.encode(valid["x"])
    assert q["q_f"].loc.shape == (4, 3) and q["q_z"].loc.shape == q["q_z"].scale.shape == (4, 2)
    rates = model(valid)["p_x"].mean()
    assert_close(model.decode(q["q_f"].loc, q["q_z"].loc, T).mean(), rates)
    # A forward generator from a zero state: the same bins, and more.
    longer = np.asarray(model.decode(q["q_f"].loc, q["q_z"].loc, T + 3).mean())
    assert longer.shape == (4, T + 3, N)
    assert_close(longer[:, :T], rates)
    swapped = model.reconstruct(valid["x"], "z")
    assert_close(swapped, model.decode(q["q_f"].loc, q["q_z"].loc[::-1], T).mean())


def test_draws_are_of_new_sequences_or_of_known_ones(model):
    new, known = model.generate(400, T, seed=1), model.generate(400, T, seed=1, index=2)
    assert new["z"].shape == (400, 2) and new["rates"].shape == (400, T, N)
    mean = np.asarray(prior_of(model).table)[2]
    assert_close(known["f"].mean(0), mean, 0.15)
    assert_close(new["f"].std(0), np.full(3, 1.25**0.5), 0.15)
    assert_same(model.generate(3, T, index=[0, 1, 2])["z"], model.generate(3, T)["z"])


@pytest.mark.slow
def test_files_hold_all_of_it(model, recording, valid, tmp_path):
    again = saved_and_loaded(model)
    assert again.objective.get_config()["disc_alpha"] == 10.0 and again.params == model.params
    assert_same(again.evaluate(valid, verbose=0), model.evaluate(valid, verbose=0))
    assert_same(again.generate(3, T, index=1), model.generate(3, T, index=1))
    exported = tf.saved_model.load(str(export_saved_model(again, tmp_path / "saved")))
    found = exported.encode(tf.constant(valid["x"]))
    for name, q in model.encode(valid["x"]).items():
        assert_close(found[f"{name}_loc"], q.loc)
        assert_close(found[f"{name}_scale"], q.scale)
    assert_close(exported.rates(tf.constant(valid["x"]))["rates"], model.rates(valid["x"]))


def test_what_is_made_of_a_run(result, recording):
    use = result.latent_use.kl
    # Their sums are the divergences of the last epoch, whose weights may not be the best.
    assert_close(use["f"][-1].sum(), result.history["val_kl_f"][-1], 1e-4)
    assert_close(use["z"][-1].sum(), result.history["val_kl_z"][-1], 1e-4)
    trials = Trials(recording.valid.recon, 0.02)
    found = predict(result.model, trials, samples=2)
    assert found["z_mean"].shape == found["z_sd"].shape == (4, 2) and found["rates"].shape == (4, T, N)


@pytest.mark.slow
def test_figures_of_one_z_a_window(result, recording, tmp_path):
    drawn = save_figures(tmp_path, result.model, recording, result.history, result.latent_use)
    assert {path.stem for path in drawn} >= {"raster", "training", "kl_per_dimension"}
    assert "autocorrelation" not in {path.stem for path in drawn}


@pytest.mark.slow
def test_a_run_goes_on(recording, result, tmp_path):
    train(PARAMS, recording, hidden_every=1, epochs=1, folder=tmp_path / "run")
    gone_on = train(PARAMS, recording, hidden_every=1, folder=tmp_path / "run")
    for name, values in result.history.items():
        assert_close(gone_on.history[name], values)
    assert_close(prior_of(gone_on.model).table, prior_of(result.model).table)


@pytest.mark.slow
def test_one_z_for_each_of_several_samples_of_f():
    p = {**TINY, **ONE_Z, "z1_units": [3, 4], "z_prior_process": "none", "f_rnn_type": "SimpleRNN"}
    p |= {"q_f_samples": 2, "f_to_z": "z1"}
    model = check_model(p, counts())
    q = model.encode(counts())
    assert q["q_z"].loc.shape == (6, 2) and np.ptp(q["q_z"].loc, axis=0).min() > 1e-4
    assert model._graph_outputs["kl_z"].shape == (None, 1)


def test_one_z_with_labels_and_external_input():
    p = {**ONE_Z, "f_latent_size": 0, "f_to_gen": None, "z_prior_process": "cond", "u_dim": 3, "u_type": "discrete"}
    model = tiny_model(T, N, **{**p, "ext_input_dim": 2, "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0})
    x, u = counts(5, T, N), np.array([0, 1, 2, 1, 0])
    external = np.random.default_rng(1).normal(size=(5, T, 2)).astype("float32")
    out = model({"x": x, "u": u, "ext_input": external})
    loc, scale = (part[:, 0] for part in out["q_z"][:2])
    assert_close(out["kl_z"], np.sum(part_of(model, "z_prior").kl_per_dimension((loc, scale), u), -1)[:, None])
    rates = out["p_x"].mean()
    assert_close(model.decode(z=loc, n_times=T, ext_input=external).mean(), rates)
    assert not np.allclose(model.decode(z=loc, n_times=T).mean(), rates)
    assert model.generate(3, T, u=1)["z"].shape == (3, 2)


def test_the_end_of_a_padded_window_is_not_read():
    p = {**TINY, **ONE_Z, "f_latent_size": 0, "f_to_gen": None, "z_prior_process": "standard", "missing_data": True}
    model = tiny_model(None, N, **{**p, "dropout_rate": 0.0, "coordinated_dropout_rate": 0.0})
    short = counts(3, T, N)
    padded = np.pad(short, ((0, 0), (0, 2), (0, 0)), constant_values=np.nan)
    outputs = [model({"x": x}) for x in (padded, short)]
    assert_close(outputs[0]["q_z"].loc, outputs[1]["q_z"].loc)
    terms = [model.loss_terms(x, out)["neg_elbo"] for x, out in zip((padded, short), outputs, strict=True)]
    assert_close(*terms)


@pytest.fixture(scope="module")
def plain():
    """A model of a known table without a loop, which has never been told what is in use."""
    p = {**PLAIN, "f_prior_type": "lookup", "f_prior_n_seqs": 3, "coordinated_dropout_rate": 0.0}
    built = build_sequential_vae(p, T, N)
    built.compile("adam")
    return built


X = counts(4, T, N)
INDEX = np.array([0, 1, 2, 0])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: m.fit(X, verbose=0), ["sequence of each trial", "x without index", "from 0 to 2"]),
        (lambda m: m.fit({"x": X}, verbose=0), ["x without index"]),
        (lambda m: m.fit({"x": X, "index": INDEX}, validation_data=(X,)), ["validation x without index"]),
        (lambda m: m.evaluate(X), ["x without index"]),
        (lambda m: m.evaluate({"x": X, "index": INDEX + 1}), ["no row for", "[1, 2, 3]", "3 rows"]),
        (lambda m: m.fit({"x": X, "index": INDEX - 1}), ["no row for", "f_prior_n_seqs"]),
        (lambda m: m.encode({"x": X, "index": INDEX[:2]}), ["index does not fit", "(2,)", "counted from 0"]),
        (lambda m: m.reconstruct(X, "sequence"), ["x without index"]),
        (lambda m: m.reconstruct(X, "speaker"), ["'speaker'", "'f', 'sequence'"]),
        (lambda m: m.generate(2, T, index=[0, 1, 2]), ["(3,) for 2 trials"]),
        (lambda m: m.generate(2, T, index=3), ["no row for"]),
        (lambda m: tiny_model(T, N).generate(2, T, index=0), ["knows no sequences", "lookup"]),
        (lambda m: beta_vae.create_f_prior({"f_prior_type": "lookup"}), ["how many sequences", "f_prior_n_seqs=0"]),
        (lambda m: fhvae_roles(tiny_model(T, N)), ["table of sequence means", "preset('fhvae')"]),
    ],
)
def test_what_does_not_fit_is_told(plain, call, words):
    with pytest.raises(ValueError) as told:
        call(plain)
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)


def test_weights_that_do_not_fit_change_nothing(model):
    before = model.get_weights()
    with pytest.raises(ValueError, match="f_prior/table: .* instead of .4, 3."):
        load_fhvae_weights(model, {"f_prior/table": np.zeros((3, 3))})
    assert_same(model.get_weights(), before)


def test_a_recording_with_other_sequences_has_no_bound(model, recording):
    other = Trials(counts(6, T, N), 0.02, label=np.repeat(["a", "z"], 3)).split(valid=[0, 3])
    with pytest.warns(UserWarning, match="nll is left out.*no row for. Given: label 'z'"):
        scores = evaluate(model, other, samples=0)
    assert np.isnan(scores["neg_elbo"]) and np.isfinite(scores["hidden_nll"])


def test_another_session_is_refused():
    p = {**PLAIN, "f_prior_type": "lookup", "f_prior_n_seqs": 2, "input_factors": 3}
    with pytest.raises(ValueError, match="does not take another session.*all sessions, joined"):
        add_session(build_sequential_vae(p, T, N), None)


@pytest.mark.slow
def test_a_joined_table_trains_without_a_z():
    """The table belongs to f alone; trials need not be windows."""
    keras.utils.set_random_seed(0)
    p = {
        **PLAIN,
        "f_prior_type": "lookup",
        "f_prior_init_std": 0.5,
        "batch_size": 8,
        "epochs": 12,
        "jit_compile": "off",
        "learning_rate": 0.03,
    }
    x = counts(16, T, N)
    x[8:, :, 0] += 4
    recording = Trials(x, 0.02, label=np.repeat([0, 1], 8)).split(0.25)
    history = train({**p, "coordinated_dropout_rate": 0.0}, recording, hidden_every=12).history
    # The blocks differ, and f comes to tell which is which.
    assert history["val_index_nll"][-1] < 0.3 < history["val_index_nll"][0]
