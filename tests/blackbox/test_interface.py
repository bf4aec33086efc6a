"""The interface as its document tells it, ready-made pairs against enumeration, and training by each loss."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from indl.blackbox import (
    IWAE,
    NVIL,
    RWS,
    VIMCO,
    Autoregressive,
    Bernoulli,
    BetaRegularizer,
    Categorical,
    Gaussian,
    GenerativeModel,
    Generator,
    InferenceNetwork,
    NormalRegularizer,
    PWake,
    QSleep,
    QWake,
    Recognizer,
    ScoreELBO,
    update,
)
from indl.objectives import estimators
from tests.checks import assert_close, parity_arrays
from tests.messages import faults


class InfNet(InferenceNetwork):
    """One's own, of one binary latent, written with nothing but TensorFlow."""

    def __init__(self, n_samples):
        self.n_samples = n_samples
        self.w = tf.Variable([[0.5], [-0.2]])

    def __call__(self, data):
        self.params_ = tf.matmul(data[0], self.w)
        return self

    def sample(self):
        shape = (len(self.params_), self.n_samples)
        return [tf.cast(tf.random.uniform(shape) < tf.sigmoid(self.params_), tf.float32)]

    def log_prob(self, latents):
        return latents[0] * self.params_ - tf.nn.softplus(self.params_)


class GenModel(GenerativeModel):
    def __init__(self):
        self.prior = tf.Variable(0.3)
        self.loc = [tf.Variable([1.0, -1.0])]

    def __call__(self, data, latents):
        self.params_ = latents[0][..., None] * self.loc[0]
        return self

    def sample(self):
        z = tf.cast(tf.random.uniform((7, 1)) < tf.sigmoid(self.prior), tf.float32)
        loc = z * self.loc[0]
        return [loc + tf.random.normal(tf.shape(loc))], [z]

    def log_prob(self, data, latents):
        z = latents[0]
        log_prior = z * self.prior - tf.nn.softplus(self.prior)
        return log_prior - 0.5 * tf.reduce_sum((data[0][:, None] - self.params_) ** 2 + np.log(2 * np.pi), -1)


X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")


def test_the_listing_of_the_document():
    data = [X]
    inf_net, gen_model = InfNet(4), GenModel()
    assert inf_net(data) is inf_net
    params = inf_net.params_
    latents = inf_net.sample()
    log_q = inf_net.log_prob(latents)
    assert params.shape == (6, 1) and latents[0].shape == log_q.shape == (6, 4)
    assert gen_model(data, latents) is gen_model and gen_model.params_.shape == (6, 4, 2)
    x_samples, z_samples = gen_model.sample()
    assert x_samples[0].shape == (7, 2) and z_samples[0].shape == (7, 1)
    log_p = gen_model.log_prob(data, latents)
    some_loss = VIMCO(inf_net, gen_model)
    loss = some_loss(data)
    assert some_loss.loss_history_ == [float(loss)] and len(some_loss.bound_history_) == 1
    assert_close(some_loss.mean_log_p_[0], np.mean(log_p), 2.0)


@pytest.mark.parametrize("kind", [VIMCO, PWake, QWake, QSleep, RWS, ScoreELBO, NVIL])
def test_every_loss_trains_what_it_says_and_nothing_else(kind):
    inf, gen = InfNet(4), GenModel()
    loss = kind(inf, gen)
    before = {"inf": inf.w.numpy(), "gen": np.append(gen.loc[0].numpy(), gen.prior.numpy())}
    update([X], (loss, keras.optimizers.SGD(0.1)))
    after = {"inf": inf.w.numpy(), "gen": np.append(gen.loc[0].numpy(), gen.prior.numpy())}
    assert {name for name in before if (before[name] != after[name]).all()} == set(loss.updates)
    assert {name for name in before if (before[name] != after[name]).any()} == set(loss.updates)


