"""The builder functions of pi-VAE: a params dict and Keras tensors in, Keras tensors out.

They are called in the order of the data flow, on rows that are independent of each other (the bins of a recording)::

    x - create_pi_encoder - q(z|x) -+
                                    +- create_pi_posterior - q(z|x,u) - sample - create_pi_decoder
    u - create_label_prior - p(z|u)-+

Zhou & Wei 2020, "Learning identifiable and interpretable latent models of high-dimensional neural activity using
pi-VAE". Parameters: :data:`indl.params.pi_vae.TABLE`. A partial dict is filled up with defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from indl.dists.log_gaussian import LogGaussian, log_gaussian
from indl.dists.priors.label import LabelPrior
from indl.layers.flows import InjectiveFlow
from indl.layers.mlp import MLP
from indl.layers.rate_and_noise import ClampedSoftplus, NoiseVariance
from indl.model.pi_vae.model import PiVAE
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params.pi_vae import PI_VAE, mlp_settings
from indl.sampling.layer import Sample

Params = Mapping[str, Any]


def create_pi_encoder(params: Params, x: Any, name: str = "") -> LogGaussian:
    """q(z | x), which does not see the label.

    Keys: z_dim, encoder_n_hidden_layers, encoder_hidden_layer_dim, encoder_hidden_layer_activation.

    Args:
        params: parameters.
        x: observations (rows, X).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.
    """
    p = PI_VAE.validate(params)
    return log_gaussian(MLP(2 * p["z_dim"], *mlp_settings(p, "encoder"), name=f"{name}encoder")(x))


def create_label_prior(params: Params, u: Any, name: str = "") -> LogGaussian:
    """p(z | u).

    Keys: z_dim, u_dim (required here), discrete_labels, z_prior_n_hidden_layers, z_prior_hidden_layer_dim,
    z_prior_hidden_layer_activation, z_prior_min_variance.

    Args:
        params: parameters.
        u: classes (rows,), or real labels (rows, u_dim).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.
    """
    p = _sized(params, "u_dim")
    kind = "discrete" if p["discrete_labels"] else "continuous"
    network = mlp_settings(p, "z_prior")
    return LabelPrior(
        p["z_dim"], p["u_dim"], kind, *network, min_variance=p["z_prior_min_variance"], name=f"{name}label_prior"
    )(u)


def create_pi_posterior(params: Params, q_x: LogGaussian, p_u: LogGaussian) -> LogGaussian:
    """q(z | x, u), proportional to q(z | x) p(z | u).

    Args:
        params: parameters.
        q_x: what :func:`create_pi_encoder` gives.
        p_u: what :func:`create_label_prior` gives.
    """
    PI_VAE.validate(params)
    return q_x.product(p_u)


def create_pi_decoder(params: Params, z: Any, name: str = "") -> tuple[Any, Any]:
    """p(x | z): an injective flow, and the observation model's parameters.

    Keys: x_dim (required here), decoder_*.

    Args:
        params: parameters.
        z: a sample (rows, Z).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        Expected counts or means of signals (rows, X), and log variances (rows, X), None for counts.
    """
    p = _sized(params, "x_dim")
    hidden, activation = mlp_settings(p, "decoder_affine")
    lift_hidden, lift_activation = mlp_settings(p, "decoder_nflow")
    out = InjectiveFlow(
        p["x_dim"],
        p["decoder_n_gin_blocks"],
        p["decoder_gin_block_depth"],
        p["decoder_share_couplings"],
        p["decoder_affine_input_layer_slice_dim"],
        hidden,
        activation,
        lift_hidden,
        lift_activation,
        name=f"{name}flow",
    )(z)
    if p["decoder_observation_model"] == "poisson":
        return ClampedSoftplus(p["decoder_fr_clamp_min"], p["decoder_fr_clamp_max"], name=f"{name}rate")(out), None
    return out, NoiseVariance(name=f"{name}observation_noise")(out)


def build_pi_vae(params: Params, x_dim: int, u_dim: int, name: str = "pi_vae") -> PiVAE:
    """Assembles the whole model, compiled with Adam at the params' learning rate.

    Args:
        params: parameters; missing keys take their defaults.
        x_dim: channels.
        u_dim: number of classes, or length of a continuous label.
        name: name of the model.

    Raises:
        ValueError: params or sizes that do not validate.
    """
    p = PI_VAE.validate({**params, "x_dim": x_dim, "u_dim": u_dim})
    x = keras.Input((x_dim,), name="x")
    u = keras.Input((), dtype="int32", name="u") if p["discrete_labels"] else keras.Input((u_dim,), name="u")
    q_x, p_u = create_pi_encoder(p, x), create_label_prior(p, u)
    q_xu = create_pi_posterior(p, q_x, p_u)
    z = Sample(seed=p["seed"], at_test=True, name="z_sample")(q_xu.loc, q_xu.stddev())
    mean, log_variance = create_pi_decoder(p, z)
    outputs = {
        "firing_rate": mean,
        "lambda_mean": p_u.loc,
        "lambda_log_variance": p_u.log_variance,
        "posterior_mean": q_xu.loc,
        "posterior_log_variance": q_xu.log_variance,
        "z_mean": q_x.loc,
        "z_log_variance": q_x.log_variance,
        "z_sample": z,
    }
    if log_variance is not None:
        outputs["noise_log_variance"] = log_variance
    model = PiVAE(inputs={"x": x, "u": u}, outputs=outputs, params=p, name=name)
    compile_pi_vae(model, p)
    return model


def compile_pi_vae(model: PiVAE, params: Params) -> None:
    """Gives a model Adam at the params' learning rate."""
    # A step of so small a network is mostly overhead where it is not compiled.
    model.compile(optimizer=GuardedAdam(params["learning_rate"]), jit_compile=params["jit_compile"] == "on")
    model.optimizer.build(model.trainable_variables)


def _sized(params: Params, key: str) -> Params:
    """Complete params, in which the size `key` is known."""
    p = PI_VAE.validate(params)
    if p[key] is None:
        raise ValueError(f"A size is not known. Given: {key}=None. Pass {{**params, {key!r}: ...}}.")
    return p
