"""pi-VAE: builder functions, model and inputs."""

from indl.model.pi_vae.builders import (
    build_pi_vae,
    create_label_prior,
    create_pi_decoder,
    create_pi_encoder,
    create_pi_posterior,
)
from indl.objectives.pi_vae_bound import compute_loss

__all__ = [
    "build_pi_vae",
    "compute_loss",
    "create_label_prior",
    "create_pi_decoder",
    "create_pi_encoder",
    "create_pi_posterior",
]