def test_two_losses_step_from_the_same_place():
    keras.utils.set_random_seed(0)
    inf, gen = InfNet(4), GenModel()
    latents = inf([X]).sample()
    inf.sample = lambda: latents
    log_p = gen([X], latents).log_prob([X], latents)
    with tf.GradientTape() as tape:
        value = estimators.wake_phi(log_p, inf([X]).log_prob(latents))
    wanted = inf.w.numpy() - 0.1 * tape.gradient(value, inf.w).numpy()
    values = update([X], (PWake(inf, gen), keras.optimizers.SGD(0.1)), (QWake(inf, gen), keras.optimizers.SGD(0.1)))
    assert_close(inf.w, wanted)
    assert_close(values[1], value)
    sgd = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="optimizer of its own"):
        update([X], (PWake(inf, gen), sgd), (QWake(inf, gen), sgd))


BINARY = [np.array(z, "float32") for z in itertools.product([0, 1], repeat=3)]
LATENTS = {
    "bernoulli": (lambda: Bernoulli(3), BINARY),
    "categorical": (
        lambda: Categorical(2, 3),
        [np.eye(3, dtype="float32")[list(z)] for z in itertools.product(range(3), repeat=2)],
    ),
    "autoregressive": (lambda: Autoregressive(3), BINARY),
}


@pytest.mark.parametrize("name", LATENTS)
def test_draws_are_as_frequent_as_they_are_probable(name):
    make, values = LATENTS[name]
    latent = make()
    if name == "autoregressive":
        latent.w.assign(np.random.default_rng(2).normal(0, 2, (3, 3)))
    params = np.random.default_rng(1).normal(size=latent.n_params).astype("float32")
    chance = np.exp([float(latent.log_prob(params, z)) for z in values])
    assert_close(chance.sum(), 1.0)
    many = np.asarray(latent.sample(tf.broadcast_to(params, (40_000, latent.n_params)), 3))
    found = [(many == z).reshape(len(many), -1).all(-1).mean() for z in values]
    assert_close(found, chance, 0.01)


