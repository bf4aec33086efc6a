"""The table of pi-VAE: its parameters, its presets, and the sizes that cannot be.

Names and defaults are those that the model's users know from its PyTorch port (pi-vae-pytorch 1.0.0b1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indl.params.param import (
    ACTIVATIONS,
    LARGEST,
    LARGEST_SEED,
    MOST_CHANNELS,
    MOST_EPOCHS,
    MOST_LAYERS,
    MOST_TRIALS,
    MOST_UNITS,
    Param,
    family_row,
)
from indl.params.table import Table

_SIZES, _ENC, _DEC, _PRIOR, _TRAIN = "Sizes", "Encoder", "Decoder", "Label prior", "Training"


def _mlp(prefix: str, what: str, group: str, units: int | None, activation: str, alias: str = "") -> tuple[Param, ...]:
    """The three rows of one network."""
    rule = ", at least channels // 4 (None: just that)" if units is None else ""
    rows = {
        "n_hidden_layers": (2, "int", f"hidden layers of {what}", {"low": 0, "high": MOST_LAYERS}),
        "hidden_layer_dim": (
            units,
            "int",
            f"units of each of them{rule}",
            {"low": 1, "high": MOST_UNITS, "none": units is None},
        ),
        "hidden_layer_activation": (activation, "choice", "their activation", {"choices": ACTIVATIONS}),
    }
    return tuple(
        Param(f"{prefix}_{end}", *row, group, aliases=(f"{alias}_{end}",) if alias else (), **bounds)
        for end, (*row, bounds) in rows.items()
    )


# fmt: off
TABLE: tuple[Param, ...] = (
    family_row("pi_vae"),
    Param("x_dim", None, "int", "channels of the observation", _SIZES, low=1, high=MOST_CHANNELS, none=True),
    Param("u_dim", None, "int", "number of classes, or length of a continuous label", _SIZES,
          low=1, high=MOST_CHANNELS, none=True),
    Param("z_dim", 2, "int", "size of the latent, at most x_dim", _SIZES, low=1, high=MOST_UNITS),
    Param("discrete_labels", True, "bool", "labels are classes (False: real vectors)", _SIZES),
    Param("classes", None, "names",
          "what the classes are called, in the order of their numbers (None: 0, 1, ..., or what the data call them)",
          _SIZES, none=True),
    *_mlp("encoder", "the encoder", _ENC, 120, "tanh"),
    Param("decoder_n_gin_blocks", 2, "int", "GIN blocks: a permutation, then couplings", _DEC, low=0, high=MOST_LAYERS),
    Param("decoder_gin_block_depth", 2, "int", "affine couplings of a block", _DEC, low=1, high=MOST_LAYERS),
    Param("decoder_affine_input_layer_slice_dim", None, "int",
          "coordinates that a coupling keeps, below x_dim (None: x_dim // 2)", _DEC,
          low=1, high=MOST_CHANNELS, none=True),
    Param("decoder_share_couplings", False, "bool",
          "the couplings of a block share their weights, as in the PyTorch port", _DEC),
    *_mlp("decoder_affine", "the network of a coupling", _DEC, None, "relu"),
    *_mlp("decoder_nflow", "the network that lifts z to the channels", _DEC, None, "relu"),
    Param("decoder_observation_model", "poisson", "choice", "observations: counts or signals", _DEC,
          choices=("poisson", "gaussian")),
    Param("decoder_fr_clamp_min", 1e-7, "float", "smallest expected count a bin (Poisson)", _DEC,
          low=1e-30, high=LARGEST),
    Param("decoder_fr_clamp_max", 1e7, "float", "largest expected count a bin (Poisson)", _DEC,
          low=1e-30, high=LARGEST),
    *_mlp("z_prior", "the network of a continuous label", _PRIOR, 20, "tanh", alias="label_prior"),
    Param("z_prior_min_variance", 0.0, "float", "added to every variance of p(z | u)", _PRIOR, low=0, high=LARGEST),
    Param("alpha", 0.0, "float",
          "share of KL(q(z|x) || p(z|u)) in the divergence; the rest is KL(q(z|x,u) || p(z|u)), which alone gives "
          "the bound", _TRAIN, low=0, high=1, search=("float", 0.0, 0.9)),
    Param("kl_weight", 1.0, "float", "weight of the divergence", _TRAIN, low=0, high=LARGEST),
    Param("learning_rate", 5e-4, "float", "step size of Adam", _TRAIN, low=0, high=1, search=("log", 1e-4, 5e-3)),
    Param("jit_compile", "on", "choice", "compile the training step with XLA; off pays for short runs", _TRAIN,
          choices=("on", "off")),
    Param("epochs", 500, "int", "passes over the training rows", _TRAIN, low=1, high=MOST_EPOCHS),
    Param("patience", 0, "int", "epochs without improvement of the monitor after which training stops (0: never)",
          _TRAIN, low=0, high=MOST_EPOCHS),
    Param("monitor", "val_neg_elbo", "choice", "validation metric that selects the epoch", _TRAIN,
          choices=("val_neg_elbo", "val_nll")),
    Param("batch_size", 200, "int", "bins of a batch", _TRAIN, low=1, high=MOST_TRIALS),
    Param("seed", 0, "int", "seed of draws and of the order of rows", _TRAIN, low=0, high=LARGEST_SEED),
)
# fmt: on

#: Settings of published versions. Layout alone: `x_dim` and `u_dim` come from the data.
PRESETS: dict[str, dict[str, Any]] = {
    "pi_vae": {},
    # Zhou & Wei 2020: the widths of their code today, with one encoder network of two heads for their two.
    "pi_vae_original": {
        "encoder_hidden_layer_dim": 60,
        "decoder_affine_hidden_layer_dim": 30,
        "decoder_nflow_hidden_layer_dim": 30,
    },
    # pi-vae-pytorch 1.0.0b1, and its 1.1.0 with wider networks and both divergences.
    "pi_vae_port": {"decoder_share_couplings": True},
    "pi_vae_port_1_1": {
        "decoder_share_couplings": True,
        "encoder_hidden_layer_dim": 128,
        "z_prior_hidden_layer_dim": 32,
        "alpha": 0.5,
    },
}


def check_sizes(p: Mapping[str, Any]) -> None:
    """Raises a ValueError where complete params have sizes that do not fit each other."""
    if p["classes"] is not None and (not p["discrete_labels"] or p["u_dim"] not in (None, len(p["classes"]))):
        raise ValueError(
            f"Classes need discrete labels, and one name each. Given: {len(p['classes'])} names, with "
            f"discrete_labels={p['discrete_labels']} and u_dim={p['u_dim']}. Leave u_dim and classes to the data."
        )
    x_dim, kept = p["x_dim"], p["decoder_affine_input_layer_slice_dim"]
    if x_dim is not None and x_dim < p["z_dim"]:
        raise ValueError(
            "The decoder is injective: it needs a channel for each latent. Given: "
            f"x_dim={x_dim}, z_dim={p['z_dim']}. Use z_dim of at most {x_dim}."
        )
    if x_dim is not None and p["decoder_n_gin_blocks"] and (x_dim < 2 or (kept is not None and kept >= x_dim)):
        raise ValueError(
            "A coupling keeps some channels and moves the others. Given: "
            f"decoder_affine_input_layer_slice_dim={kept!r}, x_dim={x_dim}. Keep fewer than x_dim, or set "
            "decoder_n_gin_blocks=0."
        )
    if p["decoder_fr_clamp_min"] >= p["decoder_fr_clamp_max"]:
        raise ValueError(
            "The range of rates is empty. Given: "
            f"decoder_fr_clamp_min={p['decoder_fr_clamp_min']:g}, decoder_fr_clamp_max={p['decoder_fr_clamp_max']:g}. "
            "Make the first smaller than the second."
        )


PI_VAE = Table("pi_vae", TABLE, PRESETS, check_sizes, "indl.params.pi_vae.TABLE")
ROWS = PI_VAE.by_name


def mlp_settings(p: Mapping[str, Any], prefix: str) -> tuple[list[int], str]:
    """Units of the hidden layers and activation of one network.

    A network of the decoder is at least a quarter of the channels wide.
    """
    width = p[f"{prefix}_hidden_layer_dim"]
    if prefix.startswith("decoder"):
        width = max(width or 0, p["x_dim"] // 4, 1)
    return [width] * p[f"{prefix}_n_hidden_layers"], p[f"{prefix}_hidden_layer_activation"]
