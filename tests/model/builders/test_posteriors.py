"""Product posteriors and what their encoders alone would pay, against numpy."""

import keras
import numpy as np
import pytest

from tests.checks import assert_close, assert_same, counts, saved_and_loaded, tiny_model

N, T, CLASSES = 6, 8, 3
X = counts(N, T)
CLASS = np.array([0, 1, 2, 2, 1, 0])
#: Both latents by class, without a recurrence or dropout.
BOTH = {
    **{"dropout_rate": 0.0, "coordinated_dropout_rate": 0.0, "f_rnn_type": "Dense", "f_enc_reduce": "mean"},
    **{"z1_rnn_type": "Dense", "z2_units": 0, "gen_cell_type": "Dense", "f_to_gen": "tile"},
    **{"u_dim": CLASSES, "u_type": "discrete", "f_prior_type": "cond", "z_prior_process": "cond", "q_cond": "product"},
}


def model_of(**changes):
    """A tiny model whose label priors are far apart."""
    model, rng = tiny_model(**{**BOTH, "alpha": 0.3, **changes}), np.random.default_rng(0)
    for name in ("f_prior", "z_prior"):
        for variable in model.get_layer(name).trainable_variables:
            variable.assign(variable + rng.normal(size=variable.shape))
    return model


def of_the_encoder(model, name):
    """Means and variances that the layer `name` gives, (trials[, samples][, bins], D)."""
    q = model.get_layer(name).output
    part = keras.Model(model.input, [q[0], q[1]])
    loc, scale = part.predict({"x": X, "u": CLASS}, verbose=0)
    return loc.astype("float64"), scale.astype("float64") ** 2


def of_the_prior(model, latent, like):
    """Means and variances of p(. | u), with the axes of `like`."""
    prior = model.get_layer(f"{latent}_prior")
    loc, raw = (np.asarray(table, "float64")[CLASS] for table in (prior.mean_embedding, prior.log_variance_embedding))
    return (np.reshape(part, (N, *[1] * (like.ndim - 2), -1)) for part in (loc, np.exp(raw)))


def kl(m, v, m0, v0):
    return 0.5 * (np.log(v0 / v) + (v + (m - m0) ** 2) / v0 - 1).sum(-1)


@pytest.mark.parametrize(
    "changes",
    [pytest.param({}, marks=pytest.mark.slow), {"f_to_z": "z1", "q_f_samples": 3}],
    ids=["one sample", "samples of f in z"],
)
def test_the_encoder_and_the_product_each_pay_their_own(changes):
    model = model_of(**changes)
    out = model.predict({"x": X, "u": CLASS}, verbose=0)
    for latent, axes in (("f", 2), ("z", 3)):
        m, v = of_the_encoder(model, f"q_{latent}")
        m0, v0 = of_the_prior(model, latent, m)
        precision = 1 / v + 1 / v0
        found = {"_encoder": kl(m, v, m0, v0), "": kl((m / v + m0 / v0) / precision, 1 / precision, m0, v0)}
        for end, expected in found.items():
            assert_close(out[f"kl_{latent}{end}"], expected.mean(1) if m.ndim > axes else expected, 1e-4)
        # They are not the same, or nothing would have been compared.
        assert np.abs(out[f"kl_{latent}_encoder"] - out[f"kl_{latent}"]).max() > 0.1
    assert out["kl_f_encoder"].shape == (N,) and out["kl_z_encoder"].shape == (N, T)
    assert_same(saved_and_loaded(model).predict({"x": X, "u": CLASS}, verbose=0), out)


def test_only_a_share_above_zero_is_computed():
    model, without = model_of(alpha=1e-30), model_of(alpha=0.0)
    assert set(model.output) - set(without.output) == {"kl_f_encoder", "kl_z_encoder"}
    assert len(model.layers) == len(without.layers) + 2
    # The latent of the other kind of prior has no product.
    f_alone = tiny_model(**{**BOTH, "alpha": 0.3, "z_prior_process": "AR1"})
    assert {"kl_f_encoder", "kl_z"} <= set(f_alone.output) and "kl_z_encoder" not in f_alone.output


def test_nothing_is_paid_beyond_the_end_nor_known_without_a_label():
    model, x, u = model_of(missing_data=True), X.copy(), CLASS.copy()
    x[0, 5:], u[3] = np.nan, -1
    out = model.predict({"x": x, "u": u}, verbose=0)
    for name in ("kl_z", "kl_z_encoder"):
        assert (out[name][0, 5:] == 0).all() and (out[name][0, :5] > 0).all()
        assert np.isnan(out[name][3]).all() and np.isfinite(np.delete(out[name], 3, 0)).all()
    assert np.array_equal(np.isnan(out["kl_f_encoder"]), u < 0)