@pytest.mark.parametrize("observation", ["normal", "bernoulli", "poisson"])
def test_dreams_come_from_the_joint(observation):
    """Mean of the dreams of each latent, and the density of each, by scipy."""
    gen = Generator(Bernoulli(1), 2, observation, sd=0.5, n_dreams=20_000, seed=0)
    gen.prior.assign([0.4])
    gen([np.zeros((1, 2), "float32")], [np.zeros((1, 1, 1), "float32")])
    gen.network.set_weights([np.array([[1.0, -0.5]]), np.array([0.2, 0.1])])
    (x,), (z,) = gen.sample()
    x, z = np.asarray(x), np.asarray(z)[:, 0, 0]
    assert_close(z.mean(), 1 / (1 + np.exp(-0.4)), 0.01)
    link = {"normal": lambda u: u, "bernoulli": lambda u: 1 / (1 + np.exp(-u)), "poisson": np.exp}[observation]
    for value in (0, 1):
        u = np.array([0.2, 0.1]) + value * np.array([1.0, -0.5])
        assert_close(x[z == value].mean(0), link(u), 0.03)
        density = {
            "normal": lambda x, u=u: stats.norm.logpdf(x, u, 0.5),
            "bernoulli": lambda x, u=u: stats.bernoulli.logpmf(x, link(u)),
            "poisson": lambda x, u=u: stats.poisson.logpmf(x, link(u)),
        }[observation]
        rows = x[z == value][:5]
        latents = [np.full((5, 1, 1), value, "float32")]
        found = gen([rows], latents).log_prob([rows], latents)[:, 0]
        assert_close(found, density(rows).sum(-1) + stats.bernoulli.logpmf(value, 1 / (1 + np.exp(-0.4))), 1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("config, arrays", parity_arrays("rws"))
def test_regularizers_equal_the_reference(config, arrays):
    for name, c in config["reg"].items():
        kind = NormalRegularizer if name == "normal" else BetaRegularizer
        transform = {"sigmoid": tf.sigmoid, "identity": None}[c["transform"]]
        parameter = tf.constant(arrays["reg/param"])
        with tf.GradientTape() as tape:
            tape.watch(parameter)
            value = kind(c["mean"], c["std"], c["lmbda"], transform)(parameter)
        assert_close(value, arrays[f"reg/{name}_value"])
        assert_close(tape.gradient(value, parameter), arrays[f"reg/{name}_grad"], 1e-4)


# --- recovery ---------------------------------------------------------------------------------------

TRUE_PRIOR, TRUE_B = np.array([-0.8, 0.5]), np.array([0.3, 0.0, -0.4])
TRUE_W = np.array([[2.5, 0.0, 1.0], [0.0, -2.5, 1.0]])


@pytest.fixture(scope="module")
def seen():
    rng = np.random.default_rng(0)
    z = rng.random((3000, 2)) < 1 / (1 + np.exp(-TRUE_PRIOR))
    return (z @ TRUE_W + TRUE_B + rng.normal(size=(3000, 3))).astype("float32")


def distance(gen):
    """Largest distance of weights and prior from the truth, over orders and signs of the latents."""
    (w, b), prior = gen.network.get_weights(), np.asarray(gen.prior)
    found = []
    for order in itertools.permutations(range(2)):
        for flip in itertools.product([False, True], repeat=2):
            sign = np.where(flip, -1, 1)
            bias = b + (w[list(order)] * np.array(flip)[:, None]).sum(0)
            off = [np.abs(sign[:, None] * w[list(order)] - TRUE_W).max(), np.abs(bias - TRUE_B).max()]
            found.append(max(*off, np.abs(sign * prior[list(order)] - TRUE_PRIOR).max() / 2))
    return min(found)


@pytest.mark.parametrize("kind, samples, within", [(VIMCO, 5, 0.2), (RWS, 5, 0.2), (NVIL, 1, 0.45)])
def test_parameters_of_discrete_latents_are_recovered(seen, kind, samples, within):
    keras.utils.set_random_seed(1)
    inf = Recognizer(Bernoulli(2), samples, units=(16,), seed=1)
    gen = Generator(Bernoulli(2), 3, seed=2)
    baseline = keras.Sequential([keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    loss, adam = kind(inf, gen, **({"baseline": baseline} if kind is NVIL else {})), keras.optimizers.Adam(0.02)
    loss([seen[:2]])
    gen.network.set_weights([0.5 * np.sign(TRUE_W), np.zeros(3)])
    adam.build(loss.trainable_variables)
    step = tf.function(lambda x: update([x], (loss, adam)))
    rng = np.random.default_rng(0)
    for i in range(450):
        if i == 300:
            adam.learning_rate.assign(0.004)
        step(tf.constant(rng.choice(seen, 200)))
    assert distance(gen) < within, distance(gen)


BAD = [
    (lambda: VIMCO(InfNet(1), GenModel())([X]), ["needs 2", "(6, 1)"]),
    (lambda: IWAE(InfNet(3), GenModel())([X]), ["re-parametrised", "InfNet"]),
    (lambda: VIMCO(InfNet(3), GenModel(), "max"), ["'max'", "'mean' or 'sum'"]),
    (lambda: RWS(InfNet(3), GenModel(), phi="dream"), ["'dream'", "'wake'"]),
    (lambda: NVIL(InfNet(3), GenModel(), decay=1.0), ["[0, 1)", "decay=1.0"]),
    (lambda: Recognizer(Bernoulli(2), 0), ["One sample", "n_samples=0"]),
    (lambda: Bernoulli(0), ["one variable", "size=0"]),
    (lambda: Categorical(2, 1), ["two at least", "n_classes=1"]),
    (lambda: Generator(Gaussian(2), 3, "gamma"), ["no such observation", "'gamma'", "poisson"]),
    (lambda: Generator(Gaussian(2), 3, sd=0.0), ["above 0", "sd=0.0"]),
    (lambda: BetaRegularizer(0.5, 0.6), ["std^2 < mean (1 - mean)", "std=0.6"]),
    (lambda: NormalRegularizer(0.5, 0.0), ["above 0"]),
]


@pytest.mark.parametrize("call, words", BAD)
def test_what_does_not_fit_is_told(call, words):
    with pytest.raises(ValueError) as told:
        call()
    assert not faults(str(told.value)) and all(word in str(told.value) for word in words), str(told.value)


def test_nothing_to_train_is_told():
    inf, gen = InfNet(3), GenModel()
    inf.w, gen.loc, gen.prior = tf.constant([[0.5], [-0.2]]), [tf.constant([1.0, -1.0])], tf.constant(0.3)
    with pytest.raises(ValueError, match="nothing to train"):
        update([X], (VIMCO(inf, gen), keras.optimizers.SGD(0.1)))
